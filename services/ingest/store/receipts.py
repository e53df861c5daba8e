"""Receipts of withdrawals: what was seen to be gone or reported so, and when.

Collection `withdrawals`: one document a withdrawn case, kept as the ledger is: ids, the cause, times and counts. While
`open` is set the worker still looks for what is not confirmed; `comment_ids` then names the records that Kafka has
still to be told to erase. `asked_at`: when the other services were last told of the withdrawal; who has not answered
within a day is told again, by the same line of the ledger, `ASK_AT_ONCE` cases a round.
"""

import asyncio
import logging
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from services.ingest.domain.withdrawal import REPORTED, Receipt, Step
from shared.blobs import RAW, REDACTED, TEXTS, ObjectStore
from shared.errors import dependency_is_away
from shared.events import CaseWithdrawn, Erased, FeedErased, ModerationErased, RedactorErased
from shared.mongo import Database, Document, Mongo, Session
from shared.outbox import Outbox

logger = logging.getLogger(__name__)

RECEIPT_BYTES = 32
ASK_AGAIN_AFTER = timedelta(days=1)
ASK_AT_ONCE = 50
"""Cases a round. Others answer each by a transaction, a tombstone for each record and a report, and a patient's own
withdrawal waits behind them: after an upgrade or a restore many thousands may be due at one moment."""
_STEPS: dict[type[Erased], Step] = {
    FeedErased: Step.FEED,
    ModerationErased: Step.MODERATION,
    RedactorErased: Step.REDACTOR,
}
_BUCKETS = {Step.ORIGINALS: RAW, Step.TEXTS: TEXTS, Step.PAINTED: REDACTED}


async def open_receipt(
    db: Database, event: CaseWithdrawn, comment_ids: list[str], session: Session, *, asked_at: datetime | None = None
) -> str:
    """Begin the receipt of a withdrawal, or go on with the one that there is; returns its id.

    `asked_at`: when the others were told; None where they were told in a past that nobody remembers the answers of,
    so that the worker tells them again.
    """
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
    if asked_at is not None:
        document["asked_at"] = asked_at
    await db["withdrawals"].replace_one({"_id": event.case_id}, document, upsert=True, session=session)
    return receipt_id


class Receipts:
    """Reads receipts, and completes them by looking."""

    def __init__(self, mongo: Mongo, blobs: ObjectStore) -> None:
        self._mongo = mongo
        self._db = mongo.db
        self._withdrawals = mongo.db["withdrawals"]
        self._blobs = blobs

    async def prepare(self) -> None:
        """Create the indexes. May be repeated."""
        await self._withdrawals.create_index("receipt_id", unique=True)
        await self._withdrawals.create_index("open", partialFilterExpression={"open": True})
        # Closed before the other services reported anything: they are asked now.
        silent = {"open": {"$exists": False}, "$or": [{f"confirmed.{step}": {"$exists": False}} for step in REPORTED]}
        await self._withdrawals.update_many(silent, {"$set": {"open": True}})

    async def by_id(self, receipt_id: str) -> Receipt | None:
        found = await self._withdrawals.find_one({"receipt_id": receipt_id})
        return await self._receipt(found) if found else None

    async def of_case(self, case_id: str) -> Receipt | None:
        found = await self._withdrawals.find_one({"_id": case_id})
        return await self._receipt(found) if found else None

    async def take_report(self, event: Erased, now: datetime) -> bool:
        """Note that a service has nothing of the case left; False where no withdrawal of it is known. May be repeated,
        in any order.
        """
        step = _STEPS[type(event)].value
        counts = {name: getattr(event, name) for name in ("cases", "comments", "objects", "letters")}
        done = await self._withdrawals.update_one(
            {"_id": event.case_id},
            {
                "$min": {f"confirmed.{step}": now, f"reports.{step}.erased_at": event.erased_at},
                "$max": {f"reports.{step}.{name}": count for name, count in counts.items()},
            },
        )
        return done.matched_count == 1

    async def run(self, every_s: float) -> None:
        """Look until cancelled. What fails is tried again at the next round."""
        while True:
            try:
                await self.confirm_all(datetime.now(UTC))
            except Exception as error:
                if dependency_is_away(error):
                    logger.warning("receipts wait for a dependency: %s", error)
                else:
                    logger.exception("receipts could not be completed, trying again")
            await asyncio.sleep(every_s)

    async def confirm_all(self, now: datetime) -> int:
        """Look for what is not confirmed yet, and ask those again who have not answered, who wait longest first;
        returns how many receipts became complete. May be repeated.
        """
        waiting = await self._withdrawals.find({"open": True}, sort=[("asked_at", 1)]).to_list(None)
        complete = asked = 0
        for document in waiting:
            try:
                complete += await self._confirm(document, now)
                if asked < ASK_AT_ONCE and _is_due(document, now):
                    await self._ask_again(document["_id"], now)
                    asked += 1
            except Exception as error:
                about = {"case_id": document["_id"]}
                away = dependency_is_away(error)
                logger.warning("a receipt is completed later: %s", error, extra=about, exc_info=not away)
        return complete

    async def _confirm(self, document: Document, now: datetime) -> bool:
        case_id, known = document["_id"], set(document["confirmed"])
        new: dict[Step, datetime] = {}
        if Step.LETTERS not in known:
            stub = await self._db["cases"].find_one({"_id": case_id}, {"purged_at": 1, "purge_pending": 1})
            if stub and "purged_at" in stub and "purge_pending" not in stub:
                new[Step.LETTERS] = stub["purged_at"]
        waiting = self._db["outbox"].count_documents
        told = {"key": case_id, "topic": CaseWithdrawn.topic}
        if Step.ANNOUNCED not in known and not await waiting(told):
            new[Step.ANNOUNCED] = now
        ordered = {"key": {"$in": [case_id, *document.get("comment_ids", ())]}}
        if Step.LOG_ORDERS not in known and not await waiting(ordered):
            new[Step.LOG_ORDERS] = now
        for step, bucket in _BUCKETS.items():
            # Whoever still paints has seen an original: painted pictures are gone for good only after those.
            if step is Step.PAINTED and not {Step.ORIGINALS} & (known | new.keys()):
                continue
            if step not in known and not await self._blobs.list_prefix(bucket, f"{case_id}/"):
                new[step] = now
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

    async def _ask_again(self, case_id: str, now: datetime) -> None:
        """Send the line of the ledger once more, as it was, where the last time is too long ago, or was before there
        were reports. Whoever has erased the case already says so again.
        """

        async def attempt(session: Session) -> None:
            silent = {"$or": [{f"confirmed.{step}": {"$exists": False}} for step in REPORTED]}
            due = {"$or": [{"asked_at": {"$exists": False}}, {"asked_at": {"$lte": now - ASK_AGAIN_AFTER}}]}
            asked = await self._withdrawals.find_one_and_update(
                {"_id": case_id, "open": True, "$and": [silent, due]}, {"$set": {"asked_at": now}}, session=session
            )
            stub = await self._db["cases"].find_one({"_id": case_id}, session=session) if asked else None
            if asked is None or stub is None:
                return
            event = CaseWithdrawn(
                case_id=case_id,
                version=stub["version"],
                picture_ids=tuple(stub["picture_ids"]),
                withdrawn_at=asked["withdrawn_at"],
                cause=asked["cause"],
            )
            await Outbox(self._db).add(event, session)

        await self._mongo.transaction(attempt)

    async def _receipt(self, found: Document) -> Receipt:
        ends = [consent["erase_after"] async for consent in self._db["consents"].find({"case_id": found["_id"]})]
        fields = {name: found[name] for name in ("receipt_id", "cause", "withdrawn_at", "confirmed")}
        fields["reports"] = found.get("reports", {})
        return Receipt(case_id=found["_id"], proofs_until=max(ends).date() if ends else None, **fields)


def _is_due(document: Document, now: datetime) -> bool:
    """Whether somebody has not answered who was asked too long ago, or never. Spares a transaction that would find
    nothing to do; what counts is read again in it."""
    asked_at = document.get("asked_at")
    silent = set(REPORTED) - set(document["confirmed"])
    return bool(silent) and (asked_at is None or asked_at <= now - ASK_AGAIN_AFTER)
