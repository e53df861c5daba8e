"""What a case that has ended leaves of its consents: that they were given, and their sealed proofs, for a time.

The proofs of a consent are kept while its case lives and `PROOF_YEARS` after, because who published has to be able to
prove that they were allowed to; then key and objects go. A signature that never became a consent (the second parent
did not sign, the request was taken back) goes at the next sweep.
"""

from collections import defaultdict
from datetime import datetime, timedelta

from services.ingest.domain.consent import PROOF_YEARS, years_after
from services.ingest.domain.consent_request import RequestState
from services.ingest.domain.states import CaseState
from shared.blobs import PROOFS, BlobEntry, ObjectStore
from shared.mongo import Database, Mongo, Session
from shared.sealed import KEY_ITEM, SealedRoom

_SIGNED = [RequestState.OPEN.value, RequestState.COMPLETE.value]


async def end_consents(db: Database, case_id: str, now: datetime, session: Session) -> None:
    """Note that a case has ended: from now on the time runs after which the proofs of its consents are erased.

    Its withdrawal codes, which lead to the receipt, go with them; which warnings its author had goes at once.
    """
    erase_after = _erase_after(now)
    still = {"case_id": case_id, "erase_after": {"$exists": False}}
    await db["withdrawal_codes"].update_many(still, {"$set": {"erase_after": erase_after}}, session=session)
    await db["expiry_warnings"].delete_many({"case_id": case_id}, session=session)
    await db["consents"].update_many(
        {"case_id": case_id, "ended_at": {"$exists": False}},
        {"$set": {"ended_at": now, "erase_after": erase_after}},
        session=session,
    )


async def end_old_codes(db: Database) -> int:
    """Give the codes of cases that ended before codes had an end the one that `end_consents` gives; returns of how many
    cases. May be repeated.
    """
    ended = db["withdrawal_codes"].aggregate(
        [
            {"$match": {"erase_after": {"$exists": False}}},
            {"$group": {"_id": "$case_id"}},
            {"$lookup": {"from": "cases", "localField": "_id", "foreignField": "_id", "as": "case"}},
            {"$match": {"case.state": CaseState.WITHDRAWN.value}},
            {"$project": {"withdrawn_at": {"$first": "$case.withdrawn_at"}}},
        ]
    )
    changed = 0
    async for case in ended:
        still = {"case_id": case["_id"], "erase_after": {"$exists": False}}
        await db["withdrawal_codes"].update_many(still, {"$set": {"erase_after": _erase_after(case["withdrawn_at"])}})
        changed += 1
    return changed


def _erase_after(ended_at: datetime) -> datetime:
    return datetime.combine(years_after(ended_at.date(), PROOF_YEARS), ended_at.timetz())


class ProofEraser:
    """Erases the proofs whose time is over, and objects in the room of proofs that no record knows."""

    def __init__(self, mongo: Mongo, blobs: ObjectStore, proofs: SealedRoom, orphan_age: timedelta) -> None:
        self._cases = mongo.db["cases"]
        self._consents = mongo.db["consents"]
        self._blobs = blobs
        self._proofs = proofs
        self._orphan_age = orphan_age

    async def sweep(self, now: datetime) -> int:
        """Returns how many objects went. May be repeated, by several at once too."""
        removed = 0
        async for consent in self._consents.find({"erase_after": {"$lte": now}}):
            await self._consents.delete_one({"_id": consent["_id"]})  # its objects are orphans from here on
        by_case: dict[str, list[BlobEntry]] = defaultdict(list)
        for entry in await self._blobs.list_prefix(PROOFS):
            by_case[entry.key.partition("/")[0]].append(entry)
        for case_id, entries in by_case.items():
            removed += await self._sweep_case(case_id, entries, now)
        return removed

    async def _sweep_case(self, case_id: str, entries: list[BlobEntry], now: datetime) -> int:
        # A proof is stored before its record: a young one may still get it.
        if any(now - entry.modified <= self._orphan_age for entry in entries if not _is_key(entry)):
            return 0
        known = await self._known(case_id)
        items = [entry for entry in entries if not _is_key(entry)]
        gone = [entry for entry in items if entry.key.partition("/")[2].partition(".")[0] not in known]
        if len(gone) == len(items):
            if not items and any(now - entry.modified <= self._orphan_age for entry in entries):
                return 0
            # The list is of the whole bucket, and old by now: what came since would go with the key.
            now_there = {entry.key for entry in await self._blobs.list_prefix(PROOFS, f"{case_id}/")}
            if now_there - {entry.key for entry in entries}:
                return 0
            await self._proofs.forget(case_id)  # the key first: nothing of the case is left to prove
            return len(entries)
        for entry in gone:
            await self._blobs.delete(PROOFS, entry.key)
        return len(gone)

    async def _known(self, case_id: str) -> set[str]:
        known: set[str] = set()
        async for consent in self._consents.find({"case_id": case_id}, {"proofs": 1}):
            known |= set(consent["proofs"])
        asked = {"_id": case_id, "consent_request.state": {"$in": _SIGNED}}
        case = await self._cases.find_one(asked, {"consent_request.signers.signature.proof_id": 1})
        for slot in case["consent_request"]["signers"] if case else ():
            known |= {slot["signature"]["proof_id"]} if slot.get("signature") else set()
        return known


def _is_key(entry: BlobEntry) -> bool:
    return entry.key.rpartition("/")[2] == KEY_ITEM
