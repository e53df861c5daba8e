"""The rules of contacts: who asked whom, who agreed, who is blocked.

Between two members there is at most one tie. What one of them does not answer, refuses or blocks looks the same to the
other: the request waits, since the day it was made, counts as open, and can be taken back and made again. So a refusal
needs no courage, and a block tells nobody that it is there.

A block is one-sided and is data for other services (`member.blocked`): whoever is on a member's list can neither page
that member nor comment on their cases, ask them for contact, find them in the directory or see their profile.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

MAX_CONTACTS = 5_000
MAX_OPEN_REQUESTS = 100
MAX_BLOCKED = 1_000
"""Also bounds the event, which carries the whole list."""
ASK_AGAIN_AFTER = timedelta(days=90)


class TooMany(Exception):
    """A list is full; `limit` says at how many."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"at most {limit}")
        self.limit = limit


class TieState(StrEnum):
    """`refused` stays for a while, so that asking again and again is no way to press somebody."""

    ASKED = "asked"
    CONTACT = "contact"
    REFUSED = "refused"


class Standing(StrEnum):
    """What a tie is to one of its two: that they asked, were asked, or are contacts."""

    ASKED = "asked"
    RECEIVED = "received"
    CONTACT = "contact"


@dataclass(frozen=True, slots=True)
class Tie:
    """Between two members, `members` sorted. `asked_by`: who asked; `at`: when it came to be as it is.

    `asked_at`: since when the request waits in the eyes of who asked, whatever became of it; None where they took back
    one that was refused, which the other is spared for a while all the same.
    """

    members: tuple[str, str]
    state: TieState
    asked_by: str
    at: datetime
    asked_at: datetime | None

    @property
    def id(self) -> str:
        return tie_id(*self.members)

    def other(self, member_id: str) -> str:
        """The other of the two."""
        first, second = self.members
        return second if member_id == first else first

    def standing(self, member_id: str) -> Standing | None:
        """What it is to one of the two; None: nothing. A refusal is known to who refused, and to nobody else."""
        if self.state is TieState.CONTACT:
            return Standing.CONTACT
        if self.asked_by == member_id:
            return Standing.ASKED if self.asked_at is not None else None
        return Standing.RECEIVED if self.state is TieState.ASKED else None

    def since(self, member_id: str) -> datetime:
        """From when on it is what it is to that one of the two."""
        waits = self.state is not TieState.CONTACT and self.asked_by == member_id
        return self.asked_at if waits and self.asked_at is not None else self.at


def tie_id(one: str, other: str) -> str:
    """The id of the tie between two members, the same from both sides."""
    return "|".join(sorted((one, other)))


def ask(tie: Tie | None, me: str, other: str, now: datetime) -> Tie:
    """I want this contact: a request, or the answer to theirs. After a refusal it reaches them again in 90 days."""
    fresh = Tie(members=_pair(me, other), state=TieState.ASKED, asked_by=me, at=now, asked_at=now)
    if tie is None:
        return fresh
    if tie.state is TieState.CONTACT:
        return tie
    if tie.asked_by == me:
        shown = tie if tie.asked_at is not None else replace(tie, asked_at=now)
        over = tie.state is TieState.REFUSED and now - tie.at >= ASK_AGAIN_AFTER
        return replace(shown, state=TieState.ASKED, at=now) if over else shown
    if tie.asked_at is not None:  # also where I refused: to them it has waited all the time
        return replace(tie, state=TieState.CONTACT, at=now)
    return fresh


def end(tie: Tie | None, me: str, now: datetime) -> Tie | None:
    """I do not want this contact (any more): take my request back, refuse theirs, or end what we were."""
    if tie is None or tie.state is TieState.CONTACT:
        return None
    if tie.asked_by == me:
        return _taken_back(tie)
    return replace(tie, state=TieState.REFUSED, at=now) if tie.state is TieState.ASKED else tie


def cut(tie: Tie | None, me: str) -> Tie | None:
    """I block them: contacts end and my request goes; theirs stays as it looks to them, waiting."""
    if tie is None or tie.state is TieState.CONTACT:
        return None
    return _taken_back(tie) if tie.asked_by == me else tie


def _taken_back(tie: Tie) -> Tie | None:
    """A refusal outlives the request: else who takes it back and asks again would reach them at once."""
    return replace(tie, asked_at=None) if tie.state is TieState.REFUSED else None


def _pair(one: str, other: str) -> tuple[str, str]:
    first, second = sorted((one, other))
    return first, second
