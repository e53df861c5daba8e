"""Passwords as argon2id hashes, made beside the event loop and a few at a time."""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from shared.errors import NotNow

T = TypeVar("T")


class TooBusy(NotNow):
    """More sign-ins wait for a hash than this process will answer in reasonable time."""


class Passwords:
    """Hashes and checks passwords: argon2id with 19 MiB, 2 passes, 1 lane (OWASP's first choice; about 90 ms)."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)
        self._slots = asyncio.Semaphore(at_once)
        self._most_waiting = at_once + waiting
        self._inside = 0
        # Checked in place of an account that does not exist, so that its absence takes as long as a wrong password.
        self._nobody = self._hasher.hash(secrets.token_urlsafe(32))

    async def hash(self, password: str) -> str:
        """The hash to keep, with its parameters and salt (PHC string). Raises TooBusy."""
        return await self._beside(lambda: self._hasher.hash(_same_spelling(password)))

    async def check(self, password: str, known: str | None) -> bool:
        """Whether `password` made the hash `known`; None (no account) takes as long and is never so."""
        return await self._beside(lambda: self._check(password, known or self._nobody)) and known is not None

    def outdated(self, known: str) -> bool:
        """Whether the hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(known)

    def _check(self, password: str, known: str) -> bool:
        try:
            return self._hasher.verify(known, _same_spelling(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _beside(self, work: Callable[[], T]) -> T:
        if self._inside >= self._most_waiting:
            raise TooBusy("too many sign-ins at once")
        self._inside += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work)
        finally:
            self._inside -= 1


def _same_spelling(password: str) -> str:
    """Keyboards compose accents differently: é may be one character or two."""
    return unicodedata.normalize("NFKC", password)
