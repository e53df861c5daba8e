"""The rebuild: replay everything from offset zero into a fresh build, compare it with the live one, switch over.

Nothing stops meanwhile. The order of the steps is what makes it complete:

1. the candidate is announced: from now on the live consumer writes each event to both builds, in one transaction;
2. then the ends of all partitions are noted, so that what is consumed before step 1 lies before them;
3. the records from offset zero to those ends are applied to the candidate, withdrawals first. An event that both
   sides bring is applied once (its version), and the order between them does not matter (services/feed/domain.py);
4. once the live consumer has passed the ends too, both builds hold the same events at every moment, and one
   snapshot shows whether they hold the same documents;
5. one write makes the candidate live.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
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
LANES = 2
"""Transactions in flight. A case has the same partition in every topic, so that lanes of partitions never meet in a
document, and each lane decodes while the other waits for the database."""
BATCH_BYTES = 8 * 1024 * 1024
"""Values in one transaction: what it writes stays in the database's cache until it commits."""
Ends = dict[TopicPartition, int]


@dataclass
class Report:
    """What a rebuild did. `seconds`: from the first fetch until all is committed and indexed."""

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
            if report.previous is not None:
                compared = await compare(self._mongo.db, self._builds, report.previous, report.build)
                report.collections = compared.collections
            report.equal = all(found.equal for found in report.collections.values())
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
            started = time.monotonic()
            read = await self._replay(consumer, report)
            await self._builds.index(report.build)
            report.seconds = time.monotonic() - started
            report.events_per_s = report.events / report.seconds if report.seconds else 0.0
        finally:
            await consumer.stop()
        if report.previous is not None:
            report.behind = await self._wait_for_live_consumer(read)

    async def _replay(self, consumer: AIOKafkaConsumer, report: Report) -> Ends:
        """Apply all topics from offset zero to their present ends. Returns the offset after each partition's last
        record.

        The ledger of withdrawals goes first, so that the candidate never holds a word of a withdrawn case, although
        the log may still have it. The other topics race each other, as they do live.
        """
        places = [TopicPartition(event.topic, number) for event in CONSUMES[SERVICE] for number in range(PARTITIONS)]
        ends: Ends = await consumer.end_offsets(places)
        ledger = await self._replay_topics(consumer, report, (CaseWithdrawn,), ends)
        others = [event for event in CONSUMES[SERVICE] if event is not CaseWithdrawn]
        return ledger | await self._replay_topics(consumer, report, others, ends)

    async def _replay_topics(
        self, consumer: AIOKafkaConsumer, report: Report, events: Sequence[type[Event]], ends: Ends
    ) -> Ends:
        """`_replay` of these topics. Reading and decoding go on while earlier batches are written."""
        at_most = self._settings.rebuild_batch_records
        waiting = {(event_type, lane): list[Any]() for event_type in events for lane in range(LANES)}
        topics = {event_type.topic: event_type for event_type in events}
        partitions = [place for place in ends if place.topic in topics]
        consumer.assign(partitions)
        unfinished, read = set(partitions), Ends()
        writing: dict[int, asyncio.Task[None]] = {}
        try:
            while unfinished:
                fetched = await consumer.getmany(timeout_ms=100, max_records=at_most)
                for partition, records in fetched.items():
                    old = [record for record in records if record.offset < ends[partition]]
                    if old:
                        read[partition] = old[-1].offset + 1
                        waiting[topics[partition.topic], partition.partition % LANES] += old
                # By position and not by record: compaction may have removed the last records before the end.
                for partition in list(unfinished):
                    if await consumer.position(partition) >= ends[partition]:
                        unfinished.discard(partition)
                        consumer.pause(partition)
                for (event_type, lane), records in waiting.items():
                    while len(records) >= at_most or (records and not unfinished):
                        received = self._decode(event_type, _take(records, at_most), report)
                        if lane in writing:
                            await writing[lane]
                        writing[lane] = asyncio.create_task(self._write(event_type, received, report))
            await asyncio.gather(*writing.values())
        finally:
            for task in writing.values():
                task.cancel()  # of those that are not done: something has failed
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


def _take(records: list[Any], at_most: int) -> list[Any]:
    """Remove and return the first records: `at_most`, and fewer where they hold more than `BATCH_BYTES`."""
    count, size = 0, 0
    for record in records[:at_most]:
        size += len(record.value or b"")
        if count and size > BATCH_BYTES:
            break
        count += 1
    taken = records[:count]
    del records[:count]
    return taken
