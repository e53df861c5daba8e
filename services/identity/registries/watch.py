"""The worker's part: asks registries again about those they vouched for, and ends proofs that are too old.

Every step is leased or repeatable, so several workers at once do no harm. A registry that is away, refuses us or
answers nonsense puts the question off and changes nobody's account.
"""

import logging
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Final, Protocol, runtime_checkable

from prometheus_client import Counter, Gauge

from services.identity.domain.account import Account
from services.identity.domain.letters import Letter, Mailer
from services.identity.domain.recheck import (
    REMIND_DAYS,
    Finding,
    Rhythm,
    consequence,
    finding_of,
    reminder_due,
)
from services.identity.domain.verification import Number
from services.identity.registries import Registry, RegistryAway
from services.identity.registries.matching import AccountOf, Clock, Matching
from services.identity.store.verifications import Due, Verifications
from shared.events import Language, MemberStatus
from shared.mongo import Database, DuplicateKeyError, Session
from shared.rounds import in_rounds

log = logging.getLogger("identity")

# What the registries say of members: `inactive` suspends, `missing` wants a person's look, `away` is no answer.
RECHECKS = Counter("consilium_rechecks_total", "Registry-verified members looked up again", ["registry", "outcome"])
# Members whose check is due and not done: a number that grows is a registry that is away, or too slow for the rhythm.
RECHECKS_WAITING = Gauge("consilium_rechecks_waiting", "Members due for a check, at the last look")
# Proofs of studies that ended without a new one.
PROOFS_ENDED = Counter("consilium_proofs_ended_total", "Members unverified because their proof has ended")

_INACTIVE_SAID: Final[Mapping[Language, str]] = {
    "fr": "Le répertoire professionnel indique que vous n'exercez plus actuellement. Votre compte sera rétabli de "
    "lui-même si le répertoire vous indique de nouveau en exercice.",
    "en": "The professional registry says that you do not practise at present. Your account will be restored by itself "
    "if the registry lists you as practising again.",
}
_CHANGES_OVERLAP: Final = timedelta(minutes=10)
_CHANGES_LEASE: Final = timedelta(minutes=10)


@runtime_checkable
class TellsChanges(Protocol):
    """A registry that says who became inactive since a moment, so that we need not wait for everybody's turn."""

    def inactive_since(self, since: datetime) -> AsyncIterator[Number]: ...


@dataclass(slots=True)
class Tally:
    """What a pass over those who are due has found."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: str) -> None:
        self.counts[outcome] = self.counts.get(outcome, 0) + 1


class Watch:
    """Looks after verifications until it is cancelled."""

    def __init__(
        self,
        db: Database,
        registries: Mapping[str, Registry],
        verifications: Verifications,
        matching: Matching,
        mailer: Mailer,
        account_of: AccountOf,
        *,
        rhythm: Rhythm,
        changes_every: timedelta = timedelta(minutes=15),
        changes_kept: timedelta = timedelta(days=29),
        look_every_s: float = 5.0,
        now: Clock = lambda: datetime.now(UTC),
    ) -> None:
        self._state = db["registry_state"]
        self._registries = registries
        self._verifications = verifications
        self._matching = matching
        self._mailer = mailer
        self._account_of = account_of
        self._rhythm = rhythm
        self._changes_every = changes_every
        self._changes_kept = changes_kept
        self._look_every_s = look_every_s
        self._now = now

    async def run(self) -> None:
        """Look, work, wait; what fails is tried again at the next look."""
        steps = (self.try_kept, self.follow_changes, self.check_due, self.end_proofs)
        await in_rounds(*steps, every_s=self._look_every_s, what="looking after verifications", log=log)

    async def try_kept(self) -> int:
        """Try the requests that a registry could not answer before; returns how many it has answered now."""
        return await self._matching.try_kept(self._account_of)

    async def check_due(self, member_id: str | None = None) -> Tally:
        """Ask about every member who is due, or about this one, due or not."""
        tally = Tally()
        RECHECKS_WAITING.set(await self._verifications.waiting(self._registries, self._now()))
        for name, registry in self._registries.items():
            while (due := await self._verifications.take_due(name, self._now(), member_id)) is not None:
                outcome = await self._check(registry, due)
                tally.add(outcome)
                if outcome == "away" or member_id is not None:
                    break  # a registry that is away is asked again at the next look, not once a member
        RECHECKS_WAITING.set(await self._verifications.waiting(self._registries, self._now()))
        return tally

    async def _check(self, registry: Registry, due: Due) -> str:
        try:
            practitioner = await registry.look_up(due.number)
        except Exception as error:  # whatever it is, it says nothing about the member
            await self._verifications.put_off(due, self._rhythm.after_silence(due.failures + 1, self._now()))
            RECHECKS.labels(registry.name, "away").inc()
            if not isinstance(error, RegistryAway):
                log.exception("an answer of the registry %s could not be read", registry.name)
            return "away"
        now = self._now()
        finding = finding_of(practitioner, lists_active_only=registry.lists_active_only)
        settled = await self._verifications.settle(
            due,
            partial(consequence, finding=finding, now=now),
            next_check_at=self._rhythm.after(finding, due.member_id, now),
            checked_at=now,
            missing_since=(due.missing_since or now) if finding is Finding.MISSING else None,
            within=self._tell,
        )
        if settled is None:
            return "lost"
        before, after = settled
        RECHECKS.labels(registry.name, finding.value).inc()
        about = {"member_id": due.member_id, "registry": registry.name, "finding": finding.value}
        if before.status is not after.status:
            log.warning("the registry changes an account to %s", after.status.value, extra=about)
        elif finding is Finding.MISSING:
            log.warning("the registry does not know the number of a member any more", extra=about)
        return finding.value

    async def _tell(self, session: Session, before: Account, after: Account) -> None:
        if before.status is not after.status and after.status is MemberStatus.SUSPENDED:
            reason = _INACTIVE_SAID[after.language]
            await self._mailer.enqueue(after.member_id, Letter.ACCOUNT_SUSPENDED, {"reason": reason}, session=session)

    async def follow_changes(self) -> int:
        """Make those due at once of whom a registry says that they became inactive; returns how many are ours."""
        found = 0
        for name, registry in self._registries.items():
            if isinstance(registry, TellsChanges):
                found += await self._follow(name, registry)
        return found

    async def _follow(self, name: str, registry: TellsChanges) -> int:
        now, mine, place = self._now(), uuid.uuid4().hex, f"{name}_changes"
        try:
            state = await self._state.find_one_and_update(
                {"_id": place, "next_at": {"$lte": now}, "until": {"$lte": now}},
                {"$set": {"holder": mine, "until": now + _CHANGES_LEASE}},
            )
            if state is None:
                # The first look: whoever changed before will have their turn anyway.
                await self._state.insert_one({"_id": place, "since": now, "next_at": now, "until": now})
                return 0
        except DuplicateKeyError:
            return 0  # not yet time, or another worker is at it
        since, oldest = state["since"], now - self._changes_kept
        if since < oldest:
            log.warning("changes of the registry %s were not followed for too long; everybody's turn will tell", name)
        found, answered = 0, False
        try:
            async for number in registry.inactive_since(max(since - _CHANGES_OVERLAP, oldest)):
                found += await self._verifications.check_soon(number, now)
            answered = True
        except RegistryAway:
            log.info("changes of the registry %s are asked for later", name)
        changes: dict[str, datetime] = {"until": now, "next_at": now + self._changes_every}
        if answered:
            changes["since"] = now
        await self._state.update_one({"_id": place, "holder": mine}, {"$set": changes})
        return found

    async def end_proofs(self) -> int:
        """Ask for new proofs in time, and end those whose last day has passed; returns how many ended."""
        today, ended = self._now().date(), 0
        async for member_id, valid_until in self._verifications.ending(today + timedelta(days=max(REMIND_DAYS) + 1)):
            if valid_until < today:
                ended += await self._end(member_id, valid_until)
            elif (days := reminder_due(valid_until, today)) is not None:
                once = f"proof-ending:{member_id}:{valid_until}:{days}"
                await self._mailer.enqueue(
                    member_id, Letter.PROOF_ENDING, {"ends_on": valid_until.isoformat()}, once=once
                )
        return ended

    async def _end(self, member_id: str, valid_until: date) -> bool:
        async def tell(session: Session) -> None:
            facts = {"ended_on": valid_until.isoformat()}
            await self._mailer.enqueue(member_id, Letter.PROOF_ENDED, facts, session=session)

        account = await self._verifications.end(member_id, valid_until, within=tell)
        if account is None:
            return False
        PROOFS_ENDED.inc()
        log.info("a proof of studies has ended", extra={"member_id": member_id})
        return True
