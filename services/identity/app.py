"""identity's wiring: one look shows every resource and route. It consumes no event, so it has no handlers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.identity.routes.membership import Desk, make_router
from services.identity.settings import Settings
from services.identity.store.accounts import Accounts
from services.identity.store.attempts import Attempts
from services.identity.store.keys import SigningKey
from services.identity.store.passwords import Passwords
from shared import web
from shared.auth import Guard, TokenVerifier
from shared.bus import Bus
from shared.mongo import Mongo, prepare_when_possible
from shared.outbox import Relay


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service. Connects to nothing before its lifespan begins; the signing key is read (or made) here."""
    settings = settings or Settings()
    key = SigningKey.load_or_create(settings.signing_key_file)
    mongo = Mongo(settings.mongo_uri.get_secret_value(), settings.mongo_database)
    accounts, attempts = Accounts(mongo), Attempts(mongo.db)
    passwords = Passwords(settings.password_hashes_at_once, settings.password_hashes_waiting)
    bus = Bus(settings, "identity")
    relay = Relay(mongo.db, bus)

    async def own_keys() -> dict[str, object]:
        return key.published()

    verifier = TokenVerifier(settings.jwks_url, settings.token_issuer, settings.token_audience, fetch=own_keys)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        preparing = asyncio.create_task(prepare_when_possible(accounts.prepare, attempts.prepare), name="prepare")
        tasks = [preparing]
        web.add_check(app, "mongo", lambda: mongo.ready(preparing))
        try:
            if settings.runs_worker:
                web.add_check(app, "kafka", bus.check)
                web.add_check(app, "outbox", relay.check)
                await bus.start()
                tasks.append(asyncio.create_task(relay.run(), name="outbox-relay"))
            yield
        finally:
            await bus.stop()  # before the relay lets its lease go: nothing it handed over is sent after that
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            mongo.close()

    return web.create_app(
        settings,
        "Consilium identity",
        lifespan,
        service="identity",
        routers=[make_router(Desk(settings, accounts, attempts, passwords, key), Guard(verifier))],
    )
