"""Writes events into builds: one transaction a batch, what was had dropped (inbox), versions guarded.

A transaction loads what the batch touches, folds it (services/feed/domain.py) and writes what changed. Batches of
different topics run at the same time, and under snapshot isolation two of them could each miss the other's write:
a comment is inserted while its case's withdrawal deletes the comments that it sees. Therefore *every batch that
counts, publishes or withdraws something of a case writes that case's document in `cases`*; the second of two such
transactions then fails with a write conflict, runs again, and sees what the first one did.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import ReplaceOne, UpdateOne

from services.feed.domain import CaseEntry, CommentEntry, Fold, MemberEntry, Standing
from services.feed.store.builds import Builds, NoBuild, Rooms
from shared.bus import Received
from shared.erasures import Erasures, Gone
from shared.events import CaseApproved, CaseWithdrawn, CommentAdded, Event
from shared.mongo import Collection, Document, Mongo, Session

Write = UpdateOne | ReplaceOne[Document]


class Projector:
    """Applies batches of one topic. Both methods are idempotent, and may run in several processes at once."""

    def __init__(self, mongo: Mongo, builds: Builds, erasures: Erasures | None = None) -> None:
        """`erasures`: where is noted what withdrawals erase; a process that applies none does without."""
        self._mongo = mongo
        self._builds = builds
        self._erasures = erasures

    async def project(self, topic: type[Event], batch: Sequence[Received[Any]]) -> None:
        """Apply live events to the live build and to the candidate, where there is one. Raises NoBuild.

        A withdrawal goes into every build that there is: also into the one that readers have left, and into what a
        switch that was cut off has not dropped. What it erases is noted in the same transaction.
        """
        strays = await self._builds.strays() if topic is CaseWithdrawn else []

        async def apply(session: Session) -> None:
            pointer = await self._builds.pointer(session)
            if pointer is None or not pointer.written:
                raise NoBuild("there is no build to write to: restart the feed or run its rebuild")
            erasing = [pointer.previous] if topic is CaseWithdrawn and pointer.previous is not None else []
            tally = _Tally()
            for build in pointer.written + erasing:
                rooms = self._builds.rooms(build)
                new = await _first_time(rooms.inbox, batch, session)
                if new:
                    if topic is CaseWithdrawn:
                        await tally.count(rooms, new, session)
                    await _apply(rooms, topic, new, session)
            for build in set(strays) - {*pointer.written, *erasing}:
                await tally.erase(self._builds.rooms(build), session)
            if self._erasures is not None:
                await self._erasures.note(tally.gone(), session)

        await self._mongo.transaction(apply)

    async def not_withdrawn(self, case_ids: Iterable[str]) -> set[str]:
        """Of these cases, those that the live build or a candidate does not know as withdrawn.

        Also those that they have never heard of: where approval and withdrawal both wait in the log, the approval may
        be read first, and the case would be shown until the withdrawal is.
        """
        pointer, asked = await self._builds.pointer(), set(case_ids)
        found: set[str] = set()
        for build in pointer.written if pointer else ():
            wanted = {"_id": {"$in": list(asked)}, "standing": Standing.WITHDRAWN.value}
            known = {entry["_id"] async for entry in self._builds.rooms(build).cases.find(wanted, {"_id": 1})}
            found |= asked - known
        return found

    async def any_withdrawn(self, ids: Iterable[str]) -> bool:
        """Whether one of these cases is known as withdrawn in every build that events go into."""
        asked, pointer = set(ids), await self._builds.pointer()
        return bool(pointer and pointer.written and asked - await self.not_withdrawn(asked))

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
    gone = list({received.key for received in batch if received.event is not None}) if topic is CaseWithdrawn else []
    if gone:
        await rooms.comments.delete_many({"case_id": {"$in": gone}}, session=session)


class _Tally:
    """What a transaction erases of the cases that it withdraws, over all builds."""

    def __init__(self) -> None:
        self._pictures: dict[str, tuple[str, ...]] = {}
        self._cases: Counter[str] = Counter()
        self._comments: Counter[str] = Counter()

    async def count(self, rooms: Rooms, batch: Sequence[Received[CaseWithdrawn]], session: Session) -> None:
        """Count what a build has of the cases, before it goes."""
        self._pictures |= {each.key: each.event.picture_ids for each in batch if each.event is not None}
        ids = [each.key for each in batch if each.event is not None]
        shown = {"_id": {"$in": ids}, "standing": Standing.PUBLISHED.value}
        self._cases.update([found["_id"] async for found in rooms.cases.find(shown, {"_id": 1}, session=session)])
        by_case: list[Document] = [
            {"$match": {"case_id": {"$in": ids}}},
            {"$group": {"_id": "$case_id", "comments": {"$sum": 1}}},
        ]
        async for found in rooms.comments.aggregate(by_case, session=session):
            self._comments[found["_id"]] += found["comments"]

    async def erase(self, rooms: Rooms, session: Session) -> None:
        """Remove the cases counted so far from a build that nobody reads or writes any more."""
        for case_id in self._pictures:
            left = {"_id": case_id, "standing": Standing.PUBLISHED.value}
            self._cases[case_id] += (await rooms.cases.delete_one(left, session=session)).deleted_count
            done = await rooms.comments.delete_many({"case_id": case_id}, session=session)
            self._comments[case_id] += done.deleted_count

    def gone(self) -> list[Gone]:
        return [
            Gone(case_id, pictures, self._cases[case_id], self._comments[case_id])
            for case_id, pictures in self._pictures.items()
        ]


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
