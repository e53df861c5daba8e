"""Moderation's wiring: one look shows every resource, handler and route."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.moderation.handlers import Handlers
from services.moderation.routes import make_router
from services.moderation.settings import Settings
from services.moderation.store import Contents, Reviews
from shared import web
from shared.auth import Guard, Members, TokenVerifier
from shared.blobs import REDACTED, TEXTS, Blobs
from shared.bus import Bus
from shared.errors import dependency_is_away
from shared.events import CaseRedacted, CaseSubmitted, CaseWithdrawn, MemberChanged
from shared.mongo import Mongo
from shared.outbox import Relay

log = logging.getLogger("moderation")


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service. Connects to nothing before its lifespan begins."""
    settings = settings or Settings()
    mongo = Mongo(settings.mongo_uri.get_secret_value(), settings.mongo_database)
    blobs = Blobs(settings)
    reviews = Reviews(mongo, lease=settings.lease)
    members = Members(mongo.db)
    guard = Guard(TokenVerifier(settings.jwks_url, settings.token_issuer, settings.token_audience), members.state)

    bus = Bus(settings, "moderation")
    relay = Relay(mongo.db, bus)
    handlers = Handlers(reviews, members)
    bus.on(CaseSubmitted, handlers.on_case_submitted)
    bus.on(CaseRedacted, handlers.on_case_redacted)
    bus.on(CaseWithdrawn, handlers.on_case_withdrawn)
    bus.on(MemberChanged, handlers.on_member_changed)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await _prepare(reviews)
        web.add_check(app, "mongo", mongo.ping)
        if settings.runs_api:
            web.add_check(app, "texts", lambda: blobs.ping(TEXTS))
            web.add_check(app, "pictures", lambda: blobs.ping(REDACTED))
        relaying = None
        if settings.runs_worker:
            web.add_check(app, "kafka", bus.check)
            web.add_check(app, "outbox", relay.check)
            await bus.start()
            relaying = asyncio.create_task(relay.run(), name="outbox-relay")
        yield
        if relaying:
            relaying.cancel()
            await asyncio.gather(relaying, return_exceptions=True)
            await bus.stop()
        blobs.close()
        mongo.close()

    return web.create_app(
        settings,
        "Consilium moderation",
        lifespan,
        service="moderation",
        routers=[make_router(reviews, Contents(blobs), guard)],
    )


async def _prepare(reviews: Reviews) -> None:
    """Make the indexes; wait for a database that is not there yet, as after a power cut."""
    while True:
        try:
            await reviews.prepare()
            return
        except Exception as error:
            if not dependency_is_away(error):
                raise
            log.warning("waiting for MongoDB: %s", error)
            await asyncio.sleep(1)
