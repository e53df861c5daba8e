"""HTTP in: another password, by the one that is known or by a link that came by mail."""

import logging
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict

from services.identity.domain.account import Account, PasswordTooWeak, check_password
from services.identity.domain.brakes import letter_brakes, proof_brakes, reset_brakes, ticket_brakes
from services.identity.domain.letters import Letter
from services.identity.domain.tickets import Purpose
from services.identity.routes.desk import Desk, address_of, brake, remember_browser
from services.identity.routes.membership import LINK_REFUSED, Email, LetterSent, Password, weak_password
from services.identity.routes.proofs import PROOF_REFUSED, Ticket
from shared.auth import STEP_UP, Guard, Principal
from shared.auth_problems import SECOND_FACTOR_NEEDED, TOKEN_REFUSED
from shared.events import MemberStatus
from shared.web import Problem, Text

log = logging.getLogger("identity")

_TITLE = Text(en="This password is too easy to guess", fr="Ce mot de passe est trop facile à deviner")


class Forgotten(BaseModel):
    """Somebody has forgotten the password of this address."""

    model_config = ConfigDict(extra="forbid")

    email: Email


class NewPassword(BaseModel):
    """The token of the link that came by mail, and the new password."""

    model_config = ConfigDict(extra="forbid")

    token: Ticket
    password: Password


class ChangedPassword(BaseModel):
    """The password that I have, and the one that I want."""

    model_config = ConfigDict(extra="forbid")

    current: Password
    password: Password


def make_router(desk: Desk, guard: Guard) -> APIRouter:
    """The routes of passwords."""
    router = APIRouter(tags=["passwords"])

    @router.post("/password-resets", status_code=202)
    async def forgotten(asked: Forgotten, request: Request) -> LetterSent:
        """Ask for a new password. A link goes to the address if it has an account; the answer is always the same."""
        await brake(desk, reset_brakes(address_of(request)))
        if not await desk.attempts.begin(letter_brakes(asked.email, Letter.PASSWORD_RESET)):
            await desk.mailer.enqueue_to(asked.email, Letter.PASSWORD_RESET)
        return LetterSent()

    @router.post("/password-resets/confirmation", status_code=204)
    async def reset(given: NewPassword, request: Request, response: Response) -> None:
        """Choose a new password. Every session ends; the next sign-in asks for the second factor if there is one.

        A browser gets the cookie of a known device: nobody else's wrong tries slow that sign-in.
        """
        account = await reset_password(desk, given.token, given.password.get_secret_value(), address_of(request))
        await remember_browser(desk, response, account)

    @router.put("/me/password", status_code=204)
    async def change(
        given: ChangedPassword, request: Request, caller: Annotated[Principal, Depends(guard.signed_in)]
    ) -> None:
        """Another password. All other sessions end. A session without the second factor, where there is one, is not
        enough: with a password that was fished it would shut the owner out.
        """
        account = await desk.accounts.by_id(caller.member_id)
        if account is None:
            raise TOKEN_REFUSED(headers={"WWW-Authenticate": 'Bearer realm="consilium", error="invalid_token"'})
        if not caller.mfa and (await desk.factors.of_member(account.member_id)).second:
            raise SECOND_FACTOR_NEEDED(headers={"WWW-Authenticate": f'{STEP_UP}, acr_values="mfa"'})
        brakes = proof_brakes(account.member_id, address_of(request), f"session {caller.session_id}")
        await brake(desk, brakes)
        if not await desk.passwords.check(given.current.get_secret_value(), account.password_hash):
            raise PROOF_REFUSED(headers={"WWW-Authenticate": 'Bearer realm="consilium"'})
        await desk.attempts.forgive(brakes)
        await _set_password(desk, account, given.password.get_secret_value(), but_session=caller.session_id)

    return router


async def reset_password(desk: Desk, token: str, password: str, address: str) -> Account:
    """Set a new password by a link; whose it is. A password that is too weak leaves the link good. Raises problems."""
    await brake(desk, ticket_brakes(address))
    asked = await desk.tickets.look(Purpose.PASSWORD_RESET, token)
    account = await desk.accounts.by_id(asked["member_id"]) if asked else None
    if account is None or account.status is MemberStatus.LEFT:
        raise LINK_REFUSED()
    _judge(account, password)
    if await desk.tickets.redeem(Purpose.PASSWORD_RESET, token) is None:
        raise LINK_REFUSED()
    await _set_password(desk, account, password, but_session=None)
    return account


async def _set_password(desk: Desk, account: Account, password: str, but_session: str | None) -> None:
    _judge(account, password)
    hashed = await desk.passwords.hash(password)
    await desk.accounts.set_password(account.member_id, hashed, but_session=but_session)
    await desk.tickets.cancel(Purpose.PASSWORD_RESET, account.member_id)
    await desk.tickets.cancel(Purpose.SECOND_FACTOR, account.member_id)
    await desk.mailer.enqueue(account.member_id, Letter.PASSWORD_CHANGED)
    log.info("a password was changed", extra={"member_id": account.member_id})


def _judge(account: Account, password: str) -> None:
    try:
        check_password(password, email=account.email, pseudonym=account.pseudonym)
    except PasswordTooWeak as error:
        weak = weak_password(error)
        raise Problem("password-too-weak", 422, _TITLE, weak, code=error.code) from error
