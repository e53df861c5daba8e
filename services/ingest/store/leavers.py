"""What becomes of a member's cases and comments when they leave.

Unpublished cases are withdrawn: without their author nobody can answer for them. Published cases and comments stay
without a name, or go, as the member chose. The handler of the event only notes who left; the worker does the rest, as
often as it takes, and looks again for a while: a request that was under way may have written something.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from prometheus_client import Gauge

from services.ingest.domain.states import CaseState
from services.ingest.store.cases import Store, case_from, is_withdrawn
from services.ingest.store.ending import end_case
from shared.errors import dependency_is_away
from shared.events import Contributions, WithdrawalCause
from shared.mongo import Document, Mongo, Session

logger = logging.getLogger(__name__)

# What an operator learns: former members whose cases and comments are not dealt with yet.
LEAVERS_WAITING = Gauge("consilium_ingest_leavers_waiting", "Members who left and whose contributions wait")

LOOK_AGAIN = timedelta(hours=1)
EraseNow = Callable[[str], Awaitable[None]]
"""Erases a withdrawn case's objects at once, where that is possible."""


class Leavers:
    """Deals with the contributions of members who have left (collection `leavers`, written by `Store.note_leaver`)."""

    def __init__(self, mongo: Mongo, store: Store, erase_now: EraseNow) -> None:
        self._mongo = mongo
        self._leavers = mongo.db["leavers"]
        self._cases = mongo.db["cases"]
        self._comments = mongo.db["comments"]
        self._answers = mongo.db["answers"]
        self._store = store
        self._erase_now = erase_now

    async def run(self, every_s: float) -> None:
        """Work until cancelled. What fails is tried again at the next round."""
        while True:
            try:
                await self.look(datetime.now(UTC))
            except Exception as error:
                if dependency_is_away(error):
                    logger.warning("what members leave behind waits for a dependency: %s", error)
                else:
                    logger.exception("what members leave behind could not be dealt with, trying again")
            await asyncio.sleep(every_s)

    async def look(self, now: datetime) -> None:
        """Deal with everybody who has left lately, or is not dealt with. One who fails holds up no other."""
        wanted: Document = {"$or": [{"done": False}, {"noted_at": {"$gt": now - LOOK_AGAIN}}]}
        waiting = await self._leavers.find(wanted).to_list(None)
        LEAVERS_WAITING.set(sum(not leaver["done"] for leaver in waiting))
        for leaver in waiting:
            try:
                await self._settle(leaver["_id"], Contributions(leaver["contributions"]), now)
            except Exception as error:
                away = dependency_is_away(error)
                about = {"member_id": leaver["_id"]}
                logger.warning("a former member's work is dealt with later: %s", error, extra=about, exc_info=not away)
            else:
                await self._leavers.update_one({"_id": leaver["_id"], "done": False}, {"$set": {"done": True}})
        LEAVERS_WAITING.set(await self._leavers.count_documents({"done": False}))

    async def _settle(self, member_id: str, contributions: Contributions, now: datetime) -> None:
        stays = [CaseState.WITHDRAWN.value]
        if contributions is Contributions.KEPT:
            stays.append(CaseState.PUBLISHED.value)
        leaving = {"author_id": member_id, "state": {"$nin": stays}}
        for found in await self._cases.find(leaving, {"_id": 1}).to_list(None):
            if await self._withdraw(found["_id"], stays, now):
                await self._erase_now(found["_id"])
        if contributions is Contributions.ERASED:
            for found in await self._comments.find({"author_id": member_id}, {"case_id": 1}).to_list(None):
                await self._store.erase_comment(found["case_id"], found["_id"])
        # Answers kept for repeated requests hold the same texts, and nobody can repeat them any more.
        await self._answers.delete_many({"_id": {"$regex": f"^{member_id}:"}})

    async def _withdraw(self, case_id: str, stays: list[str], now: datetime) -> bool:
        async def attempt(session: Session) -> bool:
            document = await self._cases.find_one({"_id": case_id}, session=session)
            if document is None or is_withdrawn(document) or document["state"] in stays:
                return False
            await end_case(self._mongo.db, document, case_from(document), WithdrawalCause.MEMBER_LEFT, now, session)
            return True

        return await self._mongo.transaction(attempt)
