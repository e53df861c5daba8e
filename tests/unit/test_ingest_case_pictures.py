"""What becomes of the pictures of a case: painted, boxed, painted again, counted."""

import pytest

from services.ingest.domain.case import REVISIONS_PER_REVIEW
from services.ingest.domain.refusals import BoxOutside, ConsentMissing, NotRenderedYet, TooManyPictures
from services.ingest.domain.states import CaseState
from shared.events import Frame, FrameBoxes, QuestionKind, RedactionOutcome
from tests.ingest_cases import BOX, FACE, NOW, case, picture, ready, redacted, rejection, state, submit, submitted


def test_a_case_is_redacted_only_when_every_picture_is_answered() -> None:
    found = case()
    for name in ("picture-1", "picture-2"):
        found.add_picture(NOW, picture(name))
    found.start_redaction(NOW)
    found.take_rendering(redacted("picture-2"), NOW)
    assert state(found) is CaseState.UPLOADED
    found.take_rendering(redacted("picture-1", outcome=RedactionOutcome.UNREADABLE, reason="truncated"), NOW)
    assert state(found) is CaseState.REDACTED


def test_a_case_without_pictures_waits_for_its_own_answer() -> None:
    found = case(kind=QuestionKind.POSOLOGY)
    found.start_redaction(NOW)
    assert state(found) is CaseState.UPLOADED
    assert found.take_rendering(redacted(None), NOW)
    assert state(found) is CaseState.REDACTED


def test_an_answer_that_comes_twice_or_late_says_nothing_new() -> None:
    found = ready()
    version = found.version
    assert not found.take_rendering(redacted(), NOW)
    assert not found.take_rendering(redacted("picture-9"), NOW)
    found.change_boxes(NOW, "picture-1", [FrameBoxes(frame=0, boxes=(BOX,))])
    assert not found.take_rendering(redacted(revision=1), NOW)
    assert (found.state, found.version) == (CaseState.UPLOADED, version + 1)


def test_new_boxes_are_a_new_revision_handed_to_the_redactor() -> None:
    found = ready()
    event = found.change_boxes(NOW, "picture-1", [FrameBoxes(frame=0, boxes=(BOX,))])
    assert event is not None
    assert event.pictures[0].revision == 2
    assert event.pictures[0].boxes == (FrameBoxes(frame=0, boxes=(BOX,)),)
    assert state(found) is CaseState.UPLOADED


def test_the_same_boxes_again_are_no_new_revision() -> None:
    found = ready()
    wanted = [FrameBoxes(frame=0, boxes=(BOX,))]
    found.change_boxes(NOW, "picture-1", wanted)
    found.take_rendering(redacted(revision=2), NOW)
    assert found.change_boxes(NOW, "picture-1", wanted) is None
    assert state(found) is CaseState.REDACTED


def test_a_frame_that_is_not_named_keeps_what_covers_it() -> None:
    found = case()
    found.add_picture(NOW, picture())
    found.start_redaction(NOW)
    frames = tuple(Frame(index=i, width=100, height=80, regions=(FACE,), renditions=()) for i in (0, 1))
    found.take_rendering(redacted(frames=frames), NOW)
    event = found.change_boxes(NOW, "picture-1", [FrameBoxes(frame=1, boxes=())])
    assert event is not None
    assert event.pictures[0].boxes == (FrameBoxes(frame=0, boxes=(FACE,)), FrameBoxes(frame=1, boxes=()))


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (-1, 0, 5, 5), (98, 0, 5, 5), (0, 78, 5, 5), (0, 0, 101, 1)])
def test_a_box_outside_the_picture_is_refused(box: tuple[int, int, int, int]) -> None:
    found = ready()
    with pytest.raises(BoxOutside):
        found.change_boxes(NOW, "picture-1", [FrameBoxes(frame=0, boxes=(FACE.model_copy(update={"box": box}),))])
    with pytest.raises(BoxOutside):
        found.change_boxes(NOW, "picture-1", [FrameBoxes(frame=7, boxes=())])


def test_boxes_need_a_painted_picture_to_refer_to() -> None:
    found = case()
    found.add_picture(NOW, picture())
    with pytest.raises(NotRenderedYet):
        found.change_boxes(NOW, "picture-1", [])
    found.start_redaction(NOW)
    found.take_rendering(redacted(outcome=RedactionOutcome.UNREADABLE, frames=()), NOW)
    with pytest.raises(NotRenderedYet):
        found.change_boxes(NOW, "picture-1", [])


def test_a_case_takes_ten_pictures_and_no_more() -> None:
    found = case()
    for number in range(10):
        found.add_picture(NOW, picture(f"picture-{number}"))
    with pytest.raises(TooManyPictures):
        found.add_picture(NOW, picture("picture-10"))


def test_what_moderation_had_painted_becomes_the_picture_and_asks_for_consent_again() -> None:
    found = submitted()
    version = found.submitted_version
    assert version is not None
    frame = Frame(index=0, width=100, height=80, regions=(FACE, BOX), renditions=())
    assert found.take_rendering(redacted(revision=2, frames=(frame,)), NOW)
    assert state(found) is CaseState.SUBMITTED
    found.take_rejection(rejection(version), NOW)
    assert state(found) is CaseState.CHANGES
    assert found.picture("picture-1").boxes == (FrameBoxes(frame=0, boxes=(FACE, BOX)),)
    with pytest.raises(ConsentMissing):
        submit(found)


def test_after_a_review_the_authors_revisions_cannot_meet_moderations() -> None:
    found = submitted()
    found.take_rejection(rejection(found.version), NOW)
    event = found.change_boxes(NOW, "picture-1", [FrameBoxes(frame=0, boxes=(BOX,))])
    assert event is not None
    assert event.pictures[0].revision > REVISIONS_PER_REVIEW
    assert not found.take_rendering(redacted(revision=2), NOW)
