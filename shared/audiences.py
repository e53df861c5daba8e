"""To whom a case may be shown: the patient chose an audience, and each reader belongs to some.

A case carries the tags of its audience, a reader has tags of their own; one in common opens the case. The same rule
decides who reads (feed) and who may comment (ingest).
"""

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


def tags_of_reader(profession: Profession | None, specialty: Specialty | None) -> tuple[str, ...]:
    """What a verified member is. Nobody without a profession is anything here."""
    if profession is None:
        return ()
    kind = STUDENT if profession is Profession.STUDENT else PROFESSIONAL
    return (kind, _in(specialty)) if specialty else (kind,)


def _in(specialty: Specialty) -> str:
    return f"specialty:{specialty.value}"
