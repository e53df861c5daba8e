"""HTTP in: the ways in. A password, with a second factor where the account has one; or a passkey alone."""

import logging
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from services.identity.domain.account import Account, EmailMalformed, normalise_email
from services.identity.domain.brakes import (
    Brake,
    challenge_brakes,
    passkey_brakes,
    proof_brakes,
    sign_in_brakes,
    unknown_brakes,
)
from services.identity.domain.factors import FactorRefused
from services.identity.domain.sessions import Delivery, merged
from services.identity.domain.tickets import Purpose, secret_hash
from services.identity.routes.desk import (
    BEARER,
    Desk,
    DeviceToken,
    SignedIn,
    Wanted,
    address_of,
    brake,
    known_device,
    open_session,
    too_many,
)
from services.identity.routes.proofs import (
    CHALLENGE_S,
    PROOF_REFUSED,
    SESSION_ENDED,
    SIGN_INS,
    PasskeyAnswer,
    PasskeyOptions,
    SecondProof,
    Ticket,
    account_of,
    check_passkey,
    passkey_options,
    prove_second,
)
from shared.events import MemberStatus
from shared.web import ProblemKind, Text

log = logging.getLogger("identity")

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


class PasskeyWanted(BaseModel):
    """Nothing is needed; a device that was signed in from before shows its token, unless it comes as a cookie."""

    model_config = ConfigDict(extra="forbid")

    device_token: DeviceToken | None = None


class PasskeySignIn(PasskeyAnswer):
    """Sign in with a passkey alone: it is two factors in one."""

    delivery: Wanted = "body"
    device_token: DeviceToken | None = None


def make_router(desk: Desk) -> APIRouter:
    """The routes of signing in."""
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
        waiting = await _waiting(desk, request, given.ticket)
        account = await account_of(desk, waiting["member_id"])
        if waiting["password"] != secret_hash(Purpose.SECOND_FACTOR, account.password_hash):
            raise SESSION_ENDED(headers=BEARER)  # there is a new password
        brakes = proof_brakes(account.member_id, address_of(request), waiting["device"])
        proved = await prove_second(desk, account, given, brakes)
        if await desk.tickets.redeem(Purpose.SECOND_FACTOR, given.ticket) is None:
            raise SESSION_ENDED(headers=BEARER)
        await desk.attempts.forgive(sign_in_brakes(account.email, address_of(request), waiting["device"]))
        amr, known = merged(("pwd",), proved), waiting["device"] is not None
        return await _enter(desk, request, response, account, amr, waiting["delivery"], known)

    @router.post("/sessions/second-factor/passkey-options")
    async def second_passkey(given: TicketShown, request: Request) -> PasskeyOptions:
        """A challenge for the passkeys of whom the ticket of the password step names."""
        waiting = await _waiting(desk, request, given.ticket)
        await brake(desk, challenge_brakes(secret_hash(Purpose.SECOND_FACTOR, given.ticket)[:32]))
        factors = await desk.factors.of_member(waiting["member_id"])
        return await passkey_options(desk, Purpose.PASSKEY_SECOND_FACTOR, factors)

    @router.post("/sessions/passkey/options")
    async def passkey_challenge(request: Request, asked: PasskeyWanted | None = None) -> PasskeyOptions:
        """A challenge for signing in with a passkey alone; the device offers those it has."""
        device = await known_device(desk, request, asked.device_token if asked else None)
        await brake(desk, passkey_brakes(address_of(request), device))
        return await passkey_options(desk, Purpose.PASSKEY_SIGN_IN, None)

    @router.post("/sessions/passkey")
    async def sign_in_with_passkey(given: PasskeySignIn, request: Request, response: Response) -> SignedIn:
        """Sign in with a passkey alone. No brake stands in the way of an answer to a challenge of ours."""
        if await desk.tickets.look(Purpose.PASSKEY_SIGN_IN, given.ticket) is None:
            await brake(desk, unknown_brakes(address_of(request)))
        try:
            member_id, amr = await check_passkey(desk, Purpose.PASSKEY_SIGN_IN, given)
        except FactorRefused as refusal:
            SIGN_INS.labels("refused").inc()
            log.info("a passkey was refused: %s", refusal)
            raise PROOF_REFUSED(headers=BEARER) from refusal
        account = await account_of(desk, member_id)
        device = await known_device(desk, request, given.device_token)
        await desk.attempts.forgive(passkey_brakes(address_of(request), device))
        known = await known_device(desk, request, given.device_token, account.email) is not None
        return await _enter(desk, request, response, account, amr, given.delivery, known)

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
        raise SIGN_IN_FAILED(headers=BEARER)
    if desk.passwords.outdated(account.password_hash):
        stronger = await desk.passwords.hash(password)
        await desk.accounts.replace_hash(account.member_id, account.password_hash, stronger)
        account = replace(account, password_hash=stronger)
    return account, device, brakes


async def _waiting(desk: Desk, request: Request, ticket: str) -> dict[str, Any]:
    """What the password step left for that ticket. Raises SESSION_ENDED where there is nothing, slower and slower."""
    waiting = await desk.tickets.look(Purpose.SECOND_FACTOR, ticket)
    if waiting is None:
        await brake(desk, unknown_brakes(address_of(request)))
        raise SESSION_ENDED(headers=BEARER)
    return waiting


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
