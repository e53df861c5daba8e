"""The key that signs access tokens: a file, made at the first start, and its public half for everyone."""

import base64
import hashlib
import json
import logging
import os
import stat
import uuid
from collections.abc import Mapping
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

from shared.auth import ALGORITHM, TOKEN_TYPE
from shared.errors import WrongSetting

log = logging.getLogger("identity")


class SigningKey:
    """An Ed25519 key pair under the id of its public half (RFC 7638 thumbprint)."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._jwk = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(public)}
        canonical = json.dumps(self._jwk, sort_keys=True, separators=(",", ":")).encode()
        self.key_id = _base64url(hashlib.sha256(canonical).digest())

    @classmethod
    def load_or_create(cls, path: Path) -> "SigningKey":
        """Read the PEM file, or make it (mode 0600). Of several processes that start at once, one makes it.

        Raises WrongSetting where the file cannot be read or made, or holds anything but an Ed25519 private key.
        """
        try:
            if not path.exists():
                _create(path)
            private = load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise WrongSetting(f"The signing key {path} can be neither read nor made: {error.strerror}.") from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # no PEM, or one locked with a password
            raise WrongSetting(f"{path} holds no Ed25519 private key that can be read.") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise WrongSetting(f"{path} holds no Ed25519 private key.")
        if path.stat().st_mode & stat.S_IRWXO:
            log.warning("the signing key's file is open to every user of this machine: chmod 600 %s", path)
        return cls(private)

    def sign(self, claims: Mapping[str, Any]) -> str:
        """An access token (RFC 9068) that carries `claims`."""
        headers = {"typ": TOKEN_TYPE, "kid": self.key_id}
        return jwt.encode(dict(claims), self._private, algorithm=ALGORITHM, headers=headers)

    def published(self) -> dict[str, Any]:
        """The JSON Web Key Set (RFC 7517) for those who verify."""
        return {"keys": [{**self._jwk, "kid": self.key_id, "use": "sig", "alg": ALGORITHM}]}


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # Written aside and linked into place: nobody ever reads half a key, and the first one to link wins.
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
        log.info("made a signing key: %s", path)
    except FileExistsError:
        log.info("another process has made the signing key: %s", path)
    finally:
        draft.unlink()


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
