"""Withdrawn is gone: from the database, the object store and the log, whatever happens at the same moment."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.local import Platform
from services.ingest.domain.picture import Picture
from shared.blobs import RAW, TEXTS, BlobsAway
from shared.events import CaseSubmitted, CaseUploaded, CaseWithdrawn, CommentAdded, PictureKind
from tests.ingest_service import COLLEAGUE, IngestService, ingest_service, picture_bytes

pytestmark = pytest.mark.platform

GONE = "urn:consilium:problem:case-withdrawn"
SOON = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
async def ingest(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestService]:
    folder: Path = tmp_path_factory.mktemp("ingest")
    async with ingest_service(platform, folder) as service:
        yield service


async def objects(ingest: IngestService, case_id: str) -> list[str]:
    """Keys of the case's objects in the buckets that ingest writes."""
    return [e.key for bucket in (RAW, TEXTS) for e in await ingest.blobs.list_prefix(bucket, f"{case_id}/")]


async def everything_known(ingest: IngestService, case_id: str) -> str:
    """Every document about the case but the outbox, as text."""
    found = []
    for name in await ingest.mongo.db.list_collection_names():
        if name != "outbox":
            wanted = {"$or": [{"_id": case_id}, {"case_id": case_id}]}
            found += [document async for document in ingest.mongo.db[name].find(wanted)]
    return json.dumps(found, default=str)


async def test_a_withdrawn_case_leaves_a_stub_and_nothing_else(ingest: IngestService) -> None:
    case_id = await ingest.published_case()
    picture_id = (await ingest.case(case_id))["pictures"][0]["picture_id"]
    said = {"kind": "remark", "text": "secret words"}
    comments = [
        (await ingest.call("POST", f"/cases/{case_id}/comments", said, member=COLLEAGUE, key=key)).json()["comment_id"]
        for key in ("w-1", "w-2")
    ]
    assert len(await objects(ingest, case_id)) == 3
    gone = await ingest.call("POST", f"/cases/{case_id}/withdrawal")
    assert (gone.status_code, gone.json()["state"]) == (200, "withdrawn")
    assert await objects(ingest, case_id) == []
    known = await everything_known(ingest, case_id)
    for secret in ("A wound", "What would you do", "P-4711", "secret words"):
        assert secret not in known
    (*_, event) = await ingest.events(case_id)
    assert isinstance(event, CaseWithdrawn)
    assert event.picture_ids == (picture_id,)
    expected = {(CaseUploaded.topic, case_id), (CaseSubmitted.topic, case_id)}
    expected |= {(CommentAdded.topic, comment) for comment in comments}
    assert expected <= await ingest.tombstones()
    assert (CaseWithdrawn.topic, case_id) not in await ingest.tombstones()


async def test_no_route_shows_a_withdrawn_case(ingest: IngestService) -> None:
    case_id = await ingest.ready_case()
    picture_id = (await ingest.case(case_id))["pictures"][0]["picture_id"]
    await ingest.call("POST", f"/cases/{case_id}/withdrawal")
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"title": "x"}),
        ("GET", "/preview", None),
        ("GET", f"/pictures/{picture_id}/frames/0/full", None),
        ("POST", "/pictures?kind=photo", None),
        ("DELETE", f"/pictures/{picture_id}", None),
        ("POST", "/redaction", None),
        ("POST", "/submission", None),
        ("POST", "/comments", {"kind": "remark", "text": "x"}),
    ):
        answer = await ingest.call(method, f"/cases/{case_id}{path}", body)
        assert (answer.status_code, answer.json()["type"]) == (410, GONE), (method, path)
    listed = (await ingest.call("GET", "/cases?limit=100")).json()["items"]
    assert case_id not in {case["case_id"] for case in listed}
    stranger = await ingest.call("GET", f"/cases/{case_id}", member=COLLEAGUE)
    assert stranger.status_code == 404


async def test_a_repeated_withdrawal_changes_nothing(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    answers = await asyncio.gather(*(ingest.call("POST", f"/cases/{case_id}/withdrawal") for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["version"] for answer in answers}) == 1
    assert len([event for event in await ingest.events(case_id) if isinstance(event, CaseWithdrawn)]) == 1


async def test_an_answer_about_a_withdrawn_case_is_not_repeated(ingest: IngestService) -> None:
    new = {"specialty": "surgery", "kind": "opinion", "language": "fr", "title": "t", "body": "b"}
    case_id = (await ingest.call("POST", "/cases", new, key="gone-1")).json()["case_id"]
    await ingest.call("POST", f"/cases/{case_id}/withdrawal")
    again = await ingest.call("POST", "/cases", new, key="gone-1")
    assert (again.status_code, again.json()["type"]) == (410, GONE)


async def test_a_late_approval_or_rendering_does_not_bring_it_back(ingest: IngestService) -> None:
    case_id, version = await ingest.submitted_case()
    picture_id = (await ingest.case(case_id))["pictures"][0]["picture_id"]
    await ingest.call("POST", f"/cases/{case_id}/withdrawal")
    await ingest.take(ingest.approval(case_id, version))
    await ingest.take(ingest.rejection(case_id, version, "changes"))
    await ingest.take(await ingest.rendering(case_id, picture_id, 7))
    assert (await ingest.call("GET", f"/cases/{case_id}")).status_code == 410


async def test_the_worker_erases_what_the_request_could_not(
    ingest: IngestService, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = await ingest.ready_case(pictures=2)

    async def away(_: str) -> None:
        raise BlobsAway("the store plays dead")

    with monkeypatch.context() as broken:
        broken.setattr(ingest.resources.eraser, "_erase_objects", away)
        gone = await ingest.call("POST", f"/cases/{case_id}/withdrawal")
    assert gone.status_code == 200
    assert len(await objects(ingest, case_id)) == 3
    await ingest.eraser().purge_all()
    assert await objects(ingest, case_id) == []
    stub = await ingest.mongo.db["cases"].find_one({"_id": case_id})
    assert stub is not None
    assert "purge_pending" not in stub
    assert (case_id, *stub["picture_ids"]) in ingest.letters_forgotten
    assert await ingest.eraser().purge_all() == 0


async def test_a_case_that_cannot_be_erased_holds_up_no_other(
    ingest: IngestService, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingest.eraser().purge_all()
    cases = [await ingest.ready_case() for _ in range(3)]
    # The route tries to erase at once; all three are left to the worker.
    with monkeypatch.context() as broken:
        broken.setattr(ingest.resources.blobs, "delete_prefix", _away)
        for case_id in cases:
            await ingest.call("POST", f"/cases/{case_id}/withdrawal")
    eraser, really = ingest.eraser(), ingest.blobs.delete_prefix

    async def fails_for_the_first(bucket: str, prefix: str) -> int:
        if prefix.startswith(cases[0]):
            raise RuntimeError("this one only")
        return await really(bucket, prefix)

    with monkeypatch.context() as broken:
        broken.setattr(ingest.blobs, "delete_prefix", fails_for_the_first)
        assert await eraser.purge_all() == 2
    assert [bool(await objects(ingest, case_id)) for case_id in cases[1:]] == [False, False]
    assert await ingest.mongo.db["cases"].count_documents({"purge_pending": True}) == 1
    assert await eraser.purge_all() == 1


async def _away(bucket: str, prefix: str) -> int:
    raise BlobsAway("not now")


async def test_the_key_goes_first(ingest: IngestService, monkeypatch: pytest.MonkeyPatch) -> None:
    case_id = await ingest.ready_case()
    picture_id = (await ingest.case(case_id))["pictures"][0]["picture_id"]
    assert await ingest.redactor_room.load(case_id, picture_id) == picture_bytes()

    async def crash(bucket: str, prefix: str) -> int:
        raise BlobsAway("died in between")

    with monkeypatch.context() as broken:
        broken.setattr(ingest.resources.blobs, "delete_prefix", crash)
        await ingest.call("POST", f"/cases/{case_id}/withdrawal")
    assert await objects(ingest, case_id) == [f"{case_id}/{picture_id}"]
    assert not await ingest.redactor_room.exists(case_id, picture_id)


async def test_uploads_that_race_a_withdrawal_leave_nothing(ingest: IngestService) -> None:
    for _ in range(3):
        case_id = await ingest.new_case()
        uploads = [ingest.upload(case_id, picture_bytes(colour)) for colour in ("red", "green", "blue")]
        *uploaded, gone = await asyncio.gather(*uploads, ingest.call("POST", f"/cases/{case_id}/withdrawal"))
        assert gone.status_code == 200
        assert {answer.status_code for answer in uploaded} <= {201, 410}
        await ingest.eraser().purge_all()
        assert await objects(ingest, case_id) == []


async def test_an_upload_cut_off_after_a_withdrawal_is_swept_up(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    await ingest.call("POST", f"/cases/{case_id}/withdrawal")
    await ingest.eraser().purge_all()
    await ingest.room.store(case_id, str(uuid.uuid4()), picture_bytes(), "image/jpeg")  # then the process died
    await ingest.blobs.put(TEXTS, f"{case_id}/1.json", b"{}")
    assert await ingest.eraser().sweep(datetime.now(UTC)) >= 3
    assert await objects(ingest, case_id) == []


async def test_comments_that_race_a_withdrawal_do_not_outlive_it(ingest: IngestService) -> None:
    case_id = await ingest.published_case()
    said = {"kind": "remark", "text": "too late?"}
    *answers, gone = await asyncio.gather(
        *(ingest.call("POST", f"/cases/{case_id}/comments", said, member=COLLEAGUE) for _ in range(5)),
        ingest.call("POST", f"/cases/{case_id}/withdrawal"),
    )
    assert gone.status_code == 200
    assert {answer.status_code for answer in answers} <= {201, 404}
    published = {answer.json()["comment_id"] for answer in answers if answer.status_code == 201}
    assert await ingest.mongo.db["comments"].count_documents({"case_id": case_id}) == 0
    assert {(CommentAdded.topic, comment) for comment in published} <= await ingest.tombstones()


async def test_a_submission_that_races_a_withdrawal_leaves_no_text(ingest: IngestService) -> None:
    for _ in range(3):
        case_id = await ingest.ready_case()
        (picture,) = (await ingest.case(case_id))["pictures"]
        answered = {"marks": [{"picture_id": picture["picture_id"], "answer": "none"}]}
        sent, gone = await asyncio.gather(
            ingest.call("POST", f"/cases/{case_id}/submission", answered),
            ingest.call("POST", f"/cases/{case_id}/withdrawal"),
        )
        assert (sent.status_code in (202, 410), gone.status_code) == (True, 200)
        await ingest.eraser().purge_all()
        assert await objects(ingest, case_id) == []


async def test_only_old_objects_without_a_record_are_swept(ingest: IngestService) -> None:
    case_id = await ingest.ready_case()
    kept = set(await objects(ingest, case_id))
    orphan, unborn = str(uuid.uuid4()), str(uuid.uuid4())
    await ingest.room.store(case_id, orphan, picture_bytes(), "image/jpeg")  # a crash before the record
    await ingest.room.store(unborn, orphan, picture_bytes(), "image/jpeg")
    await ingest.eraser().sweep(datetime.now(UTC))
    assert set(await objects(ingest, case_id)) == kept | {f"{case_id}/{orphan}"}
    later = datetime.now(UTC) + timedelta(hours=2)
    await ingest.eraser().sweep(later)
    assert set(await objects(ingest, case_id)) == kept
    assert await objects(ingest, unborn) == []
    assert (await ingest.call("GET", f"/cases/{case_id}/preview")).status_code == 200


async def test_a_removed_picture_is_named_and_erased(ingest: IngestService) -> None:
    case_id = await ingest.ready_case(pictures=2)
    first, second = [picture["picture_id"] for picture in (await ingest.case(case_id))["pictures"]]
    await ingest.call("DELETE", f"/cases/{case_id}/pictures/{first}")
    assert f"{case_id}/{first}" not in await objects(ingest, case_id)
    await ingest.call("POST", f"/cases/{case_id}/withdrawal")
    (*_, event) = await ingest.events(case_id)
    assert isinstance(event, CaseWithdrawn)
    assert set(event.picture_ids) == {first, second}


async def test_a_picture_stored_for_a_case_that_went_is_taken_away(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    await ingest.call("POST", f"/cases/{case_id}/withdrawal")
    picture = Picture(
        picture_id=str(uuid.uuid4()),
        kind=PictureKind.PHOTO,
        media_type="image/jpeg",
        size_bytes=1,
        width=1,
        height=1,
    )
    store = ingest.resources.store
    with pytest.raises(Exception, match="case-withdrawn"):
        await store.add_picture(
            "11111111-1111-4111-8111-111111111111",
            case_id,
            picture,
            picture_bytes(),
            SOON,
            None,
            lambda _, __: pytest.fail("it was added"),
        )
    assert await objects(ingest, case_id) == []
