"""Events as Kafka messages: CloudEvents 1.0, binary mode (CloudEvents Kafka protocol binding)."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import ValidationError

from shared import log
from shared.events import Event, event_by_type, partition_for

E = TypeVar("E", bound=Event)
Headers = Iterable[tuple[str, bytes | None]]


class Undecodable(Exception):
    """The message cannot be read as the event its topic promises."""


@dataclass(frozen=True)
class Message:
    """One message for Kafka. `value` None is a tombstone."""

    topic: str
    key: str
    partition: int
    value: bytes | None
    headers: dict[str, str]


def message_of(event: Event, *, ce_id: str | None = None, time: datetime | None = None) -> Message:
    """The message of an event. `ce_id`: a random one unless the emitter derives it from its input."""
    headers = _attributes(type(event), ce_id or str(uuid.uuid4()), event.key, time or datetime.now(UTC))
    return Message(event.topic, event.key, partition_for(event.partition_key), event.to_json(), headers)


def tombstone_of(event_type: type[Event], key: str, partition_key: str) -> Message:
    """The message that lets compaction erase the entity `key` from the event's topic."""
    headers = _attributes(event_type, str(uuid.uuid4()), key, datetime.now(UTC))
    return Message(event_type.topic, key, partition_for(partition_key), None, headers)


def decode(
    event_type: type[E], key: bytes | None, value: bytes | None, headers: Headers
) -> tuple[E | None, str, str, str | None]:
    """Read a message of the event's topic: (event or None for a tombstone, key, ce_id, traceparent).

    Raises Undecodable with the reason: a header that is null or not UTF-8, a missing or unknown type or version,
    a body that is not the event's JSON.
    """
    texts: dict[str, str] = {}
    for name, raw in headers:
        if raw is None:
            raise Undecodable(f"header {name!r} is null")
        try:
            texts[name] = raw.decode()
        except UnicodeDecodeError:
            raise Undecodable(f"header {name!r} is not UTF-8") from None
    try:
        entity = (key or b"").decode()
    except UnicodeDecodeError:
        raise Undecodable("the key is not UTF-8") from None
    if not entity:
        raise Undecodable("the message has no key")
    if value is None:
        return None, entity, texts.get("ce_id", ""), texts.get("traceparent")
    ce_type = texts.get("ce_type", "")
    if event_by_type(ce_type) is not event_type:
        raise Undecodable(f"type {ce_type!r} is not known here; expected {event_type.ce_type()!r}")
    if not texts.get("ce_id"):
        raise Undecodable("header 'ce_id' is missing")
    try:
        event = event_type.parse(value)
    except ValidationError as error:
        # Positions and kinds only: the values may be what must not be logged.
        wrong = "; ".join(f"{'/'.join(map(str, e['loc'])) or 'body'}: {e['type']}" for e in error.errors()[:5])
        raise Undecodable(f"the body is not a valid {event_type.__name__}: {wrong}") from None
    if event.key != entity:
        raise Undecodable("the key is not the one that the body names")
    return event, entity, texts["ce_id"], texts.get("traceparent")


def _attributes(event_type: type[Event], ce_id: str, subject: str, time: datetime) -> dict[str, str]:
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": ce_id,
        "ce_type": event_type.ce_type(),
        "ce_source": f"/consilium/{event_type.emitter}",
        "ce_subject": subject,
        "ce_time": time.isoformat(),
        "content-type": "application/json",
    }
    if trace := log.traceparent.get():
        attributes["traceparent"] = trace
    return attributes
