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
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from shared.events.values import (
    ApprovedPicture,
    ConsentFacts,
    Frame,
    FrameBoxes,
    Id,
    Language,
    Note,
    PatientFacts,
    Revision,
    SubmittedPicture,
    TextCombination,
    TextFinding,
    UploadedPicture,
    Version,
)
from shared.events.vocabulary import (
    CommentKind,
    Contributions,
    MemberStatus,
    PictureKind,
    Profession,
    QuestionKind,
    RedactionOutcome,
    RejectOutcome,
    Role,
    Specialty,
    WithdrawalCause,
)

Count = Annotated[int, Field(ge=0)]

PARTITIONS = 24
"""Partitions of every event topic. Never changes: the partition is computed from the id (`partition_for`)."""


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
    """The full public state of a member: never a civil name or an address.

    `profession` is None for patients and relatives. `registry` and `verified_at`: where and when the profession was
    found; `checked_at`: when it was last looked up again. With the status `left` the pseudonym is empty, the profile
    gone, and `contributions` says what becomes of what the member wrote.
    """

    member_id: Id
    version: Version
    pseudonym: str
    profession: Profession | None
    specialty: Specialty | None = None
    country: str | None = None
    roles: tuple[Role, ...]
    status: MemberStatus
    registry: str | None = None
    verified_at: datetime | None = None
    checked_at: datetime | None = None
    contributions: Contributions | None = None


class BlocksChanged(Event, topic="member.blocked", emitter="identity", key="member_id", partition="member_id"):
    """Whom a member has blocked, the whole list: these can neither page the member nor comment on their cases."""

    member_id: Id
    version: Version
    blocked: tuple[Id, ...] = ()


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
    findings: tuple[TextFinding, ...] = ()
    combinations: tuple[TextCombination, ...] = ()
    patient: PatientFacts | None = None


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
    consent: ConsentFacts | None = None
    patient: PatientFacts | None = None


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
    cause: WithdrawalCause = WithdrawalCause.AUTHOR


class Erased(Event):
    """One service has nothing of a withdrawn case left: an id, a time and counts, and no word of the case.

    The answer to `CaseWithdrawn`, sent also where there was nothing to erase, and again each time it is asked for by
    the same `CaseWithdrawn`. Every service has a topic of its own, so that Kafka's rights say who confirms. Of what was
    erased, this time: `cases`: copies of the case in a database; `comments`: copies of its comments; `objects`: files;
    `letters`: messages that the service had put aside. `erased_at`: when nothing was left. Kept as the ledger is.
    """

    case_id: Id
    erased_at: datetime
    cases: Count = 0
    comments: Count = 0
    objects: Count = 0
    letters: Count = 0


class FeedErased(Erased, topic="feed.erased", emitter="feed"):
    """No build of the feed's read models holds anything of the case, nor does a dead letter of the feed."""


class ModerationErased(Erased, topic="moderation.erased", emitter="moderation"):
    """Of the case, moderation has nothing but ids and the audit chain; no comment, no dead letter."""


class RedactorErased(Erased, topic="redactor.erased", emitter="redactor"):
    """No painted picture of the case is left, and no dead letter of the redactor."""


class ConsentExpiring(Event, topic="consent.expiring", emitter="ingest"):
    """A case's consent ends soon, and the case with it: its author is told. `days_before`: which warning this is."""

    case_id: Id
    version: Version
    author_id: Id
    expires_on: date
    days_before: Annotated[int, Field(ge=0)] = 0


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
    findings: tuple[TextFinding, ...] = ()


class CommentRejected(Event, topic="comment.rejected", emitter="moderation", key="comment_id"):
    """A moderator decided that a comment must go, with a reason code; ingest erases it."""

    comment_id: Id
    case_id: Id
    version: Version
    reason: str
    decided_at: datetime


EVENTS: tuple[type[Event], ...] = (
    MemberChanged,
    BlocksChanged,
    CaseUploaded,
    RedactionRequested,
    CaseRedacted,
    CaseSubmitted,
    CaseApproved,
    CaseRejected,
    CaseWithdrawn,
    FeedErased,
    ModerationErased,
    RedactorErased,
    ConsentExpiring,
    CommentAdded,
    CommentRejected,
)
"""Every event, in the order in which a case flows."""

CONSUMES: dict[str, tuple[type[Event], ...]] = {
    "identity": (ConsentExpiring,),
    "ingest": (
        CaseRedacted,
        CaseApproved,
        CaseRejected,
        CommentRejected,
        MemberChanged,
        BlocksChanged,
        FeedErased,
        ModerationErased,
        RedactorErased,
    ),
    "redactor": (CaseUploaded, RedactionRequested, CaseWithdrawn),
    "moderation": (CaseRedacted, CaseSubmitted, CaseWithdrawn, CommentAdded, MemberChanged),
    "feed": (CaseApproved, CaseWithdrawn, CommentAdded, MemberChanged),
}
"""Who listens to what; provisioning grants exactly this."""

GROUPS: dict[str, tuple[str, ...]] = {
    "identity": ("identity",),
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
