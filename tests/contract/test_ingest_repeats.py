"""The same request twice has one effect: keys, collisions, and uploads that race each other."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.local import Platform
from services.ingest.domain.picture import Picture
from services.ingest.store import Answer, Asked
from services.ingest.store.once import Once
from shared.blobs import RAW
from shared.events import CaseSubmitted, CommentAdded, PictureKind
from shared.mongo import Session
from shared.outbox import Outbox
from tests.ingest_service import AUTHOR, COLLEAGUE, IngestService, ingest_service, picture_bytes

pytestmark = pytest.mark.platform

NEW = {"specialty": "surgery", "kind": "opinion", "language": "fr", "title": "t", "body": "b"}


@pytest.fixture(scope="module")
async def ingest(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestService]:
    folder: Path = tmp_path_factory.mktemp("ingest")
    async with ingest_service(platform, folder) as service:
        yield service


async def test_a_repeated_post_gets_the_first_answer_and_has_one_effect(ingest: IngestService) -> None:
    first = await ingest.call("POST", "/cases", NEW, key="create-1")
    again = await ingest.call("POST", "/cases", NEW, key='"create-1"')
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    case_id = first.json()["case_id"]
    uploads = [await ingest.upload(case_id, key="upload-1") for _ in range(2)]
    assert uploads[0].json() == uploads[1].json()
    assert len((await ingest.case(case_id))["pictures"]) == 1
    assert len(await ingest.blobs.list_prefix(RAW, f"{case_id}/")) == 2


async def test_a_key_with_another_request_is_refused(ingest: IngestService) -> None:
    case_id = (await ingest.call("POST", "/cases", NEW, key="create-2")).json()["case_id"]
    await ingest.upload(case_id, key="upload-2")
    for answer in (
        await ingest.call("POST", "/cases", NEW | {"title": "other"}, key="create-2"),
        await ingest.call("POST", f"/cases/{case_id}/redaction", key="create-2"),
        await ingest.upload(case_id, picture_bytes("blue"), key="upload-2"),
        await ingest.call("POST", f"/cases/{case_id}/pictures?kind=ecg", content=picture_bytes(), key="upload-2"),
    ):
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:consilium:problem:idempotency-key-reused")
    assert len(await ingest.blobs.list_prefix(RAW, f"{case_id}/")) == 2


async def test_keys_of_two_members_do_not_meet(ingest: IngestService) -> None:
    mine = await ingest.call("POST", "/cases", NEW, key="create-3", member=AUTHOR)
    yours = await ingest.call("POST", "/cases", NEW, key="create-3", member=COLLEAGUE)
    assert mine.json()["case_id"] != yours.json()["case_id"]


@pytest.mark.parametrize("key", ["x" * 129, "with space", "sémicolon;"])
async def test_a_key_that_is_no_key_is_refused(ingest: IngestService, key: str) -> None:
    refused = await ingest.call("POST", "/cases", NEW, headers={"idempotency-key": key.encode()})
    assert (refused.status_code, refused.json()["type"]) == (400, "urn:consilium:problem:idempotency-key-invalid")


async def test_a_refused_request_may_be_tried_again_with_its_key(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    refused = await ingest.call("POST", f"/cases/{case_id}/submission", key="submit-1")
    assert refused.status_code == 409
    await ingest.upload(case_id)
    await ingest.call("POST", f"/cases/{case_id}/redaction")
    await ingest.paint(case_id)
    await ingest.consent(case_id)
    sent = await ingest.submit(case_id, key="submit-1")
    assert sent.status_code == 202
    again = await ingest.submit(case_id, key="submit-1")
    assert again.json() == sent.json()
    assert len([event for event in await ingest.events(case_id) if isinstance(event, CaseSubmitted)]) == 1


async def test_the_same_request_many_times_at_once_has_one_effect(ingest: IngestService) -> None:
    created = await asyncio.gather(*(ingest.call("POST", "/cases", NEW, key="create-4") for _ in range(8)))
    assert {answer.status_code for answer in created} == {201}
    (case_id,) = {answer.json()["case_id"] for answer in created}
    uploads = await asyncio.gather(*(ingest.upload(case_id, key="upload-4") for _ in range(6)))
    assert {answer.status_code for answer in uploads} == {201}
    assert len({answer.json()["picture_id"] for answer in uploads}) == 1
    assert len((await ingest.case(case_id))["pictures"]) == 1
    assert len(await ingest.blobs.list_prefix(RAW, f"{case_id}/")) == 2, "the losers' objects were taken away"


async def test_an_upload_that_collided_with_itself_leaves_no_second_object(
    ingest: IngestService, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = await ingest.new_case()
    store, asked = ingest.resources.store, Asked(AUTHOR, "upload-5", "the same request")

    async def add() -> Answer:
        new = Picture(
            picture_id=str(uuid.uuid4()),
            kind=PictureKind.WOUND,
            media_type="image/jpeg",
            size_bytes=9,
            width=64,
            height=48,
        )
        return await store.add_picture(
            AUTHOR,
            case_id,
            new,
            picture_bytes(),
            datetime.now(UTC),
            asked,
            lambda _, picture: Answer(201, {"picture_id": picture.picture_id}),
        )

    first = await add()
    run = Once.run

    async def undone_and_again(
        once: Once, asked: Asked, case_id: str, act: Callable[[Session], Awaitable[Answer]]
    ) -> Answer:
        async def attempt(session: Session) -> None:
            await act(session)
            raise Undone

        with pytest.raises(Undone):
            await once._mongo.transaction(attempt)
        return await run(once, asked, case_id, act)

    monkeypatch.setattr(Once, "run", undone_and_again)
    assert await add() == first
    assert len(await ingest.blobs.list_prefix(RAW, f"{case_id}/")) == 2, "one original and the key"


class Undone(Exception):
    """A transaction collided: nothing of it stays."""


async def test_a_comment_sent_many_times_at_once_is_published_once(ingest: IngestService) -> None:
    case_id = await ingest.published_case()
    said = {"kind": "remark", "text": "Once."}
    answers = await asyncio.gather(
        *(ingest.call("POST", f"/cases/{case_id}/comments", said, member=COLLEAGUE, key="c-1") for _ in range(6))
    )
    assert len({answer.json()["comment_id"] for answer in answers}) == 1
    assert len([event for event in await ingest.events(case_id) if isinstance(event, CommentAdded)]) == 1


async def test_different_comments_at_once_are_all_published(ingest: IngestService) -> None:
    case_id = await ingest.published_case()
    answers = await asyncio.gather(
        *(ingest.call("POST", f"/cases/{case_id}/comments", {"kind": "remark", "text": f"{i}"}) for i in range(8))
    )
    assert {answer.status_code for answer in answers} == {201}
    events = [event for event in await ingest.events(case_id) if isinstance(event, CommentAdded)]
    assert {event.text for event in events} == {f"{i}" for i in range(8)}
    assert len({event.comment_id for event in events}) == 8


async def test_uploads_at_once_without_a_key_are_all_kept_and_readable(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    colours = ["red", "green", "blue", "white", "black"]
    answers = await asyncio.gather(*(ingest.upload(case_id, picture_bytes(colour)) for colour in colours))
    for colour, answer in zip(colours, answers, strict=True):
        assert await ingest.redactor_room.load(case_id, answer.json()["picture_id"]) == picture_bytes(colour)


async def test_state_and_event_are_one_act(ingest: IngestService, monkeypatch: pytest.MonkeyPatch) -> None:
    case_id = await ingest.ready_case()

    async def crash(*_: object) -> str:
        raise RuntimeError("died between state and event")

    with monkeypatch.context() as broken:
        broken.setattr(Outbox, "add", crash)
        for crashed in (
            await ingest.submit(case_id, key="one-act-submission"),
            await ingest.call("POST", f"/cases/{case_id}/withdrawal", key="one-act-withdrawal"),
        ):
            assert crashed.status_code == 500
    assert (await ingest.case(case_id))["state"] == "redacted"
    assert not [event for event in await ingest.events(case_id) if isinstance(event, CaseSubmitted)]
    again = await ingest.submit(case_id, key="one-act-submission")
    assert again.status_code == 202
    assert len([event for event in await ingest.events(case_id) if isinstance(event, CaseSubmitted)]) == 1
