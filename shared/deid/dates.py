"""Dates more exact than the year, and ages above 89: what Safe Harbor (45 CFR 164.514(b)(2)) counts as identifying.

Numbers with a slash are dates only with a year, or after a word that says so: "12/8" is a blood pressure, "1/2" half a
tablet, "T12-L1" a part of the spine.
"""

import re
from collections.abc import Iterator
from datetime import date

from shared.deid.finding import Finding, Kind

_MONTHS_FR = (
    "janvier|janv|février|fevrier|févr|fevr|mars|avril|avr|mai|juin|juillet|juil|août|aout|septembre|sept|octobre|oct|"
    "novembre|nov|décembre|decembre|déc|dec"
)
_MONTHS_EN = (
    "January|Jan|February|Feb|March|Mar|April|Apr|May|June|Jun|July|Jul|August|Aug|September|Sept|Sep|October|Oct|"
    "November|Nov|December|Dec"
)
_DAYS = (
    "(?:lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|"
    "Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
)
_SPACE = r"[ \u00a0\u202f]"

PATTERNS: dict[str, re.Pattern[str]] = {
    "numeric": re.compile(
        r"(?<![\w./-])(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})(?![\d]|[/-]\d|[.]\d|,\d|\s?(?:mm|cm|mg|g|ml|kg|%))"
    ),
    "numeric_spaced": re.compile(r"(?<![\w./-])(\d{1,2}) ?([/.-]) ?(\d{1,2}) ?\2 ?((?:19|20)\d\d)(?!\d)"),
    "iso": re.compile(r"(?<![\w./-])((?:19|20)\d\d)([-/.])(\d{1,2})\2(\d{1,2})(?![\d]|[-/]\d)"),
    "month_year_numeric": re.compile(r"(?<![\w./-])(0?[1-9]|1[0-2])[/-]((?:19|20)\d\d)(?![\d/-])"),
    "day_month_said": re.compile(
        r"\b(?:le|du|au|depuis le|dès le|jusqu'au|jusqu’au|né le|née le|on|since|until|from|dated|DOB:?|J0:?|"
        + _DAYS
        + r")"
        + _SPACE
        + r"((\d{1,2})[/.](\d{1,2}))(?![\d/]|[.,]\d|\s?(?:mm|cm|mg|g\b|ml|cp|comprim|tablet|moyen|inf|sup|dist|"
        r"prox|ext|"
        r"int|ant|post|sur|heures|h\b|fois|times|hours|doses?|lobe|de la|du|des|of|upper|lower|middle|visits|"
        r"occasions))",
        re.IGNORECASE,
    ),
    "day_month_fr": re.compile(
        r"(?<![\w/])(?:"
        + _DAYS
        + r","
        + r"?"
        + _SPACE
        + r")?(\d{1,2})"
        + _SPACE
        + r"?(?:er|ère)?"
        + _SPACE
        + r"{0,2}(?:"
        + _MONTHS_FR
        + r")\b\.?(?:"
        + _SPACE
        + r"{1,2}(?:\d{4}|['’]?\d{2})(?![\d/,.]\d|\d|"
        + _SPACE
        + r"?(?:h|:|ans|mg|g|cm|mm|jours|mois|semaines)\b))?",
        re.IGNORECASE,
    ),
    "month_year_fr": re.compile(r"\b(?:" + _MONTHS_FR + r")\.?" + _SPACE + r"{1,2}(?:19|20)\d\d\b", re.IGNORECASE),
    "month_fr": re.compile(
        r"\b(?:en|depuis|début|debut|fin|mi-|courant|de|dès|d['’]ici|jusqu['’]en|mois de|mois d['’])"
        + _SPACE
        + r"?(janvier|février|fevrier|mars|avril|mai|juin|juillet|août|aout|septembre|octobre|novembre|décembre|"
        r"decembre)(?:" + _SPACE + r"(?:dernier|prochain))?(?!\w)",
        re.IGNORECASE,
    ),
    "day_month_en": re.compile(
        r"(?<![\w/])(?:"
        + _DAYS
        + r",?"
        + _SPACE
        + r"(?:the )?)?(\d{1,2})(?:st|nd|rd|th)?"
        + _SPACE
        + r"(?:of )?(?:"
        + _MONTHS_EN
        + r")\b\.?(?:,?"
        + _SPACE
        + r"{1,2}(?:19|20)\d\d\b)?"
    ),
    "month_day_en": re.compile(
        r"\b(?:"
        + _DAYS
        + r",?"
        + _SPACE
        + r")?(?:"
        + _MONTHS_EN
        + r")\.?"
        + _SPACE
        + r"(?:the )?(\d{1,2})(?:st|nd|rd|th)?(?![\d/%]|[.,:]\d|\s?(?:mg|g|ml|mm|cm|kg|percent|patients|cases)\b)(?:,?"
        + _SPACE
        + r"{1,2}(?:19|20)\d\d\b)?"
    ),
    "month_year_en": re.compile(r"\b(?:" + _MONTHS_EN + r")\.?,?" + _SPACE + r"{1,2}(?:of )?(?:19|20)\d\d\b"),
    "month_en": re.compile(
        r"\b(?:in|since|early|late|mid|last|next|until|during|by|of|this|from|before|after|mid-)"
        + _SPACE
        + r"?(January|February|March|April|May|June|July|August|September|October|November|December)\b(?! [A-Z][a-z])"
    ),
    "day_of_month_en": re.compile(
        r"\b(?:on|until|since|from|by) (?:" + _DAYS + r" )?(the \d{1,2}(?:st|nd|rd|th))\b(?! (?:day|week|month|year|"
        r"hour|finger|toe|rib|digit|metatarsal|metacarpal|ray|percentile|centile|nerve|ventricle|lumbar|visit|"
        r"attempt|dose|"
        r"intercostal|vertebra|postoperative|POD|hospital|line|and|floor|trimester|left|right))"
    ),
}
AGES: dict[str, re.Pattern[str]] = {
    "age_fr": re.compile(
        r"(?<![\w.,/])(9\d|1[01]\d)" + _SPACE + r"?ans\b(?! de (?:recul|suivi|survie|carrière))", re.I
    ),
    "age_en": re.compile(
        r"(?<![\w.,/])(9\d|1[01]\d)(?:[- ]?years?[- ]?olds?|[- ]?years? of age|[- ]?y/o|[- ]?yo\b|"
        r"[- ]yr[- ]?old| years\b"
        r"(?= old|,| of age))",
        re.I,
    ),
    "aged": re.compile(r"\b(?:aged?|âgée?s? de|âge ?:)" + _SPACE + r"?(9\d|1[01]\d)(?![\d.,%/])", re.I),
    "age_sex": re.compile(r"(?<![\w.,/])(9\d|1[01]\d) ?[MFH](?![\w.])"),
    "age_word": re.compile(r"\b(?:nonagénaire|centenaire|nonagenarian|centenarian)s?\b", re.I),
}


def find_dates(text: str, language: str) -> Iterator[Finding]:
    """Dates and ages above 89 in both languages: a French text may quote an English letter. They may overlap."""
    for rule in ("numeric", "numeric_spaced"):
        for match in PATTERNS[rule].finditer(text):
            if _is_date(match.group(1), match.group(3), match.group(4), match.group(2)):
                yield Finding(Kind.DATE, match.start(), match.end(), 0.93, rule)
    for match in PATTERNS["iso"].finditer(text):
        if _is_date(match.group(4), match.group(3), match.group(1), "-"):
            yield Finding(Kind.DATE, match.start(), match.end(), 0.95, "iso")
    for match in PATTERNS["day_month_said"].finditer(text):
        if _is_day_of_some_month(match.group(2), match.group(3)):
            yield Finding(Kind.DATE, match.start(1), match.end(1), 0.7, "day_month_said")
    for rule in ("day_month_fr", "day_month_en", "month_day_en"):
        for match in PATTERNS[rule].finditer(text):
            if 1 <= int(match.group(1)) <= 31:
                yield Finding(Kind.DATE, match.start(), match.end(), 0.94, rule)
    for rule in ("month_year_numeric", "month_year_fr", "month_year_en"):
        for match in PATTERNS[rule].finditer(text):
            yield Finding(Kind.DATE, match.start(), match.end(), 0.9, rule)
    for rule in ("month_fr", "month_en", "day_of_month_en"):
        for match in PATTERNS[rule].finditer(text):
            yield Finding(Kind.DATE, match.start(1), match.end(), 0.6, rule)
    for rule, pattern in AGES.items():
        for match in pattern.finditer(text):
            yield Finding(Kind.AGE, match.start(), match.end(), 0.9, rule)


def _is_date(day: str, month: str, year: str, sign: str) -> bool:
    """Whether the numbers are a day of the calendar, day first or month first. Points need a year in full."""
    if len(year) == 2 and (sign == "." or len(day) + len(month) < 3):
        return False
    full = int(year) if len(year) == 4 else 2000 + int(year)
    return 1880 <= full <= 2100 and any(_exists(full, *pair) for pair in ((month, day), (day, month)))


def _is_day_of_some_month(day: str, month: str) -> bool:
    return any(_exists(2024, *pair) for pair in ((month, day), (day, month)))


def _exists(year: int, month: str, day: str) -> bool:
    try:
        date(year, int(month), int(day))
    except ValueError:
        return False
    return True
