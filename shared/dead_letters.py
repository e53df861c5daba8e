"""Messages that a service could not use: kept with their cause, listed, sent back, and purged on withdrawal.

A dead letter lies in `<topic>.<service>.dead` under the key `<partition>-<offset>` of the original, so that a
message put aside twice is one letter and a tombstone can erase it. Its headers carry the cause (`dead_cause`), the
number of tries, the original place and key, and the original headers byte for byte.
"""

import base64
import json
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from shared.envelope import Message
from shared.events import CONSUMES, dead_topic

_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Record(Protocol):
    """What we need of an aiokafka ConsumerRecord, which comes without types."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True)
class DeadLetter:
    """One message put aside. `headers` and `value` are the original's, byte for byte.

    `topic` is empty where the record is no letter of ours: it can be purged, but not sent back.
    """

    letter_key: str
    dead_topic: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None
    cause: str
    tries: int

    def mentions(self, text: str) -> bool:
        """Whether the id `text` stands in the key or the body."""
        needle = text.encode()
        return needle in (self.key or b"") or needle in (self.value or b"")


def ids_in(record: Record) -> set[str]:
    """Every id (a UUID as text) that stands in a record's key or value, whatever else they are."""
    return {found.decode() for raw in (record.key, record.value) if raw for found in _ID.findall(raw)}


def letter(record: Record, topic: str, cause: str, tries: int) -> Message:
    """The message that puts `record` aside in the dead-letter topic `topic`."""
    return Message(
        topic=topic,
        key=f"{record.partition}-{record.offset}",
        partition=0,
        value=record.value if record.value is not None else b"",
        headers={
            "dead_cause": cause[:1000],
            "dead_tries": str(tries),
            "dead_topic": record.topic,
            "dead_partition": str(record.partition),
            "dead_offset": str(record.offset),
            "dead_key": _text(record.key),
            "dead_tombstone": "1" if record.value is None else "0",
            "dead_headers": json.dumps([[name, _text(raw)] for name, raw in record.headers]),
        },
    )


async def read(service: str, options: dict[str, Any]) -> AsyncIterator[DeadLetter]:
    """Every letter that lies in the service's dead-letter topics now, oldest first, erased ones left out."""
    for event_type in CONSUMES[service]:
        topic = dead_topic(event_type.topic, service)
        consumer = AIOKafkaConsumer(**options, enable_auto_commit=False, auto_offset_reset="earliest")
        await consumer.start()
        try:
            partition = TopicPartition(topic, 0)
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            letters: dict[str, DeadLetter] = {}
            await consumer.seek_to_beginning(partition)
            while await consumer.position(partition) < end:
                for record in (await consumer.getmany(partition, timeout_ms=500)).get(partition, []):
                    name = (record.key or b"").decode(errors="replace")
                    if record.value is None:
                        letters.pop(name, None)
                    else:
                        letters[name] = _letter(topic, name, record)
        finally:
            await consumer.stop()
        for found in letters.values():
            yield found


async def send_back(service: str, options: dict[str, Any], only: str = "") -> int:
    """Put letters back into their topics, byte for byte, and erase them here. Returns how many were put back.

    A letter whose key has a later record in its topic is only erased: behind the newer record, compaction would
    keep the old one, and a withdrawn text would return to the log.

    `only`: a letter's key, or an id that it mentions; empty sends all back. The original topic's emitter must
    have granted write access to the user in `options` (an administrator's, as a rule).
    """
    letters = [found async for found in read(service, options) if found.topic and _wanted(found, only)]
    newest = [found for found in letters if not await _superseded(found, options)]
    await _produce(options, [found for found in letters if found not in newest], back=False)
    return await _produce(options, newest, back=True)


async def purge(service: str, options: dict[str, Any], mentions: tuple[str, ...]) -> int:
    """Erase every letter that mentions one of the ids. Returns how many."""
    return (await purge_each(service, options, {"": mentions}))[""]


async def purge_each(service: str, options: dict[str, Any], mentions: Mapping[str, Collection[str]]) -> dict[str, int]:
    """`purge` for several cases in one reading: case -> ids by which letters mention it. Returns how many of each."""
    counts = dict.fromkeys(mentions, 0)
    letters = []
    async for found in read(service, options):
        whose = [case for case, ids in mentions.items() if any(found.mentions(text) for text in ids)]
        for case in whose:
            counts[case] += 1
        if whose:
            letters.append(found)
    await _produce(options, letters, back=False)
    return counts


async def _superseded(found: DeadLetter, options: dict[str, Any]) -> bool:
    place = TopicPartition(found.topic, found.partition)
    consumer = AIOKafkaConsumer(**options, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        consumer.seek(place, found.offset + 1)
        while await consumer.position(place) < end:
            for record in (await consumer.getmany(place, timeout_ms=500)).get(place, []):
                if record.key == found.key:
                    return True
        return False
    finally:
        await consumer.stop()


async def _produce(options: dict[str, Any], letters: list[DeadLetter], *, back: bool) -> int:
    if not letters:
        return 0
    producer = AIOKafkaProducer(**options, enable_idempotence=True)
    await producer.start()
    try:
        for found in letters:
            if back:
                await producer.send_and_wait(
                    found.topic, found.value, key=found.key, partition=found.partition, headers=list(found.headers)
                )
            await producer.send_and_wait(found.dead_topic, None, key=found.letter_key.encode(), partition=0)
    finally:
        await producer.stop()
    return len(letters)


def _wanted(found: DeadLetter, only: str) -> bool:
    return not only or found.letter_key == only or found.mentions(only)


def _letter(topic: str, name: str, record: Record) -> DeadLetter:
    headers = {key: raw.decode(errors="replace") for key, raw in record.headers if raw is not None}
    try:
        return DeadLetter(
            letter_key=name,
            dead_topic=topic,
            topic=headers["dead_topic"],
            partition=int(headers["dead_partition"]),
            offset=int(headers["dead_offset"]),
            key=_bytes(headers["dead_key"]),
            headers=tuple((key, _bytes(text)) for key, text in json.loads(headers["dead_headers"])),
            value=None if headers["dead_tombstone"] == "1" else record.value,
            cause=headers["dead_cause"],
            tries=int(headers["dead_tries"]),
        )
    except (KeyError, ValueError):
        # Somebody else's record must not keep us from reading, purging and sending back our own.
        return DeadLetter(name, topic, "", 0, 0, record.key, (), record.value, "not a letter that we wrote", 0)


def _text(raw: bytes | None) -> str:
    """Bytes as text that survives any content; a null stays distinguishable from an empty value."""
    return "" if raw is None else "b:" + base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes | None:
    return base64.b64decode(text[2:]) if text.startswith("b:") else None
