"""Random orders of events and random interleavings of moderators, events and clocks.

The review is compared with a second, independent bookkeeping of what each moderator was really shown.
"""

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import event as hypothesis_event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.moderation.domain import (
    Act,
    ActKind,
    FirstApproval,
    Head,
    PictureDecision,
    ReasonCode,
    Refusal,
    Review,
    ReviewState,
    chain,
    verify_chain,
)
from shared.events import (
    CaseApproved,
    CaseRedacted,
    CaseRejected,
    CaseSubmitted,
    CaseWithdrawn,
    Event,
    FrameBoxes,
    Region,
    RejectOutcome,
)
from tests.reviews import SEEN, redacted, submitted, unreadable, withdrawn

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
PICTURES = ("p1", "p2")
MODERATORS = ("ann", "bob", "author")

renderings = st.builds(
    lambda picture_id, revision, readable, frames, clinical: (
        redacted(picture_id, revision, frames, clinical) if readable else unreadable(picture_id, revision)
    ),
    st.sampled_from(PICTURES),
    st.integers(1, 3),
    st.booleans(),
    st.integers(1, 2),
    st.booleans(),
)
submissions = st.builds(
    lambda pictures, version, revision: submitted(*sorted(pictures), version=version, revision=revision),
    st.sets(st.sampled_from(PICTURES)),
    st.integers(1, 4),
    st.integers(1, 3),
)


def one_per_key(events: list[Event]) -> list[Event]:
    """A log as the emitters write it: a version or revision of an entity has one content."""
    seen: dict[tuple[object, ...], Event] = {}
    for event in events:
        number = event.revision if isinstance(event, CaseRedacted) else getattr(event, "version", 0)
        seen.setdefault((event.topic, event.key, number), event)
    return list(seen.values())


def apply(review: Review, event: Event) -> None:
    if isinstance(event, CaseRedacted):
        review.on_redacted(event)
    elif isinstance(event, CaseSubmitted):
        review.on_submitted(event)
    elif isinstance(event, CaseWithdrawn):
        review.on_withdrawn(event)


def state_after(events: list[Event]) -> dict[str, object]:
    review = Review(case_id="c1")
    for event in events:
        apply(review, event)
    return review.model_dump()


@given(
    data=st.data(), log=st.lists(st.one_of(renderings, submissions, st.just(withdrawn("p1"))), min_size=3, max_size=8)
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_and_any_number_of_deliveries_give_the_same_state(data: st.DataObject, log: list[Event]) -> None:
    log = one_per_key(log)
    shuffled = data.draw(st.permutations(log + log[: len(log) // 2]))
    assert state_after(shuffled) == state_after(log)


@given(
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    data=st.data(),
)
def test_a_chain_is_whole_however_it_was_appended_and_any_change_to_it_is_found(
    counts: list[int], data: st.DataObject
) -> None:
    head, records = Head(), []
    for number, count in enumerate(counts):
        made = [Act(act=ActKind.SERVED, actor=f"m{number}", frame=index) for index in range(count)]
        added, head = chain("c1", head, made, NOW + timedelta(seconds=number))
        records += added
    assert verify_chain("c1", records, head) == []
    if not records:
        return
    victim = data.draw(st.integers(0, len(records) - 1))
    change = data.draw(st.sampled_from(["alter", "remove", "repeat"]))
    if change == "alter":
        field = data.draw(st.sampled_from(sorted(records[victim])))
        records[victim] = {**records[victim], field: "another"}
    elif change == "remove":
        del records[victim]
    else:
        records.insert(victim, records[victim])
    assert verify_chain("c1", records, head)


class Moderation(RuleBasedStateMachine):
    """Two moderators and the author at one case, while renderings, resubmissions and a withdrawal arrive."""

    @initialize(
        pictures=st.integers(0, 2), revision=st.integers(1, 2), clinical=st.booleans(), face_dropped=st.booleans()
    )
    def start(self, pictures: int, revision: int, clinical: bool, face_dropped: bool) -> None:
        self.review = Review(case_id="c1")
        self.now = NOW
        self.claims = 0
        # What the test itself knows to have been shown: (claim, picture, revision, frame), and texts per claim.
        self.shown: set[tuple[str, str, int, int]] = set()
        self.texts: set[tuple[str, int]] = set()
        self.decided: dict[tuple[str, str, int], PictureDecision] = {}
        self.latest: dict[str, CaseRedacted] = {}
        self.submission: CaseSubmitted | None = None
        self.log: dict[tuple[str, int], CaseRedacted] = {}
        self.asked: dict[str, int] = {}
        # Every face that a rendering has told of: (picture, frame, face).
        self.faces: set[tuple[str, int, Region]] = set()
        # Who has approved which revision of a picture that shows a face or part of one, in which submission.
        self.first: set[tuple[str, int, str, int]] = set()
        self.author_submits(submitted(*PICTURES[:pictures], version=1))
        for picture_id in PICTURES[:pictures]:
            self.redactor_answers(redacted(picture_id, revision, frames=2, clinical=clinical))
            if face_dropped:
                self.redactor_answers(redacted(picture_id, revision + 1, frames=2))

    def holds(self, moderator: str) -> str:
        claim = self.review.claim
        return claim.claim_id if claim and claim.moderator_id == moderator and self.now < claim.expires_at else ""

    def revision(self, picture_id: str) -> int:
        picture = self.review.pictures.get(picture_id)
        return picture.revision if picture else 1

    @rule(event=renderings)
    def redactor_answers(self, event: CaseRedacted) -> None:
        assert event.picture_id
        event = self.log.setdefault((event.picture_id, event.revision), event)
        known = self.latest.get(event.picture_id or "")
        if known is None or known.revision < event.revision:
            self.latest[event.picture_id or ""] = event
        picture_id = event.picture_id or ""
        self.faces |= {(picture_id, frame.index, region) for frame in event.frames for region in frame.regions}
        self.review.on_redacted(event)

    @rule(event=submissions)
    def author_submits(self, event: CaseSubmitted) -> None:
        if self.submission is None or event.version > self.submission.version:
            self.submission = event
        self.review.on_submitted(event)

    @rule()
    @precondition(lambda self: self.claims > 8)
    def author_withdraws(self) -> None:
        self.review.on_withdrawn(withdrawn())

    @rule(minutes=st.integers(0, 20))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(moderator=st.sampled_from(MODERATORS))
    def claim(self, moderator: str) -> None:
        holder = self.review.claim
        held = holder is not None and self.now < holder.expires_at and holder.moderator_id
        self.claims += 1
        try:
            self.review.take(moderator, f"claim-{self.claims}", self.now)
        except Refusal:
            return
        assert held in (False, moderator)
        assert moderator != "author"

    @rule(moderator=st.sampled_from(MODERATORS))
    def release(self, moderator: str) -> None:
        self.review.release(moderator, self.now)

    @rule(moderator=st.sampled_from(MODERATORS))
    def read(self, moderator: str) -> None:
        version = self.review.submission.text_version if self.review.submission else 1
        try:
            self.review.read(moderator, self.now, version, f"hash-{version}")
        except Refusal:
            return
        self.texts.add((self.holds(moderator), version))

    @rule(moderator=st.sampled_from(MODERATORS), picture_id=st.sampled_from(PICTURES), index=st.integers(0, 1))
    def look(self, moderator: str, picture_id: str, index: int) -> None:
        try:
            claim, picture, frame = self.review.frame(moderator, self.now, picture_id, index)
            self.review.served(moderator, self.now, claim.claim_id, picture_id, picture.revision, frame.index)
        except Refusal:
            return
        self.shown.add((self.holds(moderator), picture_id, picture.revision, index))

    @rule(moderator=st.sampled_from(MODERATORS), picture_id=st.sampled_from(PICTURES))
    def ask_for_boxes(self, moderator: str, picture_id: str) -> None:
        picture = self.review.pictures.get(picture_id)
        frames = [FrameBoxes(frame=frame.index, boxes=frame.regions) for frame in picture.frames] if picture else []
        try:
            asked = self.review.request_boxes(moderator, self.now, picture_id, self.revision(picture_id), frames)
        except Refusal:
            return
        assert asked > self.latest[picture_id].revision
        self.asked[picture_id] = asked

    @rule(
        moderator=st.sampled_from(MODERATORS),
        picture_id=st.sampled_from(PICTURES),
        decision=st.sampled_from(PictureDecision),
        stale=st.integers(0, 1),
    )
    def decide(self, moderator: str, picture_id: str, decision: PictureDecision, stale: int) -> None:
        revision = max(self.revision(picture_id) - stale, 1)
        try:
            self.review.decide(moderator, self.now, picture_id, revision, decision, answers=SEEN)
        except Refusal:
            return
        self.decided[self.holds(moderator), picture_id, revision] = decision
        for frame in self.latest[picture_id].frames:
            assert (self.holds(moderator), picture_id, revision, frame.index) in self.shown
        assert self.latest[picture_id].revision == revision

    @rule(
        moderator=st.sampled_from(MODERATORS),
        skipped=st.sampled_from(["", "", "text", "frame", "picture", "decision"]),
        meanwhile=st.one_of(st.none(), renderings, submissions, st.integers(1, 20), st.sampled_from(PICTURES)),
    )
    def look_at_everything_decide_and_approve(
        self, moderator: str, skipped: str, meanwhile: CaseRedacted | CaseSubmitted | int | str | None
    ) -> None:
        """The good way with at most one step left out and one thing happening before its end.

        Without it random walks hardly ever come near an approval. Every step may be refused, and goes on.
        """
        self.claim(moderator)
        if skipped != "text":
            self.read(moderator)
        for number, picture_id in enumerate(PICTURES):
            for index in (0, 1):
                if not (number == 0 and (skipped == "picture" or (skipped == "frame" and index == 0))):
                    self.look(moderator, picture_id, index)
            if not (number == 0 and skipped == "decision"):
                self.decide(moderator, picture_id, PictureDecision.PUBLISH, 0)
                if self.review.claim and picture_id not in self.review.claim.decisions:
                    self.decide(moderator, picture_id, PictureDecision.WITHHOLD, 0)
        if isinstance(meanwhile, CaseRedacted):
            self.redactor_answers(meanwhile)
            self.decide(moderator, meanwhile.picture_id or "", PictureDecision.PUBLISH, 0)
        elif isinstance(meanwhile, CaseSubmitted):
            self.author_submits(meanwhile)
        elif isinstance(meanwhile, str):
            self.ask_for_boxes(moderator, meanwhile)
        elif meanwhile:
            self.time_passes(meanwhile)
        self.approve(moderator, True)

    @rule(
        order=st.permutations(MODERATORS[:2]),
        again=st.booleans(),
        meanwhile=st.one_of(st.none(), renderings, submissions, st.sampled_from(PICTURES)),
    )
    def two_look_one_after_the_other(
        self, order: list[str], again: bool, meanwhile: CaseRedacted | CaseSubmitted | str | None
    ) -> None:
        """The good way of a picture that needs two; with `again` the first tries to be the second as well."""
        self.look_at_everything_decide_and_approve(order[0], "", None)
        if again:
            self.look_at_everything_decide_and_approve(order[0], "", None)
        self.look_at_everything_decide_and_approve(order[1], "", meanwhile)

    @rule(moderator=st.sampled_from(MODERATORS), current_text=st.booleans())
    def approve(self, moderator: str, current_text: bool) -> None:
        held, emitted = self.holds(moderator), len(self.review.outgoing)
        version = self.review.submission.text_version if self.review.submission and current_text else 1
        try:
            said = self.review.approve(moderator, self.now, f"hash-{version}", "title", "text")
        except Refusal:
            return
        if isinstance(said, FirstApproval):
            hypothesis_event("first of two")
            assert len(self.review.outgoing) == emitted, "published on one moderator's word"
            assert not self.holds(moderator)
            self.first |= {(moderator, said.version, picture, revision) for picture, revision in said.pictures.items()}
            return
        if len(self.review.outgoing) == emitted:
            return  # a repeated request
        hypothesis_event("approved")
        event = self.review.outgoing[-1]
        assert isinstance(event, CaseApproved)
        assert self.submission is not None
        assert held
        assert moderator != self.submission.author_id
        assert event.version == self.submission.version
        assert (held, self.submission.text_version) in self.texts
        published = {picture.picture_id: picture for picture in event.pictures}
        for wanted in self.submission.pictures:
            latest = self.latest[wanted.picture_id]
            assert latest.revision >= max(wanted.revision, self.asked.get(wanted.picture_id, 0))
            for frame in latest.frames:
                assert (held, wanted.picture_id, latest.revision, frame.index) in self.shown
            word = self.decided[held, wanted.picture_id, latest.revision]
            assert (word is PictureDecision.PUBLISH) == (wanted.picture_id in published)
            if wanted.picture_id in published:
                assert published[wanted.picture_id].frames == tuple(
                    frame.model_copy(update={"regions": (), "clinical": ()}) for frame in latest.frames
                )
                assert latest.frames
                shown = [
                    frame
                    for frame in latest.frames
                    for picture_id, index, face in self.faces
                    if (picture_id, index) == (wanted.picture_id, frame.index) and face not in frame.regions
                ]
                if shown or any(frame.clinical for frame in latest.frames):
                    hypothesis_event("approved by two, a face uncovered" if shown else "approved by two")
                    seen = (event.version, wanted.picture_id, latest.revision)
                    assert {who for who, *what in self.first if tuple(what) == seen} - {moderator}
        assert published.keys() <= {wanted.picture_id for wanted in self.submission.pictures}

    @rule(moderator=st.sampled_from(MODERATORS), gone=st.booleans())
    def withdraw_approval(self, moderator: str, gone: bool) -> None:
        try:
            if gone:
                self.review.moderator_gone(moderator)
            else:
                self.review.withdraw_approval(moderator)
        except Refusal:
            return
        self.first = {given for given in self.first if given[0] != moderator}

    @rule(order=st.permutations(MODERATORS[:2]), gone=st.booleans())
    def the_first_takes_it_back_while_the_second_looks(self, order: list[str], gone: bool) -> None:
        self.look_at_everything_decide_and_approve(order[0], "", None)
        self.withdraw_approval(order[0], gone)
        self.look_at_everything_decide_and_approve(order[1], "", None)

    @rule(moderator=st.sampled_from(MODERATORS), outcome=st.sampled_from(RejectOutcome))
    def reject(self, moderator: str, outcome: RejectOutcome) -> None:
        held, emitted = self.holds(moderator), len(self.review.outgoing)
        try:
            self.review.reject(moderator, self.now, outcome, [ReasonCode.DUPLICATE])
        except Refusal:
            return
        assert held or len(self.review.outgoing) == emitted

    @invariant()
    def one_answer_a_version(self) -> None:
        if not hasattr(self, "review"):
            return
        answers = [e.version for e in self.review.outgoing if isinstance(e, CaseApproved | CaseRejected)]
        assert len(answers) == len(set(answers))
        if self.review.state is ReviewState.WITHDRAWN:
            assert self.review.submission is None
            assert not self.review.pictures


Moderation.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestModeration = Moderation.TestCase
