"""Ending cases from outside: by a patient's code, by the last day of the consent, and by the ledger after a restore."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.ingest.domain.case import Case
from services.ingest.domain.consent import is_over
from services.ingest.domain.consent_request import RequestState
from services.ingest.domain.states import EDITABLE, CaseState
from services.ingest.store.cases import case_from, is_withdrawn
from services.ingest.store.ending import bury, end_case
from services.ingest.store.receipts import open_receipt
from shared.bus import Received
from shared.events import CaseWithdrawn, WithdrawalCause
from shared.mongo import Document, Mongo, Session


@dataclass(frozen=True)
class Ended:
    """A case that is withdrawn now; `again` where it was so before."""

    case_id: str
    receipt_id: str
    again: bool


@dataclass(frozen=True)
class Standing:
    """What a code would end: `pictures` and `comments` are counts; `ended` where it has ended already."""

    pictures: int
    comments: int
    published: bool
    ended: Ended | None


class Withdrawals:
    """Every method may be repeated; two at once end a case once."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._cases = mongo.db["cases"]
        self._codes = mongo.db["withdrawal_codes"]

    # -- by code -------------------------------------------------------------------------------------------------

    async def by_code(self, code_hash: str, now: datetime) -> Ended | None:
        """End the case that the code belongs to; None where there is no such code."""

        async def attempt(session: Session) -> Ended | None:
            document = await self._case_of_code(code_hash, session)
            if document is None:
                return None
            if is_withdrawn(document):
                return await self._ended(document, session)
            case = case_from(document)
            receipt_id = await end_case(self._mongo.db, document, case, WithdrawalCause.PATIENT, now, session)
            return Ended(case.case_id, receipt_id, again=False)

        return await self._mongo.transaction(attempt)

    async def standing(self, code_hash: str) -> Standing | None:
        """What the code would end; None where there is no such code. Changes nothing."""

        async def attempt(session: Session) -> Standing | None:
            document = await self._case_of_code(code_hash, session)
            if document is None:
                return None
            if is_withdrawn(document):
                return Standing(0, 0, published=False, ended=await self._ended(document, session))
            published = document["state"] == CaseState.PUBLISHED.value
            return Standing(len(document["pictures"]), document["comments"], published, None)

        return await self._mongo.transaction(attempt)

    async def _case_of_code(self, code_hash: str, session: Session) -> Document | None:
        code = await self._codes.find_one({"_id": code_hash}, session=session)
        return await self._cases.find_one({"_id": code["case_id"]}, session=session) if code else None

    async def _ended(self, stub: Document, session: Session) -> Ended:
        known = await self._mongo.db["withdrawals"].find_one({"_id": stub["_id"]}, session=session)
        if known is not None:
            return Ended(stub["_id"], known["receipt_id"], again=True)
        # Withdrawn before there were receipts: what can be seen now is looked at now.
        event = CaseWithdrawn(case_id=stub["_id"], version=stub["version"], withdrawn_at=stub["withdrawn_at"])
        return Ended(stub["_id"], await open_receipt(self._mongo.db, event, [], session), again=True)

    # -- by the last day -----------------------------------------------------------------------------------------

    async def expired(self, case_id: str, now: datetime) -> bool:
        """End a case whose consent is over; False where it is not, or not any more."""
        return await self.end_if(case_id, WithdrawalCause.EXPIRED, now, lambda case: _is_expired(case, now))

    async def end_if(
        self, case_id: str, cause: WithdrawalCause, now: datetime, condition: Callable[[Case], bool]
    ) -> bool:
        """End a case for this cause if `condition` holds of it in the same moment; whether it did."""

        async def attempt(session: Session) -> bool:
            document = await self._cases.find_one({"_id": case_id}, session=session)
            if document is None or is_withdrawn(document) or not condition(case := case_from(document)):
                return False
            await end_case(self._mongo.db, document, case, cause, now, session)
            return True

        return await self._mongo.transaction(attempt)

    # -- by the ledger -------------------------------------------------------------------------------------------

    async def still_known(self, case_ids: Collection[str]) -> set[str]:
        """Of these cases, those that the database does not know as withdrawn."""
        wanted = {"_id": {"$in": list(case_ids)}, "state": {"$ne": CaseState.WITHDRAWN.value}}
        return {found["_id"] async for found in self._cases.find(wanted, {"_id": 1})}

    async def any_withdrawn(self, ids: Collection[str]) -> bool:
        """Whether one of these cases is known here as withdrawn."""
        wanted = {"_id": {"$in": list(ids)}, "state": CaseState.WITHDRAWN.value}
        return await self._cases.find_one(wanted, {"_id": 1}) is not None

    async def by_ledger(self, lines: Sequence[Received[CaseWithdrawn]]) -> None:
        """Withdraw, in a database that came out of a backup, what was withdrawn since, as it was then.

        The tombstones are sent again, since what else the backup brought back into its outbox may be sent before them;
        and the line itself once, so that the others report again what they have erased (`Receipts`).
        """
        for line in lines:
            if line.event is not None:
                await self._bury_again(line.event)

    async def _bury_again(self, event: CaseWithdrawn) -> None:
        async def attempt(session: Session) -> None:
            document = await self._cases.find_one({"_id": event.case_id}, session=session)
            if document is not None and not is_withdrawn(document):
                await self._forget_unsent(event.case_id, session)
                await bury(self._mongo.db, document, event, session)

        await self._mongo.transaction(attempt)

    async def _forget_unsent(self, case_id: str, session: Session) -> None:
        """What the backup's outbox had still to say of the case: comments carry text, and go by their own keys."""
        comments = self._mongo.db["comments"].find({"case_id": case_id}, {"_id": 1}, session=session)
        keys = [case_id, *[found["_id"] async for found in comments]]
        await self._mongo.db["outbox"].delete_many({"key": {"$in": keys}}, session=session)


def _is_expired(case: Case, now: datetime) -> bool:
    """Whether the case rests on a consent that is over. A draft whose patient is being asked anew may wait for them;
    without a consent that holds it is not published."""
    last_day = case.consent.expires_on if case.consent and case.needs_consent else None
    asked = case.consent_request is not None and case.consent_request.state is RequestState.OPEN
    waits = asked and case.state in EDITABLE
    return last_day is not None and is_over(last_day, now) and not waits


def today(now: datetime) -> str:
    """The date in UTC as consents in the database have it."""
    return now.astimezone(UTC).date().isoformat()
