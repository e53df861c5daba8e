"""That no pseudonym tells the name of who bears it.

A pseudonym goes to every service, stands under cases and comments for years, and cannot be called back; a civil name
never leaves identity. So whoever becomes known by name has to be called something else. Strict on purpose: a pseudonym
that only looks like the name costs its owner another one, which nobody else ever learns.
"""

import re
from collections.abc import Iterable

from services.identity.domain.verification import CivilName, name_parts, without_particles

_LOOKALIKES = str.maketrans("аесорхуіјѕαορν", "aecopxyijsaopv")
"""Cyrillic and Greek letters that are read as Latin ones."""
_DIGITS_AS_LETTERS = (str.maketrans("013457", "oieast"), str.maketrans("013457", "oleast"))
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
_WHOLE_WORD_ONLY = 2
"""A family name of two letters is looked for as a word; in the midst of a word it would be in half of all."""
_ANYWHERE = 5
"""Letters from which on a family name is looked for across words too, wherever these begin."""
_GIVEN_LEAST = 3


class PseudonymTellsName(Exception):
    """The pseudonym contains its owner's civil name. `version`: the account's that has it. The name is not said."""

    def __init__(self, version: int) -> None:
        super().__init__()
        self.version = version


def tells_name(pseudonym: str, name: CivilName) -> bool:
    """Whether a reader may take the name from the pseudonym.

    Case, accents, ligatures, order, separators and digits do not count, these also where they stand for letters (0 for
    o). The family name counts as a word or as a part of one, and so does each half of a double name and every family
    name on record; the given name only together with the family name's initial (Anne D., DAnne).
    """
    families = {candidate for family in (name.family, *name.on_record) for candidate in _families(family)}
    initials = {candidate[0] for candidate in families}
    givens = {part for spelling in _spellings(name.given) for part in (*spelling, "".join(spelling))}
    givens = {given for given in givens if len(given) >= _GIVEN_LEAST}
    for words in _readings(pseudonym):
        if any(_holds(words, family) for family in families):
            return True
        if any(_holds_given(words, given, initials) for given in givens):
            return True
    return False


def _families(family: str) -> Iterable[str]:
    """What a family name is known by: whole, with and without particles, and each part of it."""
    for parts in _spellings(family):
        telling = without_particles(parts)
        yield from (found for found in {"".join(parts), "".join(telling), *telling} if len(found) >= _WHOLE_WORD_ONLY)


def _spellings(name: str) -> list[list[str]]:
    """The words of a name, with umlauts as plain letters, and as two (Müller, Mueller)."""
    return [_words(name), _words(name.lower().translate(_UMLAUTS))]


def _readings(pseudonym: str) -> Iterable[list[str]]:
    """The pseudonym's words with digits left out, or read as letters."""
    yield _words(re.sub(r"\d", "", pseudonym))
    for as_letters in _DIGITS_AS_LETTERS:
        yield _words(pseudonym.translate(as_letters))


def _words(text: str) -> list[str]:
    plain = " ".join(name_parts(text)).translate(_LOOKALIKES)
    return re.findall(r"[^\W\d_]+", plain)


def _holds(words: list[str], family: str) -> bool:
    if len(family) <= _WHOLE_WORD_ONLY:
        return family in words
    if len(family) >= _ANYWHERE:
        return family in "".join(words)
    return any(family in word for word in words) or family in _runs(words)


def _runs(words: list[str]) -> set[str]:
    """Words written together with those that follow: D. U. P. O. is one word."""
    return {"".join(words[first:last]) for first in range(len(words)) for last in range(first + 2, len(words) + 1)}


def _holds_given(words: list[str], given: str, initials: set[str]) -> bool:
    alone = given in words and any(word in initials for word in words)
    return alone or any(word in (given + initial, initial + given) for word in words for initial in initials)
