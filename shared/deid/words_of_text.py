"""A text cut into words, each with what the rules ask of it: its case, its place in the sentence, its neighbours."""

import re
from dataclasses import dataclass
from functools import cached_property

from shared.deid.words import fold

WORD = re.compile(r"(?:O['’](?=[A-ZÀ-Þ]))?[^\W\d_]+(?:-[^\W\d_]+)*")
SPACES = " \t\u00a0\u202f"
ABBREVIATED = frozenset(
    [
        "m",
        "mr",
        "mme",
        "mlle",
        "dr",
        "drs",
        "pr",
        "prof",
        "me",
        "st",
        "ste",
        "mrs",
        "ms",
        "vs",
        "cf",
        "ex",
        "env",
        "approx",
        "av",
        "bd",
        "boul",
        "jr",
        "sr",
        "no",
        "tel",
        "tél",
        "hosp",
        "dept",
    ]
)
ENDS = frozenset(".!?…")
BREAKS = frozenset('\n\r:•|«"“')
_BULLET = re.compile(r"(?:^|\n|\s)[-–—*>](?:\s|$)")
_NUMBERED = re.compile(r"(?:^|\n)\s{0,4}\d{1,2}[.)/]\s?$")


@dataclass(frozen=True)
class Word:
    """`text[start:end]`; `opens`: it begins a sentence, a line or an item, where anybody writes a capital letter."""

    text: str
    start: int
    end: int
    gap: str
    opens: bool

    @cached_property
    def key(self) -> str:
        return fold(self.text)

    @property
    def capital(self) -> bool:
        return self.text[0].isupper()

    @property
    def all_capitals(self) -> bool:
        return len(self.text) > 1 and self.text.isupper()

    @property
    def close(self) -> bool:
        """Only a space, a hyphen or nothing lies between it and the word before."""
        return self.gap in {"", " ", "-", "\u00a0", "\u202f", "  "}


@dataclass(frozen=True)
class Words:
    """The words of a text, and where its letters' case says nothing: `loud` (sentences in capitals, headlines)."""

    words: tuple[Word, ...]
    loud: frozenset[int]

    def __len__(self) -> int:
        return len(self.words)

    def at(self, place: int) -> Word | None:
        return self.words[place] if 0 <= place < len(self.words) else None


def words_of(text: str) -> Words:
    found: list[Word] = []
    end = 0
    for match in WORD.finditer(text):
        gap = text[end : match.start()]
        found.append(Word(match.group(), match.start(), match.end(), gap, _opens(found[-1] if found else None, gap)))
        end = match.end()
    return Words(tuple(found), _loud(found, text[end:]))


def _opens(before: Word | None, gap: str) -> bool:
    if before is None or BREAKS & set(gap):
        return True
    if ENDS & set(gap):
        unit = len(before.text) == 1 and (before.gap.endswith("°") or before.gap[-1:].isdigit())
        lone = gap.startswith(".") and not unit and (len(before.text) == 1 or before.key in ABBREVIATED)
        return not (lone and set(gap[1:]) <= set(SPACES + ".-"))
    return bool(_BULLET.search(gap) or _NUMBERED.search(gap))


def _loud(words: list[Word], rest: str) -> frozenset[int]:
    """Places of words in sentences that are capitals throughout, and in headlines that capitalise every word.

    A headline is a line of its own without a full stop. `rest`: what follows the last word.
    """
    loud: set[int] = set()
    sentence: list[int] = []
    for place, word in enumerate([*words, None]):
        if sentence and (word is None or word.opens):
            after = rest + "\n" if word is None else word.gap
            long = [words[i] for i in sentence if len(words[i].text) > 3]
            headline = "\n" in after and "." not in after and len(sentence) < 25
            if len(long) > 3 and (
                sum(w.all_capitals for w in long) > 0.6 * len(long)
                or (headline and sum(w.capital for w in long) > 0.7 * len(long))
            ):
                loud.update(sentence)
            sentence = []
        sentence.append(place)
    return frozenset(loud)
