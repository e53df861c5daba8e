"""One suite for the object store: the fake that unit tests use, and the real one. Then the room of originals."""

import asyncio
import base64
import json
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy.local import Platform
from shared.blobs import (
    RAW,
    REDACTED,
    TEXTS,
    BlobBroken,
    BlobMissing,
    Blobs,
    BlobsAway,
    BlobsRefused,
    ObjectStore,
    RawRoom,
    WrongWrappingKey,
    load_wrapping_key,
    raw_data_key,
    raw_key,
)
from shared.errors import dependency_is_away
from tests.memory_blobs import MemoryBlobs

JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF" + b"a picture of somebody" * 1000


@dataclass(frozen=True)
class Access:
    """What `Blobs` needs to know."""

    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: SecretStr
    s3_secure: bool = False


def access(platform: Platform, service: str) -> Access:
    if service == "admin":
        given = platform.provision_settings()
        return Access(platform.where().s3, given.admin_s3_access_key, given.admin_s3_secret_key)
    secret = platform.credentials.password(f"{service}_s3_secret_key")
    return Access(platform.where().s3, service, SecretStr(secret))


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.platform)])
def blobs(request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    if request.param == "memory":
        yield MemoryBlobs()
        return
    platform: Platform = request.getfixturevalue("platform")
    made = Blobs(access(platform, "admin"))  # what each service may do is another question, see below
    yield made
    made.close()


@pytest.fixture
def case_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def room(blobs: ObjectStore) -> RawRoom:
    return RawRoom(blobs, b"w" * 32)


async def test_what_is_put_is_got_and_put_again_replaces(blobs: ObjectStore, case_id: str) -> None:
    for data in (b"first", b"", os.urandom(3_000_000)):
        await blobs.put(TEXTS, f"{case_id}/1", data, "text/plain")
        assert await blobs.get(TEXTS, f"{case_id}/1") == data
        assert await blobs.exists(TEXTS, f"{case_id}/1")


async def test_what_is_not_there_is_missing(blobs: ObjectStore, case_id: str) -> None:
    with pytest.raises(BlobMissing):
        await blobs.get(TEXTS, f"{case_id}/1")
    with pytest.raises(BlobMissing):
        async for _ in blobs.stream(TEXTS, f"{case_id}/1"):
            pass
    assert not await blobs.exists(TEXTS, f"{case_id}/1")
    await blobs.delete(TEXTS, f"{case_id}/1")


async def test_of_several_conditional_writes_one_wins(blobs: ObjectStore, case_id: str) -> None:
    won = await asyncio.gather(*(blobs.put_if_absent(TEXTS, f"{case_id}/k", b"%d" % i) for i in range(8)))
    assert won.count(True) == 1
    assert await blobs.get(TEXTS, f"{case_id}/k") == b"%d" % won.index(True)


async def test_a_large_object_comes_in_chunks(blobs: ObjectStore, case_id: str) -> None:
    data = os.urandom(26_000_000)
    await blobs.put(RAW, f"{case_id}/p", data)
    chunks = [chunk async for chunk in blobs.stream(RAW, f"{case_id}/p", 1_000_000)]
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) <= 1_000_000
    await blobs.delete(RAW, f"{case_id}/p")


async def test_a_reader_who_leaves_early_blocks_nobody(blobs: ObjectStore, case_id: str) -> None:
    await blobs.put(TEXTS, f"{case_id}/p", os.urandom(2_000_000))
    for _ in range(20):  # more than there are connections
        stream = blobs.stream(TEXTS, f"{case_id}/p", 1000)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
    assert await blobs.exists(TEXTS, f"{case_id}/p")


async def test_a_prefix_lists_and_deletes_its_own_objects_only(blobs: ObjectStore, case_id: str) -> None:
    mine = [f"{case_id}/{name}" for name in ("a/1/0000-full", "a/1/manifest.json", "b")]
    other = f"{case_id}x/b"
    for key in (*mine, other):
        await blobs.put(TEXTS, key, b"1234")
    listed = await blobs.list_prefix(TEXTS, f"{case_id}/")
    assert [(entry.key, entry.size_bytes) for entry in listed] == [(key, 4) for key in sorted(mine)]
    assert all(abs(entry.modified.timestamp() - time.time()) < 600 for entry in listed)
    assert await blobs.delete_prefix(TEXTS, f"{case_id}/") == 3
    assert await blobs.list_prefix(TEXTS, f"{case_id}/") == []
    assert await blobs.exists(TEXTS, other)
    with pytest.raises(ValueError, match="/"):
        await blobs.delete_prefix(TEXTS, case_id)
    await blobs.delete(TEXTS, other)


async def test_ping_answers_for_a_bucket_that_is_there(blobs: ObjectStore) -> None:
    await blobs.ping(RAW)
    with pytest.raises(BlobsRefused):
        await blobs.ping("no-such-bucket")


async def test_an_original_comes_back_as_it_was(room: RawRoom, case_id: str) -> None:
    await room.store(case_id, "p1", JPEG, "image/jpeg")
    await room.store(case_id, "p2", b"", "image/png")
    assert await room.load(case_id, "p1") == JPEG
    assert await room.load(case_id, "p2") == b""
    assert await room.exists(case_id, "p1")
    await room.remove(case_id, "p1")
    assert not await room.exists(case_id, "p1")
    assert await room.load(case_id, "p2") == b""


async def test_two_first_originals_at_once_share_one_key(blobs: ObjectStore, case_id: str) -> None:
    rooms = [RawRoom(blobs, b"w" * 32) for _ in range(6)]
    await asyncio.gather(*(one.store(case_id, f"p{i}", b"%d" % i, "image/png") for i, one in enumerate(rooms)))
    assert [await rooms[0].load(case_id, f"p{i}") for i in range(6)] == [b"%d" % i for i in range(6)]


async def test_what_was_forgotten_cannot_be_read_even_from_a_copy(
    blobs: ObjectStore, room: RawRoom, case_id: str
) -> None:
    await room.store(case_id, "p1", JPEG, "image/jpeg")
    copy = await blobs.get(RAW, raw_key(case_id, "p1"))
    await room.forget(case_id)
    await room.forget(case_id)
    assert await blobs.list_prefix(RAW, f"{case_id}/") == []
    await blobs.put(RAW, raw_key(case_id, "p1"), copy)
    assert not await room.exists(case_id, "p1")
    with pytest.raises(BlobMissing):
        await room.load(case_id, "p1")
    await room.store(case_id, "p2", b"new", "image/png")  # makes a new key
    with pytest.raises(BlobBroken):
        await room.load(case_id, "p1")


async def test_an_original_is_bound_to_its_case_and_name(blobs: ObjectStore, room: RawRoom, case_id: str) -> None:
    await room.store(case_id, "p1", JPEG, "image/jpeg")
    sealed = await blobs.get(RAW, raw_key(case_id, "p1"))
    other = str(uuid.uuid4())
    await room.store(other, "p0", b"x", "image/png")
    flipped = bytearray(sealed)
    flipped[-1] ^= 1
    retyped = sealed.replace(b"image/jpeg", b"image/tiff", 1)
    for case, name, data in (
        (case_id, "p2", sealed),
        (other, "p1", sealed),
        (case_id, "p1", bytes(flipped)),
        (case_id, "p1", retyped),
        (case_id, "p1", sealed[:-1]),
        (case_id, "p1", sealed[:20]),
        (case_id, "p1", JPEG),
        (case_id, "p1", b""),
    ):
        await blobs.put(RAW, raw_key(case, name), data)
        with pytest.raises(BlobBroken):
            await room.load(case, name)
    await blobs.put(RAW, raw_data_key(other), await blobs.get(RAW, raw_data_key(case_id)))
    with pytest.raises(BlobBroken):
        await room.load(other, "p0")


async def test_another_wrapping_key_is_a_wrong_deployment_not_a_broken_object(
    blobs: ObjectStore, room: RawRoom, case_id: str
) -> None:
    await room.store(case_id, "p1", JPEG, "image/jpeg")
    stranger = RawRoom(blobs, b"x" * 32)
    with pytest.raises(WrongWrappingKey) as wrong:
        await stranger.load(case_id, "p1")
    assert dependency_is_away(wrong.value)


def test_a_wrapping_key_file_holds_32_bytes_in_base64(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(base64.b64encode(b"k" * 32).decode() + "\n")
    assert load_wrapping_key(file) == b"k" * 32
    for wrong in ("", "short", base64.b64encode(b"k" * 31).decode()):
        file.write_text(wrong)
        with pytest.raises(ValueError, match=r"32|base64|padded|padding"):
            load_wrapping_key(file)


@pytest.mark.platform
async def test_at_rest_there_is_no_picture_and_no_bare_key(platform: Platform, case_id: str) -> None:
    blobs = Blobs(access(platform, "ingest"))
    room = RawRoom(blobs, b"w" * 32)
    await room.store(case_id, "p1", JPEG, "image/jpeg")
    admin = platform.admin_s3()
    key, sealed = (admin.get_object(RAW, name).read() for name in (raw_data_key(case_id), raw_key(case_id, "p1")))
    assert b"\xff\xd8\xff" not in sealed
    assert b"JFIF" not in sealed
    assert b"somebody" not in sealed
    record = json.loads(key)
    assert base64.b64decode(record["wrapped_key"]) != b"w" * 32
    assert len(base64.b64decode(record["wrapped_key"])) == 48
    blobs.close()


@pytest.mark.platform
@pytest.mark.parametrize("service", ["moderation", "feed", "identity"])
async def test_other_services_cannot_touch_the_raw_room(platform: Platform, service: str, case_id: str) -> None:
    owner, stranger = Blobs(access(platform, "ingest")), Blobs(access(platform, service))
    await RawRoom(owner, b"w" * 32).store(case_id, "p1", JPEG, "image/jpeg")
    for attempt in (
        stranger.get(RAW, raw_key(case_id, "p1")),
        stranger.get(RAW, raw_data_key(case_id)),
        stranger.list_prefix(RAW),
        stranger.put(RAW, raw_key(case_id, "p1"), b"x"),
        stranger.delete(RAW, raw_key(case_id, "p1")),
        stranger.put(REDACTED, f"{case_id}/x", b"x"),
    ):
        with pytest.raises(BlobsRefused):
            await attempt
    owner.close()
    stranger.close()


@pytest.mark.platform
async def test_ingest_fills_the_room_and_only_the_redactor_can_read_it(platform: Platform, case_id: str) -> None:
    mine, theirs = Blobs(access(platform, "ingest")), Blobs(access(platform, "redactor"))
    writer, reader = RawRoom(mine, b"w" * 32), RawRoom(theirs, b"w" * 32)
    await writer.store(case_id, "p1", JPEG, "image/jpeg")
    await writer.store(case_id, "p2", b"second", "image/jpeg")
    assert await reader.load(case_id, "p1") == JPEG
    assert await reader.load(case_id, "p2") == b"second"
    with pytest.raises(BlobsRefused):
        await writer.load(case_id, "p1")
    await mine.ping(RAW)
    await writer.forget(case_id)
    assert await mine.list_prefix(RAW, f"{case_id}/") == []
    mine.close()
    theirs.close()


@pytest.mark.platform
async def test_a_wrong_secret_is_refused(platform: Platform) -> None:
    blobs = Blobs(Access(platform.where().s3, "ingest", SecretStr("wrong")))
    with pytest.raises(BlobsRefused):
        await blobs.get(TEXTS, "any")
    with pytest.raises(BlobsRefused):
        await blobs.put_if_absent(TEXTS, "any", b"x")
    blobs.close()


async def test_a_store_that_does_not_answer_is_away_within_seconds() -> None:
    blobs = Blobs(Access("127.0.0.1:9", "ingest", SecretStr("any")))
    started = time.monotonic()
    for attempt in (blobs.get(RAW, "x"), blobs.put(RAW, "x", b""), blobs.put_if_absent(RAW, "x", b""), blobs.ping()):
        with pytest.raises(BlobsAway):
            await attempt
    assert time.monotonic() - started < 15
    blobs.close()
