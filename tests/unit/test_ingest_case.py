"""The way of a case, rule by rule."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.ingest.domain.case import Case
from services.ingest.domain.refusals import (
    CaseNotPublished,
    CaseWithdrawnForGood,
    ConsentMissing,
    PictureUnknown,
    WrongState,
)
from services.ingest.domain.states import CaseState
from shared.events import FrameBoxes, QuestionKind, RejectOutcome
from tests.ingest_cases import (
    BOX,
    NOW,
    TEXTS,
    approval,
    case,
    consent,
    picture,
    published,
    ready,
    redacted,
    rejection,
    state,
    submit,
    submitted,
)


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
