"""A stored document that cannot be read is told of without its words: the error ends up in a log."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from services.ingest.domain.case import Case
from services.ingest.domain.comment import Comment
from services.ingest.domain.consent import Consent
from services.ingest.domain.consent_request import ConsentRequest
from services.ingest.domain.picture import Picture
from services.moderation.domain.review import Review
from services.moderation.domain.values import Submission
from services.moderation.store import CaseText

WORDS = "Madame Dupont, née le 3 mars"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (Case, {"case_id": "c", "title": [WORDS], "body": WORDS, "consent": {"patient_code": [WORDS]}}),
        (Case, {"case_id": "c", "title": WORDS, "body": WORDS, "decision": {"reasons": WORDS, "outcome": 3}}),
        (Picture, {"picture_id": [WORDS], "rendering": {"revision": WORDS}}),
        (Comment, {"text": [WORDS], "created_at": NOW}),
        (Consent, {"patient_code": [WORDS]}),
        (ConsentRequest, {"contact": [WORDS], "information": {"means": WORDS}}),
        (Review, {"case_id": "c", "submission": {"title": WORDS, "pictures": WORDS}, "body": WORDS}),
        (Review, {"case_id": "c", "thread": [{"note": [WORDS]}], "pictures": {"p": {"notes": WORDS}}}),
        (Submission, {"author_id": [WORDS], "notes": WORDS}),
        (CaseText, {"title": [WORDS]}),
    ],
)
def test_a_broken_document_is_told_of_without_its_words(kind: type[BaseModel], document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as broken:
        kind.model_validate(document)
    assert "Dupont" not in str(broken.value)
    assert "Field required" in str(broken.value) or "valid string" in str(broken.value)


def test_json_that_is_cut_off_is_told_of_without_its_words() -> None:
    with pytest.raises(ValidationError) as broken:
        CaseText.model_validate_json(f'{{"title": "{WORDS}", "body": "{WORDS}')
    assert "Dupont" not in str(broken.value)
