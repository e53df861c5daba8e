"""How often the registry is asked again, and what follows from its answer. What is no answer follows in nothing."""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from services.identity.domain.account import REGISTRY_INACTIVE, Account
from services.identity.domain.verification import Practitioner
from shared.events import MemberStatus

REMIND_DAYS = (30, 7)
"""So many days before a proof of studies ends, its owner is asked for a new one."""


class Finding(StrEnum):
    """What a registry said of a member."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    MISSING = "missing"
    """It knows no such number (any more), which by itself says nothing about the person."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When to ask again: after `every`, a tenth more or less, so that those who came on one day spread out; sooner
    where the last answer shut somebody out or was none."""

    every: timedelta = timedelta(days=30)
    while_suspended: timedelta = timedelta(days=1)
    while_missing: timedelta = timedelta(days=3)
    first_retry: timedelta = timedelta(minutes=5)
    last_retry: timedelta = timedelta(hours=6)

    def after(self, finding: Finding, member_id: str, now: datetime) -> datetime:
        """When to ask about this member again after an answer."""
        wait = {Finding.INACTIVE: self.while_suspended, Finding.MISSING: self.while_missing}.get(finding, self.every)
        spread = int.from_bytes(hashlib.sha256(f"{member_id} {now:%Y-%m-%d}".encode()).digest()[:4]) / 2**32
        return now + wait * (0.9 + 0.2 * spread)

    def after_silence(self, failures: int, now: datetime) -> datetime:
        """When to ask again after `failures` calls in a row without an answer."""
        return now + min(self.last_retry, self.first_retry * (1 << min(max(failures - 1, 0), 16)))


def finding_of(practitioner: Practitioner | None, *, lists_active_only: bool) -> Finding:
    """What an answer means. A registry that lists only who practises says by absence that a person does not."""
    if practitioner is None:
        return Finding.INACTIVE if lists_active_only else Finding.MISSING
    return Finding.ACTIVE if practitioner.active else Finding.INACTIVE


def consequence(account: Account, finding: Finding, now: datetime) -> Account:
    """The account after an answer; the same object where nothing follows.

    Inactive suspends who is verified. Active ends a suspension that came from the registry, and no other one.
    """
    suspended_by_registry = account.status is MemberStatus.SUSPENDED and account.suspended_for == REGISTRY_INACTIVE
    if finding is Finding.INACTIVE and account.status is MemberStatus.VERIFIED:
        return account.suspend(REGISTRY_INACTIVE)
    if finding is Finding.ACTIVE and suspended_by_registry:
        reinstated = account.reinstate()
        return reinstated.checked(now) if reinstated.status is MemberStatus.VERIFIED else reinstated
    if finding is Finding.ACTIVE and account.status is MemberStatus.VERIFIED:
        return account.checked(now)
    return account


def reminder_due(valid_until: date, today: date) -> int | None:
    """Which of `REMIND_DAYS` it is time for; None where the end is further away, or has passed.

    Who could not be written to in time for the first gets the later one, not both at once.
    """
    left = (valid_until - today).days
    return min((days for days in REMIND_DAYS if 0 <= left <= days), default=None)
