"""identity's routes about members over the real MongoDB, with callers who have signed in."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from deploy.local import Platform
from services.identity.domain.account import Account
from services.identity.routes.contacts import contact_routes
from services.identity.routes.directory import directory_routes
from services.identity.routes.leaving import Doorway, leaving_routes
from services.identity.routes.profile import People, profile_routes
from services.identity.settings import Settings
from services.identity.store.accounts import Accounts
from services.identity.store.contacts import Contacts
from services.identity.store.directory import Directory
from services.identity.store.leaving import Departures
from services.identity.store.mails import Mails
from services.identity.store.number_index import NumberIndex
from services.identity.store.profiles import Profiles
from services.identity.store.verifications import Verifications
from shared.auth import Guard
from shared.events import BlocksChanged, MemberChanged, Profession, Specialty
from shared.keyring import HeldKeys
from shared.mongo import Mongo
from shared.sealed import SealedField
from shared.web import create_app
from tests.tokens import TokenMaker

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Json = dict[str, Any]


@dataclass
class Village:
    """Members and the routes that they call.

    `names`: whose civil name was verified, as family and given name. `clock[0]`: the time for who leaves. `forgotten`:
    whose files were erased.
    """

    mongo: Mongo
    http: httpx.AsyncClient
    accounts: Accounts
    contacts: Contacts
    tokens: TokenMaker
    departures: Departures
    verifications: Verifications
    clock: list[datetime]
    forgotten: list[str] = field(default_factory=list)
    names: dict[str, tuple[str, str]] = field(default_factory=dict)

    async def person(
        self,
        profession: Profession = Profession.PHYSICIAN,
        specialty: Specialty | None = None,
        *,
        verified: bool = True,
        pseudonym: str = "",
    ) -> "Villager":
        """A new member."""
        name = pseudonym or f"Dr {uuid.uuid4().hex[:12]}"
        account = Account.register(
            email=f"{uuid.uuid4().hex}@hopital.example",
            password_hash="hash",
            pseudonym=name,
            profession=profession,
            specialty=specialty,
            country="fr",
            now=NOW,
        )
        account = account.verify(NOW, "rpps") if verified else account
        await self.accounts.add(account)
        token = self.tokens.token(
            account.member_id, profession=profession.value, specialty=specialty, status=account.status.value
        )
        return Villager(self, account, {"authorization": f"Bearer {token}"})

    async def told(self, member_id: str) -> list[MemberChanged]:
        """What other services hear of a member, in order."""
        wanted = {"key": member_id, "topic": MemberChanged.topic}
        rows = self.mongo.db["outbox"].find(wanted, sort=[("sequence", 1)])
        return [MemberChanged.parse(row["value"]) async for row in rows]

    async def told_of_blocks(self, member_id: str) -> list[BlocksChanged]:
        """The events that wait in the outbox, in order."""
        wanted = {"key": member_id, "topic": BlocksChanged.topic}
        rows = self.mongo.db["outbox"].find(wanted, sort=[("sequence", 1)])
        return [BlocksChanged.parse(row["value"]) async for row in rows if row["value"] is not None]


@dataclass
class Villager:
    """A member who calls routes."""

    village: Village
    account: Account
    headers: dict[str, str]

    @property
    def id(self) -> str:
        return self.account.member_id

    async def call(self, method: str, path: str, json: Json | None = None, **params: Any) -> httpx.Response:
        return await self.village.http.request(method, path, json=json, params=params, headers=self.headers)

    async def get(self, path: str, **params: Any) -> Json:
        """A GET that succeeds."""
        answer = await self.call("GET", path, **params)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def do(self, method: str, path: str, json: Json | None = None) -> None:
        """A change that succeeds."""
        answer = await self.call(method, path, json)
        assert answer.is_success, answer.text

    async def writes(self, **profile: Any) -> Json:
        """A profile that every member sees, unless `visibility` is given."""
        shown = {"visibility": dict.fromkeys(["specialties", "skills", "languages", "place", "faculty"], "members")}
        answer = await self.call("PUT", "/me/profile", shown | profile)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def finds(self, **query: Any) -> list[str]:
        """The ids of whom a search finds."""
        return [card["member_id"] for card in (await self.get("/directory", **query))["items"]]

    async def suspended(self) -> None:
        await self.village.accounts.change(self.id, lambda account: account.suspend("test"))


def town() -> str:
    """A town of one's own, so that a search finds nobody of another test."""
    return "Bourg " + "".join(chr(ord("a") + int(digit, 16)) for digit in uuid.uuid4().hex[:14])


async def befriend(one: Villager, other: Villager) -> None:
    await one.do("PUT", f"/me/contacts/{other.id}")
    await other.do("PUT", f"/me/contacts/{one.id}")


def slug(answer: httpx.Response) -> str:
    """The kind of problem that an answer tells of."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return str(answer.json()["type"]).rsplit(":", 1)[-1]


@asynccontextmanager
async def open_village(platform: Platform, database: str | None = None) -> AsyncIterator[Village]:
    """The routes over `platform`'s MongoDB, in identity's own database."""
    env = platform.service_env("identity")
    mongo = Mongo(env["IDENTITY_MONGO_URI"], database or env["IDENTITY_MONGO_DATABASE"])
    accounts, contacts, directory = Accounts(mongo), Contacts(mongo), Directory(mongo.db)
    profiles = Profiles(mongo, accounts, directory)
    for prepare in (accounts.prepare, profiles.prepare, contacts.prepare):
        await prepare()
    tokens = TokenMaker()
    names: dict[str, tuple[str, str]] = {}

    async def civil_name_of(member_id: str) -> tuple[str, str] | None:
        return names.get(member_id)

    people = People(accounts, profiles, contacts, civil_name_of)
    clock, forgotten = [NOW], list[str]()

    async def forget_files(member_id: str) -> None:
        forgotten.append(member_id)
        await mongo.db["credential_applications"].delete_many({"member_id": member_id})

    sealed = SealedField(HeldKeys([bytes(range(32))]))  # as the verification house: they share a database
    mails = Mails(mongo, sealed)
    departures = Departures(
        mongo,
        accounts,
        profiles,
        contacts,
        mails,
        grace=timedelta(days=30),
        forget_files=forget_files,
        now=lambda: clock[0],
    )
    await departures.prepare()
    verifications = Verifications(mongo, accounts, sealed, NumberIndex(mongo.db, sealed))
    await verifications.prepare()
    guard = Guard(tokens.verifier(), accounts.state)
    app = create_app(
        Settings(),
        "identity",
        service="identity",
        routers=[
            profile_routes(people, guard),
            directory_routes(people, directory, guard),
            contact_routes(people, directory, guard),
            leaving_routes(Doorway(people, departures, verifications), guard),
        ],
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield Village(mongo, http, accounts, contacts, tokens, departures, verifications, clock, forgotten, names)
    mongo.close()
