"""To whom a case may be shown: the patient chose an audience, and each reader belongs to some.

A case carries the tags of its audience, a reader has tags of their own; one in common opens the case. The same rule
decides who reads (feed) and who may comment (ingest).
"""

from datetime import UTC, datetime

from shared.events import Audience, ConsentFacts, Profession, Specialty

PROFESSIONAL = "professional"
STUDENT = "student"


def tags_of_case(consent: ConsentFacts | None, specialty: Specialty) -> tuple[str, ...]:
    """Whom the case is for. A question about no patient has no consent, and is for every member."""
    if consent is None or consent.audience is Audience.PROFESSIONALS_AND_STUDENTS:
        return (PROFESSIONAL, STUDENT)
    if consent.audience is Audience.PROFESSIONALS:
        return (PROFESSIONAL,)
    return (_in(specialty),)


def consent_is_over(consent: ConsentFacts | None, now: datetime) -> bool:
    """Whether the last day of a consent has ended, in UTC. One without an end is from before they had one."""
    return bool(consent and consent.expires_on and now.astimezone(UTC).date() > consent.expires_on)


def tags_of_reader(profession: Profession | None, specialty: Specialty | None) -> tuple[str, ...]:
    """What a verified member is. Nobody without a profession is anything here."""
    if profession is None:
        return ()
    kind = STUDENT if profession is Profession.STUDENT else PROFESSIONAL
    return (kind, _in(specialty)) if specialty else (kind,)


def _in(specialty: Specialty) -> str:
    return f"specialty:{specialty.value}"
