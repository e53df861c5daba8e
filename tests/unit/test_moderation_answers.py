"""What has to be answered before a picture is published."""

import pytest

from services.moderation.domain import (
    ActKind,
    AnswerFault,
    Answers,
    BadAnswers,
    MarksUnanswered,
    ProposalAnswer,
    ProposalNotCovered,
    ProposalsUnanswered,
    ReasonCode,
    Review,
    Round,
)
from services.moderation.domain.answers import is_covered
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
)
from tests.reviews import EYE, FACE, NOW, PUBLISH, SEEN, WITHHOLD, acts, look, review_of, submitted
from tests.reviews_of_one import (
    HAND,
    NONE,
    OTHER,
    TATTOO,
    approve,
    claim,
    covered,
    decide_and_approve,
    drawn_by_the_author,
    left,
    painted,
    review_with,
)


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
