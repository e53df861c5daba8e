"""Review of proofs, both sides, on the real database and the real object store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from deploy.local import Platform
from services.identity.domain.account import Account
from services.identity.routes.verifications_documents import UploadLimits, document_routes
from services.identity.routes.verifications_review import review_routes
from services.identity.store.applications import Applications
from services.identity.store.proof_eraser import AUDIT, COLLECTION, ProofEraser
from shared.blobs import CREDENTIALS, Blobs
from shared.events import Profession, Role
from shared.keyring import HeldKeys
from shared.mongo import Mongo
from shared.sealed import SealedRoom
from tests.stores import access
from tests.verification_house import VerificationHouse

PNG = b"\x89PNG\r\n\x1a\n" + b"a student card of Anne Dupont" * 20
PDF = b"%PDF-1.7 a certificate"


class Review:
    """The routes of both sides, and what lies behind them."""

    def __init__(self, house: VerificationHouse, blobs: Blobs) -> None:
        self.house = house
        self.blobs = blobs
        self.room = SealedRoom(blobs, CREDENTIALS, HeldKeys([bytes(32)]))
        self.eraser = ProofEraser(house.mongo, blobs, self.room, now=lambda: house.now)
        self.applications = Applications(
            house.mongo, self.room, house.verifications, house.letters, self.eraser, now=lambda: house.now
        )

    async def prepare(self) -> None:
        for name in (COLLECTION, AUDIT, f"{AUDIT}_heads"):
            await self.house.mongo.db[name].delete_many({})
        await self.applications.prepare()

    def client(self, account: Account) -> httpx.AsyncClient:
        limits = UploadLimits(max_bytes=1024 * 1024)
        return self.house.client(
            document_routes(self.house.desk, self.applications, self.house.guard, limits),
            review_routes(self.house.desk, self.applications, self.house.guard, now=lambda: self.house.now),
            member_id=account.member_id,
        )

    async def reviewer(self) -> Account:
        made = await self.house.member(Profession.PHYSICIAN, Role.CREDENTIAL_REVIEWER)
        return await self.house.accounts.change(made.member_id, lambda found: found.confirm(self.house.now, None))

    async def hand_in(self, account: Account, data: bytes = PNG, kind: str = "student_card") -> httpx.Response:
        async with self.client(account) as client:
            return await client.post("/verifications/documents", params={"kind": kind}, content=data)

    async def applied(self, account: Account, *proofs: bytes) -> str:
        for data in proofs or (PNG,):
            answer = await self.hand_in(account, data)
            assert answer.status_code == 201, answer.text
        return str(answer.json()["application_id"])

    async def act(self, account: Account, method: str, path: str, **json: Any) -> httpx.Response:
        async with self.client(account) as client:
            return await client.request(method, f"/verifications/applications{path}", json=json or None)

    async def seen(self, reviewer: Account, application_id: str) -> None:
        taken = await self.act(reviewer, "POST", f"/{application_id}/claim")
        assert taken.status_code == 200, taken.text
        for document in taken.json()["documents"]:
            answer = await self.act(reviewer, "GET", f"/{application_id}/documents/{document['document_id']}")
            assert answer.status_code == 200, answer.text

    async def objects(self, application_id: str) -> int:
        return len(await self.blobs.list_prefix(CREDENTIALS, f"{application_id}/"))

    async def acts(self, application_id: str) -> list[str]:
        records, flaws = await self.applications.trail_of(application_id)
        assert flaws == []
        return [str(record["act"]) for record in records]


ACCEPTED: dict[str, Any] = {
    "outcome": "accepted",
    "profession": "student",
    "country": "FR",
    "family_name": "Dupont",
    "given_name": "Anne",
}


@asynccontextmanager
async def open_review(platform: Platform) -> AsyncIterator[Review]:
    """An empty queue, and everybody at it."""
    env = platform.service_env("identity")
    mongo = Mongo(env["IDENTITY_MONGO_URI"], env["IDENTITY_MONGO_DATABASE"])
    house = VerificationHouse(mongo)
    await house.prepare()
    house.now = datetime.now(UTC).replace(microsecond=0)  # as the object store's clock, which ages objects
    blobs = Blobs(access(platform, "identity"))
    made = Review(house, blobs)
    await made.prepare()
    yield made
    blobs.close()
    mongo.close()


def problem(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return str(answer.json()["type"].rpartition(":")[2])
