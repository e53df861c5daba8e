"""What the author is asked and shown beyond the boxes: marks on the skin, proposals, clinical regions, notes."""

from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from services.ingest.domain.case import Case
from services.ingest.domain.picture import Picture
from services.ingest.domain.refusals import (
    BoxOutside,
    ConsentMissing,
    ConsentTextOutdated,
    MarksUnanswered,
    PictureUnknown,
    TooManyBoxes,
)
from services.ingest.routes.problems import problem_of
from services.ingest.routes.views import NewBoxes, NewSubmission, PreviewPicture
from shared.events import (
    MAX_BOXES,
    SKIN_KINDS,
    Box,
    Frame,
    FrameBoxes,
    Language,
    LeftReason,
    MarkAnswer,
    Marks,
    PictureKind,
    RedactionOutcome,
    Region,
    RegionKind,
)
from tests.consents import give_consent
from tests.ingest_cases import BOX, FACE, NOW, TEXTS, case, consent, no_marks, ready, redacted, rejection

TATTOO = Region(kind=RegionKind.TATTOO, box=(40, 40, 20, 20), score=0.4, detector="tattoos")
SCAR = Marks(answer=MarkAnswer.LEFT, reasons=(LeftReason.SCAR,))
EYE = (12, 12, 6, 6)


def agreed() -> Case:
    """One painted picture of a wound, and the patient's consent."""
    found = ready()
    consent(found)
    return found


def shown(*, clinical: tuple[tuple[int, int, int, int], ...] = (), notes: tuple[str, ...] = ()) -> Case:
    """A case whose picture came back with a face, a proposal and something that could not be cleared."""
    found = case()
    found.add_picture(NOW, a_picture())
    found.start_redaction(NOW)
    frame = Frame(
        index=0,
        width=100,
        height=80,
        regions=(FACE,),
        residual=(BOX,),
        proposals=(TATTOO,),
        clinical=clinical,
        renditions=(),
    )
    found.take_rendering(redacted(frames=(frame,), notes=notes), NOW)
    return found


def a_picture(kind: PictureKind = PictureKind.WOUND) -> Picture:
    return Picture(picture_id="picture-1", kind=kind, media_type="image/jpeg", size_bytes=9, width=100, height=80)


class TestMarks:
    def test_a_photo_of_skin_is_not_submitted_before_the_author_has_said_what_marks_it_shows(self) -> None:
        found = agreed()
        with pytest.raises(MarksUnanswered) as refused:
            found.submit(TEXTS, NOW)
        assert refused.value.facts == {"picture_ids": ["picture-1"]}
        assert found.submitted_version is None

    def test_the_answer_reaches_moderation_and_is_kept(self) -> None:
        found = agreed()
        event = found.submit(TEXTS, NOW, {"picture-1": SCAR})
        assert event.pictures[0].marks == SCAR
        assert found.picture("picture-1").marks == SCAR

    def test_it_is_asked_of_skin_only_and_of_nothing_that_cannot_be_seen(self) -> None:
        assert {PictureKind.PHOTO, PictureKind.WOUND} == SKIN_KINDS
        for kind in PictureKind:
            found = case()
            found.add_picture(NOW, a_picture(kind))
            found.start_redaction(NOW)
            found.take_rendering(redacted(), NOW)
            assert found.picture("picture-1").marks_asked is (kind in SKIN_KINDS)
        found = case()
        found.add_picture(NOW, a_picture())
        found.start_redaction(NOW)
        found.take_rendering(redacted(outcome=RedactionOutcome.UNREADABLE, reason="truncated", frames=()), NOW)
        assert not found.picture("picture-1").marks_asked

    def test_an_answer_that_nobody_asked_for_is_not_kept(self) -> None:
        found = case()
        found.add_picture(NOW, a_picture(PictureKind.XRAY))
        found.start_redaction(NOW)
        found.take_rendering(redacted(), NOW)
        consent(found)
        event = found.submit(TEXTS, NOW, {"picture-1": SCAR})
        assert (event.pictures[0].marks, found.picture("picture-1").marks) == (None, None)

    def test_consent_is_asked_for_first(self) -> None:
        with pytest.raises(ConsentMissing):
            ready().submit(TEXTS, NOW)

    def test_an_answer_about_a_picture_of_another_case_is_refused(self) -> None:
        with pytest.raises(PictureUnknown):
            agreed().submit(TEXTS, NOW, {"picture-1": SCAR, "picture-9": SCAR})

    def test_a_case_that_came_back_is_asked_anew(self) -> None:
        found = agreed()
        found.submit(TEXTS, NOW, {"picture-1": SCAR})
        assert found.take_rejection(rejection(found.version), NOW)
        with pytest.raises(MarksUnanswered):
            found.submit(TEXTS, NOW)

    @pytest.mark.parametrize(
        ("answer", "valid"),
        [
            ({"answer": "none"}, True),
            ({"answer": "covered"}, True),
            ({"answer": "left", "reasons": ["scar", "jewellery"]}, True),
            ({"answer": "left"}, False),
            ({"answer": "left", "reasons": ["no_mark"]}, False),
            ({"answer": "left", "reasons": ["because"]}, False),
            ({"answer": "none", "reasons": ["scar"]}, False),
            ({"answer": "covered", "reasons": ["scar"]}, False),
            ({}, False),
        ],
    )
    def test_an_answer_does_not_contradict_itself(self, answer: dict[str, object], valid: bool) -> None:
        body = {"marks": [{"picture_id": "p", **answer}]}
        if valid:
            assert NewSubmission.model_validate(body).by_picture()["p"].answer == answer["answer"]
        else:
            with pytest.raises(ValidationError):
                NewSubmission.model_validate(body)

    def test_one_answer_a_picture(self) -> None:
        with pytest.raises(ValidationError, match="only once"):
            NewSubmission.model_validate({"marks": [{"picture_id": "p", "answer": "none"}] * 2})


class TestOpenFace:
    """A consent to a text that says that faces are covered, and a picture that shows part of one."""

    OLD, NEW = "8a66a3c4e15090449059f572a96c3c766946b9a883ec78ac8503e4b623108984", "a" * 64
    BOTH: ClassVar[dict[Language, frozenset[str]]] = {"en": frozenset({OLD, NEW}), "fr": frozenset()}

    def signed(self, text: str, **painted: Any) -> Case:
        found = shown(**painted)
        give_consent(found, self.BOTH, NOW, text=text)
        return found

    def test_it_does_not_cover_a_clinical_region_in_a_face(self) -> None:
        found = self.signed(self.OLD, clinical=(EYE,))
        with pytest.raises(ConsentTextOutdated) as refused:
            found.submit(self.BOTH, NOW, no_marks(found))
        assert refused.value.facts == {"picture_ids": ["picture-1"]}
        problem = problem_of(refused.value)
        assert (problem.status, problem.slug) == (409, "consent-text-outdated")
        give_consent(found, self.BOTH, NOW, text=self.NEW)
        assert found.submit(self.BOTH, NOW, no_marks(found)).consent is not None

    @pytest.mark.parametrize("clinical", [(), ((80, 60, 16, 16),)])
    def test_it_stays_valid_where_every_face_is_covered(self, clinical: tuple[Box, ...]) -> None:
        found = self.signed(self.OLD, clinical=clinical)
        assert found.submit(self.BOTH, NOW, no_marks(found)).consent is not None

    def test_it_is_told_before_the_pictures_that_changed_so_that_the_right_text_is_signed(self) -> None:
        found = self.signed(self.OLD)
        found.change_boxes(NOW, "picture-1", [FrameBoxes(frame=0, boxes=(FACE,), clinical=(EYE,))])
        frame = Frame(index=0, width=100, height=80, regions=(FACE,), clinical=(EYE,), renditions=())
        found.take_rendering(redacted(revision=2, frames=(frame,)), NOW)
        assert found.consent_problem(self.BOTH, NOW) == "text-says-faces-are-covered"


class TestPreview:
    def test_it_shows_proposals_residual_clinical_boxes_notes_and_the_question(self) -> None:
        found = shown(clinical=(EYE,), notes=("first_frame_of:12", "odd_thing:3"))
        view = PreviewPicture.of(found.picture("picture-1"), "/cases/case-1")
        (frame,) = view.frames
        assert (frame.regions, frame.residual, frame.proposals, frame.clinical) == (
            (FACE,),
            (BOX,),
            (TATTOO,),
            (EYE,),
        )
        assert view.marks_asked
        assert [note.code for note in view.notes] == ["first_frame_of:12", "odd_thing:3"]
        for note in view.notes:
            assert note.fr != note.en
            assert "{" not in note.fr + note.en
        assert "12" in view.notes[0].fr
        assert "odd_thing:3" in view.notes[1].en


class TestBoxes:
    def test_a_proposal_is_covered_by_listing_it_and_left_by_leaving_it_out(self) -> None:
        found = shown()
        bare = Region(kind=TATTOO.kind, box=TATTOO.box)
        event = found.change_boxes(NOW, "picture-1", [FrameBoxes(frame=0, boxes=(FACE, bare))])
        assert event is not None
        (picture,) = event.pictures
        assert picture.revision == 2
        assert picture.boxes == (FrameBoxes(frame=0, boxes=(FACE, TATTOO)),)
        left = shown()
        consent(left)
        assert left.submit(TEXTS, NOW, no_marks(left)).pictures[0].revision == 1

    def test_a_box_that_the_machine_did_not_find_is_a_persons_whatever_is_said_of_it(self) -> None:
        claimed = Region(kind=RegionKind.TATTOO, box=(0, 0, 9, 9), score=0.3, detector="Jean Dupont")
        event = shown().change_boxes(NOW, "picture-1", [FrameBoxes(frame=0, boxes=(claimed,))])
        assert event is not None
        assert "Dupont" not in event.model_dump_json()
        assert event.pictures[0].boxes == (
            FrameBoxes(frame=0, boxes=(Region(kind=RegionKind.TATTOO, box=(0, 0, 9, 9)),)),
        )

    def test_a_clinical_region_travels_to_the_redactor(self) -> None:
        event = shown().change_boxes(NOW, "picture-1", [FrameBoxes(frame=0, boxes=(FACE,), clinical=(EYE,))])
        assert event is not None
        assert event.pictures[0].boxes == (FrameBoxes(frame=0, boxes=(FACE,), clinical=(EYE,)),)

    def test_a_frame_that_is_not_named_keeps_its_clinical_region_and_one_that_is_named_loses_it(self) -> None:
        found = shown(clinical=(EYE,))
        assert found.picture("picture-1").complete_boxes([])[0].clinical == (EYE,)
        assert found.picture("picture-1").complete_boxes([FrameBoxes(frame=0, boxes=(FACE,))])[0].clinical == ()

    @pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, 0, 0, 5), (98, 0, 5, 5), (0, 78, 5, 5)])
    def test_a_clinical_region_lies_inside_its_frame(self, box: tuple[int, int, int, int]) -> None:
        with pytest.raises(BoxOutside) as refused:
            shown().change_boxes(NOW, "picture-1", [FrameBoxes(frame=0, clinical=(box,))])
        assert refused.value.facts == {"frame": 0, "box": list(box)}

    def test_what_moderation_had_painted_again_keeps_the_clinical_region(self) -> None:
        found = shown(clinical=(EYE,))
        frame = Frame(index=0, width=100, height=80, regions=(FACE, BOX), clinical=(EYE,), renditions=())
        found.take_rendering(redacted(revision=2, frames=(frame,)), NOW)
        assert found.picture("picture-1").boxes == (FrameBoxes(frame=0, boxes=(FACE, BOX), clinical=(EYE,)),)

    def test_a_picture_takes_as_many_boxes_as_its_events_can_carry(self) -> None:
        many = tuple(Region(kind=RegionKind.MANUAL, box=(0, 0, 1, 1)) for _ in range(MAX_BOXES + 1))
        assert shown().change_boxes(NOW, "picture-1", [FrameBoxes(frame=0, boxes=many[1:])]) is not None
        found = shown()
        with pytest.raises(TooManyBoxes) as refused:
            found.change_boxes(NOW, "picture-1", [FrameBoxes(frame=0, boxes=many)])
        assert found.picture("picture-1").boxes is None
        problem = problem_of(refused.value)
        assert (problem.status, problem.slug) == (422, "too-many-boxes")
        assert NewBoxes.model_validate({"frames": [{"frame": 0, "boxes": [FACE.model_dump()] * 201}]})

    def test_a_frame_takes_a_few_clinical_regions(self) -> None:
        def of(count: int) -> dict[str, object]:
            return {"frames": [{"frame": 0, "clinical": [[0, 0, number, 9] for number in range(1, count + 1)]}]}

        assert len(NewBoxes.model_validate(of(4)).frames[0].clinical) == 4
        with pytest.raises(ValidationError, match="at most 4"):
            NewBoxes.model_validate(of(5))
