"""Another password: by the one that is known, or by a link; and that brakes shut out nobody but guessers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.authenticator import Authenticator
from tests.factors import add_passkey, passkey_sign_in
from tests.identity_service import PASSWORD, Identity, Someone, problem

ANOTHER = "a staple for the battery"


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path)


@pytest.fixture
async def someone(identity: Identity) -> AsyncIterator[Someone]:
    await identity.member()
    async with identity.client() as client:
        yield await Someone(identity, client).sign_in()


async def reset(client: httpx.AsyncClient, token: str, password: str = ANOTHER) -> httpx.Response:
    return await client.post("/password-resets/confirmation", json={"token": token, "password": password})


async def test_a_link_sets_another_password_and_ends_every_session(identity: Identity, someone: Someone) -> None:
    asked = await someone.client.post("/password-resets", json={"email": "A.MARTIN@hopital.example"})
    assert asked.status_code == 202
    token = await identity.link_token()
    weak = await reset(someone.client, token, "short")
    assert (weak.status_code, problem(weak)) == (422, "password-too-weak")
    assert (await reset(someone.client, token)).status_code == 204
    assert (await someone.refresh()).status_code == 401
    assert (await someone.password()).status_code == 401
    assert (await someone.password(password=ANOTHER)).status_code == 200
    again = await reset(someone.client, token)
    assert (again.status_code, problem(again)) == (410, "link-refused")
    assert [subject for _, subject, _ in await identity.letters()] == ["Votre mot de passe a changé"]


@pytest.mark.parametrize("second", [False, True])
async def test_a_sign_in_that_is_under_way_does_not_outlive_the_old_password(
    identity: Identity, someone: Someone, monkeypatch: pytest.MonkeyPatch, second: bool
) -> None:
    member_id, check = someone.tokens["member"]["member_id"], identity.passwords.check
    if second:
        await someone.add_app()
        identity.wait(seconds=30)

    async def overtaken(password: str, known: str | None) -> bool:
        right = await check(password, known)
        await identity.accounts.set_password(member_id, await identity.passwords.hash(ANOTHER), but_session=None)
        return right

    monkeypatch.setattr(identity.passwords, "check", overtaken)
    answer = await someone.password()
    if second:
        given = {"ticket": answer.json()["ticket"], "code": someone.code()}
        answer = await someone.client.post("/sessions/second-factor", json=given)
    assert answer.status_code == 401
    assert identity.sessions.kept == {}


async def test_of_two_who_use_one_link_at_the_same_moment_one_sets_the_password(
    identity: Identity, someone: Someone
) -> None:
    await someone.client.post("/password-resets", json={"email": someone.email})
    token = await identity.link_token()
    answers = await asyncio.gather(*(reset(someone.client, token, f"{ANOTHER} {n}") for n in range(3)))
    assert sorted(answer.status_code for answer in answers) == [204, 410, 410]


async def test_a_link_serves_for_half_an_hour_and_older_ones_go_with_the_one_used(
    identity: Identity, someone: Someone
) -> None:
    tokens = []
    for _ in range(2):
        await someone.client.post("/password-resets", json={"email": someone.email})
        tokens.append(await identity.link_token())
    assert (await reset(someone.client, tokens[1])).status_code == 204
    assert (await reset(someone.client, tokens[0])).status_code == 410
    await identity.letters()
    identity.wait(minutes=20)
    await someone.client.post("/password-resets", json={"email": someone.email})
    token = await identity.link_token()
    identity.wait(minutes=30, seconds=1)
    assert (await reset(someone.client, token)).status_code == 410


async def test_who_registers_with_a_strangers_address_keeps_no_reset_away_from_them(
    identity: Identity, someone: Someone
) -> None:
    asked = {"email": someone.email, "password": ANOTHER, "pseudonym": "Somebody Else", "profession": "nurse"}
    async with identity.client("198.51.100.1") as stranger:
        for _ in range(6):
            assert (await stranger.post("/registrations", json=asked)).status_code == 202
    assert len(await identity.letters()) < 6
    await someone.client.post("/password-resets", json={"email": someone.email})
    assert (await reset(someone.client, await identity.link_token())).status_code == 204


async def test_an_address_without_account_gets_no_letter_and_the_same_answer(
    identity: Identity, someone: Someone
) -> None:
    known = await someone.client.post("/password-resets", json={"email": someone.email})
    unknown = await someone.client.post("/password-resets", json={"email": "nobody@hopital.example"})
    assert known.content == unknown.content
    assert known.status_code == unknown.status_code == 202
    assert len(identity.mails.waiting) == 2, "the request itself does the same work for both"
    assert [to for to, _, _ in await identity.letters()] == [someone.email]


async def test_a_reset_does_not_get_around_the_second_factor(identity: Identity, someone: Someone) -> None:
    await someone.add_app()
    await identity.letters()
    await someone.client.post("/password-resets", json={"email": someone.email})
    assert (await reset(someone.client, await identity.link_token())).status_code == 204
    assert (await someone.password(password=ANOTHER)).status_code == 202


async def test_a_link_for_one_thing_is_none_for_another(identity: Identity, someone: Someone) -> None:
    await someone.client.post("/password-resets", json={"email": someone.email})
    token = await identity.link_token()
    given = {"token": token, "password": PASSWORD}
    assert (await someone.client.post("/registrations/confirmation", json=given)).status_code == 410
    assert (await reset(someone.client, someone.tokens["device_token"])).status_code == 410


async def test_who_knows_the_password_changes_it_and_ends_the_other_sessions(
    identity: Identity, someone: Someone
) -> None:
    async with identity.client() as client:
        other = await Someone(identity, client).sign_in()
        wrong = await someone.call("PUT", "/me/password", {"current": "not the right one", "password": ANOTHER})
        assert (wrong.status_code, problem(wrong)) == (401, "proof-refused")
        weak = await someone.call("PUT", "/me/password", {"current": PASSWORD, "password": "consilium1234"})
        assert (weak.status_code, weak.json()["code"]) == (422, "personal")
        done = await someone.call("PUT", "/me/password", {"current": PASSWORD, "password": ANOTHER})
        assert done.status_code == 204
        assert (await someone.refresh()).status_code == 200
        assert (await other.refresh()).status_code == 401
    assert (await someone.password()).status_code == 401
    assert [subject for _, subject, _ in await identity.letters()] == ["Votre mot de passe a changé"]


async def hammer(identity: Identity, address: str, tries: int) -> set[int]:
    async with identity.client(address) as guesser:
        bad = Someone(identity, guesser)
        return {(await bad.password(password=f"guess number {number}")).status_code for number in range(tries)}


async def test_guessers_everywhere_do_not_shut_an_owner_out_of_a_device_that_is_known(
    identity: Identity, someone: Someone, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = someone.tokens["device_token"]
    monkeypatch.setattr(identity.passwords, "_check", lambda password, known: password == PASSWORD)
    for number in range(20):
        await hammer(identity, f"198.51.100.{number}", 6)
    assert 429 in await hammer(identity, "192.0.2.7", 120), "even from the owner's own network"
    assert (await someone.password()).status_code == 429
    known = await someone.password(device_token=device)
    assert known.status_code == 200
    assert known.json()["device_token"] is None, "it has one"
    cookie = {"cookie": f"consilium_device={device}"}
    asked = {"email": someone.email, "password": PASSWORD}
    assert (await someone.client.post("/sessions", json=asked, headers=cookie)).status_code == 200


async def test_from_a_new_place_an_owner_waits_half_a_minute_at_most(
    identity: Identity, someone: Someone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity.passwords, "_check", lambda password, known: password == PASSWORD)
    for number in range(60):
        await hammer(identity, f"198.51.100.{number}", 1)
        identity.wait(seconds=31)
    assert await hammer(identity, "198.51.100.60", 1) == {401}, "the sixty-first try is let through, and braked"
    async with identity.client("203.0.113.5") as hotel:
        away = await Someone(identity, hotel).password()
        assert away.status_code == 429
        assert int(away.headers["retry-after"]) == 30


@pytest.mark.parametrize("page", [False, True])
async def test_who_comes_by_a_link_is_not_kept_out_by_guessers_everywhere(
    identity: Identity, someone: Someone, monkeypatch: pytest.MonkeyPatch, page: bool
) -> None:
    monkeypatch.setattr(identity.passwords, "_check", lambda password, known: password == ANOTHER)
    for number in range(61):
        await hammer(identity, f"198.51.100.{number}", 1)
        identity.wait(seconds=31 if number < 60 else 0)
    async with identity.client("203.0.113.5") as hotel:
        away = Someone(identity, hotel)
        assert (await away.password(password=ANOTHER)).status_code == 429
        await hotel.post("/password-resets", json={"email": away.email})
        given = {"token": await identity.link_token(), "password": ANOTHER}
        done = (
            await hotel.post("/reset-password", data=given)
            if page
            else await hotel.post("/password-resets/confirmation", json=given)
        )
        cookie = {"cookie": done.headers["set-cookie"].partition(";")[0]}
        asked = {"email": away.email, "password": ANOTHER}
        assert (await hotel.post("/sessions", json=asked)).status_code == 429
        assert (await hotel.post("/sessions", json=asked, headers=cookie)).status_code == 200


async def test_a_known_device_is_no_free_pass(identity: Identity, someone: Someone) -> None:
    device = someone.tokens["device_token"]
    statuses = [
        (await someone.password(password=f"guess number {number}", device_token=device)).status_code
        for number in range(8)
    ]
    assert statuses == [401] * 6 + [429] * 2


async def test_devices_known_for_ones_own_account_are_strangers_to_another(
    identity: Identity, someone: Someone
) -> None:
    await identity.member("b@hopital.example")
    devices = [(await someone.password()).json()["device_token"] for _ in range(4)]
    victim = Someone(identity, someone.client, "b@hopital.example")
    guesses = [
        (await victim.password(password="wrong one!", device_token=device)).status_code
        for device in devices
        for _ in range(2)
    ]
    assert guesses == [401] * 6 + [429] * 2


async def test_a_passkey_meets_no_brake_on_passwords(
    identity: Identity, someone: Someone, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Authenticator()
    await add_passkey(someone, device)
    monkeypatch.setattr(identity.passwords, "_check", lambda password, known: password == PASSWORD)
    assert 429 in await hammer(identity, "192.0.2.7", 120)
    assert (await passkey_sign_in(identity, device)).status_code == 200


async def test_guessing_at_the_second_factor_gets_slow_and_its_owner_hears_of_it_once_a_day(
    identity: Identity, someone: Someone, monkeypatch: pytest.MonkeyPatch
) -> None:
    await someone.add_app()
    await identity.letters()
    async with identity.client("198.51.100.1") as client:
        thief = Someone(identity, client)
        ticket = (await thief.password()).json()["ticket"]
        given = {"ticket": ticket, "code": "000000"}
        statuses = [(await client.post("/sessions/second-factor", json=given)).status_code for _ in range(9)]
    assert statuses == [401] * 6 + [429] * 3
    assert [subject for _, subject, _ in await identity.letters()] == ["Connexions refusées à votre compte"]
    identity.wait(seconds=60)
    owner = await someone.sign_in()
    assert owner.tokens["member"]["email"] == someone.email


@pytest.mark.parametrize(
    ("path", "given", "free"),
    [
        ("/sessions/refresh", {"refresh_token": "x" * 43}, 200),
        ("/password-resets/confirmation", {"token": "x" * 43, "password": ANOTHER}, 50),
        ("/registrations/confirmation", {"token": "x" * 43, "password": ANOTHER}, 50),
        ("/password-resets", {"email": "nobody@hopital.example"}, 20),
    ],
)
async def test_one_place_gets_slow_and_others_do_not_feel_it(
    identity: Identity, someone: Someone, path: str, given: dict[str, str], free: int
) -> None:
    async with identity.client("198.51.100.1") as bad:
        statuses = [(await bad.post(path, json=given)).status_code for _ in range(free + 2)]
    assert statuses[-1] == 429
    assert 429 not in statuses[:free]
    assert (await someone.client.post(path, json=given)).status_code != 429
    assert (await someone.refresh()).status_code == 200
