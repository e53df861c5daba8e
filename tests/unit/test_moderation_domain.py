"""The rules of a review, case by case. Random orders and interleavings: test_moderation_interleavings.py."""

from datetime import timedelta

import pytest

from services.moderation.domain import (
    ActKind,
    CaseGone,
    CaseUnknown,
    ClaimedByAnother,
    ClaimNeeded,
    OwnCase,
    PictureNotSeen,
    PictureUnknown,
    PictureUnreadable,
    ReasonCode,
    RedactionOutstanding,
    Review,
    ReviewState,
    StaleRevision,
    Tombstone,
    Undecided,
)
from shared.events import (
    CaseApproved,
    CaseRejected,
    FrameBoxes,
    RedactionRequested,
    RejectOutcome,
)
from tests.reviews import (
    LEASE,
    NOW,
    PUBLISH,
    SEEN,
    WITHHOLD,
    acts,
    approve,
    look,
    redacted,
    review_of,
    submitted,
    unreadable,
    withdrawn,
)


class TestClaims:
    def test_a_second_moderator_is_told_until_when_the_case_is_held(self) -> None:
        review = review_of()
        with pytest.raises(ClaimedByAnother) as refused:
            review.take("other", "claim-2", NOW + timedelta(minutes=1))
        assert refused.value.expires_at == NOW + LEASE

    def test_the_holder_claiming_again_keeps_the_claim_and_what_was_seen(self) -> None:
        review = review_of("p1")
        look(review, "p1")
        assert review.take("mod", "claim-2", NOW + timedelta(minutes=5)).claim_id == "claim-1"
        assert review.claim is not None
        assert review.claim.served == {"p1": (0,)}

    def test_activity_renews_the_lease(self) -> None:
        review = review_of("p1")
        review.frame("mod", NOW + timedelta(minutes=14), "p1", 0)
        review.frame("mod", NOW + timedelta(minutes=28), "p1", 0)
        with pytest.raises(ClaimedByAnother):
            review.take("other", "claim-2", NOW + timedelta(minutes=42))

    def test_a_clock_that_leaps_back_does_not_shorten_the_lease(self) -> None:
        review = review_of("p1")
        review.frame("mod", NOW - timedelta(hours=1), "p1", 0)
        assert review.claim is not None
        assert review.claim.expires_at == NOW + LEASE

    def test_an_expired_lease_can_be_taken_over_and_leaves_a_record(self) -> None:
        review = review_of()
        review.take("other", "claim-2", NOW + LEASE)
        assert acts(review)[-2:] == [ActKind.LEASE_EXPIRED, ActKind.CLAIMED]
        assert review.acts[-2].actor == "mod"
        assert review.acts[-2].claim_id == "claim-1"

    def test_an_expired_claim_gives_no_right_even_if_nobody_took_the_case(self) -> None:
        review = review_of("p1")
        with pytest.raises(ClaimNeeded):
            review.frame("mod", NOW + LEASE, "p1", 0)

    def test_a_new_claim_starts_with_nothing_seen_and_nothing_decided(self) -> None:
        review = review_of("p1")
        look(review, "p1")
        review.decide("mod", NOW, "p1", 1, PUBLISH, answers=SEEN)
        review.release("mod", NOW)
        review.take("mod", "claim-2", NOW)
        with pytest.raises(PictureNotSeen):
            review.decide("mod", NOW, "p1", 1, PUBLISH, answers=SEEN)

    def test_the_author_cannot_moderate_their_own_case(self) -> None:
        review = Review(case_id="c1")
        review.on_submitted(submitted())
        with pytest.raises(OwnCase):
            review.take("author", "claim-1", NOW)

    def test_releasing_what_another_holds_changes_nothing(self) -> None:
        review = review_of()
        review.release("other", NOW)
        assert review.claim is not None

    def test_a_case_that_was_not_submitted_is_unknown_to_moderators(self) -> None:
        review = Review(case_id="c1")
        review.on_redacted(redacted("p1"))
        assert review.state is ReviewState.GATHERING
        with pytest.raises(CaseUnknown):
            review.take("mod", "claim-1", NOW)


class TestDecisions:
    def test_a_decision_needs_every_frame_of_the_picture_to_have_been_served(self) -> None:
        review = review_of("p1", frames=3)
        look(review, "p1", 0)
        look(review, "p1", 2)
        with pytest.raises(PictureNotSeen) as refused:
            review.decide("mod", NOW, "p1", 1, PUBLISH, answers=SEEN)
        assert refused.value.frames == (1,)
        look(review, "p1", 1)
        review.decide("mod", NOW, "p1", 1, PUBLISH, answers=SEEN)

    def test_withholding_needs_the_same_look(self) -> None:
        with pytest.raises(PictureNotSeen):
            review_of("p1").decide("mod", NOW, "p1", 1, WITHHOLD)

    def test_bytes_asked_for_under_an_older_claim_do_not_count(self) -> None:
        review = review_of("p1")
        claim, _, _ = review.frame("mod", NOW, "p1", 0)
        review.release("mod", NOW)
        review.take("mod", "claim-2", NOW)
        with pytest.raises(ClaimNeeded):
            review.served("mod", NOW, claim.claim_id, "p1", 1, 0)

    def test_an_unreadable_picture_can_only_be_withheld(self) -> None:
        review = Review(case_id="c1")
        review.on_submitted(submitted("p1"))
        review.on_redacted(unreadable("p1"))
        review.take("mod", "claim-1", NOW)
        with pytest.raises(PictureUnreadable):
            review.decide("mod", NOW, "p1", 1, PUBLISH, answers=SEEN)
        review.decide("mod", NOW, "p1", 1, WITHHOLD, ReasonCode.PICTURE_UNREADABLE)

    def test_a_rendering_without_frames_cannot_be_published_unseen(self) -> None:
        review = review_of("p1", frames=0)
        with pytest.raises(PictureUnreadable):
            review.decide("mod", NOW, "p1", 1, PUBLISH, answers=SEEN)

    def test_a_new_revision_voids_decision_and_look_of_that_picture_only(self) -> None:
        review = review_of("p1", "p2")
        for each in ("p1", "p2"):
            look(review, each)
            review.decide("mod", NOW, each, 1, PUBLISH, answers=SEEN)
        review.on_redacted(redacted("p1", revision=2))
        with pytest.raises(Undecided) as refused:
            approve(review)
        assert refused.value.picture_ids == ("p1",)
        with pytest.raises(PictureNotSeen):
            review.decide("mod", NOW, "p1", 2, PUBLISH, answers=SEEN)

    def test_a_decision_on_an_older_revision_is_stale(self) -> None:
        review = review_of("p1")
        look(review, "p1")
        review.on_redacted(redacted("p1", revision=2))
        with pytest.raises(StaleRevision) as refused:
            review.decide("mod", NOW, "p1", 1, PUBLISH, answers=SEEN)
        assert refused.value.current == 2

    def test_a_picture_that_the_submission_does_not_show_is_unknown(self) -> None:
        review = review_of("p1")
        review.on_redacted(redacted("p9"))
        with pytest.raises(PictureUnknown):
            review.frame("mod", NOW, "p9", 0)
        with pytest.raises(PictureUnknown):
            review.frame("mod", NOW, "p1", 7)

    def test_the_same_decision_again_leaves_no_second_record(self) -> None:
        review = review_of("p1")
        look(review, "p1")
        review.decide("mod", NOW, "p1", 1, PUBLISH, answers=SEEN)
        review.decide("mod", NOW, "p1", 1, PUBLISH, answers=SEEN)
        review.decide("mod", NOW, "p1", 1, WITHHOLD)
        assert acts(review).count(ActKind.DECIDED) == 2


class TestRejection:
    def test_a_rejection_carries_codes_and_the_version_it_answers(self) -> None:
        review = review_of("p1")
        review.reject("mod", NOW, RejectOutcome.REJECTED, [ReasonCode.PATIENT_RECOGNISABLE])
        event = review.outgoing[-1]
        assert isinstance(event, CaseRejected)
        assert (event.version, event.outcome, event.reasons) == (3, "rejected", ("patient_recognisable",))
        assert review.state is ReviewState.REJECTED

    def test_a_resubmission_after_changes_waits_again_and_keeps_the_thread(self) -> None:
        review = review_of("p1")
        review.reject("mod", NOW, RejectOutcome.CHANGES, [ReasonCode.QUESTION_UNCLEAR])
        assert review.state.value == "changes"
        review.on_submitted(submitted("p1", version=5))
        assert review.state.value == "waiting"
        assert [(each.version, each.outcome) for each in review.thread] == [(3, "changes")]
        with pytest.raises(ClaimNeeded):
            review.frame("mod", NOW, "p1", 0)

    def test_a_resubmission_during_a_review_ends_the_claim_on_the_older_version(self) -> None:
        review = review_of()
        review.on_submitted(submitted(version=5))
        with pytest.raises(ClaimNeeded):
            approve(review)
        assert review.acts[-1].detail == {"because": "resubmitted"}

    def test_a_case_is_not_sent_back_while_a_painting_is_outstanding(self) -> None:
        review = review_of("p1")
        review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0)])
        with pytest.raises(RedactionOutstanding):
            review.reject("mod", NOW, RejectOutcome.CHANGES, [ReasonCode.QUESTION_UNCLEAR])
        review.reject("mod", NOW, RejectOutcome.REJECTED, [ReasonCode.QUESTION_UNCLEAR])


class TestWithdrawal:
    def test_withdrawal_drops_everything_but_ids_and_erases_moderations_topics(self) -> None:
        review = review_of("p1")
        review.on_withdrawn(withdrawn("p1", "p0"))
        assert review.model_dump(exclude={"case_id"}) == Review(case_id="", withdrawn=True).model_dump(
            exclude={"case_id"}
        )
        assert review.outgoing == [
            Tombstone(event=CaseApproved, key="c1"),
            Tombstone(event=CaseRejected, key="c1"),
            Tombstone(event=RedactionRequested, key="p0"),
            Tombstone(event=RedactionRequested, key="p1"),
        ]
        assert acts(review)[-1] is ActKind.WITHDRAWN

    def test_withdrawn_wins_whatever_comes_after(self) -> None:
        review = Review(case_id="c1")
        review.on_withdrawn(withdrawn())
        review.on_submitted(submitted("p1", version=99))
        review.on_redacted(redacted("p1", revision=99))
        assert review.state is ReviewState.WITHDRAWN
        assert not review.pictures
        with pytest.raises(CaseGone):
            review.take("mod", "claim-1", NOW)
        with pytest.raises(CaseGone):
            approve(review)
