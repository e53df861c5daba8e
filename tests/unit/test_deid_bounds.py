"""Searching takes work in proportion to the text, whatever an author types: counted, not timed."""

import re
import sys
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]
from types import FrameType
from typing import Any

import pytest

from shared.deid import MAX_CHARACTERS, dates, find, numbers, places

PATTERNS = {
    f"{module.__name__}.{name}": pattern
    for module, tables in ((numbers, ("PATTERNS",)), (dates, ("PATTERNS", "AGES")), (places, ("PATTERNS",)))
    for table in tables
    for name, pattern in getattr(module, table).items()
}


def repeats(parsed: Any) -> Iterator[int]:
    """The upper bound of every repeat in a parsed pattern, at any depth."""
    for operation, argument in parsed:
        if operation in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            yield int(argument[1])
            yield from repeats(argument[2])
        elif operation is _constants.SUBPATTERN:
            yield from repeats(argument[-1])
        elif operation is _constants.BRANCH:
            for branch in argument[1]:
                yield from repeats(branch)
        elif operation in (_constants.ASSERT, _constants.ASSERT_NOT):
            yield from repeats(argument[1])


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_every_pattern_looks_at_a_bounded_piece_of_text(name: str) -> None:
    pattern: re.Pattern[str] = PATTERNS[name]
    parsed = _parser.parse(pattern.pattern, pattern.flags)
    assert all(bound <= 300 for bound in repeats(parsed)), "an unbounded repeat"
    assert parsed.getwidth()[1] <= 1_000


HOSTILE = {
    "digits": "1234567890",
    "spaced digits": "1 2 ",
    "slashes": "1/2/",
    "capitals": "Aa ",
    "hyphens": "Aa-",
    "streets": "rue de la ",
    "towns": "Saint-Saint ",
    "titles": "Mme M. Dr ",
    "initials": "A.B.",
    "signs": "@.@.",
    "one word": "a",
    "spaces": " ",
    "lines": "\n- ",
    "eponyms": "Charcot Marie ",
    "wards": "chambre 1 ",
    "records": "dossier patient n° ",
    "accents": "É",
    "months": "mai 1 ",
    "links": "www.a.",
    "colons": "a:1:",
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_four_times_the_text_is_about_four_times_the_work(name: str) -> None:
    def steps(characters: int) -> int:
        """Instructions of the interpreter for a text of so many characters."""
        text = (HOSTILE[name] * characters)[:characters]
        count = 0

        def counted(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal count
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            count += event == "opcode"
            return counted

        before = sys.gettrace()
        sys.settrace(counted)
        try:
            find(text, "fr")
        finally:
            sys.settrace(before)
        return count

    find("Mme Lambert à Bordeaux", "fr")  # the lists are read once
    assert steps(4_000) <= 4.3 * steps(1_000) + 5_000
    find((HOSTILE[name] * MAX_CHARACTERS)[:MAX_CHARACTERS], "fr")
