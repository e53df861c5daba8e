"""The rules about comments that may identify somebody, and what of a patient an approval tells."""

from datetime import UTC, datetime

import pytest

from services.moderation.domain import CaseGone, ReasonCode, Review
from services.moderation.domain.announcements import approval
from services.moderation.domain.comments import COMMENT_REASONS, CommentState, PointedComment, decide
from services.moderation.domain.reasons import REASONS
from services.moderation.domain.values import Submission
from shared.events import (
    AgeBand,
    CaseSubmitted,
    CaseWithdrawn,
    CommentAdded,
    CommentKind,
    CommentRejected,
    PatientFacts,
    QuestionKind,
    Specialty,
    TextFinding,
)

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def pointed() -> PointedComment:
    return PointedComment.of(
        CommentAdded(
            comment_id="k",
            case_id="c",
            version=1,
            author_id="writer",
            kind=CommentKind.REMARK,
            text="Ask Lambert.",
            created_at=NOW,
            findings=(TextFinding(field="comment", kind="name", start=4, end=11),),
        )
    )


def test_a_rejected_comment_loses_its_words_and_is_told_once() -> None:
    review = Review(case_id="c")
    said = decide(review, pointed(), "moderator", ReasonCode.IDENTIFIER_IN_TEXT, NOW)
    again = decide(review, said, "moderator", ReasonCode.IDENTIFIER_IN_TEXT, NOW)
    assert again is said
    assert (said.state, said.text, said.findings) == (CommentState.REJECTED, "", ())
    (event,) = review.outgoing
    assert isinstance(event, CommentRejected)
    assert (event.comment_id, event.reason) == ("k", "identifier_in_text")
    (act,) = review.acts
    assert act.detail == {"comment_id": "k", "reason": "identifier_in_text"}


def test_nothing_is_decided_about_a_comment_of_a_withdrawn_case() -> None:
    review = Review(case_id="c")
    review.on_withdrawn(CaseWithdrawn(case_id="c", version=2, withdrawn_at=NOW))
    with pytest.raises(CaseGone):
        decide(review, pointed(), "moderator", None, NOW)


def test_the_reasons_for_a_comment_are_among_those_that_are_explained() -> None:
    assert set(COMMENT_REASONS) <= set(REASONS)


def test_an_approval_tells_what_the_author_tells_of_the_patient() -> None:
    patient = PatientFacts(age_band=AgeBand.YEARS_85_89, region="FR-75")
    submitted = CaseSubmitted(
        case_id="c",
        version=2,
        author_id="author",
        specialty=Specialty.DERMATOLOGY,
        kind=QuestionKind.DIAGNOSIS,
        language="fr",
        text_version=1,
        patient=patient,
    )
    assert approval("c", Submission.of(submitted), [], "t", "x", NOW).patient == patient
