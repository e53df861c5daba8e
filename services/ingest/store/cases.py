"""Cases, their pictures, texts and comments. Every change is one transaction with the event that tells of it.

Objects come first and the record of them second, so that a crash in between leaves an object that nobody knows
(the sweeper removes it), never a record of a picture that is not there.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from datetime import datetime

import orjson

from services.ingest.domain.case import Case, KeptWords
from services.ingest.domain.comment import Comment
from services.ingest.domain.consent import TextHashes
from services.ingest.domain.picture import Picture
from services.ingest.domain.readers import is_shown_to
from services.ingest.domain.refusals import CaseUnknown, CaseWithdrawnForGood, CommentsClosed, ParentUnknown, Refused
from services.ingest.domain.states import CaseState
from services.ingest.store.blocks import Blocks
from services.ingest.store.ending import end_case
from services.ingest.store.once import Answer, AnswerGone, Asked, KeyReused, Once
from shared.blobs import TEXTS, ObjectStore, text_key
from shared.errors import NotNow
from shared.events import (
    CaseSubmitted,
    CommentAdded,
    Contributions,
    Event,
    Language,
    Marks,
    PatientFacts,
    WithdrawalCause,
)
from shared.mongo import Document, Mongo, Session
from shared.originals import RawRoom
from shared.outbox import Outbox

logger = logging.getLogger(__name__)

Act = Callable[[Case], Event | None]
"""Changes a case by its own methods and returns the event to be told, if any. May run more than once."""
Show = Callable[[Case], Answer]
Look = Callable[[Case], Awaitable[KeptWords]]
"""Looks for what may identify somebody; returns what the author keeps, or raises TextMayIdentify."""


class Store:
    """What the routes and handlers ask of the database and the object store.

    Methods that take `author_id` raise CaseUnknown for everybody else, and CaseWithdrawnForGood to the author of a
    withdrawn case. Those that take `asked` give a repeated request its first answer (see `Once`).
    """

    def __init__(self, mongo: Mongo, blobs: ObjectStore, room: RawRoom, *, idempotency_hours: int = 48) -> None:
        self._mongo = mongo
        self._blobs = blobs
        self._room = room
        self._cases = mongo.db["cases"]
        self._comments = mongo.db["comments"]
        self._outbox = Outbox(mongo.db)
        self._once = Once(mongo, idempotency_hours)
        self._leavers = mongo.db["leavers"]
        self.blocks = Blocks(mongo.db)

    async def prepare(self) -> None:
        """Create the indexes. May be repeated."""
        await self._cases.create_index([("author_id", 1), ("created_at", -1), ("_id", 1)])
        await self._cases.create_index("purge_pending", partialFilterExpression={"purge_pending": True})
        await self._comments.create_index("case_id")
        await self._comments.create_index("author_id")
        await self._leavers.create_index("noted_at")
        await self._once.prepare()
        await self._outbox.prepare()

    # -- reading -------------------------------------------------------------------------------------------------

    async def case_of(self, author_id: str, case_id: str) -> Case:
        """The author's own case."""
        return owned(await self._cases.find_one({"_id": case_id}), author_id)

    async def cases_of(self, author_id: str, limit: int, before: tuple[datetime, str] | None = None) -> list[Case]:
        """The author's cases that are not withdrawn, newest first, from after the position `before`."""
        wanted: Document = {"author_id": author_id, "state": {"$ne": CaseState.WITHDRAWN.value}}
        if before is not None:
            at, case_id = before
            wanted["$or"] = [{"created_at": {"$lt": at}}, {"created_at": at, "_id": {"$gt": case_id}}]
        found = await self._cases.find(wanted, sort=[("created_at", -1), ("_id", 1)], limit=limit).to_list(None)
        return [case_from(document) for document in found]

    async def all_cases_of(self, author_id: str) -> AsyncIterator[Case | Document]:
        """Every case the author ever began, oldest first; of withdrawn ones what is left: id and dates.

        Each is read when its turn comes: whoever takes them slowly is not handed what was withdrawn meanwhile.
        """
        async for listed in self._cases.find({"author_id": author_id}, {"_id": 1}, sort=[("created_at", 1)]):
            document = await self._cases.find_one({"_id": listed["_id"]})
            if document is None:
                continue
            if is_withdrawn(document):
                dates = {name: document[name] for name in ("created_at", "withdrawn_at")}
                yield {"case_id": document["_id"], **dates}
            else:
                yield case_from(document)

    async def all_comments_of(self, author_id: str) -> AsyncIterator[Comment]:
        """Every comment of a member, oldest first."""
        async for document in self._comments.find({"author_id": author_id}, sort=[("created_at", 1)]):
            yield Comment.model_validate({**document, "comment_id": document["_id"]})

    async def author_of(self, case_id: str) -> str | None:
        """Whose case it is or was; None where there never was one."""
        document = await self._cases.find_one({"_id": case_id}, {"author_id": 1})
        return None if document is None else str(document["author_id"])

    async def known_answer(self, asked: Asked) -> Answer | None:
        """The answer to a request that was answered before."""
        return await self._once.known(asked)

    # -- the author ----------------------------------------------------------------------------------------------

    async def create(self, case: Case, asked: Asked | None, show: Show) -> Answer:
        async def act(session: Session) -> Answer:
            await self._cases.insert_one(document_of(case), session=session)
            return show(case)

        return await self._once.run(asked, case.case_id, act)

    async def change(self, author_id: str, case_id: str, asked: Asked | None, act: Act, show: Show) -> Answer:
        """Load, change and keep the case, with its event, in one transaction."""

        async def attempt(session: Session) -> Answer:
            case = owned(await self._cases.find_one({"_id": case_id}, session=session), author_id)
            await self._keep(case, act, session)
            return show(case)

        return await self._once.run(asked, case_id, attempt)

    async def add_picture(
        self,
        author_id: str,
        case_id: str,
        picture: Picture,
        data: bytes,
        now: datetime,
        asked: Asked | None,
        show: Callable[[Case, Picture], Answer],
    ) -> Answer:
        """Keep an original and note it in the case. Leaves no object behind where the case refuses it.

        What `show` answers has to name the picture: its body has a `picture_id`.
        """
        await self._room.store(case_id, picture.picture_id, data, picture.media_type)

        def act(case: Case) -> None:
            case.add_picture(now, picture)

        try:
            answer = await self.change(author_id, case_id, asked, act, lambda case: show(case, picture))
        except (Refused, KeyReused, AnswerGone):
            await self._discard(case_id, picture.picture_id)
            raise
        # Any other error leaves the object: the change may have been committed after all. The sweeper will know.
        # By the answer, since `act` may have run in an attempt that collided with the same request and was undone.
        if answer.body["picture_id"] != picture.picture_id:  # it was answered before, about another object
            await self._discard(case_id, picture.picture_id)
        return answer

    async def remove_picture(self, author_id: str, case_id: str, picture_id: str, now: datetime) -> None:
        def act(case: Case) -> None:
            case.remove_picture(now, picture_id)

        await self.change(author_id, case_id, None, act, lambda _: Answer(204, None))
        await self._discard(case_id, picture_id)

    async def submit(
        self,
        author_id: str,
        case_id: str,
        asked: Asked | None,
        texts: TextHashes,
        now: datetime,
        marks: Mapping[str, Marks],
        look: Look,
        show: Show,
    ) -> Answer:
        """Write the text where moderation reads it, then submit the case with exactly that text."""
        if asked is not None and (known := await self._once.known(asked)) is not None:
            return known
        while True:
            case = await self.case_of(author_id, case_id)
            written = case.text_version
            looked_at = (case.language, case.patient)
            text = orjson.dumps({"title": case.title, "body": case.body})
            case.submit(texts, now, marks)  # on this copy: refuses before anything is written
            kept = await look(case)
            await self._blobs.put(TEXTS, text_key(case_id, written), text, "application/json")

            def act(
                case: Case,
                written: int = written,
                looked_at: tuple[Language, PatientFacts | None] = looked_at,
                kept: KeptWords = kept,
            ) -> CaseSubmitted:
                if (case.text_version, case.language, case.patient) != (written, *looked_at):
                    raise _TextEdited
                return case.submit(texts, now, marks, kept)

            try:
                return await self.change(author_id, case_id, asked, act, show)
            except _TextEdited:
                continue
            except CaseWithdrawnForGood:
                await self._blobs.delete_prefix(TEXTS, f"{case_id}/")
                raise

    async def withdraw(
        self, author_id: str, case_id: str, asked: Asked | None, now: datetime, show: Callable[[int], Answer]
    ) -> Answer:
        """End the case: state, event and tombstones in one transaction; texts and comments go with it.

        Originals, keys and text objects are erased after it (`Eraser`). A repeat changes nothing. `show` gets the
        version of the withdrawal.
        """

        async def act(session: Session) -> Answer:
            document = await self._cases.find_one({"_id": case_id}, session=session)
            if document is not None and document["author_id"] == author_id and is_withdrawn(document):
                return show(document["version"])
            case = owned(document, author_id)
            assert document is not None
            await end_case(self._mongo.db, document, case, WithdrawalCause.AUTHOR, now, session)
            return show(case.version)

        return await self._once.run(asked, case_id, act)

    # -- colleagues ----------------------------------------------------------------------------------------------

    async def add_comment(self, comment: Comment, tags: Collection[str], asked: Asked | None, answer: Answer) -> Answer:
        """Publish a comment. Raises CaseUnknown where the case is not published (its author: CaseNotPublished) or is
        not shown to this one (`tags`: see `shared.audiences`), CommentsClosed where its author has blocked this one's,
        and ParentUnknown.
        """

        async def act(session: Session) -> Answer:
            document = await self._cases.find_one({"_id": comment.case_id}, session=session)
            if document is None or document["state"] != CaseState.PUBLISHED.value:
                owned(document, comment.author_id).check_can_be_commented()
            elif document["author_id"] != comment.author_id and not is_shown_to(
                case_from(document), tags, comment.created_at
            ):
                raise CaseUnknown()
            elif await self.blocks.has(document["author_id"], comment.author_id, session):
                raise CommentsClosed()
            if comment.parent_id is not None:
                wanted = {"_id": comment.parent_id, "case_id": comment.case_id}
                if await self._comments.find_one(wanted, {"_id": 1}, session=session) is None:
                    raise ParentUnknown(parent_id=comment.parent_id)
            kept = comment.model_dump(mode="json", exclude={"comment_id"})
            await self._comments.insert_one(
                kept | {"_id": comment.comment_id, "created_at": comment.created_at}, session=session
            )
            # Writing the case makes a withdrawal at the same moment collide with us: no comment outlives its case.
            await self._cases.update_one({"_id": comment.case_id}, {"$inc": {"comments": 1}}, session=session)
            await self._outbox.add(comment.added(), session)
            return answer

        return await self._once.run(asked, comment.case_id, act)

    async def erase_comment(self, case_id: str, comment_id: str) -> bool:
        """Erase one comment, for everyone; False where it is gone already. Answers to it stay."""

        async def act(session: Session) -> bool:
            found = await self._comments.find_one_and_delete({"_id": comment_id, "case_id": case_id}, session=session)
            if found is None:
                return False
            await self._cases.update_one({"_id": case_id}, {"$inc": {"comments": -1}}, session=session)
            await self._outbox.add_tombstone(CommentAdded, comment_id, case_id, session)
            await Once.erase_comment(self._mongo.db, case_id, comment_id, session)
            return True

        return await self._mongo.transaction(act)

    # -- other services ------------------------------------------------------------------------------------------

    async def note_leaver(self, member_id: str, contributions: Contributions, now: datetime) -> None:
        """Note that a member has left; `Leavers` deals with what they leave behind. May be repeated."""
        noted = {"contributions": contributions.value, "noted_at": now, "done": False}
        await self._leavers.update_one({"_id": member_id}, {"$setOnInsert": noted}, upsert=True)

    async def still_members(self, member_ids: Collection[str]) -> set[str]:
        """Of these members, who have left, those of whom it is not known here."""
        found = self._leavers.find({"_id": {"$in": list(member_ids)}}, {"_id": 1})
        return set(member_ids) - {known["_id"] async for known in found}

    async def take(self, case_id: str, act: Callable[[Case], bool]) -> bool:
        """Let a case take in another service's answer; False where there was nothing to take in."""

        async def attempt(session: Session) -> bool:
            document = await self._cases.find_one({"_id": case_id}, session=session)
            if document is None or is_withdrawn(document):
                return False
            case = case_from(document)
            if not act(case):
                return False
            await self._cases.replace_one({"_id": case_id}, document_of(case), session=session)
            return True

        return await self._mongo.transaction(attempt)

    # -- inside --------------------------------------------------------------------------------------------------

    async def _keep(self, case: Case, act: Act, session: Session) -> None:
        before = case.version
        event = act(case)
        if case.version != before:
            await self._cases.replace_one({"_id": case.case_id}, document_of(case), session=session)
        if event is not None:
            await self._outbox.add(event, session)

    async def _discard(self, case_id: str, picture_id: str) -> None:
        try:
            await self._room.remove(case_id, picture_id)
            document = await self._cases.find_one({"_id": case_id}, {"state": 1})
            if document is None or is_withdrawn(document):
                await self._room.forget(case_id)
        except NotNow as error:
            logger.warning("an object without a record stays until the next sweep: %s", error)


def owned(document: Document | None, author_id: str) -> Case:
    """The case, to its author. Raises CaseUnknown, CaseWithdrawnForGood."""
    if document is None or document["author_id"] != author_id:
        raise CaseUnknown()
    if is_withdrawn(document):
        raise CaseWithdrawnForGood()
    return case_from(document)


class _TextEdited(Exception):
    """Text or patient changed between looking at them for moderation and submitting: look again."""


def is_withdrawn(document: Document) -> bool:
    return bool(document["state"] == CaseState.WITHDRAWN.value)


def case_from(document: Document) -> Case:
    return Case.model_validate({**document, "case_id": document["_id"]})


def document_of(case: Case) -> Document:
    # JSON types, which MongoDB keeps as they are; the time to sort by stays a time.
    return case.model_dump(mode="json", exclude={"case_id"}) | {"_id": case.case_id, "created_at": case.created_at}
