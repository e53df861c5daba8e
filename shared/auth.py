"""Who is asking: access tokens verified offline, the local mirror of members, and the guards of routes.

Tokens are what identity signs (EdDSA, RFC 9068 `at+jwt`, ten minutes at most); every service checks them with
identity's public keys, by RFC 8725: algorithm pinned, type, issuer and audience required, keys only from the JWKS.
What a token says of its member is overruled by the mirror of `member.changed` once that is as new: a suspension
takes effect within seconds, open sessions included.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import httpx
import jwt
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.auth_problems import (
    ACCOUNT_SUSPENDED,
    ACCOUNT_UNVERIFIED,
    KEYS_AWAY,
    PROFESSIONALS_ONLY,
    ROLE_MISSING,
    SECOND_FACTOR_NEEDED,
    SIGN_IN_AGAIN,
    SIGN_IN_NEEDED,
    TOKEN_REFUSED,
)
from shared.events import STAFF_ROLES, MemberChanged, MemberStatus, Profession, Role, Specialty
from shared.rights import Access, needs

if TYPE_CHECKING:  # The redactor installs no MongoDB driver.
    from shared.mongo import Database, Session

log = logging.getLogger("auth")
T = TypeVar("T")

ALGORITHM = "EdDSA"
TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type (RFC 9068), not a secret
REQUIRED_CLAIMS = ["exp", "iat", "iss", "aud", "sub", "jti"]
MAX_TOKEN_CHARACTERS = 4096
LEEWAY_S = 10
RECENT_S = 600
"""What opens or closes an account wants a proof that is no older."""
STEP_UP = 'Bearer realm="consilium", error="insufficient_user_authentication"'
"""The challenge of RFC 9470, to be completed by what is missing."""


@dataclass(frozen=True, slots=True)
class MemberState:
    """What the platform knows of a member at one version. No civil name, no address."""

    member_id: str
    version: int
    status: MemberStatus
    roles: frozenset[Role]
    profession: Profession | None
    pseudonym: str
    specialty: Specialty | None = None

    @classmethod
    def of(cls, event: MemberChanged) -> "MemberState":
        return cls(
            event.member_id,
            event.version,
            event.status,
            frozenset(event.roles),
            event.profession,
            event.pseudonym,
            event.specialty,
        )


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


class Members:
    """This service's own mirror of `member.changed`: collection `members`, one document a member.

    `state` may be answered from memory for up to `cache_s` seconds; a change applied by this process is seen at
    once. Changes arrive in any order and more than once: the higher version wins.
    """

    COLLECTION = "members"

    def __init__(
        self,
        db: "Database",
        *,
        cache_s: float = 1.0,
        cache_size: int = 10_000,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._members = db[self.COLLECTION]
        self._cache_s = min(cache_s, 1.0)
        self._cache_size = cache_size
        self._now = now
        self._cached: OrderedDict[str, tuple[MemberState | None, float]] = OrderedDict()
        self._changed: OrderedDict[str, float] = OrderedDict()

    async def apply(self, event: MemberChanged, session: "Session | None" = None) -> bool:
        """Take in a change, usually in the transaction of the inbox; False where an equal or newer one is known."""
        document = {"_id": event.member_id, **event.model_dump(mode="json", exclude={"member_id"})}
        # One pipeline update instead of a filter on the version: an upsert that loses would raise a duplicate
        # key, and that aborts the caller's transaction. $literal: a pseudonym may begin with a dollar sign.
        newer = {"$gt": [event.version, {"$ifNull": ["$version", 0]}]}
        result = await self._members.update_one(
            {"_id": event.member_id},
            [{"$replaceWith": {"$cond": [newer, {"$literal": document}, "$$ROOT"]}}],
            upsert=True,
            session=session,
        )
        self._cached.pop(event.member_id, None)
        # Until the caller's transaction commits, others still read the old state: they must not remember it.
        self._remember(self._changed, event.member_id, self._now())
        return result.upserted_id is not None or result.modified_count == 1

    async def state(self, member_id: str) -> MemberState | None:
        """The newest known state of the member, at most a second old; None where nothing was heard of him yet."""
        cached = self._cached.get(member_id)
        if cached is not None and cached[1] > self._now():
            return cached[0]
        document = await self._members.find_one({"_id": member_id})
        state = None
        if document is not None:
            event = MemberChanged.model_validate({**document, "member_id": document["_id"]}, extra="ignore")
            state = MemberState.of(event)
        if self._now() - self._changed.get(member_id, float("-inf")) > self._cache_s:
            self._remember(self._cached, member_id, (state, self._now() + self._cache_s))
        return state

    def _remember(self, memory: OrderedDict[str, T], member_id: str, value: T) -> None:
        memory[member_id] = value
        memory.move_to_end(member_id)
        if len(memory) > self._cache_size:
            memory.popitem(last=False)


StatusOf = Callable[[str], Awaitable[MemberState | None]]

_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="Access token from POST /sessions")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


class Guard:
    """The dependencies that let a request through: `Depends(guard.verified)`.

    `status_of` (usually `Members.state`) gives the local record, which wins over the token when it is as new.
    `session_open` tells whether a session has not been ended; only identity knows, elsewhere a token outlives its
    session by ten minutes at most.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        status_of: StatusOf | None = None,
        *,
        session_open: Callable[[str], Awaitable[bool]] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._verifier = verifier
        self._status_of = status_of
        self._session_open = session_open
        self._now = now

    @needs(Access.SIGNED_IN)
    async def signed_in(self, request: Request, credentials: Credentials) -> Principal:
        """Anyone with a valid token, whatever the account's status. 401 without one."""
        if credentials is None:
            raise SIGN_IN_NEEDED(headers={"WWW-Authenticate": 'Bearer realm="consilium"'})
        try:
            principal = await self._verifier.verify(credentials.credentials)
        except TokenRefused as refusal:
            log.info("token refused: %s", refusal)
            challenge = 'Bearer realm="consilium", error="invalid_token"'
            raise TOKEN_REFUSED(headers={"WWW-Authenticate": challenge}) from refusal
        except KeysAway as away:
            raise KEYS_AWAY(headers={"Retry-After": "5"}) from away
        if self._session_open and principal.session_id and not await self._session_open(principal.session_id):
            challenge = 'Bearer realm="consilium", error="invalid_token"'
            raise TOKEN_REFUSED(headers={"WWW-Authenticate": challenge})
        if self._status_of is not None:
            local = await self._status_of(principal.member_id)
            if local is not None and local.version >= principal.version:
                principal = principal.seen_as(local)
        request.state.member_id = principal.member_id
        return principal

    @needs(Access.PROFESSIONAL)
    async def verified(self, request: Request, credentials: Credentials) -> Principal:
        """A verified health professional. 403 `account-unverified` or `account-suspended` for others, and
        `professionals-only` for an account of another kind.
        """
        principal = await self._active(request, credentials)
        if Role.MEMBER not in principal.roles:
            raise PROFESSIONALS_ONLY()
        return principal

    def role(self, role: Role) -> Callable[..., Awaitable[Principal]]:
        """Dependency: a verified account that has `role`. 403 `role-missing` for others.

        Who decides about others (STAFF_ROLES) has signed in with two factors: else 401 `second-factor-needed`, with
        the challenge of RFC 9470.
        """

        @needs(Access(role.value))
        async def with_role(request: Request, credentials: Credentials) -> Principal:
            principal = await self._active(request, credentials)
            if role not in principal.roles:
                raise ROLE_MISSING(role=role.value)
            if role in STAFF_ROLES and not principal.mfa:
                raise SECOND_FACTOR_NEEDED(headers={"WWW-Authenticate": f'{STEP_UP}, acr_values="mfa"'})
            return principal

        return with_role

    @needs(Access.SIGNED_IN)
    async def just_signed_in(self, request: Request, credentials: Credentials) -> Principal:
        """Anyone who has proved within the last minutes who they are: for what opens or closes an account.

        401 `sign-in-again` otherwise, with the challenge of RFC 9470.
        """
        principal = await self.signed_in(request, credentials)
        if self._now() - principal.authenticated_at > RECENT_S:
            raise SIGN_IN_AGAIN(headers={"WWW-Authenticate": f'{STEP_UP}, max_age="{RECENT_S}"'})
        return principal

    async def _active(self, request: Request, credentials: Credentials) -> Principal:
        principal = await self.signed_in(request, credentials)
        if principal.status in (MemberStatus.SUSPENDED, MemberStatus.LEFT):
            raise ACCOUNT_SUSPENDED()
        if principal.status is not MemberStatus.VERIFIED:
            raise ACCOUNT_UNVERIFIED()
        return principal
