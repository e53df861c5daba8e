"""Wrapping keys: what encrypts the data keys of originals, consent proofs, credential documents and small secrets.

A ring has one current key, which wraps, and may know older ones, which still open. That is what lets the wrapping key
be rotated while services run: add a key, wrap every record again (`shared.rewrapping`), take the old key away.
`FileKeyRing` holds keys from a file; `shared.transit.TransitKeyRing` leaves them in a key management service.
"""

import base64
import hashlib
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from prometheus_client import Gauge

from shared.errors import NotNow, PoisonMessage, WrongSetting

logger = logging.getLogger(__name__)

# What an operator learns: the file of wrapping keys was changed to something unusable; the keys before it still serve.
FILE_REFUSED = Gauge("consilium_wrapping_key_file_refused", "1 while the file of wrapping keys cannot be used")

_NONCE_BYTES = 12


class WrongWrappingKey(NotNow):
    """Wrapped with a key that this ring does not hold: a wrong deployment, or a key that is not here yet."""


class WrappedKeyBroken(PoisonMessage):
    """A wrapped key was altered, or is bound to something else than what it was asked for."""


class KeyRingAway(NotNow):
    """The key management service does not answer, or refuses us. The same call may work later."""


@dataclass(frozen=True)
class Wrapped:
    """A data key that only the wrapping key `key_id` opens. The id tells nothing of the key."""

    key_id: str
    ciphertext: bytes


class KeyRing(Protocol):
    """What a key management service does. `bound` is what the data key belongs to; it opens for nothing else."""

    async def wrap(self, data_key: bytes, bound: bytes) -> Wrapped:
        """`data_key` under the current wrapping key. May raise KeyRingAway."""

    async def unwrap(self, wrapped: Wrapped, bound: bytes) -> bytes:
        """The data key. Raises WrongWrappingKey, WrappedKeyBroken or KeyRingAway."""

    async def rewrap(self, wrapped: Wrapped, bound: bytes) -> Wrapped | None:
        """The same data key under the current wrapping key, None where it is so already. Raises as `unwrap`."""

    async def check(self) -> None:
        """For readiness: raises NotNow with a sentence where this ring cannot work now."""

    async def close(self) -> None:
        """Let connections go."""


class HeldKeys:
    """A ring of keys in memory, 32 bytes each; the first is the current one."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("a ring has at least one key")
        self._ciphers = {wrapping_key_id(key): AESGCM(key) for key in keys}
        self.current_id = wrapping_key_id(keys[0])

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all keys, the current one first."""
        return tuple(self._ciphers)

    async def wrap(self, data_key: bytes, bound: bytes) -> Wrapped:
        nonce = os.urandom(_NONCE_BYTES)
        return Wrapped(self.current_id, nonce + self._ciphers[self.current_id].encrypt(nonce, data_key, bound))

    async def unwrap(self, wrapped: Wrapped, bound: bytes) -> bytes:
        cipher = self._ciphers.get(wrapped.key_id)
        if cipher is None:
            raise WrongWrappingKey(f"wrapped with key {wrapped.key_id}, we hold {', '.join(self.ids)}")
        nonce, sealed = wrapped.ciphertext[:_NONCE_BYTES], wrapped.ciphertext[_NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, sealed, bound)
        except (InvalidTag, ValueError) as error:
            raise WrappedKeyBroken("a wrapped key was altered, or belongs to something else") from error

    async def rewrap(self, wrapped: Wrapped, bound: bytes) -> Wrapped | None:
        if wrapped.key_id == self.current_id:
            return None
        return await self.wrap(await self.unwrap(wrapped, bound), bound)

    async def check(self) -> None:
        """Keys in memory are always there."""

    async def close(self) -> None:
        """Nothing to let go."""


class FileKeyRing:
    """The keys of a file, read again when it changes, so that a rotation needs no restart.

    The file holds one key a line, 32 bytes in base64: the first is the current one, older ones stand below it. Empty
    lines and lines that begin with # are skipped. It is looked at (one `stat`) at most once in `look_every_s`, and at
    once where a record names a key that is not known: another process may have read the new file before this one. A
    changed file that cannot be used is logged, and the keys before it go on serving: a slip of the operator, or a file
    met half written, stops nobody. Raises WrongSetting when made with a file that cannot be used.
    """

    def __init__(self, path: Path, *, look_every_s: float = 1.0) -> None:
        self._path = path
        self._look_every_s = look_every_s
        self._seen = _look(path)
        self._held = HeldKeys(load_wrapping_keys(path))
        self._looked_at = time.monotonic()
        FILE_REFUSED.set(0)

    @property
    def current_id(self) -> str:
        """The id of the key that wraps now."""
        self._look_again()
        return self._held.current_id

    async def wrap(self, data_key: bytes, bound: bytes) -> Wrapped:
        self._look_again()
        return await self._held.wrap(data_key, bound)

    async def unwrap(self, wrapped: Wrapped, bound: bytes) -> bytes:
        self._look_again(at_once=wrapped.key_id not in self._held.ids)
        return await self._held.unwrap(wrapped, bound)

    async def rewrap(self, wrapped: Wrapped, bound: bytes) -> Wrapped | None:
        self._look_again(at_once=wrapped.key_id not in self._held.ids)
        return await self._held.rewrap(wrapped, bound)

    async def check(self) -> None:
        """Looks at the file, so that a service without work tells of a change too. Keys in memory are always there: a
        file that was spoilt since is told by log and metric."""
        self._look_again()

    async def close(self) -> None:
        """Nothing to let go."""

    def _look_again(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if not at_once and now - self._looked_at < self._look_every_s:
            return
        self._looked_at = now
        seen = _look(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            held = HeldKeys(load_wrapping_keys(self._path))
        except WrongSetting as error:
            FILE_REFUSED.set(1)
            logger.error("the keys read before stay in use: %s", error)
            return
        FILE_REFUSED.set(0)
        self._held = held
        logger.warning("wrapping keys read again: current %s, older %s", held.ids[0], ", ".join(held.ids[1:]) or "none")


def load_wrapping_keys(path: Path) -> list[bytes]:
    """The keys of a file, in its order; see `FileKeyRing`. Raises WrongSetting, which quotes nothing of the file."""
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except OSError as error:
        raise WrongSetting(f"The wrapping key {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise WrongSetting(f"The wrapping key {path} must hold 32 bytes in base64; it holds no text.") from error
    keys = []
    for line in (line for line in lines if line and not line.startswith("#")):
        try:
            key = base64.b64decode(line, validate=True)
        except ValueError as error:
            raise WrongSetting(
                f"The wrapping key {path} must hold 32 bytes in base64, one key a line; it holds something else."
            ) from error
        if len(key) != 32:
            raise WrongSetting(f"The wrapping key {path} must hold 32 bytes in base64; it holds {len(key)} bytes.")
        keys.append(key)
    if not keys:
        raise WrongSetting(f"The wrapping key {path} must hold 32 bytes in base64; it holds none.")
    return keys


def wrapping_key_id(key: bytes) -> str:
    """Names a key without telling it, so that a record says what opens it and a wrong deployment is seen at once."""
    return hashlib.sha256(b"consilium wrapping key " + key).hexdigest()[:16]


def _look(path: Path) -> tuple[int, int, int] | None:
    """What changes when the file does; Kubernetes swaps a link (inode), Compose and people write in place (time)."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
