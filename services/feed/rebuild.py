"""The rebuild: replay everything from offset zero into a fresh build, compare it with the live one, switch over.

Nothing stops meanwhile. The order of the steps is what makes it complete:

1. the candidate is announced: from now on the live consumer writes each event to both builds, in one transaction;
2. then the ends of all partitions are noted, so that what is consumed before step 1 lies before them;
3. the records from offset zero to those ends are applied to the candidate. An event that both sides bring is
   applied once (inbox, versions), and the order between them does not matter (services/feed/domain.py);
4. once the live consumer has passed the ends too, both builds hold the same events at every moment, and one
   snapshot shows whether they hold the same documents;
5. one write makes the candidate live.
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from services.feed.settings import Settings
from services.feed.store import Builds, CollectionComparison, Projector, Superseded, compare
from shared.bus import Received, kafka_client_options
from shared.envelope import Undecodable, decode
from shared.errors import dependency_is_away
from shared.events import CONSUMES, GROUPS, PARTITIONS, CaseWithdrawn, Event
from shared.mongo import Mongo

logger = logging.getLogger(__name__)

SERVICE = "feed"
BATCH_BYTES = 8 * 1024 * 1024
"""Values in one transaction: what it writes stays in the database's cache until it commits."""
Ends = dict[TopicPartition, int]


@dataclass
class Report:
    """What a rebuild did. `seconds`: the replay alone, from the first fetch to the last commit."""

    build: int
    previous: int | None
    events: int = 0
    unreadable: int = 0
    refused: list[str] = field(default_factory=list)
    seconds: float = 0.0
    events_per_s: float = 0.0
    behind: int = 0
    collections: dict[str, CollectionComparison] = field(default_factory=dict)
    equal: bool = False
    switched: bool = False


class Rebuild:
    """One rebuild. Two at once do no harm: the earlier one ends with Superseded."""

    def __init__(self, settings: Settings, mongo: Mongo, builds: Builds, projector: Projector) -> None:
        self._settings = settings
        self._mongo = mongo
        self._builds = builds
        self._projector = projector

    async def run(self, *, accept_differences: bool = False) -> Report:
        """Make a new build and switch to it, unless it differs from the live one.

        The first build of all has nothing to be compared with and is switched to. On any failure the candidate is
        dropped and the live build stays. Raises Superseded, and what Kafka's and MongoDB's clients raise.
        """
        pointer = await self._builds.begin()
        assert pointer.candidate is not None
        report = Report(pointer.candidate, pointer.live)
        try:
            await self._fill(report)
            report.collections = (
                await compare(self._mongo.db, self._builds, report.previous, report.build)
            ).collections
            report.equal = report.previous is None or all(found.equal for found in report.collections.values())
            if report.equal or accept_differences:
                await self._builds.switch(report.build)
                report.switched = True
        finally:
            if not report.switched:
                await self._builds.discard(report.build)
        return report

    async def _fill(self, report: Report) -> None:
        consumer = AIOKafkaConsumer(
            **kafka_client_options(self._settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4 * 1024 * 1024,
            fetch_max_wait_ms=100,
        )
        await consumer.start()
        try:
            read: Ends = {}
            started = time.monotonic()
            for topic in _topics():
                read |= await self._replay(consumer, topic, report)
            report.seconds = time.monotonic() - started
            report.events_per_s = report.events / report.seconds if report.seconds else 0.0
        finally:
            await consumer.stop()
        if report.previous is not None:
            report.behind = await self._wait_for_live_consumer(read)

    async def _replay(self, consumer: AIOKafkaConsumer, topic: type[Event], report: Report) -> Ends:
        """Apply one topic from offset zero to its present ends. Returns the offset after each partition's last record.

        Reading and decoding go on while the batch before is written.
        """
        partitions = [TopicPartition(topic.topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends: Ends = await consumer.end_offsets(partitions)
        open_partitions = set(partitions)
        read: Ends = {}
        writing: asyncio.Task[None] | None = None
        try:
            while open_partitions:
                fetched = await consumer.getmany(timeout_ms=100, max_records=self._settings.rebuild_batch_records)
                batch = []
                for partition, records in fetched.items():
                    for record in records:
                        if record.offset < ends[partition]:
                            read[partition] = record.offset + 1
                            batch.append(record)
                # By position and not by record: compaction may have removed the last records before the end.
                for partition in list(open_partitions):
                    if await consumer.position(partition) >= ends[partition]:
                        open_partitions.discard(partition)
                        consumer.pause(partition)
                for part in _parts(batch):
                    received = self._decode(topic, part, report)
                    if writing is not None:
                        await writing
                    writing = asyncio.create_task(self._write(topic, received, report))
            if writing is not None:
                await writing
        finally:
            if writing is not None and not writing.done():
                writing.cancel()
        return read

    def _decode(self, topic: type[Event], records: Sequence[Any], report: Report) -> list[Received[Any]]:
        received = []
        for record in records:
            try:
                event, key, ce_id, _ = decode(topic, record.key, record.value, record.headers)
            except Undecodable:
                report.unreadable += 1  # the live consumer has put it in the dead letters
                continue
            unique = ce_id or f"{record.topic}:{record.partition}:{record.offset}"
            received.append(Received(event, key, unique, record.topic, record.partition, record.offset))
        return received

    async def _write(self, topic: type[Event], batch: list[Received[Any]], report: Report) -> None:
        try:
            if batch:
                await self._projector.replay(topic, batch, report.build)
        except Exception as error:
            if isinstance(error, Superseded) or dependency_is_away(error):
                raise
            if len(batch) == 1:
                # Poison to the live consumer too; if it was not, the comparison will say so.
                report.refused.append(f"{batch[0].topic}:{batch[0].partition}:{batch[0].offset}: {error}")
                return
            logger.warning("a batch of %d cannot be applied (%s), trying one by one", len(batch), error)
            for received in batch:
                await self._write(topic, [received], report)
            return
        report.events += len(batch)

    async def _wait_for_live_consumer(self, ends: Ends) -> int:
        """Wait until the live consumer has passed `ends`. Returns how many records it is behind when it stands still
        for `rebuild_catch_up_s`."""
        admin = AIOKafkaAdminClient(**kafka_client_options(self._settings))
        await admin.start()
        try:
            behind, since = -1, time.monotonic()
            while True:
                committed = await _committed(admin)
                now_behind = sum(max(0, end - committed.get(partition, 0)) for partition, end in ends.items())
                if now_behind != behind:
                    behind, since = now_behind, time.monotonic()
                if behind == 0 or time.monotonic() - since > self._settings.rebuild_catch_up_s:
                    return behind
                await asyncio.sleep(0.1)
        finally:
            await admin.close()


async def _committed(admin: AIOKafkaAdminClient) -> Ends:
    """The offsets that the live consumer has committed: the next ones it would read."""
    committed: Ends = {}
    for group in GROUPS[SERVICE]:
        try:
            offsets = await admin.list_consumer_group_offsets(group)
        except KafkaError as error:
            if not error.retriable:
                raise
            logger.info("the group's coordinator cannot answer yet: %s", error)
            continue
        committed |= {partition: found.offset for partition, found in offsets.items() if found.offset >= 0}
    return committed


def _parts(records: Sequence[Any]) -> Iterator[list[Any]]:
    """The records in parts of at most `BATCH_BYTES`; a single larger one is a part of its own."""
    part: list[Any] = []
    size = 0
    for record in records:
        own = len(record.value or b"")
        if part and size + own > BATCH_BYTES:
            yield part
            part, size = [], 0
        part.append(record)
        size += own
    if part:
        yield part


def _topics() -> list[type[Event]]:
    """What the feed consumes, the ledger first: what is withdrawn need not be written at all."""
    return sorted(CONSUMES[SERVICE], key=lambda topic: topic is not CaseWithdrawn)
