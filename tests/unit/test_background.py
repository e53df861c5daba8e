"""What services do beside answering begins and ends in order."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest
from fastapi import FastAPI

from shared.background import background
from shared.bus import Bus
from shared.mongo import Mongo
from shared.outbox import Relay
from shared.settings import ServiceSettings
from tests.waiting import until


class Told:
    """Stands for bus, relay and database, and writes down what is asked of it, in order."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.ledger = asyncio.Event()

    async def start(self) -> None:
        self.story.append("bus starts")

    async def stop(self) -> None:
        self.story.append("bus stops")

    async def run(self) -> None:
        await self.lasting("relay")()

    async def check(self) -> None:
        """Nothing to complain of."""

    async def ready(self, preparing: "asyncio.Task[None]") -> None:
        assert preparing.done()

    async def prepare(self) -> None:
        self.story.append("prepared")

    async def after(self) -> None:
        await self.ledger.wait()
        self.story.append("ledger applied")

    def lasting(self, name: str) -> Callable[[], Coroutine[Any, Any, None]]:
        async def work() -> None:
            self.story.append(f"{name} runs")
            try:
                await asyncio.Event().wait()
            finally:
                self.story.append(f"{name} ends")

        return work


def around(told: Told, role: str, **more: Any) -> Any:
    app = FastAPI()
    app.state.checks = {}
    parts = (cast(Mongo, told), cast(Bus, told), cast(Relay, told))
    return background(app, ServiceSettings.model_validate({"role": role}), *parts, prepare=[told.prepare], **more)


@pytest.mark.parametrize("role", ["all", "worker"])
async def test_a_worker_works_once_it_may_and_ends_in_order(role: str) -> None:
    told = Told()
    async with around(told, role, work=[told.lasting("eraser")], beside=[told.lasting("watch")], after=told.after):
        await until(lambda: {"prepared", "watch runs"} <= set(told.story))
        assert "bus starts" not in told.story, "the ledger is not applied yet"
        told.ledger.set()
        await until(lambda: "eraser runs" in told.story)
    begun = ["ledger applied", "bus starts", "relay runs", "eraser runs", "bus stops"]
    assert [line for line in told.story if line in begun] == begun
    assert set(told.story[told.story.index("bus stops") + 1 :]) == {"relay ends", "eraser ends", "watch ends"}


async def test_a_process_that_only_answers_does_no_work() -> None:
    told = Told()
    async with around(told, "api", work=[told.lasting("eraser")], beside=[told.lasting("watch")]):
        await until(lambda: {"prepared", "watch runs"} <= set(told.story))
    assert "bus starts" not in told.story
    assert "eraser runs" not in told.story


async def test_whatever_happens_inside_it_ends_in_order() -> None:
    told = Told()

    async def fails() -> None:
        async with around(told, "all"):
            await until(lambda: "relay runs" in told.story)
            raise LookupError

    with pytest.raises(LookupError):
        await fails()
    assert told.story[-2:] == ["bus stops", "relay ends"]


async def test_work_that_ends_by_a_fault_is_told_and_takes_no_other_with_it(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()

    async def breaks() -> None:
        raise LookupError("a fault of ours")

    async with around(told, "all", work=[breaks, told.lasting("eraser")]):
        await until(lambda: "eraser runs" in told.story and "a fault of ours" in caplog.text)
        assert "eraser ends" not in told.story
