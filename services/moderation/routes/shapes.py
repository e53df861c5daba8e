"""The shapes of requests and answers: stable names, times in UTC, boxes in upright full-size pixels."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.moderation.domain import (
    Answers,
    Claim,
    Decision,
    FirstApproval,
    PictureDecision,
    ProposalAnswer,
    ReasonCode,
    Review,
    Round,
    RoundOutcome,
    needs_second_moderator,
    uncovered_faces,
)
from shared.events import (
    MAX_BOXES,
    SKIN_KINDS,
    Box,
    ConsentFacts,
    FrameBoxes,
    Language,
    LeftReason,
    MarkAnswer,
    Marks,
    PatientFacts,
    PictureKind,
    QuestionKind,
    RedactionOutcome,
    Region,
    RejectOutcome,
    RenditionSize,
    Specialty,
)
from shared.findings import FindingShown
from shared.findings import shown as findings_shown
from shared.notes import NoteShown, in_words
from shared.questions import MarksGiven, check_reason
from shared.singling import CombinationShown
from shared.singling import shown as combinations_shown

FIRST_APPROVED: Literal["first_approved"] = "first_approved"

CaseId = Annotated[str, Path(min_length=1, max_length=64)]
PictureId = Annotated[str, Path(min_length=1, max_length=64)]


class Asked(BaseModel):
    """A request's body: an unknown field is a mistake worth telling."""

    model_config = ConfigDict(extra="forbid")


class BoxesAsked(Asked):
    """`revision`: the one that was looked at. `frames`: every frame of it, each with its complete lists; at
    most 3,000 boxes a picture. Of those that the machine found, kind and place are enough.

    `clinical` boxes are the author's: keep them, make them smaller, or leave them out and the face is painted there.
    """

    revision: int = Field(ge=1)
    frames: list[FrameBoxes] = Field(max_length=500)


class ProposalAnswered(Asked):
    """`proposal`: the place (from 0) in the list of the frame. `left` needs a reason, `covered` takes none."""

    frame: int = Field(ge=0)
    proposal: int = Field(ge=0)
    answer: Literal[MarkAnswer.COVERED, MarkAnswer.LEFT]
    reason: LeftReason | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "ProposalAnswered":
        check_reason(self.answer, self.reason is not None)
        return self


class DecisionAsked(Asked):
    """To publish, answer each proposal of the revision, and `marks` where the picture has `marks_asked`."""

    revision: int = Field(ge=1)
    decision: PictureDecision
    reason: ReasonCode | None = None
    proposals: list[ProposalAnswered] = Field(default=[], max_length=MAX_BOXES)
    marks: MarksGiven | None = None

    def answers(self) -> Answers:
        return Answers(
            proposals=tuple(ProposalAnswer(**each.model_dump()) for each in self.proposals),
            marks=self.marks.marks() if self.marks else None,
        )


class RejectionAsked(Asked):
    outcome: RejectOutcome
    reasons: list[ReasonCode] = Field(min_length=1, max_length=len(ReasonCode))


class QueueItem(BaseModel):
    """Neutral facts about a case that can be claimed."""

    case_id: str
    submitted_at: datetime
    version: int
    specialty: Specialty
    kind: QuestionKind
    language: Language
    pictures: int
    pictures_outstanding: int
    findings: int = Field(0, description="Words that may identify somebody and that the author keeps.")
    combinations: int = Field(0, description="Combinations that may single the patient out and that the author keeps.")
    rounds: int = Field(description="Earlier decisions on this case: more than 0 means it came back after changes.")
    needs_second_moderator: bool = Field(
        False, description="A picture shows a face or part of one: two moderators must agree."
    )
    first_approved_at: datetime | None = Field(None, description="When the first of the two approved; null before.")


class QueuePage(BaseModel):
    items: list[QueueItem]
    next_cursor: str | None


class ClaimShown(BaseModel):
    case_id: str
    claim_id: str
    claimed_at: datetime
    expires_at: datetime = Field(description="Later with each act of the holder.")

    @classmethod
    def of(cls, case_id: str, claim: Claim) -> "ClaimShown":
        return cls(case_id=case_id, claim_id=claim.claim_id, claimed_at=claim.claimed_at, expires_at=claim.expires_at)


class RenditionShown(BaseModel):
    size: RenditionSize
    url: str = Field(description="Path below this service's prefix.")
    media_type: str
    width: int
    height: int
    size_bytes: int
    sha256: str


class FrameShown(BaseModel):
    index: int
    width: int
    height: int
    seen: bool = Field(description="Whether its full-size bytes were served to you in this claim.")
    regions: tuple[Region, ...]
    residual: tuple[Region, ...] = Field(description="What the second look still found: look here first.")
    proposals: tuple[Region, ...] = Field(description="What the machine suspects and did not paint: answer each.")
    uncovered_faces: tuple[Box, ...] = Field(description="Seen in some revision and not painted in this one.")
    clinical: tuple[Box, ...] = Field(description="Marked by the author: the paint of a face leaves it out.")
    renditions: list[RenditionShown]


class DecisionShown(BaseModel):
    picture_id: str
    revision: int
    decision: PictureDecision
    reason: ReasonCode | None
    decided_at: datetime
    answers: Answers

    @classmethod
    def of(cls, picture_id: str, said: Decision) -> "DecisionShown":
        return cls(picture_id=picture_id, **{name: getattr(said, name) for name in type(said).model_fields})


class PictureShown(BaseModel):
    picture_id: str
    kind: PictureKind
    revision: int = Field(description="0 where the redactor has not answered yet.")
    awaited_revision: int | None = Field(description="The revision that the redactor still owes.")
    outcome: RedactionOutcome | None
    reason: str | None = Field(description="Why the picture could not be read.")
    notes: list[NoteShown] = Field(description="What was made of the file.")
    marks_asked: bool = Field(description="To publish it, say what marks it shows (GET /questions).")
    author_marks: Marks | None = Field(description="What the author said about marks; null where not asked.")
    needs_second_moderator: bool = Field(
        description="It shows a face or part of one: a second moderator has to approve it too."
    )
    decision: DecisionShown | None
    frames: list[FrameShown]


class RoundShown(BaseModel):
    version: int
    outcome: RoundOutcome
    reasons: tuple[ReasonCode, ...]
    decided_at: datetime


class CaseShown(BaseModel):
    """Everything that its moderator needs to decide a case. Who wrote it is not part of it.

    `findings`: words that may identify somebody, which the author has seen pointed out and kept; `combinations`:
    likewise parts of text and `patient` that together may single the patient out. `patient`: what the author tells of
    the patient, generalised; it is published with the case.
    """

    case_id: str
    version: int
    specialty: Specialty
    kind: QuestionKind
    language: Language
    title: str
    body: str
    findings: list[FindingShown]
    combinations: list[CombinationShown]
    patient: PatientFacts | None
    consent: ConsentFacts | None
    claim: ClaimShown
    pictures: list[PictureShown]
    first_approved_at: datetime | None = Field(description="When another moderator approved, where two are needed.")
    thread: list[RoundShown]

    @classmethod
    def of(cls, review: Review, title: str, body: str) -> "CaseShown":
        """`review` is claimed and read (`Review.read` has passed)."""
        assert review.submission is not None
        assert review.claim is not None
        return cls(
            case_id=review.case_id,
            version=review.submission.version,
            specialty=review.submission.specialty,
            kind=review.submission.kind,
            language=review.submission.language,
            title=title,
            body=body,
            findings=findings_shown(review.submission.findings),
            combinations=combinations_shown(review.submission.combinations),
            patient=review.submission.patient,
            consent=review.submission.consent,
            claim=ClaimShown.of(review.case_id, review.claim),
            pictures=_pictures(review, review.claim),
            first_approved_at=review.first_approval.decided_at if review.first_approval else None,
            thread=[
                RoundShown(**each.model_dump(exclude={"moderator_id", "first_moderator_id"})) for each in review.thread
            ],
        )


class BoxesTaken(BaseModel):
    picture_id: str
    revision: int = Field(description="The revision that the redactor will answer with.")


class AnswerShown(BaseModel):
    """A case's decision. `first_approved`: approved by you, and not published before another moderator agrees."""

    case_id: str
    version: int
    outcome: RoundOutcome | Literal["first_approved"]
    reasons: tuple[ReasonCode, ...]
    decided_at: datetime

    @classmethod
    def of(cls, case_id: str, said: Round | FirstApproval) -> "AnswerShown":
        if isinstance(said, FirstApproval):
            return cls(
                case_id=case_id, version=said.version, outcome=FIRST_APPROVED, reasons=(), decided_at=said.decided_at
            )
        return cls(case_id=case_id, **said.model_dump(exclude={"moderator_id", "first_moderator_id"}))


class ReasonShown(BaseModel):
    code: ReasonCode
    fr: str
    en: str


class ReasonList(BaseModel):
    items: list[ReasonShown]


class FlawShown(BaseModel):
    sequence: int
    problem: str


class AuditShown(BaseModel):
    """The case's records, oldest first. `whole`: every hash is right and follows the one before, none is missing."""

    case_id: str
    whole: bool
    flaws: list[FlawShown]
    items: list[dict[str, object]]


def _pictures(review: Review, claim: Claim) -> list[PictureShown]:
    pictures = []
    for submitted, picture in review.submitted_pictures():
        awaited = max(submitted.revision, picture.requested)
        said = claim.decisions.get(picture.picture_id)
        seen = claim.served.get(picture.picture_id, ())
        frames = [
            FrameShown(
                index=frame.index,
                width=frame.width,
                height=frame.height,
                seen=frame.index in seen,
                regions=frame.regions,
                residual=frame.residual,
                proposals=frame.proposals,
                uncovered_faces=uncovered_faces(picture, frame),
                clinical=frame.clinical,
                renditions=[
                    RenditionShown(
                        url=f"/cases/{review.case_id}/pictures/{picture.picture_id}/frames/{frame.index}/{each.size}",
                        **each.model_dump(exclude={"object_key"}),
                    )
                    for each in frame.renditions
                ],
            )
            for frame in picture.frames
        ]
        pictures.append(
            PictureShown(
                picture_id=picture.picture_id,
                kind=submitted.kind,
                revision=picture.revision,
                awaited_revision=awaited if awaited > picture.revision else None,
                outcome=picture.outcome,
                reason=picture.reason,
                notes=in_words(picture.notes),
                marks_asked=submitted.kind in SKIN_KINDS and not picture.unreadable,
                author_marks=submitted.marks,
                needs_second_moderator=needs_second_moderator(picture),
                decision=DecisionShown.of(picture.picture_id, said) if said else None,
                frames=frames,
            )
        )
    return pictures
