"""The ledger of withdrawals, read to its end at every start, before a service serves anything.

`case.withdrawn` is kept for ever, one line a case. A database that came out of a backup may show cases that were
withdrawn since, and the consumer group has passed their events long ago: so the whole ledger is compared with the
database at each start, and what is missing is applied. Until then every route answers 503. That needs Kafka: a service
that starts while Kafka is away waits, since it cannot know what it must not show.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.bus import Received, kafka_client_options
from shared.envelope import Undecodable, decode
from shared.errors import dependency_is_away
from shared.events import PARTITIONS, CaseWithdrawn
from shared.settings import ServiceSettings

logger = logging.getLogger("ledger")

BATCH = 500
RETRY_S = 2.0

Missing = Callable[[Collection[str]], Awaitable[set[str]]]
"""Of these cases, those that the database does not know as withdrawn although it knows them otherwise."""
Apply = Callable[[Sequence[Received[CaseWithdrawn]]], Awaitable[None]]
"""Withdraws these cases, as the handler of the event does. May be repeated."""


class LedgerUnread(Exception):
    """The ledger is not applied yet."""


class Ledger:
    """Brings a database up to the ledger. `missing` is asked first, so that a usual start writes nothing."""

    def __init__(self, settings: ServiceSettings, missing: Missing, apply: Apply) -> None:
        self._settings = settings
        self._missing = missing
        self._apply = apply
        self._applied = asyncio.Event()

    @property
    def applied(self) -> bool:
        """Whether everything that was withdrawn before this process began is gone from the database."""
        return self._applied.is_set()

    async def wait(self) -> None:
        await self._applied.wait()

    async def check(self) -> None:
        """For /readyz. Raises LedgerUnread."""
        if not self.applied:
            raise LedgerUnread("the ledger of withdrawals is being read")

    async def run(self) -> None:
        """Read and apply, again and again until it succeeds once."""
        while not self.applied:
            try:
                lines, late = await self.read()
            except Exception as error:
                if dependency_is_away(error):
                    logger.warning("nothing is served before the ledger of withdrawals is read: %s", error)
                else:
                    logger.exception("the ledger of withdrawals cannot be applied, trying again")
                await asyncio.sleep(RETRY_S)
                continue
            self._applied.set()
            told = "the ledger of withdrawals is applied: %d lines, %d of them were missing here"
            logger.log(logging.WARNING if late else logging.INFO, told, lines, late)

    async def read(self) -> tuple[int, int]:
        """Compare the ledger with the database once; returns its lines and how many of them had to be applied."""
        consumer = AIOKafkaConsumer(
            **kafka_client_options(self._settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
        )
        await consumer.start()
        try:
            return await self._compare(consumer)
        finally:
            await consumer.stop()

    async def _compare(self, consumer: AIOKafkaConsumer) -> tuple[int, int]:
        partitions = [TopicPartition(CaseWithdrawn.topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        unfinished = {partition for partition in partitions if ends[partition] > 0}
        lines = late = 0
        while unfinished:
            fetched = await consumer.getmany(*unfinished, timeout_ms=100, max_records=BATCH)
            batch = [found for records in fetched.values() for record in records if (found := _line(record))]
            lines += len(batch)
            late += await self._take(batch)
            # By position and not by record: compaction may have removed the last records before the end.
            for partition in list(unfinished):
                if await consumer.position(partition) >= ends[partition]:
                    unfinished.discard(partition)
        return lines, late

    async def _take(self, batch: Sequence[Received[CaseWithdrawn]]) -> int:
        if not batch:
            return 0
        missing = await self._missing({received.key for received in batch})
        late = [received for received in batch if received.key in missing]
        if late:
            await self._apply(late)
        return len(late)


def _line(record: Any) -> Received[CaseWithdrawn] | None:
    """A line of the ledger; None for what is none (its live consumer has put it into the dead letters)."""
    try:
        event, key, ce_id, _ = decode(CaseWithdrawn, record.key, record.value, record.headers)
    except Undecodable:
        logger.warning("offset %d of partition %d is no line of the ledger", record.offset, record.partition)
        return None
    if event is None:
        return None
    unique = ce_id or f"{record.topic}:{record.partition}:{record.offset}"
    # The inbox may remember the event from before: what is applied here is applied under a name of its own.
    return Received(event, key, f"ledger:{unique}", record.topic, record.partition, record.offset)
