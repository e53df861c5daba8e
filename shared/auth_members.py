"""What a service knows of members: its own mirror of `member.changed`."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from shared.events import MemberChanged, MemberStatus, Profession, Role, Specialty

if TYPE_CHECKING:  # The redactor installs no MongoDB driver.
    from shared.mongo import Database, Session

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MemberState:
    """What the platform knows of a member at one version. No civil name, no address."""

    member_id: str
    version: int
    status: MemberStatus
    roles: frozenset[Role]
    profession: Profession | None
    pseudonym: str
    specialty: Specialty | None = None

    @classmethod
    def of(cls, event: MemberChanged) -> "MemberState":
        return cls(
            event.member_id,
            event.version,
            event.status,
            frozenset(event.roles),
            event.profession,
            event.pseudonym,
            event.specialty,
        )


class Members:
    """This service's own mirror of `member.changed`: collection `members`, one document a member.

    `state` may be answered from memory for up to `cache_s` seconds; a change applied by this process is seen at
    once. Changes arrive in any order and more than once: the higher version wins.
    """

    COLLECTION = "members"

    def __init__(
        self,
        db: "Database",
        *,
        cache_s: float = 1.0,
        cache_size: int = 10_000,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._members = db[self.COLLECTION]
        self._cache_s = min(cache_s, 1.0)
        self._cache_size = cache_size
        self._now = now
        self._cached: OrderedDict[str, tuple[MemberState | None, float]] = OrderedDict()
        self._changed: OrderedDict[str, float] = OrderedDict()

    async def apply(self, event: MemberChanged, session: "Session | None" = None) -> bool:
        """Take in a change, usually in the transaction of the inbox; False where an equal or newer one is known."""
        document = {"_id": event.member_id, **event.model_dump(mode="json", exclude={"member_id"})}
        # One pipeline update instead of a filter on the version: an upsert that loses would raise a duplicate
        # key, and that aborts the caller's transaction. $literal: a pseudonym may begin with a dollar sign.
        newer = {"$gt": [event.version, {"$ifNull": ["$version", 0]}]}
        result = await self._members.update_one(
            {"_id": event.member_id},
            [{"$replaceWith": {"$cond": [newer, {"$literal": document}, "$$ROOT"]}}],
            upsert=True,
            session=session,
        )
        self._cached.pop(event.member_id, None)
        # Until the caller's transaction commits, others still read the old state: they must not remember it.
        self._remember(self._changed, event.member_id, self._now())
        return result.upserted_id is not None or result.modified_count == 1

    async def state(self, member_id: str) -> MemberState | None:
        """The newest known state of the member, at most a second old; None where nothing was heard of him yet."""
        cached = self._cached.get(member_id)
        if cached is not None and cached[1] > self._now():
            return cached[0]
        document = await self._members.find_one({"_id": member_id})
        state = None
        if document is not None:
            event = MemberChanged.model_validate({**document, "member_id": document["_id"]}, extra="ignore")
            state = MemberState.of(event)
        if self._now() - self._changed.get(member_id, float("-inf")) > self._cache_s:
            self._remember(self._cached, member_id, (state, self._now() + self._cache_s))
        return state

    def _remember(self, memory: OrderedDict[str, T], member_id: str, value: T) -> None:
        memory[member_id] = value
        memory.move_to_end(member_id)
        if len(memory) > self._cache_size:
            memory.popitem(last=False)
