"""identity's stores: one suite, run on those in memory and on the real database."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.local import Platform
from services.identity.domain.account import Account, AccountUnknown, AlreadyTaken, KeepsAccounts, MoveRefused
from services.identity.domain.brakes import Brake
from services.identity.store.accounts import Accounts
from services.identity.store.attempts import Attempts
from shared.events import MemberChanged, MemberStatus, Profession, Role, Specialty
from shared.mongo import Mongo
from tests.memory_accounts import MemoryAccounts, MemoryAttempts

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Book:
    """Accounts, and the events that would go out for them in order."""

    def __init__(self, accounts: Any, mongo: Mongo | None) -> None:
        self.accounts = accounts
        self.keeps: KeepsAccounts = accounts
        self.mongo = mongo

    async def told(self, member_id: str) -> list[MemberChanged]:
        if self.mongo is None:
            return [event for event in self.accounts.told if event.member_id == member_id]
        rows = self.mongo.db["outbox"].find({"key": member_id}, sort=[("sequence", 1)])
        return [MemberChanged.parse(row["value"]) async for row in rows]


def open_mongo(platform: Platform) -> Mongo:
    env = platform.service_env("identity")
    return Mongo(env["IDENTITY_MONGO_URI"], env["IDENTITY_MONGO_DATABASE"])


@pytest.fixture
async def mongo(platform: Platform) -> AsyncIterator[Mongo]:
    made = open_mongo(platform)
    yield made
    made.close()


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.platform)])
async def book(request: pytest.FixtureRequest) -> AsyncIterator[Book]:
    if request.param == "memory":
        yield Book(MemoryAccounts(), None)
        return
    mongo = open_mongo(request.getfixturevalue("platform"))
    accounts = Accounts(mongo)
    await accounts.prepare()
    yield Book(accounts, mongo)
    mongo.close()


def account(name: str | None = None, **changes: Any) -> Account:
    name = name or f"member {uuid.uuid4().hex[:12]}"
    email = f"{name.replace(' ', '.')}@hopital.example"
    known = {"email": email, "password_hash": "hash", "pseudonym": name, "profession": Profession.NURSE, "now": NOW}
    return Account.register(**{**known, **changes})


async def test_an_account_comes_back_as_it_was_kept(book: Book) -> None:
    kept = account(specialty=Specialty.WOUND_CARE, country="fr", roles=frozenset({Role.MODERATOR}))
    await book.keeps.add(kept)
    assert await book.keeps.by_id(kept.member_id) == kept
    assert await book.keeps.by_email(kept.email) == kept
    moved = kept.verify(NOW, "rpps").suspend("for a while")
    await book.accounts.change(kept.member_id, lambda _: moved)
    assert await book.keeps.by_id(kept.member_id) == moved


async def test_what_is_not_there_is_none(book: Book) -> None:
    assert await book.keeps.by_id("nobody") is None
    assert await book.keeps.by_email("nobody@hopital.example") is None


async def test_every_change_is_told_with_its_version(book: Book) -> None:
    kept = account()
    await book.keeps.add(kept)
    await book.accounts.change(kept.member_id, lambda found: found.verify(NOW))
    await book.accounts.change(kept.member_id, lambda found: found.suspend("left"))
    assert [(event.version, event.status) for event in await book.told(kept.member_id)] == [
        (1, MemberStatus.UNVERIFIED),
        (2, MemberStatus.VERIFIED),
        (3, MemberStatus.SUSPENDED),
    ]


async def test_an_address_or_pseudonym_is_taken_once_and_the_loser_leaves_no_event(book: Book) -> None:
    kept = account()
    await book.keeps.add(kept)
    for twin, field in (
        (account(email=kept.email), "e-mail address"),
        (account(pseudonym=kept.pseudonym.upper()), "pseudonym"),
    ):
        with pytest.raises(AlreadyTaken) as refusal:
            await book.keeps.add(twin)
        assert refusal.value.field == field
        assert await book.keeps.by_id(twin.member_id) is None
        assert await book.told(twin.member_id) == []


async def test_of_many_that_want_one_address_at_once_one_gets_it(book: Book) -> None:
    email = f"{uuid.uuid4().hex}@hopital.example"
    wanting = [account(email=email) for _ in range(8)]
    results = await asyncio.gather(*(book.keeps.add(one) for one in wanting), return_exceptions=True)
    assert [type(result) for result in results].count(AlreadyTaken) == 7
    assert results.count(None) == 1


async def test_a_move_that_is_refused_changes_and_tells_nothing(book: Book) -> None:
    kept = account()
    await book.keeps.add(kept)
    with pytest.raises(MoveRefused):
        await book.accounts.change(kept.member_id, lambda found: found.reinstate())
    with pytest.raises(AccountUnknown):
        await book.accounts.change("nobody", lambda found: found.verify(NOW))
    assert await book.keeps.by_id(kept.member_id) == kept
    assert len(await book.told(kept.member_id)) == 1


async def test_changes_at_the_same_moment_follow_each_other(book: Book) -> None:
    kept = account()
    await book.keeps.add(kept)

    def turn(found: Account) -> Account:
        return found.reinstate() if found.status is MemberStatus.SUSPENDED else found.suspend("turn")

    await asyncio.gather(*(book.accounts.change(kept.member_id, turn) for _ in range(6)))
    assert [event.version for event in await book.told(kept.member_id)] == [1, 2, 3, 4, 5, 6, 7]


async def test_a_stronger_hash_replaces_only_the_hash_it_was_made_from(book: Book) -> None:
    kept = account()
    await book.keeps.add(kept)
    await book.keeps.replace_hash(kept.member_id, "another", "stronger")
    assert (await book.accounts.by_id(kept.member_id)).password_hash == "hash"
    await book.keeps.replace_hash(kept.member_id, "hash", "stronger")
    found = await book.accounts.by_id(kept.member_id)
    assert (found.password_hash, found.version) == ("stronger", 1)


class Tries:
    """Tries at one thing, under a clock that the test turns."""

    def __init__(self) -> None:
        self.now = NOW
        self.attempts: Any = None
        self.brake = Brake(f"test:{uuid.uuid4()}", free=3, max_wait_s=20, memory_s=10**9)
        self.shared = Brake(f"test:{uuid.uuid4()}", free=5, max_wait_s=20, memory_s=10**9)

    async def begin(self) -> int:
        wait_s: int = await self.attempts.begin([self.brake, self.shared])
        return wait_s


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.platform)])
async def tries(request: pytest.FixtureRequest) -> AsyncIterator[Tries]:
    made = Tries()
    if request.param == "memory":
        made.attempts = MemoryAttempts(now=lambda: made.now)
        yield made
        return
    mongo = open_mongo(request.getfixturevalue("platform"))
    made.attempts = Attempts(mongo.db, now=lambda: made.now)
    await made.attempts.prepare()
    yield made
    mongo.close()


async def test_the_first_tries_are_free_then_waits_double_up_to_a_limit(tries: Tries) -> None:
    assert [await tries.begin() for _ in range(5)] == [0, 0, 0, 0, 2]
    waits = []
    for _ in range(5):
        tries.now += timedelta(seconds=60)
        assert await tries.begin() == 0
        waits.append(await tries.begin())
    assert waits == [4, 8, 16, 20, 20]


async def test_a_try_that_was_refused_does_not_prolong_the_wait(tries: Tries) -> None:
    for _ in range(4):
        await tries.begin()
    assert [await tries.begin() for _ in range(10)] == [2] * 10
    tries.now += timedelta(seconds=2)
    assert await tries.begin() == 0


async def test_an_honest_try_is_forgiven(tries: Tries) -> None:
    for _ in range(4):
        await tries.begin()
    await tries.attempts.forgive([tries.brake, tries.shared])
    assert [await tries.begin() for _ in range(3)] == [0, 0, 0]
    assert await tries.attempts.begin([tries.shared]) == 2


async def test_tries_at_the_same_moment_are_all_counted(tries: Tries) -> None:
    waits = await asyncio.gather(*(tries.begin() for _ in range(20)))
    assert waits.count(0) == 4


@pytest.mark.platform
async def test_mongodb_forgets_tries_by_itself(mongo: Mongo) -> None:
    attempts = Attempts(mongo.db)
    await attempts.prepare()
    indexes = await mongo.db["attempts"].index_information()
    (forgetting,) = [index for index in indexes.values() if "expireAfterSeconds" in index]
    assert (forgetting["key"], forgetting["expireAfterSeconds"]) == ([("forget_at", 1)], 0)
    brake = Brake(f"test:{uuid.uuid4()}", free=1, max_wait_s=2, memory_s=3600)
    await attempts.begin([brake])
    kept = await mongo.db["attempts"].find_one({"_id": brake.key})
    assert kept is not None
    assert timedelta(minutes=59) < kept["forget_at"] - datetime.now(UTC) <= timedelta(hours=1)
