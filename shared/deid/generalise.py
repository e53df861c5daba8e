"""How words that may identify somebody are said more generally; nothing is ever changed into something false.

An age becomes a band, a town the region that it lies in, a date a distance in time from what happened; a name becomes a
role, and a number is left out.
"""

import re
from dataclasses import dataclass
from typing import Literal

from shared.deid.finding import Finding, Kind
from shared.deid.words import fold, regions, towns
from shared.events import AgeBand, Timing
from shared.singling import Part
from shared.web import Text

TOO_SMALL = frozenset({"BL", "MF", "PM", "WF", "MC", "AG", "DM", "GB-"})
"""Codes with so few inhabitants that the region is as telling as a town, or without a region's name."""

BANDS: dict[AgeBand, tuple[int, int]] = {
    band: (int(first), int(last)) if last != "up" else (int(first), 200)
    for band in AgeBand
    for _, first, last in (band.value.split("_"),)
}
"""The first and the last month (below two years) or year of each band."""

TIMINGS: dict[Timing, Text] = {
    Timing.WEEKS: Text(en="a few weeks ago", fr="il y a quelques semaines"),
    Timing.MONTHS: Text(en="some months ago", fr="il y a quelques mois"),
    Timing.ONE_TO_FIVE_YEARS: Text(en="one to five years ago", fr="il y a un à cinq ans"),
    Timing.OVER_FIVE_YEARS: Text(en="more than five years ago", fr="il y a plus de cinq ans"),
}
_LEAVE_OUT = Text(
    en="Leave the number out: nobody needs it to answer.", fr="Omettez ce numéro\u00a0: il ne sert pas à répondre."
)
_SAID: dict[Kind, Text] = {
    Kind.NAME: Text(
        en="Say who it is, not what they are called: “the patient”, “her daughter”, “the cardiologist”.",
        fr="Dites qui c'est, non comment on l'appelle\u00a0: «\u00a0la patiente\u00a0», «\u00a0sa fille\u00a0», "
        "«\u00a0le cardiologue\u00a0».",
    ),
    Kind.DATE: Text(
        en="Count from the event: “three weeks before admission”, “on day 5”. The year alone may stay.",
        fr="Comptez depuis l'événement\u00a0: «\u00a0trois semaines avant l'admission\u00a0», «\u00a0à "
        "J5\u00a0». L'année seule peut rester.",
    ),
    Kind.AGE: Text(en="Say “90 years or more”.", fr="Dites «\u00a090 ans ou plus\u00a0»."),
    Kind.PLACE: Text(
        en="Name the region or the country, or the kind of place: “a university hospital”, “a small town”.",
        fr="Nommez la région ou le pays, ou la sorte de lieu\u00a0: «\u00a0un CHU\u00a0», «\u00a0une petite "
        "ville\u00a0».",
    ),
    Kind.EMAIL: Text(
        en="Leave the address out; colleagues can reach you through the platform.",
        fr="Omettez l'adresse\u00a0; vos collègues peuvent vous joindre par la plateforme.",
    ),
    Kind.PHONE: Text(
        en="Leave the number out; colleagues can reach you through the platform.",
        fr="Omettez le numéro\u00a0; vos collègues peuvent vous joindre par la plateforme.",
    ),
    Kind.URL: Text(
        en="Leave the link out unless it leads to a publication.",
        fr="Omettez le lien, sauf s'il mène à une publication.",
    ),
}
_NO_REGION = Text(en="Leave the place out.", fr="Omettez le lieu.")
SAID_OF_PARTS: dict[Part, Text] = {
    Part.RARE: Text(
        en="Name the group of diseases if the question allows it: “a metabolic disease”.",
        fr="Nommez la famille de maladies, si la question le permet\u00a0: «\u00a0une maladie métabolique\u00a0».",
    ),
    Part.KNOWN: Text(
        en="Say what matters of the work: “stands all day”, “works outdoors”.",
        fr="Dites ce qui compte du travail\u00a0: «\u00a0debout toute la journée\u00a0», «\u00a0en extérieur\u00a0».",
    ),
    Part.REPORTED: Text(
        en="Say what it did to the body: “a burn”, “a fall from a height”.",
        fr="Dites ce qui est arrivé au corps\u00a0: «\u00a0une brûlure\u00a0», «\u00a0une chute de hauteur\u00a0».",
    ),
    Part.REGION: Text(en="Name the country, or no place.", fr="Nommez le pays, ou aucun lieu."),
    Part.WEEKS_AGO: Text(en="Do not say how long ago it was.", fr="Ne dites pas depuis combien de temps."),
    Part.MONTHS_AGO: Text(en="Do not say how long ago it was.", fr="Ne dites pas depuis combien de temps."),
    Part.VERY_OLD: Text(
        en="Leave the age out; “an elderly patient” is enough.",
        fr="Omettez l'âge\u00a0; «\u00a0un patient âgé\u00a0» suffit.",
    ),
    Part.INFANT: Text(
        en="Leave the age out; “an infant” is enough.", fr="Omettez l'âge\u00a0; «\u00a0un nourrisson\u00a0» suffit."
    ),
    Part.AGE_BAND: Text(
        en="Leave the age out; “a child”, “an adult” is enough.",
        fr="Omettez l'âge\u00a0; «\u00a0un enfant\u00a0», «\u00a0un adulte\u00a0» suffit.",
    ),
    Part.UNCOMMON_SEX: Text(en="Withhold the sex.", fr="Ne communiquez pas le sexe."),
}
"""What to say instead of a part that is no finding."""


@dataclass(frozen=True, slots=True)
class Offered:
    """What says as much, or less, as a fact beside the text. `value` is a code of GET /patient-facts; None: nothing."""

    field: Literal["age_band", "sex", "region", "timing"]
    value: str | None


@dataclass(frozen=True, slots=True)
class ExactAge:
    """An age that may stay, and would say as much as a band. Offsets in code points."""

    start: int
    end: int
    band: AgeBand


_AGE = re.compile(
    r"(?:(?:\b(?:de|âgée?s? de|âge ?:|aged)|,|\() ?(\d{1,3}) ?(ans|mois|years?|months?)(?=[ ,.;:)]|$)|"
    r"\b(\d{1,3})[- ](year|month|week|day)s?[- ]old\b|\baged (\d{1,3})(?![\w-]| (?:years?|months?|weeks?|days?)))"
)
_LAPSE = re.compile(r"(?:depuis|pendant|durant|plus|moins|près|suivi|recul|survie|for|over|after|évolution|cours) de $")


def suggestion(finding: Finding, text: str) -> tuple[Text, Offered | None]:
    """What to write instead, and as which fact it can be told. For a town that is known, the region it lies in."""
    if finding.kind is Kind.AGE:
        return _SAID[Kind.AGE], Offered("age_band", AgeBand.YEARS_90_UP)
    region = region_of(text[finding.start : finding.end]) if finding.kind is Kind.PLACE else None
    if region is None:
        return _SAID.get(finding.kind, _LEAVE_OUT), None
    english, french = regions()[region]
    said = Text(
        en=f"Name the region ({english}) or the kind of place: “a university hospital”, “a small town”.",
        fr=f"Nommez la région ({french}) ou la sorte de lieu\u00a0: «\u00a0un CHU\u00a0», «\u00a0une petite "
        "ville\u00a0».",
    )
    return said, Offered("region", region)


def offer_of(part: Part, value: str | None) -> Text:
    """What to tell instead of a fact: of a region the country that it lies in, if that is larger."""
    if part is not Part.REGION:
        return SAID_OF_PARTS[part]
    if value is None:
        return _NO_REGION
    english, french = regions()[value]
    return Text(en=f"Name the country ({english}), or no place.", fr=f"Nommez le pays ({french}), ou aucun lieu.")


def region_of(words: str) -> str | None:
    """The code of the region in which a place lies, by the last town that the words name."""
    parts = [fold(part) for part in re.findall(r"[^\W\d_]+", words)]
    for end in range(len(parts), 0, -1):
        for start in range(max(0, end - 6), end):
            code = towns().get(" ".join(parts[start:end]))
            if code is not None and code not in TOO_SMALL:
                return code
    return None


def age_band(years: int, months: int = 0) -> AgeBand:
    """The band of an age; months count below two years. Raises ValueError for a negative age."""
    if years < 0 or months < 0:
        raise ValueError("an age is not negative")
    total = years * 12 + months
    unit, value = ("months", total) if total < 24 else ("years", total // 12)
    for band, (first, last) in BANDS.items():
        if band.value.startswith(unit) and first <= value <= last:
            return band
    return AgeBand.YEARS_90_UP


def band_in_words(band: AgeBand) -> Text:
    """ "85 to 89 years", "6 to 11 months", "90 years or more"."""
    first, last = BANDS[band]
    if band is AgeBand.YEARS_90_UP:
        return Text(en="90 years or more", fr="90 ans ou plus")
    months = band.value.startswith("months")
    english, french = ("months", "mois") if months else ("years", "ans")
    return Text(en=f"{first} to {last} {english}", fr=f"{first} à {last} {french}")


def exact_ages(text: str) -> list[ExactAge]:
    """Ages up to 89 as the text gives them: they may stay, and a band is safer."""
    found = []
    for match in _AGE.finditer(text):
        group = match.lastindex or 0
        number, unit = (match[5], "years") if group == 5 else (match[group - 1], match[group])
        place = match.start(5 if group == 5 else group - 1)
        if _LAPSE.search(text, max(0, place - 16), place):
            continue
        count = int(number)
        if unit.startswith(("an", "year")):
            band = age_band(count)
        else:
            band = age_band(0, count if unit.startswith("mo") else 0)
        if band is not AgeBand.YEARS_90_UP:
            found.append(ExactAge(place, match.end(), band))
    return found


def offered_regions() -> dict[str, tuple[str, str]]:
    """Countries and regions that may be named, by code: English and French."""
    return {code: names for code, names in regions().items() if code not in TOO_SMALL}
