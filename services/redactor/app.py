"""Wiring: one look shows every handler and resource. There is no route but the probes and the metrics."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.redactor.handlers import Handlers
from services.redactor.pixels.pool import PixelPool
from services.redactor.settings import Settings
from services.redactor.store import Rooms
from shared import log
from shared.blobs import Blobs
from shared.bus import Bus
from shared.originals import RawRoom
from shared.turnover import Turnover
from shared.web import create_app as create_web_app
from shared.wrapping import open_keyring

SERVICE = "redactor"


def create_app(settings: Settings | None = None) -> FastAPI:
    """The redactor. Workers start in the lifespan; clients connect at their first use."""
    settings = settings or Settings()
    log.configure(SERVICE, settings.log_level, settings.log_format)

    blobs = Blobs(settings)
    keyring = open_keyring(settings)
    rooms = Rooms(blobs, RawRoom(blobs, keyring))
    pool = PixelPool(
        settings.weights_dir,
        workers=settings.workers,
        limits=settings.limits,
        thresholds=settings.thresholds,
        engine=settings.engine,
        sharing=settings.sharing,
    )
    bus = Bus(settings, SERVICE)
    handlers = Handlers(rooms, pool, bus, at_a_time=settings.workers + 1)  # the next original loads meanwhile
    handlers.listen(bus, batch=settings.runs_batch, interactive=settings.runs_interactive, workers=settings.workers)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await pool.warm_up()
        await bus.start()
        turning = asyncio.create_task(Turnover(bus, SERVICE, settings.log_turnover_s).run(), name="turnover")
        try:
            yield
        finally:
            turning.cancel()
            await asyncio.gather(turning, return_exceptions=True)
            await bus.stop()
            pool.close()
            await keyring.close()
            blobs.close()

    return create_web_app(
        settings,
        "Consilium redactor",
        lifespan,
        service=SERVICE,
        checks={"objects": blobs.ping, "keys": keyring.check, "kafka": bus.check, "workers": pool.check},
    )
