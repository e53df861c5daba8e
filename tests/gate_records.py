"""One case for the gate: what it is made of, who reads it, and what is written down about it beside the services."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from services.feed.domain import CaseEntry
from services.ingest.domain.consent import Purpose, TextHashes
from shared.events import (
    Audience,
    Box,
    CaseApproved,
    CaseRedacted,
    CaseRejected,
    CaseSubmitted,
    CaseUploaded,
    CaseWithdrawn,
    Frame,
    FrameBoxes,
    Profession,
    RedactionOutcome,
    RedactionRequested,
    Region,
    RegionKind,
    Rendition,
    RenditionSize,
    Specialty,
)

TEXT = "a" * 64
TEXTS: TextHashes = {"en": (TEXT,)}
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
AUTHOR = "author"
MODERATORS = ("ann", "bob", AUTHOR)
SIDE = 100
FACE = Region(kind=RegionKind.FACE, box=(10, 10, 40, 40), score=0.9, detector="faces")
NAME = Region(kind=RegionKind.TEXT, box=(60, 5, 30, 10), score=0.9, detector="text")
HAND = Region(kind=RegionKind.MANUAL, box=(60, 60, 20, 20))
EYE: Box = (20, 20, 8, 8)
BOXES: Mapping[str, FrameBoxes] = {
    "all": FrameBoxes(frame=0, boxes=(FACE, NAME)),
    "more": FrameBoxes(frame=0, boxes=(FACE, NAME, HAND)),
    "eye": FrameBoxes(frame=0, boxes=(FACE, NAME), clinical=(EYE,)),
    "no name": FrameBoxes(frame=0, boxes=(FACE,)),
    "face by hand": FrameBoxes(frame=0, boxes=(Region(kind=RegionKind.MANUAL, box=FACE.box), NAME)),
    "no face": FrameBoxes(frame=0, boxes=(NAME,)),
    "nothing": FrameBoxes(frame=0),
}
CONSUMERS = {
    CaseUploaded: ("redactor",),
    RedactionRequested: ("redactor",),
    CaseRedacted: ("ingest", "moderation"),
    CaseSubmitted: ("moderation",),
    CaseApproved: ("ingest", "feed"),
    CaseRejected: ("ingest",),
    CaseWithdrawn: ("moderation", "feed"),
}
READERS: Sequence[tuple[Profession | None, Specialty | None]] = (
    (Profession.PHYSICIAN, Specialty.DERMATOLOGY),
    (Profession.PHYSICIAN, Specialty.CARDIOLOGY),
    (Profession.NURSE, None),
    (Profession.STUDENT, Specialty.DERMATOLOGY),
    (Profession.STUDENT, Specialty.CARDIOLOGY),
    (Profession.STUDENT, None),
    (None, None),
)


@dataclass(frozen=True)
class Painted:
    """What one revision of a picture shows, as the stand-in of the redactor painted it."""

    regions: tuple[Region, ...]
    clinical: tuple[Box, ...]

    @property
    def face_covered(self) -> bool:
        """Whether the face's own box is covered, by the machine's paint or by a box drawn on it by hand."""
        return any(region.box == FACE.box for region in self.regions)

    def covers(self, other: "Painted") -> bool:
        """Whether everything that `other` covers is covered here: by the same kind, which has the same margin. A box
        drawn by hand has none, so any paint on its place does, as long as that has no opening."""
        by_hand = {place for place in other.places if place[0] is RegionKind.MANUAL}
        here = {box for _, box in self.places} if not self.clinical else set()
        left = other.places - self.places
        return left <= by_hand and all(box in here for _, box in left)

    @property
    def places(self) -> set[tuple[RegionKind, Box]]:
        """What is covered, whoever drew it."""
        return {(region.kind, region.box) for region in self.regions}


@dataclass(frozen=True)
class Signed:
    """A consent that all have signed, by our own bookkeeping: what they saw and agreed to."""

    at: datetime
    seen: Mapping[str, tuple[int, Painted]]
    purposes: frozenset[Purpose]
    audience: Audience
    specialty: Specialty
    last_day: date
    informed: bool


@dataclass
class Looked:
    """What a moderator was really shown, and decided, since they last claimed the case."""

    seen: dict[str, int] = field(default_factory=dict)
    publish: dict[str, int] = field(default_factory=dict)


def answer(picture_id: str, revision: int, painted: Painted) -> CaseRedacted:
    renditions = tuple(
        Rendition(
            size=size,
            object_key=f"c1/{picture_id}/{revision}/0000-{size}",
            media_type="image/png",
            width=SIDE,
            height=SIDE,
            size_bytes=10,
            sha256=f"{hash((picture_id, revision)) % 2**64:064x}",
        )
        for size in RenditionSize
    )
    frame = Frame(
        index=0,
        width=SIDE,
        height=SIDE,
        regions=painted.regions,
        # The second look sees the face wherever it is not covered.
        residual=() if painted.face_covered else (FACE,),
        clinical=painted.clinical,
        renditions=renditions,
    )
    return CaseRedacted(
        case_id="c1",
        picture_id=picture_id,
        revision=revision,
        pictures_total=1,
        outcome=RedactionOutcome.REDACTED,
        frames=(frame,),
    )


def stored(case_id: str, entry: CaseEntry) -> dict[str, Any]:
    """The document that the feed's store writes for an entry."""
    fields = {"_id": case_id, "standing": entry.standing.value, "version": entry.version, "comments": entry.comments}
    return fields | copy.deepcopy(entry.content or {})


def matches(document: Mapping[str, Any], query: Mapping[str, Any]) -> bool:
    """Whether MongoDB would find the document, for the operators that the feed's queries use."""
    return all(
        any(matches(document, one) for one in wanted) if name == "$or" else _field(document.get(name), wanted)
        for name, wanted in query.items()
    )


def _field(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, dict):
        return bool(value == wanted)
    ((operator, operand),) = wanted.items()
    if operator == "$not":
        return not _field(value, operand)
    if operator == "$lt":
        return value is not None and value < operand
    if operator == "$in":
        return any(one in operand for one in (value if isinstance(value, list) else [value]))
    raise AssertionError(f"{operator} is not known here")
