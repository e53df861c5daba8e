"""One rate limit for all replicas: whose turn it is, kept in MongoDB and told by its clock."""

import asyncio
from collections.abc import Awaitable, Callable

from pymongo import ReturnDocument

from services.identity.registries.calls import SLACK
from shared.mongo import Database


class SharedPace:
    """At most `per_s` calls a second under this name from all processes together, evenly spaced (`calls.Pace`)."""

    def __init__(
        self, db: Database, name: str, per_s: float, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._turns = db["turns"]
        self._name = name
        self._gap_ms = SLACK * 1000 / per_s
        self._sleep = sleep

    async def take(self) -> None:
        # Each caller moves the next free moment on by one gap, and waits for the moment that it has found there.
        # Whole milliseconds would lose the fraction of the gap: moments are kept as numbers.
        now = {"$toDouble": {"$toLong": "$$NOW"}}
        mine = {"$max": [{"$ifNull": ["$next_ms", 0.0]}, now]}
        found = await self._turns.find_one_and_update(
            {"_id": self._name},
            [
                {"$set": {"mine_ms": mine, "seen_ms": now}},
                {"$set": {"next_ms": {"$add": ["$mine_ms", self._gap_ms]}}},
            ],
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        wait_s = (found["mine_ms"] - found["seen_ms"]) / 1000
        if wait_s > 0:
            await self._sleep(wait_s)
