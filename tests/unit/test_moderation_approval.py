"""What moderators may draw, and when a case is approved."""

from datetime import UTC, datetime, timedelta

import pytest

from services.moderation.domain import (
    BadBoxes,
    BoxFault,
    ClaimedByAnother,
    ClaimNeeded,
    ConsentEnded,
    ConsentMissing,
    NotWaiting,
    PictureUnreadable,
    RedactionOutstanding,
    Review,
    ReviewState,
    StaleRevision,
    TextMissing,
    TextNotSeen,
    Undecided,
)
from services.moderation.domain.boxes import complete_boxes
from shared.events import (
    MAX_BOXES,
    Audience,
    CaseApproved,
    Frame,
    FrameBoxes,
    RedactionRequested,
    Region,
    RegionKind,
)
from tests.reviews import (
    CONSENT,
    LEASE,
    NOW,
    PUBLISH,
    SEEN,
    WITHHOLD,
    approve,
    frame_of,
    look,
    redacted,
    review_of,
    submitted,
    unreadable,
)


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
