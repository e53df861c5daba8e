"""Comments with findings, until they are decided; then who decided what, until the case is withdrawn."""

from datetime import UTC

from services.moderation.domain import ReasonCode, ReviewState
from services.moderation.domain.comments import CommentState, PointedComment, decide
from services.moderation.domain.refusals import CommentUnknown
from services.moderation.store.reviews import GROUP, Reviews, cursor_of, place_of
from shared.events import CommentAdded, CommentRejected
from shared.mongo import Document, Mongo, Session
from shared.outbox import Outbox, first_time


class Comments:
    """The collection `comments`. Decisions are written with the audit chain of the case (`Reviews`)."""

    def __init__(self, mongo: Mongo, reviews: Reviews) -> None:
        self._mongo = mongo
        self._reviews = reviews
        self._comments = mongo.db["comments"]
        self._outbox = Outbox(mongo.db)

    async def prepare(self) -> None:
        """Make the indexes; may be repeated."""
        await self._comments.create_index([("state", 1), ("created_at", 1), ("_id", 1)], name="waiting")
        await self._comments.create_index("case_id", name="case")

    async def take(self, ce_id: str, event: CommentAdded) -> None:
        """Keep a comment that has findings; of a withdrawn case nothing is kept. May be repeated."""
        if not event.findings:
            return

        async def write(session: Session) -> None:
            if not await first_time(self._mongo.db, GROUP, ce_id, session):
                return
            # Writing the case makes a withdrawal at the same moment collide with us: no comment outlives its case.
            mark = {"$set": {"commented_at": event.created_at}}
            case = await self._mongo.db["reviews"].find_one_and_update({"_id": event.case_id}, mark, session=session)
            if case is not None and case["state"] == ReviewState.WITHDRAWN.value:
                return
            if await self._comments.find_one({"_id": event.comment_id}, {"_id": 1}, session=session) is None:
                await self._comments.insert_one(_document(PointedComment.of(event)), session=session)

        await self._mongo.transaction(write)

    async def forget(self, comment_id: str) -> None:
        """A comment is gone: its words go. What was decided about it stays, so that its record can be erased later."""
        await self._comments.delete_one({"_id": comment_id, "state": {"$ne": CommentState.REJECTED.value}})

    async def forget_case(self, case_id: str, session: Session) -> int:
        """A case is gone: nothing of its comments stays, and the records of their rejection are erased. Returns how
        many comments there were.
        """
        rejected = {"case_id": case_id, "state": CommentState.REJECTED.value}
        keys = [found["_id"] async for found in self._comments.find(rejected, {"_id": 1}, session=session)]
        await self._outbox.add_tombstones(CommentRejected, keys, case_id, session)
        return (await self._comments.delete_many({"case_id": case_id}, session=session)).deleted_count

    async def waiting(
        self, moderator_id: str, limit: int, cursor: str | None
    ) -> tuple[list[PointedComment], str | None]:
        """Comments that wait for a decision by this moderator, oldest first, and the cursor of the next page."""
        wanted: Document = {"state": CommentState.WAITING.value, "author_id": {"$ne": moderator_id}}
        if cursor:
            at, comment_id = place_of(cursor)
            wanted["$or"] = [{"created_at": {"$gt": at}}, {"created_at": at, "_id": {"$gt": comment_id}}]
        rows = self._comments.find(wanted).sort([("created_at", 1), ("_id", 1)]).limit(limit + 1)
        found = [_comment(document) async for document in rows]
        page = found[:limit]
        more = len(found) > limit
        return page, cursor_of(page[-1].created_at, page[-1].comment_id) if more else None

    async def decide(self, comment_id: str, moderator_id: str, reason: ReasonCode | None) -> PointedComment:
        """Keep (`reason` None) or reject; comment, audit record and event in one transaction. Raises CommentUnknown,
        and what `domain.comments.decide` raises.
        """
        now = self._reviews.clock()

        async def write(session: Session) -> PointedComment:
            document = await self._comments.find_one({"_id": comment_id}, session=session)
            if document is None:
                raise CommentUnknown
            comment = _comment(document)
            said = await self._reviews.change_within(
                session, comment.case_id, lambda case: decide(case, comment, moderator_id, reason, now)
            )
            if said != comment:
                await self._comments.replace_one({"_id": comment_id}, _document(said), session=session)
            return said

        return await self._mongo.transaction(write)


def _document(comment: PointedComment) -> Document:
    return comment.model_dump(mode="json", exclude={"comment_id"}) | {
        "_id": comment.comment_id,
        "created_at": comment.created_at.astimezone(UTC),
    }


def _comment(document: Document) -> PointedComment:
    fields = {name: value for name, value in document.items() if name != "_id"}
    return PointedComment.model_validate({**fields, "comment_id": document["_id"]})
