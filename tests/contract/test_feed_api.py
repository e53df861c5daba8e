"""The feed's HTTP surface on a real MongoDB: who may read, what is served, and how a refusal looks."""

import hashlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from deploy.local import Platform
from services.feed.routes import CasePage, CommentPage, PublishedCase, make_router
from services.feed.settings import Settings
from services.feed.store import Builds, Members, Pages, Projector
from shared.auth import Guard
from shared.blobs import REDACTED
from shared.bus import Received
from shared.events import Event, MemberStatus
from shared.mongo import Mongo
from shared.web import create_app
from tests.feed_histories import approval, comment, member, picture, withdrawal
from tests.memory_blobs import MemoryBlobs
from tests.tokens import TokenMaker

pytestmark = pytest.mark.platform

PAINTED = b"\x89PNG painted bytes" * 100
SHA256 = hashlib.sha256(PAINTED).hexdigest()
PICTURE = "/cases/shown/pictures/p/frames/0/full"
ROUTES = ["/cases", "/cases/shown", "/cases/shown/comments", PICTURE]


@dataclass
class Feed:
    client: httpx.AsyncClient
    projector: Projector
    blobs: MemoryBlobs
    tokens: TokenMaker

    async def get(self, path: str, member_id: str = "reader", **headers: str) -> httpx.Response:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.get(
            path, headers={"Authorization": f"Bearer {self.tokens.token(member_id)}", **headers}
        )

    async def project(self, *events: Event) -> None:
        for event in events:
            received: Received[Any] = Received(event, event.key, uuid.uuid4().hex, event.topic, 0, 0)
            await self.projector.project(type(event), [received])


@pytest.fixture
async def feed(platform: Platform) -> AsyncIterator[Feed]:
    mongo = Mongo(platform.admin_mongo_uri, f"feed_{uuid.uuid4().hex[:12]}")
    builds = Builds(mongo.db, pointer_cache_s=0)
    members, blobs, tokens = Members(builds, cache_s=0), MemoryBlobs(), TokenMaker()
    router = make_router(Guard(tokens.verifier(), members.state), Pages(builds, members, cache_s=0), blobs)
    app = create_app(Settings(), "Feed", service="feed", routers=[router])
    candidate = (await builds.begin()).candidate
    assert candidate is not None
    await builds.switch(candidate)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://feed.test") as client:
        made = Feed(client, Projector(mongo, builds), blobs, tokens)
        await blobs.put(REDACTED, "shown/p/1/0000-full", PAINTED)
        await made.project(
            approval("shown", pictures=[picture("p", "shown/p/1/0000-full", SHA256, len(PAINTED))]),
            comment("k", "shown"),
        )
        yield made
    await mongo.db.client.drop_database(mongo.db.name)
    mongo.close()


def problem(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["type"]).rpartition(":")[2]


@pytest.mark.parametrize("path", ROUTES)
async def test_every_route_asks_who_is_there(feed: Feed, path: str) -> None:
    answer = await feed.client.get(path)
    assert (answer.status_code, problem(answer)) == (401, "sign-in-needed")


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize(
    ("status", "slug"),
    [(MemberStatus.UNVERIFIED, "account-unverified"), (MemberStatus.SUSPENDED, "account-suspended")],
)
async def test_what_the_feed_knows_of_a_member_overrules_the_token(
    feed: Feed, path: str, status: MemberStatus, slug: str
) -> None:
    assert (await feed.get(path)).status_code == 200
    await feed.project(member("reader", 3, status=status))
    answer = await feed.get(path)
    assert (answer.status_code, problem(answer)) == (403, slug)


async def test_a_verified_member_reads_cases_and_comments(feed: Feed) -> None:
    page = (await feed.get("/cases?specialty=dermatology&kind=diagnosis&language=en")).json()
    assert [item["case_id"] for item in page["items"]] == ["shown"]
    assert page["next_cursor"] is None
    assert page["items"][0]["cover"]["url"] == PICTURE
    case = (await feed.get("/cases/shown")).json()
    assert case["comment_count"] == 1
    assert case["pictures"][0]["frames"][0]["renditions"][0]["sha256"] == SHA256
    comments = (await feed.get("/cases/shown/comments")).json()
    assert [item["comment_id"] for item in comments["items"]] == ["k"]


async def test_cursors_lead_through_the_feed(feed: Feed) -> None:
    await feed.project(*(approval(f"c-{number}", minutes=number + 1) for number in range(4)))
    first = (await feed.get("/cases?limit=3")).json()
    second = (await feed.get(f"/cases?limit=3&cursor={first['next_cursor']}")).json()
    assert [item["case_id"] for item in first["items"] + second["items"]] == ["c-3", "c-2", "c-1", "c-0", "shown"]


@pytest.mark.parametrize("path", ["/cases", "/cases/shown/comments"])
@pytest.mark.parametrize("cursor", ["nonsense!", "eyIkZ3QiOiAiIn0", "%00", "Li4v"])
async def test_a_bad_cursor_is_refused_in_the_readers_language(feed: Feed, path: str, cursor: str) -> None:
    answer = await feed.get(f"{path}?cursor={cursor}", accept_language="fr")
    assert (answer.status_code, problem(answer)) == (400, "cursor-invalid")
    assert "curseur" in answer.json()["detail"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "specialty=astrology", "kind=%24gt", "language=xx", "cursor=" + "a" * 201],
)
async def test_values_that_are_not_allowed_are_refused(feed: Feed, query: str) -> None:
    answer = await feed.get(f"/cases?{query}")
    assert (answer.status_code, problem(answer)) == (422, "validation-failed")


async def test_unknown_cases_and_pictures_are_not_found(feed: Feed) -> None:
    for path in ("/cases/other", "/cases/other/comments"):
        assert problem(await feed.get(path)) == "case-unknown"
    for path in (PICTURE.replace("full", "small"), PICTURE.replace("/0/", "/1/"), PICTURE.replace("shown", "other")):
        answer = await feed.get(path)
        assert (answer.status_code, problem(answer)) == (404, "picture-unknown")


async def test_a_picture_is_served_as_approved_and_asked_about_each_time(feed: Feed) -> None:
    answer = await feed.get(PICTURE)
    assert answer.content == PAINTED
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["etag"] == f'"{SHA256}"'
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    for known in (f'"{SHA256}"', f'W/"{SHA256}"', f'"other", "{SHA256}"', "*"):
        again = await feed.get(PICTURE, if_none_match=known)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == f'"{SHA256}"'
    assert (await feed.get(PICTURE, if_none_match='"other"')).status_code == 200


async def test_bytes_that_nobody_approved_are_not_served(feed: Feed) -> None:
    await feed.blobs.put(REDACTED, "shown/p/1/0000-full", PAINTED + b"!")
    answer = await feed.get(PICTURE)
    assert (answer.status_code, problem(answer)) == (500, "picture-damaged")
    assert b"painted bytes" not in answer.content


async def test_a_picture_whose_object_is_gone_is_not_found(feed: Feed) -> None:
    await feed.blobs.delete(REDACTED, "shown/p/1/0000-full")
    assert problem(await feed.get(PICTURE)) == "picture-unknown"


async def test_a_store_that_is_away_is_a_503_with_a_time_to_come_back(feed: Feed) -> None:
    feed.blobs.away = True
    answer = await feed.get(PICTURE)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


async def test_withdrawn_is_gone_from_every_route_known_copies_included(feed: Feed) -> None:
    await feed.project(withdrawal("shown"))
    assert (await feed.get("/cases")).json()["items"] == []
    for path in ROUTES[1:]:
        assert (await feed.get(path, if_none_match=f'"{SHA256}"')).status_code == 404


async def test_the_documented_shapes_are_the_served_ones(feed: Feed) -> None:

    await feed.project(member("m-1"), approval("bare", minutes=9))
    for path, model in (
        ("/cases", CasePage),
        ("/cases/shown", PublishedCase),
        ("/cases/bare", PublishedCase),
        ("/cases/shown/comments", CommentPage),
    ):
        served = (await feed.get(path)).json()
        assert model.model_validate(served).model_dump(mode="json") == served
