"""No sequence of calls and events submits a case about a patient without a consent to these very pictures."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.ingest.domain.case import MAX_PICTURES, Case
from services.ingest.domain.consent import FACES_COVERED, Purpose, years_after
from services.ingest.domain.picture import Picture
from services.ingest.domain.refusals import Refused
from services.ingest.domain.states import NO_PATIENT, CaseState
from shared.events import (
    CaseApproved,
    CaseRedacted,
    CaseRejected,
    CaseSubmitted,
    CaseUploaded,
    Frame,
    FrameBoxes,
    Language,
    MarkAnswer,
    Marks,
    PictureKind,
    QuestionKind,
    RedactionOutcome,
    Region,
    RegionKind,
    RejectOutcome,
    Specialty,
)
from tests.consents import give_consent

START = datetime(2026, 1, 1, tzinfo=UTC)
NEW, OLD = "a" * 64, min(FACES_COVERED)
TEXTS: dict[Language, frozenset[str]] = {"en": frozenset({NEW, OLD}), "fr": frozenset({"b" * 64})}
FACE = Region(kind=RegionKind.FACE, box=(10, 10, 30, 30), score=0.9, detector="test")
EYE = (16, 16, 16, 16)


class Life(RuleBasedStateMachine):
    """A case and its neighbours, who deliver late, twice and out of order. The bookkeeping here is independent of
    the case's own: what the patient saw and signed, and what the redactor painted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.case = Case(
            case_id="case",
            author_id="author",
            specialty=Specialty.SURGERY,
            kind=QuestionKind.DIAGNOSIS,
            language="en",
            title="t",
            body="b",
            created_at=START,
            updated_at=START,
        )
        self.count = 0
        self.painted: list[CaseRedacted] = []
        self.open_faces: set[tuple[str, int]] = set()
        self.submissions: list[CaseSubmitted] = []
        self.signed: tuple[dict[str, int], date] | None = None
        self.withdrawn = False
        self.last_version = 0

    def _try(self, act: Any) -> Any:
        before = self.case.model_copy(deep=True)
        try:
            return act()
        except Refused:
            assert self.case == before, "a refusal changed the case"
            return None

    def _paint(self, picture_id: str, revision: int, outcome: RedactionOutcome, open_face: bool = False) -> None:
        frame = Frame(index=0, width=50, height=50, regions=(FACE,), renditions=())
        if open_face:
            self.open_faces.add((picture_id, revision))
            frame = frame.model_copy(update={"clinical": (EYE,)})
        frames = (frame,) if outcome is RedactionOutcome.REDACTED else ()
        self.painted.append(
            CaseRedacted(
                case_id="case",
                picture_id=picture_id,
                revision=revision,
                pictures_total=1,
                outcome=outcome,
                frames=frames,
            )
        )

    def _hand_over(self, event: CaseUploaded | None, outcome: RedactionOutcome) -> None:
        if event is None:
            return
        for picture in event.pictures:
            open_face = any(entry.clinical for entry in picture.boxes or ())
            self._paint(picture.picture_id, picture.revision, outcome, open_face)
        if not event.pictures:
            self.painted.append(
                CaseRedacted(
                    case_id="case", picture_id=None, revision=1, pictures_total=0, outcome=RedactionOutcome.REDACTED
                )
            )

    @rule(days=st.sampled_from([1, 10, 200, 300]))
    def time_passes(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule(kind=st.sampled_from([QuestionKind.DIAGNOSIS, QuestionKind.POSOLOGY]))
    def edit(self, kind: QuestionKind) -> None:
        self._try(lambda: self.case.edit(self.now, {"kind": kind}))

    @rule()
    def add_picture(self) -> None:
        self.count += 1
        new = Picture(
            picture_id=f"p{self.count}",
            kind=PictureKind.PHOTO,
            media_type="image/png",
            size_bytes=1,
            width=50,
            height=50,
        )
        self._try(lambda: self.case.add_picture(self.now, new))

    @precondition(lambda self: self.case.pictures)
    @rule(data=st.data())
    def remove_picture(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([p.picture_id for p in self.case.pictures]))
        self._try(lambda: self.case.remove_picture(self.now, name))

    @rule(outcome=st.sampled_from(list(RedactionOutcome)))
    def start_redaction(self, outcome: RedactionOutcome) -> None:
        self._hand_over(self._try(lambda: self.case.start_redaction(self.now)), outcome)

    @precondition(lambda self: self.case.pictures)
    @rule(data=st.data(), size=st.integers(1, 20), clinical=st.booleans())
    def change_boxes(self, data: st.DataObject, size: int, clinical: bool) -> None:
        name = data.draw(st.sampled_from([p.picture_id for p in self.case.pictures]))
        drawn = Region(kind=RegionKind.MANUAL, box=(0, 0, size, size))
        boxes = [FrameBoxes(frame=0, boxes=(FACE, drawn), clinical=(EYE,) if clinical else ())]
        self._hand_over(self._try(lambda: self.case.change_boxes(self.now, name, boxes)), RedactionOutcome.REDACTED)

    @precondition(lambda self: self.painted)
    @rule(data=st.data())
    def deliver_any_rendering(self, data: st.DataObject) -> None:
        event = data.draw(st.sampled_from(self.painted))
        self.case.take_rendering(event, self.now)

    @rule()
    def deliver_all_renderings(self) -> None:
        for event in self.painted:
            self.case.take_rendering(event, self.now)

    @rule(steps=st.integers(1, 6))
    def go_on(self, steps: int) -> None:
        """The usual way, so that random walks get past it: what comes next in each state."""
        for _ in range(steps):
            if self.case.state is CaseState.DRAFT:
                self.start_redaction(RedactionOutcome.REDACTED)
            elif self.case.state is CaseState.UPLOADED:
                self.deliver_all_renderings()
            elif self.case.state in (CaseState.REDACTED, CaseState.CHANGES):
                if self.case.consent is None:
                    self._sign({Purpose.PUBLICATION}, 0, NEW)
                self.submit()
            elif self.case.state is CaseState.SUBMITTED:
                self._decide(self.submissions[-1], RejectOutcome.CHANGES)

    @rule(text=st.sampled_from([NEW, OLD]))
    def the_author_opens_a_face_and_submits(self, text: str) -> None:
        """As far as it goes from here: random walks seldom get this way by themselves."""
        if not self.case.pictures:
            self.add_picture()
        self.start_redaction(RedactionOutcome.REDACTED)
        self.deliver_all_renderings()
        if not self.case.pictures:
            return
        name = self.case.pictures[0].picture_id
        boxes = [FrameBoxes(frame=0, boxes=(FACE,), clinical=(EYE,))]
        self._hand_over(self._try(lambda: self.case.change_boxes(self.now, name, boxes)), RedactionOutcome.REDACTED)
        self.deliver_all_renderings()
        self._sign({Purpose.PUBLICATION}, 0, text)
        self.submit()

    @rule(text=st.sampled_from([NEW, OLD]))
    def patient_signs(self, text: str) -> None:
        self._sign({Purpose.PUBLICATION}, 0, text)

    @precondition(lambda self: self.submissions and self.submissions[-1].pictures)
    @rule(data=st.data(), step=st.integers(1, 3))
    def moderation_has_one_painted_again(self, data: st.DataObject, step: int) -> None:
        picture = data.draw(st.sampled_from(self.submissions[-1].pictures))
        self._paint(picture.picture_id, picture.revision + step, RedactionOutcome.REDACTED)

    @rule(
        purposes=st.sets(st.sampled_from(list(Purpose)), min_size=1),
        days_ago=st.integers(-3, 3),
        text=st.sampled_from([NEW, OLD, "c" * 64]),
        years=st.integers(0, 3),
    )
    def sign_anything(self, purposes: set[Purpose], days_ago: int, text: str, years: int) -> None:
        self._sign(purposes, days_ago, text, years)

    def _sign(self, purposes: set[Purpose], days_ago: int, text: str, years: int = 1) -> None:
        signed_on = (self.now - timedelta(days=days_ago)).date()
        seen = self.case.picture_revisions()
        before = self.case.consent
        try:
            given = give_consent(
                self.case,
                TEXTS,
                self.now,
                text=text,
                signed_on=signed_on,
                purposes=tuple(purposes),
                duration_years=years,
            )
        except Refused:
            assert self.case.consent is before, "a refused signature became a consent"
            return
        assert Purpose.PUBLICATION in purposes
        assert text in (NEW, OLD)
        assert days_ago in (-1, 0, 1)
        assert years
        assert given.covers == seen
        last_day = years_after(signed_on, years)
        self.signed = (seen, last_day)

    @rule()
    def submit(self) -> None:
        asked = [picture.picture_id for picture in self.case.pictures if picture.marks_asked]
        said = {picture_id: Marks(answer=MarkAnswer.NONE) for picture_id in asked}
        if asked:
            assert not self._try(lambda: self.case.submit(TEXTS, self.now, dict(list(said.items())[1:])))
        event = self._try(lambda: self.case.submit(TEXTS, self.now, said))
        if event is None:
            return
        self.submissions.append(event)
        shown = {p.picture_id: p.revision for p in event.pictures}
        done = {(p.picture_id, p.revision) for p in self.painted}
        assert set(shown.items()) <= done, "submitted what nobody has painted"
        if shown or event.kind not in NO_PATIENT:
            assert self.signed is not None, "submitted without a consent"
            seen, last_day = self.signed
            assert seen == shown, "the patient saw other pictures"
            assert self.now.date() <= last_day
            assert event.consent is not None
            assert Purpose.PUBLICATION in event.consent.purposes
            if set(shown.items()) & self.open_faces:
                assert event.consent.text_sha256 != OLD, "the patient was told that faces are covered"

    @precondition(lambda self: self.submissions)
    @rule(data=st.data())
    def approve(self, data: st.DataObject) -> None:
        asked = data.draw(st.sampled_from(self.submissions))
        event = CaseApproved(
            case_id="case",
            version=asked.version,
            author_id="author",
            specialty=asked.specialty,
            kind=asked.kind,
            language="en",
            title="t",
            text="b",
            approved_at=self.now,
        )
        if self.case.take_approval(event, self.now):
            assert asked is self.submissions[-1], "an old submission's decision counted"

    @precondition(lambda self: self.submissions)
    @rule(data=st.data(), outcome=st.sampled_from(list(RejectOutcome)))
    def reject(self, data: st.DataObject, outcome: RejectOutcome) -> None:
        self._decide(data.draw(st.sampled_from(self.submissions)), outcome)

    def _decide(self, asked: CaseSubmitted, outcome: RejectOutcome) -> None:
        event = CaseRejected(
            case_id="case", version=asked.version, outcome=outcome, reasons=("x",), decided_at=self.now
        )
        if self.case.take_rejection(event, self.now):
            assert asked is self.submissions[-1], "an old submission's decision counted"

    @precondition(lambda self: len(self.submissions) > 2)
    @rule()
    def withdraw(self) -> None:
        self._try(lambda: self.case.withdraw(self.now))
        self.withdrawn = True

    @invariant()
    def withdrawn_is_final_and_versions_only_grow(self) -> None:
        if self.withdrawn:
            assert self.case.state is CaseState.WITHDRAWN
        assert self.case.version >= self.last_version
        self.last_version = self.case.version
        assert len(self.case.pictures) <= MAX_PICTURES

    @invariant()
    def nothing_is_published_that_was_not_submitted(self) -> None:
        if self.case.state in (CaseState.SUBMITTED, CaseState.PUBLISHED, CaseState.REJECTED):
            assert self.submissions


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
