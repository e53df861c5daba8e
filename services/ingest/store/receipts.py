"""Receipts of withdrawals: what was seen to be gone, and when.

Collection `withdrawals`: one document a withdrawn case, kept as the ledger is: ids, the cause and times. While `open`
is set the worker still looks for what is not confirmed; `comment_ids` then names the records that Kafka has still to
be told to erase.
"""

import logging
import secrets
from datetime import datetime
from typing import Any

from services.ingest.domain.withdrawal import Receipt, Step
from shared.blobs import RAW, REDACTED, TEXTS, ObjectStore
from shared.errors import dependency_is_away
from shared.events import CaseWithdrawn
from shared.mongo import Database, Document, Mongo, Session

logger = logging.getLogger(__name__)

RECEIPT_BYTES = 32
_BUCKETS = {Step.ORIGINALS: RAW, Step.TEXTS: TEXTS, Step.PAINTED: REDACTED}


async def open_receipt(db: Database, event: CaseWithdrawn, comment_ids: list[str], session: Session) -> str:
    """Begin the receipt of a withdrawal, or go on with the one that there is; returns its id."""
    known = await db["withdrawals"].find_one({"_id": event.case_id}, session=session)
    receipt_id = str(known["receipt_id"]) if known else secrets.token_urlsafe(RECEIPT_BYTES)
    document: Document = {
        "_id": event.case_id,
        "receipt_id": receipt_id,
        "cause": event.cause.value,
        "withdrawn_at": event.withdrawn_at,
        "confirmed": {},
        "comment_ids": comment_ids,
        "open": True,
    }
    await db["withdrawals"].replace_one({"_id": event.case_id}, document, upsert=True, session=session)
    return receipt_id


class Receipts:
    """Reads receipts, and completes them by looking."""

    def __init__(self, mongo: Mongo, blobs: ObjectStore) -> None:
        self._db = mongo.db
        self._withdrawals = mongo.db["withdrawals"]
        self._blobs = blobs

    async def prepare(self) -> None:
        """Create the indexes. May be repeated."""
        await self._withdrawals.create_index("receipt_id", unique=True)
        await self._withdrawals.create_index("open", partialFilterExpression={"open": True})

    async def by_id(self, receipt_id: str) -> Receipt | None:
        found = await self._withdrawals.find_one({"receipt_id": receipt_id})
        return await self._receipt(found) if found else None

    async def of_case(self, case_id: str) -> Receipt | None:
        found = await self._withdrawals.find_one({"_id": case_id})
        return await self._receipt(found) if found else None

    async def confirm_all(self, now: datetime) -> int:
        """Look for what is not confirmed yet; returns how many receipts became complete. May be repeated."""
        waiting = await self._withdrawals.find({"open": True}).to_list(None)
        complete = 0
        for document in waiting:
            try:
                complete += await self._confirm(document, now)
            except Exception as error:
                about = {"case_id": document["_id"]}
                away = dependency_is_away(error)
                logger.warning("a receipt is completed later: %s", error, extra=about, exc_info=not away)
        return complete

    async def _confirm(self, document: Document, now: datetime) -> bool:
        case_id, known = document["_id"], set(document["confirmed"])
        new: dict[Step, datetime] = {}
        stub = await self._db["cases"].find_one({"_id": case_id}, {"purged_at": 1, "purge_pending": 1})
        if stub and "purged_at" in stub and "purge_pending" not in stub:
            new[Step.LETTERS] = stub["purged_at"]
        waiting = self._db["outbox"].count_documents
        if not await waiting({"key": case_id, "topic": CaseWithdrawn.topic}):
            new[Step.ANNOUNCED] = now
        if not await waiting({"key": {"$in": [case_id, *document.get("comment_ids", ())]}}):
            new[Step.LOG_ORDERS] = now
        for step, bucket in _BUCKETS.items():
            # Whoever still paints has seen an original: painted pictures are gone for good only after those.
            if step is Step.PAINTED and not {Step.ORIGINALS} & (known | new.keys()):
                continue
            if step not in known and not await self._blobs.list_prefix(bucket, f"{case_id}/"):
                new[step] = now
        new = {step: at for step, at in new.items() if step not in known}
        change: dict[str, Any] = {}
        if new:
            change["$set"] = {f"confirmed.{step.value}": at for step, at in new.items()}
        done = known | new.keys() >= set(Step)
        if done:
            change["$unset"] = {"open": "", "comment_ids": ""}
        if change:
            # `withdrawn_at`: a restored backup may have opened the receipt anew meanwhile.
            await self._withdrawals.update_one(
                {"_id": case_id, "withdrawn_at": document["withdrawn_at"], "open": True}, change
            )
        return done

    async def _receipt(self, found: Document) -> Receipt:
        ends = [consent["erase_after"] async for consent in self._db["consents"].find({"case_id": found["_id"]})]
        fields = {name: found[name] for name in ("receipt_id", "cause", "withdrawn_at", "confirmed")}
        return Receipt(case_id=found["_id"], proofs_until=max(ends).date() if ends else None, **fields)
