"""Who may see a published case: the feed's rule, asked of a case itself."""

from collections.abc import Collection
from datetime import datetime

from services.ingest.domain.case import Case
from shared.audiences import consent_is_over, tags_of_case


def is_shown_to(case: Case, tags: Collection[str], now: datetime) -> bool:
    """Whether a reader with these tags sees it now: the patient chose an audience, and an end."""
    facts = case.consent.facts() if case.consent and case.needs_consent else None
    return not consent_is_over(facts, now) and not set(tags).isdisjoint(tags_of_case(facts, case.specialty))
