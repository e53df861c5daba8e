"""Every event of Consilium, declared once.

An event is an immutable fact in the past tense with one topic and one emitter. It carries references and neutral
facts (ids, specialty, counts, boxes), never pixels, file names, keys, patient details or civil names; free text
travels only once it is published (`CaseApproved`, `CommentAdded`).

On the wire an event is a CloudEvents 1.0 message in binary mode: attributes in Kafka headers (`ce_id`, `ce_type`,
`ce_source`, `ce_subject`, `ce_time`, `ce_specversion`), the value plain JSON. Key: the id of the entity whose
state the event replaces, so that topics can be compacted. Partition: computed from the case (the member for
`MemberChanged`), so that one case stays in order within a topic and its tombstone meets its records.

Producers refuse unknown fields; consumers ignore them (`Event.parse`). A field may be added with a default;
anything else is a new version.
"""

import hashlib
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

PARTITIONS = 24
"""Partitions of every event topic. Never changes: the partition is computed from the id (`partition_for`)."""

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


class Profession(StrEnum):
    PHYSICIAN = "physician"
    STUDENT = "student"
    NURSE = "nurse"
    MIDWIFE = "midwife"
    PHARMACIST = "pharmacist"
    DENTIST = "dentist"
    PHYSIOTHERAPIST = "physiotherapist"
    PSYCHOLOGIST = "psychologist"
    PODIATRIST = "podiatrist"


class MemberStatus(StrEnum):
    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    SUSPENDED = "suspended"


class Role(StrEnum):
    MEMBER = "member"
    MODERATOR = "moderator"
    CREDENTIAL_REVIEWER = "credential_reviewer"


class Specialty(StrEnum):
    ANAESTHESIOLOGY = "anaesthesiology"
    CARDIOLOGY = "cardiology"
    DENTISTRY = "dentistry"
    DERMATOLOGY = "dermatology"
    EMERGENCY_MEDICINE = "emergency_medicine"
    ENDOCRINOLOGY = "endocrinology"
    GASTROENTEROLOGY = "gastroenterology"
    GENERAL_PRACTICE = "general_practice"
    GERIATRICS = "geriatrics"
    GYNAECOLOGY_OBSTETRICS = "gynaecology_obstetrics"
    HAEMATOLOGY = "haematology"
    INFECTIOUS_DISEASES = "infectious_diseases"
    INTERNAL_MEDICINE = "internal_medicine"
    NEPHROLOGY = "nephrology"
    NEUROLOGY = "neurology"
    NURSING = "nursing"
    ONCOLOGY = "oncology"
    OPHTHALMOLOGY = "ophthalmology"
    ORTHOPAEDICS = "orthopaedics"
    OTORHINOLARYNGOLOGY = "otorhinolaryngology"
    PAEDIATRICS = "paediatrics"
    PHARMACY = "pharmacy"
    PHYSIOTHERAPY = "physiotherapy"
    PODIATRY = "podiatry"
    PSYCHIATRY = "psychiatry"
    PULMONOLOGY = "pulmonology"
    RADIOLOGY = "radiology"
    RHEUMATOLOGY = "rheumatology"
    SURGERY = "surgery"
    UROLOGY = "urology"
    WOUND_CARE = "wound_care"


class QuestionKind(StrEnum):
    DIAGNOSIS = "diagnosis"
    TREATMENT = "treatment"
    MANAGEMENT = "management"
    POSOLOGY = "posology"
    ADMINISTRATIVE = "administrative"
    MEDICO_LEGAL = "medico_legal"
    OPINION = "opinion"
    TEACHING = "teaching"
    PRACTICE = "practice"


class PictureKind(StrEnum):
    PHOTO = "photo"
    WOUND = "wound"
    XRAY = "xray"
    ECG = "ecg"
    SCAN = "scan"
    ECHO = "echo"
    LAB = "lab"
    HISTOLOGY = "histology"


class CommentKind(StrEnum):
    DIAGNOSIS = "diagnosis"
    TREATMENT = "treatment"
    QUESTION = "question"
    REMARK = "remark"


SKIN_KINDS = frozenset({PictureKind.PHOTO, PictureKind.WOUND})
"""Pictures that may show skin: author and moderator say of each whether a mark on it could tell who the patient is."""


class MarkAnswer(StrEnum):
    """What a person says of a tattoo, scar, piece of jewellery or birthmark: there is none, it is covered, or it stays.

    Of a proposal the only answers are `covered` and `left`.
    """

    NONE = "none"
    COVERED = "covered"
    LEFT = "left"


class LeftReason(StrEnum):
    """Why a mark stays visible, or why a proposal is not covered. Stable codes."""

    SCAR = "scar"
    BIRTHMARK = "birthmark"
    JEWELLERY = "jewellery"
    LESION = "lesion"
    NOT_IDENTIFYING = "not_identifying"
    NO_MARK = "no_mark"


class RegionKind(StrEnum):
    FACE = "face"
    TEXT = "text"
    TATTOO = "tattoo"
    CODE = "code"
    MANUAL = "manual"


class RenditionSize(StrEnum):
    FULL = "full"
    LARGE = "large"
    SMALL = "small"


class RedactionOutcome(StrEnum):
    REDACTED = "redacted"
    UNREADABLE = "unreadable"


class RejectOutcome(StrEnum):
    REJECTED = "rejected"
    CHANGES = "changes"


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
    """What may be told of a consent: its scope and the text that was signed, nothing of the patient."""

    purposes: tuple[str, ...]
    language: Language
    text_sha256: str
    signed_on: date


class Event(BaseModel):
    """A fact that other services may act on. Subclasses name their topic and emitter in the class line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: ClassVar[str]
    emitter: ClassVar[str]
    key_field: ClassVar[str]
    partition_field: ClassVar[str]
    schema_version: ClassVar[int]

    def __init_subclass__(
        cls,
        *,
        topic: str = "",
        emitter: str = "",
        key: str = "case_id",
        partition: str = "case_id",
        version: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.topic, cls.emitter, cls.key_field, cls.partition_field = topic, emitter, key, partition
        cls.schema_version = version

    @classmethod
    def ce_type(cls) -> str:
        """The CloudEvents type, for example `consilium.case.uploaded.v1`."""
        return f"consilium.{cls.topic}.v{cls.schema_version}"

    @property
    def key(self) -> str:
        """The id of the entity whose state this event replaces: the Kafka key and the CloudEvents subject."""
        return str(getattr(self, self.key_field))

    @property
    def partition_key(self) -> str:
        """The id from which the partition is computed."""
        return str(getattr(self, self.partition_field))

    @classmethod
    def parse(cls, data: bytes | str) -> Self:
        """Read an event as a consumer does: unknown fields are ignored at every depth.

        Raises pydantic.ValidationError where a known field is missing or wrong.
        """
        return cls.model_validate_json(data, extra="ignore")

    def to_json(self) -> bytes:
        """The message's value: UTF-8 JSON."""
        return self.model_dump_json().encode()


class MemberChanged(Event, topic="member.changed", emitter="identity", key="member_id", partition="member_id"):
    """The full public state of a member: never a civil name or an address."""

    member_id: Id
    version: Version
    pseudonym: str
    profession: Profession
    specialty: Specialty | None = None
    country: str | None = None
    roles: tuple[Role, ...]
    status: MemberStatus
    registry: str | None = None
    verified_at: datetime | None = None


class CaseUploaded(Event, topic="case.uploaded", emitter="ingest"):
    """A case's pictures wait for the redactor; replaces the case's earlier list."""

    case_id: Id
    version: Version
    author_id: Id
    specialty: Specialty
    kind: QuestionKind
    language: Language
    pictures: tuple[UploadedPicture, ...] = ()


class RedactionRequested(Event, topic="redaction.requested", emitter="moderation", key="picture_id"):
    """A moderator changed a picture's boxes: exactly these are to be painted, as the given revision."""

    case_id: Id
    picture_id: Id
    revision: Revision
    kind: PictureKind
    media_type: str = ""
    boxes: tuple[FrameBoxes, ...]
    position: Annotated[int, Field(ge=0)] = 0
    pictures_total: Annotated[int, Field(ge=0)] = 1


class CaseRedacted(Event, topic="case.redacted", emitter="redactor", key="entity_id"):
    """One picture of a case was painted, or could not be read.

    One event a picture; a case without pictures is answered once with `picture_id` None. `position` (from 0) and
    `pictures_total` tell a reader of the stream when a case is complete. `reason` is a stable code and is set only
    when the outcome is `unreadable`. `notes`: what was made of the file, for example that only the first frame of
    twelve was taken. `seconds`: the redactor's own wall time for the picture.
    """

    case_id: Id
    picture_id: Id | None
    revision: Revision
    position: Annotated[int, Field(ge=0)] = 0
    pictures_total: Annotated[int, Field(ge=0)]
    outcome: RedactionOutcome
    reason: str | None = None
    frames: tuple[Frame, ...] = ()
    notes: tuple[Note, ...] = ()
    seconds: Annotated[float, Field(ge=0)] = 0.0

    @property
    def entity_id(self) -> str:
        """The picture, or the case where it has none."""
        return self.picture_id or self.case_id


class CaseSubmitted(Event, topic="case.submitted", emitter="ingest"):
    """The author asks for publication. The text is an object in the bucket `texts`, not in the event."""

    case_id: Id
    version: Version
    author_id: Id
    specialty: Specialty
    kind: QuestionKind
    language: Language
    text_version: Version
    pictures: tuple[SubmittedPicture, ...] = ()
    consent: ConsentFacts | None = None


class CaseApproved(Event, topic="case.approved", emitter="moderation"):
    """A moderator saw everything listed here and approved it: the text and, byte for byte, the pictures."""

    case_id: Id
    version: Version
    author_id: Id
    specialty: Specialty
    kind: QuestionKind
    language: Language
    title: str
    text: str
    pictures: tuple[ApprovedPicture, ...] = ()
    approved_at: datetime


class CaseRejected(Event, topic="case.rejected", emitter="moderation"):
    """A moderator declined the case (`rejected`) or sent it back (`changes`), with reason codes."""

    case_id: Id
    version: Version
    outcome: RejectOutcome
    reasons: tuple[str, ...]
    decided_at: datetime


class CaseWithdrawn(Event, topic="case.withdrawn", emitter="ingest"):
    """The case is gone for good. Ids only; kept for ever: the ledger that a restored backup must apply first."""

    case_id: Id
    version: Version
    picture_ids: tuple[Id, ...] = ()
    withdrawn_at: datetime


class CommentAdded(Event, topic="comment.added", emitter="ingest", key="comment_id"):
    """A published answer to a published case."""

    comment_id: Id
    case_id: Id
    version: Version
    author_id: Id
    kind: CommentKind
    text: str
    parent_id: Id | None = None
    created_at: datetime


EVENTS: tuple[type[Event], ...] = (
    MemberChanged,
    CaseUploaded,
    RedactionRequested,
    CaseRedacted,
    CaseSubmitted,
    CaseApproved,
    CaseRejected,
    CaseWithdrawn,
    CommentAdded,
)
"""Every event, in the order in which a case flows."""

CONSUMES: dict[str, tuple[type[Event], ...]] = {
    "identity": (),
    "ingest": (CaseRedacted, CaseApproved, CaseRejected, MemberChanged),
    "redactor": (CaseUploaded, RedactionRequested, CaseWithdrawn),
    "moderation": (CaseRedacted, CaseSubmitted, CaseWithdrawn, MemberChanged),
    "feed": (CaseApproved, CaseWithdrawn, CommentAdded, MemberChanged),
}
"""Who listens to what; provisioning grants exactly this."""

GROUPS: dict[str, tuple[str, ...]] = {
    "identity": (),
    "ingest": ("ingest",),
    "redactor": ("redactor", "redactor-interactive"),
    "moderation": ("moderation",),
    "feed": ("feed",),
}
"""Consumer groups of each service. The redactor's interactive group answers a moderator who waits."""


def event_by_type(ce_type: str) -> type[Event] | None:
    """The event class of a CloudEvents type, or None where this code knows no such type or version."""
    return _BY_TYPE.get(ce_type)


def partition_for(partition_key: str, partitions: int = PARTITIONS) -> int:
    """The partition of an entity: the first 8 bytes of SHA-256 of its id, big-endian, modulo the partitions.

    Written down here, and not left to a client's default partitioner, because every producer in every language
    must agree on it for ever.
    """
    return int.from_bytes(hashlib.sha256(partition_key.encode()).digest()[:8], "big") % partitions


def dead_topic(topic: str, service: str) -> str:
    """Where `service` puts messages of `topic` that it cannot use."""
    return f"{topic}.{service}.dead"


_BY_TYPE: dict[str, type[Event]] = {event.ce_type(): event for event in EVENTS}
