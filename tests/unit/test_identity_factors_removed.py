"""What becomes of sessions when a second factor goes, and who has to keep one."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest

from shared.events import STAFF_ROLES, Role
from tests.authenticator import Authenticator
from tests.factors import add_passkey, passkey_sign_in, path_of, remove, second
from tests.identity_service import Identity, Someone, problem


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path)


@pytest.fixture
async def someone(identity: Identity) -> AsyncIterator[Someone]:
    await identity.member()
    async with identity.client() as client:
        yield await Someone(identity, client).sign_in()


async def test_factors_are_removed_with_a_letter_and_codes_go_with_the_last(
    identity: Identity, someone: Someone
) -> None:
    device = Authenticator()
    await someone.add_app()
    await add_passkey(someone, device)
    await identity.letters()
    await remove(someone, "/me/factors/totp")
    (passkey,) = (await someone.call("GET", "/me/factors")).json()["passkeys"]
    await remove(someone, f"/me/factors/passkeys/{passkey['passkey_id']}")
    gone = await someone.call("DELETE", f"/me/factors/passkeys/{passkey['passkey_id']}")
    assert (gone.status_code, problem(gone)) == (404, "passkey-unknown")
    gone = await someone.call("DELETE", "/me/factors/totp")
    assert (gone.status_code, problem(gone)) == (404, "totp-unknown")
    shown = (await someone.call("GET", "/me/factors")).json()
    assert shown == {"totp_since": None, "passkeys": [], "recovery_codes_left": 0}
    assert (await someone.password()).status_code == 200
    assert [subject for _, subject, _ in await identity.letters()] == ["Connexion\u00a0: un moyen retiré"] * 2


async def methods(identity: Identity, tokens: dict[str, Any]) -> tuple[str, ...]:
    """What the access token claims of its sign-in, having looked that it is good."""
    await identity.verifier.verify(tokens["access_token"])
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    return tuple(claims["amr"])


async def test_a_session_claims_no_second_factor_that_is_gone(identity: Identity, someone: Someone) -> None:
    await someone.add_app()
    before = dict(someone.tokens)
    assert await methods(identity, before) == ("pwd", "otp", "mfa")
    await remove(someone, "/me/factors/totp")
    assert await methods(identity, someone.tokens) == ("pwd",)
    assert someone.tokens["session_id"] != before["session_id"]
    old = await someone.client.get("/me", headers={"authorization": f"Bearer {before['access_token']}"})
    assert (old.status_code, problem(old)) == (401, "token-refused")
    assert (await someone.refresh(before["refresh_token"])).status_code == 401
    assert (await someone.refresh()).status_code == 200
    assert await methods(identity, someone.tokens) == ("pwd",)
    assert (await someone.call("GET", "/sessions")).json()["items"][0]["methods"] == ["pwd"]


async def test_a_lost_passkey_that_is_removed_ends_the_sessions_that_it_opened(
    identity: Identity, someone: Someone
) -> None:
    lost, kept = Authenticator(), Authenticator(synced=True)
    await add_passkey(someone, lost, "lost")
    await add_passkey(someone, kept, "kept")
    thief = (await passkey_sign_in(identity, lost)).json()
    owner = Someone(identity, someone.client)
    owner.tokens = (await passkey_sign_in(identity, kept)).json()
    await remove(owner, path_of(lost))
    assert await methods(identity, owner.tokens) == ("swk", "user", "mfa"), "opened with the other one"
    assert (await someone.refresh(thief["refresh_token"])).status_code == 401
    assert len(identity.sessions.kept) == 1


async def test_a_session_that_rests_on_the_removed_passkey_alone_ends(identity: Identity, someone: Someone) -> None:
    device = Authenticator()
    await add_passkey(someone, device)
    someone.tokens = (await passkey_sign_in(identity, device)).json()
    answer = await someone.call("DELETE", path_of(device))
    assert (answer.status_code, answer.json()) == (200, {"session": None})
    assert identity.sessions.kept == {}


async def test_a_recovery_code_counts_as_long_as_there_is_a_second_factor(identity: Identity, someone: Someone) -> None:
    device = Authenticator()
    codes = (await add_passkey(someone, device)).json()["recovery_codes"]
    someone.tokens = (await second(someone, recovery_code=codes[0])).json()
    assert await methods(identity, someone.tokens) == ("pwd", "otp", "mfa")
    assert (await someone.refresh()).status_code == 200
    assert await methods(identity, someone.tokens) == ("pwd", "otp", "mfa")
    await remove(someone, path_of(device))
    assert await methods(identity, someone.tokens) == ("pwd",)


async def test_whatever_takes_a_factor_away_the_next_token_says_so(identity: Identity, someone: Someone) -> None:
    await someone.add_app()
    identity.factors.kept.clear()  # by hand, and no session was ended
    assert (await someone.refresh()).status_code == 200
    assert await methods(identity, someone.tokens) == ("pwd",)
    await someone.add_app()
    (session,) = identity.sessions.kept.values()
    identity.sessions.kept[session.session_id] = replace(session, amr=("hwk", "user", "mfa"))
    refused = await someone.refresh()
    assert (refused.status_code, problem(refused)) == (401, "session-ended"), "nothing is left that opened it"
    assert identity.sessions.kept == {}


async def test_a_sign_in_that_is_under_way_does_not_outlive_its_factor(identity: Identity, someone: Someone) -> None:
    await someone.add_app()
    identity.wait(minutes=1)
    ticket = (await someone.password()).json()["ticket"]
    real = identity.sessions.add

    async def removed_meanwhile(session: Any) -> None:
        await real(session)
        await identity.factors.change(session.member_id, lambda factors: replace(factors, totp=None))

    identity.sessions.add = removed_meanwhile  # type: ignore[method-assign]
    sessions = set(identity.sessions.kept)
    given = {"ticket": ticket, "code": someone.code()}
    refused = await someone.client.post("/sessions/second-factor", json=given)
    assert (refused.status_code, problem(refused)) == (401, "token-refused")
    assert set(identity.sessions.kept) == sessions


@pytest.mark.parametrize("role", sorted(STAFF_ROLES))
async def test_who_decides_about_others_keeps_a_second_factor(identity: Identity, role: Role) -> None:
    await identity.member("m@hopital.example", role)
    device = Authenticator()
    async with identity.client() as client:
        staff = await (await Someone(identity, client, "m@hopital.example").sign_in()).add_app()
        refused = await staff.call("DELETE", "/me/factors/totp")
        assert (refused.status_code, problem(refused)) == (409, "last-second-factor")
        await add_passkey(staff, device)
        await remove(staff, "/me/factors/totp")
        assert await methods(identity, staff.tokens) == ("pwd", "hwk", "user", "mfa")
        refused = await staff.call("DELETE", path_of(device))
        assert (refused.status_code, problem(refused)) == (409, "last-second-factor")
        assert (await staff.call("GET", "/me/factors")).json()["recovery_codes_left"] == 10


async def test_a_moderator_without_a_second_factor_may_only_add_one(identity: Identity) -> None:
    await identity.member("m@hopital.example", Role.MODERATOR)
    async with identity.client() as client:
        moderator = await Someone(identity, client, "m@hopital.example").sign_in()
        assert not (await identity.verifier.verify(moderator.tokens["access_token"])).mfa
        await moderator.add_app()
        assert (await identity.verifier.verify(moderator.tokens["access_token"])).mfa
