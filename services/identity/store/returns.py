"""Who left while suspended for what they did, and comes back with the same number: a person looks at that first.

Of who leaves nothing is kept but an id. Of who leaves suspended, the place of their number in the index stays besides
(an HMAC under a sealed key, `store.number_index`), for a time that is fixed when they leave: neither a member id nor a
reason. It refuses nobody for good: whoever has the number is sent to a reviewer, who decides.
"""

from datetime import datetime, timedelta
from typing import Final

from services.identity.domain.account import REGISTRY_INACTIVE, Account
from shared.events import MemberStatus
from shared.mongo import Database, Document, Session

NUMBERS: Final = "barred_numbers"
RETURNING: Final = "returning_members"
TAKEN_KEPT = timedelta(days=1)
"""How long it is noted that a member gave a number of another account. Nobody reads it: see `note`."""


class Returns:
    """The numbers that want a look, and the members who gave one of them."""

    def __init__(self, db: Database) -> None:
        self._numbers = db[NUMBERS]
        self._returning = db[RETURNING]
        self._verifications = db["verifications"]

    async def prepare(self) -> None:
        """Make the indexes by which MongoDB forgets; may be repeated."""
        for kept in (self._numbers, self._returning):
            await kept.create_index("forget_at", expireAfterSeconds=0, name="forget")

    async def bar(self, leaver: Account, now: datetime, kept_for: timedelta, session: Session) -> None:
        """A member leaves. Where they are suspended, but for what a registry says, their number wants a look later."""
        if leaver.status is not MemberStatus.SUSPENDED or leaver.suspended_for == REGISTRY_INACTIVE:
            return
        found = await self._verifications.find_one({"_id": leaver.member_id}, {"number_place": 1}, session=session)
        if found is not None and "number_place" in found:
            forget = {"$set": {"forget_at": now + kept_for}}
            await self._numbers.update_one({"_id": found["number_place"]}, forget, upsert=True, session=session)

    async def wants_a_look(self, place: str, member_id: str, session: Session) -> bool:
        """Whether a reviewer has to look at this member before that number verifies them."""
        if await self._numbers.find_one({"_id": place}, {"_id": 1}, session=session) is None:
            return False
        looked = {"_id": member_id, "place": place, "cleared_at": {"$ne": None}}
        return await self._returning.find_one(looked, {"_id": 1}, session=session) is None

    async def note(self, member_id: str, place: str, now: datetime) -> None:
        """The member has given a number that does not verify them: one of these, or one that is another account's.

        Written in either case, so that the answer takes as long, and known to reviewers only: who typed a colleague's
        number is to learn nothing of the colleague.
        """
        barred = await self._numbers.find_one({"_id": place})
        if barred is not None:
            looked = {"place": place, "asked_at": now, "cleared_at": None, "forget_at": barred["forget_at"]}
            change: Document = {"$set": looked}
        else:
            change = {"$set": {"asked_at": now}, "$setOnInsert": {"forget_at": now + TAKEN_KEPT}}
        await self._returning.update_one({"_id": member_id}, change, upsert=True)

    async def clear(self, member_id: str, now: datetime, session: Session) -> None:
        """A reviewer has accepted the member: the number may verify them."""
        await self._returning.update_one({"_id": member_id}, {"$set": {"cleared_at": now}}, session=session)

    async def is_returning(self, member_id: str) -> bool:
        """Whether the member has given such a number."""
        return await self._returning.find_one({"_id": member_id, "place": {"$type": "string"}}, {"_id": 1}) is not None
