"""Why a word has a capital letter when it names nobody: medicines, organisms, eponyms, peoples, institutions."""

import re
from functools import cache

from shared.deid.words import brands, doubtful_first_names, eponyms, first_names, region_words, surnames
from shared.deid.words.usage import (
    CARE,
    EXAMS,
    MONTHS_AND_DAYS,
    OF_THINGS,
    PARTICLES,
    PEOPLES,
    TITLES,
    TREATED_WITH,
    WORLD,
)
from shared.deid.words_of_text import Word, Words

_MEDICINE = re.compile(
    r"(?:mycine?|micine?|cilline?|prazole?|olol|sartan|statine?|azole?|oxacine?|vir|mab|tinib|gliptine?|"
    r"gliflozine?|dipine|"
    r"parine?|xaban|setron|triptan|zepam|zolam|caine|methasone|solone|fungine?|cycline?|penem|thiazide|formine?|"
    r"tidine?|trexate|trexone|amol|phedrine|lamide|thiazine?|quine|phylline?|dronate|abine|tecan|profene?|fenac|coxib|platine?|rubicine?|taxel|gatran|grel|lukast|terol|tropium|semide|pril)$"
)
ORGANISM = re.compile(
    r"(?:coccus|coque|cocci|coccoides|bacter|bacterium|bacillus|myces|plasma|spira|monas|virus|viridae|nema|soma|tella|"
    r"nella|siella)$"
)
_DISEASE = re.compile(
    r"(?:ite|itis|ose|osis|ome|oma|emie|emia|aemia|algie|algia|pathie|pathy|ectomie|ectomy|plegie|plegia|scopie|scopy|"
    r"graphie|graphy|logie|logy|isme|tomie|tomy|rragie|rrhage|rrhee|rrhea|trophie|trophy|plasie|plasia|uria|"
    r"urie|tique|ique)$"
)
_DOSE = re.compile(r"[ \u00a0]?(?:®|™|\d{1,4}(?:[.,]\d{1,3})? ?(?:mg|g|µg|mcg|ml|UI|IU|cp|%)\b|LP\b|XR\b)")
_NAMES_INSIDE = re.compile(r"^(?:Mc|Mac|De|Di|Da|Du|La|Le|Fitz|Van|O['’])(?=[A-Z])")
_STEPS = 7


@cache
def usual() -> frozenset[str]:
    """Words with a capital letter that name nobody."""
    return CARE | PEOPLES | MONTHS_AND_DAYS | WORLD | EXAMS | brands() | region_words()


def is_known(word: Word) -> bool:
    return (
        word.key in first_names()
        or word.key in doubtful_first_names()
        or word.key in surnames()
        or (
            "-" in word.text
            and all(part in first_names() | doubtful_first_names() | surnames() for part in word.key.split())
        )
    )


def is_first_name(word: Word) -> bool:
    """On the list, or a compound that begins with one: Mary-Ann."""
    return word.key in first_names() or ("-" in word.text and word.key.split()[0] in first_names())


def is_unusual(word: Word) -> bool:
    """Whether nothing explains the capital letter."""
    parts = word.key.split()
    if any(part in usual() or len(part) == 1 for part in parts) and len(parts) > 1:
        return any(part in first_names() for part in parts)
    key = word.key
    return not (
        len(word.text) < 3
        or key.removesuffix("s") in usual()
        or word.all_capitals
        or key in eponyms()
        or all(part in eponyms() for part in parts)
        or _MEDICINE.search(key)
        or ORGANISM.search(key)
        or (_DISEASE.search(key) and len(key) > 6)
        or _mixed(word.text)
    )


def _mixed(text: str) -> bool:
    """Capitals inside, as in SUVmax, IIIb or FibroScan; not O'Brien, McKay or Jean-Luc."""
    parts = _NAMES_INSIDE.sub("", text).split("-")
    return not text.isupper() and any(sum(sign.isupper() for sign in part) > 1 for part in parts)


def stands_for_medicine(text: str, words: Words, place: int) -> bool:
    """Whether this is part of an eponym, a medicine with its dose, or an organism's name."""
    word = words.words[place]
    parts = word.key.split()
    is_eponym = word.key in eponyms() or (len(parts) > 1 and all(part in eponyms() for part in parts))
    person = is_first_name(word) and not is_eponym
    if _DOSE.match(text, word.end) and not is_known(word):
        return True
    before, after = words.at(place - 1), words.at(place + 1)
    things_before = before is not None and word.close and (_is_brand(before) or before.key in TREATED_WITH)
    things_after = after is not None and after.gap in {" ", "\u00a0"} and after.key in OF_THINGS
    if (things_before or things_after) and not is_known(word):
        return True  # a brand of two words; "sous X", "despite X", "a stent X"; "X positive", "X balloon"
    return not person and (_after_an_exam(words, place) or _before_an_exam(words, place))


def _is_brand(word: Word) -> bool:
    return word.capital and word.key in brands()


def is_among_eponyms(words: Words, place: int) -> bool:
    """Whether the words around speak of signs and diseases: "Breslow 2 mm, Clark IV" names nobody."""
    around = [words.at(place + step) for step in range(-8, 9) if step]
    return any(
        word is not None and word.capital and word.key in eponyms() and not is_known(word) for word in around
    ) or any(word is not None and word.key in EXAMS for word in around)


def _after_an_exam(words: Words, place: int) -> bool:
    """ "maladie de X", "fracture of X", "signe de X et Y": walks back over names and small words."""
    for back in range(1, _STEPS):
        word = words.at(place - back)
        if word is None or words.words[place - back + 1].opens:
            return False
        if word.key in EXAMS:
            return back > 1 or words.words[place].gap in {" ", "\u00a0"}
        if not (word.capital or word.key in PARTICLES or word.key in {"et", "and", "selon"}):
            return False
        if word.key in TITLES:
            return False
    return False


def _before_an_exam(words: Words, place: int) -> bool:
    """ "X disease", "X's sign", "X-Y syndrome", "X and Y classification"."""
    for ahead in range(1, 5):
        word = words.at(place + ahead)
        if word is None or word.opens or "," in word.gap:
            return False
        if word.key in EXAMS:
            return True
        if not (word.capital or word.key in {"s", "and", "et"}):
            return False
    return False
