"""The last day of a consent: its author is warned before, and the case is withdrawn after it, by itself.

Runs in the worker. Several workers do no harm: each step is one transaction that looks again before it acts.
Collection `expiry_warnings`: which warning was given about which last day; forgotten with the case, and after 90 days
by itself: the last day of which it warned is over by then.
"""

import asyncio
import logging
from datetime import UTC, date, datetime, timedelta

from services.ingest.domain.states import CaseState
from services.ingest.store.cases import case_from, is_withdrawn
from services.ingest.store.withdrawals import Withdrawals, today
from shared.errors import dependency_is_away
from shared.events import ConsentExpiring
from shared.mongo import Mongo, Session
from shared.outbox import Outbox

logger = logging.getLogger(__name__)

WARNINGS_DAYS = (30, 7)
"""How long before the last day its author is told, once each."""
_BATCH = 200
_FORGET_DAYS = 90


class Expiry:
    """Looks at the last days of all cases, again and again."""

    def __init__(self, mongo: Mongo, withdrawals: Withdrawals, *, every_s: float = 60.0) -> None:
        self._mongo = mongo
        self._cases = mongo.db["cases"]
        self._warnings = mongo.db["expiry_warnings"]
        self._outbox = Outbox(mongo.db)
        self._withdrawals = withdrawals
        self._every_s = every_s

    async def prepare(self) -> None:
        """Create the indexes. May be repeated."""
        await self._cases.create_index(
            "consent.expires_on", partialFilterExpression={"consent.expires_on": {"$type": "string"}}
        )
        await self._warnings.create_index("case_id")
        await self._warnings.create_index("at", expireAfterSeconds=_FORGET_DAYS * 86_400)

    async def run(self) -> None:
        """Look until cancelled. What fails is tried again at the next round."""
        while True:
            try:
                await self.look(datetime.now(UTC))
            except Exception as error:
                if dependency_is_away(error):
                    logger.warning("consents that end wait for a dependency: %s", error)
                else:
                    logger.exception("consents that end could not be looked at, trying again")
            await asyncio.sleep(self._every_s)

    async def look(self, now: datetime) -> tuple[int, int]:
        """Withdraw what is over and warn of what soon will be; how many of each. May be repeated."""
        ended = 0
        for case_id in await self._between(None, today(now)):
            ended += await self._withdrawals.expired(case_id, now)
        warned = 0
        for case_id in await self._between(today(now), today(now + timedelta(days=max(WARNINGS_DAYS) + 1))):
            warned += await self._warn(case_id, now)
        if ended or warned:
            logger.info("%d cases were withdrawn since their consent ended, %d authors were warned", ended, warned)
        return ended, warned

    async def _between(self, first: str | None, before: str) -> list[str]:
        """The cases whose last day is before `before`, and not before `first`; dates as ISO text."""
        last_day = {"$type": "string", "$lt": before} | ({"$gte": first} if first else {})
        wanted = {"consent.expires_on": last_day, "state": {"$ne": CaseState.WITHDRAWN.value}}
        return [found["_id"] async for found in self._cases.find(wanted, {"_id": 1}, batch_size=_BATCH)]

    async def _warn(self, case_id: str, now: datetime) -> bool:
        """Tell the author once at each of the distances; a distance that passed unseen is not made up for."""

        async def attempt(session: Session) -> bool:
            document = await self._cases.find_one({"_id": case_id}, session=session)
            if document is None or is_withdrawn(document):
                return False
            case = case_from(document)
            last_day = case.consent.expires_on if case.consent else None
            distance = _distance(last_day, now) if last_day else None
            if last_day is None or distance is None:
                return False
            given = f"{case_id}:{last_day.isoformat()}:{distance}"
            if await self._warnings.find_one({"_id": given}, session=session):
                return False
            await self._warnings.insert_one({"_id": given, "case_id": case_id, "at": now}, session=session)
            event = ConsentExpiring(
                case_id=case_id,
                version=case.version,
                author_id=case.author_id,
                expires_on=last_day,
                days_before=distance,
            )
            await self._outbox.add(event, session)
            return True

        return await self._mongo.transaction(attempt)


def _distance(last_day: date, now: datetime) -> int | None:
    """Which warning is due: the smallest distance that has been reached."""
    left = (last_day - now.astimezone(UTC).date()).days
    reached = [days for days in WARNINGS_DAYS if left <= days]
    return min(reached) if reached else None
