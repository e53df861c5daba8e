"""How guessing is slowed: brakes on repeated tries, by account and by address."""

import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


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


def sign_in_brakes(email: str, address: str) -> tuple[Brake, ...]:
    """The brakes on guessing passwords. An unknown address of e-mail is slowed like a known one.

    The hard one is for one caller at one account. The account as a whole (guessing from many places) waits half a
    minute at most, so that nobody can shut its owner out by failing on purpose.
    """
    account, caller = _digest(email), network_of(address)
    return (
        Brake(f"sign-in:{account}@{caller}", free=5, max_wait_s=900),
        Brake(f"sign-in:{account}", free=50, max_wait_s=30),
        Brake(f"sign-in@{caller}", free=100, max_wait_s=300),
    )


def registration_brakes(address: str) -> tuple[Brake, ...]:
    """The brake on making accounts from one place. A hospital may well have one address for all."""
    return (Brake(f"registration@{network_of(address)}", free=50, max_wait_s=300),)


def network_of(address: str) -> str:
    """What one caller holds: an IPv4 address, or an IPv6 /64 (a household gets that many)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def _digest(text: str) -> str:
    """Stands for an address of e-mail that may belong to nobody here and is not ours to keep."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
