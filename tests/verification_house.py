"""Verification with everything that it works with, on a database; registries and letters are kept in memory."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
from fastapi import APIRouter

from services.identity.domain.account import Account
from services.identity.domain.letters import Letter
from services.identity.domain.recheck import Rhythm
from services.identity.domain.verification import CivilName, Number, Practitioner
from services.identity.registries import numbers
from services.identity.registries.matching import Matching
from services.identity.registries.watch import Watch
from services.identity.routes.verifications import VerificationDesk, verification_routes
from services.identity.settings import Settings
from services.identity.store.accounts import Accounts
from services.identity.store.attempts import Attempts
from services.identity.store.kept_requests import COLLECTION as REQUESTS
from services.identity.store.kept_requests import KeptRequests
from services.identity.store.number_index import NumberIndex
from services.identity.store.verifications import COLLECTION, Verifications
from shared.auth import Guard, MemberState
from shared.events import MemberChanged, MemberStatus, Profession, Role
from shared.keyring import HeldKeys
from shared.mongo import Mongo
from shared.sealed import SealedField
from shared.web import create_app
from tests.tokens import TokenMaker

NAME = CivilName("Dupont-Moreau", "Anne")
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RHYTHM = Rhythm()


def new_number() -> Number:
    return Number("rpps", f"99{random.randrange(10**9):09d}")


class Register:
    """A registry in memory that does what a test tells it."""

    name = "rpps"
    country = "FR"

    def __init__(self) -> None:
        self.lists_active_only = False
        self.people: dict[str, Practitioner] = {}
        self.broken: Exception | None = None
        self.asked: list[str] = []
        self.inactive: list[Number] = []
        self.since: list[datetime] = []
        self.pause: asyncio.Event | None = None

    def check_number(self, text: str) -> Number:
        return numbers.rpps(text)

    def add(self, number: Number, **changes: Any) -> None:
        known: dict[str, Any] = {
            "number": number,
            "families": ("DUPONT", "MOREAU"),
            "givens": ("ANNE",),
            "professions": frozenset({Profession.PHYSICIAN}),
            "skills": ("SM54",),
            "active": True,
            "source": "test",
            "as_of": START,
        }
        self.people[number.value] = Practitioner(**{**known, **changes})

    async def look_up(self, number: Number) -> Practitioner | None:
        self.asked.append(number.value)
        pause, self.pause = self.pause, None  # the next call only
        if pause is not None:
            await pause.wait()
        if self.broken is not None:
            raise self.broken
        return self.people.get(number.value)

    async def inactive_since(self, since: datetime) -> AsyncIterator[Number]:
        self.since.append(since)
        if self.broken is not None:
            raise self.broken
        for number in self.inactive:
            yield number

    async def close(self) -> None:
        """Nothing to close."""


class Letters:
    """Keeps what members would be written."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Letter, Mapping[str, str]]] = []
        self.once: set[str] = set()

    async def enqueue(
        self,
        member_id: str,
        letter: Letter,
        facts: Mapping[str, str] | None = None,
        *,
        once: str | None = None,
        session: Any = None,
    ) -> bool:
        if once is not None and once in self.once:
            return False
        self.once |= {once} if once else set()
        self.sent.append((member_id, letter, facts or {}))
        return True

    async def enqueue_to(self, address: str, letter: Letter, facts: Mapping[str, str] | None = None) -> None:
        raise AssertionError("verification writes to members only")


class VerificationHouse:
    """Everything that looks after verifications; `now` is its clock."""

    def __init__(self, mongo: Mongo) -> None:
        self.mongo = mongo
        self.now = START
        sealed = SealedField(HeldKeys([bytes(range(32))]))
        self.accounts = Accounts(mongo)
        self.verifications = Verifications(mongo, self.accounts, sealed, NumberIndex(mongo.db, sealed))
        self.kept = KeptRequests(mongo.db, sealed)
        self.register = Register()
        self.letters = Letters()
        self.matching = Matching(
            {"rpps": self.register}, self.verifications, self.kept, self.letters, rhythm=RHYTHM, now=lambda: self.now
        )
        self.watch = self.watcher()
        self.attempts = Attempts(mongo.db, now=lambda: self.now)
        self.desk = VerificationDesk(self.accounts, self.attempts, self.verifications, self.kept, self.matching)
        self.tokens = TokenMaker()
        self.guard = Guard(self.tokens.verifier(), self.state_of)

    def watcher(self) -> Watch:
        return Watch(
            self.mongo.db,
            {"rpps": self.register},
            self.verifications,
            self.matching,
            self.letters,
            self.accounts.by_id,
            rhythm=RHYTHM,
            now=lambda: self.now,
        )

    async def prepare(self) -> None:
        for name in (COLLECTION, REQUESTS, "registry_state", "rpps_extraction", "accounts", "outbox", "secrets",
                     "turns", "attempts"):  # fmt: skip
            await self.mongo.db[name].delete_many({})
        for part in (self.accounts, self.verifications, self.kept, self.attempts):
            await part.prepare()
        # The clock of this house stands still in the past: what the database would sweep up by its own.
        await self.mongo.db["attempts"].drop_index("forget_at_1")

    async def state_of(self, member_id: str) -> MemberState | None:
        found = await self.accounts.by_id(member_id)
        return MemberState.of(found.changed()) if found else None

    def client(self, *routers: APIRouter, member_id: str = "") -> httpx.AsyncClient:
        """A caller of these routes (or of those of registry match), signed in as that member."""
        routers = routers or (verification_routes(self.desk, self.guard),)
        app = create_app(Settings(), "identity", service="identity", routers=routers)
        headers = (
            {"authorization": f"Bearer {self.tokens.token(member_id, member_version=1, amr=['pwd', 'otp', 'mfa'])}"}
            if member_id
            else {}
        )
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers)

    async def member(self, profession: Profession | None = Profession.PHYSICIAN, *roles: Role) -> Account:
        name = f"m{uuid.uuid4().hex[:16]}"
        made = Account.register(
            email=f"{name}@hopital.example",
            password_hash="h",
            pseudonym=name,
            profession=profession,
            now=START,
            roles=frozenset(roles),
        )
        await self.accounts.add(made)
        return made

    async def verified(self, number: Number | None = None) -> tuple[Account, Number]:
        number = number or new_number()
        self.register.add(number)
        return await self.matching.verify(await self.member(), number, NAME), number

    async def status(self, member_id: str) -> MemberStatus:
        found = await self.accounts.by_id(member_id)
        assert found is not None
        return found.status

    async def told(self, member_id: str) -> list[MemberChanged]:
        rows = self.mongo.db["outbox"].find({"key": member_id}, sort=[("sequence", 1)])
        return [MemberChanged.parse(row["value"]) async for row in rows]
