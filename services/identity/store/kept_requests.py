"""Requests for verification that a registry could not answer yet: number and name sealed, tried again by the worker.

One a member: a new one replaces the old. Its outcome stays to be seen, without number and name, for a month.
"""

import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from services.identity.domain.verification import CivilName, Number
from shared.events import Profession
from shared.mongo import Database, Document, Session
from shared.sealed import SealedField

COLLECTION: Final = "verification_requests"
ASKED: Final = "asked"
LEASE = timedelta(minutes=2)
_SHOWN_DAYS = 30
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

Within = Callable[[Session], Awaitable[object]]


class KeptState(StrEnum):
    """What became of a request that was kept."""

    WAITING = "waiting"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Kept:
    """A request that waits for the registry, leased to whoever got this."""

    member_id: str
    number: Number
    name: CivilName
    profession: Profession | None
    lease: str
    failures: int


@dataclass(frozen=True, slots=True)
class KeptView:
    """A request as its owner sees it."""

    registry: str
    state: KeptState
    asked_at: datetime


class KeptRequests:
    """Everybody's request that waits, or that was refused after waiting."""

    def __init__(self, db: Database, sealed: SealedField) -> None:
        self._requests = db[COLLECTION]
        self._sealed = sealed

    async def prepare(self) -> None:
        """Make the indexes; may be repeated."""
        await self._requests.create_index([("state", 1), ("next_try_at", 1)], name="due")
        await self._requests.create_index("forget_at", expireAfterSeconds=0, name="forget")

    async def keep(
        self,
        member_id: str,
        number: Number,
        name: CivilName,
        profession: Profession | None,
        now: datetime,
        try_at: datetime,
    ) -> None:
        """Keep a request to be tried at that time."""
        asked = {"number": number.value, "family": name.family, "given": name.given, "profession": profession}
        plain = json.dumps(asked, ensure_ascii=False)
        document: Document = {
            "registry": number.issuer,
            "state": KeptState.WAITING.value,
            ASKED: await self._sealed.seal(member_id, ASKED, plain.encode()),
            "asked_at": now,
            "next_try_at": try_at,
            "failures": 0,
            "lease_until": _NEVER,
        }
        await self._requests.replace_one({"_id": member_id}, document, upsert=True)

    async def of(self, member_id: str) -> KeptView | None:
        """The member's request, None where there is none."""
        found = await self._requests.find_one({"_id": member_id})
        return KeptView(found["registry"], KeptState(found["state"]), found["asked_at"]) if found else None

    async def take(self, now: datetime) -> Kept | None:
        """Lease the request that has waited longest for its next try."""
        lease = uuid.uuid4().hex
        found = await self._requests.find_one_and_update(
            {"state": KeptState.WAITING.value, "next_try_at": {"$lte": now}, "lease_until": {"$lte": now}},
            {"$set": {"lease": lease, "lease_until": now + LEASE}},
            sort=[("next_try_at", 1)],
        )
        if found is None:
            return None
        plain = json.loads(await self._sealed.open(found["_id"], ASKED, found[ASKED]))
        return Kept(
            member_id=found["_id"],
            number=Number(found["registry"], plain["number"]),
            name=CivilName(plain["family"], plain["given"]),
            profession=Profession(plain["profession"]) if plain["profession"] else None,
            lease=lease,
            failures=found["failures"],
        )

    async def put_off(self, kept: Kept, until: datetime) -> None:
        """The registry is still away: try again then."""
        await self._requests.update_one(
            {"_id": kept.member_id, "lease": kept.lease},
            {"$set": {"next_try_at": until, "lease_until": _NEVER}, "$inc": {"failures": 1}},
        )

    async def refuse(self, kept: Kept, now: datetime) -> bool:
        """The registry has answered, and the answer does not match. Number and name go. False where the request was
        taken over or replaced meanwhile."""
        refused = await self._requests.update_one(
            {"_id": kept.member_id, "lease": kept.lease},
            {
                "$set": {"state": KeptState.REFUSED.value, "forget_at": now + timedelta(days=_SHOWN_DAYS)},
                "$unset": {ASKED: "", "lease": "", "next_try_at": ""},
            },
        )
        return refused.matched_count == 1

    async def forget(self, member_id: str, session: Session | None = None) -> None:
        """Remove the member's request: they are verified, or they leave."""
        await self._requests.delete_one({"_id": member_id}, session=session)
