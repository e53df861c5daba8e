"""What ingest does not take: over HTTP on the real database and object store."""

import asyncio
import io
import tracemalloc
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from deploy.local import Platform
from services.ingest.domain.refusals import Refused
from services.ingest.routes.problems import problem_of
from shared.blobs import RAW
from shared.events import CommentAdded
from tests.ingest_service import COLLEAGUE, IngestService, ingest_service, picture_bytes

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
async def ingest(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestService]:
    folder: Path = tmp_path_factory.mktemp("ingest")
    async with ingest_service(platform, folder, max_upload_bytes=300_000, concurrent_uploads=3) as service:
        yield service


@pytest.mark.parametrize(
    "changes",
    [
        {"title": ""},
        {"title": "   "},
        {"body": "\n"},
        {"title": "x" * 201},
        {"body": "x" * 20_001},
        {"title": "a\0b"},
        {"language": "de"},
        {"kind": "gossip"},
        {"author_id": COLLEAGUE},
    ],
)
async def test_an_empty_or_malformed_case_is_refused(ingest: IngestService, changes: dict[str, str]) -> None:
    fields = {"specialty": "surgery", "kind": "opinion", "language": "fr", "title": "t", "body": "b"}
    refused = await ingest.call("POST", "/cases", fields | changes, headers={"accept-language": "fr"})
    assert refused.status_code == 422
    document = refused.json()
    assert document["type"] == "urn:consilium:problem:validation-failed"
    assert document["errors"][0]["pointer"] == f"#/{next(iter(changes))}"


@pytest.mark.parametrize(
    ("data", "status", "problem"),
    [
        (b"a text named .jpg", 415, "picture-type-unsupported"),
        (picture_bytes()[:40], 422, "picture-unreadable"),
        (b"\xff\xd8\xff" + b"x" * 300_000, 413, "body-too-large"),
    ],
)
async def test_a_file_that_is_no_usable_picture_leaves_nothing_behind(
    ingest: IngestService, data: bytes, status: int, problem: str
) -> None:
    case_id = await ingest.new_case()
    refused = await ingest.upload(case_id, data)
    assert (refused.status_code, refused.json()["type"]) == (status, f"urn:consilium:problem:{problem}")
    assert (await ingest.case(case_id))["pictures"] == []
    assert await ingest.blobs.list_prefix(RAW, f"{case_id}/") == []


async def test_an_empty_upload_is_refused(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    refused = await ingest.call("POST", f"/cases/{case_id}/pictures?kind=photo")
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:consilium:problem:picture-empty")


async def test_a_decompression_bomb_is_refused(ingest: IngestService) -> None:
    out = io.BytesIO()
    Image.new("1", (13_300, 13_300)).save(out, "PNG")
    refused = await ingest.upload(await ingest.new_case(), out.getvalue())
    assert refused.status_code == 413
    assert refused.json()["type"] == "urn:consilium:problem:picture-too-many-pixels"


async def test_a_body_without_a_length_is_counted_while_it_comes(ingest: IngestService) -> None:
    chunk = b"\xff\xd8\xff" + b"x" * 49_997

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield chunk

    case_id = await ingest.new_case()
    tracemalloc.start()
    try:
        refused = await ingest.call("POST", f"/cases/{case_id}/pictures?kind=photo", content=endless())
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.status_code == 413
    assert peak_bytes < 3_000_000


async def test_a_refusal_before_the_body_is_read_still_lets_the_sender_finish(ingest: IngestService) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(5):
            sent += 1
            yield b"x" * 10_000

    refused = await ingest.call("POST", f"/cases/{uuid.uuid4()}/pictures?kind=photo", content=body())
    assert (refused.status_code, sent) == (404, 5)


async def test_the_eleventh_picture_is_refused(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    answers = await asyncio.gather(*(ingest.upload(case_id) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 2
    assert len((await ingest.case(case_id))["pictures"]) == 10
    stored = await ingest.blobs.list_prefix(RAW, f"{case_id}/")
    assert len(stored) == 11, "ten originals and the key: what was refused was taken away"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "diagnosis", "text": ""}, 422),
        ({"kind": "diagnosis", "text": "x" * 10_001}, 422),
        ({"kind": "praise", "text": "x"}, 422),
        ({"kind": "remark", "text": "x" * 1_000_000}, 413),
        ({"kind": "remark", "text": "x", "parent_id": "nobody"}, 422),
    ],
)
async def test_a_comment_that_is_empty_huge_or_lost_is_refused(
    ingest: IngestService, body: dict[str, str], status: int
) -> None:
    case_id = await ingest.published_case()
    assert (await ingest.call("POST", f"/cases/{case_id}/comments", body)).status_code == status
    assert not [event for event in await ingest.events(case_id) if isinstance(event, CommentAdded)]


async def test_an_answer_belongs_to_a_comment_of_the_same_case(ingest: IngestService) -> None:
    first, second = await ingest.published_case(), await ingest.published_case()
    said = {"kind": "remark", "text": "x" * 10_000}
    parent = (await ingest.call("POST", f"/cases/{first}/comments", said)).json()["comment_id"]
    answer = {"kind": "question", "text": "Why?", "parent_id": parent}
    assert (await ingest.call("POST", f"/cases/{first}/comments", answer)).status_code == 201
    refused = await ingest.call("POST", f"/cases/{second}/comments", answer)
    assert refused.json()["type"] == "urn:consilium:problem:parent-comment-unknown"


async def test_the_author_is_told_that_an_unpublished_case_takes_no_comments(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    refused = await ingest.call("POST", f"/cases/{case_id}/comments", {"kind": "remark", "text": "x"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:consilium:problem:case-not-published")


def test_every_refusal_of_the_rules_has_a_problem_in_both_languages() -> None:
    def leaves(kind: type[Refused]) -> list[type[Refused]]:
        return [kind, *(leaf for sub in kind.__subclasses__() for leaf in leaves(sub))]

    facts = {"state": "draft", "limit": 1, "reason": "x", "frame": 0}
    for kind in leaves(Refused)[1:]:
        problem = problem_of(kind(**facts))
        assert problem.slug == kind.code
        english, french = problem.document("en"), problem.document("fr")
        assert english["detail"] != french["detail"]
        assert "{" not in english["detail"] + french["detail"]
