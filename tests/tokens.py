"""Access tokens for tests, the right and the wrong ones."""

import time
import uuid
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.identity.store.keys import SigningKey
from shared.auth import TokenVerifier
from shared.events import STAFF_ROLES

ISSUER = "consilium-identity"
AUDIENCE = "consilium"


class TokenMaker:
    """Signs tokens as identity does, with whatever a test wants changed in them."""

    def __init__(self) -> None:
        self.private = Ed25519PrivateKey.generate()
        self.key = SigningKey(self.private)
        self.fetched = 0

    def token(self, member_id: str = "member-1", headers: dict[str, Any] | None = None, **changes: Any) -> str:
        """A token of a verified member; `changes` replace claims, a claim set to None is left out.

        Who has a role that decides about others has signed in with two factors, unless `amr` says otherwise.
        """
        now = int(time.time())
        staff = STAFF_ROLES & set(changes.get("roles") or ())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": member_id,
            "iat": now,
            "exp": now + 600,
            "jti": uuid.uuid4().hex,
            "status": "verified",
            "roles": ["member"],
            "profession": "physician",
            "pseudonym": "Dr Test",
            "member_version": 2,
            "sid": "session-1",
            "amr": ["pwd", "otp", "mfa"] if staff else ["pwd"],
            "auth_time": now,
            **changes,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        own = {"typ": "at+jwt", "kid": self.key.key_id}
        return jwt.encode(kept, self.private, algorithm="EdDSA", headers={**own, **(headers or {})})

    def verifier(self, **options: Any) -> TokenVerifier:
        """A verifier that knows this maker's key; `fetched` counts how often it asked."""

        async def fetch() -> dict[str, Any]:
            self.fetched += 1
            return self.key.published()

        return TokenVerifier("http://identity.test/jwks", ISSUER, AUDIENCE, fetch=fetch, **options)
