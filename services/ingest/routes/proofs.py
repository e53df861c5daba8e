"""What a signature proves, written out: the sealed record that lies with the drawing or the photographed form.

It has to stand for itself years later, when the case is gone: who signed as what, which text (version and hash), which
pictures (hashes of every size that was laid before them), for what, for whom, until when, and who had informed them.
"""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from services.ingest.domain.case import Case
from services.ingest.domain.consent import Means, Purpose, years_after
from services.ingest.domain.consent_request import ConsentRequest, Slot
from services.ingest.pages.offer import Responsible
from services.ingest.routes.sheets import Sheet
from shared.events import Language

FORMAT = "consilium-consent-1"


def drawn_record(
    case: Case,
    request: ConsentRequest,
    slot: Slot,
    purposes: Sequence[Purpose],
    language: Language,
    at: datetime,
    drawing: bytes,
    responsible: Responsible,
) -> dict[str, Any]:
    """A signature drawn on the page: date and time are ours."""
    return {
        **_asked(case, request, language, responsible),
        **_signed(request, [slot], Means.DRAWN, purposes, at.date(), at, drawing),
        "confirmed": ["pictures_seen", "capacity"],
    }


def paper_record(
    case: Case,
    request: ConsentRequest,
    slots: Sequence[Slot],
    purposes: Sequence[Purpose],
    language: Language,
    signed_on: date,
    at: datetime,
    sheet: Sheet,
    responsible: Responsible,
) -> dict[str, Any]:
    """Signatures on paper: date and boxes as the author read them off the sheet, which lies beside it.

    The hash is of the sheet as it is kept; `sheet_metadata` says whether the camera's was left behind.
    """
    return {
        **_asked(case, request, language, responsible),
        **_signed(request, slots, Means.PAPER, purposes, signed_on, at, sheet.data),
        "sheet_metadata": "removed" if sheet.stripped else "as_sent",
        "read_off_by": case.author_id,
    }


def _asked(case: Case, request: ConsentRequest, language: Language, responsible: Responsible) -> dict[str, Any]:
    asked = request.model_dump(
        mode="json",
        include={
            "request_id", "patient_code", "subject", "legal_ground", "relation", "own_view", "audience", "specialty",
            "duration_years", "contact", "information", "pictures", "text_version",
        },
    )  # fmt: skip
    return {
        "format": FORMAT,
        "case_id": case.case_id,
        "author_id": case.author_id,
        "language": language,
        "text_sha256": request.texts[language],
        "purposes_offered": [str(one) for one in request.purposes],
        "requested_at": request.created_at.isoformat(),
        "controller": responsible.controller,
        "data_officer": responsible.data_officer,
        **asked,
    }


def _signed(
    request: ConsentRequest,
    slots: Sequence[Slot],
    means: Means,
    purposes: Sequence[Purpose],
    signed_on: date,
    at: datetime,
    sheet: bytes,
) -> dict[str, Any]:
    return {
        "signers": [{"signer_id": slot.signer_id, "capacity": str(slot.capacity)} for slot in slots],
        "means": str(means),
        "purposes": [str(one) for one in purposes],
        "signed_on": signed_on.isoformat(),
        "received_at": at.isoformat(),
        "last_day": years_after(signed_on, request.duration_years).isoformat(),
        "sheet_sha256": hashlib.sha256(sheet).hexdigest(),
    }
