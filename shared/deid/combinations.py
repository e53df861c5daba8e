"""Combinations that single a person out although no part of them does: a rare disease and a town, an office and a date.

Parts come from the texts and from what is told of the patient beside them. The lists (words/singling.txt) are the
project's own and cannot be complete; the warning says which parts were seen and where, and a person judges.

Why these: with a disease that one in 100,000 has, a region of six million has some 60 patients, of whom a band of five
years leaves about three. Counts below 5 to 11 are what statistical offices and health agencies do not publish.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from shared.deid.finding import Finding, Kind
from shared.deid.generalise import SAID_OF_PARTS, Offered, band_in_words, exact_ages, offer_of, suggestion
from shared.deid.words import fold, regions, sections
from shared.events import AgeBand, PartSeen, PatientFacts, Sex, TextCombination, Timing
from shared.singling import Part, code_of, in_words
from shared.web import Text

SINGLING: tuple[frozenset[Part], ...] = tuple(
    frozenset(parts)
    for parts in (
        (Part.RARE, Part.PLACE),
        (Part.RARE, Part.REGION, Part.DATE),
        (Part.RARE, Part.REGION, Part.WEEKS_AGO),
        (Part.RARE, Part.REGION, Part.AGE),
        (Part.RARE, Part.REGION, Part.INFANT),
        (Part.RARE, Part.REGION, Part.VERY_OLD),
        (Part.RARE, Part.REGION, Part.AGE_BAND),
        (Part.RARE, Part.REGION, Part.UNCOMMON_SEX),
        (Part.KNOWN, Part.PLACE),
        (Part.KNOWN, Part.REGION, Part.DATE),
        (Part.KNOWN, Part.REGION, Part.WEEKS_AGO),
        (Part.REPORTED, Part.PLACE),
        (Part.REPORTED, Part.DATE),
        (Part.REPORTED, Part.WEEKS_AGO),
        (Part.REPORTED, Part.MONTHS_AGO),
        (Part.REPORTED, Part.REGION),
        (Part.VERY_OLD, Part.PLACE),
        (Part.UNCOMMON_SEX, Part.PLACE),
        (Part.PLACE, Part.DATE, Part.AGE),
        (Part.PLACE, Part.DATE, Part.INFANT),
        (Part.PLACE, Part.DATE, Part.AGE_BAND),
        (Part.PLACE, Part.WEEKS_AGO, Part.AGE),
        (Part.PLACE, Part.WEEKS_AGO, Part.INFANT),
    )
)
"""Combinations of which a case should not have all parts."""

FINER: dict[Part, frozenset[Part]] = {
    Part.REGION: frozenset({Part.PLACE}),
    Part.WEEKS_AGO: frozenset({Part.DATE}),
    Part.MONTHS_AGO: frozenset({Part.DATE, Part.WEEKS_AGO}),
    Part.AGE_BAND: frozenset({Part.AGE, Part.INFANT, Part.VERY_OLD}),
}
"""What says the same more exactly. A combination is not warned of beside one that says it as exactly or more so."""

MOST_SEEN = 3
"""So often a part is pointed at in one field."""
_MOST_WORDS = 5
_OF_KINDS = {Kind.PLACE: Part.PLACE, Kind.DATE: Part.DATE, Kind.AGE: Part.VERY_OLD}
_OF_TIMINGS = {Timing.WEEKS: Part.WEEKS_AGO, Timing.MONTHS: Part.MONTHS_AGO}


@dataclass(frozen=True, slots=True)
class Searched:
    """A text with what was found in it."""

    field: Literal["title", "body"]
    text: str
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class Seen:
    """A part, where it is, and what to say instead. `offered`: as which fact beside the text it can be said."""

    told: PartSeen
    instead: Text
    offered: Offered | None

    @property
    def part(self) -> Part:
        return Part(self.told.part)


@dataclass(frozen=True, slots=True)
class Combination:
    """Parts that together may single the patient out, where they are, and a sentence that says so."""

    parts: tuple[Part, ...]
    said: Text
    seen: tuple[Seen, ...]

    @property
    def code(self) -> str:
        return code_of(self.parts)

    def told(self) -> TextCombination:
        """What moderators are told of it: places, no words."""
        return TextCombination(code=self.code, seen=tuple(one.told for one in self.seen))


def combinations(texts: Iterable[Searched], patient: PatientFacts | None = None) -> tuple[Combination, ...]:
    """The combinations that the texts of a case have, together and with what is told beside them."""
    seen = [*_facts(patient)] if patient else []
    for one in texts:
        seen += _words(one)
    present = {one.part for one in seen}
    complete = [parts for parts in SINGLING if parts <= present]
    return tuple(
        _combination(parts, seen)
        for parts in complete
        if not any(_as_exact(other, parts) for other in complete if other != parts)
    )


def _as_exact(one: frozenset[Part], other: frozenset[Part]) -> bool:
    """Whether every part of one is in the other, or says a part of the other more exactly."""
    return all(part in other or any(part in FINER.get(rough, ()) for rough in other) for part in one)


def _combination(parts: frozenset[Part], seen: Sequence[Seen]) -> Combination:
    ordered = tuple(part for part in Part if part in parts)
    return Combination(ordered, in_words(ordered), tuple(one for part in ordered for one in seen if one.part is part))


def _facts(patient: PatientFacts) -> Iterator[Seen]:
    """The parts that are told beside the text."""
    if patient.age_band is not None:
        yield _fact(_part_of_band(patient.age_band), "age_band", Offered("age_band", None))
    if patient.sex is Sex.OTHER:
        yield _fact(Part.UNCOMMON_SEX, "sex", Offered("sex", Sex.WITHHELD))
    if patient.region is not None and ("-" in patient.region or patient.region in _small()):
        country = patient.region.partition("-")[0]
        wider = country if country != patient.region and country not in _small() else None
        yield _fact(Part.REGION, "region", Offered("region", wider))
    if patient.timing in _OF_TIMINGS:
        yield _fact(_OF_TIMINGS[patient.timing], "timing", Offered("timing", None))


def _fact(part: Part, field: str, offered: Offered) -> Seen:
    told = PartSeen.model_validate({"part": part.value, "field": field})
    return Seen(told, offer_of(part, offered.value), offered)


def _part_of_band(band: AgeBand) -> Part:
    if band is AgeBand.YEARS_90_UP:
        return Part.VERY_OLD
    return Part.INFANT if band.value.startswith("months") else Part.AGE_BAND


def _words(one: Searched) -> list[Seen]:
    """The parts that stand in a text, each at most `MOST_SEEN` times."""
    found: list[tuple[Part, int, int, Text, Offered | None]] = []
    for finding in one.findings:
        if finding.kind in _OF_KINDS:
            instead, offered = suggestion(finding, one.text)
            found.append((_OF_KINDS[finding.kind], finding.start, finding.end, instead, offered))
    for age in exact_ages(one.text):
        band = band_in_words(age.band)
        instead = Text(en=f"Say “{band.en}”.", fr=f"Dites «\u00a0{band.fr}\u00a0».")
        found.append((Part.AGE, age.start, age.end, instead, Offered("age_band", age.band)))
    found += [(part, start, end, SAID_OF_PARTS[part], None) for part, start, end in _listed_in(one.text)]
    kept: list[Seen] = []
    count: dict[Part, int] = {}
    for part, start, end, instead, offered in sorted(found, key=lambda each: each[1]):
        count[part] = count.get(part, 0) + 1
        if count[part] <= MOST_SEEN:
            told = PartSeen.model_validate({"part": part.value, "field": one.field, "start": start, "end": end})
            kept.append(Seen(told, instead, offered))
    return kept


@cache
def _small() -> frozenset[str]:
    """Countries that count as a region does; larger ones count for nothing."""
    return sections("singling.txt")["small_countries"]


@cache
def _listed() -> dict[str, Part]:
    """Listed words, joined by underscores, and the part that they are."""
    lists = sections("singling.txt")
    of_lists = ((Part.RARE, "rare"), (Part.KNOWN, "known"), (Part.REPORTED, "reported"))
    return {word: part for part, name in of_lists for word in lists[name]} | {
        "_".join(re.findall(r"[^\W\d_]+", fold(name))): Part.REGION
        for code, names in regions().items()
        if "-" in code.rstrip("-") or code in _small()
        for name in names
    }


def _listed_in(text: str) -> Iterator[tuple[Part, int, int]]:
    """Where listed words stand, the longest that fits first. Names of regions only with a capital letter."""
    words = list(re.finditer(r"[^\W\d_]+", text))
    folded = [fold(word.group()) for word in words]
    at = 0
    while at < len(words):
        for count in range(min(_MOST_WORDS, len(words) - at), 0, -1):
            part = _listed().get("_".join(folded[at : at + count]))
            if part is not None and (part is not Part.REGION or words[at].group()[0].isupper()):
                yield part, words[at].start(), words[at + count - 1].end()
                at += count - 1
                break
        at += 1
