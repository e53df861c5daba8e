"""Names of people: after a title, beside a relative's word, from the lists, and every capital letter without a reason.

In running French and English a word inside a sentence has a capital letter because it is a proper name. So the rule is
turned round: a capitalised word that is no disease, sign, organism, medicine, people, month, institution or region is
pointed out. At the start of a sentence, in capitals and in headlines the letter says nothing: there the lists decide.
"""

import re
from collections.abc import Iterator

from shared.deid.finding import Finding, Kind
from shared.deid.medicine import (
    ORGANISM,
    is_among_eponyms,
    is_first_name,
    is_known,
    is_unusual,
    stands_for_medicine,
    usual,
)
from shared.deid.words import doubtful_first_names, eponyms, first_names, surnames
from shared.deid.words.usage import (
    CARE,
    EXAMS,
    FUNCTION_WORDS,
    KIN,
    NAMED,
    PARTICLES,
    PEOPLES,
    PLACE_WORDS,
    ROLES,
    SHORT_TITLES,
    STARTERS,
    TITLES,
    VERBS,
)
from shared.deid.words_of_text import Word, Words

_AGE = re.compile(
    r"(?:,| est| is| was|, now|, aged|, âgée?)? \(?(?:an? |âgée? de |aged )?(?:\d{1,3} ?-?(?:ans|mois|years?|yo|"
    r"y/o|weeks?|months?|"
    r"yrs?|[- ]year|[- ]week|[- ]month|[- ]day|\)|, [a-z])|née? le|born|DOB)"
)
_INITIALS = re.compile(r"(?<![\w.])[A-Z]\.[ -]?[A-Z]\.(?:[ -]?[A-Z]\.)?(?![\w])")
_INITIALS_CONTEXT = re.compile(
    r"(?:patiente?|résidente?|resident|[Mm]me|M\.|[Mm]rs?|[Mm]s|madame|monsieur|initial\w*)[ :]{1,3}$"
)
_NOT_INITIALS = frozenset(
    {"U.S.", "U.K.", "E.R.", "I.V.", "P.O.", "I.M.", "S.C.", "P.S.", "N.B.", "A.M.", "P.M.", "O.D."}
)
_ANONYMOUS = re.compile(r"^[XYZxyz]{1,3}$")

_STEPS = 7


def find_names(text: str, words: Words) -> Iterator[Finding]:
    """Names and initials, each as one span over all its words. They may overlap."""
    yield from _initials(text)
    place = 0
    while place < len(words):
        found = _name_at(text, words, place)
        if found is None:
            place += 1
            continue
        count, score, rule = found
        first, last = words.words[place], words.words[place + count - 1]
        start = _first_initial(words, place) if rule == "initial" else first.start
        end = last.end + (len(last.text) == 1 and text[last.end : last.end + 1] == ".")
        yield Finding(Kind.NAME, start, end, score, rule)
        place += count


def _name_at(text: str, words: Words, place: int) -> tuple[int, float, str] | None:
    """How many words from here on are a name, how sure that is, and by which rule. None where it is none."""
    word = words.words[place]
    introduction = _introduced(text, words, place)
    if introduction is not None:
        return (
            _reach(words, place, introduction == "title"),
            {"title": 0.97, "initial": 0.85}.get(introduction, 0.9),
            introduction,
        )
    common = word.key in FUNCTION_WORDS or (word.key in usual() and word.key not in first_names())
    if not word.capital or len(word.text) < 2 or common:
        return None
    if stands_for_medicine(text, words, place):
        return None
    known = is_known(word)
    follower = words.at(place + 1)
    followed = follower is not None and follower.close and follower.capital and not follower.opens
    if place in words.loud:
        paired = followed and follower is not None and known and is_known(follower)
        return (_reach(words, place), 0.7, "pair") if paired else None
    if is_first_name(word) and not (word.key in eponyms() and is_among_eponyms(words, place)):
        return _reach(words, place), 0.85, "first_name"
    if word.all_capitals:
        beside = any(one.key in first_names() for one in _next_in_line(words, place, 3))
        if beside or (word.key in surnames() and len(word.text) > 4):
            return _reach(words, place), 0.8, "capitals"
        return None
    if word.opens:
        return _at_the_start(text, words, place, followed)
    if word.key in doubtful_first_names() or word.key in surnames():
        doubtful = word.key in eponyms() and is_among_eponyms(words, place)
        return None if doubtful else (_reach(words, place), 0.75, "listed")
    before = words.at(place - 1)
    if before is not None and before.key in PLACE_WORDS and word.close:
        return None  # find_unlisted_places takes it
    return (_reach(words, place), 0.6, "capital") if is_unusual(word) else None


def find_unlisted_places(text: str, words: Words) -> Iterator[Finding]:
    """A capitalised word after "à" or "in" that no list knows: a place rather than a person."""
    for place, word in enumerate(words.words):
        before = words.at(place - 1)
        if before is None or before.key not in PLACE_WORDS or not word.close or word.opens or not word.capital:
            continue
        common = word.key in usual() or word.key in FUNCTION_WORDS or is_known(word)
        if common or word.all_capitals or not is_unusual(word) or stands_for_medicine(text, words, place):
            continue
        yield Finding(Kind.PLACE, word.start, words.words[place + _reach(words, place) - 1].end, 0.6, "unlisted_place")


def _initials(text: str) -> Iterator[Finding]:
    for match in _INITIALS.finditer(text):
        said = _INITIALS_CONTEXT.search(text, max(0, match.start() - 14), match.start())
        if match.group() not in _NOT_INITIALS and (said or _AGE.match(text, match.end())):
            yield Finding(Kind.NAME, match.start(), match.end(), 0.85, "initials")


def _introduced(text: str, words: Words, place: int) -> str | None:
    """Which words before it say that a name comes: "title", "kin", "named", "role", "initial"; None for none."""
    word, before = words.words[place], words.at(place - 1)
    if before is None or _ANONYMOUS.match(word.text):
        return None
    dotted = word.gap in {" ", "\u00a0", ". ", ".\u00a0", ".", "  "}
    if dotted and (before.key in TITLES - {"mm"} or before.text in {"M", "MM"}):
        if before.text == "M" and not (word.capital and (len(word.text) > 1 or "." in word.gap)):
            return None
        after = words.at(place + 1)
        particle = word.key in PARTICLES and after is not None and after.close and after.capital
        named = word.key not in FUNCTION_WORDS or len(word.text) == 1 or particle
        if word.capital and named and word.key not in TITLES | CARE:
            return "title"
        return "title" if before.key in SHORT_TITLES and is_known(word) and "." not in word.gap.strip(".") else None
    if not word.capital or word.key in FUNCTION_WORDS or len(word.text) < 2 or place in words.loud:
        return None
    if word.key in usual() or (word.all_capitals and not is_known(word) and before.key not in NAMED):
        return None
    if (
        len(before.text) == 1
        and before.capital
        and word.gap in {". ", ".", ".\u00a0"}
        and _is_initial(words, place - 1)
    ):
        return "initial" if word.key not in _SPECIES and not ORGANISM.search(word.key) else None
    if word.key in eponyms() and word.key not in first_names():
        return None
    if before.key in KIN and word.gap in {" ", ", ", "\u00a0"}:
        return "kin"
    if before.key in NAMED and word.gap in {" ", " : ", ": ", "\u00a0: "}:
        return "named"
    return "role" if before.key in ROLES and word.close else None


def _first_initial(words: Words, place: int) -> int:
    """Where "J.-P. Martin" begins: at most three initials before the word."""
    start = words.words[place].start
    for back in range(1, 4):
        letter = words.at(place - back)
        if (
            letter is None
            or len(letter.text) > 1
            or not letter.capital
            or words.words[place - back + 1].gap not in _DOTS
        ):
            break
        start = letter.start
    return start


_DOTS = frozenset({". ", ".", ".-", ".\u00a0"})


def _is_initial(words: Words, place: int) -> bool:
    """Whether a single letter stands for a first name: not in "40 °C", "hépatite B", "vitamin K"."""
    letter, before = words.words[place], words.at(place - 1)
    if letter.gap.endswith(("°", "+", "/", "'", "’")) or letter.gap[-1:].isdigit():
        return False
    lettered = "hepatite hepatitis vitamine vitamin groupe group type stade stage classe class grade child forme plan"
    return before is None or before.key not in lettered.split()


_SPECIES = frozenset(
    ["coli", "aureus", "pylori", "difficile", "pneumoniae", "albicans", "tuberculosis", "faecalis", "epidermidis"]
)


def _reach(words: Words, place: int, titled: bool = False) -> int:
    """How many words the name that begins here has: capitals, initials, and particles with a capital after them."""
    last = place
    step = place + 1
    while step < min(len(words), place + _STEPS):
        word, before = words.words[step], words.words[last]
        initial = len(before.text) == 1 and before.capital and word.gap in {". ", ".", ".-", ". -"}
        if not (word.close or initial or (word.gap in {"'", "’"} and before.key in {"o", "d", "n", "m"})):
            break
        common = word.key in usual() - PEOPLES and word.key not in surnames() and not titled
        if word.opens or common:
            break
        acronym = word.all_capitals and not before.all_capitals and len(word.text) < 4 and not is_known(word)
        if word.capital and not acronym and word.key not in (FUNCTION_WORDS - PARTICLES) | EXAMS:
            last = step
        elif word.key not in PARTICLES:
            break
        step += 1
    return last - place + 1


def _at_the_start(text: str, words: Words, place: int, followed: bool) -> tuple[int, float, str] | None:
    """A sentence's first word: a name where the list knows it, or what follows says so."""
    word, follower = words.words[place], words.at(place + 1)
    if not is_unusual(word) and word.key not in doubtful_first_names() | surnames():
        return None
    known = is_known(word)
    if followed and follower is not None and follower.key not in usual():
        reach = _reach(words, place)
        last = words.words[place + reach - 1]
        said = (
            word.gap.endswith((": ", ":\u00a0")) or _AGE.match(text, last.end) or text[last.end : last.end + 2] == " ("
        )
        if known or is_known(follower) or (said and reach > 1 and is_unusual(follower)):
            return reach, 0.8, "pair"
    if known and follower is not None and follower.gap == ", " and follower.key in first_names() and not follower.opens:
        return 1, 0.75, "surname_first"
    if _AGE.match(text, word.end) and word.key not in STARTERS:
        return 1, 0.7, "age_follows"
    if known and follower is not None and follower.close and follower.key in VERBS:
        return 1, 0.65, "verb_follows"
    if word.key in doubtful_first_names() and follower is not None and follower.gap == ", " and not follower.opens:
        return 1, 0.55, "apposition"
    return None


def _next_in_line(words: Words, place: int, count: int) -> Iterator[Word]:
    """The capitalised words that follow directly, as in DOS SANTOS Maria."""
    for step in range(1, count + 1):
        word = words.at(place + step)
        if word is None or word.opens or not word.capital or not word.close:
            return
        yield word
