"""A passkey's device in software: makes keys and signs challenges as a browser and its authenticator do (WebAuthn)."""

import hashlib
import json
import os
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import bytes_to_base64url as encode

PRESENT, VERIFIED, BACKUP_ELIGIBLE, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40


class Authenticator:
    """Holds one ES256 key at a time. What a test wants wrong it sets: `origin`, `domain`, `flags`, `counter`."""

    def __init__(self, *, domain: str = "localhost", origin: str = "http://localhost:8080", synced: bool = False):
        self.domain = domain
        self.origin = origin
        self.flags = PRESENT | VERIFIED | (BACKUP_ELIGIBLE | BACKED_UP if synced else 0)
        self.counter = 0
        self.counts = not synced
        self.credential_id = b""
        self._key: EllipticCurvePrivateKey | None = None
        self._user = b""

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.create` gives for these options."""
        self._key, self.credential_id = generate_private_key(SECP256R1()), os.urandom(32)
        self._user = options["user"]["id"].encode()
        point = self._key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cbor2.dumps(cose)
        data = self._data(ATTESTED) + attested
        client = self._client("webauthn.create", options["challenge"])
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        response = {"clientDataJSON": encode(client), "attestationObject": encode(attestation)}
        return self._credential({**response, "transports": ["internal", "unheard-of"]})

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """What `navigator.credentials.get` gives for these options."""
        assert self._key is not None
        allowed = [one["id"] for one in options.get("allowCredentials") or []]
        assert not allowed or encode(self.credential_id) in allowed
        self.counter += self.counts
        data, client = self._data(), self._client("webauthn.get", options["challenge"])
        signature = self._key.sign(data + hashlib.sha256(client).digest(), ECDSA(SHA256()))
        return self._credential(
            {
                "authenticatorData": encode(data),
                "clientDataJSON": encode(client),
                "signature": encode(signature),
                "userHandle": self._user.decode(),
            }
        )

    def _data(self, more: int = 0) -> bytes:
        flags = (self.flags | more).to_bytes(1, "big")
        return hashlib.sha256(self.domain.encode()).digest() + flags + self.counter.to_bytes(4, "big")

    def _client(self, kind: str, challenge: str) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        name = encode(self.credential_id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}
