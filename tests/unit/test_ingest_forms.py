"""Forms to read are made once for many who ask, one at a time, and are forgotten by themselves."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.ingest.routes.forms import Forms
from shared.web import Problem
from tests.waiting import until


class Maker:
    """Makes forms, and counts how many it makes, and how many at one moment."""

    def __init__(self, size: int = 10) -> None:
        self.size = size
        self.made = self.now = self.most = 0

    def __call__(self, name: str) -> Callable[[], Awaitable[bytes]]:
        async def make() -> bytes:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0)
            self.now -= 1
            self.made += 1
            return name.encode().ljust(self.size)

        return make


async def test_many_who_ask_for_one_form_have_it_made_once() -> None:
    forms, maker = Forms(), Maker()
    found = await asyncio.gather(*(forms.form("a", maker("a")) for _ in range(20)))
    assert (maker.made, set(found)) == (1, {b"a".ljust(10)})


async def test_forms_are_made_one_at_a_time() -> None:
    forms, maker = Forms(), Maker()
    await asyncio.gather(*(forms.form(name, maker(name)) for name in "abcdef"))
    assert (maker.made, maker.most) == (6, 1)


async def test_a_form_is_forgotten_by_itself() -> None:
    forms, maker = Forms(keep_s=0.0), Maker()

    async def again() -> bool:
        await forms.form("a", maker("a"))
        return maker.made > 1

    await until(again)


async def test_what_is_kept_is_bounded_and_the_oldest_goes() -> None:
    forms, maker = Forms(keep_bytes=25), Maker()
    for name in ("a", "b", "c", "b", "c", "a"):
        await forms.form(name, maker(name))
    assert maker.made == 4
    large = Maker(size=26)
    assert len(await forms.form("large", large("large"))) == 26
    await forms.form("large", large("large"))
    assert large.made == 2, "too large to be kept"


async def test_a_form_that_could_not_be_made_is_made_for_the_next() -> None:
    forms = Forms()

    async def fails() -> bytes:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await forms.form("a", fails)
    assert await forms.form("a", Maker()("a"))


async def test_whoever_waits_too_long_is_told_when_to_come_back() -> None:
    forms, go = Forms(wait_s=0.0), asyncio.Event()

    async def slow() -> bytes:
        await go.wait()
        return b"slow"

    making = asyncio.create_task(forms.form("slow", slow))
    await asyncio.sleep(0)
    with pytest.raises(Problem) as refused:
        await forms.form("a", Maker()("a"))
    assert refused.value.slug == "forms-busy"
    go.set()
    assert await making == b"slow"
    assert await forms.form("a", Maker()("a"))
