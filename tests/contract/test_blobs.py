"""One suite for the object store: the fake that unit tests use, and the real one."""

import asyncio
import os
import time

import pytest
from pydantic import SecretStr

from deploy.local import Platform
from shared.blobs import (
    RAW,
    TEXTS,
    BlobMissing,
    Blobs,
    BlobsAway,
    BlobsRefused,
    ObjectStore,
)
from tests.stores import Access


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


async def test_what_was_read_is_replaced_only_while_it_is_the_same(blobs: ObjectStore, case_id: str) -> None:
    place = f"{case_id}/k"
    await blobs.put(TEXTS, place, b"first")
    data, tag = await blobs.get_with_tag(TEXTS, place)
    assert data == b"first"
    assert await blobs.put_if_unchanged(TEXTS, place, b"second", tag)
    assert not await blobs.put_if_unchanged(TEXTS, place, b"third", tag)
    assert await blobs.get(TEXTS, place) == b"second"
    _, tag = await blobs.get_with_tag(TEXTS, place)
    await blobs.delete(TEXTS, place)
    assert not await blobs.put_if_unchanged(TEXTS, place, b"back", tag)
    assert not await blobs.exists(TEXTS, place)
    with pytest.raises(BlobMissing):
        await blobs.get_with_tag(TEXTS, place)


async def test_of_several_replacements_one_wins(blobs: ObjectStore, case_id: str) -> None:
    place = f"{case_id}/k"
    await blobs.put(TEXTS, place, b"old")
    _, tag = await blobs.get_with_tag(TEXTS, place)
    won = await asyncio.gather(*(blobs.put_if_unchanged(TEXTS, place, b"%d" % i, tag) for i in range(8)))
    assert won.count(True) == 1
    assert await blobs.get(TEXTS, place) == b"%d" % won.index(True)


async def test_a_replacement_never_brings_back_what_was_deleted(blobs: ObjectStore, case_id: str) -> None:
    for turn in range(100):
        place = f"{case_id}/{turn}"
        await blobs.put(TEXTS, place, b"old")
        _, tag = await blobs.get_with_tag(TEXTS, place)
        await asyncio.gather(
            *(blobs.put_if_unchanged(TEXTS, place, b"new %d" % i, tag) for i in range(3)), blobs.delete(TEXTS, place)
        )
        assert not await blobs.exists(TEXTS, place), f"it came back at turn {turn}"


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
