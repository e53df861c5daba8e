"""Verification by registry, from the form to the account: look up, compare, keep; and later, what was kept."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Final

from prometheus_client import Counter

from services.identity.domain.account import Account, AccountUnknown, MoveRefused
from services.identity.domain.letters import Letter, Mailer
from services.identity.domain.pseudonyms import PseudonymTellsName
from services.identity.domain.recheck import Finding, Rhythm
from services.identity.domain.verification import (
    AnotherPerson,
    CivilName,
    Method,
    NotMatched,
    Number,
    NumberTaken,
    Practitioner,
    ReviewFirst,
    Verification,
    end_of_school_year,
    match,
)
from services.identity.registries import Registry, RegistryAway
from services.identity.specialties import specialty_of_r38
from services.identity.store.kept_requests import Kept, KeptRequests
from services.identity.store.verifications import Verifications
from shared.events import Profession

log = logging.getLogger("identity")

# How verifications end, by method. Many `name` or `unknown_number` from few callers is somebody trying numbers.
VERIFICATIONS = Counter("consilium_verifications_total", "Verifications, by how they ended", ["method", "outcome"])

Clock = Callable[[], datetime]
AccountOf = Callable[[str], Awaitable[Account | None]]
COUNTRIES: Final = {"rpps": "FR", "npi": "US"}
"""Where the numbers of an issuer are given, by the issuer of registries; identities of a test bed are of nowhere."""
_REFUSED: Final = (NotMatched, NumberTaken, AnotherPerson, PseudonymTellsName, ReviewFirst, MoveRefused, AccountUnknown)
_LETTERS: Final[Mapping[type[Exception], Letter]] = {
    PseudonymTellsName: Letter.PSEUDONYM_TELLS_NAME,
    # In the same words: see NUMBER_IN_USE of the routes.
    NumberTaken: Letter.PROOF_WANTED,
    ReviewFirst: Letter.PROOF_WANTED,
}


class Matching:
    """Verifies members by the registries of this deployment."""

    def __init__(
        self,
        registries: Mapping[str, Registry],
        verifications: Verifications,
        kept: KeptRequests,
        mailer: Mailer,
        *,
        rhythm: Rhythm,
        now: Clock = lambda: datetime.now(UTC),
    ) -> None:
        self.registries = registries
        self._verifications = verifications
        self._kept = kept
        self._mailer = mailer
        self._rhythm = rhythm
        self._now = now

    async def verify(
        self, account: Account, number: Number, name: CivilName, profession: Profession | None = None
    ) -> Account:
        """The account, verified; `profession` where it is another one than the account's by now (students graduate).

        Raises NotMatched, NumberTaken, AnotherPerson, PseudonymTellsName, ReviewFirst, RegistryAway and MoveRefused.
        """
        registry, practises = self.registries[number.issuer], profession or account.profession
        try:
            practitioner = match(await registry.look_up(number), name, practises)
            verified = await self.take(account.member_id, practitioner, name, Method.REGISTRY, practises)
        except _REFUSED as refusal:
            why = refusal.why if isinstance(refusal, NotMatched) else type(refusal).__name__
            VERIFICATIONS.labels(Method.REGISTRY.value, why).inc()
            log.info("not verified by registry", extra={"member_id": account.member_id, "why": why})
            raise
        VERIFICATIONS.labels(Method.REGISTRY.value, "verified").inc()
        log.info("verified by registry", extra={"member_id": account.member_id, "registry": registry.name})
        return verified

    async def take(
        self,
        member_id: str,
        practitioner: Practitioner,
        name: CivilName,
        method: Method,
        profession: Profession | None,
    ) -> Account:
        """Keep what was found and move the account. A number of a registry is asked about again, whether or not this
        deployment asks that registry now. Every family name on record is kept from the pseudonym."""
        now = self._now()
        number = practitioner.number
        country = COUNTRIES.get(number.issuer)
        ends: date | None = end_of_school_year(now.date()) if profession is Profession.STUDENT else None
        verification = Verification(
            member_id=member_id,
            method=method,
            registry=number.issuer,
            source=practitioner.source,
            professions=tuple(sorted(practitioner.professions)),
            skills=practitioner.skills,
            confirmed_at=now,
            checked_at=now,
            next_check_at=self._rhythm.after(Finding.ACTIVE, member_id, now) if country else None,
            valid_until=ends,
        )

        known = {specialty_of_r38(code) for code in practitioner.skills} - {None} if number.issuer == "rpps" else set()

        def confirmed(found: Account) -> Account:
            return found.confirm(
                now,
                number.issuer,
                profession=profession,
                # What the registry says fills a gap; of several specialties the member chooses.
                specialty=next(iter(known)) if found.specialty is None and len(known) == 1 else None,
                country=country,
            )

        others = tuple(family for family in practitioner.families if family != name.family)
        return await self._verifications.confirm(
            verification,
            confirmed,
            number=number,
            name=replace(name, on_record=others),
            within=partial(self._kept.forget, member_id),
        )

    async def keep(
        self, account: Account, number: Number, name: CivilName, profession: Profession | None = None
    ) -> None:
        """The registry is away: try again later, by itself."""
        now = self._now()
        try_at = self._rhythm.after_silence(1, now)
        await self._kept.keep(account.member_id, number, name, profession or account.profession, now, try_at)
        log.info("a verification waits for the registry", extra={"member_id": account.member_id})

    async def try_kept(self, account_of: AccountOf) -> int:
        """Try every request that is due; returns how many were answered."""
        answered = 0
        while (kept := await self._kept.take(self._now())) is not None:
            answered += await self._try(kept, account_of)
        return answered

    async def _try(self, kept: Kept, account_of: AccountOf) -> bool:
        now = self._now()
        account = await account_of(kept.member_id)
        if account is None or kept.number.issuer not in self.registries:
            await self._kept.forget(kept.member_id)
            return False
        try:
            await self.verify(account, kept.number, kept.name, kept.profession)
        except RegistryAway:
            await self._kept.put_off(kept, self._rhythm.after_silence(kept.failures + 2, now))
            return False
        except _REFUSED as refusal:
            told = _LETTERS.get(type(refusal), Letter.MATCH_REFUSED)
            if await self._kept.refuse(kept, now):
                await self._mailer.enqueue(kept.member_id, told)
        else:
            await self._mailer.enqueue(kept.member_id, Letter.ACCOUNT_VERIFIED)
        return True
