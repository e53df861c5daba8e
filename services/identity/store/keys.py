"""The keys that sign access tokens: a file with one key or several, and their public halves for everyone.

A rotation puts a key into the file that begins to sign later, at a time written before it. Until then it is published
and unused, so that everyone who verifies knows it in time; the key before it stays published until the last token that
it signed has expired. So nobody is signed out, however many replicas read the file, and no second step is needed.
"""

import base64
import fcntl
import hashlib
import json
import logging
import os
import re
import stat
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from prometheus_client import Gauge

from shared.auth_keys import ALGORITHM
from shared.auth_tokens import LEEWAY_S, TOKEN_TYPE
from shared.errors import WrongSetting

log = logging.getLogger("identity")

# What an operator learns: the file of signing keys was changed to something unusable; the keys before it still serve.
FILE_REFUSED = Gauge("consilium_signing_key_file_refused", "1 while the file of signing keys cannot be used")

JWKS_MAX_AGE_S = 10
"""How long others may keep our key set without asking (Cache-Control): as long as our own services do."""
LEAD_S = 900
"""How long a key is published before it signs. Verifiers ask within seconds; those that cannot reach us believe nothing
after that time."""
MARGIN_S = 60
"""What a retired key stays published beyond the last token's expiry, for clocks that differ."""

_BLOCK = re.compile(
    r"(?:^# signs from (?P<signs_from>\S+)\s*\n)?"
    r"^(?P<pem>-----BEGIN [A-Z ]+-----\n[A-Za-z0-9+/=\s]+?-----END [A-Z ]+-----)",
    re.M,
)


class RotationPending(Exception):
    """The file holds a key already that has not begun to sign."""

    def __init__(self, signs_from: float) -> None:
        super().__init__(f"a key begins to sign at {_written(signs_from)}")
        self.signs_from = signs_from


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key pair under the id of its public half (RFC 7638 thumbprint). `signs_from`: seconds since 1970."""

    private: Ed25519PrivateKey
    signs_from: float = 0.0

    @property
    def jwk(self) -> dict[str, str]:
        """The public half (RFC 8037), and what it is for."""
        public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        key = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(public)}
        canonical = json.dumps(key, sort_keys=True, separators=(",", ":")).encode()
        return {**key, "kid": _base64url(hashlib.sha256(canonical).digest()), "use": "sig", "alg": ALGORITHM}

    @property
    def key_id(self) -> str:
        return self.jwk["kid"]

    def sign(self, claims: Mapping[str, Any]) -> str:
        """An access token (RFC 9068) that carries `claims`."""
        headers = {"typ": TOKEN_TYPE, "kid": self.key_id}
        return jwt.encode(dict(claims), self.private, algorithm=ALGORITHM, headers=headers)

    def published(self) -> dict[str, Any]:
        """The JSON Web Key Set (RFC 7517) of this key alone."""
        return {"keys": [self.jwk]}

    def text(self) -> str:
        """As it stands in the file."""
        pem = self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return f"# signs from {_written(self.signs_from)}\n{pem}" if self.signs_from else pem


class SigningKeys:
    """The keys of a file (made with one key where there is none), read again when it changes.

    `ttl_s`: how long the tokens live that they sign. A changed file that cannot be used is logged, and the keys before
    it go on serving: a slip of the operator, or a file met half written, stops nobody. Raises WrongSetting when made
    with a file that can neither be used nor made.
    """

    def __init__(
        self, path: Path, ttl_s: float, *, look_every_s: float = 1.0, now: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._ttl_s = ttl_s
        self._look_every_s = look_every_s
        self._now = now
        _make_if_missing(path)
        self._seen = _look(path)
        self._keys = load_signing_keys(path)
        self._looked_at = now()
        FILE_REFUSED.set(0)
        if path.stat().st_mode & stat.S_IRWXO:
            log.warning("the signing key's file is open to every user of this machine: chmod 600 %s", path)

    def sign(self, claims: Mapping[str, Any]) -> str:
        """An access token (RFC 9068), signed with the key whose time has come last."""
        return self.current().sign(claims)

    def current(self) -> SigningKey:
        """The key that signs now."""
        begun = [key for key in self._read() if key.signs_from <= self._now()]
        return begun[-1] if begun else self._keys[0]

    def published(self) -> dict[str, Any]:
        """The JSON Web Key Set (RFC 7517): keys that will sign, that sign, and whose tokens may still be about."""
        return {"keys": [key.jwk for key in needed(self._read(), self._now(), self._ttl_s)]}

    def _read(self) -> Sequence[SigningKey]:
        now = self._now()
        if now - self._looked_at >= self._look_every_s:
            self._looked_at = now
            seen = _look(self._path)
            if seen != self._seen:
                self._seen = seen
                self._reload()
        return self._keys

    def _reload(self) -> None:
        try:
            self._keys = load_signing_keys(self._path)
        except WrongSetting as error:
            FILE_REFUSED.set(1)
            log.error("the signing keys read before stay in use: %s", error)
            return
        FILE_REFUSED.set(0)
        log.warning("signing keys read again: %s", ", ".join(key.key_id for key in self._keys))


def load_signing_keys(path: Path) -> list[SigningKey]:
    """The keys of a file, in the order in which they sign. Raises WrongSetting, which quotes nothing of the file."""
    try:
        text = path.read_text()
    except OSError as error:
        raise WrongSetting(f"The signing key {path} can be neither read nor made: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise WrongSetting(f"{path} holds no Ed25519 private key that can be read.") from error
    keys = []
    for block in _BLOCK.finditer(text):
        try:
            private = load_pem_private_key(block["pem"].encode() + b"\n", password=None)
            begins = datetime.fromisoformat(block["signs_from"]).timestamp() if block["signs_from"] else 0.0
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # no PEM, or one locked with a password
            raise WrongSetting(f"{path} holds no Ed25519 private key that can be read.") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise WrongSetting(f"{path} holds no Ed25519 private key.")
        keys.append(SigningKey(private, begins))
    if not keys or text.count("-----BEGIN") != len(keys):
        raise WrongSetting(f"{path} holds no Ed25519 private key that can be read.")
    return sorted(keys, key=lambda key: key.signs_from)


def needed(keys: Sequence[SigningKey], now: float, ttl_s: float) -> list[SigningKey]:
    """Of keys in their order, those that anyone may still meet: the last token of a key dies `ttl_s` after the next
    key has begun to sign.
    """
    ends = [key.signs_from + ttl_s + LEEWAY_S + MARGIN_S for key in keys[1:]]
    return [key for key, end in zip(keys, [*ends, float("inf")], strict=True) if now < end]


def rotate(path: Path, ttl_s: float, *, lead_s: float = LEAD_S, now: float | None = None) -> tuple[str, float]:
    """Put a new key into the file, which signs from `lead_s` seconds from now; gives its id and that time.

    Keys that nobody can meet any more leave the file. With a lead of 0 all others leave it at once: for a key that
    others have got hold of; tokens signed with it are refused, and clients exchange their refresh tokens for new ones.
    The file is written in place, since a container sees the very file that it was given. What it is to hold lies
    beside it first (`.rotating`), in case that is interrupted. Raises RotationPending, WrongSetting.
    """
    now = time.time() if now is None else now
    with path.open("r") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # two operators at once: one key
        keys = load_signing_keys(path)
        if lead_s and keys[-1].signs_from > now:
            raise RotationPending(keys[-1].signs_from)
        made = SigningKey(Ed25519PrivateKey.generate(), now + lead_s)
        kept = [*needed(keys, now, ttl_s), made] if lead_s else [made]
        _write_in_place(path, "".join(key.text() for key in kept))
    return made.key_id, made.signs_from


def _write_in_place(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.rotating")
    mode = stat.S_IMODE(path.stat().st_mode)
    try:
        for target, flags in ((draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), (path, os.O_WRONLY | os.O_TRUNC)):
            if target is path:
                path.chmod(mode | stat.S_IWUSR)  # secrets are often read-only for their owner too
            with os.fdopen(os.open(target, flags, 0o600), "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        path.chmod(mode)
        draft.unlink()
    except OSError as error:
        raise WrongSetting(f"The signing key {path} cannot be written: {error.strerror}.") from error


def _make_if_missing(path: Path) -> None:
    """Make the file (mode 0600). Of several processes that start at once, one makes it."""
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _create(path)
    except OSError as error:
        raise WrongSetting(f"The signing key {path} can be neither read nor made: {error.strerror}.") from error


def _create(path: Path) -> None:
    # Written aside and linked into place: nobody ever reads half a key, and the first one to link wins.
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(SigningKey(Ed25519PrivateKey.generate()).text())
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
        log.info("made a signing key: %s", path)
    except FileExistsError:
        log.info("another process has made the signing key: %s", path)
    finally:
        draft.unlink()


def _look(path: Path) -> tuple[int, int, int] | None:
    """What changes when the file does; Kubernetes swaps a link (inode), Compose and people write in place (time)."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _written(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
