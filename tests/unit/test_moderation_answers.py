"""What has to be answered before a picture is published, and which pictures need two moderators."""

from typing import Any

import pytest

from services.moderation.domain import (
    ActKind,
    AnswerFault,
    Answers,
    BadAnswers,
    BadBoxes,
    BoxFault,
    CaseGone,
    FirstApproval,
    MarksUnanswered,
    NoFirstApproval,
    NotWaiting,
    ProposalAnswer,
    ProposalNotCovered,
    ProposalsUnanswered,
    ReasonCode,
    Review,
    ReviewState,
    Round,
    SecondModeratorNeeded,
    ShowsMore,
    needs_second_moderator,
)
from services.moderation.domain.answers import is_covered
from services.moderation.domain.second_moderator import agreed
from services.moderation.domain.values import Picture, RoundOutcome
from services.moderation.routes.shapes import CaseShown
from shared.events import (
    Box,
    CaseApproved,
    CaseRedacted,
    Frame,
    FrameBoxes,
    LeftReason,
    MarkAnswer,
    Marks,
    PictureKind,
    RedactionOutcome,
    RedactionRequested,
    Region,
    RegionKind,
    RejectOutcome,
)
from tests.unit.test_moderation_domain import (
    EYE,
    FACE,
    NOW,
    PUBLISH,
    SEEN,
    WITHHOLD,
    acts,
    look,
    redacted,
    review_of,
    submitted,
    withdrawn,
)

TATTOO = Region(kind=RegionKind.TATTOO, box=(60, 40, 20, 20), score=0.4, detector="tattoos")
OTHER = Region(kind=RegionKind.TATTOO, box=(0, 60, 10, 10), score=0.3, detector="tattoos")
NONE = Marks(answer=MarkAnswer.NONE)
HAND = Region(kind=RegionKind.MANUAL, box=(60, 40, 20, 12))


def painted(revision: int = 1, **found: Any) -> CaseRedacted:
    """A rendering of p1 with one frame; `found`: fields of the frame."""
    event = redacted("p1", revision)
    return event.model_copy(update={"frames": tuple(frame.model_copy(update=found) for frame in event.frames)})


def review_with(event: CaseRedacted, kind: PictureKind = PictureKind.PHOTO) -> Review:
    """A submitted case with this one picture, claimed by `mod`, its text read and its frame looked at."""
    review = Review(case_id="c1")
    asked = submitted("p1", revision=event.revision)
    review.on_submitted(
        asked.model_copy(update={"pictures": tuple(p.model_copy(update={"kind": kind}) for p in asked.pictures)})
    )
    review.on_redacted(event)
    claim(review, "mod")
    return review


def drawn_by_the_author(review: Review, event: CaseRedacted) -> None:
    """A rendering that the author submitted, and that the patient has seen."""
    review.on_redacted(event)
    assert review.submission is not None
    pictures = tuple(p.model_copy(update={"revision": event.revision}) for p in review.submission.pictures)
    review.submission = review.submission.model_copy(update={"pictures": pictures})


def claim(review: Review, moderator: str) -> None:
    review.take(moderator, f"claim of {moderator} {len(review.acts)}", NOW)
    review.read(moderator, NOW, 3, "text-hash")
    look(review, "p1", moderator=moderator)


def claim_again(review: Review, moderator: str) -> None:
    """Look anew, since a new revision has arrived."""
    review.release(moderator, NOW)
    claim(review, moderator)


def left(proposal: int, reason: LeftReason = LeftReason.SCAR) -> ProposalAnswer:
    return ProposalAnswer(frame=0, proposal=proposal, answer=MarkAnswer.LEFT, reason=reason)


def covered(proposal: int) -> ProposalAnswer:
    return ProposalAnswer(frame=0, proposal=proposal, answer=MarkAnswer.COVERED)


def approve(review: Review, moderator: str = "mod") -> Round | FirstApproval:
    return review.approve(moderator, NOW, "text-hash", "A title", "What is this?")


def decide_and_approve(review: Review, moderator: str) -> Round | FirstApproval:
    revision = review.pictures["p1"].revision
    review.decide(moderator, NOW, "p1", revision, PUBLISH, answers=SEEN)
    return approve(review, moderator)


class TestProposals:
    def test_nothing_is_published_while_a_proposal_is_unanswered(self) -> None:
        review = review_with(painted(proposals=(TATTOO, OTHER)))
        with pytest.raises(ProposalsUnanswered) as refused:
            review.decide("mod", NOW, "p1", 1, PUBLISH, answers=SEEN)
        assert refused.value.proposals == ((0, 0), (0, 1))
        with pytest.raises(ProposalsUnanswered) as refused:
            review.decide("mod", NOW, "p1", 1, PUBLISH, answers=Answers(proposals=(left(1),), marks=NONE))
        assert refused.value.proposals == ((0, 0),)
        assert review.claim is not None
        assert not review.claim.decisions

    def test_left_with_a_reason_it_is_published_and_the_answer_stands_in_the_chain(self) -> None:
        review = review_with(painted(proposals=(TATTOO, OTHER)))
        marks = Marks(answer=MarkAnswer.LEFT, reasons=(LeftReason.SCAR,))
        answers = Answers(proposals=(left(0), left(1, LeftReason.NO_MARK)), marks=marks)
        review.decide("mod", NOW, "p1", 1, PUBLISH, answers=answers)
        assert review.acts[-1].act is ActKind.DECIDED
        assert review.acts[-1].detail == {
            "decision": "publish",
            "proposals": ["0/0 left scar", "0/1 left no_mark"],
            "marks": "left",
            "mark_reasons": ["scar"],
        }
        assert isinstance(approve(review), Round)

    def test_a_changed_answer_is_a_new_decision_and_the_same_one_is_not(self) -> None:
        review = review_with(painted(proposals=(TATTOO,)))
        for reason in (LeftReason.SCAR, LeftReason.SCAR, LeftReason.LESION):
            answers = Answers(proposals=(left(0, reason),), marks=NONE)
            review.decide("mod", NOW, "p1", 1, PUBLISH, answers=answers)
        assert acts(review).count(ActKind.DECIDED) == 2

    def test_covered_is_believed_only_where_it_is_true(self) -> None:
        review = review_with(painted(proposals=(TATTOO,)))
        answers = Answers(proposals=(covered(0),), marks=NONE)
        with pytest.raises(ProposalNotCovered) as refused:
            review.decide("mod", NOW, "p1", 1, PUBLISH, answers=answers)
        assert (refused.value.frame, refused.value.proposal) == (0, 0)
        review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0, boxes=(HAND,))])
        assert review.acts[-1].detail["proposals_covered"] == ["0/0"]
        review.on_redacted(painted(2, regions=(HAND,), proposals=(TATTOO,)))
        look(review, "p1")
        review.decide("mod", NOW, "p1", 2, PUBLISH, answers=answers)
        assert review.acts[-1].detail["proposals"] == ["0/0 covered"]
        assert isinstance(approve(review), Round)

    def test_a_proposal_that_the_redactor_no_longer_makes_needs_no_answer(self) -> None:
        review = review_with(painted(proposals=(TATTOO,)))
        review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0, boxes=(TATTOO,))])
        event = review.outgoing[-1]
        assert isinstance(event, RedactionRequested)
        assert event.boxes[0].boxes == (TATTOO,), "what the machine proposed keeps its detector"
        review.on_redacted(painted(2, regions=(TATTOO,)))
        look(review, "p1")
        assert decide_and_approve(review, "mod")

    def test_boxes_that_cover_nothing_suspected_say_so(self) -> None:
        review = review_with(painted(proposals=(TATTOO,)))
        review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0, boxes=(OTHER,))])
        assert "proposals_covered" not in review.acts[-1].detail

    @pytest.mark.parametrize(
        ("answers", "fault", "place"),
        [
            ((left(0), left(2)), AnswerFault.PROPOSAL_UNKNOWN, 1),
            ((left(0), left(1), left(0)), AnswerFault.PROPOSAL_TWICE, 2),
        ],
    )
    def test_an_answer_is_about_one_proposal_of_this_revision(
        self, answers: tuple[ProposalAnswer, ...], fault: AnswerFault, place: int
    ) -> None:
        review = review_with(painted(proposals=(TATTOO, OTHER)))
        with pytest.raises(BadAnswers) as refused:
            review.decide("mod", NOW, "p1", 1, PUBLISH, answers=Answers(proposals=answers, marks=NONE))
        assert (refused.value.fault, refused.value.place) == (fault, ("proposals", place))

    def test_what_is_withheld_needs_no_answer(self) -> None:
        review = review_with(painted(proposals=(TATTOO,)))
        review.decide("mod", NOW, "p1", 1, WITHHOLD, ReasonCode.PATIENT_RECOGNISABLE)
        assert isinstance(approve(review), Round)

    def test_a_decision_of_a_claim_from_before_the_question_does_not_approve(self) -> None:
        review = review_with(painted(proposals=(TATTOO,)))
        review.decide("mod", NOW, "p1", 1, PUBLISH, answers=Answers(proposals=(left(0),), marks=NONE))
        document = review.model_dump(mode="json")
        del document["claim"]["decisions"]["p1"]["answers"]
        with pytest.raises(ProposalsUnanswered):
            approve(Review.model_validate(document))

    @pytest.mark.parametrize(
        ("boxes", "hides"),
        [
            ([], False),
            ([(60, 40, 20, 20)], True),
            ([(60, 40, 20, 9)], False),
            ([(60, 40, 20, 9), (60, 40, 20, 9), (60, 41, 20, 8)], False),
            ([(60, 40, 20, 5), (60, 55, 20, 5)], True),
            ([(60, 55, 20, 5), (60, 40, 20, 5)], True),
            ([(50, 30, 15, 40), (70, 30, 15, 40)], True),
            ([(50, 30, 13, 40), (62, 30, 3, 40)], False),
            ([(0, 0, 60, 80), (80, 0, 20, 80)], False),
        ],
    )
    def test_half_a_proposal_under_paint_is_covered_however_boxes_overlap(self, boxes: list[Box], hides: bool) -> None:
        regions = tuple(Region(kind=RegionKind.MANUAL, box=box) for box in boxes)
        assert is_covered(Frame(index=0, width=100, height=80, regions=regions, renditions=()), TATTOO) is hides

    def test_a_face_opened_by_a_clinical_region_covers_nothing_there(self) -> None:
        face = Region(kind=RegionKind.FACE, box=(50, 30, 40, 40))
        frame = Frame(index=0, width=100, height=80, regions=(face,), renditions=())
        assert is_covered(frame, TATTOO)
        assert not is_covered(frame.model_copy(update={"clinical": ((62, 42, 8, 8),)}), TATTOO)


class TestMarks:
    @pytest.mark.parametrize("kind", PictureKind)
    def test_of_photos_and_wounds_it_is_asked_what_marks_they_show(self, kind: PictureKind) -> None:
        review = review_with(painted(), kind)
        if kind in (PictureKind.PHOTO, PictureKind.WOUND):
            with pytest.raises(MarksUnanswered):
                review.decide("mod", NOW, "p1", 1, PUBLISH)
            review.decide("mod", NOW, "p1", 1, PUBLISH, answers=Answers(marks=NONE))
        else:
            review.decide("mod", NOW, "p1", 1, PUBLISH)

    def test_what_is_asked_found_and_noted_is_shown_with_the_authors_answer(self) -> None:
        asked = submitted("p1")
        said = Marks(answer=MarkAnswer.LEFT, reasons=(LeftReason.JEWELLERY,))
        pictures = tuple(picture.model_copy(update={"marks": said}) for picture in asked.pictures)
        review = Review(case_id="c1")
        review.on_submitted(asked.model_copy(update={"pictures": pictures}))
        event = painted(proposals=(TATTOO,), residual=(OTHER,), regions=(FACE,), clinical=(EYE,))
        review.on_redacted(event.model_copy(update={"notes": ("first_frame_of:12",)}))
        claim(review, "mod")
        (shown,) = CaseShown.of(review, "t", "b").pictures
        assert (shown.marks_asked, shown.author_marks, shown.needs_second_moderator) == (True, said, True)
        assert [(note.code, "12" in note.fr) for note in shown.notes] == [("first_frame_of:12", True)]
        (frame,) = shown.frames
        assert (frame.proposals, frame.residual, frame.clinical) == ((TATTOO,), (OTHER,), (EYE,))

    def test_of_what_cannot_be_seen_nothing_is_asked(self) -> None:
        event = CaseRedacted(
            case_id="c1",
            picture_id="p1",
            revision=1,
            pictures_total=1,
            outcome=RedactionOutcome.UNREADABLE,
            reason="truncated",
        )
        review = Review(case_id="c1")
        review.on_submitted(submitted("p1"))
        review.on_redacted(event)
        review.take("mod", "claim-1", NOW)
        (shown,) = CaseShown.of(review, "t", "b").pictures
        assert not shown.marks_asked


class TestSecondModerator:
    @pytest.mark.parametrize(
        ("clinical", "found", "needed"),
        [
            ((EYE,), {"regions": (FACE,)}, True),
            ((EYE,), {"residual": (FACE,)}, True),
            (((52, 52, 6, 6),), {"regions": (FACE,)}, True),
            (((70, 70, 6, 6),), {"regions": (FACE,)}, False),
            ((), {"regions": (FACE,)}, False),
            ((EYE,), {"regions": (FACE.model_copy(update={"kind": RegionKind.TEXT}),)}, False),
        ],
    )
    def test_a_clinical_region_that_meets_a_face_needs_two(
        self, clinical: tuple[Box, ...], found: dict[str, Any], needed: bool
    ) -> None:
        event = painted(clinical=clinical, **found)
        picture = Picture(picture_id="p1").rendered(event)
        assert needs_second_moderator(picture) is needed
        assert isinstance(decide_and_approve(review_with(event), "mod"), FirstApproval) is needed

    def test_the_first_approval_publishes_nothing_and_the_second_does(self) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        first = decide_and_approve(review, "mod")
        assert isinstance(first, FirstApproval)
        assert (first.moderator_id, first.pictures, review.outgoing) == ("mod", {"p1": 1}, [])
        assert (review.state, review.claim, acts(review)[-1]) == (ReviewState.WAITING, None, ActKind.FIRST_APPROVED)
        assert review.acts[-1].detail == {"pictures": ["p1 1"]}
        claim(review, "second")
        said = decide_and_approve(review, "second")
        assert isinstance(said, Round)
        assert (said.outcome, said.moderator_id, said.first_moderator_id) == (RoundOutcome.APPROVED, "second", "mod")
        event = review.outgoing[-1]
        assert isinstance(event, CaseApproved)
        assert {(frame.regions, frame.clinical) for frame in event.pictures[0].frames} == {((), ())}
        assert (review.acts[-1].act, review.acts[-1].detail["first_moderator"]) == (ActKind.APPROVED, "mod")
        assert review.first_approval is None

    def test_the_same_person_cannot_be_both(self) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        first = decide_and_approve(review, "mod")
        with pytest.raises(SecondModeratorNeeded):
            review.take("mod", "claim-2", NOW)
        assert approve(review, "mod") is first, "the request comes again because its reply was lost"
        assert review.outgoing == []

    def test_the_second_decides_for_themselves(self) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        decide_and_approve(review, "mod")
        claim(review, "second")
        review.decide("second", NOW, "p1", 1, WITHHOLD, ReasonCode.PATIENT_RECOGNISABLE)
        said = approve(review, "second")
        assert isinstance(said, Round)
        assert said.first_moderator_id is None
        event = review.outgoing[-1]
        assert isinstance(event, CaseApproved)
        assert event.pictures == ()

    def test_a_second_who_has_it_painted_anew_is_the_first_for_the_new_revision(self) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        decide_and_approve(review, "mod")
        claim(review, "second")
        wanted = FrameBoxes(frame=0, boxes=(FACE, HAND), clinical=(EYE,))
        assert review.request_boxes("second", NOW, "p1", 1, [wanted]) == 2
        review.on_redacted(painted(2, regions=(FACE, HAND), clinical=(EYE,)))
        look(review, "p1", moderator="second")
        again = decide_and_approve(review, "second")
        assert isinstance(again, FirstApproval)
        assert (again.moderator_id, again.pictures) == ("second", {"p1": 2})
        claim(review, "mod")
        assert isinstance(decide_and_approve(review, "mod"), Round)

    def test_an_approval_of_a_revision_that_is_gone_binds_nobody(self) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        decide_and_approve(review, "mod")
        review.on_redacted(painted(2, regions=(FACE,), clinical=(EYE,)))
        claim(review, "mod")
        assert isinstance(decide_and_approve(review, "mod"), FirstApproval)

    def test_what_the_first_withheld_is_new_to_the_second(self) -> None:
        """Of two such pictures each needs two people, not the case."""
        review = Review(case_id="c1")
        review.on_submitted(submitted("p1", "p2"))
        for picture_id in ("p1", "p2"):
            review.on_redacted(redacted(picture_id, clinical=True))
        for moderator, second_picture in (("mod", WITHHOLD), ("second", PUBLISH)):
            claim(review, moderator)
            look(review, "p2", moderator=moderator)
            review.decide(moderator, NOW, "p1", 1, PUBLISH, answers=SEEN)
            review.decide(moderator, NOW, "p2", 1, second_picture, answers=SEEN)
            said = approve(review, moderator)
            assert isinstance(said, FirstApproval)
        assert review.first_approval is not None
        assert review.first_approval.pictures == {"p1": 1, "p2": 1}
        assert review.outgoing == []

    @pytest.mark.parametrize(
        ("who", "approved", "enough"),
        [("mod", {"p1": 2}, False), ("second", {"p1": 2}, True), ("second", {"p1": 1}, False), ("second", {}, False)],
    )
    def test_only_somebody_elses_word_on_the_same_revision_counts(
        self, who: str, approved: dict[str, int], enough: bool
    ) -> None:
        first = FirstApproval(version=3, moderator_id="mod", decided_at=NOW, pictures=approved)
        assert agreed(first, who, {"p1": 2}) is enough
        assert not agreed(None, who, {"p1": 2})
        assert agreed(None, who, {})

    def test_one_is_enough_once_the_face_is_covered_whole(self) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0, boxes=(FACE,))])
        review.on_redacted(painted(2, regions=(FACE,)))
        look(review, "p1")
        assert isinstance(decide_and_approve(review, "mod"), Round)

    @pytest.mark.parametrize("outcome", RejectOutcome)
    def test_the_second_may_reject(self, outcome: RejectOutcome) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        decide_and_approve(review, "mod")
        claim(review, "second")
        review.reject("second", NOW, outcome, [ReasonCode.PATIENT_RECOGNISABLE])
        assert review.first_approval is None

    def test_a_new_submission_needs_two_again(self) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        decide_and_approve(review, "mod")
        review.on_submitted(submitted("p1", version=4))
        review.take("second", "claim-2", NOW)
        review.read("second", NOW, 4, "text-hash")
        look(review, "p1", moderator="second")
        assert isinstance(decide_and_approve(review, "second"), FirstApproval)

    def test_the_first_takes_the_approval_back_and_may_decide_anew(self) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        decide_and_approve(review, "mod")
        review.withdraw_approval("mod")
        assert (review.state, review.first_approval, acts(review)[-1]) == (
            ReviewState.WAITING,
            None,
            ActKind.APPROVAL_WITHDRAWN,
        )
        assert (review.acts[-1].actor, review.acts[-1].version, review.outgoing) == ("mod", 3, [])
        claim(review, "mod")
        assert isinstance(decide_and_approve(review, "mod"), FirstApproval)

    def test_an_approval_taken_back_does_not_count_for_the_second_who_is_at_work(self) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        decide_and_approve(review, "mod")
        claim(review, "second")
        review.withdraw_approval("mod")
        assert review.acts[-1].claim_id is None, "the claim is the second's"
        again = decide_and_approve(review, "second")
        assert isinstance(again, FirstApproval)
        assert (again.moderator_id, review.outgoing) == ("second", [])

    def test_only_the_first_takes_back_and_only_while_nobody_has_published(self) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        with pytest.raises(NoFirstApproval):
            review.withdraw_approval("mod")
        decide_and_approve(review, "mod")
        with pytest.raises(NoFirstApproval):
            review.withdraw_approval("second")
        claim(review, "second")
        decide_and_approve(review, "second")
        with pytest.raises(NotWaiting):
            review.withdraw_approval("mod")
        review.on_withdrawn(withdrawn("p1"))
        with pytest.raises(CaseGone):
            review.withdraw_approval("mod")

    def test_the_approval_of_who_may_moderate_no_more_does_not_count(self) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        decide_and_approve(review, "mod")
        before = len(review.acts)
        review.moderator_gone("somebody else")
        assert (review.first_approval is None, len(review.acts)) == (False, before)
        review.moderator_gone("mod")
        review.moderator_gone("mod")
        assert (review.first_approval, len(review.acts)) == (None, before + 1)
        assert (review.acts[-1].actor, review.acts[-1].detail["first_moderator"]) == ("system", "mod")
        claim(review, "second")
        assert isinstance(decide_and_approve(review, "second"), FirstApproval)

    def test_a_withdrawal_forgets_who_approved_first(self) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        decide_and_approve(review, "mod")
        review.on_withdrawn(withdrawn("p1"))
        assert review.first_approval is None

    def test_a_review_with_a_first_approval_is_stored_and_read_again(self) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        decide_and_approve(review, "mod")
        assert Review.model_validate(review.model_dump(mode="json")).first_approval == review.first_approval


class TestUncoveredFaces:
    """A face that the machine painted or still saw, and that the revision to be published shows."""

    def test_a_face_box_that_the_author_took_away_needs_two(self) -> None:
        review = review_with(painted(regions=(FACE,)))
        drawn_by_the_author(review, painted(2))
        claim_again(review, "mod")
        assert isinstance(decide_and_approve(review, "mod"), FirstApproval)
        claim(review, "second")
        (frame,) = CaseShown.of(review, "t", "b").pictures[0].frames
        assert frame.uncovered_faces == (FACE.box,)
        assert isinstance(decide_and_approve(review, "second"), Round)

    def test_a_face_box_that_the_moderator_takes_away_is_not_published_at_all(self) -> None:
        review = review_with(painted(regions=(FACE,)))
        review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0)])
        review.on_redacted(painted(2))
        look(review, "p1")
        with pytest.raises(ShowsMore):
            decide_and_approve(review, "mod")
        review.decide("mod", NOW, "p1", 2, WITHHOLD, ReasonCode.PATIENT_RECOGNISABLE)

    def test_also_behind_a_clinical_region_that_meets_no_face_any_more(self) -> None:
        review = review_with(painted(regions=(FACE,)))
        drawn_by_the_author(review, painted(2, clinical=(EYE,)))
        claim_again(review, "mod")
        assert isinstance(decide_and_approve(review, "mod"), FirstApproval)

    def test_a_face_that_only_the_second_look_saw_needs_two(self) -> None:
        review = review_with(painted(residual=(FACE,)))
        assert isinstance(decide_and_approve(review, "mod"), FirstApproval)

    @pytest.mark.parametrize(
        ("boxes", "needed"),
        [
            ([FACE], False),
            ([FACE.model_copy(update={"kind": RegionKind.MANUAL})], False),
            ([FACE.model_copy(update={"box": (10, 10, 40, 32)})], False),
            ([FACE.model_copy(update={"box": (10, 10, 40, 31)})], True),
            ([FACE.model_copy(update={"box": (30, 10, 40, 40)})], True),
            ([FACE.model_copy(update={"box": box}) for box in ((10, 10, 20, 40), (30, 10, 20, 40))], False),
        ],
    )
    def test_one_is_enough_where_four_fifths_of_the_face_are_painted(self, boxes: list[Region], needed: bool) -> None:
        picture = Picture(picture_id="p1").rendered(painted(regions=(FACE,)))
        assert not needs_second_moderator(picture)
        assert needs_second_moderator(picture.rendered(painted(2, regions=tuple(boxes)))) is needed

    def test_what_the_machine_saw_last_and_painted_needs_one(self) -> None:
        picture = Picture(picture_id="p1").rendered(painted(regions=(FACE,), residual=(FACE,)))
        assert not needs_second_moderator(picture)

    def test_a_face_on_another_frame_covers_nothing(self) -> None:
        event = redacted("p1", frames=2)
        first, second = event.frames
        shown = (first.model_copy(update={"regions": (FACE,)}), second)
        picture = Picture(picture_id="p1").rendered(event.model_copy(update={"frames": shown}))
        assert not needs_second_moderator(picture)
        moved = (first, second.model_copy(update={"regions": (FACE,)}))
        again = redacted("p1", 2).model_copy(update={"frames": moved})
        assert needs_second_moderator(picture.rendered(again))

    def test_it_is_remembered_past_a_revision_that_covered_it_otherwise_and_one_that_could_not_be_read(self) -> None:
        picture = Picture(picture_id="p1").rendered(painted(regions=(FACE,)))
        unread = painted(3).model_copy(update={"outcome": RedactionOutcome.UNREADABLE, "frames": ()})
        manual = FACE.model_copy(update={"kind": RegionKind.MANUAL, "detector": "human"})
        picture = picture.rendered(painted(2, regions=(manual,))).rendered(unread).rendered(painted(4))
        assert needs_second_moderator(picture)

    def test_a_face_that_a_person_drew_and_took_away_again_was_seen_by_nobody_else(self) -> None:
        drawn = FACE.model_copy(update={"detector": "human"})
        picture = Picture(picture_id="p1").rendered(painted(regions=(drawn,))).rendered(painted(2))
        assert not needs_second_moderator(picture)

    def test_an_older_rendering_that_comes_late_tells_of_its_faces_and_of_nothing_else(self) -> None:
        review = review_with(painted(2))
        review.decide("mod", NOW, "p1", 2, PUBLISH, answers=SEEN)
        review.on_redacted(painted(1, regions=(FACE,)))
        assert review.pictures["p1"].revision == 2
        assert review.pictures["p1"].frames[0].regions == ()
        assert isinstance(approve(review), FirstApproval)

    def test_a_picture_stored_before_faces_were_remembered_still_tells_of_those_it_shows(self) -> None:
        document = Picture(picture_id="p1").rendered(painted(regions=(FACE,))).model_dump(mode="json")
        del document["faces"]
        assert needs_second_moderator(Picture.model_validate(document).rendered(painted(2)))


class TestWhatThePatientSaw:
    """What a moderator has painted may hide more than the patient saw, and nothing less."""

    TEXT = TATTOO.model_copy(update={"kind": RegionKind.TEXT})

    @pytest.mark.parametrize(
        ("again", "shown"),
        [
            ({"regions": (FACE, TEXT)}, True),
            ({"regions": (FACE, TEXT, HAND), "clinical": (EYE,)}, True),
            ({"regions": (FACE, TEXT), "clinical": ((22, 22, 2, 2),)}, True),
            ({"regions": (FACE.model_copy(update={"kind": RegionKind.MANUAL, "box": (3, 3, 54, 54)}), TEXT)}, True),
            ({"regions": (FACE.model_copy(update={"kind": RegionKind.MANUAL}), TEXT)}, False),
            ({"regions": (TEXT,), "clinical": (EYE,)}, False),
            ({"regions": (FACE,), "clinical": (EYE,)}, False),
            ({"regions": (FACE.model_copy(update={"box": (10, 10, 40, 39)}), TEXT)}, False),
            ({"regions": (FACE, TEXT), "clinical": ((19, 20, 8, 8),)}, False),
            ({"regions": (FACE, FACE.model_copy(update={"box": TATTOO.box})), "clinical": (TATTOO.box,)}, False),
        ],
    )
    def test_is_published_only_if_all_of_it_is_still_covered(self, again: dict[str, Any], shown: bool) -> None:
        review = review_with(painted(regions=(FACE, self.TEXT), clinical=(EYE,)))
        for revision in (2, 3):  # what counts is what was submitted, not what came in between
            review.request_boxes("mod", NOW, "p1", revision - 1, [FrameBoxes(frame=0, boxes=(HAND,) * revision)])
            review.on_redacted(painted(revision, **(again if revision == 3 else {})))
            look(review, "p1")
        if shown:
            assert review.decide("mod", NOW, "p1", 3, PUBLISH, answers=SEEN)
        else:
            with pytest.raises(ShowsMore):
                review.decide("mod", NOW, "p1", 3, PUBLISH, answers=SEEN)


class TestClinicalBoxes:
    @pytest.mark.parametrize("clinical", [(), (EYE,), ((22, 22, 2, 2),)])
    def test_a_moderator_keeps_shrinks_or_drops_the_authors_region(self, clinical: tuple[Box, ...]) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0, boxes=(FACE,), clinical=clinical)])
        event = review.outgoing[-1]
        assert isinstance(event, RedactionRequested)
        assert event.boxes == (FrameBoxes(frame=0, boxes=(FACE,), clinical=clinical),)
        assert review.acts[-1].detail["clinical"] == len(clinical)

    @pytest.mark.parametrize("box", [(19, 20, 8, 8), (20, 20, 9, 8), (20, 19, 8, 8), (20, 20, 8, 9), (22, 22, 0, 2)])
    def test_but_marks_none(self, box: Box) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        with pytest.raises(BadBoxes) as refused:
            review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0, boxes=(FACE,), clinical=(EYE, box))])
        assert (refused.value.fault, refused.value.place) == (BoxFault.CLINICAL_NEW, ("frames", 0, "clinical", 1))

    def test_nor_more_of_them_than_the_author_did(self) -> None:
        review = review_with(painted(regions=(FACE,), clinical=(EYE,)))
        with pytest.raises(BadBoxes) as refused:
            review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0, boxes=(FACE,), clinical=(EYE, EYE))])
        assert (refused.value.fault, refused.value.place) == (BoxFault.CLINICAL_NEW, ("frames", 0, "clinical", 1))


def test_what_members_get_holds_no_box_of_any_kind() -> None:
    review = review_of("p1")
    drawn_by_the_author(
        review, painted(2, regions=(FACE,), residual=(OTHER,), proposals=(TATTOO,), clinical=((90, 70, 4, 4),))
    )
    look(review, "p1")
    answers = Answers(proposals=(left(0),), marks=NONE)
    review.decide("mod", NOW, "p1", 2, PUBLISH, answers=answers)
    approve(review)
    event = review.outgoing[-1]
    assert isinstance(event, CaseApproved)
    (frame,) = event.pictures[0].frames
    assert (frame.regions, frame.residual, frame.proposals, frame.clinical) == ((), (), (), ())
