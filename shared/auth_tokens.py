"""Access tokens verified offline: what identity signs (EdDSA, RFC 9068 `at+jwt`, ten minutes at most).

Every service checks them with identity's public keys, by RFC 8725: algorithm pinned, type, issuer and audience
required, keys only from the JWKS.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import jwt

from shared.auth_keys import ALGORITHM, MAX_AGE_S, FetchKeys, PublishedKeys
from shared.auth_members import MemberState
from shared.events import MemberStatus, Profession, Role, Specialty

T = TypeVar("T")

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


class TokenVerifier:
    """Verifies access tokens offline with identity's published keys (`shared/auth_keys.py`).

    What was verified is remembered until it expires, or until the keys change: a key that identity took back must not
    live on in answers that were given with it. `fetch` replaces the HTTP call to `jwks_url`.
    """

    def __init__(
        self,
        jwks_url: str,
        issuer: str,
        audience: str,
        *,
        fetch: FetchKeys | None = None,
        keys_max_age_s: float = MAX_AGE_S,
        cache_size: int = 4096,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._keys = PublishedKeys(jwks_url, fetch=fetch, max_age_s=keys_max_age_s, now=now)
        self._issuer = issuer
        self._audience = audience
        self._cache_size = cache_size
        self._now = now
        self._verified: OrderedDict[str, tuple[Principal, float]] = OrderedDict()
        self._verified_with: Mapping[str, jwt.PyJWK] = {}

    async def verify(self, token: str) -> Principal:
        """The member whom `token` proves. Raises TokenRefused, or KeysAway when no key can be had."""
        keys = await self._keys.confirmed()
        if keys is not self._verified_with:
            self._verified.clear()
            self._verified_with = keys
        known = self._verified.get(token)
        if known is not None and known[1] > self._now():
            self._verified.move_to_end(token)
            return known[0]
        principal, expires = self._read(token, await self._key_for(token, keys))
        self._verified[token] = (principal, expires)
        if len(self._verified) > self._cache_size:
            self._verified.popitem(last=False)
        return principal

    async def _key_for(self, token: str, keys: Mapping[str, jwt.PyJWK]) -> jwt.PyJWK:
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
        key = keys.get(key_id) or await self._keys.learn(key_id)
        if key is None:
            raise TokenRefused("unknown key id")
        return key

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
