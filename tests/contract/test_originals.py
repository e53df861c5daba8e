"""The room of original pictures, in the fake store and in the real one."""

import asyncio
import base64
import json
import uuid

import pytest

from deploy.local import Platform
from shared.blobs import (
    RAW,
    REDACTED,
    BlobBroken,
    BlobMissing,
    Blobs,
    BlobsRefused,
    ObjectStore,
    raw_data_key,
    raw_key,
)
from shared.errors import dependency_is_away
from shared.keyring import HeldKeys, WrongWrappingKey
from shared.originals import RawRoom
from tests.stores import access

JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF" + b"a picture of somebody" * 1000


def room_in(blobs: ObjectStore, key: bytes = b"w") -> RawRoom:
    return RawRoom(blobs, HeldKeys([key * 32]))


@pytest.fixture
def room(blobs: ObjectStore) -> RawRoom:
    return room_in(blobs)


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
    rooms = [room_in(blobs) for _ in range(6)]
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
    stranger = room_in(blobs, b"x")
    with pytest.raises(WrongWrappingKey) as wrong:
        await stranger.load(case_id, "p1")
    assert dependency_is_away(wrong.value)


@pytest.mark.platform
async def test_at_rest_there_is_no_picture_and_no_bare_key(platform: Platform, case_id: str) -> None:
    blobs = Blobs(access(platform, "ingest"))
    room = room_in(blobs)
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
    await room_in(owner).store(case_id, "p1", JPEG, "image/jpeg")
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
    writer, reader = room_in(mine), room_in(theirs)
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
