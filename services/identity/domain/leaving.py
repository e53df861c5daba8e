"""The rules of leaving: a time to think it over, then nothing stays but an id.

What becomes of comments and published cases is the member's choice (`Contributions`): they stay under "former member",
or go. Drafts go in both cases: without their author nobody can answer for them.
"""

from dataclasses import dataclass
from datetime import datetime

from shared.events import Contributions, MemberChanged, MemberStatus


class NotLeaving(Exception):
    """There is nothing to take back: the member has not asked to leave, or has left."""


@dataclass(frozen=True, slots=True)
class Departure:
    """A member's wish to leave. Carried out at `due_at`, unless it is taken back before."""

    asked_at: datetime
    due_at: datetime
    contributions: Contributions


@dataclass(frozen=True, slots=True)
class FormerMember:
    """What is left of an account: no address, no name, no profession."""

    member_id: str
    version: int
    contributions: Contributions
    left_at: datetime

    def changed(self) -> MemberChanged:
        """The last word about this member: it overrules every earlier one, in every service."""
        return MemberChanged(
            member_id=self.member_id,
            version=self.version,
            pseudonym="",
            profession=None,
            roles=(),
            status=MemberStatus.LEFT,
            contributions=self.contributions,
        )
