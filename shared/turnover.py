"""Keeps the log turning over, so that what was erased really leaves it within a stated time.

Kafka compacts closed segments only, and closes one that is old enough no sooner than at the next append: in a partition
where nothing happens, a withdrawn text would lie for ever beside the order to erase it. So every service appends, now
and then, a record that says nothing (a tombstone of nobody, always the same few keys) to each partition of the topics
that it writes.
"""

import asyncio
import logging
from functools import cache
from itertools import count
from typing import Protocol

from shared.envelope import Message, tombstone_of
from shared.errors import dependency_is_away
from shared.events import CONSUMES, EVENTS, PARTITIONS, Event, dead_topic, partition_for

logger = logging.getLogger("turnover")

FIRST_AFTER_S = 300.0
"""So that a service that is restarted again and again still comes to it, and its start is not burdened."""
_RETRY_S = 60.0


class Publisher(Protocol):
    """What this needs of the bus."""

    async def publish(self, message: Message) -> None: ...


class Turnover:
    """Appends to every partition of a service's own topics, every `every_s` seconds. Several at once do no harm."""

    def __init__(self, publisher: Publisher, service: str, every_s: float) -> None:
        self._publisher = publisher
        self._messages = tuple(messages_of(service))
        self._every_s = every_s

    async def run(self) -> None:
        """Append until cancelled. What fails is tried again."""
        wait_s = min(FIRST_AFTER_S, self._every_s)
        while True:
            await asyncio.sleep(wait_s)
            try:
                await self.append()
                wait_s = self._every_s
            except Exception as error:
                logger.warning("the log turns over later: %s", error, exc_info=not dependency_is_away(error))
                wait_s = min(_RETRY_S, self._every_s)

    async def append(self) -> int:
        """One record to each partition; returns how many."""
        for message in self._messages:
            await self._publisher.publish(message)
        return len(self._messages)


def messages_of(service: str) -> list[Message]:
    """A tombstone of nobody for each partition of each topic that the service writes, its dead letters included."""
    emitted = [event for event in EVENTS if event.emitter == service]
    found = [_nothing(event, key) for event in emitted for key in keys()]
    for event in CONSUMES[service]:
        template = _nothing(event, keys()[0])
        dead = dead_topic(event.topic, service)
        found.append(Message(dead, template.key, 0, None, template.headers))
    return found


@cache
def keys() -> tuple[str, ...]:
    """One id of nobody for each partition, the same for ever."""
    found: dict[int, str] = {}
    for number in count():
        key = f"nobody-{number}"
        found.setdefault(partition_for(key), key)
        if len(found) == PARTITIONS:
            break
    return tuple(found[number] for number in range(PARTITIONS))


def _nothing(event: type[Event], key: str) -> Message:
    return tombstone_of(event, key, key)
