"""Wiring of verification: registries, Pro Santé Connect, review of proofs, and the work that looks after them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

from fastapi import APIRouter

from services.identity.domain.account import KeepsAccounts
from services.identity.domain.brakes import CountsTries
from services.identity.domain.documents import SUFFIXES
from services.identity.domain.letters import Mailer
from services.identity.domain.recheck import Rhythm
from services.identity.registries.extraction import Extraction
from services.identity.registries.matching import Matching
from services.identity.registries.opening import open_registries
from services.identity.registries.pro_sante_connect import ProSanteConnect
from services.identity.registries.watch import Watch
from services.identity.routes.pseudonym import pseudonym_routes
from services.identity.routes.verifications import VerificationDesk, verification_routes
from services.identity.routes.verifications_documents import UploadLimits, document_routes
from services.identity.routes.verifications_psc import psc_routes
from services.identity.routes.verifications_review import review_routes
from services.identity.settings import Settings
from services.identity.store.applications import Applications
from services.identity.store.kept_requests import KeptRequests
from services.identity.store.proof_eraser import ProofEraser
from services.identity.store.psc_logins import PscLogins
from services.identity.store.verifications import Verifications
from shared.auth import Guard
from shared.background import Work
from shared.blobs import CREDENTIALS, BlobMissing, ObjectStore
from shared.keyring import KeyRing
from shared.mongo import Mongo
from shared.sealed import SealedField, SealedRoom

Prepare = Callable[[], Awaitable[None]]


class Verification:
    """Everything about verification that identity runs. Connects to nothing before it is used.

    Raises WrongSetting where a registry or Pro Santé Connect is half configured.
    """

    def __init__(
        self,
        settings: Settings,
        mongo: Mongo,
        accounts: KeepsAccounts,
        attempts: CountsTries,
        verifications: Verifications,
        mailer: Mailer,
        keyring: KeyRing,
        blobs: ObjectStore,
    ) -> None:
        self._settings = settings
        self._registries = open_registries(settings, mongo.db)
        self.kept = KeptRequests(mongo.db, SealedField(keyring))
        self.verifications = verifications
        rhythm = Rhythm(every=timedelta(days=settings.recheck_days))
        matching = Matching(self._registries, verifications, self.kept, mailer, rhythm=rhythm)
        self.watch = Watch(
            mongo.db,
            self._registries,
            verifications,
            matching,
            mailer,
            accounts.by_id,
            rhythm=rhythm,
            changes_every=timedelta(seconds=settings.registry_changes_every_s),
            look_every_s=settings.verification_look_every_s,
        )
        room = SealedRoom(blobs, CREDENTIALS, keyring)
        self._eraser = ProofEraser(mongo, blobs, room)
        self.applications = Applications(mongo, room, verifications, mailer, self._eraser)
        self._desk = VerificationDesk(accounts, attempts, verifications, self.kept, matching)
        self._extraction = Extraction(mongo.db)
        self._logins = PscLogins(mongo.db)
        self._psc = _pro_sante_connect(settings)

    def prepares(self) -> tuple[Prepare, ...]:
        """The indexes to make."""
        stores = (self.verifications, self.kept, self.applications, self._extraction, self._logins)
        return tuple(store.prepare for store in stores)

    def routers(self, guard: Guard) -> list[APIRouter]:
        """The routes of members and of credential reviewers."""
        settings = self._settings
        limits = UploadLimits(settings.document_max_bytes, settings.document_uploads_at_once)
        urls = settings.psc_redirect_url, settings.psc_done_url
        return [
            verification_routes(self._desk, guard),
            psc_routes(self._desk, self._psc, self._logins, guard, redirect_url=urls[0], done_url=urls[1]),
            document_routes(self._desk, self.applications, guard, limits),
            review_routes(self._desk, self.applications, guard),
            pseudonym_routes(self.verifications, self._desk.attempts, guard),
        ]

    def work(self) -> list[Work]:
        """The worker's part."""
        return [self.watch.run, self._eraser.run]

    async def forget(self, member_id: str) -> None:
        """Erase everything that verified the member: number, name, requests, proofs. May be repeated."""
        await self.applications.forget(member_id)
        await self.kept.forget(member_id)
        await self.verifications.forget(member_id)

    async def files_of(self, member_id: str) -> AsyncIterator[tuple[str, bytes]]:
        """The proofs that are kept of the member at this moment, as name and content: for an export."""
        for application in await self.applications.all_of(member_id):
            for document in application.documents if application.erased_at is None else ():
                try:
                    data, media_type = await self.applications.open(application, document.document_id)
                except BlobMissing:
                    continue  # erased while we read
                yield f"proofs/{document.document_id}.{SUFFIXES[media_type]}", data

    async def close(self) -> None:
        """Let connections go."""
        for registry in self._registries.values():
            await registry.close()
        if self._psc is not None:
            await self._psc.close()


def _pro_sante_connect(settings: Settings) -> ProSanteConnect | None:
    if not settings.psc_issuer:
        return None
    return ProSanteConnect(
        settings.psc_issuer,
        settings.psc_client_id,
        settings.psc_client_secret.get_secret_value(),
        settings.psc_redirect_url,
        acr_values=settings.psc_acr_values,
        identities=settings.psc_identities,
    )
