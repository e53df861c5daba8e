"""identity's routes over stores in memory."""

import asyncio
import base64
import json
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from shared.events import MemberStatus
from tests.identity_service import GOOD, Identity


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path)


@pytest.fixture
async def client(identity: Identity) -> AsyncIterator[httpx.AsyncClient]:
    async with identity.client() as made:
        yield made


async def sign_in(client: httpx.AsyncClient, **changes: str) -> httpx.Response:
    return await client.post("/sessions", json={"email": GOOD["email"], "password": GOOD["password"], **changes})


def slug(answer: httpx.Response) -> str:
    return str(problem(answer)["type"]).rpartition(":")[2]


def problem(answer: httpx.Response) -> dict[str, Any]:
    """What a caller can tell answers apart by."""
    assert answer.headers["content-type"] == "application/problem+json"
    return {name: value for name, value in answer.json().items() if name != "request_id"}


async def test_an_account_begins_when_its_address_is_confirmed(identity: Identity, client: httpx.AsyncClient) -> None:
    asked = await client.post("/registrations", json=GOOD)
    assert (asked.status_code, asked.json()) == (202, {"status": "look-into-your-mail"})
    assert identity.accounts.kept == {}
    assert (await sign_in(client)).status_code == 401
    ((to, subject, _),) = letters = await identity.letters()
    assert (to, subject) == ("a.martin@hopital.example", "Confirmez votre adresse")
    (token,) = re.findall(r"confirm-address\?token=([\w-]+)", letters[0][2])
    answer = await client.post("/registrations/confirmation", json={"token": token, "password": GOOD["password"]})
    assert answer.status_code == 201
    member = answer.json()["member"]
    assert (member["status"], member["roles"]) == ("unverified", ["member"])
    assert (member["email"], member["country"], member["language"]) == ("a.martin@hopital.example", "FR", "fr")
    (told,) = identity.accounts.told
    assert (told.member_id, told.version, told.status) == (member["member_id"], 1, MemberStatus.UNVERIFIED)
    mine = {"authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await client.get("/me", headers=mine)).status_code == 200
    again = await client.post("/registrations/confirmation", json={"token": token, "password": GOOD["password"]})
    assert (again.status_code, slug(again)) == (410, "link-refused")


async def test_a_link_that_somebody_else_caused_opens_no_account_for_them(
    identity: Identity, client: httpx.AsyncClient
) -> None:
    await client.post("/registrations", json=GOOD)
    token = await identity.link_token()
    refused = await client.post("/registrations/confirmation", json={"token": token, "password": "not what they chose"})
    assert (refused.status_code, slug(refused)) == (401, "proof-refused")
    assert identity.accounts.kept == {}


async def test_a_link_serves_for_a_day(identity: Identity, client: httpx.AsyncClient) -> None:
    await client.post("/registrations", json=GOOD)
    token = await identity.link_token()
    identity.wait(hours=24, seconds=1)
    late = await client.post("/registrations/confirmation", json={"token": token, "password": GOOD["password"]})
    assert (late.status_code, slug(late)) == (410, "link-refused")


async def test_a_registration_does_not_tell_whether_an_address_has_an_account(
    identity: Identity, client: httpx.AsyncClient
) -> None:
    await identity.member("b@hopital.example", pseudonym="Someone", language="en")
    free = await client.post("/registrations", json=GOOD)
    taken = await client.post("/registrations", json={**GOOD, "email": "B@hopital.example"})
    both = (free, taken)
    assert [answer.status_code for answer in both] == [202, 202]
    assert free.content == taken.content
    # The same request twice: neither has taken the pseudonym yet.
    assert (await client.post("/registrations", json=GOOD)).status_code == 202
    assert (await client.post("/registrations", json={**GOOD, "email": "B@hopital.example"})).status_code == 202
    subjects = sorted((to, subject) for to, subject, _ in await identity.letters())
    assert subjects == [
        ("a.martin@hopital.example", "Confirmez votre adresse"),
        ("a.martin@hopital.example", "Confirmez votre adresse"),
        ("b@hopital.example", "You already have an account"),
        ("b@hopital.example", "You already have an account"),
    ]


@pytest.mark.parametrize(
    ("header", "wanted", "subject"),
    [
        ("en", None, "Confirm your address"),
        ("fr", "en", "Confirm your address"),
        ("en", "fr", "Confirmez votre adresse"),
        ("", None, "Confirmez votre adresse"),
    ],
)
async def test_a_member_chooses_the_language_of_letters(
    identity: Identity, client: httpx.AsyncClient, header: str, wanted: str | None, subject: str
) -> None:
    await client.post("/registrations", json={**GOOD, "language": wanted}, headers={"accept-language": header})
    assert [letter[1] for letter in await identity.letters()] == [subject]


async def test_a_stranger_causes_few_letters_to_one_address_and_learns_nothing_of_it(
    identity: Identity, client: httpx.AsyncClient
) -> None:
    answers = [await client.post("/registrations", json=GOOD) for _ in range(6)]
    answers += [await client.post("/password-resets", json={"email": GOOD["email"]}) for _ in range(6)]
    assert {answer.status_code for answer in answers} == {202}
    assert len(await identity.letters()) == 4
    identity.wait(minutes=15, seconds=1)
    await client.post("/registrations", json=GOOD)
    assert len(await identity.letters()) == 1, "nobody keeps another's letter away for longer than this"


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


async def test_a_pseudonym_is_unique_and_public(identity: Identity, client: httpx.AsyncClient) -> None:
    await identity.member("b@hopital.example", pseudonym="dr ambroise")
    answer = await client.post("/registrations", json=GOOD)
    assert (answer.status_code, slug(answer)) == (409, "already-taken")


async def test_of_two_who_want_one_pseudonym_the_first_to_confirm_gets_it(
    identity: Identity, client: httpx.AsyncClient
) -> None:
    tokens = []
    for email in (GOOD["email"], "b@hopital.example"):
        await client.post("/registrations", json={**GOOD, "email": email})
        tokens.append(await identity.link_token())
    given = [{"token": token, "password": GOOD["password"]} for token in tokens]
    assert (await client.post("/registrations/confirmation", json=given[1])).status_code == 201
    late = await client.post("/registrations/confirmation", json=given[0])
    assert (late.status_code, slug(late)) == (409, "already-taken")


async def test_two_links_of_one_person_make_one_account(identity: Identity, client: httpx.AsyncClient) -> None:
    tokens = []
    for pseudonym in ("Dr Ambroise", "Dr Basile"):
        await client.post("/registrations", json={**GOOD, "pseudonym": pseudonym})
        tokens.append(await identity.link_token())
    given = [{"token": token, "password": GOOD["password"]} for token in tokens]
    assert (await client.post("/registrations/confirmation", json=given[0])).status_code == 201
    assert (await client.post("/registrations/confirmation", json=given[1])).status_code == 410
    assert len(identity.accounts.kept) == 1


async def test_signing_in_gives_a_short_token_that_every_service_can_check(
    identity: Identity, client: httpx.AsyncClient
) -> None:
    member_id = (await identity.member()).member_id
    answer = await sign_in(client, email=" a.martin@HOPITAL.example")
    assert answer.status_code == 200
    session = answer.json()
    assert session["token_type"] == "Bearer"
    assert session["expires_in"] <= 600
    assert session["member"]["member_id"] == member_id
    principal = await identity.verifier.verify(session["access_token"])
    assert principal.member_id == member_id
    assert principal.status is MemberStatus.UNVERIFIED
    head, claims, _ = (json.loads(base64.urlsafe_b64decode(part + "==") if part[0] == "e" else b"{}")
                       for part in session["access_token"].split("."))  # fmt: skip
    assert head == {"alg": "EdDSA", "typ": "at+jwt", "kid": identity.keys.current().key_id}
    assert claims["exp"] - claims["iat"] <= 600


async def test_a_wrong_password_and_an_unknown_account_are_answered_alike(
    identity: Identity, client: httpx.AsyncClient
) -> None:
    await identity.member()
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
    await identity.member()
    for email in (GOOD["email"], "nobody@hopital.example"):
        statuses = [(await sign_in(client, email=email, password=f"guess number {n}")).status_code for n in range(8)]
        assert statuses == [401] * 6 + [429] * 2
    slowed = await sign_in(client)
    assert slowed.status_code == 429
    assert int(slowed.headers["retry-after"]) == problem(slowed)["retry_after_s"] == 2
    identity.wait(seconds=3)
    assert (await sign_in(client)).status_code == 200
    assert [(await sign_in(client, password="wrong again!")).status_code for _ in range(6)] == [401] * 6


async def test_my_account_is_as_it_is_now_whatever_the_token_says(
    identity: Identity, client: httpx.AsyncClient
) -> None:
    member_id = (await identity.member()).member_id
    mine = {"authorization": f"Bearer {(await sign_in(client)).json()['access_token']}"}
    assert (await client.get("/me", headers=mine)).json()["status"] == "unverified"
    await identity.accounts.change(member_id, lambda account: account.verify(identity.clock, "rpps"))
    assert (await client.get("/me", headers=mine)).json()["status"] == "verified"
    await identity.accounts.change(member_id, lambda account: account.suspend("left"))
    assert (await client.get("/me", headers=mine)).status_code == 401, "suspended: signed out everywhere"
    mine = {"authorization": f"Bearer {(await sign_in(client)).json()['access_token']}"}
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
    member_id = (await identity.member()).member_id
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
    identity: Identity, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await client.post("/registrations", json=GOOD)
    await client.post("/registrations", json={**GOOD, "email": "no"})
    token = await identity.link_token()
    await client.post("/registrations/confirmation", json={"token": token, "password": GOOD["password"]})
    session = (await sign_in(client)).json()
    await client.post("/sessions/refresh", json={"refresh_token": session["refresh_token"]})
    await sign_in(client, password="a wrong password")
    kept = json.dumps([record.__dict__ for record in caplog.records], default=str).lower()
    assert "signed in" in kept
    for secret in ("correct horse", "a wrong password", "martin", token, session["refresh_token"]):
        assert secret.lower() not in kept
