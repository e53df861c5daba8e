"""Wiring of ingest: its resources, routes, handlers and background work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from fastapi import FastAPI

from services.ingest.handlers import Handlers
from services.ingest.routes import answer_refusals, routers
from services.ingest.routes.caller import Resources, UploadSlots
from services.ingest.settings import Settings
from services.ingest.store import (
    Consents,
    Eraser,
    Expiry,
    Leavers,
    ProofEraser,
    Readings,
    Receipts,
    Store,
    Tries,
    Withdrawals,
)
from shared.auth import Guard, Members, TokenVerifier
from shared.background import background
from shared.blobs import PROOFS, RAW, REDACTED, TEXTS, Blobs
from shared.bus import Bus
from shared.ledger import Ledger, LedgerOfLeavers
from shared.mongo import Mongo
from shared.originals import RawRoom
from shared.outbox import Relay
from shared.sealed import SealedRoom
from shared.turnover import Turnover
from shared.web import add_check
from shared.web import create_app as create_web_app
from shared.wrapping import open_keyring


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service. Clients are opened when it starts, and it starts whether or not the platform answers yet.

    Raises WrongSetting where the wrapping key cannot be used.
    """
    settings = settings or Settings()
    keyring = open_keyring(settings)
    mongo = Mongo(settings.mongo_uri.get_secret_value(), settings.mongo_database)
    withdrawals = Withdrawals(mongo)
    ledger = Ledger(settings, withdrawals.still_known, withdrawals.by_ledger)

    blobs = Blobs(settings)
    room = RawRoom(blobs, keyring)
    store = Store(mongo, blobs, room, idempotency_hours=settings.idempotency_hours)
    receipts = Receipts(mongo, blobs)
    members = Members(mongo.db)
    handlers = Handlers(store, members, receipts)
    leavers_ledger = LedgerOfLeavers(settings, store.still_members, handlers.have_left)

    async def ledgers_applied() -> None:
        await asyncio.gather(ledger.wait(), leavers_ledger.wait())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        proofs = SealedRoom(blobs, PROOFS, keyring)
        bus = Bus(settings, "ingest")
        bus.withdrawn = withdrawals.any_withdrawn
        relay = Relay(mongo.db, bus)
        turnover = Turnover(bus, "ingest", settings.log_turnover_s)
        consents = Consents(mongo, proofs)
        tries = Tries(mongo, settings.withdrawal_tries)
        expiry = Expiry(mongo, withdrawals, every_s=settings.expiry_every_s)
        eraser = Eraser(
            mongo,
            blobs,
            room,
            retry_s=settings.purge_retry_s,
            sweep_every_s=settings.sweep_every_s,
            orphan_age_s=settings.orphan_age_s,
            forget_letters=bus.purge_dead_letters if settings.runs_worker else None,
            receipts=receipts,
            proofs=ProofEraser(mongo, blobs, proofs, timedelta(seconds=settings.orphan_age_s)),
        )
        leavers = Leavers(mongo, store, eraser.erase_objects_now)
        verifier = TokenVerifier(settings.jwks_url, settings.token_issuer, settings.token_audience)
        app.state.resources = Resources(
            settings=settings,
            store=store,
            consents=consents,
            readings=Readings(mongo),
            withdrawals=withdrawals,
            receipts=receipts,
            tries=tries,
            eraser=eraser,
            blobs=blobs,
            guard=Guard(verifier, members.state),
            uploads=UploadSlots(settings.concurrent_uploads, settings.upload_wait_s),
        )

        async def prepare() -> None:
            for owner in (store, consents, receipts, tries, expiry):
                await owner.prepare()

        app.state.ledgers_applied = ledgers_applied
        add_check(app, "ledger", ledger.check)
        add_check(app, "leavers", leavers_ledger.check)
        add_check(app, "keys", keyring.check)
        for bucket in (RAW, TEXTS, REDACTED, PROOFS):
            add_check(app, bucket, partial(blobs.ping, bucket))
        if settings.runs_worker:
            handlers.subscribe(bus)
        # Nothing that a backup brought back is sent, painted or warned of before the ledgers are applied.
        running = background(
            app,
            settings,
            mongo,
            bus,
            relay,
            prepare=[prepare],
            work=[turnover.run, eraser.run, expiry.run, partial(leavers.run, settings.leavers_every_s)],
            beside=[ledger.run, leavers_ledger.run],
            after=ledgers_applied,
        )
        try:
            async with running:
                yield
        finally:
            await keyring.close()
            blobs.close()
            mongo.close()

    app = create_web_app(
        settings,
        "Consilium ingest",
        lifespan,
        service="ingest",
        routers=routers(),
        opened=lambda: ledger.applied and leavers_ledger.applied,
    )
    answer_refusals(app)
    return app
