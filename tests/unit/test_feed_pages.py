"""A page asked for by many at once is read once, and never remembered for longer than promised."""

import asyncio
from typing import Any

import pytest

from services.feed.store import Builds, Members, Pages, Reader
from tests.waiting import until

READER = Reader("m-9", ("professional",))


class CountedPages(Pages):
    """Pages whose query is counted, held until `go`, and may fail."""

    def __init__(self, cache_s: float) -> None:
        builds = OneBuild()
        super().__init__(builds, Members(builds), cache_s=cache_s)
        self.builds = builds
        self.reads = 0
        self.go = asyncio.Event()
        self.failure: Exception | None = None

    async def _page(self, *_: Any) -> bytes:
        self.reads += 1
        await self.go.wait()
        if self.failure:
            raise self.failure
        return b"page %d" % self.reads


class OneBuild(Builds):
    """A pointer without a database."""

    def __init__(self) -> None:
        self.number = 1

    async def live(self) -> int:
        return self.number

    def rooms(self, build: int) -> Any:
        return self

    cases = None


async def test_callers_at_the_same_moment_share_one_query() -> None:
    pages = CountedPages(cache_s=60)
    asking = [asyncio.create_task(pages.cases(READER, {}, 20, "~")) for _ in range(10)]
    await asyncio.sleep(0)
    pages.go.set()
    assert await asyncio.gather(*asking) == [b"page 1"] * 10
    assert await pages.cases(READER, {}, 20, "~") == b"page 1"
    assert pages.reads == 1


async def test_a_page_that_nobody_asks_for_again_is_let_go() -> None:
    pages = CountedPages(cache_s=0.01)
    pages.go.set()
    await pages.cases(READER, {}, 20, "~")
    await until(lambda: not pages._recent)


async def test_other_filters_limits_cursors_and_builds_are_other_pages() -> None:
    pages = CountedPages(cache_s=60)
    pages.go.set()
    for filters, limit, after in (({}, 20, "~"), ({"kind": "opinion"}, 20, "~"), ({}, 21, "~"), ({}, 20, "5")):
        await pages.cases(READER, filters, limit, after)
    await pages.cases(Reader("m-8", ("student",)), {}, 20, "~")
    pages.builds.number = 2
    await pages.cases(READER, {}, 20, "~")
    assert pages.reads == 6


async def test_readers_of_one_kind_share_a_page() -> None:
    pages = CountedPages(cache_s=60)
    pages.go.set()
    assert await pages.cases(READER, {}, 20, "~") == await pages.cases(Reader("m-8", READER.tags), {}, 20, "~")
    assert pages.reads == 1


async def test_a_page_is_read_again_when_its_time_is_over() -> None:
    pages = CountedPages(cache_s=0)
    pages.go.set()
    assert await pages.cases(READER, {}, 20, "~") == b"page 1"
    assert await pages.cases(READER, {}, 20, "~") == b"page 2"


async def test_a_failure_is_not_remembered() -> None:
    pages = CountedPages(cache_s=60)
    pages.go.set()
    pages.failure = ConnectionError("mongod is away")
    with pytest.raises(ConnectionError):
        await pages.cases(READER, {}, 20, "~")
    pages.failure = None
    assert await pages.cases(READER, {}, 20, "~") == b"page 2"


async def test_a_caller_who_leaves_does_not_take_the_answer_from_others() -> None:
    pages = CountedPages(cache_s=60)
    leaving = asyncio.create_task(pages.cases(READER, {}, 20, "~"))
    staying = asyncio.create_task(pages.cases(READER, {}, 20, "~"))
    await asyncio.sleep(0)
    leaving.cancel()
    pages.go.set()
    assert await staying == b"page 1"
