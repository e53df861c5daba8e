"""How a case ends, in one transaction: a stub in its place, the event, tombstones, and the receipt.

Whoever ends it (author, patient, the last day, a member who leaves, the ledger) comes through here. Originals, keys
and text objects are erased after it (`Eraser`); what was seen to be gone is noted in the receipt (`Receipts`).
"""

from datetime import datetime

from services.ingest.domain.case import Case
from services.ingest.domain.states import CaseState
from services.ingest.store.ended import end_consents
from services.ingest.store.once import Once
from services.ingest.store.receipts import open_receipt
from shared.events import (
    CaseSubmitted,
    CaseUploaded,
    CaseWithdrawn,
    CommentAdded,
    ConsentExpiring,
    WithdrawalCause,
)
from shared.mongo import Database, Document, Session
from shared.outbox import Outbox


async def end_case(
    db: Database, document: Document, case: Case, cause: WithdrawalCause, now: datetime, session: Session
) -> str:
    """End a case for good and tell the others; returns the id of its receipt. Raises CaseWithdrawnForGood."""
    event = case.withdraw(now, cause)
    # First: it is what hides the case, and a thousand tombstones may follow.
    await Outbox(db).add(event, session)
    return await bury(db, document, event, session, told_at=now)


async def bury(
    db: Database, document: Document, event: CaseWithdrawn, session: Session, *, told_at: datetime | None = None
) -> str:
    """Leave nothing of a case but its stub, as `event` says; returns the id of its receipt.

    `told_at`: when the event is sent, if it is sent now; without it the others are told again (`Receipts`).
    `document`: the case as it lies in the database, which may be older than this code: only ids are read from it.
    """
    case_id = event.case_id
    listed = [picture["picture_id"] for picture in document.get("pictures", ())]
    stub: Document = {
        "_id": case_id,
        "author_id": document["author_id"],
        "state": CaseState.WITHDRAWN.value,
        "version": event.version,
        "picture_ids": list(dict.fromkeys([*event.picture_ids, *listed, *document.get("removed_picture_ids", ())])),
        "created_at": document["created_at"],
        "withdrawn_at": event.withdrawn_at,
        "purge_pending": True,
    }
    await db["cases"].replace_one({"_id": case_id}, stub, session=session)
    outbox = Outbox(db)
    for told in (CaseUploaded, CaseSubmitted, ConsentExpiring):
        await outbox.add_tombstone(told, case_id, case_id, session)
    comment_ids = [
        found["_id"] async for found in db["comments"].find({"case_id": case_id}, {"_id": 1}, session=session)
    ]
    await outbox.add_tombstones(CommentAdded, comment_ids, case_id, session)
    await db["comments"].delete_many({"case_id": case_id}, session=session)
    await end_consents(db, case_id, event.withdrawn_at, session)
    await Once.erase(db, case_id, session)
    return await open_receipt(db, event, comment_ids, session, asked_at=told_at)
