"""HTTP in: go on with a refresh token, prove again who one is, see and end sessions."""

import logging
import uuid
from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field

from services.identity.domain.brakes import challenge_brakes, proof_brakes, refresh_brakes
from services.identity.domain.letters import Letter
from services.identity.domain.sessions import RefreshRefused, RefreshReused, Session, exchange, merged
from services.identity.domain.tickets import Purpose, new_secret
from services.identity.routes.desk import (
    BEARER,
    MAX_TOKEN,
    REFRESH_COOKIE,
    Desk,
    SignedIn,
    address_of,
    brake,
    forget_refresh_cookie,
    hand_out,
)
from services.identity.routes.proofs import (
    PROOF_REFUSED,
    SESSION_ENDED,
    PasskeyOptions,
    Proof,
    account_of,
    passkey_options,
    prove_second,
)
from shared.auth import STEP_UP, Guard, Principal
from shared.auth_problems import SECOND_FACTOR_NEEDED
from shared.events import MemberStatus
from shared.web import Problem, ProblemKind, Text

log = logging.getLogger("identity")

# How refresh tokens end: every `reused` may be a theft.
REFRESHES = Counter("consilium_refreshes_total", "Refresh tokens shown, by how that ended", ["outcome"])

SESSION_UNKNOWN = ProblemKind(
    "session-unknown",
    404,
    Text(en="No such session", fr="Session inconnue"),
    Text(
        en="You have no session of that id. It may have ended already; look at the list again.",
        fr="Vous n'avez pas de session de cet identifiant. Elle est peut-être déjà terminée ; relisez la liste.",
    ),
)


class Refresh(BaseModel):
    """The refresh token, unless it comes as a cookie."""

    model_config = ConfigDict(extra="forbid")

    refresh_token: Annotated[str, Field(max_length=MAX_TOKEN)] | None = None


class SessionShown(BaseModel):
    """One of my sessions. Device and network are as coarse as they may be while I still know them again."""

    session_id: str
    current: bool
    device: str = Field(examples=["Firefox, Linux"])
    network: str = Field(examples=["192.0.2.0/24"])
    methods: list[str] = Field(description="How I signed in (RFC 8176).")
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, session: Session, current: str | None) -> "SessionShown":
        return cls(
            session_id=session.session_id,
            current=session.session_id == current,
            device=session.device,
            network=session.network,
            methods=list(session.methods),
            created_at=session.created_at,
            last_used_at=session.last_used_at,
            expires_at=session.expires_at,
        )


class Sessions(BaseModel):
    items: list[SessionShown]


def make_router(desk: Desk, guard: Guard) -> APIRouter:
    """The routes of sessions that there are."""
    router = APIRouter(tags=["sessions"])

    @router.post("/sessions/refresh")
    async def refresh(given: Refresh, request: Request, response: Response) -> SignedIn:
        """A new access token, and a new refresh token in place of the one shown, which is spent.

        A spent token that comes back ends the whole session, unless it is the same request once more within 10 s.
        """
        brakes = refresh_brakes(address_of(request))
        await brake(desk, brakes)
        token = given.refresh_token or request.cookies.get(REFRESH_COOKIE, "")[:MAX_TOKEN]
        try:
            session, successor = await exchange(desk.sessions, token, desk.now())
        except RefreshReused as reuse:
            REFRESHES.labels("reused").inc()
            about = {"member_id": reuse.session.member_id, "session_id": reuse.session.session_id}
            log.warning("a spent refresh token came back: the session is ended", extra=about)
            once = f"session-revoked:{reuse.session.session_id}"
            await desk.mailer.enqueue(reuse.session.member_id, Letter.SESSION_REVOKED, once=once)
            raise _ended(desk) from reuse
        except RefreshRefused as refusal:
            REFRESHES.labels("refused").inc()
            raise _ended(desk) from refusal
        account = await desk.accounts.by_id(session.member_id)
        if account is None or account.status is MemberStatus.LEFT:
            await desk.sessions.end(session.member_id, session.session_id)
            raise _ended(desk)
        # Removing a factor ends or narrows the sessions at once; one that slipped through claims no more than is true.
        factors = await desk.factors.of_member(session.member_id)
        narrowed = replace(session, amr=merged((), factors.still_proved(session.amr)))
        if not narrowed.amr:
            await desk.sessions.end(session.member_id, session.session_id)
            raise _ended(desk)
        if narrowed.amr != session.amr:
            await desk.sessions.advance(narrowed, narrowed.current)
        await desk.attempts.forgive(brakes)
        REFRESHES.labels("exchanged").inc()
        return hand_out(desk, response, account, narrowed, successor)

    @router.post("/sessions/current/proof")
    async def prove(
        given: Proof, request: Request, response: Response, caller: Annotated[Principal, Depends(guard.signed_in)]
    ) -> SignedIn:
        """Prove once more who I am, or with a second factor: what opens an account asks for that.

        A password is a proof for who has no second factor; everybody else gives that.
        The session goes on under a new id, with new tokens; the old ones are worth nothing any more.
        """
        account = await account_of(desk, caller.member_id)
        session = await desk.sessions.get(caller.session_id or "")
        if session is None:
            raise SESSION_ENDED(headers=BEARER)
        brakes = proof_brakes(account.member_id, address_of(request), f"session {session.session_id}")
        if given.password is not None:
            if (await desk.factors.of_member(account.member_id)).second:
                # The session may count a second factor of days ago: a password alone must not make that fresh.
                raise SECOND_FACTOR_NEEDED(headers={"WWW-Authenticate": f'{STEP_UP}, acr_values="mfa"'})
            await brake(desk, brakes)
            if not await desk.passwords.check(given.password.get_secret_value(), account.password_hash):
                raise PROOF_REFUSED(headers=BEARER)
            await desk.attempts.forgive(brakes)
            proved: tuple[str, ...] = ("pwd",)
        else:
            proved = await prove_second(desk, account, given, brakes)
        token = new_secret()
        again = session.proved(str(uuid.uuid4()), desk.now(), proved, token)
        if not await desk.sessions.end(account.member_id, session.session_id):
            raise SESSION_ENDED(headers=BEARER)
        await desk.sessions.add(again)
        return hand_out(desk, response, account, again, token)

    @router.post("/sessions/current/proof/passkey-options")
    async def proof_passkey(caller: Annotated[Principal, Depends(guard.signed_in)]) -> PasskeyOptions:
        """A challenge for my passkeys."""
        await brake(desk, challenge_brakes(f"session {caller.session_id}"))
        factors = await desk.factors.of_member(caller.member_id)
        return await passkey_options(desk, Purpose.PASSKEY_SECOND_FACTOR, factors)

    @router.get("/sessions")
    async def list_sessions(caller: Annotated[Principal, Depends(guard.signed_in)]) -> Sessions:
        """Where I am signed in, the session used last first."""
        now = desk.now()
        found = [session for session in await desk.sessions.of_member(caller.member_id) if session.alive(now)]
        return Sessions(items=[SessionShown.of(session, caller.session_id) for session in found])

    @router.delete("/sessions/current", status_code=204)
    async def sign_out(response: Response, caller: Annotated[Principal, Depends(guard.signed_in)]) -> None:
        """Sign out. The refresh token is worth nothing from now on, the access token nothing here, and elsewhere at
        most until it expires.
        """
        await desk.sessions.end(caller.member_id, caller.session_id or "")
        forget_refresh_cookie(desk, response)

    @router.delete("/sessions/others", status_code=204)
    async def end_others(caller: Annotated[Principal, Depends(guard.just_signed_in)]) -> None:
        """End all my sessions but this one. Wants a fresh proof: a stolen access token must not shut me out."""
        await desk.sessions.end_all(caller.member_id, but=caller.session_id)

    @router.delete("/sessions/{session_id}", status_code=204)
    async def end_one(
        session_id: Annotated[str, Path(max_length=64)], caller: Annotated[Principal, Depends(guard.just_signed_in)]
    ) -> None:
        """End one of my sessions. Wants a fresh proof."""
        if not await desk.sessions.end(caller.member_id, session_id):
            raise SESSION_UNKNOWN()

    return router


def _ended(desk: Desk) -> Problem:
    """Unknown, expired, ended or reused: the answer is the same, and a browser drops its cookie."""
    gone = Response()
    forget_refresh_cookie(desk, gone)
    return SESSION_ENDED(headers={**BEARER, "Set-Cookie": gone.headers["set-cookie"]})
