"""Sessions over the API: refresh tokens that rotate, what a copy of one leads to, where one is signed in."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.exceptions import InvalidTag

from services.identity.domain.sessions import coarse_network, device_of, hand_over, handed_over
from shared.events import Role
from tests.identity_service import Identity, Someone, problem

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path)


@pytest.fixture
async def someone(identity: Identity) -> AsyncIterator[Someone]:
    await identity.member()
    async with identity.client(user_agent=FIREFOX) as client:
        yield await Someone(identity, client).sign_in()


async def test_a_refresh_token_gives_the_next_one_and_an_access_token_of_the_same_session(
    identity: Identity, someone: Someone
) -> None:
    before = dict(someone.tokens)
    identity.wait(minutes=11)
    assert (await someone.call("GET", "/me")).status_code == 401
    assert (await someone.refresh()).status_code == 200
    assert (await someone.call("GET", "/me")).status_code == 200
    assert someone.tokens["refresh_token"] != before["refresh_token"]
    assert len(someone.tokens["refresh_token"]) == 43
    claims = jwt.decode(someone.tokens["access_token"], options={"verify_signature": False})
    assert (claims["sid"], claims["amr"]) == (before["session_id"], ["pwd"])
    assert claims["exp"] - claims["iat"] == 600


async def test_a_refreshed_token_tells_the_member_as_they_are_now(identity: Identity, someone: Someone) -> None:
    member_id = someone.tokens["member"]["member_id"]
    await identity.accounts.change(member_id, lambda account: account.verify(identity.clock, "rpps"))
    await someone.refresh()
    assert (await identity.verifier.verify(someone.tokens["access_token"])).status == "verified"


async def test_a_spent_token_that_comes_back_ends_the_session_for_thief_and_owner(
    identity: Identity, someone: Someone
) -> None:
    stolen = someone.tokens["refresh_token"]
    await someone.refresh()
    await someone.refresh()
    theft = await someone.refresh(stolen)
    assert (theft.status_code, problem(theft)) == (401, "session-ended")
    assert (await someone.refresh()).status_code == 401
    assert (await someone.call("GET", "/me")).status_code == 401, "here at once"
    assert [subject for _, subject, _ in await identity.letters()] == ["Une de vos sessions a été fermée"]


async def test_the_same_request_once_more_gets_the_same_answer_for_ten_seconds(
    identity: Identity, someone: Someone
) -> None:
    token = someone.tokens["refresh_token"]
    answers = await asyncio.gather(*(someone.refresh(token) for _ in range(5)))
    identity.wait(seconds=10)
    answers.append(await someone.refresh(token))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    identity.wait(seconds=1)
    assert (await someone.refresh(token)).status_code == 401


async def test_within_the_ten_seconds_a_copy_is_found_out_once_its_successor_was_used(
    identity: Identity, someone: Someone
) -> None:
    stolen = someone.tokens["refresh_token"]
    thief = (await someone.refresh(stolen)).json()["refresh_token"]
    owner = (await someone.refresh(stolen)).json()["refresh_token"]
    assert owner == thief, "a repetition never makes a second line of tokens"
    assert (await someone.refresh(owner)).status_code == 200
    assert (await someone.refresh(stolen)).status_code == 401
    assert identity.sessions.kept == {}


@pytest.mark.parametrize("token", ["", "x" * 43, "x" * 128])
async def test_what_is_no_refresh_token_is_refused_alike(someone: Someone, token: str) -> None:
    answer = await someone.client.post("/sessions/refresh", json={"refresh_token": token})
    assert (answer.status_code, problem(answer)) == (401, "session-ended")
    assert (await someone.refresh()).status_code == 200


async def test_a_session_ends_unused_and_by_age(identity: Identity, someone: Someone) -> None:
    for _ in range(29):
        identity.wait(days=1)
        assert (await someone.refresh()).status_code == 200
    identity.wait(days=1, seconds=1)
    assert (await someone.refresh()).status_code == 401
    await someone.sign_in()
    identity.wait(days=14, seconds=1)
    assert (await someone.refresh()).status_code == 401


async def test_who_decides_about_others_signs_in_daily_and_after_a_pause(identity: Identity) -> None:
    await identity.member("m@hopital.example", Role.MODERATOR)
    async with identity.client() as client:
        moderator = await Someone(identity, client, "m@hopital.example").sign_in()
        identity.wait(hours=1, seconds=1)
        assert (await moderator.refresh()).status_code == 401
        await moderator.sign_in()
        for _ in range(13):
            assert (await moderator.refresh()).status_code == 200
            identity.wait(minutes=55, seconds=30)
        assert (await moderator.refresh()).status_code == 401


async def test_no_access_token_outlives_its_session(identity: Identity) -> None:
    await identity.member("m@hopital.example", Role.MODERATOR)
    async with identity.client() as client:
        moderator = await Someone(identity, client, "m@hopital.example").sign_in()
        assert moderator.tokens["expires_in"] == 600
        for _ in range(13):
            identity.wait(minutes=55)
            assert (await moderator.refresh()).status_code == 200
        assert moderator.tokens["expires_in"] == 300, "twelve hours end in five minutes"
        identity.wait(seconds=299)
        assert (await moderator.call("GET", "/me")).status_code == 200
        identity.wait(seconds=1)
        late = await moderator.call("GET", "/me")
        assert (late.status_code, problem(late)) == (401, "token-refused")


async def test_a_browser_that_signs_in_again_holds_one_session(identity: Identity, someone: Someone) -> None:
    first = await someone.password(delivery="cookie")
    token = first.headers["set-cookie"].partition("consilium_refresh=")[2].partition(";")[0]
    cookie = {"cookie": f"consilium_refresh={token}"}
    given = {"email": someone.email, "password": "correct horse battery"}
    kept = await someone.client.post("/sessions", json={**given, "delivery": "body"}, headers=cookie)
    assert first.json()["session_id"] in identity.sessions.kept, "a program beside the browser"
    again = await someone.client.post("/sessions", json={**given, "delivery": "cookie"}, headers=cookie)
    assert again.status_code == 200
    mine = {someone.tokens["session_id"], kept.json()["session_id"], again.json()["session_id"]}
    assert set(identity.sessions.kept) == mine, "the one before has ended"


async def test_a_browser_gets_the_refresh_token_where_no_script_reads_it(identity: Identity, someone: Someone) -> None:
    answer = await someone.password(delivery="cookie")
    assert answer.json()["refresh_token"] is None
    assert answer.json()["device_token"] is None
    cookies = {line.partition("=")[0]: line for line in answer.headers.get_list("set-cookie")}
    assert set(cookies) == {"consilium_refresh", "consilium_device"}
    for line in cookies.values():
        attributes = {part.strip().lower() for part in line.split(";")[1:]}
        assert {"httponly", "secure", "samesite=strict", "path=/api/identity/sessions"} <= attributes
    token = cookies["consilium_refresh"].partition("=")[2].partition(";")[0]
    cookie = {"cookie": f"consilium_refresh={token}"}
    again = await someone.client.post("/sessions/refresh", json={}, headers=cookie)
    assert again.status_code == 200
    assert again.json()["refresh_token"] is None
    assert token not in again.headers["set-cookie"]
    identity.wait(seconds=11)
    ended = await someone.client.post("/sessions/refresh", json={}, headers=cookie)
    assert ended.status_code == 401
    assert "consilium_refresh=" in ended.headers["set-cookie"]
    assert "Max-Age=0" in ended.headers["set-cookie"]


async def test_i_see_where_i_am_signed_in_and_end_what_i_want(identity: Identity, someone: Someone) -> None:
    async with identity.client("2001:db8:1:2::3", "consilium-cli/1.0") as elsewhere:
        other = await Someone(identity, elsewhere).sign_in()
        third = await Someone(identity, elsewhere).sign_in()
        identity.wait(minutes=1)
        await someone.refresh()
        listed = (await someone.call("GET", "/sessions")).json()["items"]
        assert [(one["device"], one["network"], one["current"]) for one in listed] == [
            ("Firefox, Linux", "192.0.2.0/24", True),
            ("consilium-cli", "2001:db8:1::/48", False),
            ("consilium-cli", "2001:db8:1::/48", False),
        ]
        assert not {"current_hash", "refresh_token"} & set(listed[0])
        ended = await someone.call("DELETE", f"/sessions/{other.tokens['session_id']}")
        assert ended.status_code == 204
        assert (await other.refresh()).status_code == 401
        assert (await other.call("GET", "/me")).status_code == 401
        assert (await third.refresh()).status_code == 200
        assert (await someone.call("DELETE", "/sessions/others")).status_code == 204
        assert (await third.refresh()).status_code == 401
        assert (await someone.refresh()).status_code == 200


async def test_ending_sessions_wants_a_fresh_proof(identity: Identity, someone: Someone) -> None:
    other = await Someone(identity, someone.client).sign_in()
    identity.wait(minutes=9)
    await someone.refresh()
    identity.wait(minutes=2)
    for path in ("/sessions/others", f"/sessions/{other.tokens['session_id']}"):
        refused = await someone.call("DELETE", path)
        assert (refused.status_code, problem(refused)) == (401, "sign-in-again")
    assert (await someone.call("DELETE", "/sessions/current")).status_code == 204
    assert (await other.refresh()).status_code == 200


async def test_nobody_sees_or_ends_another_ones_session(identity: Identity, someone: Someone) -> None:
    await identity.member("b@hopital.example")
    async with identity.client() as client:
        other = await Someone(identity, client, "b@hopital.example").sign_in()
        assert len((await other.call("GET", "/sessions")).json()["items"]) == 1
        refused = await other.call("DELETE", f"/sessions/{someone.tokens['session_id']}")
        assert (refused.status_code, problem(refused)) == (404, "session-unknown")
        await other.call("DELETE", "/sessions/others")
    assert (await someone.refresh()).status_code == 200


async def test_signing_out_ends_the_session(someone: Someone) -> None:
    assert (await someone.call("DELETE", "/sessions/current")).status_code == 204
    assert (await someone.refresh()).status_code == 401
    assert (await someone.call("GET", "/me")).status_code == 401


async def test_who_is_suspended_is_signed_out_everywhere(identity: Identity, someone: Someone) -> None:
    member_id = someone.tokens["member"]["member_id"]
    await identity.accounts.change(member_id, lambda account: account.suspend("a test"))
    assert (await someone.refresh()).status_code == 401
    assert identity.sessions.kept == {}


async def test_proving_it_again_goes_on_under_new_tokens(identity: Identity, someone: Someone) -> None:
    identity.wait(minutes=9)
    await someone.refresh()
    identity.wait(minutes=2)
    refused = await someone.call("POST", "/me/factors/totp")
    assert (refused.status_code, problem(refused)) == (401, "sign-in-again")
    wrong = await someone.call("POST", "/sessions/current/proof", {"password": "not the right one"})
    assert (wrong.status_code, problem(wrong)) == (401, "proof-refused")
    old = dict(someone.tokens)
    again = await someone.call("POST", "/sessions/current/proof", {"password": "correct horse battery"})
    assert again.status_code == 200
    someone.tokens = again.json()
    assert (await someone.call("POST", "/me/factors/totp")).status_code == 200
    assert someone.tokens["session_id"] != old["session_id"]
    assert (await someone.refresh(old["refresh_token"])).status_code == 401
    assert len(identity.sessions.kept) == 1


@pytest.mark.parametrize("given", [{}, {"password": "a", "code": "123456"}])
async def test_one_proof_is_given_at_a_time(someone: Someone, given: dict[str, str]) -> None:
    answer = await someone.call("POST", "/sessions/current/proof", given)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "one_proof")


def test_only_who_has_a_token_learns_its_successor() -> None:
    hidden = hand_over("the token", "its successor")
    assert handed_over("the token", hidden) == "its successor"
    assert b"successor" not in hidden
    with pytest.raises(InvalidTag):
        handed_over("another token", hidden)


@pytest.mark.parametrize(
    ("user_agent", "device"),
    [
        (FIREFOX, "Firefox, Linux"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Mobile Safari/604.1", "Safari, iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge, Windows"),
        ("Mozilla/5.0 (Linux; Android 16) Chrome/140.0 Mobile Safari/537.36", "Chrome, Android"),
        ("python-httpx/0.28.1", "python-httpx"),
        ("", ""),
        ("<script>alert(1)</script>", ""),
        ("x" * 10_000, ""),
    ],
)
def test_a_device_has_a_label_that_its_owner_knows_again(user_agent: str, device: str) -> None:
    assert device_of(user_agent) == device


def test_a_place_is_kept_no_finer_than_it_helps() -> None:
    assert coarse_network("203.0.113.77") == "203.0.113.0/24"
    assert coarse_network("::ffff:203.0.113.77") == "203.0.113.0/24"
    assert coarse_network("2001:db8:1:2:3::4") == "2001:db8:1::/48"
    assert coarse_network("nonsense") == ""


async def test_what_a_stranger_calls_without_tokens_is_refused(identity: Identity) -> None:
    async with identity.client() as client:
        for method, path in (
            ("GET", "/sessions"),
            ("DELETE", "/sessions/current"),
            ("DELETE", "/sessions/others"),
            ("DELETE", "/sessions/x"),
            ("POST", "/sessions/current/proof/passkey-options"),
            ("GET", "/me/factors"),
        ):
            answer: httpx.Response = await client.request(method, path)
            assert answer.status_code == 401, path
