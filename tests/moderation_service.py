"""Moderation in this process on the real MongoDB and object store, in a database of its own, without Kafka.

What others would tell it is handed to its handlers; what it would tell them is read from its outbox.
"""

import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from deploy.local import Platform
from services.moderation.domain import PictureDecision
from services.moderation.handlers import Handlers
from services.moderation.routes import make_router
from services.moderation.settings import Settings
from services.moderation.store import Comments, Contents, Endings, Reviews
from shared.auth import Guard, Members
from shared.blobs import REDACTED, TEXTS, Blobs, redacted_key, text_key
from shared.bus import Received
from shared.erasures import Erasures
from shared.events import (
    CaseApproved,
    CaseRedacted,
    CaseSubmitted,
    ConsentFacts,
    Event,
    Frame,
    ModerationErased,
    PictureKind,
    QuestionKind,
    RedactionOutcome,
    Rendition,
    RenditionSize,
    Specialty,
    SubmittedPicture,
)
from shared.mongo import Mongo
from shared.web import create_app
from tests.tokens import TokenMaker

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
LEASE = timedelta(minutes=15)
SIZES = {RenditionSize.FULL: 200_000, RenditionSize.LARGE: 9_000, RenditionSize.SMALL: 900}


class Moderation:
    """The service without Kafka, in a database of its own, with a clock that tests move."""

    def __init__(self, platform: Platform, mongo: Mongo) -> None:
        self.mongo = mongo
        self.now = START
        self.reviews = Reviews(mongo, lease=LEASE, clock=lambda: self.now)
        self.members = Members(mongo.db, cache_s=0)
        self.letters_forgotten: list[tuple[str, ...]] = []
        self.comments = Comments(mongo, self.reviews)
        self.erasures = Erasures(mongo, ModerationErased, self._forget)
        endings = Endings(mongo, self.reviews, self.comments, self.erasures)
        self.handlers = Handlers(self.reviews, self.comments, self.members, endings)
        settings = settings_of(platform, "moderation")
        self.blobs = Blobs(settings)
        self.contents = Contents(self.blobs)
        self.redactor, self.ingest = (Blobs(settings_of(platform, name)) for name in ("redactor", "ingest"))
        self.tokens = TokenMaker()
        guard = Guard(self.tokens.verifier(), self.members.state)
        router = make_router(self.reviews, self.contents, self.comments, guard)
        self.app = create_app(settings, "moderation", service="moderation", routers=[router])

    async def _forget(self, cases: Mapping[str, Collection[str]]) -> dict[str, int]:
        self.letters_forgotten += [tuple(ids) for ids in cases.values()]
        return dict.fromkeys(cases, 0)

    def client(self, moderator: str, *, roles: tuple[str, ...] = ("member", "moderator")) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {self.tokens.token(moderator, roles=list(roles))}"}
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://moderation.test", headers=headers)

    async def tell(self, event: Event, ce_id: str = "") -> None:
        name = "on_" + event.topic.replace(".", "_")
        received = Received(event, event.key, ce_id or uuid.uuid4().hex, event.topic, 0, 0)
        await getattr(self.handlers, name)(received)

    async def rendered(self, case_id: str, picture_id: str, revision: int = 1, **found: Any) -> CaseRedacted:
        """A rendering in the store, written with the redactor's own credentials, and its event.

        `found`: fields of its only frame.
        """
        renditions = []
        for size, length in SIZES.items():
            data = (f"{picture_id} {revision} {size} ".encode() * length)[:length]
            key = redacted_key(case_id, picture_id, revision, 0, size.value, hashlib.sha256(data).hexdigest())
            await self.redactor.put(REDACTED, key, data, "image/png")
            renditions.append(
                Rendition(
                    size=size,
                    object_key=key,
                    media_type="image/png",
                    width=640,
                    height=480,
                    size_bytes=len(data),
                    sha256=hashlib.sha256(data).hexdigest(),
                )
            )
        return CaseRedacted(
            case_id=case_id,
            picture_id=picture_id,
            revision=revision,
            pictures_total=1,
            outcome=RedactionOutcome.REDACTED,
            frames=(Frame(index=0, width=640, height=480, renditions=tuple(renditions), **found),),
        )

    async def submission(
        self, case_id: str, *picture_ids: str, version: int = 2, kind: PictureKind = PictureKind.XRAY
    ) -> CaseSubmitted:
        text = json.dumps({"title": "A wrist", "body": f"Is it broken? Version {version}."}).encode()
        await self.ingest.put(TEXTS, text_key(case_id, version), text, "application/json")
        return CaseSubmitted(
            case_id=case_id,
            version=version,
            author_id="author",
            specialty=Specialty.RADIOLOGY,
            kind=QuestionKind.DIAGNOSIS,
            language="en",
            text_version=version,
            pictures=tuple(SubmittedPicture(picture_id=p, revision=1, kind=kind) for p in picture_ids),
            consent=ConsentFacts(purposes=("sharing",), language="en", text_sha256="0" * 64, signed_on=START.date()),
        )

    async def case(self, pictures: int = 1) -> tuple[str, list[str]]:
        """A submitted case with all its renderings."""
        case_id, picture_ids = str(uuid.uuid4()), [str(uuid.uuid4()) for _ in range(pictures)]
        for picture_id in picture_ids:
            await self.tell(await self.rendered(case_id, picture_id))
        await self.tell(await self.submission(case_id, *picture_ids))
        return case_id, picture_ids

    async def sent(self, event_type: type[Event], key: str) -> list[Any]:
        """What waits in the outbox for one key of a topic: events, or None for a tombstone; in order."""
        query = {"topic": event_type.topic, "key": key}
        rows = await self.mongo.db["outbox"].find(query).sort([("sequence", 1), ("at", 1)]).to_list(None)
        return [event_type.parse(row["value"]) if row["value"] else None for row in rows]

    async def relayed(self) -> None:
        """As after Kafka has acknowledged the tombstones that wait in the outbox."""
        await self.mongo.db["outbox"].delete_many({"value": None})
        await self.erasures.report()

    async def acts(self, case_id: str) -> list[str]:
        trail = await self.reviews.audit(case_id)
        assert not trail.flaws
        return [record["act"] for record in trail.records]


def settings_of(platform: Platform, service: str) -> Settings:
    """A service's own credentials, as settings."""
    prefix = f"{service.upper()}_"
    variables = platform.service_env(service).items()
    found: dict[str, Any] = {name.removeprefix(prefix).lower(): value for name, value in variables}
    return Settings(**{name: found[name] for name in found.keys() & Settings.model_fields.keys() - {"role"}})


def slug(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["type"]).removeprefix("urn:consilium:problem:")


async def queued(client: httpx.AsyncClient) -> list[str]:
    """The ids in the whole queue."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await client.get("/queue", params={"limit": 100, **({"cursor": cursor} if cursor else {})})).json()
        found += [item["case_id"] for item in page["items"]]
        cursor = page["next_cursor"]
    return found


@asynccontextmanager
async def moderation_service(platform: Platform) -> AsyncIterator[Moderation]:
    """Moderation, started."""
    mongo = Mongo(platform.admin_mongo_uri, f"moderation_{uuid.uuid4().hex[:12]}")
    made = Moderation(platform, mongo)
    await made.reviews.prepare()
    await made.comments.prepare()
    yield made
    await mongo.db.client.drop_database(mongo.db.name)
    mongo.close()
    for blobs in (made.blobs, made.redactor, made.ingest):
        blobs.close()


async def published_by(moderation: Moderation, moderator: str) -> tuple[str, CaseApproved]:
    """A case that a moderator has brought the whole way over HTTP."""
    case_id, (picture_id,) = await moderation.case()
    async with moderation.client(moderator) as client:
        assert case_id in await queued(client)
        assert (await client.post(f"/cases/{case_id}/claim")).status_code == 200
        shown = (await client.get(f"/cases/{case_id}")).json()
        frame = shown["pictures"][0]["frames"][0]
        full = next(each for each in frame["renditions"] if each["size"] == "full")
        bytes_seen = (await client.get(full["url"])).content
        assert hashlib.sha256(bytes_seen).hexdigest() == full["sha256"]
        decision = {"revision": 1, "decision": PictureDecision.PUBLISH.value}
        said = await client.put(f"/cases/{case_id}/pictures/{picture_id}/decision", json=decision)
        assert said.status_code == 200, said.text
        done = await client.post(f"/cases/{case_id}/approval")
        assert done.status_code == 200, done.text
    (event,) = await moderation.sent(CaseApproved, case_id)
    return case_id, event
