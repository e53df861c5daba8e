"""What may be visible: faces nobody covered, what the patient saw, and clinical regions."""

from typing import Any

import pytest

from services.moderation.domain import (
    BadBoxes,
    BoxFault,
    FirstApproval,
    ReasonCode,
    Round,
    ShowsMore,
    needs_second_moderator,
)
from services.moderation.domain.values import Picture
from services.moderation.routes.shapes import CaseShown
from shared.events import (
    Box,
    FrameBoxes,
    RedactionOutcome,
    RedactionRequested,
    Region,
    RegionKind,
)
from tests.reviews import (
    EYE,
    FACE,
    NOW,
    PUBLISH,
    SEEN,
    WITHHOLD,
    look,
    redacted,
)
from tests.reviews_of_one import (
    HAND,
    TATTOO,
    approve,
    claim,
    claim_again,
    decide_and_approve,
    drawn_by_the_author,
    painted,
    review_with,
)


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
