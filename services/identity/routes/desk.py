"""What identity's routes work with, and what they share: brakes, sessions to hand out, a member as shown to himself."""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

from fastapi import Request, Response
from pydantic import BaseModel, Field

from services.identity.domain.account import Account, KeepsAccounts
from services.identity.domain.brakes import Brake, CountsTries, account_digest
from services.identity.domain.factors import KeepsFactors
from services.identity.domain.letters import Mailer
from services.identity.domain.sessions import (
    Delivery,
    KeepsSessions,
    Lifetime,
    Session,
    refresh_hash,
    session_claims,
)
from services.identity.domain.tickets import KeepsTickets, Purpose, new_secret, secret_hash
from services.identity.settings import Settings
from services.identity.store.passwords import Passwords
from shared.auth_problems import TOKEN_REFUSED
from shared.events import STAFF_ROLES, Language, MemberStatus, Profession, Role, Specialty
from shared.sealed import SealedField
from shared.web import Problem, ProblemKind, Text

REFRESH_COOKIE = "consilium_refresh"
DEVICE_COOKIE = "consilium_device"
DEVICE_S = 180 * 86_400
MAX_TOKEN = 128
BEARER = {"WWW-Authenticate": 'Bearer realm="consilium"'}

TOO_MANY_TRIES = ProblemKind(
    "too-many-tries",
    429,
    Text(en="Too many tries", fr="Trop d'essais"),
    Text(
        en="There were too many tries. Wait {retry_after_s} seconds, then try again.",
        fr="Il y a eu trop d'essais. Attendez {retry_after_s} secondes, puis réessayez.",
    ),
)


class SignsTokens(Protocol):
    """The keys of access tokens, as the routes need them."""

    def sign(self, claims: dict[str, Any]) -> str: ...
    def published(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes work with."""

    settings: Settings
    accounts: KeepsAccounts
    attempts: CountsTries
    passwords: Passwords
    keys: SignsTokens
    sessions: KeepsSessions
    factors: KeepsFactors
    tickets: KeepsTickets
    mailer: Mailer
    sealed: SealedField
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class Member(BaseModel):
    """A member, as shown to themselves. `leaves_at`: when the account will be erased, as was asked for."""

    member_id: str
    version: int
    email: str
    pseudonym: str
    profession: Profession | None
    specialty: Specialty | None
    country: str | None
    roles: list[Role]
    status: MemberStatus
    language: Language
    verified_at: datetime | None
    created_at: datetime
    leaves_at: datetime | None = None

    @classmethod
    def of(cls, account: Account) -> "Member":
        return cls(
            member_id=account.member_id,
            version=account.version,
            email=account.email,
            pseudonym=account.pseudonym,
            profession=account.profession,
            specialty=account.specialty,
            country=account.country,
            roles=sorted(account.roles),
            status=account.status,
            language=account.language,
            verified_at=account.verified_at,
            created_at=account.created_at,
            leaves_at=account.departure.due_at if account.departure else None,
        )


class SignedIn(BaseModel):
    """A session: an access token for `Authorization: Bearer …`, good for `expires_in` seconds at every service, and a
    refresh token for the next one. Tokens are left out of the body where they were asked for as cookies.
    """

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme's name
    expires_in: int
    session_id: str
    refresh_token: str | None = Field(default=None, description="Good for one POST /sessions/refresh.")
    device_token: str | None = Field(
        default=None,
        description="Send it with every later sign-in: then nobody else's wrong tries slow yours. Given to a device "
        "that did not send one.",
    )
    member: Member


Wanted = Annotated[
    Delivery,
    Field(
        description="Where the refresh token goes. `body`: to clients that can keep a secret (apps, programs). "
        "`cookie`: HttpOnly, Secure, SameSite=Strict, for browsers, whose scripts then never hold it.",
    ),
]
DeviceToken = Annotated[str, Field(max_length=MAX_TOKEN)]


async def brake(desk: Desk, brakes: Iterable[Brake]) -> None:
    """Count a try. Raises TOO_MANY_TRIES."""
    wait_s = await desk.attempts.begin(brakes)
    if wait_s:
        raise too_many(wait_s)


def too_many(wait_s: int) -> Problem:
    return TOO_MANY_TRIES(retry_after_s=wait_s, headers={"Retry-After": str(wait_s)})


def address_of(request: Request) -> str:
    return request.client.host if request.client else ""


async def known_device(desk: Desk, request: Request, given: str | None, email: str | None = None) -> str | None:
    """What stands in brakes for the device that asks, where it was signed in from before: to the account of that
    address, or to any.
    """
    secret = given or request.cookies.get(DEVICE_COOKIE, "")
    if not secret or len(secret) > MAX_TOKEN:
        return None
    found = await desk.tickets.look(Purpose.KNOWN_DEVICE, secret)
    if found is None or (email is not None and found["account"] != account_digest(email)):
        return None
    return secret_hash(Purpose.KNOWN_DEVICE, secret)[:32]


async def remember_browser(desk: Desk, response: Response, account: Account) -> None:
    """Make this browser a known device of whom a link by mail has brought here.

    Else guessers in many places could take every turn of the brake on the whole account, and its owner, new
    password in hand, would never get one from a browser that is not known.
    """
    of = {"account": account_digest(account.email)}
    device = await desk.tickets.issue(Purpose.KNOWN_DEVICE, of, DEVICE_S, member_id=account.member_id)
    _set_cookie(desk, response, DEVICE_COOKIE, device, DEVICE_S)


async def open_session(
    desk: Desk,
    request: Request,
    response: Response,
    account: Account,
    amr: tuple[str, ...],
    delivery: Delivery,
    *,
    known: bool = False,
) -> SignedIn:
    """Begin a session for a member who has proved who they are. `known`: the device has its token already.

    `account` as it was when that was proved. Raises TOKEN_REFUSED where it has another password by now, or a factor
    that proved it is gone.
    """
    settings, now, token = desk.settings, desk.now(), new_secret()
    staff = bool(account.roles & STAFF_ROLES)
    lifetime = Lifetime(
        settings.staff_session_idle_s if staff else settings.session_idle_s,
        settings.staff_session_absolute_s if staff else settings.session_absolute_s,
    )
    session = Session.begin(
        str(uuid.uuid4()),
        account.member_id,
        now=now,
        lifetime=lifetime,
        amr=amr,
        user_agent=request.headers.get("user-agent", ""),
        address=address_of(request),
        delivery=delivery,
        refresh_token=token,
    )
    await desk.sessions.add(session)
    # A new password and a factor's removal end the sessions there are; one that began meanwhile, by the old, ends here.
    again = await desk.accounts.by_id(account.member_id)
    proved = (await desk.factors.of_member(account.member_id)).still_proved(amr)
    if again is None or again.password_hash != account.password_hash or proved != amr:
        await desk.sessions.end(account.member_id, session.session_id)
        raise TOKEN_REFUSED(headers={"WWW-Authenticate": 'Bearer realm="consilium"'})
    # A browser that signs in again goes on in the new session alone: nobody holds the token of the one before any more.
    held = request.cookies.get(REFRESH_COOKIE, "")[:MAX_TOKEN] if delivery == "cookie" else ""
    before = await desk.sessions.by_token(refresh_hash(held)) if held else None
    if before is not None:
        await desk.sessions.end(before.member_id, before.session_id)
    device = None
    if not known:
        of = {"account": account_digest(account.email)}
        device = await desk.tickets.issue(Purpose.KNOWN_DEVICE, of, DEVICE_S, member_id=account.member_id)
    return hand_out(desk, response, account, session, token, device)


def hand_out(
    desk: Desk, response: Response, account: Account, session: Session, refresh_token: str, device: str | None = None
) -> SignedIn:
    """The answer with the tokens, in body or cookies as the session was asked for."""
    in_body = session.delivery == "body"
    if not in_body:
        left_s = int((session.expires_at - desk.now()).total_seconds())
        _set_cookie(desk, response, REFRESH_COOKIE, refresh_token, min(left_s, session.idle_s))
        if device:
            _set_cookie(desk, response, DEVICE_COOKIE, device, DEVICE_S)
    return SignedIn(
        access_token=access_token(desk, account, session),
        expires_in=token_ttl_s(desk, session),
        session_id=session.session_id,
        refresh_token=refresh_token if in_body else None,
        device_token=device if in_body else None,
        member=Member.of(account),
    )


def access_token(desk: Desk, account: Account, session: Session) -> str:
    """A token of this session as the member may have it now. It does not outlive the session's age."""
    settings = desk.settings
    claims = account.claims(
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        now=desk.now(),
        ttl_s=token_ttl_s(desk, session),
    )
    return desk.keys.sign({**claims, **session_claims(session)})


def token_ttl_s(desk: Desk, session: Session) -> int:
    left_s = int((session.expires_at - desk.now()).total_seconds())
    return max(0, min(desk.settings.access_token_ttl_s, left_s))


def forget_refresh_cookie(desk: Desk, response: Response) -> None:
    response.delete_cookie(
        REFRESH_COOKIE, path=desk.settings.cookie_path, secure=True, httponly=True, samesite="strict"
    )


def _set_cookie(desk: Desk, response: Response, name: str, value: str, max_age_s: int) -> None:
    # Strict: no page of another site makes a browser send it. The path: no other service ever sees it.
    response.set_cookie(
        name,
        value,
        max_age=max(0, max_age_s),
        path=desk.settings.cookie_path,
        secure=True,
        httponly=True,
        samesite="strict",
    )
