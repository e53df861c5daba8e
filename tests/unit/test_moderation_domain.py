"""The rules of a review, case by case. Random orders and interleavings: test_moderation_interleavings.py."""

from datetime import UTC, date, datetime, timedelta

import pytest

from services.moderation.domain import (
    ActKind,
    Answers,
    BadBoxes,
    BoxFault,
    CaseGone,
    CaseUnknown,
    ClaimedByAnother,
    ClaimNeeded,
    ConsentEnded,
    ConsentMissing,
    NotWaiting,
    OwnCase,
    PictureDecision,
    PictureNotSeen,
    PictureUnknown,
    PictureUnreadable,
    ReasonCode,
    RedactionOutstanding,
    Review,
    ReviewState,
    StaleRevision,
    TextMissing,
    TextNotSeen,
    Tombstone,
    Undecided,
)
from services.moderation.domain.boxes import complete_boxes
from shared.events import (
    MAX_BOXES,
    Audience,
    CaseApproved,
    CaseRedacted,
    CaseRejected,
    CaseSubmitted,
    CaseWithdrawn,
    ConsentFacts,
    Frame,
    FrameBoxes,
    MarkAnswer,
    Marks,
    PictureKind,
    QuestionKind,
    RedactionOutcome,
    RedactionRequested,
    Region,
    RegionKind,
    RejectOutcome,
    Rendition,
    RenditionSize,
    Specialty,
    SubmittedPicture,
)

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
LEASE = timedelta(minutes=15)
PUBLISH, WITHHOLD = PictureDecision.PUBLISH, PictureDecision.WITHHOLD
SEEN = Answers(marks=Marks(answer=MarkAnswer.NONE))
"""The answers about a photo on which neither the machine nor the moderator sees anything more."""
CONSENT = ConsentFacts(purposes=("sharing",), language="fr", text_sha256="0" * 64, signed_on=date(2026, 2, 27))


def frame_of(picture_id: str, revision: int, index: int = 0, regions: tuple[Region, ...] = ()) -> Frame:
    renditions = tuple(
        Rendition(
            size=size,
            object_key=f"c1/{picture_id}/{revision}/{index:04d}-{size}",
            media_type="image/png",
            width=100,
            height=80,
            size_bytes=10,
            sha256=f"{revision:064x}",
        )
        for size in RenditionSize
    )
    return Frame(index=index, width=100, height=80, regions=regions, renditions=renditions)


FACE = Region(kind=RegionKind.FACE, box=(10, 10, 40, 40), score=0.9, detector="faces")
EYE = (20, 20, 8, 8)


def redacted(picture_id: str, revision: int = 1, frames: int = 1, clinical: bool = False) -> CaseRedacted:
    """A rendering; with `clinical`, of a face of which an eye stays visible."""
    shown = [frame_of(picture_id, revision, index) for index in range(frames)]
    if clinical:
        shown = [frame.model_copy(update={"regions": (FACE,), "clinical": (EYE,)}) for frame in shown]
    return CaseRedacted(
        case_id="c1",
        picture_id=picture_id,
        revision=revision,
        pictures_total=2,
        outcome=RedactionOutcome.REDACTED,
        frames=tuple(shown),
    )


def unreadable(picture_id: str, revision: int = 1) -> CaseRedacted:
    return CaseRedacted(
        case_id="c1",
        picture_id=picture_id,
        revision=revision,
        pictures_total=2,
        outcome=RedactionOutcome.UNREADABLE,
        reason="truncated",
    )


def submitted(*picture_ids: str, version: int = 3, revision: int = 1, consent: bool = True) -> CaseSubmitted:
    return CaseSubmitted(
        case_id="c1",
        version=version,
        author_id="author",
        specialty=Specialty.DERMATOLOGY,
        kind=QuestionKind.DIAGNOSIS,
        language="fr",
        text_version=version,
        pictures=tuple(
            SubmittedPicture(picture_id=each, revision=revision, kind=PictureKind.PHOTO) for each in picture_ids
        ),
        consent=CONSENT if consent else None,
    )


def withdrawn(*picture_ids: str) -> CaseWithdrawn:
    return CaseWithdrawn(case_id="c1", version=9, picture_ids=picture_ids, withdrawn_at=NOW)


def review_of(*picture_ids: str, frames: int = 1, consent: bool = True) -> Review:
    """A submitted case, all pictures rendered, claimed by `mod`, its text read."""
    review = Review(case_id="c1")
    review.on_submitted(submitted(*picture_ids, consent=consent))
    for each in picture_ids:
        review.on_redacted(redacted(each, frames=frames))
    review.take("mod", "claim-1", NOW)
    review.read("mod", NOW, 3, "text-hash")
    return review


def look(review: Review, picture_id: str, index: int = 0, moderator: str = "mod") -> None:
    claim, picture, frame = review.frame(moderator, NOW, picture_id, index)
    review.served(moderator, NOW, claim.claim_id, picture_id, picture.revision, frame.index)


def approve(review: Review, text_sha256: str = "text-hash", text: str = "What is this?") -> CaseApproved:
    review.approve("mod", NOW, text_sha256, "A title", text)
    event = review.outgoing[-1]
    assert isinstance(event, CaseApproved)
    return event


def acts(review: Review) -> list[ActKind]:
    return [act.act for act in review.acts]


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


class TestBoxes:
    BOX = Region(kind=RegionKind.MANUAL, box=(10, 10, 20, 20), detector="a name typed by somebody")

    def test_a_picture_takes_as_many_boxes_as_its_events_can_carry(self) -> None:
        frame = Frame(index=0, width=100, height=80, renditions=())
        many = tuple(Region(kind=RegionKind.MANUAL, box=(0, 0, 1, 1)) for _ in range(MAX_BOXES + 1))
        (kept,) = complete_boxes([frame], [FrameBoxes(frame=0, boxes=many[1:])])
        assert len(kept.boxes) == MAX_BOXES
        with pytest.raises(BadBoxes) as refused:
            complete_boxes([frame], [FrameBoxes(frame=0, boxes=many)])
        assert refused.value.fault is BoxFault.TOO_MANY

    def test_a_new_box_list_asks_for_the_next_revision_with_complete_boxes(self) -> None:
        review = review_of("p1", "p2")
        assert review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0, boxes=(self.BOX,))]) == 2
        event = review.outgoing[-1]
        assert isinstance(event, RedactionRequested)
        assert (event.picture_id, event.revision, event.pictures_total) == ("p1", 2, 2)
        assert event.boxes[0].boxes[0].box == (10, 10, 20, 20)
        assert event.boxes[0].boxes[0].detector == "human"  # free text of a request never travels
        assert review.outstanding() == ("p1",)

    def test_nothing_is_approved_while_the_redactor_owes_an_answer(self) -> None:
        review = review_of("p1")
        look(review, "p1")
        review.decide("mod", NOW, "p1", 1, PUBLISH, answers=SEEN)
        review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0)])
        with pytest.raises(RedactionOutstanding):
            approve(review)
        with pytest.raises(RedactionOutstanding):
            review.decide("mod", NOW, "p1", 1, WITHHOLD)

    def test_the_answer_ends_the_waiting_and_asks_for_a_new_look(self) -> None:
        review = review_of("p1")
        review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0)])
        review.on_redacted(redacted("p1", revision=2))
        assert review.outstanding() == ()
        look(review, "p1")
        review.decide("mod", NOW, "p1", 2, PUBLISH, answers=SEEN)
        assert approve(review).pictures[0].revision == 2

    def test_boxes_for_an_older_revision_are_stale(self) -> None:
        review = review_of("p1")
        review.on_redacted(redacted("p1", revision=2))
        with pytest.raises(StaleRevision):
            review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0)])

    def test_the_same_list_again_is_the_same_request_and_another_list_the_next_revision(self) -> None:
        review = review_of("p1")
        assert review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0)]) == 2
        assert review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0)]) == 2
        assert review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0, boxes=(self.BOX,))]) == 3
        assert len(review.outgoing) == 2
        review.on_redacted(redacted("p1", revision=2))
        assert review.outstanding() == ("p1",)

    def test_a_machine_box_that_is_kept_keeps_its_score_and_detector(self) -> None:
        found = Region(kind=RegionKind.FACE, box=(5, 5, 10, 10), score=0.7, detector="yunet 2023mar")
        review = review_of("p1")
        event = redacted("p1", revision=2).model_copy(update={"frames": (frame_of("p1", 2, regions=(found,)),)})
        review.on_redacted(event)
        kept = found.model_copy(update={"score": 1.0, "detector": "?"})
        review.request_boxes("mod", NOW, "p1", 2, [FrameBoxes(frame=0, boxes=(kept,))])
        asked = review.outgoing[-1]
        assert isinstance(asked, RedactionRequested)
        assert asked.boxes[0].boxes == (found,)

    @pytest.mark.parametrize(
        ("frames", "fault", "place"),
        [
            ([FrameBoxes(frame=0)], BoxFault.FRAMES_FORGOTTEN, ("frames",)),
            (
                [FrameBoxes(frame=0), FrameBoxes(frame=0), FrameBoxes(frame=1)],
                BoxFault.FRAME_TWICE,
                ("frames", 1, "frame"),
            ),
            ([FrameBoxes(frame=0), FrameBoxes(frame=2)], BoxFault.FRAME_UNKNOWN, ("frames", 1, "frame")),
            (
                [
                    FrameBoxes(frame=0),
                    FrameBoxes(frame=1, boxes=(Region(kind=RegionKind.MANUAL, box=(100, 0, 5, 5)),)),
                ],
                BoxFault.BOX_OUTSIDE,
                ("frames", 1, "boxes", 0, "box"),
            ),
            (
                [FrameBoxes(frame=0, boxes=(Region(kind=RegionKind.MANUAL, box=(1, 1, 0, 5)),)), FrameBoxes(frame=1)],
                BoxFault.BOX_OUTSIDE,
                ("frames", 0, "boxes", 0, "box"),
            ),
        ],
        ids=["forgotten", "twice", "unknown", "outside", "empty"],
    )
    def test_a_list_that_is_not_complete_or_lies_outside_is_refused(
        self, frames: list[FrameBoxes], fault: BoxFault, place: tuple[str | int, ...]
    ) -> None:
        review = review_of("p1", frames=2)
        with pytest.raises(BadBoxes) as refused:
            review.request_boxes("mod", NOW, "p1", 1, frames)
        assert (refused.value.fault, refused.value.place) == (fault, place)

    def test_a_box_over_the_edge_is_clipped_to_the_frame(self) -> None:
        review = review_of("p1")
        over = Region(kind=RegionKind.MANUAL, box=(-5, 70, 20, 20))
        review.request_boxes("mod", NOW, "p1", 1, [FrameBoxes(frame=0, boxes=(over,))])
        asked = review.outgoing[-1]
        assert isinstance(asked, RedactionRequested)
        assert asked.boxes[0].boxes[0].box == (0, 70, 15, 10)

    def test_an_unreadable_picture_cannot_be_painted(self) -> None:
        review = review_of("p1")
        review.on_redacted(unreadable("p1", revision=2))
        with pytest.raises(PictureUnreadable):
            review.request_boxes("mod", NOW, "p1", 2, [])


class TestApproval:
    def test_what_is_published_is_what_the_redactor_wrote(self) -> None:
        review = review_of("p1", "p2")
        for each, decision in (("p1", PUBLISH), ("p2", WITHHOLD)):
            look(review, each)
            review.decide("mod", NOW, each, 1, decision, answers=SEEN)
        event = approve(review)
        assert [picture.picture_id for picture in event.pictures] == ["p1"]
        assert event.pictures[0].frames == redacted("p1").frames
        assert (event.version, event.title, event.text) == (3, "A title", "What is this?")
        assert review.state is ReviewState.APPROVED
        assert review.claim is None

    def test_every_picture_must_be_decided(self) -> None:
        review = review_of("p1", "p2")
        look(review, "p1")
        review.decide("mod", NOW, "p1", 1, PUBLISH, answers=SEEN)
        with pytest.raises(Undecided):
            approve(review)

    def test_a_picture_not_yet_rendered_holds_the_case_back(self) -> None:
        review = Review(case_id="c1")
        review.on_submitted(submitted("p1"))
        review.take("mod", "claim-1", NOW)
        review.read("mod", NOW, 3, "text-hash")
        with pytest.raises(RedactionOutstanding):
            approve(review)

    def test_a_rendering_older_than_what_the_author_agreed_to_holds_the_case_back(self) -> None:
        review = Review(case_id="c1")
        review.on_submitted(submitted("p1", revision=2))
        review.on_redacted(redacted("p1", revision=1))
        review.take("mod", "claim-1", NOW)
        look(review, "p1")
        with pytest.raises(RedactionOutstanding):
            review.decide("mod", NOW, "p1", 1, PUBLISH, answers=SEEN)

    def test_the_text_must_be_the_one_that_was_shown(self) -> None:
        with pytest.raises(TextNotSeen):
            approve(review_of(), text_sha256="another")
        review = Review(case_id="c1")
        review.on_submitted(submitted())
        review.take("mod", "claim-1", NOW)
        with pytest.raises(TextNotSeen):
            approve(review)

    def test_a_text_may_stand_alone_when_all_pictures_are_withheld_but_not_nothing(self) -> None:
        review = review_of("p1")
        look(review, "p1")
        review.decide("mod", NOW, "p1", 1, WITHHOLD)
        with pytest.raises(TextMissing):
            approve(review, text="  \n")
        assert approve(review).pictures == ()

    def test_pictures_without_a_consent_are_never_approved(self) -> None:
        review = review_of("p1", consent=False)
        look(review, "p1")
        review.decide("mod", NOW, "p1", 1, PUBLISH, answers=SEEN)
        with pytest.raises(ConsentMissing):
            approve(review)
        assert approve(review_of(consent=False)).pictures == ()

    def test_the_event_says_what_the_patient_agreed_to(self) -> None:
        assert approve(review_of()).consent == CONSENT
        assert approve(review_of(consent=False)).consent is None

    def test_nothing_is_approved_after_the_last_day_of_the_consent(self) -> None:
        last_day = CONSENT.model_copy(update={"expires_on": NOW.date(), "audience": Audience.PROFESSIONALS})
        review = Review(case_id="c1")
        review.on_submitted(submitted().model_copy(update={"consent": last_day}))
        midnight = datetime(2026, 3, 2, tzinfo=UTC)
        review.take("mod", "claim-1", midnight - timedelta(minutes=1))
        review.read("mod", midnight - timedelta(minutes=1), 3, "text-hash")
        with pytest.raises(ConsentEnded):
            review.approve("mod", midnight, "text-hash", "t", "b")
        review.approve("mod", midnight - timedelta(minutes=1), "text-hash", "t", "b")
        (event,) = review.outgoing
        assert isinstance(event, CaseApproved)
        assert event.consent == last_day

    def test_a_repeated_approval_gives_the_same_answer_and_no_second_event(self) -> None:
        review = review_of()
        first = review.approve("mod", NOW, "text-hash", "t", "b")
        assert review.approve("mod", NOW + LEASE, "text-hash", "t", "b") == first
        assert len(review.outgoing) == 1
        with pytest.raises(NotWaiting):
            review.approve("other", NOW, "text-hash", "t", "b")

    def test_only_the_holder_approves(self) -> None:
        review = review_of()
        with pytest.raises(ClaimedByAnother):
            review.approve("other", NOW, "text-hash", "t", "b")
        with pytest.raises(ClaimNeeded):
            review.approve("mod", NOW + LEASE, "text-hash", "t", "b")


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
