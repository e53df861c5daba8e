"""Sessions: how long they last, and how a refresh token is exchanged for the next one.

A refresh token is 256 random bits; we keep its hash. Each use gives a new one and spends the old one (RFC 9700, 4.14).
A spent token that is shown again means that two hold a copy, and nobody knows who is the thief: the session ends, for
both.

One repetition is innocent: an answer that was lost on the way, or two tabs that refresh at the same moment. Therefore a
spent token gives, for `GRACE_S` seconds, the very successor that it gave before, as long as that one is unused. The
successor lies beside the spent token's hash, encrypted under the spent token itself, so that only who shows the one
learns the other, and never a third token. A thief gains nothing by it: thief and owner then hold the same successor,
the first to use it spends it, and the second ends the session.
"""

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.identity.domain.factors import RECOVERY
from services.identity.domain.tickets import new_secret

GRACE_S = 10
Delivery = Literal["body", "cookie"]
_BROWSERS = (
    ("Edge", re.compile(r"\bEdg(?:e|A|iOS)?/")),
    ("Opera", re.compile(r"\bOPR/")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)/")),
    ("Chrome", re.compile(r"\b(?:Chrome|CriOS)/")),
    ("Safari", re.compile(r"\bSafari/")),
)
_SYSTEMS = (
    ("Android", re.compile(r"\bAndroid\b")),
    ("iPhone", re.compile(r"\biPhone\b")),
    ("iPad", re.compile(r"\biPad\b")),
    ("Windows", re.compile(r"\bWindows\b")),
    ("macOS", re.compile(r"\bMac OS X\b|\bMacintosh\b")),
    ("Linux", re.compile(r"\bLinux\b|\bX11\b")),
)
_PRODUCT = re.compile(r"^([A-Za-z][A-Za-z0-9 ._-]{0,39})/")


class RefreshRefused(Exception):
    """No live session has this refresh token: unknown, expired, or revoked."""


class RefreshReused(RefreshRefused):
    """A spent refresh token was shown again; its session has been ended."""

    def __init__(self, session: "Session") -> None:
        super().__init__("a spent refresh token was used")
        self.session = session


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a session lasts without being used, and at most."""

    idle_s: int
    absolute_s: int


@dataclass(frozen=True, slots=True)
class Session:
    """A member signed in on one device. `current`: the hash of the only refresh token that is good.

    `amr`: the methods by which it was opened, in the words of RFC 8176 but for recovery codes (see `methods`).
    """

    session_id: str
    member_id: str
    created_at: datetime
    last_used_at: datetime
    idle_s: int
    expires_at: datetime
    amr: tuple[str, ...]
    authenticated_at: datetime
    device: str
    network: str
    delivery: Delivery
    current: str

    @classmethod
    def begin(
        cls,
        session_id: str,
        member_id: str,
        *,
        now: datetime,
        lifetime: Lifetime,
        amr: tuple[str, ...],
        user_agent: str,
        address: str,
        delivery: Delivery,
        refresh_token: str,
    ) -> "Session":
        """A new session under that refresh token."""
        return cls(
            session_id=session_id,
            member_id=member_id,
            created_at=now,
            last_used_at=now,
            idle_s=lifetime.idle_s,
            expires_at=now + timedelta(seconds=lifetime.absolute_s),
            amr=amr,
            authenticated_at=now,
            device=device_of(user_agent),
            network=coarse_network(address),
            delivery=delivery,
            current=refresh_hash(refresh_token),
        )

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods in the words of RFC 8176."""
        return tuple(dict.fromkeys("otp" if method == RECOVERY else method for method in self.amr))

    def alive(self, now: datetime) -> bool:
        """Whether it has expired neither by time nor by lack of use."""
        return now < self.expires_at and now < self.last_used_at + timedelta(seconds=self.idle_s)

    def proved(self, session_id: str, now: datetime, amr: tuple[str, ...], refresh_token: str) -> "Session":
        """The same device after its member has proved more, or anew: under another id and token (ASVS 5.0, 7.2.4)."""
        gone_on = self.narrowed(session_id, now, merged(self.amr, amr), refresh_token)
        return replace(gone_on, authenticated_at=now)

    def narrowed(self, session_id: str, now: datetime, amr: tuple[str, ...], refresh_token: str) -> "Session":
        """The same device under another id and token, claiming `amr` alone: a factor was removed."""
        return replace(self, session_id=session_id, last_used_at=now, amr=amr, current=refresh_hash(refresh_token))

    def used(self, now: datetime, successor: str) -> "Session":
        """The session after its token was exchanged for `successor`."""
        return replace(self, last_used_at=now, current=refresh_hash(successor))


@dataclass(frozen=True, slots=True)
class Spent:
    """A refresh token that was used: by which session, when, and its successor, encrypted under the token itself."""

    token_hash: str
    session_id: str
    at: datetime
    handover: bytes
    expires_at: datetime


class KeepsSessions(Protocol):
    """What is needed of the sessions that are kept. Each call is atomic."""

    async def add(self, session: Session) -> None:
        """Keep a new session."""

    async def get(self, session_id: str) -> Session | None:
        """The session, unless it was ended."""

    async def by_token(self, token_hash: str) -> Session | None:
        """The session whose current token has this hash."""

    async def spend(self, spent: Spent) -> Spent:
        """Note a token as spent. Gives the note that counts: the one made first, where there are several."""

    async def spent(self, token_hash: str) -> Spent | None:
        """The note of a spent token."""

    async def advance(self, session: Session, token_hash: str) -> bool:
        """Put `session` in place of itself if its current token still has that hash."""

    async def of_member(self, member_id: str) -> list[Session]:
        """The member's sessions, the one used last first."""

    async def end(self, member_id: str, session_id: str) -> bool:
        """End one session of the member; False where there is none of that id."""

    async def end_all(self, member_id: str, *, but: str | None = None) -> int:
        """End the member's sessions, but for one; says how many there were."""


async def exchange(sessions: KeepsSessions, token: str, now: datetime) -> tuple[Session, str]:
    """The session of a refresh token and the token that follows it.

    Raises RefreshReused (and ends the session) where the token was spent before, but for the innocent repetition;
    RefreshRefused where no live session has it.
    """
    known = refresh_hash(token)
    session = await sessions.by_token(known)
    if session is not None:
        if not session.alive(now):
            await sessions.end(session.member_id, session.session_id)
            raise RefreshRefused("expired")
        note = Spent(known, session.session_id, now, hand_over(token, new_secret()), session.expires_at)
        # The note first: a crash before the exchange repeats it with the same successor.
        note = await sessions.spend(note)
        successor = handed_over(token, note.handover)
        moved = session.used(now, successor)
        if await sessions.advance(moved, known):
            return moved, successor
    spent = await sessions.spent(known)
    session = await sessions.get(spent.session_id) if spent else None
    if spent is None or session is None:
        raise RefreshRefused("unknown")
    successor = handed_over(token, spent.handover)
    if now - spent.at <= timedelta(seconds=GRACE_S) and session.current == refresh_hash(successor):
        return session, successor
    await sessions.end(session.member_id, session.session_id)
    raise RefreshReused(session)


def merged(known: tuple[str, ...], proved: tuple[str, ...]) -> tuple[str, ...]:
    """All methods by which a member was authenticated. Two kinds of them are multi-factor (`mfa`): a password and
    something else, or a passkey, which its device has opened by finger, face or PIN (`user`).
    """
    methods = tuple(dict.fromkeys(name for name in (*known, *proved) if name != "mfa"))
    several = "user" in methods or ("pwd" in methods and len(methods) > 1)
    return (*methods, "mfa") if several else methods


def refresh_hash(token: str) -> str:
    """What is kept of a refresh token. A fast hash is enough for 256 random bits."""
    return hashlib.sha256(f"refresh:{token}".encode()).hexdigest()


def hand_over(token: str, successor: str) -> bytes:
    """`successor`, readable only for who holds `token`. The key serves once, hence the fixed nonce."""
    return AESGCM(_handover_key(token)).encrypt(bytes(12), successor.encode(), None)


def handed_over(token: str, handover: bytes) -> str:
    """What `hand_over` hid under `token`."""
    return AESGCM(_handover_key(token)).decrypt(bytes(12), handover, None).decode()


def _handover_key(token: str) -> bytes:
    return hashlib.sha256(f"refresh handover:{token}".encode()).digest()


def device_of(user_agent: str) -> str:
    """A label by which people know their device: "Firefox, Linux". Empty where the text tells nothing."""
    browser = next((name for name, pattern in _BROWSERS if pattern.search(user_agent)), "")
    system = next((name for name, pattern in _SYSTEMS if pattern.search(user_agent)), "")
    if not browser and (product := _PRODUCT.match(user_agent)) and product[1] != "Mozilla":
        browser = product[1]
    return ", ".join(part for part in (browser, system) if part)


def coarse_network(address: str) -> str:
    """Where a session was opened, as far as it helps to know it again: an IPv4 /24 or an IPv6 /48."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))


def session_claims(session: Session) -> Mapping[str, Any]:
    """What an access token says of its session (RFC 8176 for `amr`, OpenID Connect for `auth_time`)."""
    return {
        "sid": session.session_id,
        "amr": list(session.methods),
        "auth_time": int(session.authenticated_at.timestamp()),
    }
