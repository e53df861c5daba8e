"""Values inside events: pictures, frames, boxes, and what may be told of a consent."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.events.vocabulary import (
    AgeBand,
    Audience,
    LeftReason,
    MarkAnswer,
    PictureKind,
    RegionKind,
    RenditionSize,
    Sex,
    Timing,
)

Id = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
Language = Literal["fr", "en"]
Revision = Annotated[int, Field(ge=1)]
Version = Annotated[int, Field(ge=1)]
Box = tuple[int, int, int, int]
"""x, y, width, height in pixels of the upright, full-size picture."""
MAX_BOXES = 3_000
"""Regions that a person may list for one picture, all frames. Written out one takes 110 bytes at most, so that the
lists of ten pictures, which one `case.uploaded` carries, stay below Kafka's limit (`bus.MAX_MESSAGE_BYTES`)."""


Note = Annotated[str, StringConstraints(max_length=80, pattern=r"^[a-z_]+(:[0-9]+)?$")]
"""What the redactor remarks about a file: a code and at most one number, as in `first_frame_of:12`. No free text."""


class Fact(BaseModel):
    """A value inside an event: immutable, and strict about unknown fields when produced."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Region(Fact):
    """A part of a picture that is painted over. `box` in upright full-size pixels; `score` from 0 to 1."""

    kind: RegionKind
    box: Box
    score: Annotated[float, Field(ge=0, le=1)] = 1.0
    detector: Annotated[str, StringConstraints(max_length=80)] = "human"


class Rendition(Fact):
    """One painted size of a frame, as bytes in the bucket `cases-redacted`."""

    size: RenditionSize
    object_key: str
    media_type: Literal["image/jpeg", "image/png"]
    width: int
    height: int
    size_bytes: int
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Frame(Fact):
    """One painted frame: what was covered (`regions`) and what the second look still found (`residual`).

    `proposals`: what the machine suspects and did not paint; a person covers it or leaves it. `clinical`: the boxes
    that the author marked, which the paint of a face leaves out.
    """

    index: Annotated[int, Field(ge=0)]
    width: int
    height: int
    regions: tuple[Region, ...] = ()
    residual: tuple[Region, ...] = ()
    proposals: tuple[Region, ...] = ()
    clinical: tuple[Box, ...] = ()
    renditions: tuple[Rendition, ...]


class FrameBoxes(Fact):
    """The complete list of boxes that a person wants painted on one frame.

    `clinical`: boxes that the paint of a face leaves out, complete as well (what is not listed is covered again);
    all else of the face is painted, and what other kinds cover stays covered.
    """

    frame: Annotated[int, Field(ge=0)]
    boxes: tuple[Region, ...] = ()
    clinical: tuple[Box, ...] = ()


class UploadedPicture(Fact):
    """A picture at the redactor's door. `boxes` None: the machine decides; else the complete list, frame by frame."""

    picture_id: Id
    revision: Revision
    kind: PictureKind
    media_type: str
    size_bytes: int
    boxes: tuple[FrameBoxes, ...] | None = None


class Marks(Fact):
    """The answer to the standing question about marks on the skin; `reasons` say why a mark was left."""

    answer: MarkAnswer
    reasons: tuple[LeftReason, ...] = ()


class SubmittedPicture(Fact):
    """A picture as the author saw it when submitting: later revisions come from moderation.

    `marks`: what the author answered about it; None where nothing is asked (see `SKIN_KINDS`).
    """

    picture_id: Id
    revision: Revision
    kind: PictureKind
    marks: Marks | None = None


class ApprovedPicture(Fact):
    """A picture that a moderator has seen and decided to publish, with the hashes of every byte to be served."""

    picture_id: Id
    revision: Revision
    kind: PictureKind
    frames: tuple[Frame, ...]


class ConsentFacts(Fact):
    """What may be told of a consent: its scope and the text that was signed, nothing of the patient.

    `expires_on`: the last day on which the case may be shown; None in records from before consents had an end.
    """

    purposes: tuple[str, ...]
    language: Language
    text_sha256: str
    signed_on: date
    audience: Audience = Audience.PROFESSIONALS_AND_STUDENTS
    expires_on: date | None = None


class PatientFacts(Fact):
    """What is told of a patient beside the text: generalised, each only where the author says it.

    `region`: a country (ISO 3166-1) or a part of one that has some hundred thousand inhabitants, as `FR-75`; the codes
    are those of GET /patient-facts.
    """

    age_band: AgeBand | None = None
    sex: Sex | None = None
    region: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}(-[A-Z0-9]{2,3})?$")] | None = None
    timing: Timing | None = None


class TextFinding(Fact):
    """Words in a text that may tell who somebody is: where, never which. Offsets in Unicode code points."""

    field: Literal["title", "body", "comment"]
    kind: Annotated[str, StringConstraints(max_length=40, pattern=r"^[a-z_]+$")]
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]


class PartSeen(Fact):
    """One part of a combination: words of a text, in Unicode code points, or a fact beside it, without a span."""

    part: Annotated[str, StringConstraints(max_length=40, pattern=r"^[a-z_]+$")]
    field: Literal["title", "body", "age_band", "sex", "region", "timing"]
    start: Annotated[int, Field(ge=0)] | None = None
    end: Annotated[int, Field(ge=0)] | None = None


class TextCombination(Fact):
    """Parts that together may tell who the patient is, and that the author keeps: where, never which words.

    `code`: the parts joined by a plus, as `rare_condition+place`.
    """

    code: Annotated[str, StringConstraints(max_length=200, pattern=r"^[a-z_]+([+][a-z_]+)*$")]
    seen: tuple[PartSeen, ...] = ()
