"""An approval races a withdrawal on the real bus: whoever comes first, nobody sees the case once it is withdrawn."""

import asyncio
import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from pymongo import MongoClient

from deploy.local import Platform
from deploy.local.client import Person, wait_until
from shared.envelope import Message, message_of
from shared.events import CaseApproved, CaseWithdrawn, FeedErased, partition_for
from tests.e2e.conftest import published, submitted
from tests.e2e.test_withdrawal import objects_of
from tests.feed_histories import approval, withdrawal

pytestmark = pytest.mark.platform
ROUNDS = 24
RACES = 4


class Watch:
    """Every state in which a case was ever committed in the feed's database, in order, from its opening on."""

    def __init__(self, mongo: "MongoClient[dict[str, Any]]") -> None:
        self._stream = mongo["feed"].watch(full_document="updateLookup", max_await_time_ms=200)
        self._seen: list[tuple[str, bool]] = []

    def close(self) -> None:
        self._stream.close()

    def seen(self, case_id: str) -> list[bool]:
        """For each state of the case, whether it could be read in it."""
        while (change := self._stream.try_next()) is not None:
            if change["ns"]["coll"].startswith("cases_b") and change["operationType"] in (
                "insert",
                "replace",
                "update",
            ):
                written = {**(change.get("fullDocument") or {}), **_updated(change)}
                self._seen.append((change["documentKey"]["_id"], "card" in written))
        return [readable for known, readable in self._seen if known == case_id]


def _updated(change: dict[str, Any]) -> dict[str, Any]:
    return (change.get("updateDescription") or {}).get("updatedFields") or {}


@pytest.fixture
def mongo(stack: Platform) -> Iterator["MongoClient[dict[str, Any]]"]:
    with MongoClient[dict[str, Any]](stack.admin_mongo_uri) as client:
        yield client


@contextmanager
def watched(mongo: "MongoClient[dict[str, Any]]") -> Iterator[Watch]:
    watch = Watch(mongo)
    try:
        yield watch
    finally:
        watch.close()


async def send(stack: Platform, messages: Sequence[Message]) -> None:
    """Messages as their emitters would send them, one after the other."""
    producer = AIOKafkaProducer(**stack.admin_kafka())
    await producer.start()
    try:
        for one in messages:
            headers = [(name, text.encode()) for name, text in one.headers.items()]
            await producer.send_and_wait(
                one.topic, one.value, key=one.key.encode(), partition=one.partition, headers=headers
            )
    finally:
        await producer.stop()


async def records(stack: Platform, topic: str, partitions: set[int]) -> list[Message]:
    """Everything in these partitions of a topic, oldest first in each."""
    found: list[Message] = []
    consumer = AIOKafkaConsumer(**stack.admin_kafka(), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in partitions]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, fetched in (await consumer.getmany(timeout_ms=200)).items():
                for record in fetched:
                    headers = {name: raw.decode() for name, raw in record.headers}
                    found.append(Message(topic, record.key.decode(), place.partition, record.value, headers))
    finally:
        await consumer.stop()
    return found


def last_record(stack: Platform, topic: str, case_id: str) -> Message | None:
    """The newest record of a case in a topic."""
    found = [one for one in asyncio.run(records(stack, topic, {partition_for(case_id)})) if one.key == case_id]
    return found[-1] if found else None


def standing(mongo: "MongoClient[dict[str, Any]]", case_id: str) -> str | None:
    """What the live build says of a case."""
    pointer = mongo["feed"]["builds"].find_one({"_id": "pointer"}) or {}
    found = mongo["feed"][f"cases_b{pointer['live']}"].find_one({"_id": case_id}) or {}
    return found.get("standing")


def had(mongo: "MongoClient[dict[str, Any]]", ce_id: str) -> bool:
    """Whether the live build has taken the event in."""
    pointer = mongo["feed"]["builds"].find_one({"_id": "pointer"}) or {}
    return mongo["feed"][f"inbox_b{pointer['live']}"].find_one({"_id": ce_id}) is not None


def test_a_feed_that_was_away_while_both_were_sent_never_shows_the_case(
    stack: Platform, colleague: Person, mongo: "MongoClient[dict[str, Any]]"
) -> None:
    """In both orders, in every partition: the topics race each other when the feed reads what it has missed."""
    rounds = [f"late-{number}-{uuid.uuid4()}" for number in range(ROUNDS)]
    messages: list[Message] = []
    for number, case_id in enumerate(rounds):
        both = [message_of(approval(case_id)), message_of(withdrawal(case_id, 2))]
        messages += both if number % 2 else reversed(both)
    shown = f"shown-{uuid.uuid4()}"
    with watched(mongo) as watch:
        stack.stop_service("feed")
        asyncio.run(send(stack, [*messages, message_of(approval(shown))]))
        # One record at a time, so that the topics really interleave.
        stack.start_service("feed", wait=False, FEED_BATCH_RECORDS="1")
        wait_until("every event to be taken in", lambda: all(had(mongo, one.headers["ce_id"]) for one in messages))
        wait_until("a case of the same batch", lambda: standing(mongo, shown) == "published")
        assert True in watch.seen(shown), "the watch sees what becomes readable"
        for case_id in rounds:
            assert True not in watch.seen(case_id), "it was never readable, not for a moment"
            assert standing(mongo, case_id) == "withdrawn"
    stack.wait_ready("feed")
    stack.stop_service("feed")
    stack.start_service("feed")
    assert all(colleague.read(case_id) is None for case_id in rounds)

    def reports() -> dict[str, FeedErased]:
        found = asyncio.run(records(stack, FeedErased.topic, {partition_for(case_id) for case_id in rounds}))
        return {one.key: FeedErased.parse(one.value) for one in found if one.key in rounds and one.value}

    told = wait_until("a report of each", lambda: found if len(found := reports()) == ROUNDS else None)
    assert {report.cases for report in told.values()} == {0}
    asyncio.run(send(stack, [message_of(withdrawal(shown))]))


def test_of_an_approval_and_a_withdrawal_at_the_same_moment_the_withdrawal_wins(
    stack: Platform, author: Person, moderator: Person, colleague: Person, mongo: "MongoClient[dict[str, Any]]"
) -> None:
    """Through the routes, at once, many times; whether the approval was granted or came too late."""
    races = [submitted(author, title="A race") for _ in range(RACES)]
    for case_id in races:
        moderator.claim_when_queued(case_id)
        moderator.review(case_id)
    with watched(mongo) as watch, ThreadPoolExecutor(2) as pool:
        for number, case_id in enumerate(races):
            start = threading.Barrier(2)

            def approve(case_id: str = case_id, start: threading.Barrier = start) -> int:
                start.wait()
                return moderator.raw("POST", "moderation", f"/cases/{case_id}/approval").status_code

            def withdraw(case_id: str = case_id, start: threading.Barrier = start) -> int:
                start.wait()
                return author.raw("POST", "ingest", f"/cases/{case_id}/withdrawal").status_code

            both = [pool.submit(act) for act in ((approve, withdraw) if number % 2 else (withdraw, approve))]
            said = [one.result() for one in both]
            approved, withdrawn = said if number % 2 else reversed(said)
            assert withdrawn == httpx.codes.OK
            # Too late: the case is known to be gone, or its text has gone before moderation heard of it.
            assert approved in (httpx.codes.OK, httpx.codes.GONE, httpx.codes.NOT_FOUND)
        for case_id in races:
            wait_until("the withdrawal in the feed", lambda case_id=case_id: standing(mongo, case_id) == "withdrawn")  # type: ignore[misc]
            assert colleague.read(case_id) is None
            wait_until("moderation to take its word back", lambda case_id=case_id: had_tombstone(stack, case_id))  # type: ignore[misc]
        for case_id in races:
            states = watch.seen(case_id)
            assert True not in states[states.index(False) :], "readable again after it was withdrawn"


def test_an_approval_that_is_delivered_again_after_the_withdrawal_brings_nothing_back(
    stack: Platform,
    author: Person,
    moderator: Person,
    colleague: Person,
    radiograph: bytes,
    mongo: "MongoClient[dict[str, Any]]",
) -> None:
    case_id = published(author, moderator, radiograph, title="Delivered late")
    original = last_record(stack, CaseApproved.topic, case_id)
    assert original
    assert original.value
    receipt = author.withdraw(case_id)
    assert receipt["state"] == "withdrawn"
    wait_until("the case to leave the feed", lambda: colleague.read(case_id) is None)
    wait_until("the objects to be erased", lambda: not objects_of(stack, case_id))
    wait_until("the tombstone", lambda: had_tombstone(stack, case_id))

    event = CaseApproved.parse(original.value)
    newer = message_of(event.model_copy(update={"version": event.version + 7}))
    unknown_id = replace(original, headers=original.headers | {"ce_id": str(uuid.uuid4())})
    again = message_of(CaseWithdrawn(case_id=case_id, version=1, withdrawn_at=event.approved_at))
    with watched(mongo) as watch:
        asyncio.run(send(stack, [original, unknown_id, newer, again]))
        for one in (unknown_id, newer, again):
            wait_until("it to be taken in", lambda one=one: had(mongo, one.headers["ce_id"]))  # type: ignore[misc]
        assert True not in watch.seen(case_id)
    assert standing(mongo, case_id) == "withdrawn"
    assert colleague.read(case_id) is None
    assert objects_of(stack, case_id) == []
    address = f"/cases/{case_id}/pictures/{event.pictures[0].picture_id}/frames/0/full"
    assert colleague.raw("GET", "feed", address).status_code == httpx.codes.NOT_FOUND


def had_tombstone(stack: Platform, case_id: str) -> bool:
    """Whether moderation has taken its approval back, so that what comes now comes after it."""
    last = last_record(stack, CaseApproved.topic, case_id)
    return last is not None and last.value is None
