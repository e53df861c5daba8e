"""Tickets in MongoDB, under the hash of their secret; MongoDB forgets them when they have expired."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from services.identity.domain.tickets import Purpose, new_secret, secret_hash
from shared.mongo import Database


class Tickets:
    """See `domain.tickets.KeepsTickets`."""

    def __init__(self, db: Database, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._tickets = db["tickets"]
        self._now = now

    async def prepare(self) -> None:
        """Make the indexes; may be repeated."""
        await self._tickets.create_index("expires_at", expireAfterSeconds=0, name="forget")
        await self._tickets.create_index([("member_id", 1), ("purpose", 1)], name="member")

    async def issue(
        self, purpose: Purpose, data: Mapping[str, Any], ttl_s: int, *, member_id: str | None = None
    ) -> str:
        secret = new_secret()
        ticket = {
            "_id": secret_hash(purpose, secret),
            "purpose": purpose.value,
            "member_id": member_id,
            "data": dict(data),
            "expires_at": self._now() + timedelta(seconds=ttl_s),
        }
        await self._tickets.insert_one(ticket)
        return secret

    async def look(self, purpose: Purpose, secret: str) -> dict[str, Any] | None:
        # MongoDB forgets once a minute: the time is asked for here as well.
        good = {"_id": secret_hash(purpose, secret), "expires_at": {"$gt": self._now()}}
        found = await self._tickets.find_one(good)
        return found["data"] if found else None

    async def redeem(self, purpose: Purpose, secret: str) -> dict[str, Any] | None:
        good = {"_id": secret_hash(purpose, secret), "expires_at": {"$gt": self._now()}}
        found: dict[str, Any] | None = await self._tickets.find_one_and_delete(good)
        return found["data"] if found else None

    async def cancel(self, purpose: Purpose, member_id: str) -> None:
        await self._tickets.delete_many({"member_id": member_id, "purpose": purpose.value})
