"""The feed's builds on a real MongoDB: the same documents as the rules say, whatever runs at the same moment."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from deploy.local import Platform
from services.feed import domain
from services.feed.handlers import Handlers
from services.feed.store import Builds, Members, NoBuild, Pages, Projector, Reader, Superseded, builds, compare
from shared.audiences import tags_of_reader
from shared.bus import Received
from shared.erasures import Erasures
from shared.events import (
    Audience,
    CaseApproved,
    CaseWithdrawn,
    CommentAdded,
    ConsentFacts,
    Event,
    FeedErased,
    MemberChanged,
    MemberStatus,
    Profession,
    QuestionKind,
    Specialty,
)
from shared.mongo import Mongo, Session
from tests.feed_histories import (
    Documents,
    MemoryBuild,
    Step,
    approval,
    batches_of,
    comment,
    essence,
    expected,
    long_histories,
    member,
    picture,
    withdrawal,
)
from tests.waiting import until

pytestmark = pytest.mark.platform

_offsets = itertools.count()
READER = Reader("m-9", tags_of_reader(Profession.NURSE, Specialty.WOUND_CARE))


class Feed:
    """A feed without Kafka, in a database of its own."""

    def __init__(self, mongo: Mongo) -> None:
        self.mongo = mongo
        self.letters: dict[str, int] = {}
        self.builds = Builds(mongo.db, pointer_cache_s=0)
        self.erasures = Erasures(mongo, FeedErased, self._forget)
        self.projector = Projector(mongo, self.builds, self.erasures)
        self.handlers = Handlers(self.projector, self.erasures)
        self.members = Members(self.builds, cache_s=0)
        self.pages = Pages(self.builds, self.members, cache_s=0)

    async def _forget(self, cases: Mapping[str, Collection[str]]) -> dict[str, int]:
        return {case_id: self.letters.get(case_id, 0) for case_id in cases}

    async def told(self, case_id: str) -> list[tuple[int, int, int]]:
        """What waits to be told of a case: cases, comments and letters erased."""
        rows = self.mongo.db["outbox"].find({"topic": FeedErased.topic, "key": case_id}).sort("at", 1)
        events = [FeedErased.parse(row["value"]) async for row in rows]
        return [(event.cases, event.comments, event.letters) for event in events]

    async def new_build(self) -> int:
        pointer = await self.builds.begin()
        assert pointer.candidate is not None
        await self.builds.index(pointer.candidate)
        await self.builds.switch(pointer.candidate)
        return pointer.candidate

    async def project(self, *events: Event) -> None:
        for event in events:
            await self.projector.project(type(event), [received(type(event), event.key, event)])

    async def documents(self, build: int) -> Documents:
        rooms = self.builds.rooms(build)
        return {
            name: {found["_id"]: found async for found in getattr(rooms, name).find({})}
            for name in ("cases", "comments", "members")
        }

    async def page(self, limit: int = 20, after: str = domain.FIRST_PAGE, **filters: str) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(await self.pages.cases(READER, filters, limit, after))
        return found


def received(topic: type[Event], key: str, event: Event | None, ce_id: str = "") -> Received[Any]:
    return Received(event, key, ce_id or uuid.uuid4().hex, topic.topic, 0, next(_offsets))


@pytest.fixture(scope="module")
async def feed(platform: Platform) -> AsyncIterator[Feed]:
    mongo = Mongo(platform.admin_mongo_uri, f"feed_{uuid.uuid4().hex[:12]}")
    yield Feed(mongo)
    await mongo.db.client.drop_database(mongo.db.name)
    mongo.close()


@pytest.fixture
async def build(feed: Feed) -> int:
    """A fresh, empty, live build."""
    return await feed.new_build()


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(history=long_histories)
async def test_any_history_gives_the_documents_that_the_rules_say(feed: Feed, history: list[Step]) -> None:
    build, memory = await feed.new_build(), MemoryBuild()
    for topic, changes in batches_of(history, 4):
        memory.apply(topic, changes)
        await feed.projector.project(topic, [received(topic, key, event) for key, event in changes])
    documents = await feed.documents(build)
    assert essence(documents) == expected(history) == memory.essence()


async def test_a_repeated_event_is_applied_once(feed: Feed, build: int) -> None:
    await feed.project(approval("c"))
    again = [received(CommentAdded, "k", comment("k", "c"), ce_id="one-id")] * 2
    await feed.projector.project(CommentAdded, again)
    await feed.projector.project(CommentAdded, again)
    assert (await feed.page())["items"][0]["comment_count"] == 1
    assert await feed.builds.rooms(build).inbox.count_documents({}) == 2


@pytest.mark.parametrize("first", [CommentAdded, CaseWithdrawn])
@pytest.mark.parametrize("case_known", [True, False])
async def test_a_comment_and_a_withdrawal_at_the_same_moment_leave_no_comment(
    feed: Feed, build: int, first: type[Event], case_known: bool
) -> None:
    """Both transactions have begun before either commits: the second must see what the first one did."""
    events: dict[type[Event], Event] = {CommentAdded: comment("k", "c"), CaseWithdrawn: withdrawal("c")}
    second = CaseWithdrawn if first is CommentAdded else CommentAdded
    if case_known:
        await feed.project(approval("c"))
    rivals = _Watched(feed.mongo.db, pointer_cache_s=0)
    rival = Projector(feed.mongo, rivals)
    later: list[asyncio.Task[None]] = []

    async def outer(session: Session) -> None:
        mine = received(first, events[first].key, events[first])
        await Projector(_InTransaction(session), feed.builds).project(first, [mine])
        if not later:
            batch = [received(second, events[second].key, events[second])]
            later.append(asyncio.create_task(rival.project(second, batch)))
            await until(lambda: rivals.tries >= 2 or later[0].done())

    await feed.mongo.transaction(outer)
    await later[0]
    documents = await feed.documents(build)
    assert documents["comments"] == {}
    assert documents["cases"]["c"]["standing"] == "withdrawn"


class _Watched(Builds):
    """Counts how often a transaction has begun: each attempt asks for the pointer."""

    tries = 0

    async def pointer(self, session: Session | None = None) -> builds.Pointer | None:
        self.tries += session is not None
        return await super().pointer(session)


class _InTransaction(Mongo):
    """Runs what a projector wants inside a transaction that the test holds open."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def transaction(self, fn: Any) -> Any:
        return await fn(self._session)


async def test_many_topics_at_once_end_as_one_order_would(feed: Feed, build: int) -> None:
    cases = [f"c-{number}" for number in range(8)]

    async def send(events: Sequence[Event]) -> None:
        batch = [received(type(event), event.key, event) for event in events]
        await feed.projector.project(type(events[0]), batch)

    await asyncio.gather(
        send([approval(case_id) for case_id in cases]),
        send([comment(f"{case_id}-k", case_id) for case_id in cases]),
        send([withdrawal(case_id) for case_id in cases[:4]]),
        send([approval(case_id, 2) for case_id in reversed(cases)]),
    )
    history: list[Step] = [
        *((CaseApproved, (case_id, approval(case_id, version))) for case_id in cases for version in (1, 2)),
        *((CommentAdded, (f"{case_id}-k", comment(f"{case_id}-k", case_id))) for case_id in cases),
        *((CaseWithdrawn, (case_id, withdrawal(case_id))) for case_id in cases[:4]),
    ]
    assert essence(await feed.documents(build)) == expected(history)


async def test_events_go_into_the_live_build_and_into_the_candidate(feed: Feed, build: int) -> None:
    await feed.project(approval("before"))
    pointer = await feed.builds.begin()
    assert pointer.candidate is not None
    await feed.project(approval("during"), comment("k", "before"))
    assert set((await feed.documents(build))["cases"]) == {"before", "during"}
    assert (await feed.documents(pointer.candidate))["cases"]["during"]["standing"] == "published"

    found = await compare(feed.mongo.db, feed.builds, build, pointer.candidate)
    assert not found.equal
    assert found.collections["cases"].differing_ids == ["before"]
    await feed.projector.replay(CaseApproved, [received(CaseApproved, "before", approval("before"))], pointer.candidate)
    assert (await compare(feed.mongo.db, feed.builds, build, pointer.candidate)).equal


async def test_an_event_of_the_past_after_its_tombstone_does_not_come_back(feed: Feed, build: int) -> None:
    """The live consumer brings the tombstone to the candidate before the replay brings what it erases."""
    candidate = (await feed.builds.begin()).candidate
    assert candidate is not None
    await feed.projector.project(CaseApproved, [received(CaseApproved, "c", None)])
    await feed.projector.project(CommentAdded, [received(CommentAdded, "k", None)])
    await feed.projector.replay(CaseApproved, [received(CaseApproved, "c", approval("c"))], candidate)
    await feed.projector.replay(CommentAdded, [received(CommentAdded, "k", comment("k", "c"))], candidate)
    assert essence(await feed.documents(candidate)) == {"cases": {}, "comments": {}, "members": {}}
    assert (await compare(feed.mongo.db, feed.builds, build, candidate)).equal


async def test_a_switch_keeps_one_build_back_and_drops_older_ones(feed: Feed, build: int) -> None:
    second, third = await feed.new_build(), await feed.new_build()
    names = {int(name.rpartition("_b")[2]) for name in await feed.mongo.db.list_collection_names() if "_b" in name}
    assert names == {second, third}
    assert build not in names


async def test_a_candidate_left_by_a_dead_rebuild_is_discarded(feed: Feed, build: int) -> None:
    dead = (await feed.builds.begin()).candidate
    assert dead is not None
    await feed.project(approval("c"))
    new = (await feed.builds.begin()).candidate
    assert new is not None
    assert new > dead
    assert await feed.documents(dead) == {"cases": {}, "comments": {}, "members": {}}
    with pytest.raises(Superseded):
        await feed.projector.replay(CaseApproved, [received(CaseApproved, "c", approval("c"))], dead)
    with pytest.raises(Superseded):
        await feed.builds.switch(dead)
    await feed.builds.discard(new)
    pointer = await feed.builds.pointer()
    assert pointer is not None
    assert (pointer.live, pointer.candidate) == (build, None)


async def test_a_withdrawal_leaves_nothing_in_any_build_and_tells_what_it_erased(feed: Feed, build: int) -> None:
    """In the live build, the one before, a candidate, and what a switch that was cut off has not dropped."""
    history: list[Event] = [approval("c"), comment("k1", "c"), comment("k2", "c"), approval("other")]
    await feed.project(*history)
    db, previous, live = feed.mongo.db, build, await feed.new_build()
    candidate = (await feed.builds.begin()).candidate
    assert candidate is not None
    stray = build + 10_000
    for name in ("cases", "comments"):
        held = await db[f"{name}_b{previous}"].find().to_list(None)
        for other in (live, stray):
            await db[f"{name}_b{other}"].insert_many(held)
    assert await feed.builds.strays() == [stray]
    feed.letters["c"] = 1
    gone = withdrawal("c")

    batch = [received(CaseWithdrawn, "c", gone, ce_id="gone")]
    await feed.handlers.on_case_withdrawn(batch)

    for number in (live, candidate, previous, stray):
        documents = await feed.documents(number)
        assert "three weeks" not in str(documents["cases"].get("c"))
        assert [one for one in documents["comments"].values() if one.get("case_id") == "c"] == []
        assert "other" in documents["cases"] or number == candidate
    assert await feed.told("c") == [(3, 6, 1)]
    assert await feed.projector.any_withdrawn(["other", "c"])
    assert not await feed.projector.any_withdrawn(["other", "never-heard-of"])
    await feed.handlers.on_case_withdrawn(batch)  # delivered again
    assert len(await feed.told("c")) == 1
    feed.letters.clear()
    await feed.handlers.on_case_withdrawn([received(CaseWithdrawn, "c", gone)])  # asked again
    assert await feed.told("c") == [(3, 6, 1), (0, 0, 0)]
    await feed.builds.discard(candidate)
    for name in ("cases", "comments"):
        await db.drop_collection(f"{name}_b{stray}")


async def test_a_case_that_the_feed_never_had_is_answered_too(feed: Feed, build: int) -> None:
    await feed.handlers.on_case_withdrawn(
        [received(CaseWithdrawn, f"{build}-{n}", withdrawal(f"{build}-{n}")) for n in (1, 2)]
    )
    assert [await feed.told(f"{build}-{n}") for n in (1, 2)] == [[(0, 0, 0)]] * 2


async def test_what_a_crash_left_untold_is_told_later(feed: Feed, build: int) -> None:
    await feed.project(approval(f"{build}"), comment("k", f"{build}"))
    await feed.project(withdrawal(f"{build}"))  # and here it crashed, before the dead letters
    assert await feed.told(f"{build}") == []
    assert await feed.erasures.report() == 1
    assert await feed.told(f"{build}") == [(1, 1, 0)]
    assert await feed.erasures.report() == 0


async def test_without_a_build_readers_and_writers_are_told_not_now(platform: Platform) -> None:
    mongo = Mongo(platform.admin_mongo_uri, f"feed_{uuid.uuid4().hex[:12]}")
    empty = Feed(mongo)
    with pytest.raises(NoBuild):
        await empty.page()
    with pytest.raises(NoBuild):
        await empty.project(approval("c"))
    mongo.close()


async def test_pages_follow_each_other_while_cases_come_and_go(feed: Feed, build: int) -> None:
    await feed.project(*(approval(f"c-{number}", minutes=number) for number in range(7)))
    first = await feed.page(limit=3)
    assert [item["case_id"] for item in first["items"]] == ["c-6", "c-5", "c-4"]
    await feed.project(approval("newer", minutes=60), withdrawal("c-4"), withdrawal("c-2"))
    second = await feed.page(limit=3, after=domain.read_cursor(first["next_cursor"]))
    assert [item["case_id"] for item in second["items"]] == ["c-3", "c-1", "c-0"]
    assert second["next_cursor"] is None


async def test_filters_narrow_the_feed(feed: Feed, build: int) -> None:
    await feed.project(
        approval("skin", specialty=Specialty.DERMATOLOGY, kind=QuestionKind.TREATMENT),
        approval("heart", specialty=Specialty.CARDIOLOGY, kind=QuestionKind.DIAGNOSIS),
        approval("heart-2", specialty=Specialty.CARDIOLOGY, kind=QuestionKind.TREATMENT, minutes=1),
    )
    assert [i["case_id"] for i in (await feed.page(specialty="cardiology"))["items"]] == ["heart-2", "heart"]
    assert [i["case_id"] for i in (await feed.page(kind="treatment"))["items"]] == ["heart-2", "skin"]
    both = await feed.page(specialty="cardiology", kind="treatment", language="en")
    assert [i["case_id"] for i in both["items"]] == ["heart-2"]
    assert (await feed.page(language="fr"))["items"] == []


async def test_authors_are_shown_as_they_are_now(feed: Feed, build: int) -> None:
    await feed.project(approval("c", author_id="m-1"))
    assert (await feed.page())["items"][0]["author"]["pseudonym"] is None
    await feed.project(member("m-1", 1, pseudonym="Old"), member("m-1", 2, pseudonym="New"))
    assert (await feed.page())["items"][0]["author"]["pseudonym"] == "New"
    await feed.project(member("m-1", 3, status=MemberStatus.SUSPENDED))
    state = await feed.members.state("m-1")
    assert state is not None
    assert state.status is MemberStatus.SUSPENDED
    assert (await feed.page())["items"][0]["author"]["verified"] is False
    assert await feed.members.state("nobody") is None


DERMATOLOGIST = Reader("m-7", tags_of_reader(Profession.PHYSICIAN, Specialty.DERMATOLOGY))
STUDENT = Reader("m-6", tags_of_reader(Profession.STUDENT, Specialty.DERMATOLOGY))
OTHER_STUDENT = Reader("m-5", tags_of_reader(Profession.STUDENT, None))
AUTHOR = Reader("m-1", tags_of_reader(Profession.PHYSICIAN, Specialty.SURGERY))
TODAY = datetime.now(UTC).date()


def agreed(audience: Audience, ends: date | None = None) -> ConsentFacts:
    return ConsentFacts(
        purposes=("publication",),
        language="fr",
        text_sha256="a" * 64,
        signed_on=TODAY,
        audience=audience,
        expires_on=ends or TODAY,
    )


@pytest.mark.parametrize(
    ("audience", "sees"),
    [
        (Audience.PROFESSIONALS_AND_STUDENTS, {READER, DERMATOLOGIST, STUDENT, OTHER_STUDENT, AUTHOR}),
        (Audience.PROFESSIONALS, {READER, DERMATOLOGIST, AUTHOR}),
        (Audience.SPECIALTY, {DERMATOLOGIST, STUDENT, AUTHOR}),
    ],
)
async def test_a_case_is_shown_to_the_audience_that_the_patient_chose(
    feed: Feed, build: int, audience: Audience, sees: set[Reader]
) -> None:
    shown = picture("p", "c/p/1/0000-full", "a" * 64, 10)
    await feed.project(approval("c", pictures=[shown], consent=agreed(audience)), comment("k", "c"), member("m-1"))
    for reader in (READER, DERMATOLOGIST, STUDENT, OTHER_STUDENT, AUTHOR):
        opened = (
            await feed.pages.case(reader, "c"),
            await feed.pages.comments(reader, "c", 10, ""),
            await feed.pages.file(reader, "c", "p", 0, "full"),
        )
        assert all(opened) if reader in sees else not any(opened)
        listed = orjson.loads(await feed.pages.cases(reader, {}, 20, domain.FIRST_PAGE))["items"]
        # The author sees an own case that is for others under its own address.
        assert bool(listed) == (reader in sees and (reader != AUTHOR or audience is not Audience.SPECIALTY))


async def test_what_moderations_tombstone_took_first_is_gone_and_not_counted(feed: Feed, build: int) -> None:
    """The two topics race each other: so the count in a receipt is a lower bound, and says what was left."""
    case_id = f"raced-{build}"
    await feed.project(approval(case_id))
    await feed.projector.project(CaseApproved, [received(CaseApproved, case_id, None)])
    assert await feed.pages.case(READER, case_id) is None
    await feed.handlers.on_case_withdrawn([received(CaseWithdrawn, case_id, withdrawal(case_id))])
    assert await feed.told(case_id) == [(0, 0, 0)]


async def test_a_case_whose_consent_has_ended_is_shown_to_nobody_even_before_its_withdrawal(
    feed: Feed, build: int
) -> None:
    over = agreed(Audience.PROFESSIONALS, TODAY - timedelta(days=1))
    await feed.project(approval("c", consent=over), approval("d", consent=agreed(Audience.PROFESSIONALS)))
    for reader in (READER, AUTHOR):
        assert await feed.pages.case(reader, "c") is None
        assert await feed.pages.case(reader, "d") is not None
    assert [item["case_id"] for item in (await feed.page())["items"]] == ["d"]


async def test_a_withdrawn_case_has_no_route_left(feed: Feed, build: int) -> None:
    shown = picture("p", "c/p/1/0000-full", "a" * 64, 10)
    await feed.project(approval("c", pictures=[shown]), comment("k", "c"), member("m-1"))
    assert await feed.pages.file(READER, "c", "p", 0, "full") is not None
    assert await feed.pages.file(READER, "c", "p", 0, "small") is None
    assert orjson.loads(await feed.pages.comments(READER, "c", 10, "") or b"")["items"][0]["comment_id"] == "k"
    assert orjson.loads(await feed.pages.case(READER, "c") or b"")["comment_count"] == 1

    await feed.project(withdrawal("c"))
    assert (await feed.page())["items"] == []
    assert await feed.pages.case(READER, "c") is None
    assert await feed.pages.comments(READER, "c", 10, "") is None
    assert await feed.pages.file(READER, "c", "p", 0, "full") is None


async def test_comments_before_their_case_stay_hidden_until_it_comes(feed: Feed, build: int) -> None:
    await feed.project(comment("k1", "c", minutes=1), comment("k0", "c", minutes=0))
    assert (await feed.page())["items"] == []
    assert await feed.pages.comments(READER, "c", 10, "") is None
    await feed.project(approval("c"))
    page = orjson.loads(await feed.pages.comments(READER, "c", 1, "") or b"")
    assert [item["comment_id"] for item in page["items"]] == ["k0"]
    rest = orjson.loads(await feed.pages.comments(READER, "c", 1, domain.read_cursor(page["next_cursor"])) or b"")
    assert [item["comment_id"] for item in rest["items"]] == ["k1"]
    assert rest["next_cursor"] is None


async def test_member_versions_go_up_only(feed: Feed, build: int) -> None:
    batch = [received(MemberChanged, "m-9", member("m-9", version)) for version in (3, 1, 2)]
    await feed.projector.project(MemberChanged, batch)
    assert (await feed.documents(build))["members"]["m-9"]["version"] == 3
