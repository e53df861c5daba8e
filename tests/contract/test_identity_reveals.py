"""Learning a name, on real MongoDB: two officers, one trail, and a reading recorded before the name is opened."""

import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from deploy.local import Platform
from services.identity.routes.reveals import reveal_routes
from services.identity.settings import Settings
from services.identity.store.reveals import Reveals
from shared.auth import RECENT_S, Guard
from shared.mongo import Mongo
from shared.web import create_app
from tests.contract.test_identity_store import open_mongo
from tests.tokens import TokenMaker

pytestmark = pytest.mark.platform
WHY = {"reason": "The board of the order asks in a proceeding of November."}


class Room:
    """Identity's reveal routes; `opened` counts how often a name was opened."""

    def __init__(self, mongo: Mongo) -> None:
        self.reveals, self.tokens, self.opened = Reveals(mongo), TokenMaker(), 0
        self.member = str(uuid.uuid4())
        guard = Guard(self.tokens.verifier())
        routes = reveal_routes(self.reveals, guard, self._open, self._knows)
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(Settings(), "identity", service="identity", routers=[routes])),
            base_url="http://test",
        )

    async def _open(self, member_id: str) -> tuple[str, str] | None:
        self.opened += 1
        return ("Saule", "Ambre") if member_id == self.member else None

    async def _knows(self, member_id: str) -> bool:
        return member_id == self.member

    async def call(
        self, officer: str, method: str, path: str, body: Any = None, role: str = "privacy_officer", **claims: Any
    ) -> Any:
        token = self.tokens.token(officer, roles=[role], profession=None, amr=["pwd", "otp", "mfa"], **claims)
        return await self.http.request(method, path, json=body, headers={"authorization": f"Bearer {token}"})


@pytest.fixture
async def room(platform: Platform) -> AsyncIterator[Room]:
    mongo = open_mongo(platform)
    made = Room(mongo)
    await made.reveals.prepare()
    yield made
    await made.http.aclose()
    mongo.close()


def slug(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rsplit(":", 1)[-1]


async def test_two_officers_read_a_name_and_leave_a_trail(room: Room) -> None:
    asked = await room.call("officer-1", "POST", "/reveals", {"member_id": room.member, **WHY})
    assert asked.status_code == 201
    address = f"/reveals/{asked.json()['reveal_id']}"

    alone = await room.call("officer-1", "GET", f"{address}/name")
    assert (alone.status_code, slug(alone)) == (409, "reveal-not-open")
    own = await room.call("officer-1", "PUT", f"{address}/answer", {"agreed": True})
    assert (own.status_code, slug(own)) == (403, "second-person-needed")
    assert room.opened == 0

    assert (await room.call("officer-2", "PUT", f"{address}/answer", {"agreed": True})).json()["state"] == "agreed"
    third = await room.call("officer-3", "GET", f"{address}/name")
    assert (third.status_code, slug(third)) == (403, "second-person-needed")
    read = await room.call("officer-1", "GET", f"{address}/name")
    assert read.json() == {"family_name": "Saule", "given_name": "Ambre"}
    assert read.headers["cache-control"] == "no-store"

    trail = (await room.call("officer-3", "GET", f"/members/{room.member}/reveals")).json()
    assert trail["flaws"] == []
    acts = [(record["act"], record["actor"]) for record in trail["records"]]
    assert acts == [("asked", "officer-1"), ("agreed", "officer-2"), ("read", "officer-1")]
    assert trail["records"][0]["detail"]["reason"] == WHY["reason"]
    assert "Saule" not in str(trail)


async def test_a_session_left_open_leads_to_no_name(room: Room) -> None:
    asked = await room.call("officer-1", "POST", "/reveals", {"member_id": room.member, **WHY})
    address = f"/reveals/{asked.json()['reveal_id']}"
    await room.call("officer-2", "PUT", f"{address}/answer", {"agreed": True})
    earlier: dict[str, Any] = {"auth_time": int(time.time()) - RECENT_S - 5}
    for method, path, body in (
        ("POST", "/reveals", {"member_id": room.member, **WHY}),
        ("PUT", f"{address}/answer", {"agreed": True}),
        ("GET", f"{address}/name", None),
    ):
        refused = await room.call("officer-1", method, path, body, **earlier)
        assert (refused.status_code, slug(refused)) == (401, "sign-in-again"), path
    assert room.opened == 0
    assert (await room.call("officer-1", "GET", "/reveals", **earlier)).status_code == 200, "no name in it"
    assert (await room.call("officer-1", "GET", f"{address}/name")).status_code == 200


async def test_a_refused_request_opens_nothing(room: Room) -> None:
    asked = await room.call("officer-1", "POST", "/reveals", {"member_id": room.member, **WHY})
    address = f"/reveals/{asked.json()['reveal_id']}"
    await room.call("officer-2", "PUT", f"{address}/answer", {"agreed": False})
    assert slug(await room.call("officer-1", "GET", f"{address}/name")) == "reveal-not-open"
    assert slug(await room.call("officer-2", "PUT", f"{address}/answer", {"agreed": True})) == "reveal-not-open"
    assert room.opened == 0


@pytest.mark.parametrize("role", ["member", "moderator", "credential_reviewer", "patient"])
async def test_nobody_else_sees_or_asks_anything(room: Room, role: str) -> None:
    for method, path in (("POST", "/reveals"), ("GET", "/reveals"), ("GET", f"/members/{room.member}/reveals")):
        answer = await room.call("someone", method, path, {"member_id": room.member, **WHY}, role)
        assert answer.status_code == 403


async def test_a_request_needs_a_member_and_a_reason(room: Room) -> None:
    unknown = await room.call("officer-1", "POST", "/reveals", {"member_id": "nobody", **WHY})
    assert (unknown.status_code, slug(unknown)) == (404, "member-unknown")
    short = await room.call("officer-1", "POST", "/reveals", {"member_id": room.member, "reason": "curious"})
    assert short.status_code == 422
    missing = await room.call("officer-1", "GET", "/reveals/none/name")
    assert (missing.status_code, slug(missing)) == (404, "reveal-unknown")
