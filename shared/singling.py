"""Combinations that single a patient out, in words: their parts, and the shape in which they are shown.

Two services use it, as `shared.findings`: ingest, which finds combinations (`shared.deid.combinations`) and asks the
author about them, and moderation, which shows those that the author keeps.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel

from shared.events import PartSeen, TextCombination
from shared.web import Text


class Part(StrEnum):
    """What a combination is made of. Stable codes: they travel in events (`TextCombination`)."""

    RARE = "rare_condition"
    KNOWN = "known_person"
    REPORTED = "reported_event"
    PLACE = "place"
    REGION = "region"
    DATE = "date"
    WEEKS_AGO = "weeks_ago"
    MONTHS_AGO = "months_ago"
    AGE = "exact_age"
    VERY_OLD = "very_old"
    INFANT = "infant"
    AGE_BAND = "age_band"
    UNCOMMON_SEX = "uncommon_sex"


PARTS: dict[Part, Text] = {
    Part.RARE: Text(en="a rare disease or event", fr="une maladie ou un événement rare"),
    Part.KNOWN: Text(
        en="a profession or office that few hold", fr="une profession ou une fonction que peu de personnes exercent"
    ),
    Part.REPORTED: Text(en="an event that newspapers report", fr="un événement dont parlent les journaux"),
    Part.PLACE: Text(en="a place", fr="un lieu"),
    Part.REGION: Text(en="a region", fr="une région"),
    Part.DATE: Text(en="a date", fr="une date"),
    Part.WEEKS_AGO: Text(en="that it was a few weeks ago", fr="le fait que c'était il y a quelques semaines"),
    Part.MONTHS_AGO: Text(en="that it was some months ago", fr="le fait que c'était il y a quelques mois"),
    Part.AGE: Text(en="an exact age", fr="un âge exact"),
    Part.VERY_OLD: Text(en="an age above 89", fr="un âge supérieur à 89 ans"),
    Part.INFANT: Text(en="an age in months", fr="un âge en mois"),
    Part.AGE_BAND: Text(en="an age within five years", fr="un âge à cinq ans près"),
    Part.UNCOMMON_SEX: Text(en="a sex other than female or male", fr="un sexe autre que féminin ou masculin"),
}
UNKNOWN_PART = Text(en="something else", fr="un autre élément")


class PartShown(BaseModel):
    """One part, in words, and where it was seen.

    `field`: the text with the words from `start` to `end` (Unicode code points); or what is told of the patient beside
    it (`age_band`, `sex`, `region`, `timing`), without a span.
    """

    part: str
    fr: str
    en: str
    field: Literal["title", "body", "age_band", "sex", "region", "timing"]
    start: int | None
    end: int | None


class CombinationShown(BaseModel):
    """Parts that together may single the patient out; `code` names the combination."""

    code: str
    parts: list[str]
    fr: str
    en: str
    seen: list[PartShown]


def shown(combinations: Iterable[TextCombination]) -> list[CombinationShown]:
    """Combinations with what they say in both languages."""
    return [
        CombinationShown(
            code=one.code,
            parts=(parts := parts_of_code(one.code)),
            fr=(said := in_words(parts)).fr,
            en=said.en,
            seen=[part_shown(each) for each in one.seen],
        )
        for one in combinations
    ]


def part_shown(seen: PartSeen) -> PartShown:
    said = part_in_words(seen.part)
    return PartShown(**seen.model_dump(), fr=said.fr, en=said.en)


def code_of(parts: Iterable[Part]) -> str:
    """The name of a combination: its parts in their order, as `rare_condition+place`."""
    wanted = set(parts)
    return "+".join(part.value for part in Part if part in wanted)


def parts_of_code(code: str) -> list[str]:
    return code.split("+")


def in_words(parts: Iterable[str]) -> Text:
    """The sentence that warns of a combination."""
    said = [part_in_words(part) for part in parts]
    return Text(
        en=f"Together, {_list([one.en for one in said], 'and')} may tell who the patient is. "
        "Say at least one of them more generally.",
        fr=f"Ensemble, {_list([one.fr for one in said], 'et')} peuvent révéler qui est le patient. "
        "Dites au moins l'un de ces éléments de façon plus générale.",
    )


def part_in_words(part: str) -> Text:
    """What a part is. An unknown one (from a newer version of the platform) has words of its own."""
    return PARTS[Part(part)] if part in set(Part) else UNKNOWN_PART


def _list(said: list[str], last: str) -> str:
    return f"{', '.join(said[:-1])} {last} {said[-1]}" if len(said) > 1 else said[0]
