"""The keys of tokens at those who verify: how soon one that was taken back is believed no more, and what it costs."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from services.identity.store.keys import rotate
from shared import auth_keys
from shared.auth import KeysAway, TokenRefused, TokenVerifier
from shared.auth_keys import FORGET_AFTER_S, LEARN_AFTER_S, MAX_AGE_S
from tests.identity_service import Identity, Someone
from tests.served import served
from tests.tokens import AUDIENCE, ISSUER, TokenMaker
from tests.waiting import until


class Publisher:
    """Identity as verifiers see it, under a clock: what it publishes, whether it answers, how often it was asked."""

    def __init__(self) -> None:
        self.clock = 1_900_000_000.0
        self.maker = TokenMaker()
        self.asked = 0
        self.away = False
        self.answers = asyncio.Event()
        self.answers.set()

    def now(self) -> float:
        return self.clock

    async def fetch(self) -> dict[str, Any]:
        self.asked += 1
        await self.answers.wait()
        if self.away:
            raise httpx.ConnectError("identity is away")
        return self.maker.key.published()

    def verifier(self) -> TokenVerifier:
        return TokenVerifier("", ISSUER, AUDIENCE, fetch=self.fetch, now=self.now)

    def token(self, maker: TokenMaker | None = None) -> str:
        return (maker or self.maker).token(iat=int(self.clock), exp=int(self.clock) + 600)


@pytest.fixture
def publisher() -> Publisher:
    return Publisher()


async def test_a_key_taken_back_is_believed_by_nobody_after_ten_seconds(publisher: Publisher) -> None:
    verifiers = [publisher.verifier() for _ in range(2)]
    stolen = publisher.token()
    for verifier in verifiers:
        await verifier.verify(stolen)  # and remembered
    publisher.maker = TokenMaker()
    publisher.clock += MAX_AGE_S
    for verifier in verifiers:
        await verifier.verify(stolen)
    assert publisher.asked == 2, "offline in between"
    publisher.clock += 0.1
    for verifier in verifiers:
        with pytest.raises(TokenRefused, match="unknown key"):
            await verifier.verify(stolen)
        await verifier.verify(publisher.token())


async def test_forged_key_ids_ask_no_more_often_than_every_two_seconds(publisher: Publisher) -> None:
    verifier = publisher.verifier()
    await verifier.verify(publisher.token())
    forged = [publisher.token(TokenMaker()) for _ in range(50)]

    async def flood() -> None:
        refused = await asyncio.gather(*(verifier.verify(token) for token in forged), return_exceptions=True)
        assert {type(one) for one in refused} == {TokenRefused}

    await flood()
    assert publisher.asked == 1
    publisher.clock += LEARN_AFTER_S + 0.1
    await flood()
    await flood()
    assert publisher.asked == 2


async def test_a_new_key_is_learnt_from_the_first_token_that_names_it(publisher: Publisher) -> None:
    verifier = publisher.verifier()
    await verifier.verify(publisher.token())
    publisher.maker = TokenMaker()
    publisher.clock += LEARN_AFTER_S + 0.1
    assert (await verifier.verify(publisher.token())).member_id == "member-1"


async def test_while_identity_is_away_known_keys_serve_for_a_quarter_of_an_hour(publisher: Publisher) -> None:
    verifier = publisher.verifier()
    await verifier.verify(publisher.token())
    publisher.away = True
    publisher.clock += FORGET_AFTER_S
    await verifier.verify(publisher.token())
    publisher.clock += 0.1
    with pytest.raises(KeysAway):
        await verifier.verify(publisher.token())
    publisher.away = False
    publisher.clock += MAX_AGE_S + 0.1

    async def believed() -> bool:
        try:
            await verifier.verify(publisher.token())
        except KeysAway:
            return False
        return True

    await until(believed)


async def test_nobody_waits_for_an_identity_that_does_not_answer(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth_keys, "PATIENCE_S", 0.0)  # so long the first who asks waits
    monkeypatch.setattr(auth_keys, "TIMEOUT_S", 3600.0)
    verifier = publisher.verifier()
    stolen = publisher.token()
    await verifier.verify(stolen)
    publisher.answers.clear()
    publisher.maker = TokenMaker()
    for _ in range(3):
        publisher.clock += MAX_AGE_S + 0.1
        assert (await asyncio.wait_for(verifier.verify(stolen), 30)).member_id == "member-1"
    assert publisher.asked == 2, "one question at a time"
    publisher.answers.set()

    async def refused() -> bool:
        try:
            await verifier.verify(stolen)
        except TokenRefused:
            return True
        return False

    await until(refused)


async def test_a_clock_that_was_set_back_keeps_no_key_for_hours(publisher: Publisher) -> None:
    verifier = publisher.verifier()
    publisher.clock += 7200
    await verifier.verify(publisher.token())
    publisher.clock -= 7200
    stolen = publisher.token()
    await verifier.verify(stolen)
    publisher.maker = TokenMaker()
    publisher.clock += MAX_AGE_S + 0.1
    with pytest.raises(TokenRefused, match="unknown key"):
        await verifier.verify(stolen)


class Door:
    """What comes out of a service: the statuses of its answers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.statuses: list[int] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def seen(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.statuses.append(message["status"])
            await send(message)

        await self.app(scope, receive, seen)


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path)


async def test_over_http_unchanged_keys_cost_a_304_and_a_stolen_one_is_dropped(
    identity: Identity, tmp_path: Path
) -> None:
    await identity.member()
    async with identity.client() as client:
        token = (await Someone(identity, client).sign_in()).tokens["access_token"]
    door, clock = Door(identity.app), [identity.clock.timestamp()]
    with served(door) as address:
        verifier = TokenVerifier(f"{address}/.well-known/jwks.json", ISSUER, AUDIENCE, now=lambda: clock[0])
        for _ in range(3):
            assert (await verifier.verify(token)).pseudonym == "Member 0"
            clock[0] += MAX_AGE_S + 0.1
        assert door.statuses == [200, 304, 304]
        rotate(tmp_path / "key.pem", 600, lead_s=0)

        async def refused() -> bool:
            clock[0] += MAX_AGE_S + 0.1
            try:
                await verifier.verify(token)
            except TokenRefused:
                return True
            return False

        await until(refused)  # identity looks at the file once a second
        assert door.statuses[-1] == 200
        async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
            answer = await client.get("/.well-known/jwks.json")
            assert answer.headers["cache-control"] == f"public, max-age={MAX_AGE_S:.0f}"
