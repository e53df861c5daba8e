"""The audit trail on real MongoDB: kept with its act or not at all, whole with many writers, telling."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from deploy.local import Platform
from shared.mongo import Mongo, Session
from shared.trail import Entry, Trail
from tests.contract.test_identity_store import open_mongo

pytestmark = pytest.mark.platform
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


@pytest.fixture
async def mongo(platform: Platform) -> AsyncIterator[Mongo]:
    made = open_mongo(platform)
    yield made
    made.close()


@pytest.fixture
async def trail(mongo: Mongo) -> AsyncIterator[Trail]:
    made = Trail(mongo.db, f"trail_{uuid.uuid4().hex[:8]}")
    await made.prepare()
    yield made
    await made._records.drop()
    await made._heads.drop()


async def append(mongo: Mongo, trail: Trail, subject: str, act: str) -> None:
    async def write(session: Session) -> None:
        await trail.append(Entry(subject=subject, act=act, actor="officer-1"), NOW, session)

    await mongo.transaction(write)


async def test_acts_of_a_subject_are_one_whole_chain_also_when_many_write_at_once(mongo: Mongo, trail: Trail) -> None:
    await asyncio.gather(*(append(mongo, trail, "proof-1", f"read-{i}") for i in range(8)))
    await append(mongo, trail, "proof-2", "read")
    records, flaws = await trail.read(mongo, "proof-1")
    assert flaws == []
    assert [record["sequence"] for record in records] == list(range(1, 9))
    assert {record["act"] for record in records} == {f"read-{i}" for i in range(8)}


async def test_a_record_goes_with_its_transaction(mongo: Mongo, trail: Trail) -> None:
    async def fail(session: Session) -> None:
        await trail.append(Entry(subject="proof-1", act="read", actor="officer-1"), NOW, session)
        raise RuntimeError("the act itself failed")

    with pytest.raises(RuntimeError):
        await mongo.transaction(fail)
    assert await trail.read(mongo, "proof-1") == ([], [])


async def test_altered_and_removed_records_are_told(mongo: Mongo, trail: Trail) -> None:
    for act in ("read", "read", "erased"):
        await append(mongo, trail, "proof-1", act)
    await trail._records.update_one({"sequence": 2}, {"$set": {"actor": "somebody-else"}})
    _, flaws = await trail.read(mongo, "proof-1")
    assert [(flaw.sequence, flaw.problem) for flaw in flaws] == [(2, "content does not match its hash")]
    await trail._records.delete_one({"sequence": 3})
    _, flaws = await trail.read(mongo, "proof-1")
    assert "2 records, the head counts 3" in [flaw.problem for flaw in flaws]
