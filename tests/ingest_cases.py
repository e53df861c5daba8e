"""Cases for tests of the rules: painted, consented to, submitted, published; no platform."""

from datetime import UTC, datetime
from typing import Any

from services.ingest.domain.case import Case
from services.ingest.domain.consent import Consent
from services.ingest.domain.picture import Picture
from services.ingest.domain.states import CaseState
from shared.events import (
    CaseApproved,
    CaseRedacted,
    CaseRejected,
    CaseSubmitted,
    Frame,
    Language,
    MarkAnswer,
    Marks,
    PictureKind,
    QuestionKind,
    RedactionOutcome,
    Region,
    RegionKind,
    RejectOutcome,
    Specialty,
)
from tests.consents import give_consent

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TEXT = "a" * 64
TEXTS: dict[Language, frozenset[str]] = {"en": frozenset({TEXT}), "fr": frozenset({"b" * 64})}
FACE = Region(kind=RegionKind.FACE, box=(10, 10, 20, 20), score=0.9, detector="test")
BOX = Region(kind=RegionKind.MANUAL, box=(0, 0, 5, 5))


def case(**changes: Any) -> Case:
    fields: dict[str, Any] = {
        "case_id": "case-1",
        "author_id": "member-1",
        "specialty": Specialty.DERMATOLOGY,
        "kind": QuestionKind.DIAGNOSIS,
        "language": "en",
        "title": "A wound",
        "body": "What would you do?",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Case(**fields | changes)


def state(found: Case) -> CaseState:
    """Asked anew: a type checker remembers the last answer."""
    return found.state


def picture(picture_id: str = "picture-1") -> Picture:
    return Picture(
        picture_id=picture_id, kind=PictureKind.WOUND, media_type="image/jpeg", size_bytes=9, width=100, height=80
    )


def redacted(picture_id: str | None = "picture-1", revision: int = 1, **changes: Any) -> CaseRedacted:
    frame = Frame(index=0, width=100, height=80, regions=(FACE,), renditions=())
    fields: dict[str, Any] = {
        "case_id": "case-1",
        "picture_id": picture_id,
        "revision": revision,
        "pictures_total": 1,
        "outcome": RedactionOutcome.REDACTED,
        "frames": (frame,) if picture_id else (),
    }
    return CaseRedacted(**fields | changes)


def consent(found: Case, now: datetime = NOW, *, text: str = TEXT, **changes: Any) -> Consent:
    """The patient is informed, asked, and signs."""
    return give_consent(found, TEXTS, now, text=text, **changes)


def approval(version: int) -> CaseApproved:
    return CaseApproved(
        case_id="case-1",
        version=version,
        author_id="member-1",
        specialty=Specialty.DERMATOLOGY,
        kind=QuestionKind.DIAGNOSIS,
        language="en",
        title="A wound",
        text="What would you do?",
        approved_at=NOW,
    )


def rejection(version: int, outcome: RejectOutcome = RejectOutcome.CHANGES) -> CaseRejected:
    return CaseRejected(case_id="case-1", version=version, outcome=outcome, reasons=("blurred",), decided_at=NOW)


def ready() -> Case:
    """A case with one painted picture."""
    found = case()
    found.add_picture(NOW, picture())
    found.start_redaction(NOW)
    found.take_rendering(redacted(), NOW)
    return found


def no_marks(found: Case) -> dict[str, Marks]:
    """What an author answers who sees no tattoo, scar, jewellery or birthmark anywhere."""
    return {one.picture_id: Marks(answer=MarkAnswer.NONE) for one in found.pictures if one.marks_asked}


def submit(found: Case, at: datetime = NOW) -> CaseSubmitted:
    return found.submit(TEXTS, at, no_marks(found))


def submitted() -> Case:
    found = ready()
    consent(found)
    submit(found)
    return found


def published() -> Case:
    found = submitted()
    found.take_approval(approval(found.version), NOW)
    return found
