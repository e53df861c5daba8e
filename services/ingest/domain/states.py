"""Where a case stands, and what that allows."""

from enum import StrEnum

from shared.events import QuestionKind


class CaseState(StrEnum):
    DRAFT = "draft"
    UPLOADED = "uploaded"
    REDACTED = "redacted"
    SUBMITTED = "submitted"
    PUBLISHED = "published"
    REJECTED = "rejected"
    CHANGES = "changes"
    WITHDRAWN = "withdrawn"


EDITABLE = frozenset({CaseState.DRAFT, CaseState.UPLOADED, CaseState.REDACTED, CaseState.CHANGES})
WITH_PAINTED_PICTURES = frozenset({CaseState.REDACTED, CaseState.CHANGES})
NO_PATIENT = frozenset({QuestionKind.ADMINISTRATIVE, QuestionKind.POSOLOGY, QuestionKind.PRACTICE})
"""Kinds of question that are about no patient: without a picture they need no consent."""
