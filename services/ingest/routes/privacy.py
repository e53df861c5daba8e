"""What only a privacy officer sees: consents beside their cases, their sealed proofs, and who has read one.

Every reading names a reason and is written into a chained record before anything is opened. The author of a case never
reads its proofs, whatever their roles.
"""

import base64
from typing import Annotated

import orjson
from fastapi import APIRouter, Query

from services.ingest.routes.caller import Open, PrivacyOfficer, now
from services.ingest.routes.consent_problems import OWN_CASE, PROOF_ERASED
from services.ingest.routes.consent_views import (
    ConsentProofs,
    KeptConsents,
    KeptConsentView,
    ProofView,
    ReadingList,
)
from services.ingest.store import Reading, ReadingReason
from shared.blobs import BlobMissing

router = APIRouter(tags=["privacy"])


@router.get("/consents")
async def list_consents(
    case_id: Annotated[str, Query(max_length=64)], officer: PrivacyOfficer, open_: Open
) -> KeptConsents:
    """The consents that were ever given to a case, without their proofs; also after the case has ended."""
    return KeptConsents(items=[KeptConsentView.of(one) for one in await open_.consents.kept_of(case_id)])


@router.get("/consents/{consent_id}/proof")
async def read_proof(
    consent_id: str,
    reason: Annotated[ReadingReason, Query(description="Why the proof is read; it is recorded with your id")],
    officer: PrivacyOfficer,
    open_: Open,
    reference: Annotated[
        str, Query(max_length=40, pattern=r"^[A-Za-z0-9./_-]*$", description="A file number, no name")
    ] = "",
) -> ConsentProofs:
    """The signed forms of a consent with the records sealed beside them. Each reading is recorded first."""
    kept = await open_.consents.kept(consent_id)
    if await open_.store.author_of(kept.case_id) == officer.member_id:
        raise OWN_CASE()
    proofs = []
    for proof_id in kept.proof_ids:
        reading = Reading(
            consent_id=consent_id,
            case_id=kept.case_id,
            proof_id=proof_id,
            officer_id=officer.member_id,
            reason=reason,
            reference=reference,
        )
        await open_.readings.note(reading, now())
        try:
            proof = await open_.consents.proof(kept, proof_id)
        except BlobMissing as error:
            raise PROOF_ERASED() from error
        proofs.append(
            ProofView(
                proof_id=proof_id,
                record=orjson.loads(proof.record),
                record_sha256=proof.record_sha256,
                sheet_type=proof.sheet_type,
                sheet_base64=base64.b64encode(proof.sheet).decode(),
            )
        )
    return ConsentProofs(**KeptConsentView.of(kept).model_dump(), proofs=proofs)


@router.get("/consent-readings")
async def list_readings(officer: PrivacyOfficer, open_: Open) -> ReadingList:
    """Who has read a proof, when and why, and whether the chain of these records is whole."""
    items, flaws = await open_.readings.all()
    return ReadingList(items=items, flaws=[f"{flaw.sequence}: {flaw.problem}" for flaw in flaws])
