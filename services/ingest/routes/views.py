"""What the routes take and show, as JSON. Texts are stripped; unknown fields are refused."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.ingest import consent_texts
from services.ingest.domain.case import MAX_PICTURES, Case, CaseState, Decision, Picture
from services.ingest.domain.comment import MAX_COMMENT_CHARACTERS, Comment
from services.ingest.domain.consent import Purpose
from shared.events import (
    Box,
    CommentKind,
    FrameBoxes,
    Language,
    Marks,
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

# Line breaks and tabs are text; other control characters are not.
_NO_CONTROLS = r"^[^\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]*$"
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
]
Prose = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000, pattern=_NO_CONTROLS)]
MAX_CLINICAL_PER_FRAME = 4
_TOO_MANY_CLINICAL = Text(
    en=f"A frame takes at most {MAX_CLINICAL_PER_FRAME} clinical boxes.",
    fr=f"Une vue accepte au plus {MAX_CLINICAL_PER_FRAME} zones cliniques.",
)
_ANSWERED_TWICE = Text(en="Answer only once for each picture.", fr="Ne répondez qu'une fois pour chaque image.")


class Asking(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewCase(Asking):
    specialty: Specialty
    kind: QuestionKind
    language: Language
    title: Line
    body: Prose


class CaseChanges(Asking):
    """Only the fields that are given change."""

    specialty: Specialty | None = None
    kind: QuestionKind | None = None
    language: Language | None = None
    title: Line | None = None
    body: Prose | None = None

    def given(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True)


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


class NewConsent(Asking):
    """`patient_code` is your own code for the patient: letters, digits and dashes, with a digit, never a name."""

    patient_code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z-]*[0-9][A-Za-z0-9-]*$", max_length=32)]
    purposes: Annotated[list[Purpose], Field(min_length=1, max_length=len(Purpose))]
    language: Language
    text_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    signed_on: date


class MarksOfPicture(MarksGiven):
    picture_id: Annotated[str, StringConstraints(max_length=64)]


class NewSubmission(Asking):
    """`marks`: one answer for each picture of the kinds that GET /questions names."""

    marks: Annotated[list[MarksOfPicture], Field(max_length=MAX_PICTURES)] = []

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
        StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_COMMENT_CHARACTERS, pattern=_NO_CONTROLS),
    ]
    parent_id: Annotated[str, StringConstraints(max_length=64)] | None = None


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


class ConsentView(BaseModel):
    """The recorded consent. `problem`: why it does not allow the case as it is to be submitted; null where it does."""

    patient_code: str
    purposes: tuple[Purpose, ...]
    language: Language
    text_sha256: str
    signed_on: date
    recorded_at: datetime
    valid: bool
    problem: str | None


class CaseView(BaseModel):
    """A case as its author sees it. `decision` is moderation's last one."""

    case_id: str
    state: CaseState
    version: int
    specialty: Specialty
    kind: QuestionKind
    language: Language
    title: str
    body: str
    pictures: list[PictureView]
    needs_consent: bool
    consent: ConsentView | None
    decision: Decision | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, case: Case, at: datetime) -> "CaseView":
        consent = None
        if case.consent is not None:
            part_of_a_face = any(picture.part_of_a_face for picture in case.pictures)
            problem = case.consent.problem(
                case.picture_revisions(), consent_texts.hashes(), at, part_of_a_face=part_of_a_face
            )
            consent = ConsentView(**case.consent.model_dump(exclude={"covers"}), valid=problem is None, problem=problem)
        return cls(
            **{name: getattr(case, name) for name in cls.model_fields if name not in ("pictures", "consent")},
            pictures=[PictureView.of(picture) for picture in case.pictures],
            consent=consent,
        )


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
        return cls(**dict(comment))
