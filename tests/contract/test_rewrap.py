"""Rotation of the wrapping key on the real platform, by the commands that an operator runs."""

import asyncio
import base64
import os
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local import Platform
from shared.blobs import CREDENTIALS, PROOFS, Blobs, BlobsRefused
from shared.keyring import FileKeyRing, HeldKeys, WrongWrappingKey
from shared.mongo import Mongo
from shared.originals import RawRoom
from shared.sealed import SealedField, SealedRoom
from shared.sealed_fields import SealedFields
from shared.wrapping import rewrap_all
from tests.stores import access

pytestmark = pytest.mark.platform

OLD, NEW = b"o" * 32, b"n" * 32


def written(*keys: bytes) -> str:
    return "".join(base64.b64encode(key).decode() + "\n" for key in keys)


@pytest.fixture
async def database(platform: Platform) -> AsyncIterator[Mongo]:
    mongo = Mongo(platform.admin_mongo_uri, f"identity_test_{uuid.uuid4().hex[:8]}")
    yield mongo
    await mongo.db.client.drop_database(mongo.db.name)
    mongo.close()


async def run_rewrap(platform: Platform, service: str, key_file: Path, **more: str) -> tuple[list[str], int]:
    """What the command says, and its exit status. Other tests' records, under other keys, are told as left."""
    prefix = service.upper()
    told = {f"{prefix}_WRAPPING_KEY_FILE": str(key_file)} | {f"{prefix}_{name}": value for name, value in more.items()}
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"services.{service}", "rewrap",
        env={**os.environ, **platform.service_env(service), **told},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await command.communicate()
    assert command.returncode in (0, 1), err.decode()
    return out.decode().splitlines(), command.returncode or 0


async def test_originals_are_taken_and_read_while_their_wrapping_key_is_rotated(
    platform: Platform, case_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "wrapping_key"
    file.write_text(written(OLD))
    ingests, redactors = Blobs(access(platform, "ingest")), Blobs(access(platform, "redactor"))
    writer, reader = RawRoom(ingests, FileKeyRing(file)), RawRoom(redactors, FileKeyRing(file))
    proofs = SealedRoom(ingests, PROOFS, FileKeyRing(file))
    stored: list[str] = []
    begun, enough = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        while not enough.is_set():
            owner = f"{case_id}-{len(stored)}"
            await writer.store(owner, "p1", owner.encode(), "image/jpeg")
            await proofs.store(owner, "paper", b"signed", "image/jpeg")
            stored.append(owner)
            for seen in {stored[0], owner}:
                assert await reader.load(seen, "p1") == seen.encode()
                assert await proofs.load(seen, "paper") == (b"signed", "image/jpeg")
            if len(stored) == 10:
                begun.set()

    async def rotate() -> None:
        await begun.wait()
        file.write_text(written(NEW, OLD))
        said, _ = await run_rewrap(platform, "ingest", file)
        # A service looks at the file once a second; by the end of one run all have, and a second finds the rest.
        said += (await run_rewrap(platform, "ingest", file))[0]
        assert not [line for line in said if line.removeprefix("  left: ") in stored]
        assert {line.partition(":")[0] for line in said} >= {"cases-raw", "proofs", "sealed fields"}
        file.write_text(written(NEW))
        enough.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        group.create_task(rotate())
    assert len(stored) > 10, "work went on"
    fresh = RawRoom(redactors, FileKeyRing(file))
    removed, removed_proofs = RawRoom(redactors, HeldKeys([OLD])), SealedRoom(ingests, PROOFS, HeldKeys([OLD]))
    for owner in stored:
        assert await fresh.load(owner, "p1") == owner.encode()
        with pytest.raises(WrongWrappingKey):
            await removed.load(owner, "p1")
        with pytest.raises(WrongWrappingKey):
            await removed_proofs.load(owner, "paper")
        await writer.forget(owner)
        await proofs.forget(owner)
    for blobs in (ingests, redactors):
        blobs.close()


async def test_identitys_command_wraps_documents_and_fields_again(
    platform: Platform, database: Mongo, case_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "wrapping_key"
    file.write_text(written(NEW, OLD))
    blobs = Blobs(access(platform, "identity"))
    before, after = HeldKeys([OLD]), HeldKeys([NEW])
    await SealedRoom(blobs, CREDENTIALS, before).store(case_id, "diploma", b"of somebody", "application/pdf")
    field = await SealedField(before).seal(case_id, "civil_name", b"somebody")
    await database.db["verifications"].insert_one({"_id": case_id, "civil_name": field})
    said, _ = await run_rewrap(
        platform, "identity", file, MONGO_URI=platform.admin_mongo_uri, MONGO_DATABASE=database.db.name
    )
    assert f"  left: {case_id}" not in said
    assert "sealed fields: 1 wrapped keys, 1 wrapped again, 0 left" in said
    assert (await SealedRoom(blobs, CREDENTIALS, after).load(case_id, "diploma"))[0] == b"of somebody"
    found = await database.db["verifications"].find_one({"_id": case_id})
    assert found is not None
    assert await SealedField(after).open(case_id, "civil_name", found["civil_name"]) == b"somebody"
    with pytest.raises(WrongWrappingKey):
        await SealedField(before).open(case_id, "civil_name", found["civil_name"])
    await SealedRoom(blobs, CREDENTIALS, after).forget(case_id)
    blobs.close()


async def test_sealed_fields_are_found_wherever_they_are(database: Mongo) -> None:
    before, both, after = (SealedField(HeldKeys(keys)) for keys in ([OLD], [NEW, OLD], [NEW]))
    name, seed, spare, moved = [
        await before.seal("m1", field, field.encode()) for field in ("name", "seed", "spare", "another")
    ]
    await database.db["a"].insert_many(
        [{"_id": "m1", "name": name, "none": None}, {"_id": "m2", "name": await after.seal("m2", "name", b"x")}]
    )
    await database.db["b"].insert_one({"_id": "m1", "factor": {"seed": seed}, "list": [1, {"spare": spare}, moved]})
    told = await rewrap_all(SealedFields(database, both))
    assert (told.records, told.done, told.settled) == (5, 3, True)
    assert told.stuck == ("b m1 list.2",), "sealed under another name than its own: nobody could open it"
    of_a, of_b = await database.db["a"].find_one({"_id": "m1"}), await database.db["b"].find_one({"_id": "m1"})
    assert of_a is not None
    assert of_b is not None
    assert await after.open("m1", "name", of_a["name"]) == b"name"
    assert await after.open("m1", "seed", of_b["factor"]["seed"]) == b"seed"
    assert await after.open("m1", "spare", of_b["list"][1]["spare"]) == b"spare"


async def test_a_field_removed_or_sealed_anew_meanwhile_is_not_brought_back(database: Mongo) -> None:
    documents, before, after = database.db["a"], SealedField(HeldKeys([OLD])), SealedField(HeldKeys([NEW, OLD]))
    await documents.insert_one({"_id": "gone", "name": await before.seal("gone", "name", b"x")})
    first = await before.seal("anew", "name", b"first")
    await documents.insert_one({"_id": "anew", "name": first})
    renewed = await before.seal("anew", "name", b"second")

    class Meanwhile(SealedField):
        async def rewrap(self, owner_id: str, name: str, field: dict[str, object]) -> dict[str, object] | None:
            newer = await super().rewrap(owner_id, name, field)
            await documents.update_one({"_id": "gone"}, {"$unset": {"name": ""}})
            await documents.update_one({"_id": "anew", "name": first}, {"$set": {"name": renewed}})
            return newer

    told = await rewrap_all(SealedFields(database, Meanwhile(HeldKeys([NEW, OLD]))))
    assert told.stuck == ()
    assert await documents.find_one({"_id": "gone"}) == {"_id": "gone"}
    found = await documents.find_one({"_id": "anew"})
    assert found is not None
    assert await after.open("anew", "name", found["name"]) == b"second"
    assert found["name"]["key_id"] == HeldKeys([NEW]).current_id


async def test_credentials_are_identitys_and_proofs_are_ingests(platform: Platform, case_id: str) -> None:
    owners = {CREDENTIALS: "identity", PROOFS: "ingest"}
    for bucket, owner in owners.items():
        blobs = Blobs(access(platform, owner))
        room = SealedRoom(blobs, bucket, HeldKeys([OLD]))
        await room.store(case_id, "paper", b"signed", "image/jpeg")
        for service in ("identity", "ingest", "redactor", "moderation", "feed"):
            if service == owner:
                continue
            stranger = Blobs(access(platform, service))
            for attempt in (
                stranger.get(bucket, f"{case_id}/paper"),
                stranger.get(bucket, f"{case_id}/key"),
                stranger.list_prefix(bucket),
                stranger.put(bucket, f"{case_id}/paper", b"x"),
                stranger.delete(bucket, f"{case_id}/key"),
            ):
                with pytest.raises(BlobsRefused):
                    await attempt
            stranger.close()
        assert await room.load(case_id, "paper") == (b"signed", "image/jpeg")
        await room.forget(case_id)
        assert await blobs.list_prefix(bucket, f"{case_id}/") == []
        blobs.close()
