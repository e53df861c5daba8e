"""Ingest in this process on the real MongoDB and object store, in a database of its own; of Kafka only the ledger.

What it would tell the others is read from its outbox; what they would tell it is handed to its handlers.
"""

import base64
import dataclasses
import hashlib
import io
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from PIL import Image, ImageDraw

from deploy.local import Platform
from services.ingest.app import create_app
from services.ingest.handlers import Handlers
from services.ingest.routes.caller import Resources
from services.ingest.settings import Settings
from services.ingest.store import Eraser
from shared.auth import Guard, Members
from shared.blobs import REDACTED, Blobs, redacted_key
from shared.bus import Received
from shared.events import (
    CaseApproved,
    CaseRedacted,
    CaseRejected,
    CaseUploaded,
    Event,
    Frame,
    RedactionOutcome,
    Rendition,
    RenditionSize,
    event_by_type,
)
from shared.keyring import FileKeyRing
from shared.mongo import Mongo
from shared.originals import RawRoom
from tests.tokens import TokenMaker

Json = dict[str, Any]
AUTHOR = "11111111-1111-4111-8111-111111111111"
COLLEAGUE = "22222222-2222-4222-8222-222222222222"


def picture_bytes(colour: str = "red", form: str = "JPEG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(out, form)
    return out.getvalue()


def signature_png(seed: int = 0) -> bytes:
    """A scrawl on a transparent canvas, as a browser sends it; another for every seed."""
    drawn = Image.new("RGBA", (600, 200))
    ImageDraw.Draw(drawn).line([(40, 150), (160, 40 + seed % 90), (260, 160), (420, 60), (560, 120)], "black", 5)
    out = io.BytesIO()
    drawn.save(out, "PNG")
    return out.getvalue()


def tokens_of(request: Json) -> list[str]:
    """The tokens of the links of a new consent request, in the order of its signers."""
    return [each["link"]["url"].rpartition("/consent/")[2].partition("?")[0] for each in request["signers"]]


@dataclasses.dataclass
class IngestService:
    app: FastAPI
    http: httpx.AsyncClient
    mongo: Mongo
    blobs: Blobs
    redactor_blobs: Blobs
    room: RawRoom
    redactor_room: RawRoom
    handlers: Handlers
    tokens: TokenMaker
    keyring: FileKeyRing
    letters_forgotten: list[tuple[str, ...]] = dataclasses.field(default_factory=list)

    @property
    def resources(self) -> Resources:
        found: Resources = self.app.state.resources
        return found

    def code_of(self, signed: httpx.Response) -> str:
        """The withdrawal code that a signer was told."""
        assert signed.status_code == 201, signed.text
        return str(signed.json()["withdrawal_code"])

    def eraser(self, **options: Any) -> Eraser:
        """An eraser as the worker has it."""

        async def forget(*ids: str) -> int:
            self.letters_forgotten.append(ids)
            return 0

        return Eraser(self.mongo, self.blobs, self.room, forget_letters=forget, **options)

    async def call(
        self, method: str, path: str, json: Any = None, *, member: str = AUTHOR, key: str = "", **more: Any
    ) -> httpx.Response:
        """One request of a member. `claims` change the token."""
        token = self.tokens.token(member, **more.pop("claims", {}))
        headers = {"authorization": f"Bearer {token}", **more.pop("headers", {})}
        if key:
            headers["idempotency-key"] = key
        return await self.http.request(method, path, json=json, headers=headers, **more)

    async def new_case(self, **changes: Any) -> str:
        fields = {
            "specialty": "dermatology",
            "kind": "diagnosis",
            "language": "en",
            "title": "A wound",
            "body": "What would you do?",
        }
        made = await self.call("POST", "/cases", fields | changes)
        assert made.status_code == 201, made.text
        return str(made.json()["case_id"])

    async def upload(self, case_id: str, data: bytes | None = None, **more: Any) -> httpx.Response:
        return await self.call("POST", f"/cases/{case_id}/pictures?kind=wound", content=data or picture_bytes(), **more)

    async def case(self, case_id: str) -> Json:
        found = await self.call("GET", f"/cases/{case_id}")
        assert found.status_code == 200, found.text
        return dict(found.json())

    async def events(self, case_id: str) -> list[Event]:
        """What the outbox holds about a case, oldest first; tombstones left out."""
        found = []
        async for row in self.mongo.db["outbox"].find({}, sort=[("at", 1)]):
            event_type = event_by_type(row["headers"]["ce_type"])
            if row["value"] is not None and event_type is not None:
                event = event_type.parse(row["value"])
                if event.partition_key == case_id:
                    found.append(event)
        return found

    async def tombstones(self) -> set[tuple[str, str]]:
        """(topic, key) of every tombstone in the outbox."""
        rows = self.mongo.db["outbox"].find({"value": None})
        return {(row["topic"], row["key"]) async for row in rows}

    async def take(self, event: Event) -> None:
        """Deliver an event to its handler."""
        handle = getattr(self.handlers, f"on_{event.topic.replace('.', '_')}")
        await handle(Received(event, event.key, str(uuid.uuid4()), event.topic, 0, 0))

    async def paint(self, case_id: str, **changes: Any) -> None:
        """Answer for every picture of the case's newest redaction, as the redactor would."""
        (*_, asked) = [event for event in await self.events(case_id) if isinstance(event, CaseUploaded)]
        for picture in asked.pictures:
            await self.take(await self.rendering(case_id, picture.picture_id, picture.revision, **changes))
        if not asked.pictures:
            await self.take(
                CaseRedacted(
                    case_id=case_id,
                    picture_id=None,
                    revision=1,
                    pictures_total=0,
                    outcome=RedactionOutcome.REDACTED,
                )
            )

    async def rendering(self, case_id: str, picture_id: str, revision: int, **changes: Any) -> CaseRedacted:
        """A painted picture in the bucket, and the event that tells of it."""
        data = picture_bytes("black", "PNG")
        key = redacted_key(case_id, picture_id, revision, 0, "full", hashlib.sha256(data).hexdigest())
        await self.redactor_blobs.put(REDACTED, key, data, "image/png")
        rendition = Rendition(
            size=RenditionSize.FULL,
            object_key=key,
            media_type="image/png",
            width=64,
            height=48,
            size_bytes=len(data),
            sha256=hash_of(data),
        )
        fields: Json = {
            "case_id": case_id,
            "picture_id": picture_id,
            "revision": revision,
            "pictures_total": 1,
            "outcome": RedactionOutcome.REDACTED,
            "frames": (Frame(index=0, width=64, height=48, renditions=(rendition,)),),
        }
        return CaseRedacted(**fields | changes)

    async def inform(self, case_id: str, **changes: Any) -> httpx.Response:
        """Record that the patient was informed."""
        told = {"informed_on": datetime.now(UTC).date().isoformat(), "language": "en", "means": "both"}
        return await self.call("PUT", f"/cases/{case_id}/information", told | changes)

    async def ask_consent(self, case_id: str, **changes: Any) -> httpx.Response:
        """Ask an adult for a consent."""
        asked = {
            "language": "en",
            "patient_code": "P-4711",
            "subject": "adult",
            "purposes": ["publication", "teaching"],
            "audience": "professionals_and_students",
            "contact": "the ward, extension 12",
        }
        return await self.call("POST", f"/cases/{case_id}/consent-requests", asked | changes)

    async def sign(self, token: str, **changes: Any) -> httpx.Response:
        """Sign over a link, as the patient: no account."""
        language = changes.get("language", "en")
        shown = await self.http.get(f"/consent/{token}/request?language={language}")
        signed = {
            "language": language,
            "text_sha256": shown.json().get("text_sha256", "0" * 64),
            "purposes": ["publication"],
            "pictures_seen": True,
            "capacity_confirmed": True,
            "signature": base64.b64encode(signature_png()).decode(),
        }
        return await self.http.post(f"/consent/{token}/signature", json=signed | changes)

    async def consent(self, case_id: str, **changes: Any) -> httpx.Response:
        """Inform, ask and have every signer sign; the answer to the last step, or to the first that is refused.

        `changes` are of the request.
        """
        for step in (await self.inform(case_id), await self.ask_consent(case_id, **changes)):
            if step.is_error:
                return step
        for token in tokens_of(step.json()):
            step = await self.sign(token)
        return step

    async def ready_case(self, pictures: int = 1) -> str:
        """A case whose pictures are painted and whose patient has consented."""
        case_id = await self.new_case()
        for _ in range(pictures):
            assert (await self.upload(case_id)).status_code == 201
        assert (await self.call("POST", f"/cases/{case_id}/redaction")).status_code == 202
        await self.paint(case_id)
        assert (await self.consent(case_id)).status_code == 201
        return case_id

    async def submit(self, case_id: str, **more: Any) -> httpx.Response:
        """Ask for publication; the author sees no mark on any picture."""
        pictures = (await self.call("GET", f"/cases/{case_id}/preview")).json()["pictures"]
        marks = [{"picture_id": each["picture_id"], "answer": "none"} for each in pictures if each["marks_asked"]]
        return await self.call("POST", f"/cases/{case_id}/submission", {"marks": marks}, **more)

    async def submitted_case(self) -> tuple[str, int]:
        """A submitted case and the version of its submission."""
        case_id = await self.ready_case()
        sent = await self.submit(case_id)
        assert sent.status_code == 202, sent.text
        return case_id, int(sent.json()["version"])

    async def published_case(self) -> str:
        case_id, version = await self.submitted_case()
        await self.take(self.approval(case_id, version))
        return case_id

    @staticmethod
    def approval(case_id: str, version: int) -> CaseApproved:
        return CaseApproved(
            case_id=case_id,
            version=version,
            author_id=AUTHOR,
            specialty="dermatology",
            kind="diagnosis",
            language="en",
            title="A wound",
            text="What would you do?",
            approved_at=datetime.now(UTC),
        )

    @staticmethod
    def rejection(case_id: str, version: int, outcome: str) -> CaseRejected:
        return CaseRejected(
            case_id=case_id,
            version=version,
            outcome=outcome,
            reasons=("face_visible",),
            decided_at=datetime.now(UTC),
        )


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def settings_of(platform: Platform, service: str, database: str, key_file: Path, **changes: Any) -> Settings:
    """Settings with the service's own S3 credentials, and a database that only this test uses."""
    given: Json = {
        "role": "api",
        "mongo_uri": platform.admin_mongo_uri,
        "mongo_database": database,
        "kafka_bootstrap_servers": platform.where().kafka,
        "kafka_username": service,
        "kafka_password": platform.credentials.password(f"{service}_kafka_password"),
        "s3_endpoint": platform.where().s3,
        "s3_access_key": service,
        "s3_secret_key": platform.credentials.password(f"{service}_s3_secret_key"),
        "wrapping_key_file": key_file,
        "public_url": "https://consilium.example",
        "controller": "Hôpital d'essai, 1 place de l'Église, Bordeaux",
        "data_officer": "dpo@hopital.example",
    }
    return Settings(**given | changes)


@asynccontextmanager
async def ingest_service(platform: Platform, folder: Path, **changes: Any) -> AsyncIterator[IngestService]:
    """Ingest, started. `changes` are settings."""
    database = f"ingest_test_{uuid.uuid4().hex[:8]}"
    key_file = folder / "wrapping_key"
    key_file.write_text(base64.b64encode(b"w" * 32).decode())
    settings = settings_of(platform, "ingest", database, key_file, **changes)
    app = create_app(settings)
    mongo = Mongo(platform.admin_mongo_uri, database)
    tokens = TokenMaker()
    blobs = Blobs(settings)
    redactor_blobs = Blobs(settings_of(platform, "redactor", database, key_file))
    async with app.router.lifespan_context(app):
        await app.state.ledgers_applied()  # nothing is served before
        opened: Resources = app.state.resources
        members = Members(mongo.db, cache_s=0)
        app.state.resources = dataclasses.replace(opened, guard=Guard(tokens.verifier(), members.state))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as http:
            keyring = FileKeyRing(key_file)
            room, redactor_room = RawRoom(blobs, keyring), RawRoom(redactor_blobs, keyring)
            handlers = Handlers(opened.store, members, opened.receipts)
            yield IngestService(app, http, mongo, blobs, redactor_blobs, room, redactor_room, handlers, tokens, keyring)
    await mongo.db.client.drop_database(database)
    for client in (blobs, redactor_blobs, mongo):
        client.close()
