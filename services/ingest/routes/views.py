"""What the routes take and show, as JSON. Texts are stripped; unknown fields are refused."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, model_validator

from services.ingest import consent_texts
from services.ingest.domain.case import MAX_PICTURES, Case
from services.ingest.domain.comment import MAX_COMMENT_CHARACTERS, Comment
from services.ingest.domain.consent import Purpose
from services.ingest.domain.picture import Picture
from services.ingest.domain.record import Decision
from services.ingest.domain.states import CaseState
from services.ingest.routes.asking import NO_CONTROLS, Asking, Line, Prose
from services.ingest.routes.consent_views import ConsentRequestView, ConsentView, InformationView
from services.ingest.routes.text_shapes import Acknowledged, AcknowledgedCombinations, PatientAsked, TextChecked
from shared.events import (
    Box,
    CommentKind,
    FrameBoxes,
    Language,
    Marks,
    PatientFacts,
    PictureKind,
    QuestionKind,
    RedactionOutcome,
    Region,
    RenditionSize,
    Specialty,
)
from shared.notes import NoteShown, in_words
from shared.questions import MarksGiven
from shared.web import Text, field_error

MAX_CLINICAL_PER_FRAME = 4
_TOO_MANY_CLINICAL = Text(
    en=f"A frame takes at most {MAX_CLINICAL_PER_FRAME} clinical boxes.",
    fr=f"Une vue accepte au plus {MAX_CLINICAL_PER_FRAME} zones cliniques.",
)
_ANSWERED_TWICE = Text(en="Answer only once for each picture.", fr="Ne répondez qu'une fois pour chaque image.")


class NewCase(Asking):
    specialty: Specialty
    kind: QuestionKind
    language: Language
    title: Line
    body: Prose
    patient: PatientAsked | None = None


class CaseChanges(Asking):
    """Only the fields that are given change; `patient` as a whole."""

    specialty: Specialty | None = None
    kind: QuestionKind | None = None
    language: Language | None = None
    title: Line | None = None
    body: Prose | None = None
    patient: PatientAsked | None = None

    def given(self) -> dict[str, Any]:
        patient = {"patient": self.patient.facts()} if self.patient else {}
        return self.model_dump(exclude_none=True, exclude={"patient"}) | patient


class NewBoxes(Asking):
    """Frames that are not named keep the boxes that are painted now; of a named frame both lists are complete.

    `clinical`: what of a face is the question (an eye, a lesion). The paint of regions of the kind `face` leaves out
    the whole blocks of 16 pixels inside it, so 32 pixels a side always show something; nothing else leaves it out. A
    picture with such a box on a face, or with a face whose box you took away, is published only when two moderators
    agree. At most 3,000 boxes a picture, those of frames that are not named included (422 `too-many-boxes`);
    of the boxes that the machine found, kind and place are enough.
    """

    frames: Annotated[list[FrameBoxes], Field(max_length=50)]

    @model_validator(mode="after")
    def _bounded(self) -> "NewBoxes":
        if any(len(entry.clinical) > MAX_CLINICAL_PER_FRAME for entry in self.frames):
            raise field_error("too-many-clinical", _TOO_MANY_CLINICAL)
        return self


class MarksOfPicture(MarksGiven):
    picture_id: Annotated[str, StringConstraints(max_length=64)]


class NewSubmission(Asking):
    """`marks`: one answer for each picture of the kinds that GET /questions names.

    `acknowledged_findings`: each of the findings that you have looked at and keep, with its field, kind, start and end;
    `acknowledged_combinations`: likewise, by code.
    """

    marks: Annotated[list[MarksOfPicture], Field(max_length=MAX_PICTURES, default_factory=list)]
    acknowledged_findings: Acknowledged
    acknowledged_combinations: AcknowledgedCombinations

    @model_validator(mode="after")
    def _once_each(self) -> "NewSubmission":
        if len(self.by_picture()) < len(self.marks):
            raise field_error("answered-twice", _ANSWERED_TWICE)
        return self

    def by_picture(self) -> dict[str, Marks]:
        return {given.picture_id: given.marks() for given in self.marks}


class NewComment(Asking):
    kind: CommentKind
    text: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_COMMENT_CHARACTERS, pattern=NO_CONTROLS),
    ]
    parent_id: Annotated[str, StringConstraints(max_length=64)] | None = None
    acknowledged_findings: Acknowledged


class PictureView(BaseModel):
    """`outcome` is `pending` until the redactor has answered for this revision; `reason` says why it was unreadable.

    `marks`: what you last answered about tattoos, scars, jewellery and birthmarks.
    """

    picture_id: str
    revision: int
    kind: PictureKind
    media_type: str
    size_bytes: int
    width: int
    height: int
    outcome: RedactionOutcome | Literal["pending"]
    reason: str | None = None
    marks: Marks | None = None

    @classmethod
    def of(cls, picture: Picture) -> "PictureView":
        shown = picture.current
        return cls(
            picture_id=picture.picture_id,
            revision=picture.revision,
            kind=picture.kind,
            media_type=picture.media_type,
            size_bytes=picture.size_bytes,
            width=picture.width,
            height=picture.height,
            outcome=shown.outcome if shown else "pending",
            reason=shown.reason if shown else None,
            marks=picture.marks,
        )


class CaseView(BaseModel):
    """A case as its author sees it. `decision` is moderation's last one.

    `consent_problem`: why the case may not be submitted for want of consent, as a code; null where it may.
    """

    case_id: str
    state: CaseState
    version: int
    specialty: Specialty
    kind: QuestionKind
    language: Language
    title: str
    body: str
    patient: PatientFacts | None
    pictures: list[PictureView]
    needs_consent: bool
    information: InformationView | None
    consent_request: ConsentRequestView | None
    consent: ConsentView | None
    consent_problem: str | None
    decision: Decision | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, case: Case, at: datetime) -> "CaseView":
        own = {"pictures", "information", "consent_request", "consent", "consent_problem"}
        return cls(
            **{name: getattr(case, name) for name in cls.model_fields if name not in own},
            pictures=[PictureView.of(picture) for picture in case.pictures],
            information=InformationView.of(case.information),
            consent_request=ConsentRequestView.of(case.consent_request, case) if case.consent_request else None,
            consent=ConsentView.of(case, at),
            consent_problem=case.consent_problem(consent_texts.hashes(), at),
        )


class CaseWritten(CaseView):
    """A case that you have just written. `warnings`: what of title, text and patient may tell who the patient is."""

    warnings: TextChecked


class CaseList(BaseModel):
    items: list[CaseView]
    next_cursor: str | None


class RenditionView(BaseModel):
    size: RenditionSize
    url: str
    media_type: str
    width: int
    height: int
    sha256: str


class FrameView(BaseModel):
    """Boxes in pixels of the upright, full-size frame; `residual` is what the second look still found.

    `proposals`: what the machine suspects and did not paint: cover it by a box, or leave it; a moderator will be
    asked about each that stays. `clinical`: what the paint of a face leaves out.
    """

    index: int
    width: int
    height: int
    regions: tuple[Region, ...]
    residual: tuple[Region, ...]
    proposals: tuple[Region, ...]
    clinical: tuple[Box, ...]
    renditions: list[RenditionView]


class PreviewPicture(BaseModel):
    """`notes`: what was made of the file. `marks_asked`: submitting needs an answer about marks on this picture."""

    picture_id: str
    revision: int
    kind: PictureKind
    outcome: RedactionOutcome | Literal["pending"]
    reason: str | None
    notes: list[NoteShown]
    marks_asked: bool
    frames: list[FrameView]

    @classmethod
    def of(cls, picture: Picture, case_address: str) -> "PreviewPicture":
        shown = picture.current
        address = f"{case_address}/pictures/{picture.picture_id}/frames"
        return cls(
            picture_id=picture.picture_id,
            revision=picture.revision,
            kind=picture.kind,
            outcome=shown.outcome if shown else "pending",
            reason=shown.reason if shown else None,
            notes=in_words(shown.notes if shown else ()),
            marks_asked=picture.marks_asked,
            frames=[
                FrameView(
                    index=frame.index,
                    width=frame.width,
                    height=frame.height,
                    regions=frame.regions,
                    residual=frame.residual,
                    proposals=frame.proposals,
                    clinical=frame.clinical,
                    renditions=[
                        RenditionView(
                            size=one.size,
                            url=f"{address}/{frame.index}/{one.size}",
                            media_type=one.media_type,
                            width=one.width,
                            height=one.height,
                            sha256=one.sha256,
                        )
                        for one in frame.renditions
                    ],
                )
                for frame in (shown.frames if shown else ())
            ],
        )


class PreviewView(BaseModel):
    """The painted pictures: exactly what would be published. To nobody but the author."""

    case_id: str
    state: CaseState
    pictures: list[PreviewPicture]


class WithdrawalView(BaseModel):
    case_id: str
    state: Literal[CaseState.WITHDRAWN] = CaseState.WITHDRAWN
    version: int


class ConsentTextView(BaseModel):
    """A published consent text in Markdown; `sha256` of its UTF-8 bytes goes into the consent record.

    `current`: the text to sign now. One that was signed before another became current stays valid.
    """

    version: str
    language: Language
    sha256: str
    text: str
    current: bool
    purposes: tuple[Purpose, ...] = tuple(Purpose)


class ConsentTextList(BaseModel):
    items: list[ConsentTextView]


class CommentView(BaseModel):
    comment_id: str
    case_id: str
    author_id: str
    kind: CommentKind
    text: str
    parent_id: str | None
    created_at: datetime

    @classmethod
    def of(cls, comment: Comment) -> "CommentView":
        return cls(**comment.model_dump(exclude={"findings"}))
