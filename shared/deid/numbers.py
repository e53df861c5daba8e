"""Numbers and addresses that belong to one person: telephone, e-mail, social security, registries, records, plates.

A pattern of ours proposes, a library decides where it can: `phonenumbers` (is this a number that can be dialled?) and
`python-stdnum` (do the check digits fit?). A number with wrong check digits in the right shape is still pointed out,
with a lower score: a typing error does not make it anonymous.

Every pattern has a largest width and repeats nothing that repeats, so that searching takes time in proportion to the
length of the text (tests/unit/test_deid_bounds.py).
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address

import phonenumbers
from stdnum import luhn
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.us import ssn

from shared.deid.finding import Finding, Kind

PATTERNS: dict[str, re.Pattern[str]] = {
    "email": re.compile(
        r"(?<![\w.+-])[\w.+%-]{1,64}\s?(?:@|\[at\]|\(at\)|\[arobase\])\s?[A-Za-z0-9.-]{1,100}\.[A-Za-z]{2,18}(?![\w])"
    ),
    "link": re.compile(
        r"(?<![\w@.])(?:(?:https?|ftp)://[^\s<>\"'«»()]{3,300}|www\.[^\s<>\"'«»()]{3,200}|"
        r"(?:[a-z0-9-]{2,40}\.){1,3}(?:com|org|net|fr|eu|be|ch|ca|uk|io|info|gouv|edu|gov)(?:/[^\s<>\"'«»()]{0,200})?)"
        r"(?<![.,;:!?])(?![\w@])"
    ),
    "handle": re.compile(r"(?<![\w@./])@[A-Za-z_]\w{2,30}(?![\w.@])"),
    "ip4": re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d]|\.\d)"),
    "ip6": re.compile(r"(?<![\w:])[0-9A-Fa-f]{1,4}(?::{1,2}[0-9A-Fa-f]{1,4}){2,7}(?![\w:])"),
    "nir": re.compile(
        r"(?<![\d.,])[12378][ .-]?\d\d[ .-]?\d\d[ .-]?(?:\d\d|2[ABab])[ .-]?\d{3}[ .-]?\d{3}(?:[ .-]{0,3}\d\d)?(?!\d)"
    ),
    "ssn": re.compile(r"(?<![\d-])\d{3}([- ])\d\d\1\d{4}(?![\d-])"),
    "ssn_said": re.compile(r"\b(?:SSN|[Ss]ocial [Ss]ecurity(?: [Nn]umber| [Nn]o\.?)?)\W{1,4}(?:is )?(\d{9})(?!\d)"),
    "rpps": re.compile(r"(?<![\d.,])(?:8\s?)?\d{11}(?![\d])"),
    "rpps_said": re.compile(r"\bRPPS\b\W{0,4}(?:n[°ºo]|num[ée]ro|:|est|is|number)?\W{0,4}((?:\d ?){10}\d)(?!\d)"),
    "adeli_said": re.compile(r"\bADELI\b\W{0,4}(?:n[°ºo]|num[ée]ro|:|est|is|number)?\W{0,4}((?:\d ?){8}\d)(?!\d)"),
    "npi_said": re.compile(r"\bNPI\b\W{0,4}(?:no\.?|number|is|#|:)?\W{0,4}(\d{10})(?!\d)"),
    "npi": re.compile(r"(?<![\d.,+])[12]\d{9}(?!\d)"),
    "nhs": re.compile(r"(?<![\d.,+])\d{3}([ -]?)\d{3}\1\d{4}(?!\d)"),
    "nhs_said": re.compile(r"\bNHS(?: number| no\.?|)\W{1,4}(?:is )?(\d{3}[ -]?\d{3}[ -]?\d{4})(?!\d)", re.IGNORECASE),
    "record": re.compile(
        r"\b(?:IPP|NIP|NDA|IEP|MRN|DMP|INS|NHC|URN|HRN|num[ée]ro d['’](?:admission|hospitalisation|identification|"
        r"anonymat)|(?:n[°ºo]\.?|num[ée]ro|nº) ?(?:de |du |d['’])?(?:dossier|patient|s[ée]jour|passage|venue|carte|"
        r"examen|anapath|adh[ée]rent|mutuelle|pr[ée]l[èe]vement|permanent)|dossier(?: m[ée]dical| patient)?|"
        r"(?:hospital|medical record|patient|record|chart|case record|file|accession|encounter|visit|account|policy|"
        r"member|specimen|health card|medicare|medicaid|insurance|admission|unit)(?: id| ID)?"
        r"(?: (?:number|no\.?|num|nr|#)| ?#|(?<=[iI][dD])))"
        r"[ \t]{0,2}(?:n[°ºo]\.?|num[ée]ro|#|no\.|number)?[ \t]{0,2}(?:est |is |was |: ?|= ?|- ?)?[ \t]{0,2}"
        r"((?=[A-Z0-9./-]{0,14}\d{2})[A-Z0-9](?:[A-Z0-9./-]{2,20}|[0-9 ]{4,14})(?<![./ -]))(?![A-Za-z0-9])",
        re.IGNORECASE,
    ),
    "long_digits": re.compile(r"(?<![\w.,+/-])\d{8,20}(?![\w]|[.,/]\d|\s?(?:/|copies|UI|IU|UFC|CFU|cells?|g[ée]q)\b)"),
    "plate_fr": re.compile(r"(?<![\w-])[A-HJ-NP-TV-Z]{2}[- ]\d{3}[- ][A-HJ-NP-TV-Z]{2}(?![\w-])"),
    "plate_fr_old": re.compile(r"(?<![\w-])\d{2,4} [A-HJ-NP-TV-Z]{2,3} (?:\d\d|2[AB]|97\d)(?![\w-])"),
    "plate_uk": re.compile(r"(?<![\w-])[A-HJ-PR-Y][A-HJ-PR-Z]\d\d ?[A-HJ-PR-Z]{3}(?![\w-])"),
    "plate_said": re.compile(
        r"\b(?:[Ii]mmatricul[ée]e?|[Pp]laque(?: d['’]immatriculation)?|(?:[Ll]icen[cs]e |[Nn]umber )?[Pp]late|"
        r"[Rr]egistration(?: number)?)"
        r"(?: number| no\.?| n°)?(?: :| was| is|:)? ?((?=[A-Z0-9 -]{0,9}\d)[A-Z0-9](?:[A-Z0-9]|[ -](?=[A-Z0-9])){3,10})"
        r"(?![\w])"
    ),
    "phone_fr": re.compile(r"(?<![\w.,/+-])0[1-9](?:[ .\-  ]{0,2}\d\d){4}(?![\d/]|[.,]\d)"),
    "phone_any": re.compile(r"(?<![\w.,])(?:\+|00)\d{1,3}[ .\- ]{0,2}(?:\(0\)|\(\d{1,4}\))?(?:[ .\- ]?\d){6,12}(?!\d)"),
    "phone_us": re.compile(r"(?<![\w.,/+-])(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\d-])"),
    "phone_us_short": re.compile(r"(?<![\w.,/+-])\d{3}-\d{4}(?![\d-])"),
    "phone_uk": re.compile(r"(?<![\w.,/+-])\(?0\d{2,4}\)?[ -]?\d{3,4}[ -]?\d{3,4}(?!\d)"),
    "phone_ch_be": re.compile(r"(?<![\w.,/+-])0\d{1,3}[ ./]{1,2}\d{2,3}[ .]\d\d[ .]\d\d(?![\d/]|[.,]\d)"),
}
SAID_PHONE = re.compile(r"(?:t[ée]l|phone|call|bip|poste|pager|ext|fax|mobile|cell|portable|joindre|reach)\W", re.I)


def find_numbers(text: str, language: str) -> Iterator[Finding]:
    """Findings of every kind but names, dates, ages and places. They may overlap."""
    yield from _plain(text, "email", Kind.EMAIL, 0.99)
    yield from _plain(text, "link", Kind.URL, 0.95)
    yield from _plain(text, "handle", Kind.URL, 0.6)
    yield from _addresses_of_machines(text)
    yield from _phones(text, language)
    yield from _people_numbers(text, language)
    yield from _records_and_plates(text, language)


def _plain(text: str, rule: str, kind: Kind, score: float, group: int = 0) -> Iterator[Finding]:
    for match in PATTERNS[rule].finditer(text):
        yield Finding(kind, match.start(group), match.end(group), score, rule)


def _addresses_of_machines(text: str) -> Iterator[Finding]:
    for rule in ("ip4", "ip6"):
        for match in PATTERNS[rule].finditer(text):
            try:
                ip_address(match.group())
            except ValueError:
                continue
            if rule == "ip4" or re.search("[a-fA-F]|::", match.group()):  # 12:30:00 is a time
                yield Finding(Kind.IP, match.start(), match.end(), 0.9, rule)


def _phones(text: str, language: str) -> Iterator[Finding]:
    rules = {
        "phone_fr": "FR",
        "phone_ch_be": "BE",
        "phone_any": None,
        "phone_us": "US",
        "phone_uk": "GB",
        "phone_us_short": "US",
    }
    for rule, region in rules.items():
        for match in PATTERNS[rule].finditer(text):
            said = bool(SAID_PHONE.search(text, max(0, match.start() - 25), match.start()))
            if rule == "phone_us_short" and not said:
                continue
            mobile = (
                rule == "phone_uk" and match.group().startswith("07") and sum(map(str.isdigit, match.group())) == 11
            )
            if rule in {"phone_uk", "phone_ch_be"} and not (said or mobile or _can_be_dialled(match.group(), region)):
                continue
            sure = said or _can_be_dialled(match.group(), region)
            score = 0.96 if sure else 0.7
            if language == "fr" and rule in {"phone_uk", "phone_us"} and not said:
                score -= 0.3
            yield Finding(Kind.PHONE, match.start(), match.end(), score, rule)


def _can_be_dialled(words: str, region: str | None) -> bool:
    digits = "+" + words[2:] if words.startswith("00") else words
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(digits, region))
    except phonenumbers.NumberParseException:
        return False


def _people_numbers(text: str, language: str) -> Iterator[Finding]:
    for match in PATTERNS["nir"].finditer(text):
        digits = re.sub(r"[ .-]", "", match.group())
        if nir.is_valid(digits):
            yield Finding(Kind.NIR, match.start(), match.end(), 0.99, "nir")
        elif _month(digits[3:5]):
            yield Finding(Kind.NIR, match.start(), match.end(), 0.85, "nir_shape")
    for match in PATTERNS["ssn"].finditer(text):
        score = 0.95 if ssn.is_valid(re.sub(r"\D", "-", match.group())) else 0.65
        yield Finding(Kind.SSN, match.start(), match.end(), score, "ssn")
    yield from _plain(text, "ssn_said", Kind.SSN, 0.97, 1)
    for rule, kind in (("rpps_said", Kind.RPPS), ("adeli_said", Kind.RPPS), ("npi_said", Kind.NPI)):
        yield from _plain(text, rule, kind, 0.97, 1)
    for match in PATTERNS["rpps"].finditer(text):
        yield Finding(Kind.RPPS, match.start(), match.end(), 0.85 if _luhn(match.group()[-11:]) else 0.7, "rpps")
    for match in PATTERNS["npi"].finditer(text):
        if _luhn("80840" + match.group()):
            yield Finding(Kind.NPI, match.start(), match.end(), 0.8 if language == "en" else 0.6, "npi")
    yield from _plain(text, "nhs_said", Kind.NHS, 0.97, 1)
    for match in PATTERNS["nhs"].finditer(text):
        if language == "en" and nhs.is_valid(re.sub(r"\D", "", match.group())):
            yield Finding(Kind.NHS, match.start(), match.end(), 0.9, "nhs")


def _records_and_plates(text: str, language: str) -> Iterator[Finding]:
    yield from _plain(text, "record", Kind.RECORD_NUMBER, 0.93, 1)
    yield from _plain(text, "long_digits", Kind.RECORD_NUMBER, 0.5)
    yield from _plain(text, "plate_fr", Kind.PLATE, 0.9)
    yield from _plain(text, "plate_fr_old", Kind.PLATE, 0.5)
    if language == "en":
        yield from _plain(text, "plate_uk", Kind.PLATE, 0.8)
    yield from _plain(text, "plate_said", Kind.PLATE, 0.94, 1)


def _luhn(digits: str) -> bool:
    return luhn.is_valid(re.sub(r"\D", "", digits))


def _month(digits: str) -> bool:
    """Months of a NIR: 01 to 12, and the codes for an unknown month of birth."""
    return "01" <= digits <= "12" or digits >= "20"
