"""How guessing is slowed: brakes on repeated tries, by account, by place and by known device.

Nobody can lock another out with them. What is known of an account from outside (its address) is slowed as a whole by
half a minute at most; and a device from which its owner has signed in before is counted apart from everyone else's
tries (OWASP, "device cookies"), so that not even a guesser in the same hospital network stands in its way. A passkey
is not guessed and meets none of the brakes on passwords.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from shared.networks import network_of


@dataclass(frozen=True, slots=True)
class Brake:
    """Slows repeated tries at one thing (`key`): `free` tries, then a wait that doubles up to `max_wait_s`.

    Forgotten `memory_s` seconds after the last try.
    """

    key: str
    free: int
    max_wait_s: int
    memory_s: int = 3600


class CountsTries(Protocol):
    """What the routes need against guessing."""

    async def begin(self, brakes: Iterable[Brake]) -> int:
        """Count one try. 0: go on; else the seconds to wait (this try must be refused, and is not counted)."""

    async def forgive(self, brakes: Iterable[Brake]) -> None:
        """The try was honest: the first brake starts anew, those shared with others count one try less."""


def sign_in_brakes(email: str, address: str, device: str | None = None) -> tuple[Brake, ...]:
    """The brakes on guessing passwords. An unknown address of e-mail is slowed like a known one.

    `device`: what stands for a device from which this very account was signed in to before; it has a brake of its own
    and no other. Without one, the hard brake is for one caller at one account; the account as a whole (guessing from
    many places) waits half a minute at most, the place five minutes.
    """
    account, caller = account_digest(email), network_of(address)
    if device is not None:
        return (Brake(f"sign-in:{account}#{device}", free=5, max_wait_s=900),)
    return (
        Brake(f"sign-in:{account}@{caller}", free=5, max_wait_s=900),
        Brake(f"sign-in:{account}", free=50, max_wait_s=30),
        Brake(f"sign-in@{caller}", free=100, max_wait_s=300),
    )


def proof_brakes(member_id: str, address: str, device: str | None = None) -> tuple[Brake, ...]:
    """The brakes on guessing a second factor, or a password once signed in.

    Who comes this far has the password or a session. Of 10^6 codes three are right at a time: one guess in half a
    minute finds one in about a hundred days, and the owner is written to after a few minutes.
    """
    if device is not None:
        return (Brake(f"proof:{member_id}#{device}", free=5, max_wait_s=900),)
    return (
        Brake(f"proof:{member_id}@{network_of(address)}", free=5, max_wait_s=900),
        Brake(f"proof:{member_id}", free=10, max_wait_s=30, memory_s=86_400),
    )


def passkey_brakes(address: str, device: str | None = None) -> tuple[Brake, ...]:
    """The brake on asking for challenges to sign in with a passkey: nobody guesses a signature, the database is spared.

    `device`: what stands for a device from which anybody has signed in before; it has a brake of its own, so that
    nobody else in its network can use up its turns. An answer to a challenge meets no brake: it serves once.
    """
    if device is not None:
        return (Brake(f"passkey#{device}", free=100, max_wait_s=60),)
    return (Brake(f"passkey@{network_of(address)}", free=100, max_wait_s=60),)


def challenge_brakes(asks: str) -> tuple[Brake, ...]:
    """The brake on challenges within one sign-in (`asks`: its ticket) or one session. Nobody else has a part in it."""
    return (Brake(f"challenge:{asks}", free=20, max_wait_s=60),)


def unknown_brakes(address: str) -> tuple[Brake, ...]:
    """The brake on showing tickets of sign-ins that are none, from one place. It stands in the way of those alone."""
    return (Brake(f"unknown-ticket@{network_of(address)}", free=50, max_wait_s=300),)


def refresh_brakes(address: str) -> tuple[Brake, ...]:
    """Nobody guesses 256 bits; this spares the database. One honest exchange starts it anew."""
    return (Brake(f"refresh@{network_of(address)}", free=200, max_wait_s=60),)


def registration_brakes(address: str) -> tuple[Brake, ...]:
    """The brake on making accounts from one place. A hospital may well have one address for all."""
    return (Brake(f"registration@{network_of(address)}", free=50, max_wait_s=300),)


def reset_brakes(address: str) -> tuple[Brake, ...]:
    """The brake on asking for new passwords from one place."""
    return (Brake(f"reset@{network_of(address)}", free=20, max_wait_s=300),)


def ticket_brakes(address: str) -> tuple[Brake, ...]:
    """The brake on showing links' tokens from one place. Nobody guesses 256 bits; this spares the database."""
    return (Brake(f"ticket@{network_of(address)}", free=50, max_wait_s=300),)


def letter_brakes(email: str, kind: str) -> tuple[Brake, ...]:
    """The brake on letters of a kind to one address that a stranger can cause. Over it nothing is sent or said.

    At most a quarter of an hour; and each kind has its own, so that nobody keeps another's letter away by asking on
    purpose: who asks for somebody's reset again and again sends them the very link that they want.
    """
    return (Brake(f"letter:{kind}:{account_digest(email)}", free=3, max_wait_s=900),)


def account_digest(email: str) -> str:
    """Stands for an address of e-mail that may belong to nobody here and is not ours to keep."""
    return hashlib.sha256(email.encode()).hexdigest()[:32]


def pseudonym_brakes(member_id: str) -> tuple[Brake, ...]:
    """The brake on other pseudonyms: who changes names daily is known by none."""
    return (Brake(f"pseudonym:{member_id}", free=5, max_wait_s=86_400, memory_s=7 * 86_400),)
