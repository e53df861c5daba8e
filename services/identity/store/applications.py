"""Applications in MongoDB, their proofs in the sealed room, every act in the trail `credential_audit`.

The room's owner is the application, not the member: then erasing what was decided can never meet what was handed in
since. See `store.proof_eraser` for how proofs go.
"""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from services.identity.domain.account import Account
from services.identity.domain.documents import (
    Application,
    ApplicationState,
    ApplicationUnknown,
    Document,
    ProofKind,
    RefusalReason,
    ReviewRefused,
    estimated_wait,
)
from services.identity.domain.letters import Letter, Mailer
from services.identity.domain.pseudonyms import PseudonymTellsName
from services.identity.domain.verification import CivilName, Verification
from services.identity.store.proof_eraser import AUDIT, COLLECTION, ProofEraser
from services.identity.store.verifications import Verifications
from shared.chain import Flaw, Record
from shared.mongo import Document as MongoDocument
from shared.mongo import DuplicateKeyError, Mongo, Session
from shared.sealed import SealedRoom
from shared.trail import Entry, Trail

_ESTIMATE_OF = 20


class Applications:
    """All applications. Proofs are in memory for as long as they are being stored or shown."""

    def __init__(
        self,
        mongo: Mongo,
        room: SealedRoom,
        verifications: Verifications,
        mailer: Mailer,
        eraser: ProofEraser,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._mongo = mongo
        self._applications = mongo.db[COLLECTION]
        self._room = room
        self._verifications = verifications
        self._mailer = mailer
        self._trail = Trail(mongo.db, AUDIT)
        self._eraser = eraser
        self._now = now

    async def prepare(self) -> None:
        """Make the indexes; may be repeated."""
        waiting: MongoDocument = {"state": ApplicationState.WAITING.value}
        await self._applications.create_index(
            "member_id", unique=True, name="one_waiting", partialFilterExpression=waiting
        )
        await self._applications.create_index([("state", 1), ("submitted_at", 1)], name="queue")
        await self._applications.create_index([("member_id", 1), ("submitted_at", -1)], name="member")
        await self._applications.create_index([("decided_at", -1)], name="decided")
        await self._applications.create_index("to_erase", name="to_erase", partialFilterExpression={"to_erase": True})
        await self._trail.prepare()

    async def hand_in(self, member_id: str, kind: ProofKind, data: bytes, media_type: str) -> Application:
        """Keep a proof: in the member's waiting application, or in a new one. Raises ReviewRefused."""
        while True:
            now = self._now()
            waiting = await self._waiting_of(member_id)
            application = waiting or Application(str(uuid.uuid4()), member_id, now)
            document = Document(str(uuid.uuid4()), kind, media_type, len(data), now)
            application.add(document, now)  # refused before a byte is kept
            # The object first: a record never names what is not there. What is refused for sure goes at once. What a
            # crash leaves, or a commit of which no answer came and that may have gone through, the sweep looks at.
            await self._room.store(application.application_id, document.document_id, data, media_type)
            try:
                return await self._mongo.transaction(
                    partial(self._record_document, application if waiting is None else None, application, document)
                )
            except DuplicateKeyError:
                # The member's other upload was first: this document belongs into that application.
                await self._room.forget(application.application_id)
            except ReviewRefused:
                await self._room.remove(application.application_id, document.document_id)
                raise

    async def _record_document(
        self, new: Application | None, application: Application, document: Document, session: Session
    ) -> Application:
        now = self._now()
        known = new or await self._load(application.application_id, session)
        changed = known.add(document, now)
        written = _document(changed)
        if new is not None:
            await self._applications.insert_one(written, session=session)
        else:
            await self._applications.replace_one({"_id": changed.application_id}, written, session=session)
        detail: dict[str, str | int | list[str]] = {
            "document": document.document_id,
            "kind": document.kind.value,
            "media_type": document.media_type,
            "bytes": document.size_bytes,
        }
        await self._note(changed, "handed_in", changed.member_id, now, session, detail)
        return changed

    async def latest_of(self, member_id: str) -> Application | None:
        """The member's newest application."""
        found = await self._applications.find_one({"member_id": member_id}, sort=[("submitted_at", -1)])
        return _application(found) if found else None

    async def withdraw(self, member_id: str) -> Application | None:
        """The member takes the waiting application back; its proofs go. None where nothing waits."""
        waiting = await self._waiting_of(member_id)
        if waiting is None:
            return None
        return await self.change(waiting.application_id, "withdrawn", member_id, lambda one, now: one.withdraw(now))

    async def queue(self, reviewer_id: str, limit: int) -> list[Application]:
        """What this reviewer may take or holds already, oldest first."""
        now = self._now()
        free = [{"claimed_by": reviewer_id}, {"claimed_until": None}, {"claimed_until": {"$lte": now}}]
        wanted = {"state": ApplicationState.WAITING.value, "member_id": {"$ne": reviewer_id}, "$or": free}
        found = self._applications.find(wanted, sort=[("submitted_at", 1), ("_id", 1)], limit=limit)
        return [_application(one) async for one in found]

    async def ahead_of(self, application: Application) -> int:
        """How many wait since longer."""
        earlier = {"state": ApplicationState.WAITING.value, "submitted_at": {"$lt": application.submitted_at}}
        return await self._applications.count_documents(earlier)

    async def usual_wait(self) -> timedelta | None:
        """How long those decided lately have waited, as their median; None where they are too few."""
        decided = {"state": {"$in": [ApplicationState.ACCEPTED.value, ApplicationState.REFUSED.value]}}
        latest = self._applications.find(
            decided, {"submitted_at": 1, "decided_at": 1}, sort=[("decided_at", -1)], limit=_ESTIMATE_OF
        )
        return estimated_wait([one["decided_at"] - one["submitted_at"] async for one in latest])

    async def change(
        self,
        application_id: str,
        act: str,
        actor: str,
        move: Callable[[Application, datetime], Application],
        detail: dict[str, str | int | list[str]] | None = None,
    ) -> Application:
        """Move an application and note it, both or neither. Raises what `move` raises, and ApplicationUnknown.

        An application that has ended by this loses its proofs at once, or soon by the worker.
        """

        async def write(session: Session) -> Application:
            return await self._move(session, application_id, act, actor, move, detail)

        changed = await self._mongo.transaction(write)
        await self._eraser.erase_if_ended(changed)
        return changed

    async def accept(
        self,
        application_id: str,
        reviewer_id: str,
        verification: Verification,
        name: CivilName,
        confirm: Callable[[Account], Account],
    ) -> Application:
        """Verify the applicant and end the application, with the letter and the note of it: all or nothing.

        Raises PseudonymTellsName: then the application waits on, and the applicant is asked for another pseudonym.
        """
        ended: list[Application] = []

        async def within(session: Session) -> None:
            detail: dict[str, str | int | list[str]] = {
                "professions": [profession.value for profession in verification.professions]
            }
            if await self._verifications.is_returning(verification.member_id):
                detail["returning"] = "yes"
            moved = await self._move(
                session, application_id, "accepted", reviewer_id, lambda one, now: one.accept(reviewer_id, now), detail
            )
            await self._mailer.enqueue(moved.member_id, Letter.ACCOUNT_VERIFIED, session=session)
            ended[:] = [moved]

        try:
            await self._verifications.confirm(verification, confirm, name=name, within=within)
        except PseudonymTellsName as refusal:
            once = f"pseudonym:{application_id}:{refusal.version}"
            await self._mailer.enqueue(verification.member_id, Letter.PSEUDONYM_TELLS_NAME, once=once)
            raise
        await self._eraser.erase_if_ended(ended[0])
        return ended[0]

    async def refuse(self, application_id: str, reviewer_id: str, reason: RefusalReason, said: str) -> Application:
        """End the application without effect on the account, and tell the applicant why."""

        async def write(session: Session) -> Application:
            moved = await self._move(
                session,
                application_id,
                "refused",
                reviewer_id,
                lambda one, now: one.refuse(reviewer_id, reason, now),
                {"reason": reason.value},
            )
            await self._mailer.enqueue(moved.member_id, Letter.PROOF_REFUSED, {"reason": said}, session=session)
            return moved

        ended = await self._mongo.transaction(write)
        await self._eraser.erase_if_ended(ended)
        return ended

    async def open(self, application: Application, document_id: str) -> tuple[bytes, str]:
        """A proof's bytes and media type. Raises BlobMissing where it is erased."""
        return await self._room.load(application.application_id, application.document(document_id).document_id)

    async def get(self, application_id: str) -> Application:
        """Raises ApplicationUnknown."""
        found = await self._applications.find_one({"_id": application_id})
        if found is None:
            raise ApplicationUnknown
        return _application(found)

    async def all_of(self, member_id: str) -> list[Application]:
        """Every application of the member, oldest first: for an export of what is held about them."""
        found = self._applications.find({"member_id": member_id}, sort=[("submitted_at", 1)])
        return [_application(one) async for one in found]

    async def forget(self, member_id: str) -> None:
        """Erase the member's proofs and applications: they leave. May be repeated. The trail keeps ids only."""
        for application in await self.all_of(member_id):
            await self._room.forget(application.application_id)
            await self._applications.delete_one({"_id": application.application_id})

    async def trail_of(self, application_id: str) -> tuple[list[Record], list[Flaw]]:
        """Who did what with an application, and what is wrong with that trail (nothing, one hopes)."""
        return await self._trail.read(self._mongo, application_id)

    async def _waiting_of(self, member_id: str) -> Application | None:
        found = await self._applications.find_one({"member_id": member_id, "state": ApplicationState.WAITING.value})
        return _application(found) if found else None

    async def _load(self, application_id: str, session: Session) -> Application:
        found = await self._applications.find_one({"_id": application_id}, session=session)
        if found is None:
            raise ApplicationUnknown
        return _application(found)

    async def _move(
        self,
        session: Session,
        application_id: str,
        act: str,
        actor: str,
        move: Callable[[Application, datetime], Application],
        detail: dict[str, str | int | list[str]] | None,
    ) -> Application:
        now = self._now()
        changed = move(await self._load(application_id, session), now)
        await self._applications.replace_one({"_id": application_id}, _document(changed), session=session)
        await self._note(changed, act, actor, now, session, detail)
        return changed

    async def _note(
        self,
        application: Application,
        act: str,
        actor: str,
        now: datetime,
        session: Session,
        detail: dict[str, str | int | list[str]] | None = None,
    ) -> None:
        entry = Entry(
            subject=application.application_id,
            act=act,
            actor=actor,
            detail={"member": application.member_id, **(detail or {})},
        )
        await self._trail.append(entry, now, session)


def _document(application: Application) -> MongoDocument:
    document: MongoDocument = {
        "_id": application.application_id,
        "member_id": application.member_id,
        "submitted_at": application.submitted_at,
        "state": application.state.value,
        "documents": [
            {
                "document_id": each.document_id,
                "kind": each.kind.value,
                "media_type": each.media_type,
                "size_bytes": each.size_bytes,
                "received_at": each.received_at,
            }
            for each in application.documents
        ],
        "claimed_by": application.claimed_by,
        "claimed_until": application.claimed_until,
        "seen": sorted(application.seen),
        "decided_at": application.decided_at,
        "decided_by": application.decided_by,
        "reason": application.reason.value if application.reason else None,
        "erased_at": application.erased_at,
    }
    if application.state is not ApplicationState.WAITING and application.erased_at is None:
        document["to_erase"] = True
    return document


def _application(found: dict[str, Any]) -> Application:
    return Application(
        application_id=found["_id"],
        member_id=found["member_id"],
        submitted_at=found["submitted_at"],
        state=ApplicationState(found["state"]),
        documents=tuple(
            Document(
                each["document_id"],
                ProofKind(each["kind"]),
                each["media_type"],
                each["size_bytes"],
                each["received_at"],
            )
            for each in found["documents"]
        ),
        claimed_by=found["claimed_by"],
        claimed_until=found["claimed_until"],
        seen=frozenset(found["seen"]),
        decided_at=found["decided_at"],
        decided_by=found["decided_by"],
        reason=RefusalReason(found["reason"]) if found["reason"] else None,
        erased_at=found["erased_at"],
    )
