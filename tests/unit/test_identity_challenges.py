"""Challenges for passkeys: how fast they are given, and that nobody uses up another one's turns."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.authenticator import Authenticator
from tests.identity_service import Identity, Someone, problem

OPTIONS = "/sessions/passkey/options"
GUESSED = {"ticket": "guessed", "credential": {}}


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path)


@pytest.fixture
async def someone(identity: Identity) -> AsyncIterator[Someone]:
    await identity.member()
    async with identity.client() as client:
        yield await Someone(identity, client).sign_in()


async def with_passkey(someone: Someone) -> Authenticator:
    """Add a passkey; the session goes on."""
    device = Authenticator()
    asked = (await someone.call("POST", "/me/factors/passkeys/options")).json()
    given = {"ticket": asked["ticket"], "credential": device.create(asked["options"]), "name": "key"}
    added = await someone.call("POST", "/me/factors/passkeys", given)
    assert added.status_code == 201, added.text
    someone.tokens |= added.json()["session"]
    return device


async def until_slowed(client: httpx.AsyncClient, path: str, json: object = None, **more: dict[str, str]) -> int:
    """Ask until it is too often; how often that was."""
    for number in range(200):
        answer = await client.post(path, json=json, **more)  # type: ignore[arg-type]
        if answer.status_code == 429:
            assert problem(answer) == "too-many-tries"
            assert int(answer.headers["retry-after"]) <= 60
            return number
    raise AssertionError(f"{path} is never slowed")


async def test_challenges_to_sign_in_get_slow_for_the_place_that_asks_too_often(
    identity: Identity, someone: Someone
) -> None:
    assert await until_slowed(someone.client, OPTIONS) == 101
    async with identity.client("198.51.100.7") as elsewhere:
        assert (await elsewhere.post(OPTIONS)).status_code == 200
    identity.wait(seconds=61)
    assert (await someone.client.post(OPTIONS)).status_code == 200


async def test_a_device_that_was_signed_in_from_gets_challenges_whoever_floods_its_network(
    identity: Identity, someone: Someone
) -> None:
    token = someone.tokens["device_token"]
    device = await with_passkey(someone)
    before = (await someone.client.post(OPTIONS)).json()
    async with identity.client() as flood:
        await until_slowed(flood, OPTIONS)
        forged = await flood.post(OPTIONS, json={"device_token": "forged"})
        assert forged.status_code == 429
    known = await someone.client.post(OPTIONS, json={"device_token": token})
    assert known.status_code == 200
    by_cookie = await someone.client.post(OPTIONS, headers={"cookie": f"consilium_device={token}"})
    assert by_cookie.status_code == 200
    # And an answer to a challenge that was given meets no brake, from whatever device.
    given = {"ticket": before["ticket"], "credential": device.get(before["options"])}
    assert (await someone.client.post("/sessions/passkey", json=given)).status_code == 200


async def test_a_device_that_is_known_gets_no_second_token_for_it(someone: Someone) -> None:
    token = someone.tokens["device_token"]
    device = await with_passkey(someone)
    for shown, another in ((None, True), (token, False)):
        asked = (await someone.client.post(OPTIONS)).json()
        given = {"ticket": asked["ticket"], "credential": device.get(asked["options"]), "device_token": shown}
        done = await someone.client.post("/sessions/passkey", json=given)
        assert done.status_code == 200, done.text
        assert (done.json()["device_token"] is not None) is another


async def test_tickets_that_are_none_get_slow_and_stand_in_nobodys_way(identity: Identity, someone: Someone) -> None:
    device = await with_passkey(someone)
    ticket = {"ticket": (await someone.password()).json()["ticket"]}
    challenge = (await someone.client.post(OPTIONS)).json()
    async with identity.client() as flood:
        slowed = [
            await flood.post(path, json=given)
            for _ in range(20)
            for path, given in (
                ("/sessions/second-factor/passkey-options", {"ticket": "guessed"}),
                ("/sessions/second-factor", {"ticket": "guessed", "code": "123456"}),
                ("/sessions/passkey", GUESSED),
            )
        ]
    assert [answer.status_code for answer in slowed[:51]] == [401] * 51
    assert {answer.status_code for answer in slowed[51:]} == {429}
    asked = await someone.client.post("/sessions/second-factor/passkey-options", json=ticket)
    assert asked.status_code == 200, "the owner, in the same network"
    passkey = {"ticket": asked.json()["ticket"], "credential": device.get(asked.json()["options"])}
    assert (
        await someone.client.post("/sessions/second-factor", json={**ticket, "passkey": passkey})
    ).status_code == 200
    given = {"ticket": challenge["ticket"], "credential": device.get(challenge["options"])}
    assert (await someone.client.post("/sessions/passkey", json=given)).status_code == 200


async def test_a_second_step_has_a_brake_of_its_own(someone: Someone) -> None:
    await with_passkey(someone)
    path = "/sessions/second-factor/passkey-options"
    tickets = [{"ticket": (await someone.password()).json()["ticket"]} for _ in range(2)]
    assert await until_slowed(someone.client, path, tickets[0]) == 21
    assert (await someone.client.post(path, json=tickets[1])).status_code == 200


@pytest.mark.parametrize("path", ["/me/factors/passkeys/options", "/sessions/current/proof/passkey-options"])
async def test_a_session_uses_up_no_turn_of_another_one(identity: Identity, someone: Someone, path: str) -> None:
    async with identity.client() as client:
        thief = await Someone(identity, client).sign_in()
        assert await until_slowed(client, path, headers=thief.headers) == 21
    assert (await someone.call("POST", path)).status_code == 200
