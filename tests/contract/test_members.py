"""The local mirror of members, on the real database."""

import itertools
import uuid
from collections.abc import AsyncIterator

import pytest

from deploy.local import Platform
from shared.auth import Members
from shared.events import MemberChanged, MemberStatus, Profession, Role
from shared.mongo import Mongo, Session

pytestmark = pytest.mark.platform


@pytest.fixture
async def mongo(platform: Platform) -> AsyncIterator[Mongo]:
    env = platform.service_env("moderation")
    made = Mongo(env["MODERATION_MONGO_URI"], env["MODERATION_MONGO_DATABASE"])
    yield made
    made.close()


def change(member_id: str, version: int, status: MemberStatus = MemberStatus.VERIFIED) -> MemberChanged:
    return MemberChanged(
        member_id=member_id,
        version=version,
        pseudonym="$version",  # a name that MongoDB might take for a field
        profession=Profession.MIDWIFE,
        roles=(Role.MEMBER, Role.MODERATOR),
        status=status,
    )


async def apply(mongo: Mongo, members: Members, event: MemberChanged) -> bool:
    async def write(session: Session) -> bool:
        return await members.apply(event, session)

    return await mongo.transaction(write)


async def test_changes_end_in_the_highest_version_in_any_order_and_number(mongo: Mongo) -> None:
    for order in itertools.permutations((1, 2, 3)):
        members, member_id = Members(mongo.db), str(uuid.uuid4())
        for version in (*order, *order):
            await apply(mongo, members, change(member_id, version))
        state = await members.state(member_id)
        assert state is not None
        assert state.version == 3
        assert state.pseudonym == "$version"
        assert state.roles == {Role.MEMBER, Role.MODERATOR}


async def test_applying_says_whether_it_was_news(mongo: Mongo) -> None:
    members, member_id = Members(mongo.db), str(uuid.uuid4())
    assert await apply(mongo, members, change(member_id, 2))
    assert not await apply(mongo, members, change(member_id, 2))
    assert not await apply(mongo, members, change(member_id, 1))
    assert await apply(mongo, members, change(member_id, 5))


async def test_a_change_applied_here_is_seen_at_once(mongo: Mongo) -> None:
    members, member_id = Members(mongo.db), str(uuid.uuid4())
    assert await members.state(member_id) is None
    await apply(mongo, members, change(member_id, 1))
    assert (await members.state(member_id)) is not None
    await apply(mongo, members, change(member_id, 2, MemberStatus.SUSPENDED))
    state = await members.state(member_id)
    assert state is not None
    assert state.status is MemberStatus.SUSPENDED


async def test_a_change_applied_elsewhere_is_seen_within_a_second(mongo: Mongo) -> None:
    clock = [100.0]
    here, elsewhere = Members(mongo.db, now=lambda: clock[0]), Members(mongo.db)
    member_id = str(uuid.uuid4())
    await apply(mongo, elsewhere, change(member_id, 1))
    first = await here.state(member_id)
    await apply(mongo, elsewhere, change(member_id, 2, MemberStatus.SUSPENDED))
    assert await here.state(member_id) is first
    clock[0] += 1.01
    state = await here.state(member_id)
    assert state is not None
    assert state.status is MemberStatus.SUSPENDED


async def test_a_read_during_the_transaction_does_not_outlive_it_in_memory(mongo: Mongo) -> None:
    members, member_id = Members(mongo.db), str(uuid.uuid4())
    await apply(mongo, Members(mongo.db), change(member_id, 1))

    async def write(session: Session) -> None:
        await members.apply(change(member_id, 2, MemberStatus.SUSPENDED), session)
        before = await members.state(member_id)  # another request, which sees what is committed
        assert before is not None
        assert before.version == 1

    await mongo.transaction(write)
    state = await members.state(member_id)
    assert state is not None
    assert state.version == 2


async def test_memory_is_bounded(mongo: Mongo) -> None:
    members = Members(mongo.db, cache_size=5)
    for number in range(20):
        await members.state(f"nobody-{number}")
    assert len(members._cached) == 5
