"""Places smaller than a region: towns, streets, postcodes, hospitals and clinics, wards, rooms and beds."""

import re
from collections.abc import Iterator
from functools import cache

from shared.deid.finding import Finding, Kind
from shared.deid.words import brands, doubtful_first_names, eponyms, first_names, fold, region_words, surnames, towns
from shared.deid.words.usage import (
    CARE,
    FUNCTION_WORDS,
    GENERIC_PLACES,
    MONTHS_AND_DAYS,
    PEOPLES,
    PLACE_WORDS,
    WEAK_PLACE_WORDS,
    WORLD,
)
from shared.deid.words_of_text import Word, Words

_NAME = r"[A-ZÀ-ÖØ-Þ][\w'’-]{1,24}"
_LINK = r"(?:de la |de l['’]|du |des |de |d['’]|la |le |les |l['’]|aux |au |en |et |sur |sous |lès |lez )"
_CHAIN = _LINK + r"{0,2}" + _NAME + r"(?:[ -]" + _LINK + r"{0,2}" + _NAME + r"){0,4}"
_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA|"
    "RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY|DC"
)

PATTERNS: dict[str, re.Pattern[str]] = {
    "street_fr": re.compile(
        r"(?<![\w.,/])\d{1,4}(?: ?(?:bis|ter|quater|[A-D]))?,? (?:rue|avenue|av\.?|bd\.?|boulevard|chemin|"
        r"impasse|allées?|"
        r"place|pl\.|quai|route|rte|cours|square|faubourg|fbg|sentier|passage|esplanade|villa|cité|lotissement|"
        r"résidence|"
        r"hameau|lieu-dit|voie|rond-point) " + _LINK + r"{0,2}[\w'’-]{2,25}(?: " + _LINK + r"{0,2}" + _NAME + r"){0,4}",
        re.IGNORECASE,
    ),
    "street_fr_bare": re.compile(
        r"\b(?:[Rr]ue|[Aa]venue|[Bb]oulevard|[Ii]mpasse|[Aa]llées?|[Qq]uai|[Cc]hemin|[Ff]aubourg|[Pp]lace|[Ss]quare|"
        r"[Rr]ésidence|[Ll]otissement|[Hh]ameau|[Qq]uartier|[Cc]ité) " + _CHAIN
    ),
    "street_en": re.compile(
        r"(?<![\w.,/])(?:\d{1,5}[A-Za-z]?,? )?(?:[NSEW]\.? )?(?:"
        + _NAME
        + r" ){1,3}(?:Street|St\.?|Road|Rd\.?|Avenue|Ave\.?|Lane|"
        r"Ln\.?|Drive|Dr\.?(?=[,. \n]|$)|Boulevard|Blvd\.?|Close|Crescent|Terrace|Place|Court|Way|Gardens|Grove|"
        r"Parkway|"
        r"Highway)(?![\w])(?<!Dr)(?<!Dr\.)"
    ),
    "postcode_town": re.compile(r"(?<![\w.,/])(?:[FBL]-)?(?:\d{5}|\d{4})(?= (?:Saint|Le |La |Les |" + _NAME + r"))"),
    "postcode_said": re.compile(
        r"\b(?:CP|code postal|zip(?: code)?|postcode|postal code)\W{0,3}(?:est |"
        r"is )?([A-Z0-9]{2,5}(?: ?\d[A-Z]{2})?)(?!\w)",
        re.I,
    ),
    "postcode_uk": re.compile(r"(?<![\w-])[A-Z]{1,2}\d[A-Z\d]? ?\d[ABD-HJLNP-UW-Z]{2}(?![\w-])"),
    "postcode_us": re.compile(r"(?<![\w-])(?:" + _STATES + r"),? \d{5}(?:-\d{4})?(?![\w-])"),
    "postcode_ca": re.compile(r"(?<![\w-])[ABCEGHJ-NPR-TVXY]\d[A-Z][ -]\d[A-Z]\d(?![\w-])"),
    "hospital_fr": re.compile(
        r"\b(?:CHU|CHRU|CHR|CHI|CH|CLCC|AP-HP|APHP|HCL|[Hh]ôpital|[Hh]opital|"
        r"[Cc]entre [Hh]ospitalier(?: (?:[Uu]niversitaire|"
        r"[Rr]égional|[Gg]énéral|[Ii]ntercommunal))?|[Cc]linique|[Pp]olyclinique|[Mm]aternité|EHPAD|"
        r"[Mm]aison de retraite|"
        r"SSR|SMR|USLD|[Ff]oyer|[Ii]nstitut|[Cc]abinet(?: médical)?|[Mm]aison de santé|[Pp]harmacie|[Ll]aboratoire|"
        r"[Cc]ollège|[Ll]ycée|[Éé]cole|[Cc]rèche|[Cc]entre [Aa]nti-?[Cc]ancéreux|HIA|[Gg]roupe [Hh]ospitalier|"
        r"MSP|[Cc]entre|CMP|CMPP|HDJ|IME|CSAPA|PMI|[Rr]ésidence) " + r"(?:universitaire |militaire |privée? )?" + _CHAIN
    ),
    "hospital_en": re.compile(
        r"(?<![\w'’])(?:St\.? |Saint )?(?:" + _NAME + r"(?: of | and | & | the |'s |’s | )){1,5}"
        r"(?:Hospital|Infirmary|Clinic|Medical Cent(?:er|re)|Health Cent(?:er|re)|Nursing Home|Care Home|Hospice|"
        r"Surgery|Medical Practice|Health System|Children['’]s|High School|Primary School|Elementary|University|"
        r"College|Pharmacy)"
        r"(?![\w])"
    ),
    "hospital_of_en": re.compile(
        r"\b(?:[Hh]ospital|[Uu]niversity|[Cc]linic|[Ii]nfirmary) of " + _NAME + r"(?: " + _NAME + r"){0,2}"
    ),
    "ward": re.compile(
        r"(?<![\w-])(?:[Cc]hambre|[Ll]it|[Bb]ox|[Ss]alle|[Rr]oom|[Bb]ed|[Ww]ard|[Bb]ay|[Cc]ubicle|[Pp]orte|[Bb]âtiment|"
        r"[Pp]avillon|[Uu]nité|[Ss]ecteur|[Ff]loor|[Ll]evel (?=\d[A-Z]))"
        r"(?: n[°ºo]\.?| no\.?| numéro| number)? ?(?=[A-Z]?-?\d)[A-Z]?-?\d{1,4}[A-Z]?\b(?! ?(?:mg|ml|UI|units|"
        r"h\b|heures|x |×))"
    ),
    "ward_named": re.compile(
        r"\b(?:[Ss]ervice|[Uu]nité|[Ss]ecteur|[Pp]avillon|[Bb]âtiment|[Ss]alle) (?:du (?:Pr|Dr|Professeur|"
        r"Docteur)\.? )?(?:"
        + _NAME
        + r")(?: [A-Z]\d?\b)?|(?<![\w'’])"
        + _NAME
        + r" (?:Ward|Wing|Suite|Pavilion|Building)\b"
    ),
}
NOT_WARDS = CARE | PEOPLES | MONTHS_AND_DAYS | FUNCTION_WORDS
_TOWN_WORDS = 6


def find_places(text: str, words: Words, language: str) -> Iterator[Finding]:
    """Places by their form and by the list of towns. They may overlap."""
    for rule in ("street_fr", "postcode_uk", "postcode_us", "postcode_ca", "ward"):
        if rule == "postcode_uk" and language == "fr":
            continue
        for match in PATTERNS[rule].finditer(text):
            yield Finding(Kind.PLACE, match.start(), match.end(), 0.92, rule)
    for match in PATTERNS["postcode_said"].finditer(text):
        if any(sign.isdigit() for sign in match.group(1)):
            yield Finding(Kind.PLACE, match.start(1), match.end(1), 0.92, "postcode_said")
    for match in PATTERNS["postcode_town"].finditer(text):
        if _a_town_follows(text[match.end() + 1 : match.end() + 40]):
            yield Finding(Kind.PLACE, match.start(), match.end(), 0.9, "postcode_town")
    for rule in ("street_fr_bare", "street_en", "hospital_fr", "hospital_en", "hospital_of_en", "ward_named"):
        for match in PATTERNS[rule].finditer(text):
            start = _without_first_words(match.group()) + match.start()
            if start < match.end() and _names_something(text[start : match.end()], rule):
                yield Finding(Kind.PLACE, start, match.end(), 0.88, rule)
    yield from _towns(words, language)


def _a_town_follows(words: str) -> bool:
    parts = re.findall(r"[^\W\d_]+", words)
    return any(fold(" ".join(parts[:count])) in towns() for count in range(1, min(len(parts), 4) + 1))


def _without_first_words(found: str) -> int:
    """How much of the beginning is an article or a word that opens a sentence: "At Saint Mary's" begins at Saint."""
    at = 0
    for word in re.finditer(r"\S+ ", found):
        if word.start() != at or fold(word.group().strip()) not in FUNCTION_WORDS:
            break
        at = word.end()
    return at


def _names_something(found: str, rule: str) -> bool:
    """Whether a capitalised word of it is more than a common one: "Emergency Department" and "CHU" name no place."""
    capital = [word for word in re.findall(r"[^\W\d_]+", found) if word[0].isupper()]
    common = CARE | FUNCTION_WORDS | PEOPLES | GENERIC_PLACES
    telling = [word for word in capital if fold(word) not in common]
    if rule == "ward_named":
        return any(fold(word) not in NOT_WARDS and not (len(word) > 1 and word.isupper()) for word in telling)
    numbered = rule == "street_en" and found[0].isdigit()
    return bool(telling) or (numbered and len(capital) > 1)


@cache
def _usual() -> frozenset[str]:
    return CARE | PEOPLES | MONTHS_AND_DAYS | WORLD | FUNCTION_WORDS | brands() | region_words()


def _towns(words: Words, language: str) -> Iterator[Finding]:
    place = 0
    while place < len(words):
        count = _town_at(words, place, language)
        if count:
            first, last = words.words[place], words.words[place + count - 1]
            yield Finding(Kind.PLACE, first.start, last.end, 0.82 if count == 1 else 0.87, "town")
        place += max(count, 1)


def _town_at(words: Words, place: int, language: str) -> int:
    """How many words from here on are a town's name, 0 for none: the longest that fits."""
    first = words.words[place]
    if not first.capital:
        return 0
    keys: list[str] = []
    fits = 0
    for count in range(1, _TOWN_WORDS + 1):
        word = words.at(place + count - 1)
        if word is None or (count > 1 and word.gap not in {" ", "-", "'", "’", ". ", "\u00a0"}):
            break
        joined = "'" if word.gap in {"'", "’"} else " "
        keys.append((joined if count > 1 else "") + {"st": "saint", "ste": "sainte"}.get(word.key, word.key))
        region = towns().get("".join(keys))
        if region is not None and (word.capital or count == 1) and _is_meant(words, place, count, region, language):
            fits = count
    return fits


def _is_meant(words: Words, place: int, count: int, region: str, language: str) -> bool:
    first, before = words.words[place], words.at(place - 1)
    introduced = before is not None and first.close and not first.opens and before.key in PLACE_WORDS
    weakly = before is not None and not first.opens and before.key in WEAK_PLACE_WORDS
    if place in words.loud and not introduced:
        return False
    if count > 1:
        return not all(word.key in _usual() for word in words.words[place : place + count])
    if first.key in _usual() and not (introduced and first.key in {"nice", "tours", "sens", "reading", "bath"}):
        return False
    person = first.key in first_names() or first.key in surnames() or first.key in doubtful_first_names()
    if (
        first.key in eponyms()
        and not person
        and first.gap == ", "
        and before is not None
        and before.capital
        and before.key not in eponyms()
    ):
        return True
    if person or first.key in eponyms():
        return introduced and not (first.key in first_names() and first.key not in _KNOWN_TOWNS)
    if first.all_capitals and len(first.text) < 5:
        return False
    abroad = (
        region.startswith(("US", "AU", "NZ", "CA-0", "GB", "IE"))
        if language == "fr"
        else region.startswith(("FR", "BE"))
    )
    if first.opens:
        return _heads_a_letter(words, place)
    return introduced or weakly or not abroad


_KNOWN_TOWNS = frozenset(
    ["florence", "valence", "charlotte", "austin", "dallas", "lourdes", "nancy", "alençon", "orleans"]
)


def _heads_a_letter(words: Words, place: int) -> bool:
    """ "Bordeaux, le 12 mars": a town at the beginning of a line, with the date after it."""
    following: Word | None = words.at(place + 1)
    return following is not None and following.gap == ", " and following.key in {"le", "on", "the"}
