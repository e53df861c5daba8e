"""HTTP in: sign in, prove it with a second factor or again, go on with a refresh token, see and end sessions."""

import logging
import uuid
from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from services.identity.domain.account import Account, EmailMalformed, normalise_email
from services.identity.domain.brakes import (
    Brake,
    passkey_brakes,
    proof_brakes,
    refresh_brakes,
    sign_in_brakes,
)
from services.identity.domain.factors import FactorRefused
from services.identity.domain.letters import Letter
from services.identity.domain.sessions import Delivery, RefreshRefused, RefreshReused, Session, exchange, merged
from services.identity.domain.tickets import Purpose, new_secret, secret_hash
from services.identity.routes.desk import (
    MAX_TOKEN,
    REFRESH_COOKIE,
    Desk,
    DeviceToken,
    SignedIn,
    Wanted,
    address_of,
    brake,
    forget_refresh_cookie,
    hand_out,
    known_device,
    open_session,
    too_many,
)
from services.identity.routes.proofs import (
    CHALLENGE_S,
    PROOF_REFUSED,
    PasskeyAnswer,
    PasskeyOptions,
    Proof,
    SecondProof,
    Ticket,
    check_passkey,
    check_second,
    passkey_options,
    warn_of_failures,
)
from shared.auth import STEP_UP, Guard, Principal
from shared.auth_problems import SECOND_FACTOR_NEEDED, TOKEN_REFUSED
from shared.events import MemberStatus
from shared.web import Problem, ProblemKind, Text

log = logging.getLogger("identity")

# How sign-ins end: a rise of `refused` is guessing, of `slowed` guessing that goes on; `second` waits for a factor.
SIGN_INS = Counter("consilium_sign_ins_total", "Tries to sign in, by how they ended", ["outcome"])
# How refresh tokens end: every `reused` may be a theft.
REFRESHES = Counter("consilium_refreshes_total", "Refresh tokens shown, by how that ended", ["outcome"])

_BEARER = {"WWW-Authenticate": 'Bearer realm="consilium"'}
SIGN_IN_FAILED = ProblemKind(
    "sign-in-failed",
    401,
    Text(en="Sign-in failed", fr="Connexion impossible"),
    Text(
        en="The e-mail address or the password is wrong, or the address has not been confirmed yet. Check them and "
        "try again.",
        fr="L'adresse électronique ou le mot de passe est incorrect, ou l'adresse n'a pas encore été confirmée. "
        "Vérifiez-les et réessayez.",
    ),
)
SESSION_ENDED = ProblemKind(
    "session-ended",
    401,
    Text(en="Your session has ended", fr="Votre session est terminée"),
    Text(en="Please sign in again.", fr="Veuillez vous connecter de nouveau."),
)
SESSION_UNKNOWN = ProblemKind(
    "session-unknown",
    404,
    Text(en="No such session", fr="Session inconnue"),
    Text(
        en="You have no session of that id. It may have ended already; look at the list again.",
        fr="Vous n'avez pas de session de cet identifiant. Elle est peut-être déjà terminée ; relisez la liste.",
    ),
)


class SignIn(BaseModel):
    """Any text is taken for address and password: a form that judges them tells what accounts look like."""

    model_config = ConfigDict(extra="forbid")

    email: Annotated[str, Field(max_length=254)]
    password: Annotated[SecretStr, Field(max_length=1024)]
    delivery: Wanted = "body"
    device_token: DeviceToken | None = None


class SecondFactorWanted(BaseModel):
    """The password was right. Send the ticket with one proof to POST /sessions/second-factor."""

    ticket: str
    methods: list[str] = Field(description="totp, passkey, recovery_code")
    expires_in: int = CHALLENGE_S


class SecondFactor(SecondProof):
    """The ticket of the password step, and one proof."""

    ticket: Ticket


class TicketShown(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ticket: Ticket


class PasskeySignIn(PasskeyAnswer):
    """Sign in with a passkey alone: it is two factors in one."""

    delivery: Wanted = "body"


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
            methods=list(session.amr),
            created_at=session.created_at,
            last_used_at=session.last_used_at,
            expires_at=session.expires_at,
        )


class Sessions(BaseModel):
    items: list[SessionShown]


def make_router(desk: Desk, guard: Guard) -> APIRouter:
    """The routes of sessions."""
    router = APIRouter(tags=["sessions"])

    @router.post("/sessions", responses={202: {"model": SecondFactorWanted}})
    async def sign_in(asked: SignIn, request: Request, response: Response) -> SignedIn | SecondFactorWanted:
        """Sign in. A wrong password and an unknown address get the same answer after the same time.

        202: the password is right, and the account has a second factor. An account without one gets its session at
        once, with which a moderator, reviewer or privacy officer can do no more than add a second factor.
        """
        account, device, brakes = await _by_password(desk, asked, request)
        factors = await desk.factors.of_member(account.member_id)
        if factors.second:
            SIGN_INS.labels("second").inc()
            waiting = {"member_id": account.member_id, "delivery": asked.delivery, "device": device}
            waiting |= {"password": secret_hash(Purpose.SECOND_FACTOR, account.password_hash)}
            ticket = await desk.tickets.issue(Purpose.SECOND_FACTOR, waiting, CHALLENGE_S, member_id=account.member_id)
            # Not forgiven yet: who knows the password and not the factor is not known to be the owner.
            response.status_code = 202
            return SecondFactorWanted(ticket=ticket, methods=list(factors.methods))
        await desk.attempts.forgive(brakes)
        return await _enter(desk, request, response, account, ("pwd",), asked.delivery, device is not None)

    @router.post("/sessions/second-factor")
    async def second_factor(given: SecondFactor, request: Request, response: Response) -> SignedIn:
        """The second step of a sign-in: a code, a recovery code or a passkey."""
        waiting = await desk.tickets.look(Purpose.SECOND_FACTOR, given.ticket)
        if waiting is None:
            raise SESSION_ENDED(headers=_BEARER)
        account = await _account(desk, waiting["member_id"])
        if waiting["password"] != secret_hash(Purpose.SECOND_FACTOR, account.password_hash):
            raise SESSION_ENDED(headers=_BEARER)  # there is a new password
        brakes = proof_brakes(account.member_id, address_of(request), waiting["device"])
        proved = await _second(desk, account, given, brakes)
        if await desk.tickets.redeem(Purpose.SECOND_FACTOR, given.ticket) is None:
            raise SESSION_ENDED(headers=_BEARER)
        await desk.attempts.forgive(sign_in_brakes(account.email, address_of(request), waiting["device"]))
        amr, known = merged(("pwd",), proved), waiting["device"] is not None
        return await _enter(desk, request, response, account, amr, waiting["delivery"], known)

    @router.post("/sessions/second-factor/passkey-options")
    async def second_passkey(given: TicketShown) -> PasskeyOptions:
        """A challenge for the passkeys of whom the ticket of the password step names."""
        waiting = await desk.tickets.look(Purpose.SECOND_FACTOR, given.ticket)
        if waiting is None:
            raise SESSION_ENDED(headers=_BEARER)
        factors = await desk.factors.of_member(waiting["member_id"])
        return await passkey_options(desk, Purpose.PASSKEY_SECOND_FACTOR, factors)

    @router.post("/sessions/passkey/options")
    async def passkey_challenge(request: Request) -> PasskeyOptions:
        """A challenge for signing in with a passkey alone; the device offers those it has."""
        await brake(desk, passkey_brakes(address_of(request)))
        return await passkey_options(desk, Purpose.PASSKEY_SIGN_IN, None)

    @router.post("/sessions/passkey")
    async def sign_in_with_passkey(given: PasskeySignIn, request: Request, response: Response) -> SignedIn:
        """Sign in with a passkey alone. No brake on passwords stands in its way."""
        await brake(desk, passkey_brakes(address_of(request)))
        try:
            member_id, amr = await check_passkey(desk, Purpose.PASSKEY_SIGN_IN, given)
        except FactorRefused as refusal:
            SIGN_INS.labels("refused").inc()
            log.info("a passkey was refused: %s", refusal)
            raise PROOF_REFUSED(headers=_BEARER) from refusal
        account = await _account(desk, member_id)
        await desk.attempts.forgive(passkey_brakes(address_of(request)))
        return await _enter(desk, request, response, account, amr, given.delivery)

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
        await desk.attempts.forgive(brakes)
        REFRESHES.labels("exchanged").inc()
        return hand_out(desk, response, account, session, successor)

    @router.post("/sessions/current/proof")
    async def prove(
        given: Proof, request: Request, response: Response, caller: Annotated[Principal, Depends(guard.signed_in)]
    ) -> SignedIn:
        """Prove once more who I am, or with a second factor: what opens an account asks for that.

        A password is a proof for who has no second factor; everybody else gives that.
        The session goes on under a new id, with new tokens; the old ones are worth nothing any more.
        """
        account = await _account(desk, caller.member_id)
        session = await desk.sessions.get(caller.session_id or "")
        if session is None:
            raise SESSION_ENDED(headers=_BEARER)
        brakes = proof_brakes(account.member_id, address_of(request), f"session {session.session_id}")
        if given.password is not None:
            if (await desk.factors.of_member(account.member_id)).second:
                # The session may count a second factor of days ago: a password alone must not make that fresh.
                raise SECOND_FACTOR_NEEDED(headers={"WWW-Authenticate": f'{STEP_UP}, acr_values="mfa"'})
            await brake(desk, brakes)
            if not await desk.passwords.check(given.password.get_secret_value(), account.password_hash):
                raise PROOF_REFUSED(headers=_BEARER)
            await desk.attempts.forgive(brakes)
            proved: tuple[str, ...] = ("pwd",)
        else:
            proved = await _second(desk, account, given, brakes)
        token = new_secret()
        again = session.proved(str(uuid.uuid4()), desk.now(), proved, token)
        if not await desk.sessions.end(account.member_id, session.session_id):
            raise SESSION_ENDED(headers=_BEARER)
        await desk.sessions.add(again)
        return hand_out(desk, response, account, again, token)

    @router.post("/sessions/current/proof/passkey-options")
    async def proof_passkey(caller: Annotated[Principal, Depends(guard.signed_in)]) -> PasskeyOptions:
        """A challenge for my passkeys."""
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


async def _by_password(desk: Desk, asked: SignIn, request: Request) -> tuple[Account, str | None, tuple[Brake, ...]]:
    try:
        email = normalise_email(asked.email)
    except EmailMalformed:
        email = ""
    device = await known_device(desk, request, asked.device_token, email)
    brakes = sign_in_brakes(email or asked.email, address_of(request), device)
    wait_s = await desk.attempts.begin(brakes)
    if wait_s:
        SIGN_INS.labels("slowed").inc()
        raise too_many(wait_s)
    account = await desk.accounts.by_email(email)
    password = asked.password.get_secret_value()
    right = await desk.passwords.check(password, account.password_hash if account else None)
    if account is None or not right or account.status is MemberStatus.LEFT:
        SIGN_INS.labels("refused").inc()
        log.info("sign-in refused", extra={"member_id": account.member_id if account else None})
        raise SIGN_IN_FAILED(headers=_BEARER)
    if desk.passwords.outdated(account.password_hash):
        stronger = await desk.passwords.hash(password)
        await desk.accounts.replace_hash(account.member_id, account.password_hash, stronger)
        account = replace(account, password_hash=stronger)
    return account, device, brakes


async def _second(desk: Desk, account: Account, given: SecondProof, brakes: tuple[Brake, ...]) -> tuple[str, ...]:
    wait_s = await desk.attempts.begin(brakes)
    if wait_s:
        SIGN_INS.labels("slowed").inc()
        await warn_of_failures(desk, account.member_id)
        raise too_many(wait_s)
    try:
        proved = await check_second(desk, account, given)
    except FactorRefused as refusal:
        SIGN_INS.labels("refused").inc()
        log.info("a second factor was refused: %s", refusal, extra={"member_id": account.member_id})
        raise PROOF_REFUSED(headers=_BEARER) from refusal
    await desk.attempts.forgive(brakes)
    return proved


async def _enter(
    desk: Desk,
    request: Request,
    response: Response,
    account: Account,
    amr: tuple[str, ...],
    delivery: Delivery,
    known: bool = False,
) -> SignedIn:
    SIGN_INS.labels("accepted").inc()
    log.info("signed in", extra={"member_id": account.member_id, "amr": list(amr)})
    return await open_session(desk, request, response, account, amr, delivery, known=known)


async def _account(desk: Desk, member_id: str) -> Account:
    account = await desk.accounts.by_id(member_id)
    if account is None or account.status is MemberStatus.LEFT:
        raise TOKEN_REFUSED(headers={"WWW-Authenticate": 'Bearer realm="consilium", error="invalid_token"'})
    return account


def _ended(desk: Desk) -> Problem:
    """Unknown, expired, ended or reused: the answer is the same, and a browser drops its cookie."""
    gone = Response()
    forget_refresh_cookie(desk, gone)
    return SESSION_ENDED(headers={**_BEARER, "Set-Cookie": gone.headers["set-cookie"]})
