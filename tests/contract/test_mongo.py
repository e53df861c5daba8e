"""Transactions on the real MongoDB: all or nothing, and collisions end well."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

import pytest

from deploy.local import Platform
from shared.errors import dependency_is_away
from shared.mongo import Mongo, MongoBusy, Session

pytestmark = pytest.mark.platform


@pytest.fixture
async def mongo(platform: Platform) -> AsyncIterator[Mongo]:
    made = Mongo(platform.admin_mongo_uri, f"mongo_test_{uuid.uuid4().hex[:8]}")
    yield made
    await made.db.client.drop_database(made.db.name)
    made.close()


async def test_an_exception_undoes_everything(mongo: Mongo) -> None:
    async def act(session: Session) -> None:
        await mongo.db["a"].insert_one({"_id": 1}, session=session)
        await mongo.db["b"].insert_one({"_id": 1}, session=session)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await mongo.transaction(act)
    assert await mongo.db["a"].count_documents({}) == 0
    assert await mongo.db["b"].count_documents({}) == 0


async def test_transactions_that_collide_all_take_effect(mongo: Mongo) -> None:
    await mongo.db["a"].insert_one({"_id": 1, "count": 0})

    async def act(session: Session) -> None:
        found = await mongo.db["a"].find_one({"_id": 1}, session=session)
        assert found is not None
        await mongo.db["a"].replace_one({"_id": 1}, {"count": found["count"] + 1}, session=session)

    await asyncio.gather(*(mongo.transaction(act) for _ in range(12)))
    found = await mongo.db["a"].find_one({"_id": 1})
    assert found is not None
    assert found["count"] == 12


async def test_a_transaction_that_never_gets_through_says_not_now(platform: Platform, mongo: Mongo) -> None:
    impatient = Mongo(platform.admin_mongo_uri, mongo.db.name, transaction_limit_s=0.3)
    await mongo.db["a"].insert_one({"_id": 1})

    async def hold(session: Session) -> None:
        await mongo.db["a"].update_one({"_id": 1}, {"$set": {"held": True}}, session=session)

        async def collide(other: Session) -> None:
            await impatient.db["a"].update_one({"_id": 1}, {"$set": {"held": False}}, session=other)

        with pytest.raises(MongoBusy) as busy:
            await impatient.transaction(collide)
        assert dependency_is_away(busy.value)

    await mongo.transaction(hold)
    impatient.close()


async def test_times_come_back_with_their_zone(mongo: Mongo) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    await mongo.db["a"].insert_one({"_id": 1, "at": moment})
    found = await mongo.db["a"].find_one({"_id": 1})
    assert found is not None
    assert found["at"] == moment


async def test_ping_answers(mongo: Mongo) -> None:
    (failure,) = await asyncio.gather(mongo.ping(), return_exceptions=True)
    assert failure is None


async def test_a_database_that_does_not_answer_is_away_within_seconds() -> None:
    mongo = Mongo("mongodb://127.0.0.1:9/?replicaSet=rs0", "any")
    started = time.monotonic()
    with pytest.raises(Exception, match=r"127\.0\.0\.1:9") as failure:
        await mongo.ping()
    assert dependency_is_away(failure.value)
    assert time.monotonic() - started < 10
    mongo.close()


async def test_transactions_that_make_the_same_collections_at_once_all_take_effect(mongo: Mongo) -> None:
    async def act(number: int, session: Session) -> None:
        for name in ("a", "b", "c"):
            await mongo.db[f"new_{name}"].insert_one({"_id": number}, session=session)

    await asyncio.gather(*(mongo.transaction(partial(act, number)) for number in range(10)))
    for name in ("a", "b", "c"):
        assert await mongo.db[f"new_{name}"].count_documents({}) == 10
