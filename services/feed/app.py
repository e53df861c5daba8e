"""Wiring: one look shows every route, handler and resource."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.errors import KafkaError
from fastapi import FastAPI

from services.feed.handlers import Handlers
from services.feed.rebuild import Rebuild
from services.feed.routes import make_router
from services.feed.settings import Settings
from services.feed.store import Builds, Members, Pages, Projector, Superseded
from shared import log
from shared.auth import Guard, TokenVerifier
from shared.background import told
from shared.blobs import Blobs
from shared.bus import Bus
from shared.erasures import Erasures
from shared.errors import dependency_is_away
from shared.events import FeedErased
from shared.ledger import Ledger
from shared.mongo import Mongo, prepare_when_possible
from shared.outbox import Relay
from shared.turnover import Turnover
from shared.web import Check
from shared.web import create_app as create_web_app

SERVICE = "feed"
FIRST_BUILD_PATIENCE_S = 60.0
logger = logging.getLogger(__name__)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The feed. Its clients are made here and connect at their first use, inside the lifespan."""
    settings = settings or Settings()
    log.configure(SERVICE, settings.log_level, settings.log_format)

    mongo = Mongo(settings.mongo_uri.get_secret_value(), settings.mongo_database)
    blobs = Blobs(settings)
    bus = Bus(settings, SERVICE)
    builds = Builds(mongo.db)
    members = Members(builds)
    pages = Pages(builds, members)
    erasures = Erasures(mongo, FeedErased, bus.purge_dead_letters_of)
    projector = Projector(mongo, builds, erasures)
    relay = Relay(mongo.db, bus)
    turnover = Turnover(bus, SERVICE, settings.log_turnover_s)
    verifier = TokenVerifier(settings.jwks_url, settings.token_issuer, settings.token_audience)
    guard = Guard(verifier, members.state)

    bus.withdrawn = projector.any_withdrawn
    handlers = Handlers(projector, erasures)
    ledger = Ledger(settings, projector.not_withdrawn, handlers.on_case_withdrawn)
    if settings.runs_worker:
        handlers.listen(bus, settings.batch_records)

    async def work() -> None:
        while True:
            try:
                await _have_a_build(builds, Rebuild(settings, mongo, builds, projector))
                # Not before: an approval that waits in the log beside its withdrawal would be shown until both are in.
                await ledger.wait()
                await bus.start()
            except Exception:  # nobody awaits this task, and without it the feed would stand still in silence
                logger.exception("the feed has no build to work on, trying again")
                await asyncio.sleep(5.0)
            else:
                break
        await asyncio.gather(*(told(one) for one in (relay.run, erasures.run, turnover.run)))

    async def apply_ledger() -> None:
        await prepare_when_possible(erasures.prepare)
        await ledger.run()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(apply_ledger(), name="ledger")]
        if settings.runs_worker:
            tasks.append(asyncio.create_task(work(), name="feed-work"))
        try:
            yield
        finally:
            if settings.runs_worker:
                await bus.stop()  # before the relay lets its lease go: nothing it handed over is sent after that
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            blobs.close()
            mongo.close()

    async def readable() -> None:
        await builds.live()

    checks: dict[str, Check] = {"mongo": mongo.ping, "build": readable, "ledger": ledger.check}
    if settings.runs_api:
        checks["objects"] = blobs.ping
    if settings.runs_worker:
        checks |= {"kafka": bus.check, "outbox": relay.check}
    return create_web_app(
        settings,
        "Consilium feed",
        lifespan,
        service=SERVICE,
        routers=[make_router(guard, pages, blobs)],
        checks=checks,
        opened=lambda: ledger.applied,
    )


async def _have_a_build(builds: Builds, rebuild: Rebuild) -> None:
    """Return when there is a live build. At the first start, and after the database was dropped, replay one.

    Consuming without it would skip what the group has consumed before. Where another worker is at it already, it
    gets a while to finish.
    """
    patience_until = 0.0
    loop = asyncio.get_running_loop()
    while True:
        try:
            pointer = await builds.pointer()
            if pointer is not None and pointer.live is not None:
                return
            if pointer is not None and pointer.candidate is not None:
                patience_until = patience_until or loop.time() + FIRST_BUILD_PATIENCE_S
            if loop.time() >= patience_until:
                patience_until = 0.0
                report = await rebuild.run()
                logger.info("first build made from %d events in %.1f s", report.events, report.seconds)
                return
        except Superseded:
            logger.info("another worker makes the first build")
        except Exception as error:
            if not isinstance(error, KafkaError) and not dependency_is_away(error):
                raise
            logger.warning("the first build has to wait: %s", error)
        await asyncio.sleep(1.0)
