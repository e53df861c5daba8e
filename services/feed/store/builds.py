"""Builds of the read models, and the pointer that says which one readers see.

A build `N` is the collections `cases_bN`, `comments_bN`, `members_bN` and `inbox_bN`. The document `pointer` of
the collection `builds` names the live build, which readers see, and a candidate, which a rebuild is filling; the
consumers write to both, and read the pointer inside each of their transactions. Numbers are never used again, so
that a writer who comes too late can only touch a build that nobody reads.
"""

import re
import time
from dataclasses import dataclass

from shared.errors import NotNow
from shared.mongo import Collection, Database, Session
from shared.outbox import INBOX_DAYS

COLLECTIONS = ("cases", "comments", "members")
"""What members see of a build. Its inbox only remembers which events are in."""

POINTER_CACHE_S = 0.2
_BUILD = re.compile(r"^(?:cases|comments|members|inbox)_b(\d+)$")


class NoBuild(NotNow):
    """There is no live build (yet): the first one is being made, or the database was dropped."""


class Superseded(Exception):
    """Another rebuild has begun: this one's candidate is no longer the candidate."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which builds there are. `previous` is the build before the live one, kept until the next switch."""

    live: int | None
    candidate: int | None
    previous: int | None
    last: int

    @property
    def written(self) -> list[int]:
        """The builds that an event goes into."""
        return [build for build in (self.live, self.candidate) if build is not None]


@dataclass(frozen=True, slots=True)
class Rooms:
    """The collections of one build."""

    cases: Collection
    comments: Collection
    members: Collection
    inbox: Collection

    @classmethod
    def of(cls, db: Database, build: int) -> "Rooms":
        return cls(*(db[f"{name}_b{build}"] for name in (*COLLECTIONS, "inbox")))


class Builds:
    """Makes, switches and drops builds. Readers ask `live`, which may be `POINTER_CACHE_S` old: both the build that
    was live and the one that now is can be read during that time."""

    def __init__(self, db: Database, *, pointer_cache_s: float = POINTER_CACHE_S) -> None:
        self._db = db
        self._pointer_cache_s = pointer_cache_s
        self._pointers = db["builds"]
        self._rooms: dict[int, Rooms] = {}
        self._live: int | None = None
        self._live_until = 0.0

    def rooms(self, build: int) -> Rooms:
        """The collections of a build. Made once: a driver's collection object costs more than a look in a table."""
        if build not in self._rooms:
            self._rooms[build] = Rooms.of(self._db, build)
        return self._rooms[build]

    async def pointer(self, session: Session | None = None) -> Pointer | None:
        """The pointer as of now, or as of the session's transaction; None where no build was ever made."""
        found = await self._pointers.find_one({"_id": "pointer"}, session=session)
        if found is None:
            return None
        return Pointer(found["live"], found["candidate"], found["previous"], found["last"])

    async def live(self) -> int:
        """The build to read. Raises NoBuild."""
        now = time.monotonic()
        if now >= self._live_until or self._live is None:
            pointer = await self.pointer()
            self._live = pointer.live if pointer else None
            self._live_until = now + self._pointer_cache_s
        if self._live is None:
            raise NoBuild("the feed's first build is not ready yet")
        return self._live

    async def begin(self) -> Pointer:
        """Make an empty candidate and point at it; what a dead rebuild left behind is dropped.

        Events that are consumed from now on are written to the candidate too.
        """
        await self._pointers.update_one(
            {"_id": "pointer"},
            {"$setOnInsert": {"live": None, "candidate": None, "previous": None, "last": 0}},
            upsert=True,
        )
        counted = await self._pointers.find_one_and_update(
            {"_id": "pointer"}, {"$inc": {"last": 1}}, return_document=True
        )
        assert counted is not None
        build = counted["last"]
        await self._create(build)
        # The highest number wins where two rebuilds begin at once; the other finds itself superseded.
        await self._pointers.update_one(
            {"_id": "pointer", "$or": [{"candidate": None}, {"candidate": {"$lt": build}}]},
            {"$set": {"candidate": build}},
        )
        pointer = await self.check_candidate(build)
        await self._drop_others(pointer)
        return pointer

    async def check_candidate(self, build: int, session: Session | None = None) -> Pointer:
        """The pointer, if `build` is its candidate. Raises Superseded."""
        pointer = await self.pointer(session)
        if pointer is None or pointer.candidate != build:
            raise Superseded(f"build {build} is not the candidate any more: another rebuild has begun")
        return pointer

    async def switch(self, build: int) -> Pointer:
        """Make the candidate `build` live, in one write. The build before stays until the next switch."""
        pointer = await self.check_candidate(build)
        done = await self._pointers.update_one(
            {"_id": "pointer", "candidate": build, "live": pointer.live},
            {"$set": {"live": build, "candidate": None, "previous": pointer.live}},
        )
        if done.modified_count != 1:
            raise Superseded(f"build {build} is not the candidate any more: another rebuild has begun")
        after = Pointer(build, None, pointer.live, pointer.last)
        await self._drop_others(after)
        return after

    async def discard(self, build: int) -> None:
        """Stop writing to the candidate `build` and drop it. The live build is not touched."""
        await self._pointers.update_one({"_id": "pointer", "candidate": build}, {"$set": {"candidate": None}})
        pointer = await self.pointer()
        if pointer is not None:
            await self._drop_others(pointer)

    async def index(self, build: int) -> None:
        """Make the indexes that only readers need; before `switch`.

        After the replay, because one scan then costs less than 10,000s of insertions. A live transaction that meets
        the moment in which an index begins or ends is told so by the server, and runs again.
        """
        cases = self.rooms(build).cases
        for fields in (
            ("position",),
            ("specialty", "position"),
            ("kind", "position"),
            ("specialty", "kind", "position"),
        ):
            await cases.create_index([(name, -1 if name == "position" else 1) for name in fields])

    async def strays(self) -> list[int]:
        """Builds that the pointer does not name: what a switch that was cut off has not dropped."""
        pointer = await self.pointer()
        named = {pointer.live, pointer.candidate, pointer.previous} if pointer else set()
        there = {int(found[1]) for name in await self._db.list_collection_names() if (found := _BUILD.match(name))}
        return sorted(there - named)

    async def _create(self, build: int) -> None:
        """Make the collections, which a transaction should not have to, and the indexes that writers need."""
        rooms = self.rooms(build)
        await self._db.create_collection(rooms.cases.name)
        await self._db.create_collection(rooms.members.name)
        await rooms.comments.create_index([("case_id", 1), ("position", 1)])
        await rooms.inbox.create_index("at", expireAfterSeconds=INBOX_DAYS * 86_400)

    async def _drop_others(self, pointer: Pointer) -> None:
        """Drop every build that is neither live, nor candidate, nor the previous one, nor newer than the pointer."""
        kept = {pointer.live, pointer.candidate, pointer.previous}
        for name in await self._db.list_collection_names():
            found = _BUILD.match(name)
            if found and int(found[1]) not in kept and int(found[1]) <= pointer.last:
                await self._db.drop_collection(name)
