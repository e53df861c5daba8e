"""Who is asking: the guards of routes.

A token (`shared/auth_tokens.py`) proves a member. What it says of them is overruled by the mirror of `member.changed`
(`shared/auth_members.py`) once that is as new: a suspension takes effect within seconds, open sessions included.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.auth_keys import KeysAway
from shared.auth_members import Members, MemberState
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
from shared.auth_tokens import Principal, TokenRefused, TokenVerifier
from shared.events import STAFF_ROLES, MemberStatus, Role
from shared.rights import Access, needs

# What services import from here and nowhere else.
__all__ = [
    "RECENT_S",
    "STEP_UP",
    "Credentials",
    "Guard",
    "KeysAway",
    "MemberState",
    "Members",
    "Principal",
    "StatusOf",
    "TokenRefused",
    "TokenVerifier",
]

log = logging.getLogger("auth")

RECENT_S = 600
"""What opens or closes an account wants a proof that is no older."""
STEP_UP = 'Bearer realm="consilium", error="insufficient_user_authentication"'
"""The challenge of RFC 9470, to be completed by what is missing."""

StatusOf = Callable[[str], Awaitable[MemberState | None]]

_bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="Access token from POST /sessions")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


class Guard:
    """The dependencies that let a request through: `Depends(guard.verified)`.

    `status_of` (usually `Members.state`) gives the local record, which wins over the token when it is as new.
    `session_open` tells whether a session has not been ended; only identity knows, elsewhere a token outlives its
    session by ten minutes at most. `has_second_factor` tells of a member; identity too.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        status_of: StatusOf | None = None,
        *,
        session_open: Callable[[str], Awaitable[bool]] | None = None,
        has_second_factor: Callable[[str], Awaitable[bool]] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._verifier = verifier
        self._status_of = status_of
        self._session_open = session_open
        self._has_second_factor = has_second_factor
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

    def role(self, role: Role, *, fresh: bool = False) -> Callable[..., Awaitable[Principal]]:
        """Dependency: a verified account that has `role`. 403 `role-missing` for others.

        Who decides about others (STAFF_ROLES) has signed in with two factors: else 401 `second-factor-needed`, with
        the challenge of RFC 9470. `fresh`: within the last minutes, else 401 `sign-in-again`.
        """

        @needs(Access(role.value))
        async def with_role(request: Request, credentials: Credentials) -> Principal:
            principal = await self._active(request, credentials)
            if role not in principal.roles:
                raise ROLE_MISSING(role=role.value)
            if role in STAFF_ROLES and not principal.mfa:
                raise SECOND_FACTOR_NEEDED(headers={"WWW-Authenticate": f'{STEP_UP}, acr_values="mfa"'})
            if fresh:
                self._check_fresh(principal)
            return principal

        return with_role

    @needs(Access.SIGNED_IN)
    async def just_signed_in(self, request: Request, credentials: Credentials) -> Principal:
        """Anyone who has proved within the last minutes who they are, with the second factor where there is one: for
        what opens or closes an account.

        401 `sign-in-again` or `second-factor-needed` otherwise, with the challenge of RFC 9470.
        """
        principal = await self.signed_in(request, credentials)
        self._check_fresh(principal)
        if self._has_second_factor and not principal.mfa and await self._has_second_factor(principal.member_id):
            raise SECOND_FACTOR_NEEDED(headers={"WWW-Authenticate": f'{STEP_UP}, acr_values="mfa"'})
        return principal

    def _check_fresh(self, principal: Principal) -> None:
        if self._now() - principal.authenticated_at > RECENT_S:
            raise SIGN_IN_AGAIN(headers={"WWW-Authenticate": f'{STEP_UP}, max_age="{RECENT_S}"'})

    async def _active(self, request: Request, credentials: Credentials) -> Principal:
        principal = await self.signed_in(request, credentials)
        if principal.status in (MemberStatus.SUSPENDED, MemberStatus.LEFT):
            raise ACCOUNT_SUSPENDED()
        if principal.status is not MemberStatus.VERIFIED:
            raise ACCOUNT_UNVERIFIED()
        return principal
