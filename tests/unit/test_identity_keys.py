"""The signing key's file, and passwords as they are kept."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.identity.store.keys import SigningKey
from services.identity.store.passwords import Passwords, TooBusy


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "key.pem"
    made = SigningKey.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SigningKey.load_or_create(path).key_id == made.key_id
    assert [file.name for file in path.parent.iterdir()] == ["key.pem"]


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: SigningKey.load_or_create(tmp_path / "key.pem").key_id, range(16)))
    assert len(set(keys)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ValueError, match="Ed25519"):
        SigningKey.load_or_create(path)


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
