"""identity's wiring: one look shows every resource, route and handler."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from fastapi import FastAPI

from services.identity.handlers import Handlers
from services.identity.routes import factors, membership, pages, recovery, sign_in
from services.identity.routes import sessions as session_routes
from services.identity.routes.contacts import contact_routes
from services.identity.routes.desk import Desk
from services.identity.routes.directory import directory_routes
from services.identity.routes.leaving import Doorway, leaving_routes
from services.identity.routes.profile import People, profile_routes
from services.identity.routes.reveals import reveal_routes
from services.identity.settings import Settings
from services.identity.store.accounts import Accounts
from services.identity.store.addresses import AddressLetters
from services.identity.store.attempts import Attempts
from services.identity.store.contacts import Contacts
from services.identity.store.directory import Directory
from services.identity.store.factors import FactorStore
from services.identity.store.keys import SigningKeys
from services.identity.store.leaving import Departures
from services.identity.store.mails import Mails
from services.identity.store.number_index import NumberIndex
from services.identity.store.passwords import Passwords
from services.identity.store.postman import Postman
from services.identity.store.profiles import Profiles
from services.identity.store.reveals import Reveals
from services.identity.store.sessions import Sessions
from services.identity.store.smtp import SmtpServer
from services.identity.store.tickets import Tickets
from services.identity.store.verifications import Verifications
from services.identity.verification import Verification
from shared import web
from shared.auth import Guard, TokenVerifier
from shared.background import Work, background
from shared.blobs import Blobs
from shared.bus import Bus
from shared.ledger import LedgerOfLeavers
from shared.mongo import Mongo
from shared.outbox import Relay
from shared.sealed import SealedField
from shared.turnover import Turnover
from shared.wrapping import open_keyring


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service. Connects to nothing before its lifespan begins; the signing key is read (or made) here."""
    settings = settings or Settings()
    keyring = open_keyring(settings)  # before a signing key is made: a wrong setting leaves nothing behind
    keys = SigningKeys(settings.signing_key_file, settings.access_token_ttl_s)
    mongo = Mongo(settings.mongo_uri.get_secret_value(), settings.mongo_database)
    accounts, attempts = Accounts(mongo), Attempts(mongo.db)
    passwords = Passwords(settings.password_hashes_at_once, settings.password_hashes_waiting)
    sealed = SealedField(keyring)
    mails = Mails(mongo, sealed)
    sessions, factor_store, tickets = Sessions(mongo.db), FactorStore(mongo.db), Tickets(mongo.db)
    letters = AddressLetters(accounts, tickets, settings.links_url)
    postman = Postman(mails, smtp_server(settings), accounts.by_id, letters.composers(), settings.mail_from)
    desk = Desk(settings, accounts, attempts, passwords, keys, sessions, factor_store, tickets, mails, sealed)
    bus = Bus(settings, "identity")
    Handlers(mails).subscribe(bus)
    relay = Relay(mongo.db, bus)
    directory, contacts = Directory(mongo.db), Contacts(mongo)
    profiles = Profiles(mongo, accounts, directory)
    verifications = Verifications(mongo, accounts, sealed, NumberIndex(mongo.db, sealed))
    blobs = Blobs(settings)
    verification = Verification(settings, mongo, accounts, attempts, verifications, mails, keyring, blobs)

    async def civil_name_of(member_id: str) -> tuple[str, str] | None:
        name = await verifications.civil_name_of(member_id)
        return (name.family, name.given) if name else None

    people = People(accounts, profiles, contacts, civil_name_of)
    reveals = Reveals(mongo)

    async def is_member(member_id: str) -> bool:
        return await accounts.by_id(member_id) is not None

    departures = Departures(
        mongo,
        accounts,
        profiles,
        contacts,
        mails,
        grace=timedelta(seconds=settings.leaving_grace_s),
        return_review=timedelta(days=settings.return_review_days),
        forget_files=verification.forget,
    )

    ledger = LedgerOfLeavers(settings, departures.come_back, departures.erase_again)

    async def own_keys() -> dict[str, object]:
        return keys.published()

    verifier = TokenVerifier(
        settings.jwks_url, settings.token_issuer, settings.token_audience, fetch=own_keys, keys_max_age_s=1
    )

    async def session_open(session_id: str) -> bool:
        return await sessions.get(session_id) is not None

    async def has_second_factor(member_id: str) -> bool:
        return (await factor_store.of_member(member_id)).second

    guard = Guard(verifier, accounts.state, session_open=session_open, has_second_factor=has_second_factor)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        steps = [
            accounts.prepare,
            attempts.prepare,
            sessions.prepare,
            factor_store.prepare,
            tickets.prepare,
            mails.prepare,
            profiles.prepare,
            contacts.prepare,
            departures.prepare,
            reveals.prepare,
            *verification.prepares(),
        ]
        leave = partial(departures.run, settings.leaving_every_s)
        turnover = Turnover(bus, "identity", settings.log_turnover_s)
        work: list[Work] = [postman.run, leave, profiles.run, turnover.run, *verification.work()]
        web.add_check(app, "keys", keyring.check)
        web.add_check(app, "ledger", ledger.check)
        # Who left since the backup is not told of, written to or asked about, before they are gone again.
        running = background(
            app, settings, mongo, bus, relay, prepare=steps, work=work, beside=[ledger.run], after=ledger.wait
        )
        try:
            async with running:
                yield
        finally:
            await verification.close()
            await keyring.close()
            blobs.close()
            mongo.close()

    return web.create_app(
        settings,
        "Consilium identity",
        lifespan,
        service="identity",
        routers=[
            membership.make_router(desk, guard),
            sign_in.make_router(desk),
            session_routes.make_router(desk, guard),
            factors.make_router(desk, guard),
            recovery.make_router(desk, guard),
            pages.make_router(desk),
            profile_routes(people, guard),
            directory_routes(people, directory, guard),
            contact_routes(people, directory, guard),
            leaving_routes(Doorway(people, departures, verifications, verification.files_of), guard),
            reveal_routes(reveals, guard, civil_name_of, is_member),
            *verification.routers(guard),
        ],
        opened=lambda: ledger.applied,
    )


def smtp_server(settings: Settings) -> SmtpServer:
    """The mail server that the settings name."""
    return SmtpServer(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_security,
        settings.smtp_username,
        settings.smtp_password.get_secret_value(),
    )
