"""Contacts and blocks in MongoDB. A block goes out as `member.blocked`, the whole list, in the same transaction."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.identity.domain.contacts import (
    MAX_BLOCKED,
    MAX_CONTACTS,
    MAX_OPEN_REQUESTS,
    Standing,
    Tie,
    TieState,
    TooMany,
    cut,
    end,
    tie_id,
)
from services.identity.domain.contacts import ask as ask_for
from services.identity.domain.profile import Relation
from shared.events import BlocksChanged
from shared.mongo import Document, Mongo, Session
from shared.outbox import Outbox


class Blocked(Exception):
    """The caller has blocked this member, and would have to unblock them first."""


class Contacts:
    """Who is in contact with whom, and who has blocked whom."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._ties = mongo.db["contacts"]
        self._blocks = mongo.db["blocks"]
        self._outbox = Outbox(mongo.db)

    async def prepare(self) -> None:
        """Make the indexes; may be repeated."""
        await self._ties.create_index([("members", 1), ("state", 1)], name="members")
        await self._blocks.create_index("blocked", name="blocked")
        # Ties from before `asked_at` was kept: `at` is the best that is known of since when they wait.
        await self._ties.update_many({"asked_at": {"$exists": False}}, [{"$set": {"asked_at": "$at"}}])

    async def relation(self, owner_id: str, reader_id: str) -> Relation:
        """What the reader is to the owner."""
        if owner_id == reader_id:
            return Relation.OWNER
        if await self._blocks.find_one({"_id": owner_id, "blocked": reader_id}, {"_id": 1}):
            return Relation.STRANGER
        tie = await self.between(owner_id, reader_id)
        return Relation.CONTACT if tie is not None and tie.state is TieState.CONTACT else Relation.MEMBER

    async def between(self, one: str, other: str) -> Tie | None:
        """The tie between two members."""
        return await self._tie(one, other, None)

    async def ties(self, member_id: str, standing: Standing) -> list[Tie]:
        """A member's contacts, or the requests they made or got, newest first; without those whom they blocked."""
        state: Document = {"state": TieState.CONTACT.value}
        if standing is Standing.ASKED:
            state = _open_requests(member_id)
        elif standing is Standing.RECEIVED:
            state = {"state": TieState.ASKED.value, "asked_by": {"$ne": member_id}}
        blocked = set(await self.blocked(member_id))
        found = [_tie(d) async for d in self._ties.find({"members": member_id, **state}, sort=[("_id", 1)])]
        found.sort(key=lambda tie: tie.since(member_id), reverse=True)
        return [tie for tie in found if tie.other(member_id) not in blocked]

    async def ask(self, me: str, other: str, now: datetime) -> Tie:
        """Ask for contact, or agree to theirs. Raises Blocked, TooMany."""

        async def write(session: Session) -> Tie:
            if await self._blocks.find_one({"_id": me, "blocked": other}, {"_id": 1}, session=session):
                raise Blocked
            before = await self._tie(me, other, session)
            tie = ask_for(before, me, other, now)
            if tie == before:
                return tie
            if tie.state is TieState.CONTACT:
                await self._room({"members": me, "state": TieState.CONTACT.value}, MAX_CONTACTS, session)
            else:
                # Only of what is new to the asker, and of all that waits in their eyes: else a full list would tell
                # which requests were refused.
                if before is None or before.standing(me) is not Standing.ASKED:
                    await self._room({"members": me, **_open_requests(me)}, MAX_OPEN_REQUESTS, session)
            await self._keep(tie.id, tie, session)
            return tie

        return await self._mongo.transaction(write)

    async def end(self, me: str, other: str, now: datetime) -> None:
        """Take a request back, refuse one, or end a contact: whatever there is."""
        await self._change(me, other, lambda tie: end(tie, me, now))

    async def blocked(self, member_id: str) -> list[str]:
        """Whom the member has blocked, the latest last."""
        found = await self._blocks.find_one({"_id": member_id}, {"blocked": 1})
        return list(found["blocked"]) if found else []

    async def hidden_from(self, member_id: str) -> set[str]:
        """Members who have blocked this one, and those whom this one has blocked: neither finds the other."""
        either = self._blocks.find({"$or": [{"_id": member_id}, {"blocked": member_id}]})
        hidden = {each async for found in either for each in (found["_id"], *_own(found, member_id))}
        return hidden - {member_id}

    async def block(self, me: str, other: str) -> None:
        """Put somebody on the list; what ties there were are cut. Raises TooMany."""

        async def write(session: Session) -> None:
            await self._list(me, lambda blocked: blocked if other in blocked else [*blocked, other], session)
            tie = await self._tie(me, other, session)
            await self._keep(tie_id(me, other), cut(tie, me), session)

        await self._mongo.transaction(write)

    async def unblock(self, me: str, other: str) -> None:
        """Take somebody off the list."""

        async def write(session: Session) -> None:
            await self._list(me, lambda blocked: [one for one in blocked if one != other], session)

        await self._mongo.transaction(write)

    async def _list(self, me: str, change: Callable[[list[str]], list[str]], session: Session) -> None:
        found = await self._blocks.find_one({"_id": me}, session=session)
        before = list(found["blocked"]) if found else []
        blocked = change(before)
        if blocked == before:
            return
        if len(blocked) > MAX_BLOCKED:
            raise TooMany(MAX_BLOCKED)
        version = (found["version"] if found else 0) + 1
        await self._blocks.replace_one(
            {"_id": me}, {"_id": me, "version": version, "blocked": blocked}, upsert=True, session=session
        )
        await self._outbox.add(BlocksChanged(member_id=me, version=version, blocked=tuple(blocked)), session)

    async def _change(self, me: str, other: str, change: Callable[[Tie | None], Tie | None]) -> None:
        async def write(session: Session) -> None:
            before = await self._tie(me, other, session)
            after = change(before)
            if after != before:
                await self._keep(tie_id(me, other), after, session)

        await self._mongo.transaction(write)

    async def _room(self, wanted: Document, limit: int, session: Session) -> None:
        if await self._ties.count_documents(wanted, limit=limit, session=session) >= limit:
            raise TooMany(limit)

    async def _tie(self, one: str, other: str, session: Session | None) -> Tie | None:
        found = await self._ties.find_one({"_id": tie_id(one, other)}, session=session)
        return _tie(found) if found else None

    async def _keep(self, key: str, tie: Tie | None, session: Session) -> None:
        if tie is None:
            await self._ties.delete_one({"_id": key}, session=session)
            return
        document: Document = {
            "_id": key,
            "members": list(tie.members),
            "state": tie.state.value,
            "asked_by": tie.asked_by,
            "at": tie.at,
            "asked_at": tie.asked_at,
        }
        await self._ties.replace_one({"_id": key}, document, upsert=True, session=session)


def _own(found: dict[str, Any], member_id: str) -> list[str]:
    """Whom a list names, where it is the member's own; other members' lists are theirs."""
    return list(found["blocked"]) if found["_id"] == member_id else []


def _tie(found: dict[str, Any]) -> Tie:
    first, second = found["members"]
    asked_at = found.get("asked_at", found["at"])  # None is another thing: see `Tie`
    return Tie((first, second), TieState(found["state"]), found["asked_by"], found["at"], asked_at)


def _open_requests(member_id: str) -> Document:
    """The requests that wait in the eyes of who made them: unanswered, refused and blocked alike."""
    waiting = {"$in": [TieState.ASKED.value, TieState.REFUSED.value]}
    return {"state": waiting, "asked_by": member_id, "asked_at": {"$ne": None}}
