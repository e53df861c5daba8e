"""What follows when a factor was added or removed: letters, recovery codes, and sessions that claim what is true now.

A session says by which methods it was opened, and staff routes believe it (`mfa`). So whoever has to have a second
factor keeps the last one; and where one goes, what rests on it goes too.
"""

import logging
import uuid
from collections.abc import Callable

from fastapi import Response
from pydantic import BaseModel

from services.identity.domain.account import Account
from services.identity.domain.factors import Factors, LastFactor, new_recovery_codes
from services.identity.domain.letters import Letter
from services.identity.domain.sessions import Session, merged
from services.identity.domain.tickets import new_secret
from services.identity.routes.desk import Desk, SignedIn, forget_refresh_cookie, hand_out
from shared.auth import Principal
from shared.auth_problems import TOKEN_REFUSED
from shared.web import Problem, ProblemKind, Text

log = logging.getLogger("identity")

LAST_FACTOR = ProblemKind(
    "last-second-factor",
    409,
    Text(en="Your only second factor", fr="Votre seul second facteur"),
    Text(
        en="Whoever decides about others signs in with two factors. Add another passkey or an authenticator app first, "
        "then remove this one.",
        fr="Les personnes dont les décisions concernent d'autres membres se connectent avec deux facteurs. Ajoutez "
        "d'abord une autre clé d'accès ou une application d'authentification, puis retirez ce facteur.",
    ),
)


class Added(BaseModel):
    """A factor was added. With the first one come recovery codes, shown this once; this session counts it as proved."""

    recovery_codes: list[str] | None = None
    session: SignedIn


class Removed(BaseModel):
    """A factor was removed. All other sessions have ended; this one goes on under new tokens and claims only what was
    proved with what is left. `session` is null where that is nothing: sign in again.
    """

    session: SignedIn | None


async def added(
    desk: Desk, response: Response, account: Account, caller: Principal, factor: str, proved: tuple[str, ...]
) -> Added:
    """Tell the owner, give recovery codes with the first factor, and go on in a session that counts it as proved."""
    await tell(desk, account.member_id, Letter.SECOND_FACTOR_ADDED, factor)
    factors = await desk.factors.of_member(account.member_id)
    codes = None if factors.recovery else await new_codes(desk, account.member_id)
    session, token = await _taken_up(desk, caller), new_secret()
    again = session.proved(str(uuid.uuid4()), desk.now(), proved, token)
    await desk.sessions.add(again)
    return Added(recovery_codes=codes, session=hand_out(desk, response, account, again, token))


async def removed(
    desk: Desk,
    response: Response,
    account: Account,
    caller: Principal,
    move: Callable[[Factors], Factors],
    factor: str,
) -> Removed:
    """Remove a factor, and whatever rests on it: other sessions end, this one is narrowed. Raises LAST_FACTOR."""
    try:
        left = await desk.factors.change(account.member_id, move)
    except LastFactor as error:
        raise LAST_FACTOR() from error
    # Which of them the removed factor has opened is not known; a device that was lost may hold one.
    await desk.sessions.end_all(account.member_id, but=caller.session_id)
    await tell(desk, account.member_id, Letter.SECOND_FACTOR_REMOVED, factor)
    session, token = await _taken_up(desk, caller), new_secret()
    proved = merged((), left.still_proved(session.amr))
    if not proved:
        forget_refresh_cookie(desk, response)
        return Removed(session=None)
    again = session.narrowed(str(uuid.uuid4()), desk.now(), proved, token)
    await desk.sessions.add(again)
    return Removed(session=hand_out(desk, response, account, again, token))


async def _taken_up(desk: Desk, caller: Principal) -> Session:
    """The caller's session, ended: it goes on under another id, and its tokens are worth nothing any more."""
    session = await desk.sessions.get(caller.session_id or "")
    if session is None or not await desk.sessions.end(caller.member_id, session.session_id):
        raise token_refused()
    return session


async def new_codes(desk: Desk, member_id: str) -> list[str]:
    codes, hashes = new_recovery_codes(member_id)
    await desk.factors.change(member_id, lambda factors: factors.with_recovery(hashes))
    return codes


async def tell(desk: Desk, member_id: str, letter: Letter, factor: str) -> None:
    log.info("a second factor changed: %s", letter, extra={"member_id": member_id, "factor": factor})
    await desk.mailer.enqueue(member_id, letter, {"factor": factor})


def token_refused() -> Problem:
    return TOKEN_REFUSED(headers={"WWW-Authenticate": 'Bearer realm="consilium", error="invalid_token"'})
