"""Tickets: random secrets that stand for something for a while (a reset, a challenge, a known device).

The holder has the secret, we have its hash: who reads the database can use none of them.
"""

import hashlib
import secrets
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol


class Purpose(StrEnum):
    """What a ticket is good for; a ticket for one purpose is worth nothing for another."""

    REGISTRATION = "registration"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a name
    SECOND_FACTOR = "second_factor"
    """The password was right, the second factor is still to come."""
    PASSKEY_SIGN_IN = "passkey_sign_in"
    PASSKEY_SECOND_FACTOR = "passkey_second_factor"
    PASSKEY_REGISTRATION = "passkey_registration"
    KNOWN_DEVICE = "known_device"
    """Somebody has signed in from this device before."""


def new_secret() -> str:
    """256 random bits, as 43 characters that a URL takes."""
    return secrets.token_urlsafe(32)


def secret_hash(purpose: str, secret: str) -> str:
    """What is kept of a secret. A fast hash is enough for 256 random bits."""
    return hashlib.sha256(f"{purpose}:{secret}".encode()).hexdigest()


class KeepsTickets(Protocol):
    """What the routes need of the tickets."""

    async def issue(
        self, purpose: Purpose, data: Mapping[str, Any], ttl_s: int, *, member_id: str | None = None
    ) -> str:
        """A new ticket's secret. `data` is given back to whom shows it."""

    async def look(self, purpose: Purpose, secret: str) -> dict[str, Any] | None:
        """What the ticket stands for, while it is good."""

    async def redeem(self, purpose: Purpose, secret: str) -> dict[str, Any] | None:
        """The same, and the ticket is used up: of two at the same moment one gets it."""

    async def cancel(self, purpose: Purpose, member_id: str) -> None:
        """Take back every ticket of that purpose which a member holds."""
