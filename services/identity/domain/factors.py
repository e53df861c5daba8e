"""Second factors: codes of an authenticator app (TOTP, RFC 6238), passkeys (WebAuthn), recovery codes."""

import hashlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

import pyotp

STEP_S = 30
DRIFT_STEPS = 1
TOTP_FIELD = "sealed"
"""The name under which a secret is sealed: that of its field (see `shared.sealed_fields`)."""
RECOVERY = "recovery"
"""How a session remembers a recovery code. RFC 8176 has no word for it: tokens say `otp`."""
RECOVERY_CODES = 10
MAX_PASSKEYS = 20
_GROUPS, _GROUP = 4, 6
# Without letters and digits that are taken for each other (RFC 4648 base32 has O but no 0, I but no 1).
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class FactorRefused(Exception):
    """This proves nothing: a wrong code, one that was used already, an unknown passkey."""


class FactorLimit(Exception):
    """The account has as many passkeys as it may have."""


class LastFactor(Exception):
    """The only second factor of an account that has to have one."""


@dataclass(frozen=True, slots=True)
class Totp:
    """An authenticator app. `sealed`: its secret, encrypted; `last_step`: the time step of the last code used."""

    sealed: dict[str, Any] = field(repr=False)
    added_at: datetime
    last_step: int = 0


@dataclass(frozen=True, slots=True)
class Passkey:
    """A key pair of a member's device. `device_bound`: it cannot leave its hardware (else it may be synchronised)."""

    credential_id: str
    public_key: bytes = field(repr=False)
    sign_count: int
    name: str
    device_bound: bool
    added_at: datetime
    transports: tuple[str, ...] = ()
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Factors:
    """What a member can prove beside the password. Every move gives new Factors.

    `recovery`: hashes of the codes that are left. They are for a member who has lost everything else: alone they are
    no second factor.
    """

    member_id: str
    totp: Totp | None = None
    pending: Totp | None = None
    passkeys: tuple[Passkey, ...] = ()
    recovery: tuple[str, ...] = ()

    @property
    def second(self) -> bool:
        """Whether a second factor is asked for at sign-in."""
        return self.totp is not None or bool(self.passkeys)

    @property
    def methods(self) -> tuple[str, ...]:
        """The kinds of proof that this member can give."""
        found = (("totp", self.totp), ("passkey", self.passkeys), ("recovery_code", self.second and self.recovery))
        return tuple(name for name, there in found if there)

    def with_totp(self, totp: Totp) -> "Factors":
        """An authenticator app whose secret was handed over by an operator."""
        return replace(self, totp=totp)

    def with_pending(self, totp: Totp) -> "Factors":
        """An authenticator app whose first code is still to come."""
        return replace(self, pending=totp)

    def confirm_totp(self, step: int) -> "Factors":
        """The first code was right: the pending app is the app. Raises FactorRefused where none is pending."""
        if self.pending is None:
            raise FactorRefused("no authenticator app waits for its first code")
        return replace(self, totp=replace(self.pending, last_step=step), pending=None)

    def use_totp(self, step: int) -> "Factors":
        """A code of that time step was given. Raises FactorRefused where one as new was given before."""
        if self.totp is None or step <= self.totp.last_step:
            raise FactorRefused("a code serves once")
        return replace(self, totp=replace(self.totp, last_step=step))

    def without_totp(self, *, needed: bool = False) -> "Factors":
        """Raises LastFactor where a second factor is `needed` and none would be left."""
        return self._without(replace(self, totp=None, pending=None), needed)

    def with_passkey(self, passkey: Passkey) -> "Factors":
        """Raises FactorLimit."""
        if len(self.passkeys) >= MAX_PASSKEYS:
            raise FactorLimit(str(MAX_PASSKEYS))
        return replace(self, passkeys=(*self.passkeys, passkey))

    def passkey(self, credential_id: str) -> Passkey | None:
        return next((one for one in self.passkeys if one.credential_id == credential_id), None)

    def use_passkey(self, credential_id: str, sign_count: int, now: datetime) -> "Factors":
        """A passkey has signed. Raises FactorRefused where its counter did not grow, as a copy's would not.

        Passkeys that do not count say 0 every time.
        """
        known = self.passkey(credential_id)
        if known is None or (sign_count <= known.sign_count and (sign_count, known.sign_count) != (0, 0)):
            raise FactorRefused("an unknown passkey, or a copy")
        used = replace(known, sign_count=sign_count, last_used_at=now)
        return replace(self, passkeys=tuple(used if one is known else one for one in self.passkeys))

    def without_passkey(self, credential_id: str, *, needed: bool = False) -> "Factors":
        """Raises LastFactor where a second factor is `needed` and none would be left."""
        kept = tuple(one for one in self.passkeys if one.credential_id != credential_id)
        return self._without(replace(self, passkeys=kept), needed)

    def with_recovery(self, hashes: Iterable[str]) -> "Factors":
        """New recovery codes; older ones are worth nothing any more."""
        return replace(self, recovery=tuple(hashes))

    def use_recovery(self, code: str) -> "Factors":
        """A recovery code was given. Raises FactorRefused where it is unknown or was used."""
        given = recovery_hash(self.member_id, code)
        if given not in self.recovery:
            raise FactorRefused("an unknown recovery code, or one that was used")
        return replace(self, recovery=tuple(one for one in self.recovery if one != given))

    def still_proved(self, methods: Iterable[str]) -> tuple[str, ...]:
        """Of the methods by which a session was opened, those whose factors the account still has.

        What was proved with an authenticator app or a passkey that is gone proves nothing any more. A password is
        looked after elsewhere: another one ends the sessions.
        """
        bound = [one.device_bound for one in self.passkeys]
        there = {"otp": self.totp is not None, RECOVERY: self.second, "hwk": True in bound, "swk": False in bound}
        kept = tuple(method for method in methods if there.get(method, True))
        return kept if {"hwk", "swk"} & set(kept) else tuple(method for method in kept if method != "user")

    def _without(self, left: "Factors", needed: bool) -> "Factors":
        if needed and self.second and not left.second:
            raise LastFactor
        return left if left.second else replace(left, recovery=())


class KeepsFactors(Protocol):
    """What the routes need of the second factors."""

    async def of_member(self, member_id: str) -> Factors:
        """The member's factors; empty ones where there are none."""

    async def by_passkey(self, credential_id: str) -> Factors | None:
        """The factors to which that passkey belongs."""

    async def change(self, member_id: str, move: Callable[[Factors], Factors]) -> Factors:
        """Move the factors; of moves at the same moment each sees the one before. Raises whatever `move` raises."""


def new_totp_secret() -> str:
    """160 random bits in base32, as RFC 4226 recommends."""
    return pyotp.random_base32(32)


def totp_uri(secret: str, name: str) -> str:
    """What an authenticator app reads, usually as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="Consilium")


def totp_step(secret: str, code: str, now: datetime) -> int:
    """The time step whose code this is, at most one step off. Raises FactorRefused.

    Later steps are looked at too, after the one that matches: the time taken tells nothing.
    """
    totp, at = pyotp.TOTP(secret), int(now.timestamp()) // STEP_S
    given = code.strip().replace(" ", "")
    found = None
    for step in range(at - DRIFT_STEPS, at + DRIFT_STEPS + 1):
        if secrets.compare_digest(totp.generate_otp(step).encode(), given.encode()):
            found = step
    if found is None:
        raise FactorRefused("a wrong code")
    return found


def new_recovery_codes(member_id: str) -> tuple[list[str], list[str]]:
    """Ten codes to show once, of 120 bits each, and their hashes to keep (at 112 bits or more a fast one will do)."""
    codes = [
        "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
        for _ in range(RECOVERY_CODES)
    ]
    return codes, [recovery_hash(member_id, code) for code in codes]


def recovery_hash(member_id: str, code: str) -> str:
    """Hyphens, spaces and case do not matter; the member's id keeps equal codes of two members apart."""
    plain = "".join(character for character in code.upper() if character.isalnum())
    return hashlib.sha256(f"recovery:{member_id}:{plain}".encode()).hexdigest()
