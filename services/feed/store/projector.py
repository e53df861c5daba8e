"""Writes events into builds: one transaction a batch, what was had dropped (inbox), versions guarded.

A transaction loads what the batch touches, folds it (services/feed/domain.py) and writes what changed. Batches of
different topics run at the same time, and under snapshot isolation two of them could each miss the other's write:
a comment is inserted while its case's withdrawal deletes the comments that it sees. Therefore *every batch that
counts, publishes or withdraws something of a case writes that case's document in `cases`*; the second of two such
transactions then fails with a write conflict, runs again, and sees what the first one did.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import ReplaceOne, UpdateOne

from services.feed.domain import CaseEntry, CommentEntry, Fold, MemberEntry, Standing
from services.feed.store.builds import Builds, NoBuild, Rooms
from shared.bus import Received
from shared.events import CaseApproved, CaseWithdrawn, CommentAdded, Event
from shared.mongo import Collection, Document, Mongo, Session

Write = UpdateOne | ReplaceOne[Document]


class Projector:
    """Applies batches of one topic. Both methods are idempotent, and may run in several processes at once."""

    def __init__(self, mongo: Mongo, builds: Builds) -> None:
        self._mongo = mongo
        self._builds = builds

    async def project(self, topic: type[Event], batch: Sequence[Received[Any]]) -> None:
        """Apply live events to the live build and to the candidate, where there is one. Raises NoBuild."""

        async def apply(session: Session) -> None:
            pointer = await self._builds.pointer(session)
            if pointer is None or not pointer.written:
                raise NoBuild("there is no build to write to: restart the feed or run its rebuild")
            # Readers have left the previous build, but what is withdrawn has to leave it as well.
            erasing = [pointer.previous] if topic is CaseWithdrawn and pointer.previous is not None else []
            for build in pointer.written + erasing:
                rooms = self._builds.rooms(build)
                new = await _first_time(rooms.inbox, batch, session)
                if new:
                    await _apply(rooms, topic, new, session)

        await self._mongo.transaction(apply)

    async def still_shown(self, case_ids: Iterable[str]) -> set[str]:
        """Of these cases, those that the live build or a candidate has and does not know as withdrawn."""
        pointer = await self._builds.pointer()
        found: set[str] = set()
        for build in pointer.written if pointer else ():
            wanted = {"_id": {"$in": list(case_ids)}, "standing": {"$ne": Standing.WITHDRAWN.value}}
            found |= {entry["_id"] async for entry in self._builds.rooms(build).cases.find(wanted, {"_id": 1})}
        return found

    async def replay(self, topic: type[Event], batch: Sequence[Received[Any]], candidate: int) -> None:
        """Apply events of the past to a candidate only. Raises Superseded where it is not the candidate any more.

        Past the inbox: what makes repetition harmless is the fold's versions. The inbox spares the live consumer the
        work for what Kafka delivers again; here it would be a fifth of the work for what comes once.
        """

        async def apply(session: Session) -> None:
            await self._builds.check_candidate(candidate, session)
            await _apply(self._builds.rooms(candidate), topic, batch, session)

        await self._mongo.transaction(apply)


async def _apply(rooms: Rooms, topic: type[Event], batch: Sequence[Received[Any]], session: Session) -> None:
    fold = await _load(rooms, topic, batch, session)
    fold.apply(topic, [(received.key, received.event) for received in batch])
    await _write(rooms.cases, _case_writes(fold), session)
    await _write(rooms.comments, _comment_writes(fold), session)
    await _write(rooms.members, _member_writes(fold), session)
    gone = [key for key, case in fold.cases.items() if case.changed and case.standing is Standing.WITHDRAWN]
    if gone:
        await rooms.comments.delete_many({"case_id": {"$in": gone}}, session=session)


async def _first_time(inbox: Collection, batch: Sequence[Received[Any]], session: Session) -> list[Received[Any]]:
    """Those of the batch that this build has not had, noted as had from now on."""
    first: dict[str, Received[Any]] = {}
    for received in batch:
        first.setdefault(received.id, received)
    had = {entry["_id"] async for entry in inbox.find({"_id": {"$in": list(first)}}, session=session)}
    new = [received for ce_id, received in first.items() if ce_id not in had]
    if new:
        now = datetime.now(UTC)
        await inbox.insert_many([{"_id": received.id, "at": now} for received in new], ordered=False, session=session)
    return new


async def _load(rooms: Rooms, topic: type[Event], batch: Sequence[Received[Any]], session: Session) -> Fold:
    """The entries that the batch touches, as they are in the transaction's snapshot."""
    fold = Fold()
    keys = {received.key for received in batch}
    if topic is CommentAdded:
        async for found in _find(rooms.comments, keys, ("case_id", "version", "erased"), session):
            entry = CommentEntry(found.get("case_id", ""), found.get("version", 0), found.get("erased", False))
            fold.comments[found["_id"]] = entry
        keys = {entry.case_id for entry in fold.comments.values() if entry.case_id}
        keys |= {received.event.case_id for received in batch if received.event is not None}
    if topic in (CaseApproved, CaseWithdrawn, CommentAdded):
        async for found in _find(rooms.cases, keys, ("standing", "version", "comments"), session):
            fold.cases[found["_id"]] = CaseEntry(
                Standing(found["standing"]), found.get("version", 0), found.get("comments", 0)
            )
    else:
        async for found in _find(rooms.members, keys, ("version", "erased"), session):
            fold.members[found["_id"]] = MemberEntry(found.get("version", 0), found.get("erased", False))
    return fold


def _find(collection: Collection, keys: Iterable[str], fields: Sequence[str], session: Session) -> Any:
    wanted = list(keys)
    return collection.find({"_id": {"$in": wanted}}, dict.fromkeys(fields, 1), session=session, batch_size=10_000)


def _case_writes(fold: Fold) -> list[Write]:
    writes: list[Write] = []
    for key, case in fold.cases.items():
        if not case.changed:
            continue
        if case.standing is Standing.WITHDRAWN:
            line = {"standing": case.standing.value, "version": case.version, **(case.content or {})}
            writes.append(ReplaceOne({"_id": key}, line, upsert=True))
        elif case.standing is Standing.ERASED:
            mark = {"standing": case.standing.value, "comments": case.comments}
            writes.append(ReplaceOne({"_id": key}, mark, upsert=True))
        else:
            fields = {"standing": case.standing.value, "version": case.version, "comments": case.comments}
            # `touched`: a write that changes nothing would not conflict with a withdrawal at the same moment.
            change = {"$set": fields | (case.content or {}), "$inc": {"touched": 1}}
            writes.append(UpdateOne({"_id": key}, change, upsert=True))
    return writes


def _comment_writes(fold: Fold) -> list[Write]:
    return [
        ReplaceOne(
            {"_id": key},
            {"erased": True} if comment.erased else {"version": comment.version, **(comment.content or {})},
            upsert=True,
        )
        for key, comment in fold.comments.items()
        if comment.changed
    ]


def _member_writes(fold: Fold) -> list[Write]:
    return [
        ReplaceOne(
            {"_id": key},
            {"erased": True} if member.erased else {"version": member.version, **(member.content or {})},
            upsert=True,
        )
        for key, member in fold.members.items()
        if member.changed
    ]


async def _write(collection: Collection, writes: list[Write], session: Session) -> None:
    if writes:
        await collection.bulk_write(writes, ordered=False, session=session)
