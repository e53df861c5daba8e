"""Sealed rooms, in the fake store and in the real one, and sealed fields."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from shared.blobs import CREDENTIALS, PROOFS, RAW, BlobBroken, BlobMissing, ObjectStore, raw_data_key, raw_key
from shared.keyring import FileKeyRing, HeldKeys, Wrapped, WrongWrappingKey
from shared.originals import RawRoom
from shared.sealed import KEY_ITEM, Rewrap, SealedField, SealedRoom, TooLarge
from tests.memory_blobs import MemoryBlobs

OLD, NEW = b"o" * 32, b"n" * 32

# Written by the room of originals when there was one wrapping key only: 32 times "w".
KEY_RECORD_BEFORE = (
    b"{"
    b'"version": 1,'
    b'"algorithm": "AES-256-GCM",'
    b'"wrapping_key_id": "f35c89c5847eb4da",'
    b'"nonce": "KKC9QsXtAsUapyXs",'
    b'"wrapped_key": "1PDTEPJEnEs4hDqrHARXyovRMWMuLWHMQnrsZEuXOZATQ3L3M/PF8WNiG44cFecT"'
    b"}"
)
ORIGINAL_BEFORE = "Q1IxCmltYWdlL2pwZWcTbrf6jFlxmg07nAbthR4IiKNQBHk48/UXZ6EYEioUnF9WGsZV2ZM="


@pytest.fixture
def room(blobs: ObjectStore) -> SealedRoom:
    return SealedRoom(blobs, PROOFS, HeldKeys([OLD]))


def written(*keys: bytes) -> str:
    return "".join(base64.b64encode(key).decode() + "\n" for key in keys)


async def test_an_object_comes_back_with_its_media_type(room: SealedRoom, blobs: ObjectStore, case_id: str) -> None:
    await room.store(case_id, "signature", b"<svg/>", "image/svg+xml")
    await room.store(case_id, "paper", b"", "image/jpeg")
    assert await room.load(case_id, "signature") == (b"<svg/>", "image/svg+xml")
    assert await room.load(case_id, "paper") == (b"", "image/jpeg")
    assert b"<svg/>" not in await blobs.get(PROOFS, f"{case_id}/signature")
    await room.remove(case_id, "signature")
    assert not await room.exists(case_id, "signature")
    with pytest.raises(BlobMissing):
        await room.load(case_id, "signature")
    assert await room.exists(case_id, "paper")
    await room.forget(case_id)


async def test_what_was_forgotten_opens_from_no_copy(room: SealedRoom, blobs: ObjectStore, case_id: str) -> None:
    await room.store(case_id, "paper", b"signed", "image/jpeg")
    copy = await blobs.get(PROOFS, f"{case_id}/paper")
    await room.forget(case_id)
    assert await blobs.list_prefix(PROOFS, f"{case_id}/") == []
    await blobs.put(PROOFS, f"{case_id}/paper", copy)
    with pytest.raises(BlobMissing):
        await room.load(case_id, "paper")
    await room.store(case_id, "other", b"x", "image/jpeg")  # makes a new key
    with pytest.raises(BlobBroken):
        await room.load(case_id, "paper")
    await room.forget(case_id)


async def test_a_key_opens_in_its_own_room_only(blobs: ObjectStore, case_id: str) -> None:
    proofs, credentials = (SealedRoom(blobs, bucket, HeldKeys([OLD])) for bucket in (PROOFS, CREDENTIALS))
    await proofs.store(case_id, "paper", b"signed", "image/jpeg")
    for item in ("paper", KEY_ITEM):
        await blobs.put(CREDENTIALS, f"{case_id}/{item}", await blobs.get(PROOFS, f"{case_id}/{item}"))
    with pytest.raises(BlobBroken):
        await credentials.load(case_id, "paper")
    await proofs.forget(case_id)
    await credentials.forget(case_id)


async def test_a_room_takes_and_gives_no_more_than_it_says(blobs: ObjectStore, case_id: str) -> None:
    room = SealedRoom(blobs, PROOFS, HeldKeys([OLD]), max_bytes=1000)
    await room.store(case_id, "paper", b"x" * 1000, "image/jpeg")
    assert len((await room.load(case_id, "paper"))[0]) == 1000
    with pytest.raises(TooLarge):
        await room.store(case_id, "paper", b"x" * 1001, "image/jpeg")
    await SealedRoom(blobs, PROOFS, HeldKeys([OLD])).store(case_id, "large", b"x" * 5000, "image/jpeg")
    with pytest.raises(BlobBroken):
        await room.load(case_id, "large")
    await room.forget(case_id)


async def test_no_more_objects_are_in_work_than_the_room_says(case_id: str) -> None:
    class Counting(MemoryBlobs):
        busy = most = 0

        async def put(self, bucket: str, key: str, data: bytes, media_type: str = "") -> None:
            self.busy += 1
            self.most = max(self.most, self.busy)
            await asyncio.sleep(0)  # a turn of the loop for all others, and no time
            await super().put(bucket, key, data, media_type)
            self.busy -= 1

    counting = Counting()
    room = SealedRoom(counting, PROOFS, HeldKeys([OLD]), at_once=2)
    await asyncio.gather(*(room.store(case_id, f"p{i}", b"x", "image/jpeg") for i in range(10)))
    assert counting.most == 2


@pytest.mark.parametrize(("owner", "item"), [("a/b", "c"), ("a", "b/c"), ("", "c"), ("a", ""), ("a", "key")])
async def test_an_id_is_one_step_and_no_key(owner: str, item: str) -> None:
    room = SealedRoom(MemoryBlobs(), PROOFS, HeldKeys([OLD]))
    with pytest.raises(ValueError, match=r"id|key"):
        await room.store(owner, item, b"x", "image/jpeg")
    with pytest.raises(ValueError, match=r"id|key"):
        await SealedField(HeldKeys([OLD])).seal(owner, item, b"x")


async def test_originals_stored_before_there_were_rings_still_open() -> None:
    blobs, case_id = MemoryBlobs(), "11111111-1111-4111-8111-111111111111"
    await blobs.put(RAW, raw_data_key(case_id), KEY_RECORD_BEFORE)
    await blobs.put(RAW, raw_key(case_id, "p1"), base64.b64decode(ORIGINAL_BEFORE))
    room = RawRoom(blobs, HeldKeys([b"n" * 32, b"w" * 32]))
    assert await room.load(case_id, "p1") == b"an original"
    assert await room.rewrap(case_id) is Rewrap.DONE
    assert await RawRoom(blobs, HeldKeys([b"n" * 32])).load(case_id, "p1") == b"an original"


async def test_after_wrapping_again_the_old_key_opens_nothing(blobs: ObjectStore, case_id: str) -> None:
    await SealedRoom(blobs, PROOFS, HeldKeys([OLD])).store(case_id, "paper", b"signed", "image/jpeg")
    sealed = await blobs.get(PROOFS, f"{case_id}/paper")
    both = SealedRoom(blobs, PROOFS, HeldKeys([NEW, OLD]))
    assert await both.rewrap(case_id) is Rewrap.DONE
    assert await both.rewrap(case_id) is Rewrap.CURRENT
    assert case_id in await both.owners()
    assert await SealedRoom(blobs, PROOFS, HeldKeys([NEW])).load(case_id, "paper") == (b"signed", "image/jpeg")
    with pytest.raises(WrongWrappingKey):
        await SealedRoom(blobs, PROOFS, HeldKeys([OLD])).load(case_id, "paper")
    with pytest.raises(WrongWrappingKey):
        await SealedRoom(blobs, PROOFS, HeldKeys([OLD])).rewrap(case_id)
    assert await blobs.get(PROOFS, f"{case_id}/paper") == sealed, "only the key record changes"
    await both.forget(case_id)
    assert await both.rewrap(case_id) is Rewrap.GONE
    assert case_id not in await both.owners()


class Pausing(HeldKeys):
    """A ring at which somebody else may act between the reading of a record and its replacement."""

    async def rewrap(self, wrapped: Wrapped, bound: bytes) -> Wrapped | None:
        newer = await super().rewrap(wrapped, bound)
        await self.meanwhile()
        return newer

    async def meanwhile(self) -> None:
        raise NotImplementedError


async def test_a_key_forgotten_while_it_is_wrapped_again_stays_forgotten(blobs: ObjectStore, case_id: str) -> None:
    ring = Pausing([NEW, OLD])
    room = SealedRoom(blobs, PROOFS, ring)
    await SealedRoom(blobs, PROOFS, HeldKeys([OLD])).store(case_id, "paper", b"signed", "image/jpeg")
    ring.meanwhile = lambda: room.forget(case_id)  # type: ignore[method-assign]
    assert await room.rewrap(case_id) is Rewrap.GONE
    assert await blobs.list_prefix(PROOFS, f"{case_id}/") == []


async def test_a_key_made_anew_while_the_old_is_wrapped_again_is_not_overwritten(
    blobs: ObjectStore, case_id: str
) -> None:
    ring = Pausing([NEW, OLD])
    room, before = SealedRoom(blobs, PROOFS, ring), SealedRoom(blobs, PROOFS, HeldKeys([OLD]))
    await before.store(case_id, "paper", b"signed", "image/jpeg")
    turns = iter(range(2))

    async def forget_and_store_again() -> None:
        if next(turns) == 0:
            await before.forget(case_id)
            await before.store(case_id, "other", b"signed again", "image/jpeg")

    ring.meanwhile = forget_and_store_again  # type: ignore[method-assign]
    assert await room.rewrap(case_id) is Rewrap.DONE
    assert await room.load(case_id, "other") == (b"signed again", "image/jpeg")
    await room.forget(case_id)


async def test_forgetting_and_wrapping_again_at_once_leaves_nothing(blobs: ObjectStore, case_id: str) -> None:
    before = SealedRoom(blobs, PROOFS, HeldKeys([OLD]))
    rooms = [SealedRoom(blobs, PROOFS, HeldKeys([bytes([i]) * 32, OLD])) for i in range(3)]
    for turn in range(40):
        owner = f"{case_id}-{turn}"
        await before.store(owner, "paper", b"signed", "image/jpeg")
        ended = await asyncio.gather(
            *(one.rewrap(owner) for one in rooms), before.forget(owner), return_exceptions=True
        )
        # A ring of the three may meet a record of another one, whose key it does not hold.
        assert all(isinstance(one, Rewrap | WrongWrappingKey | None) for one in ended), ended
        assert await blobs.list_prefix(PROOFS, f"{owner}/") == [], f"something came back at turn {turn}"


async def test_services_go_on_while_the_wrapping_key_is_rotated(
    blobs: ObjectStore, case_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "wrapping_key"
    file.write_text(written(OLD))
    writer, reader = (RawRoom(blobs, FileKeyRing(file, look_every_s=0)) for _ in range(2))  # ingest and redactor
    stored: list[str] = []
    begun, rotated = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        for turn in range(10_000):
            owner = f"{case_id}-{turn}"
            await writer.store(owner, "p1", owner.encode(), "image/jpeg")
            stored.append(owner)
            for seen in {stored[0], stored[-1]}:
                assert await reader.load(seen, "p1") == seen.encode()
            if turn == 5:
                begun.set()
            if rotated.is_set():
                return

    async def rotate() -> None:
        await begun.wait()
        file.write_text(written(NEW, OLD))
        operator = RawRoom(blobs, FileKeyRing(file))
        wrapped_again = 0
        while owners := [owner for owner in await operator.sealed.owners() if owner.startswith(case_id)]:
            done = [await operator.rewrap(owner) for owner in owners].count(Rewrap.DONE)
            wrapped_again += done
            if not done:
                break
        assert wrapped_again >= 5
        file.write_text(written(NEW))
        rotated.set()

    await asyncio.gather(work(), rotate())
    removed = RawRoom(blobs, HeldKeys([OLD]))
    for owner in stored:
        assert await reader.load(owner, "p1") == owner.encode()
        with pytest.raises(WrongWrappingKey):
            await removed.load(owner, "p1")
        await writer.forget(owner)


async def test_a_sealed_field_opens_for_its_owner_and_name() -> None:
    fields = SealedField(HeldKeys([OLD]))
    field = await fields.seal("m1", "civil_name", "Zoé Lefèvre".encode())
    assert await fields.open("m1", "civil_name", field) == "Zoé Lefèvre".encode()
    assert "Zoé".encode() not in b"".join((field["sealed"], field["wrapped_key"]))
    for owner, name, changed in (
        ("m2", "civil_name", field),
        ("m1", "totp", field),
        ("m1", "civil_name", field | {"sealed": field["sealed"][:-1]}),
        ("m1", "civil_name", field | {"sealed": b""}),
        ("m1", "civil_name", field | {"wrapped_key": b""}),
        ("m1", "civil_name", {"key_id": field["key_id"]}),
    ):
        with pytest.raises(BlobBroken):
            await fields.open(owner, name, changed)
    with pytest.raises(WrongWrappingKey):
        await SealedField(HeldKeys([NEW])).open("m1", "civil_name", field)


async def test_a_sealed_field_is_wrapped_again_without_a_change_of_the_secret() -> None:
    field = await SealedField(HeldKeys([OLD])).seal("m1", "totp", b"seed")
    both = SealedField(HeldKeys([NEW, OLD]))
    newer = await both.rewrap("m1", "totp", field)
    assert newer is not None
    assert newer["sealed"] == field["sealed"]
    assert await both.rewrap("m1", "totp", newer) is None
    assert await SealedField(HeldKeys([NEW])).open("m1", "totp", newer) == b"seed"
    with pytest.raises(BlobBroken):
        await both.rewrap("m2", "totp", field)


async def test_a_key_record_that_is_none_is_broken(room: SealedRoom, blobs: ObjectStore, case_id: str) -> None:
    await room.store(case_id, "paper", b"signed", "image/jpeg")
    record: dict[str, Any] = json.loads(await blobs.get(PROOFS, f"{case_id}/key"))
    for spoilt in (b"", b"[]", b"\xff", json.dumps(record | {"nonce": "AAAA"}).encode(), b'{"version": 1}'):
        await blobs.put(PROOFS, f"{case_id}/key", spoilt)
        with pytest.raises(BlobBroken):
            await room.load(case_id, "paper")
    await room.forget(case_id)
