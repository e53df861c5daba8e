"""Telling who is behind a pseudonym: two privacy officers, a written reason, a short time, and a trail.

One officer asks, another one agrees; only then, and only for a day, may these two read the civil name. Nothing of it is
kept in the request: the name is opened from its sealed place at each reading.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

WAITS_FOR_AGREEMENT = timedelta(days=7)
READABLE_FOR = timedelta(hours=24)
REASON_MIN_CHARACTERS, REASON_MAX_CHARACTERS = 20, 2_000


class RevealState(StrEnum):
    """`asked` until a second officer agrees (`agreed`) or refuses; both end by themselves (`expired`)."""

    ASKED = "asked"
    AGREED = "agreed"
    REFUSED = "refused"
    EXPIRED = "expired"


class RevealUnknown(LookupError):
    """There is no such request."""


class SamePerson(Exception):
    """Who asked cannot agree as well, and nobody takes part in a reveal of themselves."""


class NotOpen(Exception):
    """The request does not wait for an answer any more, or is not agreed (any more)."""

    def __init__(self, state: RevealState) -> None:
        super().__init__(state.value)
        self.state = state


class NotYourRequest(Exception):
    """Only the two officers of a reveal read the name."""


@dataclass(frozen=True, slots=True)
class Reveal:
    """A request to learn a member's civil name. Every move gives a new Reveal."""

    reveal_id: str
    member_id: str
    reason: str
    asked_by: str
    asked_at: datetime
    answered_by: str | None = None
    answered_at: datetime | None = None
    agreed: bool | None = None

    def state(self, now: datetime) -> RevealState:
        """Where the request stands at that moment."""
        if self.agreed is None:
            return RevealState.ASKED if now < self.asked_at + WAITS_FOR_AGREEMENT else RevealState.EXPIRED
        if not self.agreed:
            return RevealState.REFUSED
        assert self.answered_at is not None
        return RevealState.AGREED if now < self.answered_at + READABLE_FOR else RevealState.EXPIRED

    def readable_until(self) -> datetime | None:
        """The end of the day in which the name may be read; None where nobody agreed."""
        return self.answered_at + READABLE_FOR if self.agreed and self.answered_at else None

    def answer(self, officer: str, agreed: bool, now: datetime) -> "Reveal":
        """A second officer's word. Raises SamePerson, NotOpen."""
        if officer in (self.asked_by, self.member_id):
            raise SamePerson
        if (state := self.state(now)) is not RevealState.ASKED:
            raise NotOpen(state)
        return replace(self, answered_by=officer, answered_at=now, agreed=agreed)

    def check_readable(self, officer: str, now: datetime) -> None:
        """Raise unless this officer may read the name now: NotYourRequest, NotOpen."""
        if officer not in (self.asked_by, self.answered_by):
            raise NotYourRequest
        if (state := self.state(now)) is not RevealState.AGREED:
            raise NotOpen(state)


def ask(reveal_id: str, member_id: str, reason: str, officer: str, now: datetime) -> Reveal:
    """A new request. Raises SamePerson where an officer asks about themselves."""
    if officer == member_id:
        raise SamePerson
    return Reveal(reveal_id=reveal_id, member_id=member_id, reason=reason, asked_by=officer, asked_at=now)
