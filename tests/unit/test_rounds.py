"""Work in rounds: what has more to do goes on at once, and what fails holds up nothing."""

import asyncio
import logging

import pytest
from pymongo.errors import AutoReconnect

from shared.rounds import in_rounds
from tests.waiting import until

LOG = logging.getLogger("rounds")


async def test_what_has_more_to_do_goes_on_at_once() -> None:
    left, done = 3, 0

    async def step() -> bool:
        nonlocal left, done
        done += 1
        left -= 1
        return left > 0

    running = asyncio.create_task(in_rounds(step, every_s=3600, what="testing", log=LOG))
    await until(lambda: done == 3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert done == 3


async def test_a_step_that_fails_holds_up_no_other_and_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    faults: list[Exception] = [AutoReconnect("gone"), ValueError("a flaw")]
    done = 0

    async def fails() -> None:
        if faults:
            raise faults.pop(0)

    async def works() -> int:
        nonlocal done
        done += 1
        return 1

    with caplog.at_level(logging.WARNING, logger="rounds"):
        running = asyncio.create_task(in_rounds(fails, works, every_s=0, what="testing", log=LOG))
        await until(lambda: done >= 3)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    told = [(record.levelname, record.getMessage(), record.exc_info is not None) for record in caplog.records]
    assert told == [
        ("WARNING", "testing waits for a dependency: gone", False),
        ("ERROR", "testing: a step failed, trying again", True),
    ]
