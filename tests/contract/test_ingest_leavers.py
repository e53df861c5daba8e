"""What a member who leaves has written: it goes or stays without a name, as they chose; and their archive."""

import asyncio
import io
import json
import time
import uuid
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local import Platform
from services.ingest.routes.export import _files
from services.ingest.store import Leavers
from shared.bus import Received
from shared.envelope import message_of
from shared.events import BlocksChanged, CaseWithdrawn, CommentAdded, Contributions, MemberChanged, MemberStatus
from tests.ingest_service import AUTHOR, COLLEAGUE, IngestService, ingest_service

pytestmark = pytest.mark.platform


@pytest.fixture
async def ingest(platform: Platform, tmp_path: Path) -> AsyncIterator[IngestService]:
    async with ingest_service(platform, tmp_path) as made:
        yield made


def left(contributions: Contributions, version: int = 9) -> MemberChanged:
    return MemberChanged(
        member_id=AUTHOR,
        version=version,
        pseudonym="",
        profession=None,
        roles=(),
        status=MemberStatus.LEFT,
        contributions=contributions,
    )


def leavers(ingest: IngestService) -> Leavers:
    opened = ingest.resources
    return Leavers(ingest.mongo, opened.store, opened.eraser.erase_objects_now)


async def comment(ingest: IngestService, case_id: str, member: str, key: str = "") -> str:
    said = {"kind": "remark", "text": "Have you thought of a biopsy?"}
    answer = await ingest.call("POST", f"/cases/{case_id}/comments", said, member=member, key=key)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["comment_id"])


async def of_a_colleague(ingest: IngestService) -> str:
    """A published case of somebody else."""
    case_id = await ingest.published_case()
    await ingest.mongo.db["cases"].update_one({"_id": case_id}, {"$set": {"author_id": COLLEAGUE}})
    return case_id


async def states(ingest: IngestService) -> dict[str, str]:
    return {case["_id"]: case["state"] async for case in ingest.mongo.db["cases"].find({"author_id": AUTHOR})}


async def withdrawn(ingest: IngestService, case_id: str) -> list[CaseWithdrawn]:
    return [event for event in await ingest.events(case_id) if isinstance(event, CaseWithdrawn)]


async def test_kept_comments_stay_and_only_what_is_unpublished_goes(ingest: IngestService) -> None:
    draft, published = await ingest.new_case(), await ingest.published_case()
    submitted, _ = await ingest.submitted_case()
    theirs = await of_a_colleague(ingest)
    mine = await comment(ingest, theirs, AUTHOR)
    await ingest.take(left(Contributions.KEPT))
    await leavers(ingest).look(datetime.now(UTC))
    assert await states(ingest) == {draft: "withdrawn", submitted: "withdrawn", published: "published"}
    assert [event.cause for event in await withdrawn(ingest, submitted)] == ["member_left"]
    assert await ingest.mongo.db["comments"].find_one({"_id": mine}) is not None
    assert (CommentAdded.topic, mine) not in await ingest.tombstones()


async def test_erased_comments_and_cases_go_with_tombstones(ingest: IngestService) -> None:
    draft, published, theirs = await ingest.new_case(), await ingest.published_case(), await of_a_colleague(ingest)
    key = uuid.uuid4().hex
    mine, other = await comment(ingest, theirs, AUTHOR, key), await comment(ingest, theirs, COLLEAGUE)
    under_mine = await comment(ingest, published, COLLEAGUE)
    await ingest.take(left(Contributions.ERASED))
    await leavers(ingest).look(datetime.now(UTC))
    assert await states(ingest) == {draft: "withdrawn", published: "withdrawn"}
    assert [event.cause for event in await withdrawn(ingest, published)] == ["member_left"]
    kept = {found["_id"] async for found in ingest.mongo.db["comments"].find({})}
    assert kept == {other}
    assert {(CommentAdded.topic, mine), (CommentAdded.topic, under_mine)} <= await ingest.tombstones()
    assert await ingest.mongo.db["answers"].count_documents({"_id": f"{AUTHOR}:{key}"}) == 0
    assert (await ingest.mongo.db["cases"].find_one({"_id": theirs}))["comments"] == 1  # type: ignore[index]


@pytest.mark.parametrize("contributions", Contributions)
async def test_again_and_out_of_order_change_nothing(ingest: IngestService, contributions: Contributions) -> None:
    draft, published = await ingest.new_case(), await ingest.published_case()
    await ingest.take(left(contributions))
    await leavers(ingest).look(datetime.now(UTC))
    rows = await ingest.mongo.db["outbox"].count_documents({})
    earlier = left(contributions, version=3).model_copy(
        update={"status": MemberStatus.VERIFIED, "pseudonym": "Dr X", "contributions": None}
    )
    await ingest.take(earlier)
    await ingest.take(left(contributions))
    await asyncio.gather(*(leavers(ingest).look(datetime.now(UTC)) for _ in range(2)))
    assert await ingest.mongo.db["outbox"].count_documents({}) == rows
    assert len(await withdrawn(ingest, draft)) == 1
    refused = await ingest.call("GET", f"/cases/{published}")
    assert refused.status_code == 403, "an earlier event does not bring the member back"


async def test_what_was_under_way_is_found_by_a_later_look(ingest: IngestService) -> None:
    theirs = await of_a_colleague(ingest)
    await ingest.take(left(Contributions.ERASED))
    await leavers(ingest).look(datetime.now(UTC))
    late = {"_id": "late", "case_id": theirs, "author_id": AUTHOR, "text": "x", "kind": "remark"}
    await ingest.mongo.db["comments"].insert_one(late)
    await leavers(ingest).look(datetime.now(UTC) + timedelta(minutes=50))
    assert (CommentAdded.topic, "late") in await ingest.tombstones()
    assert await ingest.mongo.db["comments"].count_documents({}) == 0


async def test_who_left_after_the_backup_leaves_again(ingest: IngestService) -> None:
    draft, published = await ingest.new_case(), await ingest.published_case()
    db, event = ingest.mongo.db, left(Contributions.ERASED)
    await ingest.take(BlocksChanged(member_id=AUTHOR, version=3, blocked=(COLLEAGUE,)))
    backup = {name: await db[name].find({}).to_list(None) for name in ("blocks", "leavers", "members", "cases")}
    await ingest.take(event)
    store = ingest.resources.store
    assert await store.still_members([AUTHOR, COLLEAGUE]) == {COLLEAGUE}
    for name, documents in backup.items():
        await db[name].delete_many({})
        if documents:
            await db[name].insert_many(documents)
    assert await store.still_members([AUTHOR]) == {AUTHOR}

    line = Received(event, AUTHOR, "ledger:1", event.topic, 0, 0)
    await ingest.handlers.have_left([line, line])

    assert await store.still_members([AUTHOR]) == set()
    assert (await ingest.call("GET", f"/cases/{published}")).status_code == 403
    assert await db["blocks"].count_documents({}) == 0
    await leavers(ingest).look(datetime.now(UTC))
    assert await states(ingest) == {draft: "withdrawn", published: "withdrawn"}


async def test_ingest_serves_nobody_before_it_has_read_who_has_left(platform: Platform, tmp_path: Path) -> None:
    """Read from the real log, as at every start: the database is as empty as a backup from before the member came."""
    member_id = str(uuid.uuid4())
    message = message_of(left(Contributions.KEPT).model_copy(update={"member_id": member_id}))
    headers = [(name, text.encode()) for name, text in message.headers.items()]
    producer = AIOKafkaProducer(**platform.admin_kafka())
    await producer.start()
    try:
        await producer.send_and_wait(
            message.topic, message.value, key=message.key.encode(), partition=message.partition, headers=headers
        )
    finally:
        await producer.stop()
    async with ingest_service(platform, tmp_path) as made:
        noted = await made.mongo.db["leavers"].find_one({"_id": member_id})
        assert noted is not None
        assert (noted["contributions"], noted["done"]) == ("kept", False)
        assert (await made.call("GET", "/cases", member=member_id)).status_code == 403
        assert (await made.http.get("/readyz")).json()["checks"]["leavers"]


async def test_one_that_fails_holds_up_no_other(ingest: IngestService) -> None:
    draft = await ingest.new_case()
    broken = {"_id": "0-first", "contributions": "nonsense", "noted_at": datetime.now(UTC), "done": False}
    await ingest.mongo.db["leavers"].insert_one(broken)
    await ingest.take(left(Contributions.KEPT))
    await leavers(ingest).look(datetime.now(UTC))
    assert await states(ingest) == {draft: "withdrawn"}
    assert [one["_id"] async for one in ingest.mongo.db["leavers"].find({"done": False})] == ["0-first"]


async def archive(ingest: IngestService, member: str = AUTHOR) -> dict[str, Any]:
    answer = await ingest.call("GET", "/me/export", member=member)
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as found:
        files = {name: found.read(name) for name in found.namelist()}
    return {name: json.loads(data) if name.endswith(".json") else data for name, data in files.items()}


async def test_the_archive_holds_ones_cases_consents_and_comments(ingest: IngestService) -> None:
    case_id, theirs, gone = await ingest.ready_case(), await of_a_colleague(ingest), await ingest.new_case()
    await ingest.call("POST", f"/cases/{gone}/withdrawal")
    await comment(ingest, theirs, AUTHOR)
    await comment(ingest, theirs, COLLEAGUE)
    files = await archive(ingest)
    case = files[f"cases/{case_id}/case.json"]
    assert (case["title"], case["consent"]["patient_code"]) == ("A wound", "P-4711")
    (picture,) = case["pictures"]
    painted = [data for name, data in files.items() if name.startswith(f"cases/{case_id}/{picture['picture_id']}")]
    assert len(painted) == 1
    assert painted[0].startswith(b"\x89PNG")
    assert files[f"cases/{gone}/withdrawn.json"]["case_id"] == gone
    assert [one["author_id"] for one in files["comments.json"]] == [AUTHOR]
    assert not [name for name in files if theirs in name]
    text = str([content for name, content in files.items() if name.endswith(".json")])
    for secret in ("link_hash", "signature", "proof_id", "rendering"):
        assert secret not in text, secret


async def test_the_archive_wants_a_fresh_sign_in(ingest: IngestService) -> None:
    stale = ingest.tokens.token(AUTHOR, auth_time=int(time.time()) - 3_600)
    answer = await ingest.http.get("/me/export", headers={"authorization": f"Bearer {stale}"})
    assert answer.status_code == 401
    assert answer.json()["type"].endswith(":sign-in-again")


async def test_what_is_withdrawn_while_an_archive_is_fetched_is_not_in_it(ingest: IngestService) -> None:
    """The archive is made while it is sent, and never stored; a slow client gets what there still is."""
    kept, gone = await ingest.new_case(title="Stays"), await ingest.new_case(title="Taken back")
    files = _files(ingest.resources, AUTHOR)
    names = [(await anext(files))[0], (await anext(files))[0]]
    assert names[-1] == f"cases/{kept}/case.json"
    await ingest.call("POST", f"/cases/{gone}/withdrawal")
    rest = {name: data async for name, data in files}
    assert f"cases/{gone}/withdrawn.json" in rest
    assert b"Taken back" not in b"".join(rest.values())
