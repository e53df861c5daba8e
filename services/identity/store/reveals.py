"""Reveals in MongoDB, each move together with its record in the trail (collections `reveals`, `reveal_trail`)."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from services.identity.domain.reveals import Reveal, RevealUnknown
from shared.chain import Flaw, Record
from shared.mongo import Document, Mongo, Session
from shared.trail import Entry, Trail

MOST_LISTED = 200


class Reveals:
    """The requests to learn who is behind a pseudonym. The trail of a member's reveals is one chain."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._reveals = mongo.db["reveals"]
        self._trail = Trail(mongo.db, "reveal_trail")

    async def prepare(self) -> None:
        """Make the indexes; may be repeated."""
        await self._reveals.create_index([("asked_at", -1)], name="newest")
        await self._trail.prepare()

    async def add(self, reveal: Reveal) -> None:
        """Keep a new request and its record."""

        async def write(session: Session) -> None:
            await self._reveals.insert_one(_document(reveal), session=session)
            await self._record(reveal, "asked", reveal.asked_by, reveal.asked_at, session, reason=reveal.reason)

        await self._mongo.transaction(write)

    async def answer(self, reveal_id: str, move: Callable[[Reveal], Reveal]) -> Reveal:
        """Let a second officer answer. Raises RevealUnknown, and whatever `move` raises."""

        async def write(session: Session) -> Reveal:
            moved = move(await self._one(reveal_id, session))
            assert moved.answered_by is not None
            assert moved.answered_at is not None
            await self._reveals.replace_one({"_id": reveal_id}, _document(moved), session=session)
            act = "agreed" if moved.agreed else "refused"
            await self._record(moved, act, moved.answered_by, moved.answered_at, session)
            return moved

        return await self._mongo.transaction(write)

    async def read(self, reveal_id: str, officer: str, check: Callable[[Reveal], None], now: datetime) -> Reveal:
        """Record that an officer reads the name, before it is opened. Raises RevealUnknown, and what `check` does."""

        async def write(session: Session) -> Reveal:
            reveal = await self._one(reveal_id, session)
            check(reveal)
            await self._record(reveal, "read", officer, now, session)
            return reveal

        return await self._mongo.transaction(write)

    async def newest(self) -> list[Reveal]:
        """The latest requests, newest first."""
        found = self._reveals.find({}, sort=[("asked_at", -1)], limit=MOST_LISTED)
        return [_reveal(document) async for document in found]

    async def trail(self, member_id: str) -> tuple[list[Record], list[Flaw]]:
        """Everything that was asked, answered and read about a member, and what is wrong with the chain."""
        return await self._trail.read(self._mongo, member_id)

    async def _one(self, reveal_id: str, session: Session) -> Reveal:
        found = await self._reveals.find_one({"_id": reveal_id}, session=session)
        if found is None:
            raise RevealUnknown(reveal_id)
        return _reveal(found)

    async def _record(
        self, reveal: Reveal, act: str, actor: str, at: datetime, session: Session, **detail: str
    ) -> None:
        about = {"reveal_id": reveal.reveal_id, **detail}
        await self._trail.append(Entry(subject=reveal.member_id, act=act, actor=actor, detail=about), at, session)


def _document(reveal: Reveal) -> Document:
    fields = asdict(reveal)
    return {"_id": fields.pop("reveal_id"), **fields}


def _reveal(document: dict[str, Any]) -> Reveal:
    return Reveal(reveal_id=document["_id"], **{name: value for name, value in document.items() if name != "_id"})
