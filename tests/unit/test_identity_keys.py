"""The signing keys' file and how keys follow each other, and passwords as they are kept."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.identity.store.keys import (
    JWKS_MAX_AGE_S,
    LEAD_S,
    RotationPending,
    SigningKeys,
    load_signing_keys,
    rotate,
)
from services.identity.store.passwords import Passwords, TooBusy
from shared.auth import TokenRefused, TokenVerifier
from shared.auth_keys import FORGET_AFTER_S, MAX_AGE_S
from shared.errors import WrongSetting

TTL_S = 600


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "key.pem"
    made = SigningKeys(path, TTL_S).current()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SigningKeys(path, TTL_S).current().key_id == made.key_id
    assert [file.name for file in path.parent.iterdir()] == ["key.pem"]


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: SigningKeys(tmp_path / "key.pem", TTL_S).current().key_id, range(16)))
    assert len(set(keys)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(WrongSetting, match="Ed25519"):
        SigningKeys(path, TTL_S)


class Rotation:
    """Two replicas that sign, and a service that verifies, under one clock; every token is tried until it expires."""

    def __init__(self, path: Path) -> None:
        self.clock = 1_900_000_000.0
        self.path = path
        self.replicas = [SigningKeys(path, TTL_S, now=self.now) for _ in range(2)]
        self.fetched = 0
        self.verifier = TokenVerifier("", "i", "a", fetch=self.fetch, now=self.now)
        self.alive: list[tuple[float, str]] = []

    def now(self) -> float:
        return self.clock

    async def fetch(self) -> dict[str, Any]:
        self.fetched += 1
        return self.replicas[self.fetched % 2].published()

    def token(self, number: int) -> str:
        claims = {
            "iss": "i",
            "aud": "a",
            "sub": "m-1",
            "iat": int(self.clock),
            "exp": int(self.clock) + TTL_S,
            "jti": f"{self.clock}-{number}",
            "status": "verified",
            "roles": ["member"],
            "profession": "nurse",
            "pseudonym": "N",
            "member_version": 1,
        }
        return self.replicas[number].sign(claims)

    async def live(self, minutes: int) -> None:
        """Let time go by; each minute both replicas sign, and every token that has not expired must verify."""
        for _ in range(minutes):
            self.alive += [(self.clock + TTL_S, self.token(number)) for number in range(2)]
            self.alive = [(end, token) for end, token in self.alive if end > self.clock]
            for _, token in self.alive:
                assert (await self.verifier.verify(token)).member_id == "m-1"
            self.clock += 60


async def test_nobody_is_signed_out_by_a_rotation(tmp_path: Path) -> None:
    turn = Rotation(tmp_path / "key.pem")
    await turn.live(12)
    first = turn.replicas[0].current().key_id
    second, signs_from = rotate(turn.path, TTL_S, now=turn.clock)
    assert signs_from == turn.clock + LEAD_S
    await turn.live(14)
    assert turn.replicas[1].current().key_id == first, "published, and not in use yet"
    assert {key["kid"] for key in turn.replicas[1].published()["keys"]} == {first, second}
    await turn.live(5)
    assert turn.replicas[1].current().key_id == second
    assert {key["kid"] for key in turn.replicas[1].published()["keys"]} == {first, second}, "its tokens are about"
    await turn.live(20)
    assert {key["kid"] for key in turn.replicas[1].published()["keys"]} == {second}
    rotate(turn.path, TTL_S, now=turn.clock)
    assert next(key.key_id for key in load_signing_keys(turn.path)) == second, "the retired key has left the file"
    await turn.live(40)
    # Once a minute of this clock, by age, and never because a token named a key that was not known yet.
    assert turn.fetched == 91


def test_a_key_is_published_long_enough_before_it_signs() -> None:
    assert MAX_AGE_S + JWKS_MAX_AGE_S + 60 < LEAD_S
    assert FORGET_AFTER_S <= LEAD_S, "by then no verifier is left that believes anything and has not heard of it"


async def test_a_stolen_key_is_taken_away_at_once_and_its_tokens_with_it(tmp_path: Path) -> None:
    turn = Rotation(tmp_path / "key.pem")
    await turn.live(2)
    (_, old), *_ = turn.alive
    rotate(turn.path, TTL_S, lead_s=0, now=turn.clock)
    turn.clock += 11
    assert (await turn.verifier.verify(turn.token(0))).member_id == "m-1"
    with pytest.raises(TokenRefused, match="unknown key"):
        await turn.verifier.verify(old)
    assert len(load_signing_keys(turn.path)) == 1


def test_one_rotation_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    SigningKeys(path, TTL_S)
    _, signs_from = rotate(path, TTL_S, now=1e9)
    with pytest.raises(RotationPending, match="2001-09-09T02:01"):
        rotate(path, TTL_S, now=1e9 + LEAD_S - 1)
    assert rotate(path, TTL_S, now=signs_from + 1)[1] == signs_from + 1 + LEAD_S


def test_a_file_is_written_in_place_whatever_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    SigningKeys(path, TTL_S)
    path.chmod(0o400)
    before = path.stat().st_ino
    rotate(path, TTL_S)
    assert (path.stat().st_ino, stat.S_IMODE(path.stat().st_mode)) == (before, 0o400)
    assert [file.name for file in tmp_path.iterdir()] == ["key.pem"]
    assert len(load_signing_keys(path)) == 2


@pytest.mark.parametrize("cut", [0, 40, -30])
def test_a_file_that_is_spoilt_or_half_written_stops_nobody(tmp_path: Path, cut: int) -> None:
    clock = [1e9]
    path = tmp_path / "key.pem"
    keys = SigningKeys(path, TTL_S, now=lambda: clock[0])
    known = keys.current().key_id
    rotate(path, TTL_S, now=clock[0])
    whole = path.read_text()
    path.write_text(whole[:cut] if cut else "nothing of the kind")
    clock[0] += 5
    assert keys.current().key_id == known
    assert [key["kid"] for key in keys.published()["keys"]] == [known]
    path.write_text(whole)
    clock[0] += 5
    assert len(keys.published()["keys"]) == 2
    for key in keys.published()["keys"]:
        assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}


async def test_a_hash_knows_its_password_and_no_other() -> None:
    passwords = Passwords(at_once=1, waiting=4)
    kept = await passwords.hash("correct horse battery")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.check("correct horse battery", kept)
    assert not await passwords.check("correct horse batterz", kept)
    assert not await passwords.check("correct horse battery", "no hash at all")
    assert await passwords.hash("correct horse battery") != kept


async def test_an_accent_may_be_typed_in_two_ways() -> None:
    passwords = Passwords(at_once=1, waiting=4)
    assert await passwords.check("caf\u0065\u0301 du matin", await passwords.hash("caf\u00e9 du matin"))


async def test_nobody_knows_the_password_of_an_absent_account() -> None:
    assert not await Passwords(at_once=1, waiting=4).check("", None)


async def test_no_more_wait_than_is_bearable() -> None:
    with pytest.raises(TooBusy):
        await Passwords(at_once=0, waiting=0).hash("whatever it may be")
