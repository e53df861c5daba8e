"""Whom each member has blocked, as identity tells: this service's own mirror of `member.blocked`."""

from shared.events import BlocksChanged
from shared.mongo import Database, Session


class Blocks:
    """Collection `blocks`, one document a member. Lists arrive in any order and more than once: the newest counts."""

    def __init__(self, db: Database) -> None:
        self._blocks = db["blocks"]

    async def apply(self, event: BlocksChanged) -> bool:
        """Take in a list; False where an equal or newer one is known."""
        document = {"_id": event.member_id, "version": event.version, "blocked": list(event.blocked)}
        newer = {"$gt": [event.version, {"$ifNull": ["$version", 0]}]}
        result = await self._blocks.update_one(
            {"_id": event.member_id},
            [{"$replaceWith": {"$cond": [newer, {"$literal": document}, "$$ROOT"]}}],
            upsert=True,
        )
        return result.upserted_id is not None or result.modified_count == 1

    async def forget(self, member_id: str) -> None:
        """The member has left. What a redelivery brings back of the list is about nobody any more."""
        await self._blocks.delete_one({"_id": member_id})

    async def has(self, owner_id: str, other_id: str, session: Session) -> bool:
        """Whether a member has blocked another."""
        return (
            await self._blocks.find_one({"_id": owner_id, "blocked": other_id}, {"_id": 1}, session=session) is not None
        )
