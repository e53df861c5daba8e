"""Random histories of the four topics that the feed reads, and what the feed must show after each of them.

`expected` says it the declarative way (highest version, withdrawn wins, erased is gone), knowing nothing of orders
and batches; the fold and the store must agree with it for every order and repetition.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from services.feed.domain import Change, CommentEntry, Fold, Standing, canonical, is_visible
from shared.events import (
    ApprovedPicture,
    CaseApproved,
    CaseWithdrawn,
    CommentAdded,
    CommentKind,
    ConsentFacts,
    Event,
    Frame,
    MemberChanged,
    MemberStatus,
    PictureKind,
    Profession,
    QuestionKind,
    Rendition,
    RenditionSize,
    Role,
    Specialty,
)

START = datetime(2025, 3, 1, 9, 0, tzinfo=UTC)
Step = tuple[type[Event], Change]
Documents = dict[str, dict[str, dict[str, Any]]]


def approval(
    case_id: str,
    version: int = 1,
    *,
    minutes: int = 0,
    pictures: Sequence[ApprovedPicture] = (),
    specialty: Specialty = Specialty.DERMATOLOGY,
    kind: QuestionKind = QuestionKind.DIAGNOSIS,
    author_id: str = "m-1",
    text: str = "An itching ring, for three weeks.",
    consent: ConsentFacts | None = None,
) -> CaseApproved:
    return CaseApproved(
        case_id=case_id,
        version=version,
        author_id=author_id,
        specialty=specialty,
        kind=kind,
        language="en",
        title=f"{case_id}, version {version}",
        text=text,
        pictures=tuple(pictures),
        consent=consent,
        approved_at=START + timedelta(minutes=minutes, microseconds=version),
    )


def withdrawal(case_id: str, version: int = 1) -> CaseWithdrawn:
    return CaseWithdrawn(case_id=case_id, version=version, withdrawn_at=START + timedelta(days=1, minutes=version))


def comment(
    comment_id: str, case_id: str, version: int = 1, *, minutes: int = 0, author_id: str = "m-2"
) -> CommentAdded:
    return CommentAdded(
        comment_id=comment_id,
        case_id=case_id,
        version=version,
        author_id=author_id,
        kind=CommentKind.DIAGNOSIS,
        text=f"Tinea? ({comment_id}, version {version})",
        created_at=START + timedelta(hours=1, minutes=minutes),
    )


def member(
    member_id: str, version: int = 1, *, status: MemberStatus = MemberStatus.VERIFIED, pseudonym: str = ""
) -> MemberChanged:
    return MemberChanged(
        member_id=member_id,
        version=version,
        pseudonym=pseudonym or f"{member_id} v{version}",
        profession=Profession.PHYSICIAN,
        specialty=Specialty.DERMATOLOGY,
        country="BE",
        roles=(Role.MEMBER,),
        status=status,
        verified_at=START if status is MemberStatus.VERIFIED else None,
    )


def picture(picture_id: str, object_key: str, sha256: str, size_bytes: int) -> ApprovedPicture:
    rendition = Rendition(
        size=RenditionSize.FULL,
        object_key=object_key,
        media_type="image/png",
        width=640,
        height=480,
        size_bytes=size_bytes,
        sha256=sha256,
    )
    frame = Frame(index=0, width=640, height=480, renditions=(rendition,))
    return ApprovedPicture(picture_id=picture_id, revision=1, kind=PictureKind.PHOTO, frames=(frame,))


def _steps() -> list[Step]:
    cases = [f"c-{n}" for n in range(3)]
    steps: list[Step] = []
    for number, case_id in enumerate(cases):
        steps += [(CaseApproved, (case_id, approval(case_id, v, minutes=number))) for v in (1, 2, 3)]
        steps += [(CaseApproved, (case_id, None))]
        steps += [(CaseWithdrawn, (case_id, withdrawal(case_id, v))) for v in (1, 4)]
        for n in range(2):
            comment_id = f"{case_id}-k{n}"
            steps += [(CommentAdded, (comment_id, comment(comment_id, case_id, v, minutes=n))) for v in (1, 2)]
            steps += [(CommentAdded, (comment_id, None))]
    for member_id in ("m-1", "m-2"):
        steps += [(MemberChanged, (member_id, member(member_id, v))) for v in (1, 2)]
    return steps


STEPS = _steps()
histories: st.SearchStrategy[list[Step]] = st.lists(st.sampled_from(STEPS), max_size=40)
"""Any subset in any order with any repetition: what late topics, redelivery and compaction can make of a past."""
long_histories: st.SearchStrategy[list[Step]] = st.lists(st.sampled_from(STEPS), min_size=20, max_size=60)
"""The same, long enough that most of them hold every kind of meeting: for few, expensive examples."""


def batches_of(history: Sequence[Step], size: int) -> list[tuple[type[Event], list[Change]]]:
    """The history as a consumer sees it: runs of one topic, at most `size` records each."""
    batches: list[tuple[type[Event], list[Change]]] = []
    for topic, change in history:
        if batches and batches[-1][0] is topic and len(batches[-1][1]) < size:
            batches[-1][1].append(change)
        else:
            batches.append((topic, [change]))
    return batches


def expected(history: Sequence[Step]) -> Documents:
    """What members can see (and the ledger) after a history: version, standing and count by id."""
    facts: dict[type[Event], dict[str, list[Any]]] = {}
    for topic, (key, event) in history:
        facts.setdefault(topic, {}).setdefault(key, []).append(event)
    ledger = {
        key: max(event.version for event in events if event) for key, events in facts.get(CaseWithdrawn, {}).items()
    }
    comments = {
        key: max(events, key=lambda event: event.version)
        for key, events in facts.get(CommentAdded, {}).items()
        if None not in events and events[0].case_id not in ledger
    }
    cases = {key: {"standing": "withdrawn", "version": version} for key, version in ledger.items()}
    for key, events in facts.get(CaseApproved, {}).items():
        if None not in events and key not in ledger:
            cases[key] = {
                "standing": "published",
                "version": max(event.version for event in events),
                "comments": sum(1 for found in comments.values() if found.case_id == key),
            }
    members = {
        key: {"version": max(event.version for event in events)} for key, events in facts.get(MemberChanged, {}).items()
    }
    return {
        "cases": cases,
        "comments": {key: {"version": found.version, "case_id": found.case_id} for key, found in comments.items()},
        "members": members,
    }


def essence(documents: Documents) -> Documents:
    """The same view of documents that a build really holds."""
    names = {"cases": ("standing", "version", "comments"), "comments": ("version", "case_id"), "members": ("version",)}
    return {
        collection: {
            key: {name: found[name] for name in names[collection] if name in found}
            for key, found in held.items()
            if is_visible(found)
        }
        for collection, held in documents.items()
    }


@dataclass
class MemoryBuild:
    """A build in memory: what the store does with a fold, without MongoDB."""

    _fold: Fold = field(default_factory=Fold)

    def apply(self, topic: type[Event], changes: Sequence[Change]) -> None:
        fold = self._fold
        fold.apply(topic, changes)
        withdrawn = {key for key, case in fold.cases.items() if case.standing is Standing.WITHDRAWN}
        for key, found in list(fold.comments.items()):
            if found.case_id in withdrawn and not found.erased:
                fold.comments[key] = CommentEntry()

    def essence(self) -> Documents:
        documents: Documents = {"cases": {}, "comments": {}, "members": {}}
        for key, case in self._fold.cases.items():
            count = {"comments": case.comments} if case.standing is Standing.PUBLISHED else {}
            documents["cases"][key] = {"standing": case.standing.value, "version": case.version, **count}
        for key, found in self._fold.comments.items():
            if found.version and not found.erased:
                documents["comments"][key] = {"version": found.version, "case_id": found.case_id}
        for key, known in self._fold.members.items():
            if known.version and not known.erased:
                documents["members"][key] = {"version": known.version}
        return essence(documents)

    def contents(self) -> dict[str, bytes]:
        """The pre-rendered content by id, to compare whole documents and not only versions."""
        fold = self._fold
        contents = {key: case.content for key, case in fold.cases.items()}
        contents |= {key: found.content for key, found in fold.comments.items()}
        contents |= {key: known.content for key, known in fold.members.items()}
        return {key: canonical(content) for key, content in contents.items() if content}
