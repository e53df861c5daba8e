"""How proofs go: an application's key first, then its objects, and what a crash has left is swept up by the worker.

Every step may be repeated, so several workers at once do no harm.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Final

from prometheus_client import Counter, Gauge

from services.identity.domain.documents import Application, ApplicationState
from shared.blobs import CREDENTIALS, BlobEntry, ObjectStore
from shared.errors import dependency_is_away
from shared.mongo import Mongo, Session
from shared.rounds import in_rounds
from shared.sealed import KEY_ITEM, SealedRoom
from shared.trail import Entry, Trail

log = logging.getLogger("identity")

# People who wait for a reviewer, and proofs that should be gone and are not yet.
APPLICATIONS_WAITING = Gauge("consilium_applications_waiting", "Applications that nobody has decided, at the last look")
PROOFS_TO_ERASE = Gauge("consilium_proofs_to_erase", "Ended applications whose proofs are not erased, at the last look")
# Uploads cut off by a crash. A steady rate points at a process that keeps dying.
ORPHANS = Counter("consilium_credential_orphans_total", "Objects among credentials removed that no record knew")

AUDIT: Final = "credential_audit"
COLLECTION: Final = "credential_applications"


class ProofEraser:
    """Erases the proofs of applications that have ended."""

    def __init__(
        self,
        mongo: Mongo,
        blobs: ObjectStore,
        room: SealedRoom,
        *,
        orphan_age: timedelta = timedelta(hours=1),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._mongo = mongo
        self._applications = mongo.db[COLLECTION]
        self._blobs = blobs
        self._room = room
        self._trail = Trail(mongo.db, AUDIT)
        self._orphan_age = orphan_age
        self._now = now

    async def run(self, every_s: float = 10.0, sweep_every_s: float = 900.0) -> None:
        """Erase and sweep until cancelled; what fails is tried again at the next round."""
        turns = cycle(range(max(1, round(sweep_every_s / every_s))))

        async def sweep_at_times() -> None:
            if next(turns) == 0:
                await self.sweep()

        await in_rounds(self.erase_ended, sweep_at_times, every_s=every_s, what="erasing proofs", log=log)

    async def erase_if_ended(self, application: Application) -> None:
        """Erase at once where the application has ended; where the store is away, the worker does it later."""
        if application.state is ApplicationState.WAITING:
            return
        try:
            async with asyncio.timeout(15):
                await self._erase(application.application_id)
        except Exception as error:
            if not dependency_is_away(error):
                raise
            about = {"application_id": application.application_id}
            log.warning("the proofs of an application are erased later: %s", error, extra=about)

    async def erase_ended(self) -> int:
        """Erase the proofs of applications that have ended and still have some; returns how many applications."""
        waiting = {"state": ApplicationState.WAITING.value}
        APPLICATIONS_WAITING.set(await self._applications.count_documents(waiting))
        ended = await self._applications.find({"to_erase": True}, {"_id": 1}).to_list(None)
        PROOFS_TO_ERASE.set(len(ended))
        for found in ended:
            await self._erase(found["_id"])
        PROOFS_TO_ERASE.set(0)
        return len(ended)

    async def sweep(self) -> int:
        """Remove objects that no waiting application knows; returns how many.

        Those that may belong to an upload under way are left for a while.
        """
        now, removed = self._now(), 0
        by_owner: dict[str, list[BlobEntry]] = defaultdict(list)
        for entry in await self._blobs.list_prefix(CREDENTIALS):
            by_owner[entry.key.partition("/")[0]].append(entry)
        for owner, entries in by_owner.items():
            old = [entry for entry in entries if now - entry.modified > self._orphan_age]
            found = await self._applications.find_one({"_id": owner}, {"state": 1, "documents.document_id": 1})
            if found is not None and found["state"] == ApplicationState.WAITING.value:
                known = {KEY_ITEM, *(each["document_id"] for each in found["documents"])}
                for entry in old:
                    item = entry.key.partition("/")[2]
                    if item not in known:
                        await self._room.remove(owner, item)
                        removed += 1
            elif found is not None or len(old) == len(entries):
                await self._room.forget(owner)
                removed += len(entries)
        if removed:
            ORPHANS.inc(removed)
            log.warning("removed %d objects among credentials that no record knew", removed)
        return removed

    async def _erase(self, application_id: str) -> None:
        await self._room.forget(application_id)  # the key first: what a crash leaves cannot be read

        async def write(session: Session) -> None:
            now = self._now()
            found = await self._applications.find_one_and_update(
                {"_id": application_id, "to_erase": True},
                {"$set": {"erased_at": now}, "$unset": {"to_erase": ""}},
                session=session,
            )
            if found is not None:
                detail: dict[str, str | int | list[str]] = {"member": found["member_id"]}
                entry = Entry(subject=application_id, act="erased", actor="system", detail=detail)
                await self._trail.append(entry, now, session)

        await self._mongo.transaction(write)
