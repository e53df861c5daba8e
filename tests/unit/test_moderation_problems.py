"""Every refusal of the domain has an answer that a person understands, in both languages."""

from datetime import UTC, datetime

import pytest
from fastapi.exceptions import RequestValidationError

from services.moderation.domain import (
    REASONS,
    BadBoxes,
    BoxFault,
    ClaimedByAnother,
    NotWaiting,
    PictureNotSeen,
    ReasonCode,
    RedactionOutstanding,
    Refusal,
    StaleRevision,
    Undecided,
)
from services.moderation.routes.problems import problem_of, refusals_told
from services.moderation.store import ContentBroken
from shared.blobs import BlobMissing
from shared.web import Problem

WITH_FACTS: list[Refusal] = [
    ClaimedByAnother(datetime(2026, 3, 1, tzinfo=UTC)),
    NotWaiting("approved"),
    StaleRevision(3),
    RedactionOutstanding(("p1",)),
    PictureNotSeen((0, 2)),
    Undecided(("p1", "p2")),
]
KNOWN = {type(each) for each in WITH_FACTS} | {BadBoxes}
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
    assert len(slugs) == len(set(slugs)) == len(Refusal.__subclasses__()) - 1


@pytest.mark.parametrize("fault", BoxFault)
def test_every_fault_of_a_box_list_points_at_its_place(fault: BoxFault) -> None:
    answer = problem_of(BadBoxes(fault, "frames", 1, "frame"), "c")
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
