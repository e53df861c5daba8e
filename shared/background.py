"""What a service with a database does beside answering: its indexes, its bus, its outbox, its own work; and the end.

async with background(app, settings, mongo, bus, relay, prepare=[store.prepare], work=[eraser.run]):
    yield
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from shared.bus import Bus
from shared.mongo import Mongo, prepare_when_possible
from shared.outbox import Relay
from shared.settings import ServiceSettings
from shared.web import add_check

logger = logging.getLogger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]


@asynccontextmanager
async def background(
    app: FastAPI,
    settings: ServiceSettings,
    mongo: Mongo,
    bus: Bus,
    relay: Relay,
    *,
    prepare: Sequence[Callable[[], Awaitable[None]]],
    work: Sequence[Work] = (),
    beside: Sequence[Work] = (),
    after: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[None]:
    """Run all of it while the block lasts, with its checks in `/readyz`; it waits for no part of the platform.

    `prepare`: indexes, made in this order as soon as the database answers. In workers only, once `after` (if any) has
    returned: the bus, the relay, and `work`. `beside`: in every process, from the start.
    """
    preparing = asyncio.create_task(prepare_when_possible(*prepare), name="prepare")
    tasks = [preparing, *(asyncio.create_task(told(one)) for one in beside)]
    add_check(app, "mongo", lambda: mongo.ready(preparing))

    async def all_work() -> None:
        if after is not None:
            await after()
        await bus.start()
        await asyncio.gather(*(told(one) for one in (relay.run, *work)))

    try:
        if settings.runs_worker:
            add_check(app, "kafka", bus.check)
            add_check(app, "outbox", relay.check)
            tasks.append(asyncio.create_task(told(all_work)))
        yield
    finally:
        await bus.stop()  # before the relay lets its lease go: nothing it handed over is sent after that
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def told(work: Work) -> None:
    """Nobody awaits such work while the service runs: an end by a fault would be silent."""
    try:
        await work()
    except Exception:
        logger.exception("%s has ended by a fault; the service goes on without it until its next start", work)
        raise
