"""What has ended for good, read from the log to its end at every start, before a service serves anything.

`case.withdrawn` is kept for ever, one line a case; and of a member who has left, the last `member.changed` says so and
stays. A database that came out of a backup may show cases that were withdrawn since, or members who left, and the
consumer group has passed their events long ago: so the whole ledger is compared with the database at each start, and
what is missing is applied. Until then every route answers 503. That needs Kafka: a service that starts while Kafka is
away waits, since it cannot know what it must not show.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Generic, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.bus import Received, kafka_client_options
from shared.envelope import Undecodable, decode
from shared.errors import dependency_is_away
from shared.events import PARTITIONS, CaseWithdrawn, Event, MemberChanged, MemberStatus
from shared.settings import ServiceSettings

logger = logging.getLogger("ledger")

BATCH = 500
RETRY_S = 2.0

E = TypeVar("E", bound=Event)
Missing = Callable[[Collection[str]], Awaitable[set[str]]]
"""Of these keys (cases, members), those that the database does not know as ended although it knows them otherwise."""
Apply = Callable[[Sequence[Received[E]]], Awaitable[None]]
"""Ends these, as the handler of the event does. May be repeated."""


class LedgerUnread(Exception):
    """The ledger is not applied yet."""


class _EventLedger(Generic[E]):
    """Brings a database up to a ledger. `missing` is asked first, so that a usual start writes nothing.

    `name` completes "the ledger of".
    """

    def __init__(
        self, settings: ServiceSettings, event_type: type[E], name: str, missing: Missing, apply: Apply[E]
    ) -> None:
        self._settings = settings
        self._event_type = event_type
        self._name = name
        self._missing = missing
        self._apply = apply
        self._applied = asyncio.Event()

    def is_line(self, event: E) -> bool:
        """Whether the event says that something has ended for good."""
        return True

    def may_be_line(self, value: bytes) -> bool:
        """The same, guessed from the record's bytes: False spares reading it."""
        return True

    @property
    def applied(self) -> bool:
        """Whether everything that was withdrawn before this process began is gone from the database."""
        return self._applied.is_set()

    async def wait(self) -> None:
        await self._applied.wait()

    async def check(self) -> None:
        """For /readyz. Raises LedgerUnread."""
        if not self.applied:
            raise LedgerUnread(f"the ledger of {self._name} is being read")

    async def run(self) -> None:
        """Read and apply, again and again until it succeeds once."""
        while not self.applied:
            try:
                lines, late = await self.read()
            except Exception as error:
                if dependency_is_away(error):
                    logger.warning("nothing is served before the ledger of %s is read: %s", self._name, error)
                else:
                    logger.exception("the ledger of %s cannot be applied, trying again", self._name)
                await asyncio.sleep(RETRY_S)
                continue
            self._applied.set()
            told = "the ledger of %s is applied: %d lines, %d of them were missing here"
            logger.log(logging.WARNING if late else logging.INFO, told, self._name, lines, late)

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
        partitions = [TopicPartition(self._event_type.topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        unfinished = {partition for partition in partitions if ends[partition] > 0}
        lines = late = 0
        while unfinished:
            fetched = await consumer.getmany(*unfinished, timeout_ms=100, max_records=BATCH)
            batch = [found for records in fetched.values() for record in records if (found := self._line(record))]
            lines += len(batch)
            late += await self._take(batch)
            # By position and not by record: compaction may have removed the last records before the end.
            for partition in list(unfinished):
                if await consumer.position(partition) >= ends[partition]:
                    unfinished.discard(partition)
        return lines, late

    async def _take(self, batch: Sequence[Received[E]]) -> int:
        if not batch:
            return 0
        missing = await self._missing({received.key for received in batch})
        # A line may be there twice, since it is sent again to whoever has not answered: the last one counts.
        late = {received.key: received for received in batch if received.key in missing}
        if late:
            await self._apply(list(late.values()))
        return len(late)

    def _line(self, record: Any) -> Received[E] | None:
        """A line of the ledger; None for what is none (what cannot be read, its consumers put into dead letters)."""
        if record.value is None or not self.may_be_line(record.value):
            return None
        try:
            event, key, ce_id, _ = decode(self._event_type, record.key, record.value, record.headers)
        except Undecodable:
            logger.warning("offset %d of partition %d is no line of the ledger", record.offset, record.partition)
            return None
        if event is None or not self.is_line(event):
            return None
        unique = ce_id or f"{record.topic}:{record.partition}:{record.offset}"
        # The inbox may remember the event from before: what is applied here is applied under a name of its own.
        return Received(event, key, f"ledger:{unique}", record.topic, record.partition, record.offset)


class Ledger(_EventLedger[CaseWithdrawn]):
    """The ledger of withdrawals."""

    def __init__(self, settings: ServiceSettings, missing: Missing, apply: Apply[CaseWithdrawn]) -> None:
        super().__init__(settings, CaseWithdrawn, "withdrawals", missing, apply)


class LedgerOfLeavers(_EventLedger[MemberChanged]):
    """Who has left for good. Their last state is never erased from the topic: it holds an id and a choice."""

    def __init__(self, settings: ServiceSettings, missing: Missing, apply: Apply[MemberChanged]) -> None:
        super().__init__(settings, MemberChanged, "leavers", missing, apply)

    def is_line(self, event: MemberChanged) -> bool:
        return event.status is MemberStatus.LEFT

    def may_be_line(self, value: bytes) -> bool:
        return MemberStatus.LEFT.value.encode() in value
