"""Registries of health professionals outside: what is asked of each, and what they answer.

A registry is looked at, never copied into events: its answers are judged by `domain.verification`, and what is kept of
them is sealed. One file a registry; `professions.py` holds the maps from their codes to our professions.
"""

from typing import Protocol

from services.identity.domain.verification import Number, Practitioner
from shared.errors import NotNow

__all__ = ["Registry", "RegistryAway", "RegistryRefused"]


class RegistryAway(NotNow):
    """The registry does not answer, or answers something that cannot be read. It says nothing about anybody.

    `retry_after_s` is what the registry asked for, None where it asked for nothing.
    """

    def __init__(self, reason: str, retry_after_s: int | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class RegistryRefused(RegistryAway):
    """The registry refuses our key: the deployment is wrong. It says nothing about anybody either."""


class Registry(Protocol):
    """A register of professionals that can be asked by number."""

    @property
    def name(self) -> str:
        """The issuer of the numbers: `rpps`, `npi`. Members see it on the badge."""

    @property
    def country(self) -> str:
        """ISO 3166-1 alpha-2."""

    @property
    def lists_active_only(self) -> bool:
        """Whether absence means that the person does not practise (any more)."""

    def check_number(self, text: str) -> Number:
        """The number in its canonical spelling. Raises NumberMalformed."""

    async def look_up(self, number: Number) -> Practitioner | None:
        """Who holds the number; None where nobody does. Raises RegistryAway."""

    async def close(self) -> None:
        """Let connections go."""
