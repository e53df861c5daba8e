"""Which pictures need two moderators, and what the second one is told."""

from typing import Any

import pytest

from services.moderation.domain import (
    ActKind,
    CaseGone,
    FirstApproval,
    NoFirstApproval,
    NotWaiting,
    ReasonCode,
    Review,
    ReviewState,
    Round,
    SecondModeratorNeeded,
    needs_second_moderator,
)
from services.moderation.domain.second_moderator import agreed
from services.moderation.domain.values import Picture, RoundOutcome
from shared.events import (
    Box,
    CaseApproved,
    FrameBoxes,
    RegionKind,
    RejectOutcome,
)
from tests.reviews import (
    EYE,
    FACE,
    NOW,
    PUBLISH,
    SEEN,
    WITHHOLD,
    acts,
    look,
    redacted,
    submitted,
    withdrawn,
)
from tests.reviews_of_one import (
    HAND,
    approve,
    claim,
    decide_and_approve,
    painted,
    review_with,
)


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
