"""The rules by which a person is taken for the professional they say they are.

A registry answers who holds a number; the name given must be the holder's, and the profession of the account one of
theirs. What does not match is refused in one way, whatever it was: the answer must not become a way to ask the
registry about others.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from services.identity.domain.brakes import Brake
from shared.events import Profession
from shared.networks import network_of

_LETTERS = str.maketrans({"œ": "oe", "æ": "ae", "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
_PARTICLES = frozenset((
    "d", "da", "de", "del", "della", "den", "der", "des", "di", "do", "dos", "du", "el", "la", "las", "le", "les",
    "lo", "los", "ten", "ter", "van", "von",
))  # fmt: skip
_STUDENT_YEAR_ENDS = (10, 31)
"""Month and day: French faculties enrol until autumn, so a card of the year before still holds in October."""


class NumberMalformed(ValueError):
    """The text cannot be a number of this registry. `code` is stable: `rpps_malformed`, `adeli_retired`, …"""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class NotMatched(Exception):
    """Number, name, profession or standing do not agree. `why` is for counting; a caller never learns it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class NumberTaken(Exception):
    """Another account was verified with this number."""


class AnotherPerson(Exception):
    """The account was verified as one person, and the proof is another's: who is behind a pseudonym does not change."""


class ReviewFirst(Exception):
    """Somebody left with this number while suspended for what they did: a reviewer looks before it verifies anybody."""


class Method(StrEnum):
    """How a profession was verified."""

    REGISTRY = "registry"
    PRO_SANTE_CONNECT = "pro_sante_connect"
    DOCUMENTS = "documents"


@dataclass(frozen=True, slots=True)
class Number:
    """A professional's number in its canonical spelling. `issuer` gives it a meaning: `rpps`, `npi`, …

    `warnings` are remarks that do not refuse: `check_digit` where a check digit that is not official does not agree.
    """

    issuer: str
    value: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Practitioner:
    """What a registry says of the holder of a number.

    `families` and `givens` hold every name on record (birth, use, exercise). An inactive professional may have none.
    `skills` are the registry's own codes (savoir-faire, taxonomies). `professions` are ours: a code that we do not map
    is left out.
    """

    number: Number
    families: tuple[str, ...]
    givens: tuple[str, ...]
    professions: frozenset[Profession]
    skills: tuple[str, ...]
    active: bool
    source: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class CivilName:
    """A person's name. It is kept sealed, and stays in identity: no event, log line or read model holds it.

    `on_record`: the family names under which a registry knows the person besides (at birth, in practice).
    """

    family: str
    given: str
    on_record: tuple[str, ...] = field(default=(), compare=False)

    @property
    def in_one_line(self) -> str:
        """As it is shown: given name first."""
        return f"{self.given} {self.family}"

    def __repr__(self) -> str:
        return "CivilName(…)"  # names never reach a log by way of a traceback


@dataclass(frozen=True, slots=True)
class Verification:
    """What is known of how a member was verified, without number and name."""

    member_id: str
    method: Method
    confirmed_at: datetime
    checked_at: datetime
    registry: str | None = None
    source: str = ""
    professions: tuple[Profession, ...] = ()
    skills: tuple[str, ...] = ()
    valid_until: date | None = None
    next_check_at: datetime | None = None
    missing_since: datetime | None = None


def match(practitioner: Practitioner | None, name: CivilName, profession: Profession | None) -> Practitioner:
    """The holder of the number, who is this person and practises this profession. Raises NotMatched."""
    if practitioner is None:
        raise NotMatched("unknown_number")
    if not practitioner.active:
        raise NotMatched("inactive")
    if not same_name(name, practitioner.families, practitioner.givens):
        raise NotMatched("name")
    if profession not in practitioner.professions:
        raise NotMatched("profession")
    return practitioner


def same_name(name: CivilName, families: Iterable[str], givens: Iterable[str]) -> bool:
    """Whether one of the family names and one of the given names on record may be this person's.

    Case, accents, hyphens, apostrophes and spaces do not count. A double family name matches by either half, since
    people use their birth name, their spouse's or both; of several given names any may be the one used.
    """
    return any(_same_family(name.family, family) for family in families) and any(
        _same_given(name.given, given) for given in givens
    )


def end_of_school_year(today: date) -> date:
    """Until when proof of studies shown today holds: the next 31 October that is at least a month away."""
    month, day = _STUDENT_YEAR_ENDS
    this_year = date(today.year, month, day)
    return this_year if (this_year - today).days >= 31 else date(today.year + 1, month, day)


def _same_family(claimed: str, known: str) -> bool:
    left, right = name_parts(claimed), name_parts(known)
    if not left or not right:
        return False
    if "".join(left) == "".join(right):
        return True
    few, many = sorted((without_particles(left), without_particles(right)), key=len)
    return bool(few) and all(len(part) > 1 for part in few) and set(few) <= set(many)


def _same_given(claimed: str, known: str) -> bool:
    left, right = name_parts(claimed), name_parts(known)
    if not left or not right:
        return False
    if "".join(left) == "".join(right):
        return True
    few, many = sorted((left, right), key=len)
    return all(len(part) > 1 for part in few) and set(few) <= set(many)


def without_particles(parts: list[str]) -> list[str]:
    """The parts of a family name that are no "de", "van" or the like."""
    return [part for part in parts if part not in _PARTICLES]


def name_parts(name: str) -> list[str]:
    """The words of a name as they are compared: lower case, without accents, ligatures taken apart."""
    plain = unicodedata.normalize("NFKD", name.casefold().translate(_LETTERS))
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    return re.findall(r"\w+", plain)


def registry_brakes(member_id: str, address: str, number_place: str) -> tuple[Brake, ...]:
    """The brakes on trying numbers and names: by member, by number from anywhere, and by caller.

    That on a number is short, so that nobody can keep its owner away from it by failing on purpose.
    """
    return (
        Brake(f"registry:{member_id}", free=5, max_wait_s=3600, memory_s=86_400),
        Brake(f"registry#{number_place[:32]}", free=10, max_wait_s=60),
        Brake(f"registry@{network_of(address)}", free=60, max_wait_s=300),
    )
