"""Taking along what is held about oneself, and leaving, over the real MongoDB."""

import io
import json
import time
import uuid
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from deploy.local import Platform
from services.identity.domain.letters import Letter
from services.identity.domain.verification import CivilName, Method, Number, Verification
from services.identity.store.leaving import HELD
from services.identity.store.mails import Mails
from shared.bus import Received
from shared.events import BlocksChanged, MemberStatus
from shared.keyring import HeldKeys
from shared.sealed import SealedField
from tests.identity_people import NOW, Village, Villager, open_village, slug

pytestmark = pytest.mark.platform
GRACE = timedelta(days=30)


@pytest.fixture
async def village(platform: Platform) -> AsyncIterator[Village]:
    async with open_village(platform) as made:
        yield made


async def full_life(village: Village) -> tuple[Villager, Villager, Villager]:
    """A member of whom every collection keeps something, a friend, and somebody who has blocked the member."""
    member, friend, foe = [await village.person() for _ in range(3)]
    for one in (member, friend):
        await one.writes(skills=[{"code": "fertility"}], place={"town": "Bordeaux"})
    await member.do("PUT", f"/members/{friend.id}/skills/fertility/confirmation")
    await friend.do("PUT", f"/members/{member.id}/skills/fertility/confirmation")
    await member.do("PUT", f"/me/contacts/{friend.id}")
    await friend.do("PUT", f"/me/contacts/{member.id}")
    await foe.do("PUT", f"/me/blocks/{member.id}")
    await member.do("PUT", f"/me/blocks/{foe.id}")
    number = Number("rpps", str(uuid.uuid4().int)[:11])
    verified = Verification(member.id, Method.REGISTRY, NOW, NOW, registry="rpps", next_check_at=NOW)
    await village.verifications.confirm(
        verified, lambda account: account.checked(NOW), number=number, name=CivilName("Lœuvre", "Zoé", ("Beaulieu",))
    )
    db = village.mongo.db
    later = NOW + timedelta(days=10_000)
    await db["sessions"].insert_one(
        {"_id": uuid.uuid4().hex, "member_id": member.id, "current": uuid.uuid4().hex, "device": "Firefox, Linux",
         "expires_at": later}
    )  # fmt: skip
    await db["tickets"].insert_one({"_id": uuid.uuid4().hex, "member_id": member.id, "expires_at": later, "data": {}})
    await db["factors"].insert_one({"_id": member.id, "version": 1, "totp": {"sealed": "secret", "added_at": NOW}})
    await db["psc_logins"].insert_one({"_id": uuid.uuid4().hex, "member_id": member.id, "expires_at": later})
    await db["credential_applications"].insert_one(
        {"_id": uuid.uuid4().hex, "member_id": member.id, "state": "waiting", "documents": [{"kind": "diploma"}]}
    )
    await db["verification_requests"].insert_one({"_id": member.id, "registry": "rpps", "state": "waiting"})
    await db["returning_members"].insert_one({"_id": member.id, "place": "0" * 64, "asked_at": NOW})
    assert await warned(village, member)
    return member, friend, foe


async def warned(village: Village, member: Villager) -> bool:
    """A letter that goes once only."""
    mails = Mails(village.mongo, SealedField(HeldKeys([bytes(32)])))
    facts = {"ends_on": "2026-10-31"}
    return await mails.enqueue(member.id, Letter.PROOF_ENDING, facts, once=f"proof-ending:{member.id}:2026-10-31:7")


async def traces(village: Village, member_id: str) -> dict[str, list[Any]]:
    """Every document of the database that has the member's id anywhere, by collection."""
    found = {}
    for name in await village.mongo.db.list_collection_names():
        documents = await village.mongo.db[name].find({}).to_list(None)
        mentions = [document for document in documents if member_id in str(document)]
        if mentions:
            found[name] = mentions
    return found


async def leave(member: Villager, contributions: str = "kept") -> None:
    await member.do("POST", "/me/deletion", {"contributions": contributions})


def unzipped(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    return {name: json.loads(data) if name.endswith(".json") else data.decode() for name, data in files.items()}


async def test_the_archive_holds_everything_about_oneself_and_no_secret(village: Village) -> None:
    member, friend, foe = await full_life(village)
    village.names[member.id] = ("Lœuvre", "Zoé")
    answer = await member.call("GET", "/me/export")
    files = unzipped(answer)
    assert set(files) == {
        "README.txt", "accounts.json", "profiles.json", "confirmations_owner.json", "confirmations_by.json",
        "blocks.json", "sessions.json", "tickets.json", "factors.json", "verifications.json",
        "verification_requests.json", "credential_applications.json", "mails.json", "mails_once.json",
        "contacts.json",
    }  # fmt: skip
    assert files["accounts.json"]["email"] == member.account.email
    assert files["profiles.json"]["place"]["town"] == "Bordeaux"
    assert files["contacts.json"][0]["member_id"] == friend.id
    assert [one["letter"] for one in files["mails_once.json"]] == ["proof_ending"]
    assert files["blocks.json"] == {"blocked": [foe.id]}
    assert files["sessions.json"][0]["device"] == "Firefox, Linux"
    assert files["confirmations_by.json"][0]["owner"] == friend.id
    assert files["confirmations_owner.json"][0].keys() == {"skill", "at"}
    assert files["verifications.json"]["civil_name"] == "Zoé Lœuvre"
    assert files["verifications.json"]["other_family_names"] == ["Beaulieu"]
    assert len(files["verifications.json"]["number"]) == 11
    assert "sealed" not in str(files)
    assert "password_hash" not in str(files)


async def test_the_archive_holds_nothing_of_other_people(village: Village) -> None:
    member, friend, foe = await full_life(village)
    stranger = await village.person()
    await stranger.do("PUT", f"/me/blocks/{member.id}")
    text = str(unzipped(await member.call("GET", "/me/export")))
    for other in (friend, foe, stranger):
        assert other.account.email not in text
        assert other.account.pseudonym not in text
    assert stranger.id not in text, "whoever has blocked a member is not told"


async def test_both_want_a_fresh_sign_in(village: Village) -> None:
    member = await village.person()
    stale = village.tokens.token(member.id, auth_time=int(time.time()) - 3_600)
    member.headers["authorization"] = f"Bearer {stale}"
    for method, path, body in (("GET", "/me/export", None), ("POST", "/me/deletion", {"contributions": "kept"})):
        answer = await member.call(method, path, body)
        assert (answer.status_code, slug(answer)) == (401, "sign-in-again")
    assert (await village.accounts.by_id(member.id)) == member.account


async def test_who_is_about_to_leave_is_not_met_and_may_stay(village: Village) -> None:
    member, friend, _ = await full_life(village)
    answer = await member.call("POST", "/me/deletion", {"contributions": "kept"})
    assert answer.status_code == 202
    assert answer.json()["leaves_at"].startswith((NOW + GRACE).date().isoformat())
    assert (await friend.call("GET", f"/members/{member.id}")).status_code == 404
    assert (await friend.get("/me/contacts"))["items"] == []
    assert await village.mongo.db["directory"].find_one({"_id": member.id}) is None
    waiting = village.mongo.db["mails"].find({"member_id": member.id}, sort=[("written_at", 1)])
    assert [mail["letter"] for mail in await waiting.to_list(None)] == ["proof_ending", "leaving_asked"]
    village.clock[0] = NOW + GRACE - timedelta(seconds=1)
    assert not await village.departures.finish(member.id)
    await member.do("DELETE", "/me/deletion")
    assert (await friend.get(f"/members/{member.id}"))["skills"][0]["confirmations"] == 1
    assert [one["member_id"] for one in (await friend.get("/me/contacts"))["items"]] == [member.id]
    village.clock[0] = NOW + GRACE * 2
    assert not await village.departures.finish(member.id)
    answer = await member.call("DELETE", "/me/deletion")
    assert (answer.status_code, slug(answer)) == (409, "not-leaving")


@pytest.mark.parametrize("contributions", ["kept", "erased"])
async def test_nothing_stays_but_an_id(village: Village, contributions: str) -> None:
    member, friend, foe = await full_life(village)
    before = set(await traces(village, member.id))
    assert {held.collection for held in HELD} <= before | {"mails", "directory"}
    await leave(member, contributions)
    village.clock[0] = NOW + GRACE
    assert await village.departures.finish(member.id)
    assert not await village.departures.finish(member.id)
    left = await traces(village, member.id)
    assert set(left) == {"former_members", "outbox"}
    (stub,) = left["former_members"]
    told = await village.told(member.id)
    assert stub == {
        "_id": member.id,
        "version": told[-1].version,
        "contributions": contributions,
        "left_at": village.clock[0],
    }
    last = told[-1]
    assert last.version > max(event.version for event in told[:-1])
    assert (last.status, last.pseudonym, last.profession, last.roles) == (MemberStatus.LEFT, "", None, ())
    assert last.contributions == contributions
    tombstone = await village.mongo.db["outbox"].find_one(
        {"topic": BlocksChanged.topic, "key": member.id, "value": None}
    )
    assert tombstone is not None
    assert village.forgotten == [member.id]
    assert (await friend.get("/me/profile"))["skills"][0]["confirmations"] == 0
    assert [event.blocked for event in await village.told_of_blocks(foe.id)] == [(member.id,), ()]


async def test_an_old_token_opens_nothing_any_more(village: Village) -> None:
    member, *_ = await full_life(village)
    await leave(member)
    village.clock[0] = NOW + GRACE
    await village.departures.finish(member.id)
    for method, path in (
        ("GET", "/directory?q=bordeaux"),
        ("GET", "/me/profile"),
        ("PUT", f"/me/blocks/{uuid.uuid4()}"),
    ):
        answer = await member.call(method, path)
        assert answer.status_code == 403, path
    for method, path, body in (("GET", "/me/export", None), ("POST", "/me/deletion", {"contributions": "kept"})):
        assert (await member.call(method, path, body)).status_code == 401


async def test_address_and_pseudonym_are_free_again(village: Village) -> None:
    member, *_ = await full_life(village)
    await leave(member)
    village.clock[0] = NOW + GRACE
    await village.departures.finish(member.id)
    again = replace(member.account, member_id=str(uuid.uuid4()))
    await village.accounts.add(again)
    found = await village.accounts.by_email(again.email)
    assert found is not None
    assert found.member_id == again.member_id


async def test_what_comes_late_goes_too(village: Village) -> None:
    member, friend, _ = await full_life(village)
    await leave(member)
    village.clock[0] = NOW + GRACE
    await village.departures.finish(member.id)
    db = village.mongo.db
    await db["contacts"].insert_one({"_id": f"late|{member.id}", "members": [friend.id, member.id], "state": "asked"})
    await village.contacts.block(friend.id, member.id)
    await db["credential_applications"].insert_one(
        {"_id": uuid.uuid4().hex, "member_id": member.id, "state": "waiting", "documents": [{"kind": "diploma"}]}
    )
    await village.departures.look_again()
    assert set(await traces(village, member.id)) == {"former_members", "outbox"}


async def test_no_letter_that_goes_once_is_noted_of_who_has_left(village: Village) -> None:
    """A consent of a case that stays may end a year after its author has left."""
    member, *_ = await full_life(village)
    await leave(member)
    village.clock[0] = NOW + GRACE
    await village.departures.finish(member.id)
    assert not await warned(village, member)
    assert set(await traces(village, member.id)) == {"former_members", "outbox"}


async def test_everyone_whose_time_has_come_goes_though_one_fails(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaving = [await village.person() for _ in range(3)]
    for member in leaving:
        await leave(member)
    finish = village.departures.finish

    async def with_a_flaw(member_id: str) -> bool:
        if member_id == leaving[0].id:
            raise RuntimeError("a flaw")
        return await finish(member_id)

    monkeypatch.setattr(village.departures, "finish", with_a_flaw)
    village.clock[0] = NOW + GRACE
    await village.departures.finish_due()
    assert {member.id for member in leaving[1:]} <= set(village.forgotten)
    assert leaving[0].id not in village.forgotten
    monkeypatch.undo()
    await village.departures.finish_due()
    assert leaving[0].id in village.forgotten


async def test_files_that_cannot_be_erased_are_tried_again(village: Village, monkeypatch: pytest.MonkeyPatch) -> None:
    member = await village.person()
    await leave(member)
    village.clock[0] = NOW + GRACE

    async def away(member_id: str) -> None:
        raise ConnectionError("the object store is away")

    with monkeypatch.context() as broken:
        broken.setattr(village.departures, "_forget_files", away)
        with pytest.raises(ConnectionError):
            await village.departures.finish(member.id)
    village.clock[0] += timedelta(days=1)
    await village.departures.look_again()
    assert village.forgotten == [member.id]
    assert "files_pending" not in str(await traces(village, member.id))


async def test_who_has_left_is_erased_again_when_a_backup_brings_them_back(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    member, friend, foe = await full_life(village)
    await leave(member, "erased")
    backup = {name: found for name, found in (await traces(village, member.id)).items() if name != "mails_once"}
    village.clock[0] = NOW + GRACE
    await village.departures.finish(member.id)
    left = (await village.told(member.id))[-1]
    db = village.mongo.db
    await db["former_members"].delete_one({"_id": member.id})
    for name, documents in backup.items():
        for document in documents:
            await db[name].replace_one({"_id": document["_id"]}, document, upsert=True)
    assert await village.departures.come_back([member.id, friend.id, "nobody"]) == {member.id, friend.id}

    async def away(member_id: str) -> None:
        raise ConnectionError("the object store is away")

    line = Received(left, member.id, "ledger:1", left.topic, 0, 0)
    with monkeypatch.context() as broken:
        broken.setattr(village.departures, "_forget_files", away)
        await village.departures.erase_again([line, line])
    village.clock[0] += timedelta(days=1)
    await village.departures.look_again()
    assert await village.departures.come_back([member.id]) == set()
    assert set(await traces(village, member.id)) == {"former_members", "outbox"}
    (stub,) = (await traces(village, member.id))["former_members"]
    assert (stub["version"], stub["contributions"]) == (left.version, "erased")
    # The backup's own rows would overrule the end in the log.
    assert await village.told(member.id) == [left]
    rows = db["outbox"].find({"key": member.id, "topic": BlocksChanged.topic})
    assert [row["value"] async for row in rows] == [None]
    assert (await friend.get("/me/profile"))["skills"][0]["confirmations"] == 0
    assert (await village.told_of_blocks(foe.id))[-1].blocked == ()
