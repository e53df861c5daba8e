"""A member whom the author has blocked cannot comment, and does not learn why."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from deploy.local import Platform
from shared.bus import Received
from shared.events import BlocksChanged
from tests.ingest_service import AUTHOR, COLLEAGUE, IngestService, ingest_service

pytestmark = pytest.mark.platform
OTHER = "33333333-3333-4333-8333-333333333333"


@pytest.fixture
async def ingest(platform: Platform, tmp_path: Path) -> AsyncIterator[IngestService]:
    async with ingest_service(platform, tmp_path) as made:
        yield made


async def comment(ingest: IngestService, case_id: str, member: str) -> httpx.Response:
    said = {"kind": "remark", "text": "Have you thought of a biopsy?"}
    return await ingest.call("POST", f"/cases/{case_id}/comments", said, member=member)


def blocks(version: int, *blocked: str) -> BlocksChanged:
    return BlocksChanged(member_id=AUTHOR, version=version, blocked=blocked)


async def test_a_blocked_member_cannot_comment_and_others_can(ingest: IngestService) -> None:
    case_id = await ingest.published_case()
    await ingest.take(blocks(1, COLLEAGUE))
    refused = await comment(ingest, case_id, COLLEAGUE)
    assert refused.status_code == 403
    assert refused.json()["type"].endswith(":comments-closed-to-you")
    assert "bloc" not in refused.text.lower()
    for member in (AUTHOR, OTHER):
        assert (await comment(ingest, case_id, member)).status_code == 201
    assert not [event for event in await ingest.events(case_id) if getattr(event, "author_id", "") == COLLEAGUE]


async def test_a_block_of_somebody_else_closes_nothing(ingest: IngestService) -> None:
    case_id = await ingest.published_case()
    await ingest.take(BlocksChanged(member_id=OTHER, version=1, blocked=(COLLEAGUE,)))
    assert (await comment(ingest, case_id, COLLEAGUE)).status_code == 201


async def test_a_case_that_is_not_published_stays_unknown(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    await ingest.take(blocks(1, COLLEAGUE))
    answers = [await comment(ingest, case_id, member) for member in (COLLEAGUE, OTHER)]
    assert [answer.status_code for answer in answers] == [404, 404]


async def test_the_newest_list_counts_in_whatever_order_lists_arrive(ingest: IngestService) -> None:
    case_id = await ingest.published_case()
    await ingest.take(blocks(2))
    await ingest.take(blocks(1, COLLEAGUE))
    assert (await comment(ingest, case_id, COLLEAGUE)).status_code == 201
    await ingest.take(blocks(3, OTHER, COLLEAGUE))
    await ingest.take(blocks(3, OTHER, COLLEAGUE))
    assert (await comment(ingest, case_id, COLLEAGUE)).status_code == 403


async def test_who_has_left_blocks_nobody(ingest: IngestService) -> None:
    case_id = await ingest.published_case()
    await ingest.take(blocks(1, COLLEAGUE))
    gone: Received[BlocksChanged] = Received(None, AUTHOR, "tombstone", BlocksChanged.topic, 0, 0)
    await ingest.handlers.on_member_blocked(gone)
    assert (await comment(ingest, case_id, COLLEAGUE)).status_code == 201
    assert await ingest.mongo.db["blocks"].count_documents({}) == 0
