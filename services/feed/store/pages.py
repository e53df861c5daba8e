"""What readers get: pages of ready-made cards, joined with their authors' cards at the moment of reading.

Cards are stored as JSON text, so that a page is one query and a concatenation. Authors are not part of them: a
card that named its author would have to be rewritten with every `member.changed`, and topics would race.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from services.feed import domain
from services.feed.domain import Standing
from services.feed.store.builds import Builds
from shared.auth import MemberState
from shared.events import MemberStatus, Profession, Role, Specialty
from shared.mongo import Collection, Document

MEMBER_CACHE_S = 1.0
MEMBER_CACHE_SIZE = 20_000
PAGE_CACHE_S = 0.25
PAGE_CACHE_SIZE = 200


@dataclass(frozen=True, slots=True)
class File:
    """A rendition that may be served: where its bytes lie, what they are, and which bytes were approved."""

    object_key: str
    media_type: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, as far as it decides what they see: see `shared.audiences`."""

    member_id: str
    tags: tuple[str, ...]

    def whole_list(self) -> Document:
        """The part of a query that leaves out what this reader may not see in a list: the same for all of a kind."""
        # None: cases that were published before audiences were asked for.
        return {"shown_to": {"$in": [*self.tags, None]}, "shown_until": {"$not": {"$lt": _today()}}}

    def one(self, case_id: str) -> Document:
        """The query for one published case, which its author sees as well, whatever the audience."""
        return {
            "_id": case_id,
            "standing": Standing.PUBLISHED.value,
            "shown_until": {"$not": {"$lt": _today()}},
            "$or": [{"shown_to": {"$in": [*self.tags, None]}}, {"author_id": self.member_id}],
        }


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


class Members:
    """The members of the live build, each from memory for at most `MEMBER_CACHE_S`: a suspension counts within
    about a second."""

    def __init__(self, builds: Builds, *, cache_s: float = MEMBER_CACHE_S) -> None:
        self._builds = builds
        self._cache_s = cache_s
        self._known: OrderedDict[str, tuple[float, Document | None]] = OrderedDict()

    async def state(self, member_id: str) -> MemberState | None:
        """What authorisation asks for (`Guard.status_of`); None where nothing was heard of the member yet."""
        found = (await self._documents((member_id,)))[member_id]
        if found is None or found.get("erased"):
            return None
        return MemberState(
            member_id,
            found["version"],
            MemberStatus(found["status"]),
            frozenset(Role(role) for role in found["roles"]),
            Profession(found["profession"]) if found["profession"] else None,
            found["pseudonym"],
            Specialty(found["specialty"]) if found.get("specialty") else None,
        )

    async def cards(self, member_ids: Iterable[str]) -> dict[str, str]:
        """The public cards of members, as JSON text."""
        found = await self._documents(member_ids)
        return {
            member_id: document["card"] if document and "card" in document else domain.unknown_member_card(member_id)
            for member_id, document in found.items()
        }

    async def _documents(self, member_ids: Iterable[str]) -> dict[str, Document | None]:
        now = time.monotonic()
        found: dict[str, Document | None] = {}
        missing = []
        for member_id in member_ids:
            known = self._known.get(member_id)
            if known is not None and known[0] > now:
                found[member_id] = known[1]
            else:
                missing.append(member_id)
        if missing:
            members = self._builds.rooms(await self._builds.live()).members
            fresh = {document["_id"]: document async for document in members.find({"_id": {"$in": missing}})}
            for member_id in missing:
                found[member_id] = fresh.get(member_id)
                self._known[member_id] = (now + self._cache_s, found[member_id])
                self._known.move_to_end(member_id)
            while len(self._known) > MEMBER_CACHE_SIZE:
                self._known.popitem(last=False)
        return found


class Pages:
    """Reads the live build. Every method may raise NoBuild; None says that there is no such case for members."""

    def __init__(self, builds: Builds, members: Members, *, cache_s: float = PAGE_CACHE_S) -> None:
        self._builds = builds
        self._members = members
        self._cache_s = cache_s
        self._recent: OrderedDict[object, tuple[float, asyncio.Task[bytes]]] = OrderedDict()

    async def cases(self, reader: Reader, filters: Mapping[str, str], limit: int, after: str) -> bytes:
        """A page of published cases from the newest, as JSON. `filters` by field; `after`: a position.

        A page is the same for every reader of the same profession's kind and specialty, and most ask for the first:
        who asks while another's answer is being made, or within `PAGE_CACHE_S` of its beginning, gets that answer.
        """
        build = await self._builds.live()

        async def read() -> bytes:
            query = {**filters, "position": {"$lt": after}, **reader.whole_list()}
            return await self._page(
                self._builds.rooms(build).cases, query, -1, limit, {"author_id", "card", "comments"}
            )

        return await self._shared((build, reader.tags, *filters.items(), limit, after), read)

    async def comments(self, reader: Reader, case_id: str, limit: int, after: str) -> bytes | None:
        """A page of a published case's comments from the oldest, as JSON."""
        rooms = self._builds.rooms(await self._builds.live())
        if not await rooms.cases.find_one(reader.one(case_id), {"_id": 1}):
            return None
        filters = {"case_id": case_id, "position": {"$gt": after}}
        return await self._page(rooms.comments, filters, 1, limit, {"author_id", "card"})

    async def case(self, reader: Reader, case_id: str) -> bytes | None:
        """A published case whole, as JSON."""
        rooms = self._builds.rooms(await self._builds.live())
        found = await rooms.cases.find_one(reader.one(case_id))
        if found is None:
            return None
        cards = await self._members.cards((found["author_id"],))
        return domain.whole_case(found, cards[found["author_id"]]).encode()

    async def file(self, reader: Reader, case_id: str, picture_id: str, frame: int, size: str) -> File | None:
        """A rendition of a published case's picture."""
        rooms = self._builds.rooms(await self._builds.live())
        found = await rooms.cases.find_one(reader.one(case_id), {"_id": 0, "pictures": 1})
        listed = domain.approved_rendition(found["pictures"], picture_id, frame, size) if found else None
        return File(listed["object_key"], listed["media_type"], listed["sha256"]) if listed else None

    async def _shared(self, key: object, read: Callable[[], Coroutine[None, None, bytes]]) -> bytes:
        now = time.monotonic()
        known = self._recent.get(key)
        if known is None or known[0] <= now:
            known = (now + self._cache_s, asyncio.create_task(read()))
            self._recent[key] = known
            self._recent.move_to_end(key)
            if len(self._recent) > PAGE_CACHE_SIZE:
                self._recent.popitem(last=False)
            asyncio.get_running_loop().call_later(self._cache_s, self._let_go, key, known)
        try:
            # Shielded: a caller who leaves must not take the answer from the others.
            return await asyncio.shield(known[1])
        except Exception:
            self._let_go(key, known)  # a failure is not an answer to remember
            raise

    def _let_go(self, key: object, known: tuple[float, asyncio.Task[bytes]]) -> None:
        """Forget an answer, also where nobody asks again: what is withdrawn must not lie about in memory."""
        if self._recent.get(key) is known:
            del self._recent[key]

    async def _page(
        self, collection: Collection, query: Document, direction: int, limit: int, fields: Iterable[str]
    ) -> bytes:
        # One more than asked tells whether a next page exists; with a limit the first answer holds them all.
        projection = {"_id": 0, "position": 1, **dict.fromkeys(fields, 1)}
        found = await collection.find(
            query, projection, sort=[("position", direction)], limit=limit + 1, batch_size=limit + 2
        ).to_list(limit + 1)
        next_cursor = "null"
        if len(found) > limit:
            found.pop()
            next_cursor = f'"{domain.cursor_after(found[-1]["position"])}"'
        authors = await self._members.cards({document["author_id"] for document in found})
        items = ",".join(
            domain.with_author(document["card"], authors[document["author_id"]], document.get("comments"))
            for document in found
        )
        return f'{{"items":[{items}],"next_cursor":{next_cursor}}}'.encode()
