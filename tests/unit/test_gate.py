"""The gate: no sequence of calls and events shows a picture without a valid consent to this very showing.

Random lives of a case, all services at once (see `tests.gate`). After each step, whatever any reader sees is covered by
a consent that is informed, signed by all, not over, not withdrawn, to publication, for an audience that includes the
reader, to this very revision of each picture (or one on which a moderator had more painted); and it was approved by a
moderator who was shown this very revision, by two of them where part of a face is visible.
"""

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import event as note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from services.feed import domain as feed_domain
from services.feed.domain import Fold
from services.feed.store import Reader, pages
from services.ingest.domain.case import Case
from services.ingest.domain.consent import Consent
from services.ingest.domain.consenting import CaseWithConsent
from services.ingest.domain.signers import Subject
from services.moderation.domain import Review
from services.moderation.domain import review as review_rules
from services.moderation.domain.values import Claim
from shared.audiences import tags_of_reader
from shared.events import (
    Audience,
    PictureKind,
    Profession,
    QuestionKind,
    RejectOutcome,
    Specialty,
    WithdrawalCause,
)
from tests.gate import World
from tests.gate_records import BOXES, MODERATORS, READERS, START
from tests.gate_rule import problem

numbers = st.integers(0, 7)
moderators = st.sampled_from(MODERATORS)
boxes = st.sampled_from(sorted(BOXES))
audiences = st.sampled_from(Audience)
STARTS = ("empty", "painted", "consented", "submitted", "claimed", "moderated")
KINDS = (PictureKind.PHOTO, PictureKind.XRAY)
AUTHORS_STEPS = (
    "edit",
    "edit text",
    "add picture",
    "remove picture",
    "redact",
    "change boxes",
    "inform",
    "submit",
    "submit",
)
MODERATORS_STEPS = ("claim", "look", "decide", "paint", "approve", "approve", "reject")
subjects = st.sampled_from([Subject.ADULT, Subject.ADULT, Subject.MINOR, Subject.PROTECTED_ADULT])


class Life(RuleBasedStateMachine):
    """Small steps in any order, and whole stretches of the usual way, so that runs get far."""

    world: World

    @initialize(
        start=st.sampled_from(STARTS), audience=audiences, subject=subjects, painted=boxes, kind=st.sampled_from(KINDS)
    )
    def begin(self, start: str, audience: Audience, subject: Subject, painted: str, kind: PictureKind) -> None:
        """A life begins somewhere on the usual way, which the calls themselves have brought it to."""
        self.world = TODAY.world = World()
        reached = STARTS.index(start)
        if reached >= STARTS.index("painted"):
            prepare(self.world, kind)
            self.world.change_boxes(0, painted)
            self.world.deliver_all()
        if reached >= STARTS.index("consented"):
            consent(self.world, audience, subject)
        if reached >= STARTS.index("submitted"):
            self.world.submit()
        if reached >= STARTS.index("claimed"):
            self.world.deliver_all()
            self.world.claim("ann")
        if reached >= STARTS.index("moderated"):
            moderate(self.world, "ann")

    # Few rules, each of one person, so that every run has all of them and gets far.

    @rule(step=st.sampled_from(AUTHORS_STEPS), number=numbers, painted=boxes, kind=st.sampled_from(QuestionKind))
    def the_author(self, step: str, number: int, painted: str, kind: QuestionKind) -> None:
        world = self.world
        specialty = (Specialty.DERMATOLOGY, Specialty.CARDIOLOGY)[number % 2]
        match step:
            case "edit":
                world.edit(specialty=specialty, kind=kind)
            case "edit text":
                world.edit(title=f"title {number}")
            case "add picture":
                world.add_picture(KINDS[number % 2])
            case "remove picture":
                world.remove_picture(number)
            case "redact":
                world.start_redaction()
            case "change boxes":
                world.change_boxes(number, painted)
            case "inform":
                world.inform()
            case "submit":
                world.submit()

    @rule(
        audience=audiences,
        subject=subjects,
        years=st.integers(1, 2),
        objects=st.sampled_from([False, False, True]),
        signs=st.lists(st.tuples(numbers, st.booleans(), st.sampled_from([0, 0, 1, 400])), max_size=3),
    )
    def the_patient(
        self, audience: Audience, subject: Subject, years: int, objects: bool, signs: list[tuple[int, bool, int]]
    ) -> None:
        """Asked, and signs in part, for other purposes, on another day, or not at all."""
        self.world.ask(subject, audience, years, objects=objects)
        for number, publication, days_ago in signs:
            self.world.sign(number, publication=publication, days_ago=days_ago)

    @rule(number=numbers, publication=st.booleans(), says_no=st.sampled_from([False, False, True]))
    def one_more_answer(self, number: int, publication: bool, says_no: bool) -> None:
        if says_no:
            self.world.decline()
        else:
            self.world.sign(number, publication=publication)

    @rule(
        step=st.sampled_from(MODERATORS_STEPS),
        moderator=moderators,
        number=numbers,
        publish=st.sampled_from([True, True, False]),
        behind=st.sampled_from([0, 0, 1]),
        painted=boxes,
    )
    def a_moderator(self, step: str, moderator: str, number: int, publish: bool, behind: int, painted: str) -> None:
        world = self.world
        match step:
            case "claim":
                world.claim(moderator)
            case "look":
                world.look(moderator, number)
            case "decide":
                world.decide(moderator, number, publish=publish, behind=behind)
            case "paint":
                world.change_boxes_in_moderation(moderator, number, painted)
            case "approve":
                world.read(moderator)
                world.approve(moderator)
            case "reject":
                world.reject(moderator, list(RejectOutcome)[number % 2])

    @rule(number=st.integers(0, 30), again=st.booleans())
    def a_message_arrives(self, number: int, again: bool) -> None:
        self.world.deliver(number, again=again)

    @rule(number=st.integers(0, 30))
    def all_messages_arrive(self, number: int) -> None:
        self.world.deliver(number, again=True)
        self.world.deliver_all()

    @rule(days=st.sampled_from([1, 30, 364, 366]), job=st.booleans(), order=st.permutations(range(4)))
    def time_passes(self, days: int, job: bool, order: list[int]) -> None:
        """With it the job that looks at last days may run, and the feed may be built anew."""
        self.world.now += timedelta(days=days)
        if job:
            self.world.expire()
        if order[0] == 0:
            self.world.rebuild_feed(order)

    @rule(cause=st.sampled_from([one for one in WithdrawalCause if one is not WithdrawalCause.EXPIRED]))
    def somebody_ends_it(self, cause: WithdrawalCause) -> None:
        if self.world.counter % 3 == 0:  # else most lives are short
            self.world.withdraw(cause)

    @rule(
        audience=audiences,
        subject=subjects,
        years=st.integers(1, 2),
        says_no_after=st.sampled_from([False, False, False, True]),
    )
    def the_usual_way_to_the_moderators(
        self, audience: Audience, subject: Subject, years: int, says_no_after: bool
    ) -> None:
        prepare(self.world)
        consent(self.world, audience, subject, years)
        if says_no_after:
            self.world.ask(subject, audience, years)
            self.world.decline()
            self.world.ask(subject, audience, years)
            self.world.take_back_the_question()
        self.world.submit()

    @rule(moderator=moderators, painted_again=st.none() | boxes)
    def the_usual_way_of_a_moderator(self, moderator: str, painted_again: str | None) -> None:
        if painted_again:
            self.world.deliver_all()
            self.world.claim(moderator)
            self.world.change_boxes_in_moderation(moderator, 0, painted_again)
        moderate(self.world, moderator)

    @invariant()
    def nobody_sees_what_the_patient_did_not_agree_to(self) -> None:
        assert problem(self.world) is None, problem(self.world)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        seen = [world.seen_by(reader_of(*who)) is not None for who in READERS]
        note("seen by nobody" if not any(seen) else "seen by some" if not all(seen) else "seen by all")
        world.deliver_all()
        assert problem(world) is None, problem(world)
        if world.ended:
            assert not any(world.seen_by(reader_of(*who)) for who in READERS)


class Today:
    """The clock of the feed's queries."""

    world: World | None = None

    def __call__(self) -> str:
        now: datetime = self.world.now if self.world else START
        return now.date().isoformat()


TODAY = Today()


@pytest.fixture(autouse=True)
def feed_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_today", TODAY)


def reader_of(profession: Profession | None, specialty: Specialty | None) -> Reader:
    return Reader("somebody", tags_of_reader(profession, specialty))


def prepare(world: World, kind: PictureKind = PictureKind.PHOTO) -> None:
    """A painted picture."""
    if not world.case.pictures:
        world.add_picture(kind)
    world.start_redaction()
    world.deliver_all()


def consent(world: World, audience: Audience, subject: Subject = Subject.ADULT, years: int = 1) -> None:
    world.inform()
    if world.ask(subject, audience, years):
        for number in range(2 if subject is Subject.MINOR else 1):
            world.sign(number)


def moderate(world: World, moderator: str) -> None:
    """Deliver, look at everything, approve."""
    world.deliver_all()
    world.claim(moderator)
    world.read(moderator)
    for number in range(len(world.review.submitted_pictures())):
        world.look(moderator, number)
        world.decide(moderator, number)
    world.approve(moderator)
    world.deliver_all()


def published(audience: Audience, subject: Subject = Subject.ADULT) -> World:
    world = TODAY.world = World()
    prepare(world)
    consent(world, audience, subject)
    assert world.submit()
    moderate(world, "ann")
    return world


def seen(world: World) -> list[bool]:
    return [world.seen_by(reader_of(*who)) is not None for who in READERS]


@pytest.mark.parametrize(
    ("audience", "who"),
    [
        (Audience.PROFESSIONALS, [True, True, True, False, False, False, False]),
        (Audience.PROFESSIONALS_AND_STUDENTS, [True, True, True, True, True, True, False]),
        (Audience.SPECIALTY, [True, False, False, True, False, False, False]),
    ],
)
def test_the_gate_opens_to_whom_the_patient_chose_and_closes_with_the_last_day(
    audience: Audience, who: list[bool]
) -> None:
    for subject in (Subject.ADULT, Subject.MINOR, Subject.PROTECTED_ADULT):
        world = published(audience, subject)
        assert seen(world) == who
        assert problem(world) is None
        world.now = START + timedelta(days=365)
        assert seen(world) == who
        world.now += timedelta(days=1)
        assert not any(seen(world))


def test_part_of_a_face_opens_the_gate_with_the_second_moderator_only() -> None:
    world = TODAY.world = World()
    prepare(world)
    world.change_boxes(0, "eye")
    world.deliver_all()
    consent(world, Audience.PROFESSIONALS)
    assert world.submit()
    moderate(world, "ann")
    assert not any(seen(world))
    moderate(world, "bob")
    assert any(seen(world))
    assert problem(world) is None


LIFE = settings(
    max_examples=300,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def test_no_life_of_a_case_shows_what_the_patient_did_not_agree_to() -> None:
    run_state_machine_as_test(Life, settings=LIFE)


@pytest.mark.full
def test_no_long_life_of_a_case_does_either() -> None:
    run_state_machine_as_test(Life, settings=settings(LIFE, max_examples=4000, stateful_step_count=50))


def _forget(*_: object, **__: object) -> None:
    return None


def _always(*_: object, **__: object) -> bool:
    return True


def _never(*_: object, **__: object) -> bool:
    return False


BREAKS: dict[str, list[tuple[object, str, object]]] = {
    "a case is submitted without a consent": [(Case, "consent_problem", _forget)],
    "a consent covers whatever is there": [(Consent, "problem", _forget)],
    "a no is not heeded": [(CaseWithConsent, "_heed", _forget)],
    "the feed forgets the last day": [(pages, "_today", lambda: "2026-01-01")],
    "the feed shows a case to everybody": [(feed_domain, "tags_of_case", lambda *_: ("professional", "student"))],
    "the feed forgets a withdrawal": [(Fold, "_case_withdrawn", _forget)],
    "a decision counts for any revision": [
        (Claim, "without", lambda claim, _: claim),
        (Review, "_decided", lambda _, claim, picture: picture.picture_id in claim.decisions),
    ],
    "one moderator is enough for a face": [(review_rules, "agreed", _always)],
    "a moderator may uncover": [(review_rules, "shows_more", _never)],
}


@pytest.mark.full
@pytest.mark.parametrize("broken", BREAKS)
def test_the_gate_notices_when_a_rule_is_broken(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for where, rule_broken, instead in BREAKS[broken]:
        monkeypatch.setattr(where, rule_broken, instead)
    looking = settings(LIFE, max_examples=4000, phases=[Phase.generate], database=None, print_blob=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Life, settings=looking)
