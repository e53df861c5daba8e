"""Hurry the log's compaction, to see within seconds what otherwise takes a day: withdrawn records leave the log.

Kafka compacts closed segments only, and closes one when it is old enough at the next append. So first let segments
grow old fast (`compact_soon`), then append something to every partition (`roll_segments`).
"""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from confluent_kafka import KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from deploy.local.processes import PlatformError
from shared.envelope import tombstone_of
from shared.events import EVENTS, PARTITIONS, partition_for

SOON_MS = 1_000
_WAIT_S = 30.0


def compact_soon(admin: Mapping[str, Any], topics: Collection[str] = ()) -> None:
    """Set these event topics (every one where none is named) to close segments after a second and to compact them at
    once; tombstones stay.

    There is one cleaner, and of all partitions that are due it takes the one with the greatest part not yet compacted:
    where many are appended to all the time, one that holds much that is clean waits behind them.
    """
    wanted = {"segment.ms": SOON_MS, "max.compaction.lag.ms": SOON_MS, "min.cleanable.dirty.ratio": 0.001}
    entries = [
        ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET) for name, value in wanted.items()
    ]
    names = topics or [event.topic for event in EVENTS]
    resources = [ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries) for name in names]
    client = AdminClient(dict(admin))  # named, because its requests die with it
    try:
        for future in client.incremental_alter_configs(resources).values():
            future.result(timeout=_WAIT_S)
    except KafkaException as failure:
        raise PlatformError(f"The topics' settings could not be changed: {failure}") from failure


def roll_segments(admin: Mapping[str, Any]) -> None:
    """Append a tombstone of nobody to every partition of every event topic: the segments before it get closed."""
    refused: list[str] = []

    def delivered(error: Any, message: Message) -> None:
        if error:
            refused.append(f"{message.topic()}: {error}")

    producer = Producer({**admin, "linger.ms": 5})
    for event in EVENTS:
        for key in _keys_of_all_partitions():
            message = tombstone_of(event, key, key)
            headers: list[tuple[str, str | bytes | None]] = list(message.headers.items())
            producer.produce(
                message.topic, None, message.key, partition=message.partition, headers=headers, on_delivery=delivered
            )
    if producer.flush(_WAIT_S) or refused:
        raise PlatformError(f"Not every partition took a record: {'; '.join(refused[:3]) or 'no answer in time'}")


def _keys_of_all_partitions() -> list[str]:
    """One fresh id for each partition."""
    found: dict[int, str] = {}
    while len(found) < PARTITIONS:
        key = str(uuid.uuid4())
        found.setdefault(partition_for(key), key)
    return list(found.values())
