"""What a DICOM header says of people, places and days, as words to look for in the picture, and whether a line holds
one.

The words help to decide about burned-in text and are then left behind: they are never written, logged or sent, and
nothing here puts one into an exception.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

_IDS = frozenset(
    {
        "AccessionNumber",
        "AdmissionID",
        "FillerOrderNumberImagingServiceRequest",
        "IssuerOfPatientID",
        "OtherPatientIDs",
        "PatientAddress",
        "PatientAge",
        "PatientID",
        "PatientTelephoneNumbers",
        "PerformedProcedureStepID",
        "PlacerOrderNumberImagingServiceRequest",
        "RequestedProcedureID",
        "ScheduledProcedureStepID",
        "ServiceEpisodeID",
        "StudyID",
    }
)
_PLACES = frozenset(
    {
        "InstitutionAddress",
        "InstitutionName",
        "InstitutionalDepartmentName",
        "PerformedStationName",
        "RequestingService",
        "StationName",
    }
)
_MOMENTS = frozenset({"AcquisitionTime", "ContentTime", "PatientBirthTime", "SeriesTime", "StudyTime"})

# English, French, German, Spanish and Italian, as scanners print them; accents are gone before the comparison.
_MONTHS = (
    ("jan", "january", "janv", "janvier", "januar", "ene", "enero", "gen", "gennaio"),
    ("feb", "february", "fev", "fevr", "fevrier", "februar", "febrero", "febbraio"),
    ("mar", "march", "mars", "marz", "maerz", "marzo"),
    ("apr", "april", "avr", "avril", "abr", "abril", "aprile"),
    ("may", "mai", "mayo", "mag", "maggio"),
    ("jun", "june", "juin", "juni", "junio", "giu", "giugno"),
    ("jul", "july", "juil", "juillet", "juli", "julio", "lug", "luglio"),
    ("aug", "august", "aou", "aout", "ago", "agosto"),
    ("sep", "sept", "september", "septembre", "septiembre", "set", "settembre"),
    ("oct", "october", "octobre", "okt", "oktober", "octubre", "ott", "ottobre"),
    ("nov", "november", "novembre", "noviembre"),
    ("dec", "december", "decembre", "dez", "dezember", "dic", "diciembre", "dicembre"),
)
_TITLES = frozenset({"dr", "drs", "prof", "mr", "mrs", "ms", "mme", "mlle", "herr", "frau", "md", "phd"})

_DEPTH = 6
_WORDS = 4_000
_VALUE_CHARACTERS = 400
_LONG_ENOUGH_TO_BE_PART = 5  # letters or digits of a word that counts also without spaces round it
_LONG_ENOUGH_TO_ERR = 6  # and of one in which a wrong letter is forgiven

# What recognition takes for one another; both sides are folded before they are compared.
_ALIKE = str.maketrans({"o": "0", "q": "0", "d": "0", "i": "1", "l": "1", "s": "5", "b": "8", "z": "2", "g": "6"})


def header_words(dataset: Dataset) -> frozenset[str]:
    """Names, ids, places, dates and times anywhere in the header, normalised: no case, accent, space or punctuation.

    Of a name its parts, its whole in both orders, and its initials (two letters and more); of a date the orders and
    month names in which it is written. A value that pydicom cannot read gives no word. At most a few thousand.
    """
    words: set[str] = set()
    for element in _elements(dataset, _DEPTH):
        values = element.value if element.VM > 1 else [element.value]
        for value in values:
            text = str(value)[:_VALUE_CHARACTERS]
            if element.VR == "PN":
                words.update(_of_name(text))
            elif element.VR in ("DA", "DT"):
                words.update(_of_date(text))
            elif element.VR == "TM":
                words.update(_of_time(text))
            else:
                words.update(_of_id(text))
            if len(words) > _WORDS:
                return frozenset(sorted(words)[:_WORDS])
    return frozenset(words)


def matched(text: str, words: frozenset[str]) -> bool:
    """Does a line of read text hold one of the words?

    Case, accents and punctuation do not count, nor which of two look-alikes (0 and O, 1 and l) was read; a word of
    six characters or more may have one wrong, one too many or one too few. Short words must stand alone.
    """
    parts = _parts(text)
    if not parts or not words:
        return False
    whole = "".join(parts)
    alone = {*parts, whole, *(one + other for one, other in itertools.pairwise(parts))}
    folded_whole = whole.translate(_ALIKE)
    folded_alone = {part.translate(_ALIKE) for part in alone if len(part) > 3}
    for word in words:
        if word in alone:
            return True
        if len(word) <= 3:
            continue
        folded = word.translate(_ALIKE)
        if folded in folded_alone or (len(word) >= _LONG_ENOUGH_TO_BE_PART and folded in folded_whole):
            return True
        if len(word) >= _LONG_ENOUGH_TO_ERR and any(_nearly(folded, part) for part in folded_alone):
            return True
    return False


def _elements(dataset: Dataset, depth: int) -> Iterator[DataElement]:
    for tag in list(dataset.keys()):
        if tag.is_private or tag.group in (0x0028, 0x7FE0):
            continue
        try:
            element = dataset[tag]
            empty = element.is_empty
        except Exception:  # noqa: S112 - what pydicom cannot read cannot be looked for; it may quote a name: not logged
            continue
        if empty:
            continue
        if element.VR == "SQ":
            for item in element.value if depth else ():
                yield from _elements(item, depth - 1)
        elif (
            element.VR in ("PN", "DA", "DT")
            or (element.VR == "TM" and element.keyword in _MOMENTS)
            or element.keyword in _IDS
            or element.keyword in _PLACES
        ):
            yield element


def _plain(text: str) -> str:
    """Lower case, no accents: what is left of `É` is `e`, of `ß` is `ss`."""
    spread = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in spread if not unicodedata.combining(letter))


def _parts(text: str) -> list[str]:
    return [part for part in re.split(r"[\W_]+", re.sub("['’`]", "", _plain(text))) if part]


def _of_name(text: str) -> Iterator[str]:
    for spelling in text.split("="):  # alphabetic, ideographic, phonetic
        names = [part for part in _parts(spelling.replace("^", " ")) if part not in _TITLES]
        yield from (name for name in names if len(name) > 1)
        for component in spelling.split("^"):  # O'Brien, Jean-Luc
            joined = "".join(_parts(component))
            if len(joined) > 1:
                yield joined
        people = [part for part in names if not part.isdigit()]
        if len(people) > 1:
            turned = people[1:] + people[:1]
            yield from ("".join(people), "".join(turned))
            initials, other = "".join(one[0] for one in people), "".join(one[0] for one in turned)
            yield from (initials, other, initials[:2], initials[1::-1])
            yield from (people[0] + people[1][0], people[1][0] + people[0])  # Doe J, J Doe


def _of_id(text: str) -> Iterator[str]:
    parts = _parts(text)
    for part in (*parts, "".join(parts)):
        if len(part) > 2:
            yield part
            if len(part.lstrip("0")) > 2:
                yield part.lstrip("0")


def _of_date(text: str) -> Iterator[str]:
    found = re.match(r"(\d{4})[.\-]?(\d{2})[.\-]?(\d{2})", text)
    if not found or not 1 <= int(found[2]) <= 12:
        return
    year, month, day = found[1], found[2], found[3]
    bare_month, bare_day = month.lstrip("0"), day.lstrip("0")
    for long_or_short in (year, year[2:]):
        for written_day, written_month in {(day, month), (bare_day, bare_month), (bare_day, month), (day, bare_month)}:
            for order in (
                (long_or_short, written_month, written_day),
                (written_day, written_month, long_or_short),
                (written_month, written_day, long_or_short),
            ):
                if sum(map(len, order)) >= 6:
                    yield "".join(order)
        for name in _MONTHS[int(month) - 1]:
            for written_day in {day, bare_day}:
                yield f"{written_day}{name}{long_or_short}"
                yield f"{name}{written_day}{long_or_short}"
            yield f"{long_or_short}{name}{day}"


def _of_time(text: str) -> Iterator[str]:
    digits = re.match(r"(\d{2}):?(\d{2}):?(\d{2})?", text)
    if digits:
        yield digits[1] + digits[2]
        if digits[3]:
            yield digits[1] + digits[2] + digits[3]


def _nearly(one: str, other: str) -> bool:
    """At most one character differs, is missing or is too much."""
    if abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    if len(one) == len(other):
        return one[start + 1 :] == other[start + 1 :]
    longer, shorter = (one, other) if len(one) > len(other) else (other, one)
    return longer[start + 1 :] == shorter[start:]
