"""Access tokens verified offline: what identity signs (EdDSA, RFC 9068 `at+jwt`, ten minutes at most).

Every service checks them with identity's public keys, by RFC 8725: algorithm pinned, type, issuer and audience
required, keys only from the JWKS.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import httpx
import jwt

from shared.auth_members import MemberState
from shared.events import MemberStatus, Profession, Role, Specialty

log = logging.getLogger("auth")
T = TypeVar("T")

ALGORITHM = "EdDSA"
TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type (RFC 9068), not a secret
REQUIRED_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "jti"]
MAX_TOKEN_CHARACTERS = 4096
LEEWAY_S = 10


@dataclass(frozen=True, slots=True)
class Principal(MemberState):
    """A member whom a valid token proves to be the caller of this request.

    `mfa`: signed in with two factors (RFC 8176). `session_id` and `authenticated_at` (seconds since 1970): of the
    sign-in from which the token comes.
    """

    mfa: bool = False
    session_id: str | None = None
    authenticated_at: float = 0.0

    def seen_as(self, state: MemberState) -> "Principal":
        """The same caller and sign-in, as the local record knows the member."""
        known = {name: getattr(state, name) for name in MemberState.__slots__}
        return replace(self, **known)


class TokenRefused(Exception):
    """The token proves nothing. The reason is for the log: a caller learns only that it was refused."""


class KeysAway(Exception):
    """No public key is known and identity does not answer: nothing can be said about any token."""


FetchKeys = Callable[[], Awaitable[Mapping[str, Any]]]
"""Gives a JSON Web Key Set (RFC 7517)."""


class TokenVerifier:
    """Verifies access tokens offline with identity's published keys.

    Keys are fetched at the first need, again when older than `keys_max_age_s`, and at an unknown key id at most
    every `refetch_after_s` seconds, so that forged ids cannot make this service call identity in a loop. While
    identity is away, the known keys stay in use. `fetch` replaces the HTTP call to `jwks_url`.
    """

    def __init__(
        self,
        jwks_url: str,
        issuer: str,
        audience: str,
        *,
        fetch: FetchKeys | None = None,
        keys_max_age_s: float = 300,
        refetch_after_s: float = 10,
        cache_size: int = 4096,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._url = jwks_url
        self._issuer = issuer
        self._audience = audience
        self._fetch = fetch or self._fetch_over_http
        self._keys_max_age_s = keys_max_age_s
        self._refetch_after_s = refetch_after_s
        self._cache_size = cache_size
        self._now = now
        self._keys: dict[str, jwt.PyJWK] = {}
        self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._verified: OrderedDict[str, tuple[Principal, float]] = OrderedDict()

    async def verify(self, token: str) -> Principal:
        """The member whom `token` proves. Raises TokenRefused, or KeysAway when no key can be had."""
        if self._now() - self._tried_at > self._keys_max_age_s:
            await self._refresh_keys(self._keys_max_age_s)
        known = self._verified.get(token)
        if known is not None and known[1] > self._now():
            self._verified.move_to_end(token)
            return known[0]
        principal, expires = self._read(token, await self._key_for(token))
        self._verified[token] = (principal, expires)
        if len(self._verified) > self._cache_size:
            self._verified.popitem(last=False)
        return principal

    async def _key_for(self, token: str) -> jwt.PyJWK:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise TokenRefused("too long")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as error:
            raise TokenRefused(str(error)) from error
        if header.get("alg") != ALGORITHM:
            raise TokenRefused(f"algorithm {header.get('alg')!r}")
        if str(header.get("typ", "")).lower().removeprefix("application/") != TOKEN_TYPE:
            raise TokenRefused(f"type {header.get('typ')!r}")
        if "crit" in header:
            raise TokenRefused("critical header extensions")
        key_id = header.get("kid")
        if not isinstance(key_id, str):
            raise TokenRefused("no key id")
        if key_id not in self._keys:
            await self._refresh_keys(self._refetch_after_s)
        if not self._keys:
            raise KeysAway(self._url)
        if key_id not in self._keys:
            raise TokenRefused("unknown key id")
        return self._keys[key_id]

    def _read(self, token: str, key: jwt.PyJWK) -> tuple[Principal, float]:
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                # PyJWT knows the system's clock only: times are looked at by ours, below.
                options={
                    "require": REQUIRED_CLAIMS,
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            expires = _seconds(claims["exp"])
            if expires <= self._now():
                raise TokenRefused("expired")
            if max(_seconds(claims["iat"]), _seconds(claims.get("nbf", 0))) > self._now() + LEEWAY_S:
                raise TokenRefused("not valid yet")
            principal = Principal(
                member_id=claims["sub"],
                version=int(claims["member_version"]),
                status=MemberStatus(claims["status"]),
                roles=frozenset(Role(role) for role in claims["roles"]),
                profession=_optional(Profession, claims.get("profession")),
                pseudonym=str(claims["pseudonym"]),
                specialty=_optional(Specialty, claims.get("specialty")),
                mfa="mfa" in _texts(claims.get("amr", [])),
                session_id=_optional(str, claims.get("sid")),
                authenticated_at=_seconds(claims.get("auth_time", 0)),
            )
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError) as error:
            raise TokenRefused(f"{type(error).__name__}: {error}") from error
        return principal, expires

    async def _refresh_keys(self, unless_younger_s: float) -> None:
        async with self._fetching:
            # Without any key every request comes here: then try once a second, not once a request.
            if self._now() - self._tried_at <= (unless_younger_s if self._keys else 1.0):
                return
            self._tried_at = self._now()
            try:
                fetched = _public_keys(await self._fetch())
            except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                log.warning("cannot fetch the signing keys: %s: %s", type(error).__name__, error)
                return
            if fetched.keys() != self._keys.keys():
                # A key that identity took back must not live on in answers that were verified with it.
                self._verified.clear()
            self._keys = fetched

    async def _fetch_over_http(self) -> Mapping[str, Any]:
        async with httpx.AsyncClient(timeout=5, follow_redirects=False) as client:
            answer = await client.get(self._url)
            answer.raise_for_status()
            document: Mapping[str, Any] = answer.json()
            return document


def _optional(kind: Callable[[str], T], value: str | None) -> T | None:
    return None if value is None else kind(value)


def _seconds(claim: Any) -> float:
    """A NumericDate (RFC 7519): a number, and neither a text nor a truth value that would pass for one."""
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        raise TypeError("not a number of seconds")
    return float(claim)


def _texts(claim: Any) -> list[str]:
    """A claim that has to be a list of texts: `in` would find a part of a text that is none."""
    if not isinstance(claim, list) or not all(isinstance(one, str) for one in claim):
        raise TypeError("not a list of texts")
    return claim


def _public_keys(document: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """The Ed25519 signature keys of a key set; keys of other kinds are not ours and are left out."""
    found = {}
    for key in document["keys"]:
        if key.get("kty") == "OKP" and key.get("crv") == "Ed25519" and key.get("use", "sig") == "sig":
            public = {name: key[name] for name in ("kty", "crv", "x", "kid")}
            found[str(key["kid"])] = jwt.PyJWK(public, algorithm=ALGORITHM)
    return found
