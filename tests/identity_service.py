"""identity's routes over stores in memory, with a clock, the mail that was sent, and people who use it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyotp

from services.identity.domain.account import Account
from services.identity.routes import factors, membership, pages, recovery, sessions, sign_in
from services.identity.routes.desk import Desk
from services.identity.settings import Settings
from services.identity.store.addresses import AddressLetters
from services.identity.store.keys import SigningKeys
from services.identity.store.passwords import Passwords
from services.identity.store.postman import Postman
from shared.auth import Guard, TokenVerifier
from shared.events import Profession, Role
from shared.keyring import HeldKeys
from shared.sealed import SealedField
from shared.web import create_app
from tests.memory_accounts import MemoryAccounts, MemoryAttempts
from tests.memory_mails import MailServer, MemoryMails
from tests.memory_sessions import MemoryFactors, MemoryTickets

PASSWORD = "correct horse battery"
GOOD = {
    "email": "A.Martin@hopital.example",
    "password": PASSWORD,
    "pseudonym": "Dr Ambroise",
    "profession": "physician",
    "specialty": "cardiology",
    "country": "fr",
}
_HASHES: dict[str, str] = {}


class Identity:
    """The service's routes with everything that they work with at hand. `clock` is the only one there is."""

    def __init__(self, folder: Path) -> None:
        self.clock = datetime.now(UTC).replace(microsecond=0)
        self.settings = Settings(links_url="https://here.example/identity/")
        self.accounts = MemoryAccounts()
        self.sessions = self.accounts.sessions
        self.attempts = MemoryAttempts(now=self.now)
        self.passwords = Passwords(at_once=2, waiting=32)
        self.keys = SigningKeys(folder / "key.pem", self.settings.access_token_ttl_s)
        self.factors = MemoryFactors()
        self.tickets = MemoryTickets(now=self.now)
        self.mails = MemoryMails(now=self.now)
        self.server = MailServer()
        letters = AddressLetters(self.accounts, self.tickets, self.settings.links_url)
        self.postman = Postman(
            self.mails, self.server, self.accounts.by_id, letters.composers(), "Consilium <c@c.example>", now=self.now
        )
        self.sealed = SealedField(HeldKeys([b"k" * 32]))
        desk = Desk(
            self.settings,
            self.accounts,
            self.attempts,
            self.passwords,
            self.keys,
            self.sessions,
            self.factors,
            self.tickets,
            self.mails,
            self.sealed,
            self.now,
        )

        async def keys() -> dict[str, Any]:
            return self.keys.published()

        async def session_open(session_id: str) -> bool:
            return await self.sessions.get(session_id) is not None

        self.verifier = TokenVerifier(
            "", self.settings.token_issuer, self.settings.token_audience, fetch=keys, now=lambda: self.clock.timestamp()
        )

        async def has_second_factor(member_id: str) -> bool:
            return (await self.factors.of_member(member_id)).second

        guard = Guard(
            self.verifier,
            session_open=session_open,
            has_second_factor=has_second_factor,
            now=lambda: self.clock.timestamp(),
        )
        routers = [module.make_router(desk, guard) for module in (membership, sessions, factors, recovery)]
        routers += [sign_in.make_router(desk), pages.make_router(desk)]
        self.app = create_app(self.settings, "identity", service="identity", routers=routers)

    def now(self) -> datetime:
        return self.clock

    def wait(self, **time: float) -> None:
        self.clock += timedelta(**time)

    def client(self, address: str = "192.0.2.7", user_agent: str = "") -> httpx.AsyncClient:
        """A caller at that network address."""
        transport = httpx.ASGITransport(self.app, client=(address, 50000))
        headers = {"user-agent": user_agent} if user_agent else {}
        return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)

    async def member(self, email: str = "a.martin@hopital.example", *roles: Role, **more: Any) -> Account:
        """A member who is there already, with PASSWORD."""
        if not _HASHES:  # made once: it takes 90 ms
            _HASHES[PASSWORD] = await self.passwords.hash(PASSWORD)
        account = Account.register(
            email=email,
            password_hash=_HASHES[PASSWORD],
            pseudonym=more.pop("pseudonym", f"Member {len(self.accounts.kept)}"),
            profession=Profession.PHYSICIAN,
            roles=frozenset(roles),
            now=self.clock,
            **more,
        )
        await self.accounts.add(account)
        return account

    async def letters(self) -> list[tuple[str, str, str]]:
        """Send what waits; each letter as (address, subject, body), oldest first. They are taken away."""
        while await self.postman.deliver_one():
            pass
        found = [(m["To"], m["Subject"], m.get_content()) for m in self.server.accepted]
        self.server.accepted.clear()
        return found

    async def link_token(self) -> str:
        """The token of the link in the only letter that waits."""
        ((_, _, body),) = await self.letters()
        (token,) = re.findall(r"https://here\.example/identity/[a-z-]+\?token=([\w-]+)", body)
        return str(token)


class Someone:
    """A member at a client: signs in, keeps the tokens, and may have an authenticator app."""

    def __init__(self, identity: Identity, client: httpx.AsyncClient, email: str = "a.martin@hopital.example") -> None:
        self.identity = identity
        self.client = client
        self.email = email
        self.tokens: dict[str, Any] = {}
        self.secret = ""
        self.recovery_codes: list[str] = []

    async def password(self, **changes: Any) -> httpx.Response:
        """The password step of a sign-in, whatever comes of it."""
        asked = {"email": self.email, "password": PASSWORD, **changes}
        return await self.client.post("/sessions", json=asked)

    async def sign_in(self, **changes: Any) -> "Someone":
        answer = await self.password(**changes)
        if answer.status_code == 202:
            given = {"ticket": answer.json()["ticket"], "code": self.code()}
            answer = await self.client.post("/sessions/second-factor", json=given)
        assert answer.status_code == 200, answer.text
        self.tokens = answer.json()
        return self

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens['access_token']}"}

    async def call(self, method: str, path: str, json: Any = None) -> httpx.Response:
        return await self.client.request(method, path, json=json, headers=self.headers)

    async def refresh(self, token: str | None = None) -> httpx.Response:
        """Exchange the refresh token (or another one) and go on with the new ones."""
        answer = await self.client.post(
            "/sessions/refresh", json={"refresh_token": token or self.tokens["refresh_token"]}
        )
        if answer.status_code == 200 and token is None:
            self.tokens |= answer.json()
        return answer

    async def add_app(self) -> "Someone":
        """Add an authenticator app."""
        begun = await self.call("POST", "/me/factors/totp")
        assert begun.status_code == 200, begun.text
        self.secret = begun.json()["secret"]
        done = await self.call("POST", "/me/factors/totp/confirmation", {"code": self.code()})
        assert done.status_code == 200, done.text
        self.recovery_codes = done.json()["recovery_codes"] or self.recovery_codes
        self.tokens = done.json()["session"]
        return self

    def code(self, steps: int = 0) -> str:
        """The app's code now, or some time steps from now."""
        return pyotp.TOTP(self.secret).at(self.identity.clock, counter_offset=steps)


def problem(answer: httpx.Response) -> str:
    """The slug of a problem document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return str(answer.json()["type"]).rpartition(":")[2]
