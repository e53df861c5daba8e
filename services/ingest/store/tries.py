"""A brake on guessing withdrawal codes, by address.

A code has 95 random bits: with a million codes in use and a thousand guesses a second, somebody hits one after some
10^12 years. So the brake need not be sharp; it keeps a guesser from keeping the database busy, and it counts only
codes that do not exist, so that a hospital with one address for all is not in the way of anybody who has one.

Collection `withdrawal_tries`: how many wrong codes came from an address in its window; of the address only a hash,
forgotten after the window.
"""

import hashlib
from datetime import datetime, timedelta

from pymongo import ReturnDocument

from shared.mongo import DuplicateKeyError, Mongo
from shared.networks import network_of

WINDOW = timedelta(minutes=10)


class Tries:
    """Counts wrong codes from one address."""

    def __init__(self, mongo: Mongo, free: int) -> None:
        self._tries = mongo.db["withdrawal_tries"]
        self._free = free

    async def prepare(self) -> None:
        """Create the index. May be repeated."""
        await self._tries.create_index("until", expireAfterSeconds=0)

    async def wait_s(self, address: str, now: datetime) -> int:
        """How many seconds this address has to wait before the next code is looked at; 0: none."""
        found = await self._tries.find_one({"_id": _place(address), "until": {"$gt": now}})
        if found is None or found["wrong"] < self._free:
            return 0
        return max(1, int((found["until"] - now).total_seconds()))

    async def wrong(self, address: str, now: datetime) -> None:
        """A code came from there that does not exist."""
        place = _place(address)
        await self._tries.delete_one({"_id": place, "until": {"$lte": now}})  # TTL is up to a minute late
        change = {"$inc": {"wrong": 1}, "$setOnInsert": {"until": now + WINDOW}}
        try:
            await self._tries.find_one_and_update(
                {"_id": place}, change, upsert=True, return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError:  # two first ones at the same moment
            await self._tries.update_one({"_id": place}, {"$inc": {"wrong": 1}})


def _place(address: str) -> str:
    return hashlib.sha256(f"consilium withdrawal tries {network_of(address)}".encode()).hexdigest()
