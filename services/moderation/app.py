"""Moderation's wiring: one look shows every resource, handler and route."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from services.moderation.handlers import Handlers
from services.moderation.routes import make_router
from services.moderation.settings import Settings
from services.moderation.store import Comments, Contents, Endings, Reviews
from shared import web
from shared.auth import Guard, Members, TokenVerifier
from shared.background import background
from shared.blobs import REDACTED, TEXTS, Blobs
from shared.bus import Bus, Received
from shared.erasures import Erasures
from shared.events import CaseRedacted, CaseSubmitted, CaseWithdrawn, CommentAdded, MemberChanged, ModerationErased
from shared.ledger import Ledger
from shared.mongo import Mongo
from shared.outbox import Relay
from shared.turnover import Turnover


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service. Connects to nothing before its lifespan begins."""
    settings = settings or Settings()
    mongo = Mongo(settings.mongo_uri.get_secret_value(), settings.mongo_database)
    blobs = Blobs(settings)
    reviews = Reviews(mongo, lease=settings.lease)
    comments = Comments(mongo, reviews)
    members = Members(mongo.db)
    guard = Guard(TokenVerifier(settings.jwks_url, settings.token_issuer, settings.token_audience), members.state)

    bus = Bus(settings, "moderation")
    relay = Relay(mongo.db, bus)
    turnover = Turnover(bus, "moderation", settings.log_turnover_s)
    bus.withdrawn = reviews.any_withdrawn
    erasures = Erasures(mongo, ModerationErased, bus.purge_dead_letters_of)
    handlers = Handlers(reviews, comments, members, Endings(mongo, reviews, comments, erasures))
    bus.on(CaseSubmitted, handlers.on_case_submitted)
    bus.on(CaseRedacted, handlers.on_case_redacted)
    bus.on(CaseWithdrawn, handlers.on_case_withdrawn)
    bus.on(CommentAdded, handlers.on_comment_added)
    bus.on(MemberChanged, handlers.on_member_changed)

    async def withdraw_late(lines: Sequence[Received[CaseWithdrawn]]) -> None:
        for line in lines:
            await handlers.on_case_withdrawn(line)

    ledger = Ledger(settings, reviews.still_reviewed, withdraw_late)

    async def prepare() -> None:
        await reviews.prepare()
        await comments.prepare()
        await erasures.prepare()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        web.add_check(app, "ledger", ledger.check)
        if settings.runs_api:
            for bucket in (TEXTS, REDACTED):
                web.add_check(app, bucket, partial(blobs.ping, bucket))
        try:
            async with background(
                app,
                settings,
                mongo,
                bus,
                relay,
                prepare=[prepare],
                work=[turnover.run, erasures.run],
                beside=[ledger.run],
            ):
                yield
        finally:
            blobs.close()
            mongo.close()

    return web.create_app(
        settings,
        "Consilium moderation",
        lifespan,
        service="moderation",
        routers=[make_router(reviews, Contents(blobs), comments, guard)],
        opened=lambda: ledger.applied,
    )
