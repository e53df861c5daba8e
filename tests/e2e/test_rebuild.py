"""The feed is a projection: a replay from offset zero makes the same documents, beside members who read on."""

import asyncio
import json
import random
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from deploy.local import Platform
from deploy.local.demo import create_member
from deploy.local.downloads import ROOT
from deploy.local.services import process_environment
from shared.envelope import Message, message_of, tombstone_of
from shared.events import CaseApproved, CommentAdded, Event
from shared.mongo import Mongo
from tests.feed_histories import approval, comment, member, withdrawal
from tests.waiting import until

pytestmark = pytest.mark.platform

PASSWORD = "correct horse battery staple"
Publish = Callable[[Sequence[Event | Message]], Awaitable[None]]


@dataclass
class History:
    """A past with everything in it: comments before cases, edits, doubles, withdrawals with their tombstones."""

    messages: list[Event | Message] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)
    withdrawn: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, cases: int) -> "History":
        run, made = uuid.uuid4().hex[:8], cls()
        made.messages += [member(f"{run}-m{number}", version) for number in range(5) for version in (1, 2)]
        for number in range(cases):
            case_id = f"{run}-c{number}"
            notes = [comment(f"{case_id}-k{n}", case_id, author_id=f"{run}-m{n}", minutes=n) for n in range(2)]
            first = approval(case_id, 1, minutes=number, author_id=f"{run}-m{number % 5}")
            made.messages += [notes[0], first, first, notes[1]]
            if number % 3 == 0:
                made.messages.append(approval(case_id, 2, minutes=number, author_id=f"{run}-m{number % 5}"))
            if number % 7 == 0:
                made.messages.append(withdrawal(case_id))
                made.messages += [tombstone_of(CommentAdded, note.comment_id, case_id) for note in notes]
                made.messages.append(tombstone_of(CaseApproved, case_id, case_id))
                made.withdrawn.add(case_id)
            else:
                made.shown.add(case_id)
        return made


class Feed:
    """The feed as members and operators reach it."""

    def __init__(self, platform: Platform, client: httpx.AsyncClient, mongo: Mongo) -> None:
        self.platform = platform
        self.client = client
        self.db = mongo.db

    async def read(self, path: str, **params: Any) -> Any:
        answer = await self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def all_cases(self) -> dict[str, Any]:
        """Every case of the feed, page by page."""
        found: dict[str, Any] = {}
        cursor = None
        while True:
            page = await self.read("/cases", limit=100, **({"cursor": cursor} if cursor else {}))
            found |= {item["case_id"]: item for item in page["items"]}
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    async def shows(self, cases: set[str], comments: int = 2) -> bool:
        found = await self.all_cases()
        return all(case_id in found and found[case_id]["comment_count"] == comments for case_id in cases)

    async def rebuild(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        process = await self.start_rebuild(*arguments)
        out, _ = await process.communicate()
        return process.returncode or 0, json.loads(out)

    async def start_rebuild(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.feed", "rebuild", "--json", *arguments,
            cwd=ROOT, env=process_environment(self.platform.service_env("feed")), stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def pointer(self) -> dict[str, Any]:
        found = await self.db["builds"].find_one({"_id": "pointer"})
        assert found is not None
        return found


@pytest.fixture(scope="module")
async def feed(platform: Platform) -> AsyncIterator[Feed]:
    for service in ("identity", "feed"):
        await asyncio.to_thread(platform.start_service, service)
    email = f"{uuid.uuid4().hex}@test.invalid"
    who = {"pseudonym": "Dr Reader", "profession": "physician", "specialty": "surgery"}
    await asyncio.to_thread(create_member, platform, email, PASSWORD, who)
    async with httpx.AsyncClient() as identity:
        credentials = {"email": email, "password": PASSWORD}
        session = await identity.post(f"{platform.addresses['identity']}/sessions", json=credentials)
        token = session.json()["access_token"]
    mongo = Mongo(platform.admin_mongo_uri, "feed")
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=platform.addresses["feed"], headers=headers, timeout=30) as client:
        yield Feed(platform, client, mongo)
    mongo.close()
    for service in ("feed", "identity"):
        await asyncio.to_thread(platform.stop_service, service)


@pytest.fixture(scope="module")
async def publish(platform: Platform) -> AsyncIterator[Publish]:
    """Puts events and tombstones straight into their topics, in order."""
    producer = AIOKafkaProducer(**platform.admin_kafka(), linger_ms=20)
    await producer.start()

    async def send(messages: Sequence[Event | Message]) -> None:
        waiting = []
        for given in messages:
            message = message_of(given) if isinstance(given, Event) else given
            headers = [(name, text.encode()) for name, text in message.headers.items()]
            waiting.append(
                await producer.send(
                    message.topic, message.value, message.key.encode(), partition=message.partition, headers=headers
                )
            )
        await asyncio.gather(*waiting)

    yield send
    await producer.stop()


@pytest.fixture(scope="module")
async def history(feed: Feed, publish: Publish) -> History:
    """A past that the feed has taken in."""
    made = History.of(cases=200)
    await publish(made.messages)
    await until(lambda: feed.shows(made.shown), within_s=60)
    return made


@asynccontextmanager
async def in_background(work: Callable[[], Awaitable[None]]) -> AsyncIterator[asyncio.Task[None]]:
    """Repeats `work` until the block ends; a failure of it fails the test."""

    async def repeat() -> None:
        while True:
            await work()

    task = asyncio.create_task(repeat())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_rebuild_makes_the_same_documents_while_events_flow_and_members_read(
    feed: Feed, publish: Publish, history: History
) -> None:
    written: set[str] = set()
    reads = 0
    chance = random.Random(7)

    async def read() -> None:
        nonlocal reads
        found = await feed.all_cases()
        assert found.keys() >= history.shown, "a reader saw a gap"
        assert not found.keys() & history.withdrawn
        reads += 1

    async def write() -> None:
        more = History.of(cases=chance.randint(1, 5))
        await publish(more.messages)
        written.update(more.shown)
        history.withdrawn.update(more.withdrawn)

    before = await feed.pointer()
    async with in_background(read), in_background(write):
        status, report = await feed.rebuild()
        switched, reads_then = await feed.pointer(), reads
        await until(lambda: reads >= reads_then + 2)
    assert status == 0
    assert report["equal"]
    assert report["switched"]
    assert report["events"] >= len(history.messages)
    assert report["behind"] == 0
    assert written
    for found in report["collections"].values():
        assert found["hash_live"] == found["hash_candidate"]
    assert report["collections"]["cases"]["documents_live"] >= len(history.shown)
    assert (switched["live"], switched["previous"]) == (report["build"], before["live"])

    await until(lambda: feed.shows(history.shown | written), within_s=60)
    status, report = await feed.rebuild()
    assert (status, report["equal"]) == (0, True)
    assert not (await feed.all_cases()).keys() & history.withdrawn


async def test_a_damaged_document_is_reported_and_the_live_build_stays(feed: Feed, history: History) -> None:
    damaged = min(history.shown)
    before = await feed.pointer()
    cases = feed.db[f"cases_b{before['live']}"]
    await cases.update_one({"_id": damaged}, {"$set": {"author_id": "nobody"}})

    status, report = await feed.rebuild()
    assert status == 1
    assert not report["switched"]
    assert report["collections"]["cases"]["differing_ids"] == [damaged]
    assert report["collections"]["comments"]["differing"] == 0
    after = await feed.pointer()
    assert (after["live"], after["candidate"]) == (before["live"], None)
    assert f"cases_b{report['build']}" not in await feed.db.list_collection_names()

    status, report = await feed.rebuild("--accept-differences")
    assert status == 0
    assert report["switched"]
    status, report = await feed.rebuild()
    assert (status, report["equal"]) == (0, True)


async def test_what_a_killed_rebuild_leaves_is_discarded_by_the_next(feed: Feed, history: History) -> None:
    dying = await feed.start_rebuild()

    async def has_a_candidate() -> bool:
        return (await feed.pointer())["candidate"] is not None

    await until(has_a_candidate)
    dying.kill()
    await dying.wait()
    dead = (await feed.pointer())["candidate"]
    assert dead is not None

    status, report = await feed.rebuild()
    assert (status, report["equal"]) == (0, True)
    assert f"cases_b{dead}" not in await feed.db.list_collection_names()


async def test_the_feed_stands_up_again_after_its_database_was_dropped(
    feed: Feed, publish: Publish, history: History
) -> None:
    some = sorted(history.shown)[:20]
    paths = [f"/cases/{case_id}{part}" for case_id in some for part in ("", "/comments")]

    async def answers() -> list[bytes]:
        return [(await feed.client.get(path)).content for path in paths]

    before = await answers()
    await asyncio.to_thread(feed.platform.stop_service, "feed")
    await feed.db.client.drop_database("feed")
    missed = History.of(cases=3)
    await publish(missed.messages)
    await asyncio.to_thread(feed.platform.start_service, "feed")

    assert await answers() == before
    await until(lambda: feed.shows(history.shown | missed.shown), within_s=60)
    assert not (await feed.all_cases()).keys() & (history.withdrawn | missed.withdrawn)
