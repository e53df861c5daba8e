"""Cases that members can read and that ingest has never heard of: published after the backup that it came out of.

Nobody could end such a case: its author does not find it, and its patient's code is unknown. So they are listed, and
ended when a person says so (`python -m services.ingest unknown-cases`). Never by itself: an ingest that was started
with an empty database by mistake would erase everything that was ever published.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.ingest.store.ending import bury
from shared.bus import kafka_client_options
from shared.envelope import Undecodable, decode
from shared.events import PARTITIONS, CaseApproved, CaseWithdrawn, CommentAdded, Event, WithdrawalCause
from shared.mongo import Document, Mongo, Session
from shared.outbox import Outbox
from shared.settings import ServiceSettings

BATCH = 500


@dataclass(frozen=True)
class Unknown:
    """One such case, as the log has it. `comment_ids`: the records of its comments, which go with it."""

    approval: CaseApproved
    comment_ids: tuple[str, ...]


class UnknownCases:
    """Compares what is published with what ingest knows."""

    def __init__(self, mongo: Mongo, settings: ServiceSettings) -> None:
        self._mongo = mongo
        self._settings = settings

    async def find(self) -> list[Unknown]:
        """The published cases that no record here knows, from the first approved. Reads the log to its end.

        Of cases that are known nothing is kept while it reads, and of comments ids alone: what members have written is
        as much as the platform holds.
        """
        known = {found["_id"] async for found in self._mongo.db["cases"].find({}, {"_id": 1})}
        unknown: dict[str, CaseApproved] = {}
        cases_of: dict[str, str] = {}

        def take_approval(key: str, event: CaseApproved | None) -> None:
            if event is None:
                unknown.pop(key, None)
            elif key not in known:
                unknown[key] = event

        def take_comment(key: str, event: CommentAdded | None) -> None:
            if event is None:
                cases_of.pop(key, None)
            elif event.case_id in unknown:
                cases_of[key] = event.case_id

        await self._read(CaseApproved, take_approval)
        if unknown:
            await self._read(CommentAdded, take_comment)
        comments: dict[str, list[str]] = defaultdict(list)
        for key, case_id in cases_of.items():
            comments[case_id].append(key)
        return [
            Unknown(event, tuple(comments[case_id]))
            for case_id, event in sorted(unknown.items(), key=lambda item: item[1].approved_at)
        ]

    async def end(self, unknown: Unknown, now: datetime) -> bool:
        """End one for good, everywhere; False where it has become known meanwhile. May be repeated."""
        approval = unknown.approval
        event = CaseWithdrawn(
            case_id=approval.case_id,
            version=approval.version + 1,
            picture_ids=tuple(picture.picture_id for picture in approval.pictures),
            withdrawn_at=now,
            cause=WithdrawalCause.RECORD_LOST,
        )

        async def attempt(session: Session) -> bool:
            cases = self._mongo.db["cases"]
            if await cases.find_one({"_id": event.case_id}, {"_id": 1}, session=session) is not None:
                return False
            found: Document = {
                "_id": event.case_id,
                "author_id": approval.author_id,
                "created_at": approval.approved_at,
            }
            await cases.insert_one(found, session=session)
            outbox = Outbox(self._mongo.db)
            await outbox.add(event, session)
            await outbox.add_tombstones(CommentAdded, unknown.comment_ids, event.case_id, session)
            await bury(self._mongo.db, found, event, session, told_at=now)
            return True

        return await self._mongo.transaction(attempt)

    async def _read(self, topic: type[Event], take: Callable[[str, Any], None]) -> None:
        """Every readable record of a topic, oldest first in each partition; None for a tombstone."""
        consumer = AIOKafkaConsumer(
            **kafka_client_options(self._settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
        )
        await consumer.start()
        try:
            places = [TopicPartition(topic.topic, number) for number in range(PARTITIONS)]
            consumer.assign(places)
            ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
            unfinished = {place for place in places if ends[place] > 0}
            while unfinished:
                fetched = await consumer.getmany(*unfinished, timeout_ms=100, max_records=BATCH)
                for record in (record for records in fetched.values() for record in records):
                    try:
                        event, key, _, _ = decode(topic, record.key, record.value, record.headers)
                    except Undecodable:
                        continue  # nobody else can read it either
                    take(key, event)
                # By position and not by record: compaction may have removed the last records before the end.
                for place in list(unfinished):
                    if await consumer.position(place) >= ends[place]:
                        unfinished.discard(place)
        finally:
            await consumer.stop()
