"""Consents as tests need them: the patient is informed, asked, and everybody signs, by the rules of the domain."""

from datetime import date, datetime
from typing import Any

from services.ingest.domain.case import Case
from services.ingest.domain.consent import Consent, Information, InformedBy, Means, Purpose, Signature, TextHashes
from services.ingest.domain.consent_request import ConsentRequest
from services.ingest.domain.signers import Capacity, Subject
from shared.events import Audience, Language

SIGNER_IDS = {capacity: f"signer-{capacity}" for capacity in Capacity}


def information(now: datetime, **changes: Any) -> Information:
    fields: dict[str, Any] = {
        "informed_on": now.date(),
        "language": "en",
        "means": InformedBy.BOTH,
        "informed_by": "member-1",
        "recorded_at": now,
    }
    return Information(**fields | changes)


def request(case: Case, now: datetime, *, text: str, language: Language = "en", **changes: Any) -> ConsentRequest:
    """What the author asks for; `case` must have been informed."""
    fields: dict[str, Any] = {
        "request_id": "request-1",
        "created_at": now,
        "language": language,
        "text_version": "test",
        "texts": {language: text},
        "patient_code": "P-1",
        "subject": Subject.ADULT,
        "purposes": tuple(Purpose),
        "audience": Audience.PROFESSIONALS_AND_STUDENTS,
        "specialty": case.specialty if changes.get("audience") is Audience.SPECIALTY else None,
        "duration_years": 2,
        "contact": "the ward",
        "information": case.told(),
    }
    return ConsentRequest(**fields | changes)


def ask(case: Case, texts: TextHashes, now: datetime, *, text: str, **changes: Any) -> ConsentRequest:
    """Inform the patient and make a request."""
    case.inform(now, information(now))
    return case.request_consent(request(case, now, text=text, **changes), SIGNER_IDS, texts, now, replace=True)


def signature(capacity: Capacity, now: datetime, *, text: str, **changes: Any) -> Signature:
    fields: dict[str, Any] = {
        "capacity": capacity,
        "means": Means.DRAWN,
        "language": "en",
        "text_sha256": text,
        "purposes": (Purpose.PUBLICATION,),
        "signed_on": now.date(),
        "signed_at": now,
        "proof_id": f"proof-{capacity}",
        "record_sha256": "0" * 64,
    }
    return Signature(**fields | changes)


def give_consent(
    case: Case,
    texts: TextHashes,
    now: datetime,
    *,
    text: str,
    signed_on: date | None = None,
    purposes: tuple[Purpose, ...] = (Purpose.PUBLICATION,),
    **changes: Any,
) -> Consent:
    """Inform, ask and sign; `changes` are of the request."""
    asked = ask(case, texts, now, text=text, **changes)
    signed = {
        slot.signer_id: signature(
            slot.capacity, now, text=text, language=asked.language, signed_on=signed_on or now.date(), purposes=purposes
        )
        for slot in asked.signers
    }
    given = case.sign(asked.request_id, signed, "consent-1", texts, now)
    assert given is not None
    return given
