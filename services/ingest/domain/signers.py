"""Who signs for whom, and whose own view has to be heard.

An adult signs. For a child both holders of parental authority sign, since showing a picture of a child is no usual act
(French civil code, 372-1 and 372-2), or one, where the law gives one alone the right; the child is asked as well. For
an adult under a measure of protection the representative signs and the person is asked. For somebody who died a
relative signs. Nobody else can: who objects, or whose view is not known where it has to be, is not shown.
"""

from datetime import date
from enum import StrEnum

from services.ingest.domain.refusals import SubjectRefused
from services.ingest.domain.stored import Kept
from shared.events import AgeBand


class Subject(StrEnum):
    """Who is in the pictures."""

    ADULT = "adult"
    MINOR = "minor"
    PROTECTED_ADULT = "protected_adult"
    DECEASED = "deceased"


class Capacity(StrEnum):
    """As what somebody signs. Never a name."""

    SELF = "self"
    PARENT_A = "parent_a"
    PARENT_B = "parent_b"
    SOLE_HOLDER = "sole_holder"
    REPRESENTATIVE = "representative"
    RELATIVE = "relative"


class LegalGround(StrEnum):
    """What gives one person alone the right to sign for somebody else. Articles of the French civil code."""

    ONE_PARENT_KNOWN = "one_parent_known"  # 372: only one parent in law
    OTHER_PARENT_DECEASED = "other_parent_deceased"  # 373-1
    OTHER_PARENT_UNABLE = "other_parent_unable"  # 373: absent, or unable to say what they want
    SOLE_BY_COURT = "sole_by_court"  # 373-2-1: a judge gave the exercise to one
    AUTHORITY_WITHDRAWN = "authority_withdrawn"  # 378, 379: taken from the other
    AUTHORITY_DELEGATED = "authority_delegated"  # 377: handed to a third person or a service
    GUARDIAN_OF_MINOR = "guardian_of_minor"  # 390: guardianship of a child
    GUARDIAN = "guardian"  # 425, 459: guardianship that covers the person
    FAMILY_AUTHORISATION = "family_authorisation"  # 494-1
    FUTURE_MANDATE = "future_mandate"  # 477, 479: a mandate that covers the person
    COURT_ORDER = "court_order"  # another decision that covers just this


class Relation(StrEnum):
    """What the person who signs is to the one who died."""

    SPOUSE_OR_PARTNER = "spouse_or_partner"
    CHILD = "child"
    PARENT = "parent"
    SIBLING = "sibling"
    TRUSTED_PERSON = "trusted_person"  # named in life: public health code, L.1111-6
    OTHER_RELATIVE = "other_relative"


class View(StrEnum):
    """What the person in the pictures says, or said in life. `OBJECTED` ends it; `NOT_KNOWN` only of the dead."""

    AGREED = "agreed"
    OBJECTED = "objected"
    UNABLE = "unable"
    NOT_KNOWN = "not_known"


class ViewNote(StrEnum):
    """How the view was told, or why there is none."""

    SPOKEN = "spoken"
    GESTURE = "gesture"
    WRITTEN = "written"
    TOO_YOUNG = "too_young"
    STATE_OF_HEALTH = "state_of_health"
    CANNOT_COMMUNICATE = "cannot_communicate"


class OwnView(Kept):
    """The view of the person in the pictures, when somebody else signs. `note` is missing only with `NOT_KNOWN`."""

    view: View
    note: ViewNote | None = None
    asked_on: date | None = None


OF_MINORS = frozenset(
    {
        LegalGround.ONE_PARENT_KNOWN,
        LegalGround.OTHER_PARENT_DECEASED,
        LegalGround.OTHER_PARENT_UNABLE,
        LegalGround.SOLE_BY_COURT,
        LegalGround.AUTHORITY_WITHDRAWN,
        LegalGround.AUTHORITY_DELEGATED,
        LegalGround.GUARDIAN_OF_MINOR,
    }
)
OF_PROTECTED_ADULTS = frozenset(
    {
        LegalGround.GUARDIAN,
        LegalGround.FAMILY_AUTHORISATION,
        LegalGround.FUTURE_MANDATE,
        LegalGround.COURT_ORDER,
    }
)
OF_CHILDREN = frozenset(
    {
        AgeBand.MONTHS_0_2,
        AgeBand.MONTHS_3_5,
        AgeBand.MONTHS_6_11,
        AgeBand.MONTHS_12_17,
        AgeBand.MONTHS_18_23,
        AgeBand.YEARS_2_4,
        AgeBand.YEARS_5_9,
        AgeBand.YEARS_10_14,
    }
)
"""Ages at which nobody is an adult anywhere; from 15 to 19 somebody may be."""
_TOLD = frozenset({ViewNote.SPOKEN, ViewNote.GESTURE, ViewNote.WRITTEN})
_WHY_NOT = frozenset({ViewNote.TOO_YOUNG, ViewNote.STATE_OF_HEALTH, ViewNote.CANNOT_COMMUNICATE})


def capacities(subject: Subject, ground: LegalGround | None) -> tuple[Capacity, ...]:
    """Who has to sign, one signature each."""
    if subject is Subject.ADULT:
        return (Capacity.SELF,)
    if subject is Subject.MINOR:
        return (Capacity.SOLE_HOLDER,) if ground else (Capacity.PARENT_A, Capacity.PARENT_B)
    return (Capacity.REPRESENTATIVE,) if subject is Subject.PROTECTED_ADULT else (Capacity.RELATIVE,)


def check_subject(
    subject: Subject, ground: LegalGround | None, relation: Relation | None, own_view: OwnView | None
) -> None:
    """Raise SubjectRefused, with a reason, unless all that this subject needs is there, and nothing else."""
    if subject is Subject.PROTECTED_ADULT and ground is None:
        raise SubjectRefused(reason="legal-ground-missing")
    allowed = {Subject.MINOR: OF_MINORS, Subject.PROTECTED_ADULT: OF_PROTECTED_ADULTS}.get(subject, frozenset())
    if ground is not None and ground not in allowed:
        raise SubjectRefused(reason="legal-ground-not-of-this-subject")
    if subject is Subject.DECEASED and relation is None:
        raise SubjectRefused(reason="relation-missing")
    if subject is not Subject.DECEASED and relation is not None:
        raise SubjectRefused(reason="relation-not-of-this-subject")
    _check_view(subject, own_view)


def _check_view(subject: Subject, own: OwnView | None) -> None:
    if subject is Subject.ADULT:
        if own is not None:
            raise SubjectRefused(reason="own-view-is-the-signature")
        return
    if own is None:
        raise SubjectRefused(reason="own-view-missing")
    if (own.view is View.NOT_KNOWN or own.view is View.UNABLE) and (own.view is View.NOT_KNOWN) is not (
        subject is Subject.DECEASED
    ):
        raise SubjectRefused(reason="own-view-not-of-this-subject")
    if own.note is ViewNote.TOO_YOUNG and subject is not Subject.MINOR:
        raise SubjectRefused(reason="own-view-note-wrong")
    notes = {View.UNABLE: _WHY_NOT, View.NOT_KNOWN: frozenset({None})}.get(own.view, _TOLD)
    if own.note not in notes:
        raise SubjectRefused(reason="own-view-note-wrong")
    if own.view is not View.NOT_KNOWN and subject is not Subject.DECEASED and own.asked_on is None:
        raise SubjectRefused(reason="own-view-date-missing")
