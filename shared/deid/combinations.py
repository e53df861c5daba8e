"""Combinations that single a person out although no part of them does: a rare disease and a town, an office and a date.

The lists behind it (words/singling.txt) are the project's own and cannot be complete; the warning says which parts were
seen, and a person judges.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from shared.deid.finding import Finding, Kind
from shared.deid.generalise import exact_ages
from shared.deid.words import fold, sections
from shared.events import PatientFacts
from shared.web import Text


class Part(StrEnum):
    """What a combination is made of. Stable codes."""

    RARE = "rare_condition"
    KNOWN = "known_person"
    REPORTED = "reported_event"
    PLACE = "place"
    REGION = "region"
    DATE = "date"
    AGE = "exact_age"
    VERY_OLD = "very_old"


SINGLING: tuple[frozenset[Part], ...] = tuple(
    frozenset(parts)
    for parts in (
        (Part.RARE, Part.PLACE),
        (Part.RARE, Part.REGION, Part.DATE),
        (Part.RARE, Part.REGION, Part.AGE),
        (Part.KNOWN, Part.PLACE),
        (Part.KNOWN, Part.REGION, Part.DATE),
        (Part.REPORTED, Part.PLACE),
        (Part.REPORTED, Part.DATE),
        (Part.REPORTED, Part.REGION),
        (Part.VERY_OLD, Part.PLACE),
        (Part.PLACE, Part.DATE, Part.AGE),
    )
)
"""Combinations of which a text should not have all parts."""

PARTS: dict[Part, Text] = {
    Part.RARE: Text(en="a rare disease or event", fr="une maladie ou un événement rare"),
    Part.KNOWN: Text(en="a profession or office that few hold", fr="une profession ou une fonction que peu exercent"),
    Part.REPORTED: Text(en="an event that newspapers report", fr="un événement dont parlent les journaux"),
    Part.PLACE: Text(en="a place", fr="un lieu"),
    Part.REGION: Text(en="a region", fr="une région"),
    Part.DATE: Text(en="a date", fr="une date"),
    Part.AGE: Text(en="an exact age", fr="un âge exact"),
    Part.VERY_OLD: Text(en="an age above 89", fr="un âge supérieur à 89 ans"),
}


@dataclass(frozen=True, slots=True)
class Combination:
    """Parts that together may single the patient out, and a sentence that says so."""

    parts: tuple[Part, ...]
    said: Text


def combinations(
    text: str, findings: Iterable[Finding], patient: PatientFacts | None = None
) -> tuple[Combination, ...]:
    """The combinations that a text, with what was found in it and what is told beside it, has."""
    present = parts_of(text, findings, patient)
    return tuple(_combination(parts) for parts in SINGLING if parts <= present)


def parts_of(text: str, findings: Iterable[Finding], patient: PatientFacts | None) -> frozenset[Part]:
    """Which parts a text has."""
    kinds = {finding.kind for finding in findings}
    words = [fold(word) for word in re.findall(r"[^\W\d_]+", text)]
    present = {part for part, listed in _listed().items() if _says(words, listed)}
    present |= {part for kind, part in _OF_KINDS.items() if kind in kinds}
    if patient is not None and patient.region is not None:
        present.add(Part.REGION)
    if exact_ages(text):
        present.add(Part.AGE)
    return frozenset(present)


_OF_KINDS = {Kind.PLACE: Part.PLACE, Kind.DATE: Part.DATE, Kind.AGE: Part.VERY_OLD}
_MOST_WORDS = 5


@cache
def _listed() -> dict[Part, frozenset[str]]:
    lists = sections("singling.txt")
    return {Part.RARE: lists["rare"], Part.KNOWN: lists["known"], Part.REPORTED: lists["reported"]}


def _says(words: list[str], listed: frozenset[str]) -> bool:
    return any(
        "_".join(words[start : start + count]) in listed
        for start in range(len(words))
        for count in range(1, _MOST_WORDS + 1)
    )


def _combination(parts: frozenset[Part]) -> Combination:
    ordered = tuple(part for part in Part if part in parts)
    return Combination(
        ordered,
        Text(
            en=f"Together, {_list([PARTS[part].en for part in ordered], 'and')} may tell who the patient is. "
            "Say at least one of them more generally.",
            fr=f"Ensemble, {_list([PARTS[part].fr for part in ordered], 'et')} peuvent révéler qui est le patient. "
            "Dites au moins l'un de ces éléments de façon plus générale.",
        ),
    )


def _list(said: list[str], last: str) -> str:
    return f"{', '.join(said[:-1])} {last} {said[-1]}" if len(said) > 1 else said[0]
