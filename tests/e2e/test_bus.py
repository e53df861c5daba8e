"""The promises of the bus, on a real broker: nothing lost, nothing blocked, nothing hidden."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local import Platform
from shared import dead_letters
from shared.bus import Bus, NotNow, PoisonMessage, Received, kafka_client_options
from shared.envelope import message_of, tombstone_of
from shared.events import CaseWithdrawn, dead_topic
from shared.settings import ServiceSettings
from tests.waiting import until

pytestmark = pytest.mark.platform


class Feed(ServiceSettings, env_prefix="FEED_"):
    """The feed's credentials: it consumes case.withdrawn."""


class Ingest(ServiceSettings, env_prefix="INGEST_"):
    """The ingest's credentials: it emits case.withdrawn."""


def settings_of(platform: Platform, kind: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch) -> ServiceSettings:
    name = kind.model_config["env_prefix"].rstrip("_").lower()
    for variable, value in platform.service_env(name).items():
        monkeypatch.setenv(variable, value)
    return kind(kafka_retry_first_delay_s=0.02, kafka_max_tries=3)


@pytest.fixture
def feed(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> ServiceSettings:
    return settings_of(platform, Feed, monkeypatch)


@pytest.fixture
async def producer(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AIOKafkaProducer]:
    made = AIOKafkaProducer(**kafka_client_options(settings_of(platform, Ingest, monkeypatch)))
    await made.start()
    yield made
    await made.stop()


def withdrawn(case_id: str, version: int = 1) -> CaseWithdrawn:
    return CaseWithdrawn(case_id=case_id, version=version, withdrawn_at=datetime.now(UTC))


async def send(producer: AIOKafkaProducer, event: CaseWithdrawn, **changed: Any) -> None:
    message = message_of(event)
    headers = [(name, text.encode()) for name, text in message.headers.items()]
    given = {"value": message.value, "key": message.key.encode(), "headers": headers, **changed}
    await producer.send_and_wait(message.topic, partition=message.partition, **given)


@asynccontextmanager
async def listening(
    settings: ServiceSettings, handler: Callable[[Received[CaseWithdrawn]], Awaitable[None]], group: str = ""
) -> AsyncIterator[Bus]:
    bus = Bus(settings, "feed")
    bus.on(CaseWithdrawn, handler, group=group or f"feed-{uuid.uuid4()}")
    await bus.start()
    try:
        yield bus
    finally:
        await bus.stop()


async def letters_about(settings: ServiceSettings, text: str) -> list[dead_letters.DeadLetter]:
    return [one async for one in dead_letters.read("feed", kafka_client_options(settings)) if one.mentions(text)]


@pytest.mark.parametrize(
    ("name", "changed", "cause"),
    [
        ("bad JSON", {"value": b"{not json"}, "not a valid CaseWithdrawn"),
        ("an unknown version", {"headers": [("ce_type", b"consilium.case.withdrawn.v9"), ("ce_id", b"x")]}, "v9"),
        ("a null header", {"headers": [("ce_type", None)]}, "null"),
        ("a header that is not UTF-8", {"headers": [("ce_type", b"\xff")]}, "UTF-8"),
        ("no headers", {"headers": []}, "not known"),
    ],
)
async def test_poison_lies_in_the_dead_letters_and_the_next_message_is_handled(
    name: str, changed: dict[str, Any], cause: str, feed: ServiceSettings, producer: AIOKafkaProducer
) -> None:
    case_id, seen = str(uuid.uuid4()), list[int]()

    async def handler(message: Received[CaseWithdrawn]) -> None:
        if message.key == case_id and message.event:
            seen.append(message.event.version)

    await send(producer, withdrawn(case_id, 1), **changed)
    await send(producer, withdrawn(case_id, 2))
    async with listening(feed, handler) as bus:
        await until(lambda: seen == [2])
        await bus.check()
    found = await letters_about(feed, case_id)
    assert [cause in one.cause for one in found] == [True], f"{name}: {found}"
    if "value" in changed:
        assert found[0].value == changed["value"]
    if "headers" in changed:
        assert list(found[0].headers) == changed["headers"]


async def test_a_handler_that_keeps_failing_gets_a_bounded_number_of_tries(
    feed: ServiceSettings, producer: AIOKafkaProducer
) -> None:
    case_id, tries = str(uuid.uuid4()), list[int]()

    async def handler(message: Received[CaseWithdrawn]) -> None:
        if message.key == case_id and message.event:
            tries.append(message.event.version)
            if message.event.version == 1:
                raise ValueError("broken")
            if message.event.version == 2:
                raise PoisonMessage("never")

    for version in (1, 2, 3):
        await send(producer, withdrawn(case_id, version))
    async with listening(feed, handler):
        await until(lambda: 3 in tries)
    assert tries == [1, 1, 1, 2, 3]
    causes = {one.tries: one.cause for one in await letters_about(feed, case_id)}
    assert causes == {3: "ValueError: broken", 1: "poison: never"}


async def test_a_dependency_that_is_away_is_waited_for_and_said(
    feed: ServiceSettings, producer: AIOKafkaProducer
) -> None:
    case_id, tries, away = str(uuid.uuid4()), list[str](), asyncio.Event()

    async def handler(message: Received[CaseWithdrawn]) -> None:
        if message.key == case_id:
            tries.append(message.key)
            if not away.is_set():
                raise NotNow("the store does not answer")

    await send(producer, withdrawn(case_id))
    async with listening(feed, handler) as bus:
        await until(lambda: len(tries) > 4)  # more than the tries that a failing handler would get
        with pytest.raises(NotNow, match="the store does not answer"):
            await bus.check()
        away.set()

        async def ready() -> bool:
            try:
                await bus.check()
            except NotNow:
                return False
            return True

        await until(ready)
    assert await letters_about(feed, case_id) == []


async def test_what_was_in_work_when_the_process_stopped_is_delivered_again(
    feed: ServiceSettings, producer: AIOKafkaProducer
) -> None:
    case_id, group, seen = str(uuid.uuid4()), f"feed-{uuid.uuid4()}", list[str]()
    started = asyncio.Event()

    async def hangs(message: Received[CaseWithdrawn]) -> None:
        if message.key == case_id:
            started.set()
            await asyncio.Event().wait()

    async def works(message: Received[CaseWithdrawn]) -> None:
        seen.append(message.key)

    await send(producer, withdrawn(case_id))
    impatient = feed.model_copy(update={"shutdown_grace_s": 0.2})
    async with listening(impatient, hangs, group):
        await asyncio.wait_for(started.wait(), 30)
    async with listening(feed, works, group):
        await until(lambda: case_id in seen)


async def test_a_tombstone_reaches_the_handler_as_one(feed: ServiceSettings, producer: AIOKafkaProducer) -> None:
    case_id, seen = str(uuid.uuid4()), list[CaseWithdrawn | None]()

    async def handler(message: Received[CaseWithdrawn]) -> None:
        if message.key == case_id:
            seen.append(message.event)

    grave = tombstone_of(CaseWithdrawn, case_id, case_id)
    await send(producer, withdrawn(case_id))
    await producer.send_and_wait(grave.topic, None, key=case_id.encode(), partition=grave.partition)
    async with listening(feed, handler):
        await until(lambda: len(seen) == 2)
    assert seen[0] is not None
    assert seen[1] is None


async def test_a_bad_batch_is_taken_apart_until_the_poison_is_found(
    platform: Platform, feed: ServiceSettings, producer: AIOKafkaProducer
) -> None:
    cases = [str(uuid.uuid4()) for _ in range(6)]
    done = list[str]()

    async def handler(batch: Any) -> None:
        if any(message.key == cases[3] for message in batch):
            raise ValueError("poison inside")
        done.extend(message.key for message in batch if message.key in cases)

    for case_id in cases:
        await send(producer, withdrawn(case_id))
    bus = Bus(feed, "feed")
    bus.on_batch(CaseWithdrawn, handler, group=f"feed-{uuid.uuid4()}")
    await bus.start()

    async def put_aside() -> bool:
        return bool(await letters_about(feed, cases[3]))

    try:
        await until(lambda: set(done) == set(cases) - {cases[3]})
        await until(put_aside)  # who stops while the poison is tried again hands it back
    finally:
        await bus.stop()
    assert len(await letters_about(feed, cases[3])) == 1


async def test_letters_are_sent_back_as_they_were_and_purged_by_an_id(
    platform: Platform, feed: ServiceSettings, producer: AIOKafkaProducer
) -> None:
    case_id, mended, seen = str(uuid.uuid4()), asyncio.Event(), list[str]()

    async def handler(message: Received[CaseWithdrawn]) -> None:
        if message.key == case_id:
            if not mended.is_set():
                raise PoisonMessage("a fault that will be mended")
            seen.append(message.id)

    await send(producer, withdrawn(case_id))
    async with listening(feed, handler):

        async def put_aside() -> bool:
            return bool(await letters_about(feed, case_id))

        await until(put_aside)
        mended.set()
        assert await dead_letters.send_back("feed", platform.admin_kafka(), only=case_id) == 1
        await until(lambda: len(seen) == 1)
    assert await letters_about(feed, case_id) == []

    await send(producer, withdrawn(case_id), value=json.dumps({"case_id": case_id}).encode())
    async with listening(feed, handler):
        await until(put_aside)
    assert await dead_letters.purge("feed", kafka_client_options(feed), (case_id,)) == 1
    assert await letters_about(feed, case_id) == []


async def test_what_fails_about_a_withdrawn_case_is_not_kept(feed: ServiceSettings, producer: AIOKafkaProducer) -> None:
    """Withdrawn while the message was tried again and again: nobody would come to purge it any more."""
    gone, kept, seen = str(uuid.uuid4()), str(uuid.uuid4()), list[str]()

    async def handler(message: Received[CaseWithdrawn]) -> None:
        if message.key in (gone, kept):
            seen.append(message.key)
            raise PoisonMessage("nobody can use it")

    async def withdrawn_cases(ids: Collection[str]) -> bool:
        return gone in ids

    for case_id in (gone, kept):
        await send(producer, withdrawn(case_id))
        await send(producer, withdrawn(case_id), value=json.dumps({"case_id": case_id}).encode())
    bus = Bus(feed, "feed")
    bus.withdrawn = withdrawn_cases
    bus.on(CaseWithdrawn, handler, group=f"feed-{uuid.uuid4()}")
    await bus.start()
    try:

        async def both_lie_there() -> bool:
            return len(await letters_about(feed, kept)) == 2 and gone in seen

        async def forgotten() -> bool:
            return await letters_about(feed, gone) == []

        await until(both_lie_there)
        await until(forgotten)
    finally:
        await bus.stop()


async def test_a_letter_that_newer_news_has_overtaken_is_not_sent_back(
    platform: Platform, feed: ServiceSettings, producer: AIOKafkaProducer
) -> None:
    case_id, seen = str(uuid.uuid4()), list[int]()

    async def handler(message: Received[CaseWithdrawn]) -> None:
        if message.key == case_id and message.event:
            if message.event.version == 1:
                raise PoisonMessage("the first one")
            seen.append(message.event.version)

    await send(producer, withdrawn(case_id, 1))
    await send(producer, withdrawn(case_id, 2))
    async with listening(feed, handler):
        await until(lambda: seen == [2])
    assert len(await letters_about(feed, case_id)) == 1
    assert await dead_letters.send_back("feed", platform.admin_kafka(), only=case_id) == 0
    assert await letters_about(feed, case_id) == []


async def test_a_foreign_record_among_the_letters_hinders_nobody(
    platform: Platform, feed: ServiceSettings, producer: AIOKafkaProducer
) -> None:
    case_id = str(uuid.uuid4())
    await send(producer, withdrawn(case_id), value=b"{not json")
    foreign = AIOKafkaProducer(**platform.admin_kafka())
    await foreign.start()
    try:
        topic = dead_topic(CaseWithdrawn.topic, "feed")
        await foreign.send_and_wait(topic, case_id.encode(), key=b"left by somebody", partition=0)
    finally:
        await foreign.stop()

    async def handler(message: Received[CaseWithdrawn]) -> None:
        assert message.key

    async with listening(feed, handler):

        async def both_lie_there() -> bool:
            return len(await letters_about(feed, case_id)) == 2

        await until(both_lie_there)
    assert await dead_letters.send_back("feed", platform.admin_kafka(), only="left by somebody") == 0
    assert await dead_letters.purge("feed", kafka_client_options(feed), (case_id,)) == 2
    assert await letters_about(feed, case_id) == []
