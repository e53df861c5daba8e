"""Every refusal of the domain has an answer that a person understands, in both languages."""

from datetime import UTC, datetime

import pytest
from fastapi.exceptions import RequestValidationError

from services.moderation.domain import (
    REASONS,
    AnswerFault,
    BadAnswers,
    BadBoxes,
    BoxFault,
    ClaimedByAnother,
    CommentDecided,
    NotWaiting,
    PictureNotSeen,
    ProposalNotCovered,
    ProposalsUnanswered,
    ReasonCode,
    RedactionOutstanding,
    Refusal,
    StaleRevision,
    Undecided,
)
from services.moderation.routes.problems import problem_of, refusals_told
from services.moderation.store import ContentBroken
from shared.blobs import BlobMissing
from shared.events import LeftReason, MarkAnswer
from shared.questions import questions
from shared.web import Problem

WITH_FACTS: list[Refusal] = [
    ClaimedByAnother(datetime(2026, 3, 1, tzinfo=UTC)),
    NotWaiting("approved"),
    CommentDecided("kept"),
    StaleRevision(3),
    RedactionOutstanding(("p1",)),
    PictureNotSeen((0, 2)),
    Undecided(("p1", "p2")),
    ProposalsUnanswered(((0, 1),)),
    ProposalNotCovered(0, 1),
]
OF_ONE_FIELD = {BadBoxes, BadAnswers}
KNOWN = {type(each) for each in WITH_FACTS} | OF_ONE_FIELD
REFUSALS = WITH_FACTS + [kind() for kind in Refusal.__subclasses__() if kind not in KNOWN]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda each: type(each).__name__)
def test_every_refusal_is_told_in_both_languages(refusal: Refusal) -> None:
    problem = problem_of(refusal, "case-1")
    assert isinstance(problem, Problem)
    english, french = problem.document("en"), problem.document("fr")
    assert 400 <= english["status"] < 500
    assert english["type"] == french["type"]
    for member in ("title", "detail"):
        assert english[member] != french[member]
        assert "{" not in english[member] + french[member]


def test_every_refusal_has_an_answer_of_its_own() -> None:
    answers = [problem_of(refusal, "c") for refusal in REFUSALS]
    slugs = [answer.slug for answer in answers if isinstance(answer, Problem)]
    assert len(slugs) == len(set(slugs)) == len(Refusal.__subclasses__()) - len(OF_ONE_FIELD)


FAULTS = [BadBoxes(fault, "frames", 1, "frame") for fault in BoxFault] + [
    BadAnswers(fault, "frames", 1, "frame") for fault in AnswerFault
]


@pytest.mark.parametrize("refusal", FAULTS, ids=lambda each: each.fault)
def test_every_fault_of_a_list_points_at_its_place(refusal: Refusal) -> None:
    answer = problem_of(refusal, "c")
    assert isinstance(answer, RequestValidationError)
    (error,) = answer.errors()
    assert error["loc"] == ("body", "frames", 1, "frame")
    assert error["msg"] != error["ctx"]["fr"]


@pytest.mark.parametrize(
    ("error", "status"), [(BlobMissing("k"), 404), (ContentBroken("k"), 502), (PictureNotSeen((1,)), 409)]
)
def test_what_the_store_refuses_is_told_too(error: Exception, status: int) -> None:
    with pytest.raises(Problem) as told, refusals_told("c"):
        raise error
    assert told.value.status == status


def test_every_reason_has_a_sentence_in_both_languages() -> None:
    assert set(REASONS) == set(ReasonCode)
    for said in REASONS.values():
        assert set(said) == {"fr", "en"}
        assert said["fr"] != said["en"]


def test_the_question_and_every_answer_are_told_in_both_languages() -> None:
    asked = questions().marks
    assert {each.code for each in asked.answers} == set(MarkAnswer)
    assert {each.code for each in asked.reasons} == set(LeftReason)
    pairs = [(asked.fr, asked.en)] + [(each.fr, each.en) for each in (*asked.answers, *asked.reasons)]
    for french, english in pairs:
        assert french
        assert english
        assert french != english
