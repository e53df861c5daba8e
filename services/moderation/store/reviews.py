"""Where reviews live: state, audit and outbox in one transaction.

Collections: `reviews` (one document a case: facts for the queue, the aggregate under `body`, the head of its audit
chain), `audit` (append-only, one document an act), `outbox` and `inbox` (shared/outbox.py), `members` (shared/auth.py).
"""

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

from services.moderation.domain import (
    DEFAULT_LEASE,
    CaseUnknown,
    Flaw,
    Head,
    Review,
    ReviewState,
    Tombstone,
    chain,
    needs_second_moderator,
    verify_chain,
)
from shared.mongo import Document, Mongo, Session
from shared.outbox import Outbox, first_time, prepare_inbox

T = TypeVar("T")
Clock = Callable[[], datetime]

GROUP = "moderation"
UNCLAIMED = datetime(1970, 1, 1, tzinfo=UTC)


def system_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class AuditTrail:
    """A case's records in order of sequence, and what is wrong with them (nothing, one hopes)."""

    case_id: str
    records: list[Document]
    flaws: list[Flaw]


class CursorMalformed(ValueError):
    """The cursor is none that the queue has given out."""


class Reviews:
    """All reviews of the platform. `clock` gives aware times; `lease` is how long a claim lasts without activity."""

    def __init__(self, mongo: Mongo, *, lease: timedelta = DEFAULT_LEASE, clock: Clock = system_clock) -> None:
        self._mongo = mongo
        self._reviews = mongo.db["reviews"]
        self._audit = mongo.db["audit"]
        self._outbox = Outbox(mongo.db)
        self._lease = lease
        self.clock = clock

    async def prepare(self) -> None:
        """Make the indexes; may be repeated."""
        await self._reviews.create_index([("state", 1), ("queued_at", 1), ("_id", 1)], name="queue")
        await self._audit.create_index([("case_id", 1), ("sequence", 1)], unique=True, name="chain")
        await self._outbox.prepare()
        await prepare_inbox(self._mongo.db)

    async def change(self, case_id: str, act: Callable[[Review], T]) -> T:
        """Let a moderator act on a review: state, audit records and events are written in one transaction.

        Of two at once, one runs again on what the other has left. Raises CaseUnknown where nothing was ever heard of
        the case, and whatever `act` raises (then nothing has changed). `act` may run more than once.
        """

        return await self._mongo.transaction(lambda session: self.change_within(session, case_id, act))

    async def change_within(self, session: Session, case_id: str, act: Callable[[Review], T]) -> T:
        """`change`, as a part of a transaction that writes more than the review."""
        found = await self._reviews.find_one({"_id": case_id}, session=session)
        if found is None:
            raise CaseUnknown
        return await self._write(found, self._review(found), act, session)

    async def absorb(self, ce_id: str, case_id: str, fact: Callable[[Review], None]) -> None:
        """Let an event change a review, once: the event's id is noted in the same transaction."""

        await self._mongo.transaction(lambda session: self.absorb_within(session, ce_id, case_id, fact))

    async def absorb_within(
        self, session: Session, ce_id: str, case_id: str, fact: Callable[[Review], None]
    ) -> ReviewState | Literal["unknown"] | None:
        """`absorb`, as a part of a transaction that writes more than the review.

        Returns what moderation knew of the case before: its state, or that it had not heard of it; None where it has
        had this event already, and nothing was done.
        """
        if not await first_time(self._mongo.db, GROUP, ce_id, session):
            return None
        found = await self._reviews.find_one({"_id": case_id}, session=session)
        review = self._review(found) if found else Review(case_id=case_id, lease=self._lease)
        await self._write(found, review, fact, session)
        return ReviewState(found["state"]) if found else "unknown"

    async def still_reviewed(self, case_ids: Iterable[str]) -> set[str]:
        """Of these cases, those that moderation knows and not as withdrawn."""
        wanted = {"_id": {"$in": list(case_ids)}, "state": {"$ne": ReviewState.WITHDRAWN.value}}
        return {found["_id"] async for found in self._reviews.find(wanted, {"_id": 1})}

    async def any_withdrawn(self, ids: Iterable[str]) -> bool:
        """Whether moderation knows one of these cases as withdrawn."""
        wanted = {"_id": {"$in": list(ids)}, "state": ReviewState.WITHDRAWN.value}
        return await self._reviews.find_one(wanted, {"_id": 1}) is not None

    async def moderator_gone(self, moderator_id: str) -> None:
        """Drop this member's first approvals that wait for a second moderator. May be repeated."""
        waiting = {"state": ReviewState.WAITING.value, "first_approved_by": moderator_id}
        for found in await self._reviews.find(waiting, {"_id": 1}).to_list(None):
            await self.change(found["_id"], lambda review: review.moderator_gone(moderator_id))

    async def queue(self, moderator_id: str, limit: int, cursor: str | None) -> tuple[list[Document], str | None]:
        """Reviews that this moderator could claim, oldest submission first, and the cursor of the next page.

        Cases of their own, cases with a running lease (anybody's, theirs too) and cases that they have approved and
        that wait for a second moderator are left out. Each item holds
        neutral facts only: neither text nor pictures leave the database here.
        """
        claimable: Document = {
            "state": ReviewState.WAITING.value,
            "author_id": {"$ne": moderator_id},
            "lease_until": {"$lte": self.clock()},
            "first_approved_by": {"$ne": moderator_id},
        }
        if cursor:
            queued_at, case_id = place_of(cursor)
            claimable["$or"] = [
                {"queued_at": {"$gt": queued_at}},
                {"queued_at": queued_at, "_id": {"$gt": case_id}},
            ]
        found = (
            await self._reviews.find(claimable, {"queued_at": 1, "summary": 1})
            .sort([("queued_at", 1), ("_id", 1)])
            .limit(limit + 1)
            .to_list(None)
        )
        items = [{"case_id": each["_id"], "submitted_at": each["queued_at"], **each["summary"]} for each in found]
        more = len(items) > limit
        return items[:limit], cursor_of(items[limit - 1]["submitted_at"], items[limit - 1]["case_id"]) if more else None

    async def audit(self, case_id: str) -> AuditTrail:
        """The case's audit records, verified. Raises CaseUnknown."""
        head: Head | None = None
        records: list[Document] = []

        async def read(session: Session) -> None:
            nonlocal head, records  # one snapshot: a record written meanwhile must not look like a flaw
            found = await self._reviews.find_one({"_id": case_id}, {"head": 1}, session=session)
            head = Head.model_validate(found["head"]) if found else None
            cursor = self._audit.find({"case_id": case_id}, {"_id": 0}, session=session)
            records = await cursor.sort("sequence", 1).to_list(None)

        await self._mongo.transaction(read)
        if head is None and not records:
            raise CaseUnknown
        return AuditTrail(case_id, records, verify_chain(case_id, records, head or Head()))

    def _review(self, found: Document) -> Review:
        return Review.model_validate({**found["body"], "lease": self._lease})

    async def _write(self, found: Document | None, review: Review, act: Callable[[Review], T], session: Session) -> T:
        result = act(review)
        body = review.model_dump(mode="json")
        if found and body == found["body"] and not review.acts and not review.outgoing:
            return result  # looking at pictures is not a write each time
        now = self.clock()
        head = Head.model_validate(found["head"]) if found else Head()
        records, head = chain(review.case_id, head, review.acts, now)
        document = _document(review, body, head, now, found)
        if found:
            await self._reviews.replace_one({"_id": review.case_id}, document, session=session)
        else:
            await self._reviews.insert_one(document, session=session)
        if records:
            await self._audit.insert_many(records, session=session)
        for event in review.outgoing:
            if isinstance(event, Tombstone):
                await self._outbox.add_tombstone(event.event, event.key, review.case_id, session)
            else:
                await self._outbox.add(event, session)
        return result


def _document(review: Review, body: Document, head: Head, now: datetime, before: Document | None) -> Document:
    submission = review.submission
    summary: Document = {}
    queued_at = before["queued_at"] if before else now
    if submission:
        if before is None or before["summary"].get("version") != submission.version:
            queued_at = now
        summary = {
            "version": submission.version,
            "specialty": submission.specialty.value,
            "kind": submission.kind.value,
            "language": submission.language,
            "pictures": len(submission.pictures),
            "pictures_outstanding": len(review.outstanding()),
            "findings": len(submission.findings),
            "combinations": len(submission.combinations),
            "rounds": len(review.thread),
            "needs_second_moderator": any(
                needs_second_moderator(picture) for _, picture in review.submitted_pictures()
            ),
            "first_approved_at": review.first_approval.decided_at if review.first_approval else None,
        }
    return {
        "_id": review.case_id,
        "state": review.state.value,
        "author_id": submission.author_id if submission else None,
        "queued_at": queued_at,
        "first_approved_by": review.first_approval.moderator_id if review.first_approval else None,
        "lease_until": review.claim.expires_at if review.claim else UNCLAIMED,
        "summary": summary,
        "head": head.model_dump(),
        "body": body,
    }


def cursor_of(at: datetime, id_: str) -> str:
    """Where a page ends, as the client gives it back."""
    place = json.dumps([at.isoformat(), id_])
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def place_of(cursor: str) -> tuple[datetime, str]:
    """What `cursor_of` was given. Raises CursorMalformed."""
    try:
        at, id_ = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        moment = datetime.fromisoformat(at)
    except (ValueError, TypeError) as error:
        raise CursorMalformed(cursor) from error
    if not isinstance(id_, str) or moment.tzinfo is None:
        raise CursorMalformed(cursor)
    return moment, id_
