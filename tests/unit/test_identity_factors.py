"""Second factors over the API: authenticator app, passkeys of a software authenticator, recovery codes."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.identity.domain.factors import FactorRefused, Factors, totp_step
from tests.authenticator import BACKED_UP, BACKUP_ELIGIBLE, PRESENT, VERIFIED, Authenticator
from tests.factors import add_passkey, passkey_sign_in, second
from tests.identity_service import Identity, Someone, problem


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path)


@pytest.fixture
async def someone(identity: Identity) -> AsyncIterator[Someone]:
    await identity.member()
    async with identity.client() as client:
        yield await Someone(identity, client).sign_in()


@pytest.mark.parametrize("told", [5, "usb", [{}, "usb", "teleport"]])
async def test_a_browser_may_say_nonsense_of_how_a_passkey_is_reached(someone: Someone, told: Any) -> None:
    asked = (await someone.call("POST", "/me/factors/passkeys/options")).json()
    credential = Authenticator().create(asked["options"])
    credential["response"]["transports"] = told
    given = {"ticket": asked["ticket"], "credential": credential, "name": "a key"}
    assert (await someone.call("POST", "/me/factors/passkeys", given)).status_code == 201


async def test_an_authenticator_app_is_asked_for_from_its_first_code_on(identity: Identity, someone: Someone) -> None:
    begun = (await someone.call("POST", "/me/factors/totp")).json()
    assert begun["uri"].startswith("otpauth://totp/Consilium:")
    assert "issuer=Consilium" in begun["uri"]
    assert len(begun["secret"]) == 32
    assert (await someone.password()).status_code == 200, "not confirmed yet"
    await someone.add_app()
    assert (await identity.verifier.verify(someone.tokens["access_token"])).mfa
    step = await someone.password()
    assert (step.status_code, step.json()["methods"]) == (202, ["totp", "recovery_code"])
    assert "access_token" not in step.json()
    identity.wait(seconds=30)
    done = await second(someone, code=someone.code())
    assert done.status_code == 200
    principal = await identity.verifier.verify(done.json()["access_token"])
    assert principal.mfa
    shown = (await someone.call("GET", "/me/factors")).json()
    assert (shown["totp_since"] is not None, shown["recovery_codes_left"]) == (True, 10)
    letters = [subject for _, subject, _ in await identity.letters()]
    assert letters == ["Connexion\u00a0: un moyen ajouté"]


async def test_a_code_serves_once_and_no_older_one_after_it(identity: Identity, someone: Someone) -> None:
    await someone.add_app()
    assert (await second(someone, code=someone.code())).status_code == 401, "used to confirm the app"
    identity.wait(seconds=60)
    earlier, code = someone.code(-1), someone.code()
    assert (await second(someone, code=code)).status_code == 200
    for again in (code, earlier):
        refused = await second(someone, code=again)
        assert (refused.status_code, problem(refused)) == (401, "proof-refused")


@pytest.mark.parametrize(("steps", "status"), [(-2, 401), (-1, 200), (0, 200), (1, 200), (2, 401)])
async def test_a_clock_may_be_off_by_one_step(identity: Identity, someone: Someone, steps: int, status: int) -> None:
    await someone.add_app()
    identity.wait(minutes=5)
    assert (await second(someone, code=someone.code(steps))).status_code == status


async def test_a_ticket_of_the_password_step_serves_once_and_for_five_minutes(
    identity: Identity, someone: Someone
) -> None:
    await someone.add_app()
    identity.wait(minutes=1)
    ticket = (await someone.password()).json()["ticket"]
    path = "/sessions/second-factor"
    assert (await someone.client.post(path, json={"ticket": ticket, "code": someone.code()})).status_code == 200
    identity.wait(minutes=1)
    again = await someone.client.post(path, json={"ticket": ticket, "code": someone.code()})
    assert (again.status_code, problem(again)) == (401, "session-ended")
    ticket = (await someone.password()).json()["ticket"]
    identity.wait(minutes=5, seconds=1)
    late = await someone.client.post(path, json={"ticket": ticket, "code": someone.code()})
    assert (late.status_code, problem(late)) == (401, "session-ended")


async def test_recovery_codes_serve_once_each_and_are_kept_as_hashes(identity: Identity, someone: Someone) -> None:
    await someone.add_app()
    codes = someone.recovery_codes
    assert len(set(codes)) == 10
    assert all(len(code.replace("-", "")) == 24 for code in codes)
    kept = str(identity.factors.kept)
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)
    assert (await second(someone, recovery_code=codes[0].lower().replace("-", " "))).status_code == 200
    assert (await second(someone, recovery_code=codes[0])).status_code == 401
    assert (await someone.call("GET", "/me/factors")).json()["recovery_codes_left"] == 9
    renewed = (await someone.call("POST", "/me/factors/recovery-codes")).json()["recovery_codes"]
    assert not set(renewed) & set(codes)
    assert (await second(someone, recovery_code=codes[1])).status_code == 401
    assert (await second(someone, recovery_code=renewed[1])).status_code == 200


async def test_who_has_no_second_factor_gets_no_recovery_codes(someone: Someone) -> None:
    refused = await someone.call("POST", "/me/factors/recovery-codes")
    assert (refused.status_code, problem(refused)) == (409, "no-second-factor")


async def test_a_passkey_alone_is_two_factors(identity: Identity, someone: Someone) -> None:
    device = Authenticator()
    added = await add_passkey(someone, device)
    assert added.status_code == 201, added.text
    assert len(added.json()["recovery_codes"]) == 10
    (shown,) = (await someone.call("GET", "/me/factors")).json()["passkeys"]
    assert (shown["name"], shown["device_bound"], shown["last_used_at"]) == ("My phone", True, None)
    done = await passkey_sign_in(identity, device)
    assert done.status_code == 200, done.text
    claims = await identity.verifier.verify(done.json()["access_token"])
    assert claims.mfa
    assert done.json()["member"]["email"] == "a.martin@hopital.example"
    assert (await someone.call("GET", "/me/factors")).json()["passkeys"][0]["last_used_at"] is not None


@pytest.mark.parametrize(("synced", "method"), [(False, "hwk"), (True, "swk")])
async def test_a_token_tells_a_key_in_hardware_from_one_that_is_synchronised(
    identity: Identity, someone: Someone, synced: bool, method: str
) -> None:
    device = Authenticator(synced=synced)
    await add_passkey(someone, device)
    done = await passkey_sign_in(identity, device)
    assert done.status_code == 200, done.text
    (session,) = [one for one in identity.sessions.kept.values() if one.session_id == done.json()["session_id"]]
    assert session.amr == (method, "user", "mfa")


async def test_a_passkey_serves_as_second_factor(identity: Identity, someone: Someone) -> None:
    device = Authenticator()
    await add_passkey(someone, device)
    step = await someone.password()
    assert step.json()["methods"] == ["passkey", "recovery_code"]
    ticket = {"ticket": step.json()["ticket"]}
    asked = (await someone.client.post("/sessions/second-factor/passkey-options", json=ticket)).json()
    assert [one["id"] for one in asked["options"]["allowCredentials"]] != []
    passkey = {"ticket": asked["ticket"], "credential": device.get(asked["options"])}
    done = await someone.client.post("/sessions/second-factor", json={**ticket, "passkey": passkey})
    assert done.status_code == 200, done.text
    session = identity.sessions.kept[done.json()["session_id"]]
    assert session.amr == ("pwd", "hwk", "user", "mfa")


WRONG: dict[str, Callable[[Authenticator], object]] = {
    "another site": lambda device: setattr(device, "origin", "https://consilium.evil.example"),
    "another domain": lambda device: setattr(device, "domain", "evil.example"),
    "nobody touched it": lambda device: setattr(device, "flags", VERIFIED),
    "neither finger nor PIN": lambda device: setattr(device, "flags", PRESENT),
    "a copy of the key": lambda device: setattr(device, "counter", -1),
    "another key": lambda device: device.create({"user": {"id": "x"}, "challenge": "x"}),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_a_passkey_that_proves_nothing_is_refused(
    identity: Identity, someone: Someone, wrong: Callable[[Authenticator], object]
) -> None:
    device = Authenticator()
    await add_passkey(someone, device)
    assert (await passkey_sign_in(identity, device)).status_code == 200
    wrong(device)
    refused = await passkey_sign_in(identity, device)
    assert (refused.status_code, problem(refused)) == (401, "proof-refused")


@pytest.mark.parametrize("wrong", list(WRONG)[:4])
async def test_a_passkey_is_not_taken_where_its_making_proves_nothing(someone: Someone, wrong: str) -> None:
    device = Authenticator()
    WRONG[wrong](device)
    refused = await add_passkey(someone, device)
    assert (refused.status_code, problem(refused)) == (401, "proof-refused")
    assert (await someone.call("GET", "/me/factors")).json()["passkeys"] == []


async def test_a_challenge_serves_once_and_for_what_it_was_made_for(identity: Identity, someone: Someone) -> None:
    device = Authenticator(synced=True)  # it does not count, which would give a repetition away too
    await add_passkey(someone, device)
    async with identity.client() as client:
        asked = (await client.post("/sessions/passkey/options")).json()
        given = {"ticket": asked["ticket"], "credential": device.get(asked["options"])}
        assert (await client.post("/sessions/passkey", json=given)).status_code == 200
        assert (await client.post("/sessions/passkey", json=given)).status_code == 401
        ours = (await someone.call("POST", "/sessions/current/proof/passkey-options")).json()
        given = {"ticket": ours["ticket"], "credential": device.get(ours["options"])}
        assert (await client.post("/sessions/passkey", json=given)).status_code == 401
        asked = (await client.post("/sessions/passkey/options")).json()
        identity.wait(minutes=5, seconds=1)
        given = {"ticket": asked["ticket"], "credential": device.get(asked["options"])}
        assert (await client.post("/sessions/passkey", json=given)).status_code == 401


@pytest.mark.parametrize("credential", [{}, {"id": {"$ne": None}}, {"id": "x", "response": 7}, {"id": "é"}])
async def test_nonsense_for_a_passkey_is_refused(
    identity: Identity, someone: Someone, credential: dict[str, Any]
) -> None:
    async with identity.client() as client:
        asked = (await client.post("/sessions/passkey/options")).json()
        answer = await client.post("/sessions/passkey", json={"ticket": asked["ticket"], "credential": credential})
        assert (answer.status_code, problem(answer)) == (401, "proof-refused")
    asked = (await someone.call("POST", "/me/factors/passkeys/options")).json()
    given = {"ticket": asked["ticket"], "credential": credential, "name": "x"}
    assert (await someone.call("POST", "/me/factors/passkeys", given)).status_code == 401


async def test_another_ones_passkey_opens_no_session_of_mine(identity: Identity, someone: Someone) -> None:
    mine, theirs = Authenticator(), Authenticator()
    await add_passkey(someone, mine)
    await identity.member("b@hopital.example")
    async with identity.client() as client:
        other = await Someone(identity, client, "b@hopital.example").sign_in()
        await add_passkey(other, theirs)
    step = await someone.password()
    ticket = {"ticket": step.json()["ticket"]}
    asked = (await someone.client.post("/sessions/second-factor/passkey-options", json=ticket)).json()
    asked["options"]["allowCredentials"] = []
    passkey = {"ticket": asked["ticket"], "credential": theirs.get(asked["options"])}
    refused = await someone.client.post("/sessions/second-factor", json={**ticket, "passkey": passkey})
    assert (refused.status_code, problem(refused)) == (401, "proof-refused")


async def test_a_challenge_made_for_one_member_serves_no_other(identity: Identity, someone: Someone) -> None:
    mine, theirs = Authenticator(), Authenticator()
    await add_passkey(someone, mine)
    await identity.member("b@hopital.example")
    async with identity.client() as client:
        other = await Someone(identity, client, "b@hopital.example").sign_in()
        await add_passkey(other, theirs)
        asked = (await other.call("POST", "/sessions/current/proof/passkey-options")).json()
    asked["options"]["allowCredentials"] = []
    given = {"passkey": {"ticket": asked["ticket"], "credential": mine.get(asked["options"])}}
    refused = await someone.call("POST", "/sessions/current/proof", given)
    assert (refused.status_code, problem(refused)) == (401, "proof-refused")


async def test_a_password_alone_does_not_change_the_second_factor(identity: Identity, someone: Someone) -> None:
    async with identity.client() as client:
        weak = await Someone(identity, client).sign_in()  # before there is a second factor
        await someone.add_app()
        for method, path in (
            ("POST", "/me/factors/totp"),
            ("DELETE", "/me/factors/totp"),
            ("POST", "/me/factors/passkeys/options"),
            ("POST", "/me/factors/recovery-codes"),
        ):
            refused = await weak.call(method, path)
            assert (refused.status_code, problem(refused)) == (401, "second-factor-needed"), path
        identity.wait(seconds=30)
        proved = await weak.call("POST", "/sessions/current/proof", {"code": someone.code()})
        assert proved.status_code == 200
        weak.tokens = proved.json()
        assert (await weak.call("POST", "/me/factors/recovery-codes")).status_code == 200


async def test_a_session_without_the_second_factor_shuts_no_owner_out(identity: Identity, someone: Someone) -> None:
    async with identity.client() as client:
        thief = await Someone(identity, client).sign_in()  # before there was a second factor
        await someone.add_app()
        change = {"current": "correct horse battery", "password": "a quite different phrase 47"}
        for method, path, json in (
            ("PUT", "/me/password", change),
            ("DELETE", "/sessions/others", None),
            ("DELETE", f"/sessions/{someone.tokens['session_id']}", None),
        ):
            refused = await thief.call(method, path, json)
            assert (refused.status_code, problem(refused)) == (401, "second-factor-needed"), path
            assert 'acr_values="mfa"' in refused.headers["www-authenticate"]
    assert (await someone.call("PUT", "/me/password", change)).status_code == 204


async def test_a_password_does_not_make_a_second_factor_of_days_ago_fresh(identity: Identity, someone: Someone) -> None:
    await someone.add_app()
    identity.wait(minutes=9)
    await someone.refresh()
    identity.wait(minutes=2)
    refused = await someone.call("DELETE", "/me/factors/totp")
    assert (refused.status_code, problem(refused)) == (401, "sign-in-again")
    # A session taken over, and a password that was fished: together not enough to take the account.
    proved = await someone.call("POST", "/sessions/current/proof", {"password": "correct horse battery"})
    assert (proved.status_code, problem(proved)) == (401, "second-factor-needed")
    proved = await someone.call("POST", "/sessions/current/proof", {"code": someone.code()})
    assert proved.status_code == 200


def test_a_step_is_found_and_nothing_else_is(identity: Identity) -> None:
    at = int(identity.clock.timestamp()) // 30
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    someone = Someone(identity, identity.client())
    someone.secret = secret
    assert totp_step(secret, f" {someone.code()[:3]} {someone.code()[3:]} ", identity.clock) == at
    for wrong in ("", "12345", "1234567", "é" * 6, "-1", someone.code()[:5] + "x"):
        with pytest.raises(FactorRefused):
            totp_step(secret, wrong, identity.clock)
    assert totp_step(secret, someone.code(1), identity.clock) == at + 1
    assert totp_step(secret, someone.code(), identity.clock + timedelta(seconds=30)) == at


def test_a_synced_passkey_that_never_counts_is_good_again_and_again() -> None:
    assert Authenticator(synced=True).flags & (BACKUP_ELIGIBLE | BACKED_UP)
    with pytest.raises(FactorRefused):
        Factors("m-1").use_recovery("AAAA")
