"""The way of a case, rule by rule."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.ingest.domain.case import REVISIONS_PER_REVIEW, Case
from services.ingest.domain.consent import Consent
from services.ingest.domain.picture import Picture
from services.ingest.domain.refusals import (
    BoxOutside,
    CaseNotPublished,
    CaseWithdrawnForGood,
    ConsentMissing,
    NotRenderedYet,
    PictureUnknown,
    TooManyPictures,
    WrongState,
)
from services.ingest.domain.states import CaseState
from shared.events import (
    CaseApproved,
    CaseRedacted,
    CaseRejected,
    CaseSubmitted,
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

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TEXT = "a" * 64
TEXTS: dict[Language, frozenset[str]] = {"en": frozenset({TEXT}), "fr": frozenset({"b" * 64})}
FACE = Region(kind=RegionKind.FACE, box=(10, 10, 20, 20), score=0.9, detector="test")
BOX = Region(kind=RegionKind.MANUAL, box=(0, 0, 5, 5))


def case(**changes: Any) -> Case:
    fields: dict[str, Any] = {
        "case_id": "case-1",
        "author_id": "member-1",
        "specialty": Specialty.DERMATOLOGY,
        "kind": QuestionKind.DIAGNOSIS,
        "language": "en",
        "title": "A wound",
        "body": "What would you do?",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Case(**fields | changes)


def state(found: Case) -> CaseState:
    """Asked anew: a type checker remembers the last answer."""
    return found.state


def picture(picture_id: str = "picture-1") -> Picture:
    return Picture(
        picture_id=picture_id, kind=PictureKind.WOUND, media_type="image/jpeg", size_bytes=9, width=100, height=80
    )


def redacted(picture_id: str | None = "picture-1", revision: int = 1, **changes: Any) -> CaseRedacted:
    frame = Frame(index=0, width=100, height=80, regions=(FACE,), renditions=())
    fields: dict[str, Any] = {
        "case_id": "case-1",
        "picture_id": picture_id,
        "revision": revision,
        "pictures_total": 1,
        "outcome": RedactionOutcome.REDACTED,
        "frames": (frame,) if picture_id else (),
    }
    return CaseRedacted(**fields | changes)


def consent(found: Case, now: datetime = NOW, *, text: str = TEXT, **changes: Any) -> Consent:
    """The patient is informed, asked, and signs."""
    return give_consent(found, TEXTS, now, text=text, **changes)


def approval(version: int) -> CaseApproved:
    return CaseApproved(
        case_id="case-1",
        version=version,
        author_id="member-1",
        specialty=Specialty.DERMATOLOGY,
        kind=QuestionKind.DIAGNOSIS,
        language="en",
        title="A wound",
        text="What would you do?",
        approved_at=NOW,
    )


def rejection(version: int, outcome: RejectOutcome = RejectOutcome.CHANGES) -> CaseRejected:
    return CaseRejected(case_id="case-1", version=version, outcome=outcome, reasons=("blurred",), decided_at=NOW)


def ready() -> Case:
    """A case with one painted picture."""
    found = case()
    found.add_picture(NOW, picture())
    found.start_redaction(NOW)
    found.take_rendering(redacted(), NOW)
    return found


def no_marks(found: Case) -> dict[str, Marks]:
    """What an author answers who sees no tattoo, scar, jewellery or birthmark anywhere."""
    return {one.picture_id: Marks(answer=MarkAnswer.NONE) for one in found.pictures if one.marks_asked}


def submit(found: Case, at: datetime = NOW) -> CaseSubmitted:
    return found.submit(TEXTS, at, no_marks(found))


def submitted() -> Case:
    found = ready()
    consent(found)
    submit(found)
    return found


def published() -> Case:
    found = submitted()
    found.take_approval(approval(found.version), NOW)
    return found


def test_a_case_walks_from_draft_to_published() -> None:
    found = case()
    found.add_picture(NOW, picture())
    event = found.start_redaction(NOW)
    assert (found.state, event.version, event.pictures[0].boxes) == (CaseState.UPLOADED, found.version, None)
    assert found.take_rendering(redacted(), NOW)
    assert state(found) is CaseState.REDACTED
    consent(found)
    asked = submit(found)
    assert (asked.version, asked.text_version, asked.pictures[0].revision) == (found.version, 1, 1)
    assert asked.consent is not None
    assert "P-1" not in asked.model_dump_json()
    assert found.take_approval(approval(asked.version), NOW)
    assert state(found) is CaseState.PUBLISHED


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


@pytest.mark.parametrize("kind", list(QuestionKind))
def test_only_a_question_about_no_patient_and_without_picture_needs_no_consent(kind: QuestionKind) -> None:
    free = {QuestionKind.ADMINISTRATIVE, QuestionKind.POSOLOGY, QuestionKind.PRACTICE}
    assert case(kind=kind).needs_consent is (kind not in free)
    with_picture = case(kind=kind)
    with_picture.add_picture(NOW, picture())
    assert with_picture.needs_consent


def test_no_submission_without_consent() -> None:
    found = ready()
    with pytest.raises(ConsentMissing) as refusal:
        submit(found)
    assert refusal.value.facts == {"reason": "none-recorded"}
    assert state(found) is CaseState.REDACTED


@pytest.mark.parametrize("change", ["boxes", "removed", "added"])
def test_changed_pictures_need_a_new_consent(change: str) -> None:
    found = case()
    for name in ("picture-1", "picture-2"):
        found.add_picture(NOW, picture(name))
    found.start_redaction(NOW)
    for name in ("picture-1", "picture-2"):
        found.take_rendering(redacted(name), NOW)
    consent(found)
    if change == "boxes":
        found.change_boxes(NOW, "picture-1", [FrameBoxes(frame=0, boxes=(BOX,))])
        found.take_rendering(redacted(revision=2), NOW)
    elif change == "removed":
        found.remove_picture(NOW, "picture-2")
        found.start_redaction(NOW)
        found.take_rendering(redacted(), NOW)
    else:
        found.add_picture(NOW, picture("picture-3"))
        found.start_redaction(NOW)
        found.take_rendering(redacted("picture-3"), NOW)
    assert state(found) is CaseState.REDACTED
    with pytest.raises(ConsentMissing) as refusal:
        submit(found)
    assert refusal.value.facts == {"reason": "pictures-changed"}


def test_an_edited_text_keeps_the_consent_and_gets_a_new_version() -> None:
    found = ready()
    consent(found)
    found.edit(NOW, {"body": "And now?", "title": found.title})
    assert submit(found).text_version == 2


def test_editing_nothing_changes_nothing() -> None:
    found = ready()
    version = found.version
    found.edit(NOW, {"title": found.title})
    assert found.version == version


def test_a_signature_of_today_is_accepted_where_today_has_begun_already() -> None:
    assert consent(ready(), signed_on=date(2026, 11, 23)).signed_on == date(2026, 11, 23)


def test_a_consent_ends_on_its_last_day() -> None:
    found = ready()
    assert consent(found, duration_years=1).expires_on == date(2027, 11, 22)
    last_day = datetime(2027, 11, 22, 23, 59, tzinfo=UTC)
    assert found.consent_problem(TEXTS, last_day) is None
    with pytest.raises(ConsentMissing) as refusal:
        submit(found, last_day + timedelta(minutes=1))
    assert refusal.value.facts == {"reason": "expired"}


def test_a_consent_is_asked_for_only_where_pictures_can_be_looked_at() -> None:
    found = case()
    found.add_picture(NOW, picture())
    with pytest.raises(WrongState):
        consent(found)
    found.start_redaction(NOW)
    with pytest.raises(WrongState):
        consent(found)


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


def test_a_submitted_case_cannot_be_changed() -> None:
    found = submitted()
    with pytest.raises(WrongState):
        found.edit(NOW, {"title": "Other"})
    with pytest.raises(WrongState):
        found.add_picture(NOW, picture("picture-2"))
    with pytest.raises(WrongState):
        found.remove_picture(NOW, "picture-1")
    with pytest.raises(WrongState):
        found.change_boxes(NOW, "picture-1", [])
    with pytest.raises(WrongState):
        submit(found)


def test_a_decision_on_another_submission_is_ignored() -> None:
    found = submitted()
    assert not found.take_approval(approval(found.version - 1), NOW)
    assert not found.take_rejection(rejection(found.version + 1), NOW)
    assert state(found) is CaseState.SUBMITTED


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


def test_a_rejected_case_is_over_but_can_be_withdrawn() -> None:
    found = submitted()
    found.take_rejection(rejection(found.version, RejectOutcome.REJECTED), NOW)
    assert state(found) is CaseState.REJECTED
    with pytest.raises(WrongState):
        submit(found)
    found.withdraw(NOW)


@pytest.mark.parametrize("make", [case, ready, submitted, published])
def test_withdrawal_is_possible_in_any_state_and_final(make: Any) -> None:
    found: Case = make()
    event = found.withdraw(NOW)
    assert event.version == found.version
    assert not found.take_approval(approval(found.submitted_version or 1), NOW)
    assert not found.take_rendering(redacted(revision=9), NOW)
    for act in (
        lambda: found.withdraw(NOW),
        lambda: found.edit(NOW, {"title": "x"}),
        lambda: found.start_redaction(NOW),
        found.check_can_be_commented,
    ):
        with pytest.raises(CaseWithdrawnForGood):
            act()


def test_withdrawal_names_pictures_that_were_removed_before() -> None:
    found = ready()
    found.add_picture(NOW, picture("picture-2"))
    found.remove_picture(NOW, "picture-1")
    with pytest.raises(PictureUnknown):
        found.picture("picture-1")
    assert set(found.withdraw(NOW).picture_ids) == {"picture-1", "picture-2"}


def test_only_a_published_case_is_open_to_comments() -> None:
    published().check_can_be_commented()
    with pytest.raises(CaseNotPublished):
        submitted().check_can_be_commented()


def test_every_change_raises_the_version() -> None:
    found = case()
    versions = [found.version]
    found.add_picture(NOW, picture())
    versions.append(found.version)
    versions.append(found.start_redaction(NOW).version)
    found.take_rendering(redacted(), NOW)
    versions.append(found.version)
    consent(found)
    versions.append(found.version)
    versions.append(submit(found).version)
    versions.append(found.withdraw(NOW).version)
    assert versions == [1, 2, 3, 4, 7, 8, 9]
