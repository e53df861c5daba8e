"""Rings of wrapping keys: from a file that changes, and from a key management service."""

import base64
import logging
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.blobs import PROOFS
from shared.errors import WrongSetting, dependency_is_away
from shared.keyring import (
    FileKeyRing,
    HeldKeys,
    KeyRing,
    KeyRingAway,
    Wrapped,
    WrappedKeyBroken,
    WrongWrappingKey,
    wrapping_key_id,
)
from shared.sealed import Rewrap, SealedRoom
from shared.transit import TransitKeyRing
from shared.wrapping import open_keyring, rewrap_all, rewrap_everything
from tests.memory_blobs import MemoryBlobs
from tests.transit_server import TOKEN, TransitServer, transit_server

OLD, NEW = b"o" * 32, b"n" * 32
NO_TOKEN = SecretStr("")
DATA_KEY, BOUND = b"d" * 32, b"consilium data key proofs/case"


def line(key: bytes) -> str:
    return base64.b64encode(key).decode() + "\n"


@dataclass(frozen=True)
class Told:
    """What `open_keyring` reads."""

    wrapping_key_file: Path
    kms_url: str = ""
    kms_mount: str = "transit"
    kms_key: str = ""
    kms_token: SecretStr = NO_TOKEN


@pytest.fixture(scope="module")
def server() -> Iterator[TransitServer]:
    with transit_server() as running:
        yield running


@pytest.fixture
async def transit(server: TransitServer) -> AsyncIterator[TransitKeyRing]:
    ring = TransitKeyRing(server.url, "consilium", SecretStr(TOKEN))
    yield ring
    await ring.close()


@pytest.fixture(params=["file", "transit"])
async def ring(request: pytest.FixtureRequest, transit: TransitKeyRing, tmp_path: Path) -> KeyRing:
    if request.param == "transit":
        return transit
    (tmp_path / "key").write_text(line(OLD))
    return FileKeyRing(tmp_path / "key")


async def test_a_ring_gives_back_what_it_wrapped_for_the_same_purpose_only(ring: KeyRing) -> None:
    wrapped = await ring.wrap(DATA_KEY, BOUND)
    assert DATA_KEY not in wrapped.ciphertext
    assert await ring.unwrap(wrapped, BOUND) == DATA_KEY
    assert (await ring.wrap(DATA_KEY, BOUND)).ciphertext != wrapped.ciphertext
    assert await ring.rewrap(wrapped, BOUND) is None
    await ring.check()
    with pytest.raises(WrappedKeyBroken):
        await ring.unwrap(wrapped, BOUND + b"2")
    spoilt = bytearray(wrapped.ciphertext)
    spoilt[-6] ^= 1
    for ciphertext in (bytes(spoilt), b"", b"short", b"vault:v1:AAAA", b"vault:v1:AAA{"):
        with pytest.raises(WrappedKeyBroken):
            await ring.unwrap(Wrapped(wrapped.key_id, ciphertext), BOUND)
    with pytest.raises(WrongWrappingKey) as wrong:
        await ring.unwrap(Wrapped("0123456789abcdef", wrapped.ciphertext), BOUND)
    assert dependency_is_away(wrong.value), "a wrong deployment is put right, and then it works"


async def test_a_changed_file_is_read_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(line(OLD))
    ring = FileKeyRing(file, look_every_s=0)
    before = await ring.wrap(DATA_KEY, BOUND)
    file.write_text(f"# made in spring\n{line(NEW)}\n{line(OLD)}")
    assert ring.current_id == wrapping_key_id(NEW)
    assert await ring.unwrap(before, BOUND) == DATA_KEY
    after = await ring.rewrap(before, BOUND)
    assert after is not None
    assert after.key_id == wrapping_key_id(NEW)
    file.write_text(line(NEW))
    assert await ring.unwrap(after, BOUND) == DATA_KEY
    with pytest.raises(WrongWrappingKey):
        await ring.unwrap(before, BOUND)


async def test_a_replaced_file_is_read_too(tmp_path: Path) -> None:
    first, second, link = (tmp_path / name for name in ("first", "second", "key"))
    first.write_text(line(OLD))
    second.write_text(line(NEW))
    moment = first.stat()
    os.utime(second, ns=(moment.st_atime_ns, moment.st_mtime_ns))  # nothing but the inode differs
    link.symlink_to(first)
    ring = FileKeyRing(link, look_every_s=0)
    draft = tmp_path / "draft"
    draft.symlink_to(second)
    draft.replace(link)  # how Kubernetes changes a mounted secret
    assert ring.current_id == wrapping_key_id(NEW)


async def test_a_service_without_work_tells_that_it_has_the_new_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "key"
    file.write_text(line(OLD))
    ring = FileKeyRing(file, look_every_s=0)
    file.write_text(line(OLD) + line(NEW))
    with caplog.at_level(logging.WARNING):
        await ring.check()
    assert caplog.messages == [
        f"wrapping keys read again: current {wrapping_key_id(OLD)}, older {wrapping_key_id(NEW)}"
    ]


async def test_an_unknown_key_is_looked_for_at_once(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(line(OLD))
    ring = FileKeyRing(file, look_every_s=3600)
    file.write_text(line(NEW) + line(OLD))
    assert ring.current_id == wrapping_key_id(OLD), "the file is not looked at all the time"
    assert await ring.unwrap(await HeldKeys([NEW]).wrap(DATA_KEY, BOUND), BOUND) == DATA_KEY
    assert ring.current_id == wrapping_key_id(NEW)


@pytest.mark.parametrize("spoilt", ["", "# no key\n", line(b"short"), "no base64!", line(NEW) + "half a li", None])
async def test_a_spoilt_file_stops_nobody_and_is_told(
    spoilt: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "key"
    file.write_text(line(OLD))
    ring = FileKeyRing(file, look_every_s=0)
    wrapped = await ring.wrap(DATA_KEY, BOUND)
    file.unlink() if spoilt is None else file.write_text(spoilt)
    with caplog.at_level(logging.ERROR):
        assert await ring.unwrap(wrapped, BOUND) == DATA_KEY
        assert await ring.unwrap(wrapped, BOUND) == DATA_KEY
    (told,) = caplog.messages
    assert str(file) in told
    assert line(NEW).strip() not in told
    file.write_text(line(NEW) + line(OLD))
    assert ring.current_id == wrapping_key_id(NEW)


@pytest.mark.parametrize("spoilt", ["", line(b"short"), "no base64!", line(NEW) + "half a li", "\udcff"])
def test_a_service_does_not_start_with_a_spoilt_file(spoilt: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(spoilt, errors="surrogateescape")
    with pytest.raises(WrongSetting, match=str(file)):
        FileKeyRing(file)


async def test_the_transit_key_is_rotated_without_the_data_key_leaving_it(
    server: TransitServer, transit: TransitKeyRing
) -> None:
    before = await transit.wrap(DATA_KEY, BOUND)
    server.rotate()
    server.acts.clear()
    after = await transit.rewrap(before, BOUND)
    assert after is not None
    assert server.acts == ["rewrap"]
    assert after.key_id != before.key_id
    server.keys["consilium"].min_decryption_version = len(server.keys["consilium"].versions)
    assert await transit.unwrap(after, BOUND) == DATA_KEY
    with pytest.raises(WrongWrappingKey):
        await transit.unwrap(before, BOUND)
    server.keys["consilium"].min_decryption_version = 1
    server.keys["consilium"].versions.pop()  # an older backup of the service was restored
    with pytest.raises(WrongWrappingKey):
        await transit.unwrap(after, BOUND)


async def test_a_transit_key_without_derivation_binds_too(server: TransitServer) -> None:
    server.keys["plain"] = type(server.keys["consilium"])(derived=False)
    ring = TransitKeyRing(server.url, "plain", SecretStr(TOKEN))
    wrapped = await ring.wrap(DATA_KEY, BOUND)
    assert await ring.unwrap(wrapped, BOUND) == DATA_KEY
    with pytest.raises(WrappedKeyBroken):
        await ring.unwrap(wrapped, b"something else")
    await ring.close()


async def test_a_service_that_refuses_or_is_away_is_asked_again_later(
    server: TransitServer, transit: TransitKeyRing
) -> None:
    wrapped = await transit.wrap(DATA_KEY, BOUND)
    stranger = TransitKeyRing(server.url, "consilium", SecretStr("hvs.wrong"))
    nowhere = TransitKeyRing("http://127.0.0.1:9", "consilium", SecretStr(TOKEN))
    elsewhere = TransitKeyRing(server.url, "consilium", SecretStr(TOKEN), mount="other")
    for refused in (stranger, nowhere, elsewhere):
        for attempt in (refused.wrap(DATA_KEY, BOUND), refused.unwrap(wrapped, BOUND), refused.rewrap(wrapped, BOUND)):
            with pytest.raises(KeyRingAway) as away:
                await attempt
            assert "hvs.wrong" not in str(away.value)
        await refused.close()
    server.sealed = True
    for attempt in (transit.wrap(DATA_KEY, BOUND), transit.unwrap(wrapped, BOUND), transit.check()):
        with pytest.raises(KeyRingAway):
            await attempt
    server.sealed = False
    del server.keys["consilium"]
    with pytest.raises(WrongWrappingKey):
        await transit.unwrap(wrapped, BOUND)
    with pytest.raises(KeyRingAway):
        await transit.wrap(DATA_KEY, BOUND)
    server.keys["consilium"] = type(server.keys["plain"])()


async def test_an_installation_moves_from_the_file_to_the_service(server: TransitServer, tmp_path: Path) -> None:
    file, blobs = tmp_path / "key", MemoryBlobs()
    file.write_text(line(OLD))
    by_file = open_keyring(Told(file))
    await SealedRoom(blobs, PROOFS, by_file).store("case", "paper", b"signed", "image/jpeg")
    told = Told(file, kms_url=server.url, kms_key="consilium", kms_token=SecretStr(TOKEN))
    both = open_keyring(told)
    room = SealedRoom(blobs, PROOFS, both)
    assert await room.load("case", "paper") == (b"signed", "image/jpeg")
    await room.store("other", "paper", b"signed too", "image/jpeg")
    said: list[str] = []
    assert await rewrap_everything({PROOFS: room}, said.append)
    assert said == ["proofs: 2 wrapped keys, 1 wrapped again, 0 left", "Older wrapping keys can be taken away."]
    await both.check()
    file.unlink()
    by_service = open_keyring(told)
    assert await SealedRoom(blobs, PROOFS, by_service).load("case", "paper") == (b"signed", "image/jpeg")
    with pytest.raises(WrongWrappingKey):
        await SealedRoom(blobs, PROOFS, by_file).load("case", "paper")
    for ring in (both, by_service):
        await ring.close()


@pytest.mark.parametrize(("key", "token"), [("", TOKEN), ("consilium", "")])
def test_half_a_service_is_a_wrong_setting(key: str, token: str, tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match="KMS_KEY and KMS_TOKEN"):
        open_keyring(Told(tmp_path / "none", kms_url="http://127.0.0.1:9", kms_key=key, kms_token=SecretStr(token)))


async def test_what_no_key_opens_is_counted_and_the_rest_is_done() -> None:
    blobs = MemoryBlobs()
    for owner, key in (("a", OLD), ("b", b"lost" * 8), ("c", NEW), ("d", OLD)):
        await SealedRoom(blobs, PROOFS, HeldKeys([key])).store(owner, "paper", b"x", "image/jpeg")
    await blobs.put(PROOFS, "e/key", b"no record")
    told = await rewrap_all(SealedRoom(blobs, PROOFS, HeldKeys([NEW, OLD])))
    assert (told.records, told.done, told.stuck, told.settled) == (5, 2, ("b", "e"), True)
    said: list[str] = []
    assert not await rewrap_everything({PROOFS: SealedRoom(blobs, PROOFS, HeldKeys([NEW]))}, said.append)
    assert said[:3] == ["proofs: 5 wrapped keys, 0 wrapped again, 2 left", "  left: b", "  left: e"]


async def test_a_service_that_never_reads_the_new_key_is_told_of() -> None:
    class Stubborn:
        async def owners(self) -> list[str]:
            return ["a"]

        async def rewrap(self, owner_id: str) -> Rewrap:
            return Rewrap.DONE

    said: list[str] = []
    assert not await rewrap_everything({"proofs": Stubborn()}, said.append)
    assert "  a service still wraps with an older key: has it read the new one?" in said
