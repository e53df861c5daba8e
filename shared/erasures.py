"""How a service tells that nothing of a withdrawn case is left with it: once for each time it was asked, never lost.

Collection `erasures`: what a transaction has erased of a case and nobody was told of yet. The transaction that erases
notes it; once Kafka has the tombstones that it wrote and the dead letters are gone as well, the note becomes the event,
in one more transaction through the outbox. A crash in between leaves the note, and the next look goes on from there. So
the event says what was really erased, also where the work was done in two goes, and is not sent before all is gone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pymongo import UpdateOne

from shared.errors import dependency_is_away
from shared.events import Erased, partition_for
from shared.mongo import Document, Mongo, Session
from shared.outbox import Outbox

logger = logging.getLogger(__name__)

ForgetLettersOf = Callable[[Mapping[str, Collection[str]]], Awaitable[dict[str, int]]]
"""Erases this service's dead letters of several cases (`Bus.purge_dead_letters_of`)."""
AT_ONCE = 500
LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class Gone:
    """What one transaction erased of a case; both counts are 0 where there was nothing."""

    case_id: str
    picture_ids: Sequence[str]
    cases: int
    comments: int


class Erasures:
    """Notes what was erased, and reports it. May be used by several processes at once."""

    def __init__(self, mongo: Mongo, event_type: type[Erased], forget_letters: ForgetLettersOf) -> None:
        self._mongo = mongo
        self._rows = mongo.db["erasures"]
        self._outbox = Outbox(mongo.db)
        self._event_type = event_type
        self._forget_letters = forget_letters

    async def prepare(self) -> None:
        """Create the indexes, and so the collections. May be repeated."""
        await self._rows.create_index("noted_at")
        await self._outbox.prepare()

    async def note(self, gone: Sequence[Gone], session: Session) -> None:
        """Keep in mind, within the transaction that erases, what it erases and that it has to be told."""
        writes = [
            UpdateOne(
                {"_id": each.case_id},
                {
                    "$inc": {"cases": each.cases, "comments": each.comments},
                    "$addToSet": {"picture_ids": {"$each": list(each.picture_ids)}},
                    "$setOnInsert": {"noted_at": datetime.now(UTC)},
                },
                upsert=True,
            )
            for each in gone
        ]
        if writes:
            await self._rows.bulk_write(writes, session=session)

    async def report(self) -> int:
        """Erase the dead letters of what is noted, and tell of it; returns how many cases. May be repeated.

        What has orders to the log waiting in the outbox is told later.
        """
        noted = await self._rows.find({}, sort=[("noted_at", 1)], limit=AT_ONCE).to_list(None)
        waiting = set(await self._mongo.db["outbox"].distinct("partition", {"value": None})) if noted else set()
        noted = [row for row in noted if partition_for(row["_id"]) not in waiting]
        if not noted:
            return 0
        letters = await self._forget_letters({row["_id"]: (row["_id"], *row["picture_ids"]) for row in noted})
        told = 0
        for row in noted:
            told += await self._tell(row, letters[row["_id"]])
        return told

    async def run(self) -> None:
        """Report what waits, and what a crash has left untold, until cancelled."""
        while True:
            try:
                await self.report()
            except Exception as error:
                told = "what was erased of withdrawn cases is told later: %s"
                logger.warning(told, error, exc_info=not dependency_is_away(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def _tell(self, noted: Document, letters: int) -> bool:
        async def attempt(session: Session) -> bool:
            row = await self._rows.find_one_and_delete({"_id": noted["_id"]}, session=session)
            if row is None:
                return False  # another process has told it
            event = self._event_type(
                case_id=row["_id"],
                erased_at=datetime.now(UTC),
                cases=row["cases"],
                comments=row["comments"],
                letters=letters,
            )
            await self._outbox.add(event, session)
            return True

        return await self._mongo.transaction(attempt)
