"""identity's routes over stores in memory."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from services.identity.routes.membership import Desk, make_router
from services.identity.settings import Settings
from services.identity.store.keys import SigningKey
from services.identity.store.passwords import Passwords
from shared.auth import Guard, TokenVerifier
from shared.events import MemberStatus
from shared.web import create_app
from tests.memory_accounts import MemoryAccounts, MemoryAttempts

GOOD = {
    "email": "A.Martin@hopital.example",
    "password": "correct horse battery",
    "pseudonym": "Dr Ambroise",
    "profession": "physician",
    "specialty": "cardiology",
    "country": "fr",
}


class Identity:
    """The service's routes with everything that they work with at hand."""

    def __init__(self, folder: Path) -> None:
        self.clock = datetime(2026, 3, 1, tzinfo=UTC)
        self.settings = Settings()
        self.accounts = MemoryAccounts()
        self.attempts = MemoryAttempts(now=lambda: self.clock)
        self.passwords = Passwords(at_once=2, waiting=32)
        self.key = SigningKey.load_or_create(folder / "key.pem")
        desk = Desk(self.settings, self.accounts, self.attempts, self.passwords, self.key)

        async def keys() -> dict[str, Any]:
            return self.key.published()

        self.verifier = TokenVerifier("", self.settings.token_issuer, self.settings.token_audience, fetch=keys)
        router = make_router(desk, Guard(self.verifier))
        self.app = create_app(self.settings, "identity", service="identity", routers=[router])


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path)


@pytest.fixture
async def client(identity: Identity) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(identity.app), base_url="http://test") as made:
        yield made


async def sign_in(client: httpx.AsyncClient, **changes: str) -> httpx.Response:
    return await client.post("/sessions", json={"email": GOOD["email"], "password": GOOD["password"], **changes})


def problem(answer: httpx.Response) -> dict[str, Any]:
    """What a caller can tell answers apart by."""
    assert answer.headers["content-type"] == "application/problem+json"
    return {name: value for name, value in answer.json().items() if name != "request_id"}


async def test_registration_makes_an_unverified_member_and_tells_of_it(
    identity: Identity, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/registrations", json=GOOD)
    assert answer.status_code == 201
    member = answer.json()
    assert member["status"] == "unverified"
    assert member["roles"] == ["member"]
    assert member["email"] == "a.martin@hopital.example"
    assert member["country"] == "FR"
    assert "password" not in answer.text
    (told,) = identity.accounts.told
    assert (told.member_id, told.version, told.status) == (member["member_id"], 1, MemberStatus.UNVERIFIED)


async def test_nobody_registers_with_a_role_or_a_status(client: httpx.AsyncClient) -> None:
    for field in ({"roles": ["moderator"]}, {"status": "verified"}, {"verified": True}):
        answer = await client.post("/registrations", json={**GOOD, **field})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["code"] == "extra_forbidden"


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"email": "nobody"}, "#/email", "email_malformed"),
        ({"pseudonym": "<script>"}, "#/pseudonym", "pseudonym_malformed"),
        ({"password": "short"}, "#/password", "password_too_weak"),
        ({"profession": "wizard"}, "#/profession", "enum"),
        ({"specialty": "alchemy"}, "#/specialty", "enum"),
        ({"country": "France"}, "#/country", "string_pattern_mismatch"),
        ({"email": {"$ne": None}}, "#/email", "string_type"),
    ],
)
@pytest.mark.parametrize("language", ["en", "fr"])
async def test_a_wrong_registration_points_at_the_field(
    client: httpx.AsyncClient, changes: dict[str, Any], pointer: str, code: str, language: str
) -> None:
    answer = await client.post("/registrations", json={**GOOD, **changes}, headers={"accept-language": language})
    assert answer.status_code == 422
    (error,) = problem(answer)["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)
    assert answer.headers["content-language"] == language


@pytest.mark.parametrize(
    "changes", [{"pseudonym": "Another"}, {"email": "b@hopital.example", "pseudonym": "dr ambroise"}]
)
async def test_address_and_pseudonym_are_unique(client: httpx.AsyncClient, changes: dict[str, str]) -> None:
    await client.post("/registrations", json=GOOD)
    answer = await client.post("/registrations", json={**GOOD, "email": "a.MARTIN@hopital.example", **changes})
    assert answer.status_code == 409
    assert problem(answer)["type"].endswith(":already-taken")


async def test_signing_in_gives_a_short_token_that_every_service_can_check(
    identity: Identity, client: httpx.AsyncClient
) -> None:
    member = (await client.post("/registrations", json=GOOD)).json()
    answer = await sign_in(client, email=" a.martin@HOPITAL.example")
    assert answer.status_code == 200
    session = answer.json()
    assert session["token_type"] == "Bearer"
    assert session["expires_in"] <= 600
    assert session["member"]["member_id"] == member["member_id"]
    principal = await identity.verifier.verify(session["access_token"])
    assert principal.member_id == member["member_id"]
    assert principal.status is MemberStatus.UNVERIFIED
    head, claims, _ = (json.loads(base64.urlsafe_b64decode(part + "==") if part[0] == "e" else b"{}")
                       for part in session["access_token"].split("."))  # fmt: skip
    assert head == {"alg": "EdDSA", "typ": "at+jwt", "kid": identity.key.key_id}
    assert claims["exp"] - claims["iat"] <= 600


async def test_a_wrong_password_and_an_unknown_account_are_answered_alike(client: httpx.AsyncClient) -> None:
    await client.post("/registrations", json=GOOD)
    wrong = await sign_in(client, password="not the right one")
    unknown = await sign_in(client, email="nobody@hopital.example")
    malformed = await sign_in(client, email="nobody")
    assert wrong.status_code == unknown.status_code == malformed.status_code == 401
    assert problem(wrong) == problem(unknown) == problem(malformed)
    telling = {"content-length", "x-request-id"}
    assert {k: v for k, v in wrong.headers.items() if k not in telling} == {
        k: v for k, v in unknown.headers.items() if k not in telling
    }


async def test_an_unknown_account_costs_the_same_work(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    real = identity.passwords._check

    def counting(password: str, known: str) -> bool:
        checked.append(known)
        return real(password, known)

    monkeypatch.setattr(identity.passwords, "_check", counting)
    assert not await identity.passwords.check("whatever it is", None)
    (decoy,) = checked
    assert decoy.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_guessing_gets_slow_for_known_and_unknown_accounts_alike(
    identity: Identity, client: httpx.AsyncClient
) -> None:
    await client.post("/registrations", json=GOOD)
    for email in (GOOD["email"], "nobody@hopital.example"):
        statuses = [(await sign_in(client, email=email, password=f"guess number {n}")).status_code for n in range(8)]
        assert statuses == [401] * 6 + [429] * 2
    slowed = await sign_in(client)
    assert slowed.status_code == 429
    assert int(slowed.headers["retry-after"]) == problem(slowed)["retry_after_s"] == 2
    identity.clock += timedelta(seconds=3)
    assert (await sign_in(client)).status_code == 200
    assert [(await sign_in(client, password="wrong again!")).status_code for _ in range(6)] == [401] * 6


async def test_my_account_is_as_it_is_now_whatever_the_token_says(
    identity: Identity, client: httpx.AsyncClient
) -> None:
    member_id = (await client.post("/registrations", json=GOOD)).json()["member_id"]
    mine = {"authorization": f"Bearer {(await sign_in(client)).json()['access_token']}"}
    assert (await client.get("/me", headers=mine)).json()["status"] == "unverified"
    await identity.accounts.change(member_id, lambda account: account.verify(identity.clock, "rpps"))
    assert (await client.get("/me", headers=mine)).json()["status"] == "verified"
    await identity.accounts.change(member_id, lambda account: account.suspend("left"))
    found = (await client.get("/me", headers=mine)).json()
    assert (found["status"], found["version"]) == ("suspended", 3)
    assert "left" not in str(found)
    del identity.accounts.kept[member_id]
    assert (await client.get("/me", headers=mine)).status_code == 401


async def test_without_a_token_there_is_no_me(client: httpx.AsyncClient) -> None:
    answer = await client.get("/me")
    assert answer.status_code == 401
    assert problem(answer)["type"].endswith(":sign-in-needed")


async def test_the_published_keys_hold_nothing_private(client: httpx.AsyncClient) -> None:
    answer = await client.get("/.well-known/jwks.json")
    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}
    assert "max-age" in answer.headers["cache-control"]


async def test_an_older_hash_is_replaced_by_a_stronger_one_at_sign_in(
    identity: Identity, client: httpx.AsyncClient
) -> None:
    member_id = (await client.post("/registrations", json=GOOD)).json()["member_id"]
    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(GOOD["password"])
    await identity.accounts.replace_hash(member_id, identity.accounts.kept[member_id].password_hash, weak)
    assert (await sign_in(client)).status_code == 200
    assert "m=19456,t=2,p=1" in identity.accounts.kept[member_id].password_hash
    assert (await sign_in(client)).status_code == 200
    assert len(identity.accounts.told) == 1


async def test_too_many_sign_ins_at_once_are_asked_to_come_back(
    identity: Identity, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity.passwords, "_most_waiting", 2)
    answers = await asyncio.gather(*(sign_in(client, email=f"user{n}@hopital.example") for n in range(6)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 401
    assert statuses[-1] == 503
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 503)


async def test_no_log_line_holds_a_password_or_an_address(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await client.post("/registrations", json=GOOD)
    await client.post("/registrations", json={**GOOD, "email": "no"})
    await sign_in(client)
    await sign_in(client, password="a wrong password")
    kept = json.dumps([record.__dict__ for record in caplog.records], default=str).lower()
    assert "signed in" in kept
    for secret in ("correct horse", "a wrong password", "martin"):
        assert secret not in kept
