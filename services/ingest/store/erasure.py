"""Erasure: what a withdrawal still has to delete, and objects that no record knows.

Runs in the worker. Every step may be repeated, so several workers at once do no harm, and a crash only delays.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from prometheus_client import Counter, Gauge

from services.ingest.domain.states import CaseState
from services.ingest.store.ended import ProofEraser
from services.ingest.store.receipts import Receipts
from shared.blobs import PROOFS, RAW, TEXTS, BlobEntry, ObjectStore, raw_data_key
from shared.errors import dependency_is_away
from shared.mongo import Mongo
from shared.originals import RawRoom

logger = logging.getLogger(__name__)

# What an operator learns: patients' withdrawals whose objects are not all erased yet.
PURGES_WAITING = Gauge("consilium_ingest_purges_waiting", "Withdrawn cases whose objects are not erased yet")
# What an operator learns: uploads cut off by a crash. A steady rate points at a process that keeps dying.
ORPHANS = Counter("consilium_ingest_orphans_removed_total", "Objects removed that no record knew", ["bucket"])


ForgetLetters = Callable[..., Awaitable[int]]
"""Erases this service's dead letters that mention one of the ids given (`Bus.purge_dead_letters`)."""


class Eraser:
    """Deletes a withdrawn case's originals, key, texts and dead letters, and sweeps up objects without a record.

    Without `forget_letters` (in a process that has no bus) objects go, and the case stays marked for the worker.
    """

    def __init__(
        self,
        mongo: Mongo,
        blobs: ObjectStore,
        room: RawRoom,
        *,
        retry_s: float = 5.0,
        sweep_every_s: float = 900.0,
        orphan_age_s: float = 3600.0,
        forget_letters: ForgetLetters | None = None,
        proofs: ProofEraser | None = None,
        receipts: Receipts | None = None,
    ) -> None:
        self._cases = mongo.db["cases"]
        self._blobs = blobs
        self._room = room
        self._retry_s = retry_s
        self._sweep_every_s = sweep_every_s
        self._orphan_age = timedelta(seconds=orphan_age_s)
        self._forget_letters = forget_letters
        self._proofs = proofs
        self._receipts = receipts

    async def run(self) -> None:
        """Erase until cancelled, and complete receipts beside it: however many wait, no patient's withdrawal waits for
        them. What fails is tried again at the next round.
        """
        looking = [self._receipts.run(self._retry_s)] if self._receipts is not None else []
        await asyncio.gather(self._erase(), *looking)

    async def _erase(self) -> None:
        next_sweep = time.monotonic()
        while True:
            try:
                await self.purge_all()
                if time.monotonic() >= next_sweep:
                    await self.sweep(datetime.now(UTC))
                    next_sweep = time.monotonic() + self._sweep_every_s
            except Exception as error:
                if dependency_is_away(error):
                    logger.warning("erasure waits for a dependency: %s", error)
                else:
                    logger.exception("erasure failed, trying again")
            await asyncio.sleep(self._retry_s)

    async def purge_all(self) -> int:
        """Erase the objects of every withdrawn case that still has some; returns how many cases.

        One that fails is logged, stays for the next round, and holds up no other.
        """
        waiting = await self._cases.find({"purge_pending": True}, {"picture_ids": 1}).to_list(None)
        PURGES_WAITING.set(len(waiting))
        purged = 0
        for document in waiting:
            try:
                await self._purge(document["_id"], document["picture_ids"])
            except Exception as error:
                told = "a withdrawn case is erased later: %s"
                about = {"case_id": document["_id"]}
                logger.warning(told, error, extra=about, exc_info=not dependency_is_away(error))
            else:
                purged += 1
        PURGES_WAITING.set(len(waiting) - purged)
        return purged

    async def _purge(self, case_id: str, picture_ids: list[str]) -> None:
        await self._erase_objects(case_id)
        if self._forget_letters is not None:
            await self._forget_letters(case_id, *picture_ids)
            await self._cases.update_one(
                {"_id": case_id, "state": CaseState.WITHDRAWN.value},
                {"$unset": {"purge_pending": ""}, "$set": {"purged_at": datetime.now(UTC)}},
            )
            logger.info("erased everything of a withdrawn case", extra={"case_id": case_id})

    async def _erase_objects(self, case_id: str) -> None:
        await self._room.forget(case_id)  # the key first: what is left after a crash cannot be read
        await self._blobs.delete_prefix(TEXTS, f"{case_id}/")

    async def erase_objects_now(self, case_id: str, within_s: float = 15.0) -> None:
        """Erase a withdrawn case's objects at once if that is possible; the worker completes it in any case."""
        try:
            async with asyncio.timeout(within_s):
                await self._erase_objects(case_id)
        except Exception as error:
            if not dependency_is_away(error):
                raise
            logger.warning("a withdrawn case is erased later: %s", error, extra={"case_id": case_id})

    async def sweep(self, now: datetime) -> int:
        """Remove objects of withdrawn cases, and old ones that no case knows; returns how many."""
        removed = 0
        for bucket in (RAW, TEXTS):
            by_case: dict[str, list[BlobEntry]] = defaultdict(list)
            for entry in await self._blobs.list_prefix(bucket):
                by_case[entry.key.partition("/")[0]].append(entry)
            for case_id, entries in by_case.items():
                orphans = await self._orphans(bucket, case_id, entries, now)
                for orphan in orphans:
                    await self._blobs.delete(bucket, orphan.key)
                if orphans:
                    ORPHANS.labels(bucket).inc(len(orphans))
                    logger.warning("removed %d objects that no record knew from %s", len(orphans), bucket)
                removed += len(orphans)
        if self._proofs is not None and (proofs := await self._proofs.sweep(now)):
            ORPHANS.labels(PROOFS).inc(proofs)
            logger.info("removed %d proofs that nothing has to be proved with any more", proofs)
            removed += proofs
        return removed

    async def _orphans(self, bucket: str, case_id: str, entries: list[BlobEntry], now: datetime) -> list[BlobEntry]:
        old = [entry for entry in entries if now - entry.modified > self._orphan_age]
        document = await self._cases.find_one({"_id": case_id}, {"state": 1, "pictures.picture_id": 1})
        if document is None:
            # Young objects too stay only while the record of their case may still come.
            return old if len(old) == len(entries) else []
        if document["state"] == CaseState.WITHDRAWN.value:
            return entries
        if bucket != RAW:
            return []
        known = {f"{case_id}/{picture['picture_id']}" for picture in document["pictures"]}
        return [entry for entry in old if entry.key not in known and entry.key != raw_data_key(case_id)]
