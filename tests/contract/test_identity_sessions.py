"""Sessions, second factors and tickets: one suite, run on those in memory and on the real database."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from deploy.local import Platform
from services.identity.domain.account import Account
from services.identity.domain.factors import (
    FactorRefused,
    Factors,
    KeepsFactors,
    Passkey,
    Totp,
    new_recovery_codes,
)
from services.identity.domain.sessions import (
    KeepsSessions,
    Lifetime,
    RefreshRefused,
    RefreshReused,
    Session,
    exchange,
)
from services.identity.domain.tickets import KeepsTickets, Purpose, new_secret
from services.identity.store.accounts import Accounts
from services.identity.store.factors import FactorStore
from services.identity.store.sessions import Sessions
from services.identity.store.tickets import Tickets
from shared.events import Profession
from shared.keyring import HeldKeys
from shared.mongo import Mongo
from shared.sealed import Rewrap, SealedField
from shared.sealed_fields import SealedFields
from tests.memory_accounts import MemoryAccounts
from tests.memory_sessions import MemoryFactors, MemoryTickets

NOW = datetime.now(UTC).replace(microsecond=0)
"""Not a day of the past: MongoDB would forget what had expired."""


class Stores:
    """The stores, under a clock that the test turns."""

    def __init__(self, mongo: Mongo | None) -> None:
        self.now = NOW
        self.mongo = mongo
        memory = MemoryAccounts()
        self.accounts: Any = Accounts(mongo) if mongo else memory
        self.sessions: KeepsSessions = Sessions(mongo.db) if mongo else memory.sessions
        self.factors: KeepsFactors = FactorStore(mongo.db) if mongo else MemoryFactors()
        self.tickets: KeepsTickets = (
            Tickets(mongo.db, now=lambda: self.now) if mongo else MemoryTickets(now=lambda: self.now)
        )

    async def session(self, member_id: str, **changes: Any) -> tuple[Session, str]:
        token = new_secret()
        session = Session.begin(
            str(uuid.uuid4()),
            member_id,
            now=self.now,
            lifetime=Lifetime(3600, 86_400),
            amr=("pwd", "otp", "mfa"),
            user_agent="Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
            address="192.0.2.7",
            delivery="cookie",
            refresh_token=token,
        )
        session = replace(session, **changes)
        await self.sessions.add(session)
        return session, token


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.platform)])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    if request.param == "memory":
        yield Stores(None)
        return
    platform: Platform = request.getfixturevalue("platform")
    mongo = Mongo(platform.service_env("identity")["IDENTITY_MONGO_URI"], "identity")
    made = Stores(mongo)
    real: tuple[Any, ...] = (made.accounts, made.sessions, made.factors, made.tickets)
    for store in real:
        await store.prepare()
    yield made
    mongo.close()


def someone() -> str:
    return str(uuid.uuid4())


async def test_a_session_comes_back_as_it_was_kept(stores: Stores) -> None:
    session, _ = await stores.session(someone())
    assert await stores.sessions.get(session.session_id) == session
    assert await stores.sessions.by_token(session.current) == session
    assert await stores.sessions.get("nothing") is None
    assert await stores.sessions.by_token("nothing") is None


async def test_tokens_follow_each_other_and_a_copy_ends_them(stores: Stores) -> None:
    session, first = await stores.session(someone())
    moved, second = await exchange(stores.sessions, first, NOW)
    assert (moved.session_id, moved.last_used_at) == (session.session_id, NOW)
    _, third = await exchange(stores.sessions, second, NOW + timedelta(seconds=1))
    with pytest.raises(RefreshReused):
        await exchange(stores.sessions, first, NOW + timedelta(seconds=2))
    for token in (first, second, third):
        with pytest.raises(RefreshRefused):
            await exchange(stores.sessions, token, NOW + timedelta(seconds=3))


async def test_a_session_that_was_narrowed_stays_so(stores: Stores) -> None:
    session, _ = await stores.session(someone())
    assert await stores.sessions.advance(replace(session, amr=("pwd",)), session.current)
    found = await stores.sessions.get(session.session_id)
    assert found is not None
    assert found.amr == ("pwd",)


async def test_of_exchanges_at_the_same_moment_all_get_one_successor(stores: Stores) -> None:
    _, token = await stores.session(someone())
    answers = await asyncio.gather(*(exchange(stores.sessions, token, NOW) for _ in range(10)))
    assert len({successor for _, successor in answers}) == 1
    assert await exchange(stores.sessions, answers[0][1], NOW)


async def test_an_exchange_that_broke_off_half_way_is_finished_with_the_same_successor(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, token = await stores.session(someone())
    noted = []
    spend = stores.sessions.spend

    async def dies_after(spent: Any) -> Any:
        noted.append(await spend(spent))
        raise ConnectionError("killed")

    monkeypatch.setattr(stores.sessions, "spend", dies_after)
    with pytest.raises(ConnectionError):
        await exchange(stores.sessions, token, NOW)
    monkeypatch.undo()
    assert await stores.sessions.get(session.session_id) == session
    later = NOW + timedelta(minutes=5)
    _, successor = await exchange(stores.sessions, token, later)
    assert await stores.sessions.spend(noted[0]) == noted[0]
    assert (await exchange(stores.sessions, successor, later))[0].session_id == session.session_id


async def test_sessions_are_listed_and_ended_by_their_member_only(stores: Stores) -> None:
    mine, theirs = someone(), someone()
    first, _ = await stores.session(mine, last_used_at=NOW)
    second, _ = await stores.session(mine, last_used_at=NOW + timedelta(seconds=1))
    third, _ = await stores.session(mine, last_used_at=NOW - timedelta(seconds=1))
    other, _ = await stores.session(theirs)
    assert await stores.sessions.of_member(mine) == [second, first, third]
    assert not await stores.sessions.end(theirs, first.session_id)
    assert await stores.sessions.end(mine, first.session_id)
    assert not await stores.sessions.end(mine, first.session_id)
    assert await stores.sessions.end_all(mine, but=third.session_id) == 1
    assert await stores.sessions.of_member(mine) == [third]
    assert await stores.sessions.end_all(mine) == 1
    assert await stores.sessions.of_member(theirs) == [other]


@pytest.mark.parametrize("way", ["suspend", "password", "password but one"])
async def test_what_shuts_a_member_out_ends_the_sessions_with_it(stores: Stores, way: str) -> None:
    name = uuid.uuid4().hex[:12]
    account = Account.register(
        email=f"{name}@hopital.example",
        password_hash="old",
        pseudonym=f"Dr {name}",
        profession=Profession.NURSE,
        now=NOW,
    )
    await stores.accounts.add(account)
    member_id = account.member_id
    kept, _ = await stores.session(member_id)
    await stores.session(member_id)
    if way == "suspend":
        await stores.accounts.change(member_id, lambda found: found.suspend("a test"))
        await stores.session(member_id)  # may come in again, to see why
        await stores.accounts.change(member_id, lambda found: found.reinstate())
        assert len(await stores.sessions.of_member(member_id)) == 1
        return
    but = kept.session_id if way == "password but one" else None
    await stores.accounts.set_password(member_id, "new", but_session=but)
    assert (await stores.accounts.by_id(member_id)).password_hash == "new"
    assert await stores.sessions.of_member(member_id) == ([kept] if but else [])


async def test_a_pseudonym_that_a_reader_would_confuse_is_taken(stores: Stores) -> None:
    name = f"Dr {uuid.uuid4().hex[:12]}"
    account = Account.register(
        email=f"{uuid.uuid4().hex}@hopital.example",
        password_hash="h",
        pseudonym=name,
        profession=Profession.NURSE,
        now=NOW,
    )
    assert not await stores.accounts.pseudonym_taken(name)
    await stores.accounts.add(account)
    assert await stores.accounts.pseudonym_taken(name.upper().replace(" ", "-"))


async def test_factors_come_back_as_they_were_kept(stores: Stores) -> None:
    member_id = someone()
    assert await stores.factors.of_member(member_id) == Factors(member_id)
    sealed = {"key_id": "k", "wrapped_key": b"w", "sealed": b"s"}
    credential_id = uuid.uuid4().hex
    passkey = Passkey(credential_id, b"key", 7, "Phone", True, NOW, ("internal", "usb"), None)
    _, hashes = new_recovery_codes(member_id)

    def fill(found: Factors) -> Factors:
        full = found.with_totp(Totp(sealed, NOW, 3)).with_pending(Totp(sealed, NOW)).with_passkey(passkey)
        return full.with_recovery(hashes)

    kept = await stores.factors.change(member_id, fill)
    assert await stores.factors.of_member(member_id) == kept == fill(Factors(member_id))
    assert await stores.factors.by_passkey(credential_id) == kept
    assert await stores.factors.by_passkey("another") is None


async def test_of_ten_who_give_one_code_at_the_same_moment_one_gets_in(stores: Stores) -> None:
    member_id = someone()
    codes, hashes = new_recovery_codes(member_id)
    totp = Totp({"key_id": "k", "wrapped_key": b"w", "sealed": b"s"}, NOW)
    await stores.factors.change(member_id, lambda found: found.with_totp(totp).with_recovery(hashes))
    for move in (lambda found: found.use_totp(41), lambda found: found.use_recovery(codes[0])):
        results = await asyncio.gather(
            *(stores.factors.change(member_id, move) for _ in range(10)), return_exceptions=True
        )
        assert [isinstance(result, FactorRefused) for result in results].count(True) == 9
    left = await stores.factors.of_member(member_id)
    assert (left.totp.last_step if left.totp else 0, len(left.recovery)) == (41, 9)


async def test_of_different_codes_at_the_same_moment_each_is_used_up(stores: Stores) -> None:
    member_id = someone()
    codes, hashes = new_recovery_codes(member_id)
    await stores.factors.change(member_id, lambda found: found.with_recovery(hashes))
    moves = [partial(Factors.use_recovery, code=code) for code in codes[:6]]
    await asyncio.gather(*(stores.factors.change(member_id, move) for move in moves))
    assert list((await stores.factors.of_member(member_id)).recovery) == hashes[6:]


async def test_a_ticket_is_good_for_its_purpose_its_time_and_once(stores: Stores) -> None:
    member_id = someone()
    secret = await stores.tickets.issue(Purpose.PASSWORD_RESET, {"member_id": member_id}, 60, member_id=member_id)
    assert await stores.tickets.look(Purpose.REGISTRATION, secret) is None
    assert await stores.tickets.redeem(Purpose.REGISTRATION, secret) is None
    assert await stores.tickets.look(Purpose.PASSWORD_RESET, secret) == {"member_id": member_id}
    shown = await asyncio.gather(*(stores.tickets.redeem(Purpose.PASSWORD_RESET, secret) for _ in range(8)))
    assert [one for one in shown if one] == [{"member_id": member_id}]
    late = await stores.tickets.issue(Purpose.PASSWORD_RESET, {}, 60, member_id=member_id)
    taken_back = await stores.tickets.issue(Purpose.PASSWORD_RESET, {}, 600, member_id=member_id)
    other = await stores.tickets.issue(Purpose.SECOND_FACTOR, {"a": 1}, 600, member_id=member_id)
    stores.now += timedelta(seconds=61)
    assert await stores.tickets.look(Purpose.PASSWORD_RESET, late) is None
    assert await stores.tickets.redeem(Purpose.PASSWORD_RESET, late) is None
    await stores.tickets.cancel(Purpose.PASSWORD_RESET, member_id)
    assert await stores.tickets.look(Purpose.PASSWORD_RESET, taken_back) is None
    assert await stores.tickets.look(Purpose.SECOND_FACTOR, other) == {"a": 1}


@pytest.fixture
async def real(platform: Platform) -> AsyncIterator[Stores]:
    mongo = Mongo(platform.service_env("identity")["IDENTITY_MONGO_URI"], "identity")
    yield Stores(mongo)
    mongo.close()


@pytest.mark.platform
async def test_the_database_holds_no_token_and_forgets_by_itself(real: Stores) -> None:
    assert real.mongo is not None
    _, token = await real.session(someone(), expires_at=datetime.now(UTC) + timedelta(hours=1))
    _, successor = await exchange(real.sessions, token, NOW)
    ticket = await real.tickets.issue(Purpose.PASSWORD_RESET, {}, 60)
    for name in ("sessions", "spent_refresh_tokens", "tickets"):
        text = str([document async for document in real.mongo.db[name].find({})])
        assert not [secret for secret in (token, successor, ticket) if secret in text]
        indexes = (await real.mongo.db[name].index_information()).values()
        assert [(i["key"], i["expireAfterSeconds"]) for i in indexes if "expireAfterSeconds" in i] == [
            ([("expires_at", 1)], 0)
        ]


@pytest.mark.platform
async def test_the_secret_of_an_authenticator_app_outlives_a_rotation_of_the_wrapping_key(real: Stores) -> None:
    assert real.mongo is not None
    old, new = b"o" * 32, b"n" * 32
    member_id = someone()
    sealed = await SealedField(HeldKeys([old])).seal(member_id, "sealed", b"SECRET")
    await real.factors.change(member_id, lambda found: found.with_pending(Totp(sealed, NOW)).confirm_totp(5))
    fields = SealedFields(real.mongo, SealedField(HeldKeys([new, old])))
    (place,) = [place for place in await fields.owners() if member_id in place]
    assert await fields.rewrap(place) is Rewrap.DONE
    totp = (await real.factors.of_member(member_id)).totp
    assert totp is not None
    assert await SealedField(HeldKeys([new])).open(member_id, "sealed", totp.sealed) == b"SECRET"
