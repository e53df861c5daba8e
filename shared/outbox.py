"""State and event in one act: the outbox, its relay to Kafka, and the inbox that drops doubles.

A service writes its change and the event's row in one MongoDB transaction. The relay then publishes rows and
deletes each after Kafka's acknowledgement: a crash in between publishes a row twice under the same `ce_id`, and
the consumers' inbox drops the double. Rows are asked for as they lie there, never by a cursor: of two transactions
that commit out of order, a cursor would pass the earlier one for ever.
"""

import asyncio
import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from bson import ObjectId
from prometheus_client import Gauge
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from shared.envelope import Message, message_of, tombstone_of
from shared.errors import NotNow, dependency_is_away
from shared.events import Event
from shared.mongo import Database, Document, Session

logger = logging.getLogger(__name__)

# What an operator learns: events that have happened but that nobody outside knows of yet.
WAITING = Gauge("consilium_outbox_waiting", "Rows not yet acknowledged by Kafka, at the relay's last look")

INBOX_DAYS = 30
_TOMBSTONE_SEQUENCE = 2**62
_AT_ONCE = 100
"""Entities whose rows are published side by side, between two renewals of the lease."""


class Publisher(Protocol):
    """What the relay needs of the bus."""

    async def publish(self, message: Message) -> None: ...


class Outbox:
    """Collects the events of a transaction. Rows are invisible to the relay until that transaction commits."""

    def __init__(self, db: Database) -> None:
        self._rows = db["outbox"]

    async def prepare(self) -> None:
        """Create the indexes (and so the collection, which a transaction should not have to)."""
        await self._rows.create_index("at")
        await self._rows.create_index("key")

    async def add(self, event: Event, session: Session | None) -> str:
        """Add an event; returns its `ce_id`. Order within a key is that of the event's version or revision."""
        message = message_of(event)
        sequence = getattr(event, "version", None) or getattr(event, "revision", None) or 1
        await self._rows.insert_one(_row(message, int(sequence)), session=session)
        return message.headers["ce_id"]

    async def add_tombstone(
        self, event_type: type[Event], key: str, partition_key: str, session: Session | None
    ) -> None:
        """Add a null record for `key`: compaction then erases the entity from the topic. Goes after its events."""
        await self.add_tombstones(event_type, [key], partition_key, session)

    async def add_tombstones(
        self, event_type: type[Event], keys: Sequence[str], partition_key: str, session: Session | None
    ) -> None:
        """`add_tombstone` for many keys of one partition, in one go."""
        rows = [_row(tombstone_of(event_type, key, partition_key), _TOMBSTONE_SEQUENCE) for key in keys]
        if rows:
            await self._rows.insert_many(rows, session=session)

    async def waiting(self) -> int:
        """How many rows Kafka has not acknowledged yet."""
        return await self._rows.count_documents({})


def _row(message: Message, sequence: int) -> Document:
    return {
        "_id": message.headers["ce_id"],
        "at": ObjectId(),
        "topic": message.topic,
        "key": message.key,
        "partition": message.partition,
        "value": message.value,
        "headers": message.headers,
        "sequence": sequence,
    }


class Relay:
    """Brings outbox rows to Kafka, in order within each key. Of several replicas one holds the lease and works."""

    def __init__(self, db: Database, publisher: Publisher, *, lease_s: float = 5.0, batch: int = 500) -> None:
        self._rows = db["outbox"]
        self._leases = db["outbox_lease"]
        self._publisher = publisher
        self._lease_s = lease_s
        self._batch = batch
        self._me = uuid.uuid4().hex
        self._wake = asyncio.Event()
        self._last_look = time.monotonic()
        self._lease_until = 0.0
        self._stuck = 0

    async def run(self) -> None:
        """Relay until cancelled. Woken by a change stream; looks by itself every second in any case."""
        watcher = asyncio.create_task(self._watch(), name="outbox-watch")
        try:
            while True:
                self._wake.clear()
                try:
                    more = await self.look()
                    self._last_look = time.monotonic()
                except Exception as error:  # whatever it was, the rows are still there: say so and go on
                    logger.warning("the outbox could not be relayed, trying again: %s", error)
                    more = False
                if not more:
                    await self._wait(1.0)
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
            await self._let_go()

    async def look(self) -> bool:
        """Publish what waits, one batch, if no other replica holds the lease. True if there may be more."""
        if not await self._hold_lease():
            return False
        self._stuck = 0
        rows = await self._rows.find({}, sort=[("at", 1)], limit=self._batch).to_list(None)
        WAITING.set(len(rows))
        if not rows:
            return False
        by_entity: dict[tuple[str, str], list[Document]] = defaultdict(list)
        for row in rows:
            by_entity[row["topic"], row["key"]].append(row)
        more = len(rows) == self._batch
        if more:
            # Clocks of replicas differ: an entity's earlier row may lie beyond this batch.
            keys = list({row["key"] for row in rows})
            for row in await self._rows.find({"key": {"$in": keys}}).to_list(None):
                found = by_entity[row["topic"], row["key"]]
                if all(row["_id"] != known["_id"] for known in found):
                    found.append(row)
        entities = list(by_entity.items())
        for start in range(0, len(entities), _AT_ONCE):
            if not await self._hold_lease():
                return False  # another replica is at work now
            await asyncio.gather(*(self._relay(found) for _, found in entities[start : start + _AT_ONCE]))
        return more and self._stuck < len(rows)

    async def check(self) -> None:
        """For readiness: raises NotNow when the relay has not been able to look for a while."""
        idle_s = time.monotonic() - self._last_look
        if idle_s > 30:
            raise NotNow(f"the outbox has not been relayed for {idle_s:.0f} s")
        if self._stuck:
            raise NotNow(f"Kafka refuses {self._stuck} events of the outbox; see the log")

    async def _relay(self, rows: list[Document]) -> None:
        """Publish an entity's rows in order. A row that Kafka refuses holds up its own entity only."""
        for row in sorted(rows, key=lambda r: (r["sequence"], r["at"])):
            if time.monotonic() > self._lease_until:
                return  # another replica may be at work by now
            message = Message(row["topic"], row["key"], row["partition"], row["value"], row["headers"])
            try:
                await self._publisher.publish(message)
            except Exception as error:
                if dependency_is_away(error):
                    raise
                self._stuck += 1
                logger.error("Kafka refuses an event of %s, it stays in the outbox: %s", row["topic"], error)
                return
            await self._rows.delete_one({"_id": row["_id"]})

    async def _hold_lease(self) -> bool:
        now = datetime.now(UTC)
        asked = time.monotonic()
        try:
            await self._leases.find_one_and_update(
                {"_id": "relay", "$or": [{"holder": self._me}, {"until": {"$lt": now}}]},
                {"$set": {"holder": self._me, "until": now + timedelta(seconds=self._lease_s)}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            return False  # held by another replica
        self._lease_until = asked + self._lease_s
        return True

    async def _let_go(self) -> None:
        try:
            await self._leases.delete_one({"_id": "relay", "holder": self._me})
        except PyMongoError as error:
            logger.info("the relay's lease runs out by itself: %s", error)

    async def _watch(self) -> None:
        pipeline: list[dict[str, Any]] = [{"$match": {"operationType": "insert"}}]
        while True:
            try:
                async with self._rows.watch(pipeline, max_await_time_ms=1000) as stream:
                    async for _ in stream:
                        self._wake.set()
            except PyMongoError as error:
                # A rolled oplog (286) included: the stream only wakes us, so a fresh one misses nothing.
                logger.info("the outbox's change stream ended, opening a new one: %s", error)
                await asyncio.sleep(1.0)

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return


async def prepare_inbox(db: Database) -> None:
    """Create the inbox's index. Entries live 30 days; older doubles are stopped by the entity's version."""
    await db["inbox"].create_index("at", expireAfterSeconds=INBOX_DAYS * 86_400)


async def first_time(db: Database, group: str, ce_id: str, session: Session) -> bool:
    """Note an event's id inside the transaction of its effect. False if this group has already had it.

    Looks before it inserts: a duplicate key would abort the transaction, while two deliveries at the same moment
    collide, and the loser runs again and then sees the entry.
    """
    entry = f"{group}:{ce_id}"
    if await db["inbox"].find_one({"_id": entry}, session=session):
        return False
    await db["inbox"].insert_one({"_id": entry, "at": datetime.now(UTC)}, session=session)
    return True
