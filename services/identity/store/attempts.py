"""Counted tries, so that guessing gets slow: one document a brake, forgotten by MongoDB after a while."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import ReturnDocument

from services.identity.domain.brakes import Brake
from shared.mongo import Database


class Attempts:
    """Counts tries across all replicas. A try is counted before it is judged, so parallel guesses gain nothing."""

    def __init__(self, db: Database, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._attempts = db["attempts"]
        self._now = now

    async def prepare(self) -> None:
        """Make the index by which MongoDB forgets; may be repeated."""
        await self._attempts.create_index("forget_at", expireAfterSeconds=0)

    async def begin(self, brakes: Iterable[Brake]) -> int:
        """Count one try. 0: go on; else the seconds to wait (this try must be refused, and is not counted)."""
        now = self._now()
        for brake in brakes:
            wait_s = await self._begin(brake, now)
            if wait_s:
                return wait_s
        return 0

    async def forgive(self, brakes: Iterable[Brake]) -> None:
        """The try was honest: the first brake starts anew, those shared with others count one try less."""
        first, *shared = brakes
        await self._attempts.delete_one({"_id": first.key})
        for brake in shared:
            await self._attempts.update_one({"_id": brake.key, "tries": {"$gt": 0}}, {"$inc": {"tries": -1}})

    async def _begin(self, brake: Brake, now: datetime) -> int:
        # One pipeline, so that two tries at the same moment are two.
        over = {"$subtract": [{"$add": [{"$ifNull": ["$tries", 0]}, 1]}, brake.free]}
        wait_s = {"$cond": [{"$lte": [over, 0]}, 0, {"$min": [brake.max_wait_s, {"$pow": [2, {"$min": [over, 20]}]}]}]}
        waiting = {"$gt": [{"$ifNull": ["$wait_until", now]}, now]}
        counted = {
            "_id": brake.key,
            "tries": {"$add": [{"$ifNull": ["$tries", 0]}, 1]},
            "wait_until": {"$add": [now, {"$multiply": [wait_s, 1000]}]},
            "forget_at": {"$literal": now + timedelta(seconds=brake.memory_s)},
        }
        before: dict[str, Any] | None = await self._attempts.find_one_and_update(
            {"_id": brake.key},
            [{"$replaceWith": {"$cond": [waiting, "$$ROOT", counted]}}],
            upsert=True,
            return_document=ReturnDocument.BEFORE,
        )
        if before is None or before["wait_until"] <= now:
            return 0
        wait: timedelta = before["wait_until"] - now
        return max(1, round(wait.total_seconds()))
