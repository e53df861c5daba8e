"""Cases that were published after the backup that ingest came out of: found in the log, and ended by a person only."""

import asyncio
import uuid
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local import Platform
from services.ingest.store import UnknownCases
from shared.blobs import RAW
from shared.envelope import Message, message_of, tombstone_of
from shared.events import CaseApproved, CaseSubmitted, CaseUploaded, CaseWithdrawn, CommentAdded, Event, WithdrawalCause
from tests.feed_histories import approval, comment, picture
from tests.ingest_service import AUTHOR, IngestService, ingest_service

pytestmark = pytest.mark.platform


@pytest.fixture
async def ingest(platform: Platform, tmp_path: Path) -> AsyncIterator[IngestService]:
    async with ingest_service(platform, tmp_path) as made:
        yield made


async def send(platform: Platform, messages: Sequence[Message]) -> None:
    producer = AIOKafkaProducer(**platform.admin_kafka())
    await producer.start()
    try:
        for one in messages:
            headers = [(name, text.encode()) for name, text in one.headers.items()]
            await producer.send_and_wait(
                one.topic, one.value, key=one.key.encode(), partition=one.partition, headers=headers
            )
    finally:
        await producer.stop()


async def test_what_is_published_and_unknown_is_listed_and_ends_when_a_person_says_so(
    ingest: IngestService, platform: Platform
) -> None:
    known = await ingest.published_case()
    lost, taken_back, said = (str(uuid.uuid4()) for _ in range(3))
    shown = picture("p-1", f"{lost}/p-1/1/0-full.png", "0" * 64, 9)
    messages = [message_of(approval(case_id, 3, author_id=AUTHOR)) for case_id in (known, taken_back)]
    messages += [message_of(approval(lost, 3, author_id=AUTHOR, pictures=[shown]))]
    messages += [message_of(comment(said, lost)), tombstone_of(CaseApproved, taken_back, taken_back)]
    await send(platform, messages)
    await ingest.blobs.put(RAW, f"{lost}/p-1", b"an original that came back")
    cases, at = UnknownCases(ingest.mongo, ingest.resources.settings), datetime.now(UTC)

    found = {one.approval.case_id: one for one in await cases.find()}
    assert lost in found
    assert not {known, taken_back} & found.keys()
    assert found[lost].comment_ids == (said,)
    assert await ingest.events(lost) == [], "nothing ends by being looked at"

    both = await asyncio.gather(*(cases.end(found[lost], at) for _ in range(2)))
    assert sorted(both) == [False, True]
    (event,) = [one for one in await ingest.events(lost) if isinstance(one, CaseWithdrawn)]
    assert (event.version, event.picture_ids, event.cause) == (4, ("p-1",), WithdrawalCause.RECORD_LOST)
    graves = {(CaseUploaded.topic, lost), (CaseSubmitted.topic, lost), (CommentAdded.topic, said)}
    assert graves <= await ingest.tombstones()
    assert lost not in {one.approval.case_id for one in await cases.find()}
    stub = await ingest.mongo.db["cases"].find_one({"_id": lost})
    assert stub is not None
    assert (stub["state"], stub["author_id"]) == ("withdrawn", AUTHOR)
    assert (await ingest.call("GET", f"/cases/{lost}")).status_code == 410
    assert await ingest.resources.withdrawals.any_withdrawn([known, lost])
    assert not await ingest.resources.withdrawals.any_withdrawn([known, "never-heard-of"])
    receipt = await ingest.resources.receipts.of_case(lost)
    assert receipt is not None
    assert receipt.cause is WithdrawalCause.RECORD_LOST
    await ingest.eraser().purge_all()
    assert await ingest.blobs.list_prefix(RAW, f"{lost}/") == []
    assert (await ingest.case(known))["state"] == "published"


async def test_what_is_read_is_not_kept_unless_it_is_of_an_unknown_case(ingest: IngestService) -> None:
    """The whole platform goes by: all cases as members read them, and all that members have written."""
    known, lost, other = await ingest.published_case(), "lost", "lost-as-well"
    held: dict[type[Event], int] = {}

    class Passing(UnknownCases):
        async def _read(self, topic: type[Event], take: Callable[[str, Any], None]) -> None:
            passed = []
            for number in range(50):
                case_id = [known, lost][number % 2] if topic is CommentAdded else known
                event = comment(f"c-{number}", case_id) if topic is CommentAdded else approval(case_id, number + 1)
                take(event.key, event)
                passed.append(weakref.ref(event))
                del event
            held[topic] = sum(one() is not None for one in passed)
            if topic is CaseApproved:
                take(lost, approval(lost, 1))
                take(other, approval(other, 1))
                take(other, None)
            else:
                take("c-1", None)

    (found,) = await Passing(ingest.mongo, ingest.resources.settings).find()
    assert held == {CaseApproved: 0, CommentAdded: 0}
    assert found.approval.case_id == lost
    assert found.comment_ids == tuple(f"c-{number}" for number in range(3, 50, 2))
