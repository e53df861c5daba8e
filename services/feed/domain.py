"""The rules of the projection: how events become the documents that members read.

Delivery is at least once and topics race each other, so the rules give the same documents for every order and
repetition of the same events:

- a version replaces a lower one of the same key and yields to a higher one; gaps are normal (compaction);
- a withdrawal is final: whatever comes for that case, before or after, leaves nothing but the ledger's line;
- a tombstone is final for its key, since ids are never used again: the record it erases may arrive after it when
  a replay and the live consumer fill the same build;
- a comment may come before its case: the case's entry then counts it and waits.

Nothing here reads or writes: the store loads the entries that a batch touches, a `Fold` changes them, and the
store writes what changed.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson
from pydantic import TypeAdapter

from shared.audiences import tags_of_case
from shared.events import ApprovedPicture, CaseApproved, CaseWithdrawn, CommentAdded, Event, MemberChanged, MemberStatus

Document = dict[str, Any]
Change = tuple[str, Event | None]
"""A record as the projection sees it: its key and its event, or None for a tombstone."""

EXCERPT_CHARACTERS = 280
_PICTURES = TypeAdapter(tuple[ApprovedPicture, ...])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POSITION = re.compile(r"^[0-9a-f]{15}\.[A-Za-z0-9._:-]{1,64}$")
FIRST_PAGE = "~"
"""Sorts after every position: where a listing from the newest starts."""


class BadCursor(ValueError):
    """The client sent a cursor that no page of ours carries."""


class Standing(StrEnum):
    """What the feed knows of a case."""

    AWAITED = "awaited"  # comments came before their case
    PUBLISHED = "published"
    ERASED = "erased"  # tombstone of its approval
    WITHDRAWN = "withdrawn"  # a line of the ledger


@dataclass(slots=True)
class CaseEntry:
    """A case's place in a build. `comments` counts those that can be read; `content` is set by an approval."""

    standing: Standing = Standing.AWAITED
    version: int = 0
    comments: int = 0
    content: Document | None = None
    changed: bool = False


@dataclass(slots=True)
class CommentEntry:
    """A comment's place in a build. Version 0: not there (yet)."""

    case_id: str = ""
    version: int = 0
    erased: bool = False
    content: Document | None = None
    changed: bool = False


@dataclass(slots=True)
class MemberEntry:
    version: int = 0
    erased: bool = False
    content: Document | None = None
    changed: bool = False


@dataclass(slots=True)
class Fold:
    """Applies changes to loaded entries. An absent key is a new entry; `changed` tells the store what to write."""

    cases: dict[str, CaseEntry] = field(default_factory=dict)
    comments: dict[str, CommentEntry] = field(default_factory=dict)
    members: dict[str, MemberEntry] = field(default_factory=dict)

    def apply(self, topic: type[Event], changes: Iterable[Change]) -> None:
        """Fold records of one topic, in their order. Raises ValueError for a topic that the feed does not read."""
        rule = {
            CaseApproved: self._case_approved,
            CaseWithdrawn: self._case_withdrawn,
            CommentAdded: self._comment_added,
            MemberChanged: self._member_changed,
        }.get(topic)
        if rule is None:
            raise ValueError(f"the feed has no rule for {topic.__name__}")
        for key, event in changes:
            rule(key, event)

    def _case_approved(self, key: str, event: Event | None) -> None:
        case = self.cases.setdefault(key, CaseEntry())
        if case.standing in (Standing.WITHDRAWN, Standing.ERASED):
            return
        if not isinstance(event, CaseApproved):
            case.standing, case.version, case.content, case.changed = Standing.ERASED, 0, None, True
        elif event.version > case.version:
            case.standing, case.version, case.changed = Standing.PUBLISHED, event.version, True
            case.content = case_content(event)

    def _case_withdrawn(self, key: str, event: Event | None) -> None:
        if not isinstance(event, CaseWithdrawn):
            return  # the ledger never forgets
        case = self.cases.setdefault(key, CaseEntry())
        if case.standing is Standing.WITHDRAWN and case.version >= event.version:
            return
        case.standing, case.version, case.comments, case.changed = Standing.WITHDRAWN, event.version, 0, True
        case.content = {"withdrawn_at": instant(event.withdrawn_at)}

    def _comment_added(self, key: str, event: Event | None) -> None:
        comment = self.comments.setdefault(key, CommentEntry())
        if comment.erased:
            return
        if not isinstance(event, CommentAdded):
            if comment.version:
                self._count(comment.case_id, -1)
            comment.erased, comment.content, comment.changed = True, None, True
            return
        case = self.cases.setdefault(event.case_id, CaseEntry())
        if case.standing is Standing.WITHDRAWN or event.version <= comment.version:
            return
        if not comment.version:
            self._count(event.case_id, +1)
        comment.case_id, comment.version, comment.changed = event.case_id, event.version, True
        comment.content = comment_content(event)

    def _count(self, case_id: str, difference: int) -> None:
        case = self.cases.setdefault(case_id, CaseEntry())
        if case.standing is not Standing.WITHDRAWN:
            case.comments += difference
            case.changed = True

    def _member_changed(self, key: str, event: Event | None) -> None:
        member = self.members.setdefault(key, MemberEntry())
        if member.erased:
            return
        if not isinstance(event, MemberChanged):
            member.erased, member.content, member.changed = True, None, True
        elif event.version > member.version:
            member.version, member.changed = event.version, True
            member.content = member_content(event)


def case_content(event: CaseApproved) -> Document:
    """The fields of a published case.

    `card` is a JSON object as text, sent to clients as it is; `pictures` is JSON too, as approved, and read by
    `whole_case` and `approved_rendition`. `position` orders the feed. `shown_to` and `shown_until` (the last day) are
    what the patient agreed to; a case whose consent has ended is shown to nobody, also before its withdrawal arrives.
    """
    card = {
        "case_id": event.case_id,
        "specialty": event.specialty.value,
        "kind": event.kind.value,
        "language": event.language,
        "title": event.title,
        "approved_at": instant(event.approved_at),
        "author_id": event.author_id,
        "excerpt": excerpt(event.text),
        "picture_count": len(event.pictures),
        "cover": _cover(event),
    }
    return {
        "position": position(event.approved_at, event.case_id),
        "specialty": event.specialty.value,
        "kind": event.kind.value,
        "language": event.language,
        "author_id": event.author_id,
        "shown_to": list(tags_of_case(event.consent, event.specialty)),
        "shown_until": event.consent.expires_on.isoformat() if event.consent and event.consent.expires_on else None,
        "card": _json(card),
        "text": event.text,
        "patient": event.patient.model_dump_json() if event.patient else None,
        "pictures": _PICTURES.dump_json(event.pictures).decode(),
    }


def whole_case(document: Mapping[str, Any], author: str) -> str:
    """A published case with text and pictures, as JSON: its card and more. `author`: the author's card."""
    case_id = document["_id"]
    pictures = [
        {
            "picture_id": picture["picture_id"],
            "kind": picture["kind"],
            "revision": picture["revision"],
            "frames": [
                {name: frame[name] for name in ("index", "width", "height")}
                | {"renditions": [_shown(case_id, picture, frame, rendition) for rendition in frame["renditions"]]}
                for frame in picture["frames"]
            ],
        }
        for picture in orjson.loads(document["pictures"])
    ]
    # A case that was projected before patients were told of has no such field.
    patient = orjson.loads(document.get("patient") or "null")
    more = _json({"version": document["version"], "text": document["text"], "patient": patient, "pictures": pictures})
    return f"{with_author(document['card'], author, document['comments'])[:-1]},{more[1:]}"


def approved_rendition(pictures: str, picture_id: str, frame: int, size: str) -> Document | None:
    """The rendition of that name among a case's approved `pictures`, with the key of its object."""
    for picture in orjson.loads(pictures):
        for found in picture["frames"] if picture["picture_id"] == picture_id else ():
            for rendition in found["renditions"] if found["index"] == frame else ():
                if rendition["size"] == size:
                    return dict(rendition)
    return None


def _shown(case_id: str, picture: Document, frame: Document, rendition: Document) -> Document:
    names = ("size", "media_type", "width", "height", "size_bytes", "sha256")
    url = picture_url(case_id, picture["picture_id"], frame["index"], rendition["size"])
    return {"url": url} | {name: rendition[name] for name in names}


def comment_content(event: CommentAdded) -> Document:
    """The fields of a comment; `card` as in `case_content`."""
    card = {
        "comment_id": event.comment_id,
        "case_id": event.case_id,
        "kind": event.kind.value,
        "text": event.text,
        "parent_id": event.parent_id,
        "created_at": instant(event.created_at),
        "author_id": event.author_id,
    }
    return {
        "case_id": event.case_id,
        "position": position(event.created_at, event.comment_id),
        "author_id": event.author_id,
        "card": _json(card),
    }


def member_content(event: MemberChanged) -> Document:
    """The fields of a member: what authorisation asks for, and `card`, what other members may know."""
    card = {
        "member_id": event.member_id,
        "pseudonym": event.pseudonym or None,
        "profession": event.profession.value if event.profession else None,
        "specialty": event.specialty.value if event.specialty else None,
        "country": event.country,
        "verified": event.status is MemberStatus.VERIFIED,
        "registry": event.registry,
        "verified_at": instant(event.verified_at) if event.verified_at else None,
        "checked_at": instant(event.checked_at) if event.checked_at else None,
        "left": event.status is MemberStatus.LEFT,
    }
    return {
        "status": event.status.value,
        "roles": sorted(role.value for role in event.roles),
        "pseudonym": event.pseudonym,
        "profession": event.profession.value if event.profession else None,
        "specialty": event.specialty.value if event.specialty else None,
        "card": _json(card),
    }


def unknown_member_card(member_id: str) -> str:
    """The card of an author whose `member.changed` has not arrived."""
    absent = dict.fromkeys(("pseudonym", "profession", "specialty", "country", "registry", "verified_at", "checked_at"))
    return _json({"member_id": member_id, **absent, "verified": False, "left": False})


def with_author(card: str, author: str, comments: int | None = None) -> str:
    """A card with its author's card, and for a case the number of its comments, put in front of its own fields."""
    count = "" if comments is None else f'"comment_count":{comments},'
    return f'{{{count}"author":{author},{card[1:]}'


def picture_url(case_id: str, picture_id: str, frame: int, size: str) -> str:
    """Where a rendition is served, below the feed's prefix."""
    return f"/cases/{case_id}/pictures/{picture_id}/frames/{frame}/{size}"


def excerpt(text: str) -> str:
    """The beginning of a text on one line, cut at a word."""
    beginning = text[: 4 * EXCERPT_CHARACTERS]  # enough, unless most of it is white space
    line = " ".join(beginning.split())
    if len(line) <= EXCERPT_CHARACTERS and len(beginning) == len(text):
        return line
    return line[:EXCERPT_CHARACTERS].rsplit(" ", 1)[0] + "…"


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds; a time without zone is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def position(moment: datetime, entity_id: str) -> str:
    """Where an entity stands in a listing: sorts by time (microseconds, hexadecimal), then by id; never shared."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"{max(0, (aware - _EPOCH) // timedelta(microseconds=1)):015x}.{entity_id}"


def cursor_after(last_position: str) -> str:
    """The opaque cursor of the page that follows an entity. Stable when others are inserted or removed."""
    return base64.urlsafe_b64encode(last_position.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> str:
    """The position that a cursor names. Raises BadCursor."""
    try:
        found = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise BadCursor("not base64url") from error
    if not _POSITION.match(found):
        raise BadCursor("not a position")
    return found


BOOKKEEPING = frozenset({"touched"})
"""Fields that depend on how events were batched, not on what they say."""


def is_visible(document: Mapping[str, Any]) -> bool:
    """Whether a document says something to anybody, so that two builds must agree on it.

    Places held for awaited cases and marks of erased keys do not: after compaction a replay cannot make them.
    """
    return not document.get("erased") and document.get("standing") not in (Standing.AWAITED, Standing.ERASED)


def canonical(document: Mapping[str, Any]) -> bytes:
    """The bytes that are the same for equal documents: JSON with sorted keys, without bookkeeping."""
    kept = {name: value for name, value in document.items() if name not in BOOKKEEPING}
    return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal, as approvals list it."""
    return hashlib.sha256(data).hexdigest()


def _cover(event: CaseApproved) -> Document | None:
    """The smallest rendition of the first frame there is, for a list."""
    for picture in event.pictures:
        for frame in picture.frames:
            if frame.renditions:
                smallest = min(frame.renditions, key=lambda rendition: rendition.width * rendition.height)
                return {
                    "url": picture_url(event.case_id, picture.picture_id, frame.index, smallest.size.value),
                    "media_type": smallest.media_type,
                    "width": smallest.width,
                    "height": smallest.height,
                }
    return None


def _json(value: Document) -> str:
    return orjson.dumps(value).decode()
