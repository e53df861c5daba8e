"""Texts with marks: `[[kind|words]]` says what should be pointed out. One paragraph is one text."""

import re
from dataclasses import dataclass
from pathlib import Path

_MARK = re.compile(r"\[\[([a-z_0-9]+)\|([^\]]+)\]\]")


@dataclass(frozen=True)
class Span:
    kind: str
    start: int
    end: int


@dataclass(frozen=True)
class Marked:
    """A text of the set. `origin`: "written" by hand or "drawn" by the generator."""

    text: str
    spans: tuple[Span, ...]
    language: str
    origin: str


def read(marked: str, language: str, origin: str) -> Marked:
    """The text without its marks, with where they were, in code points."""
    plain: list[str] = []
    spans: list[Span] = []
    length = end = 0
    for mark in _MARK.finditer(marked):
        before = marked[end : mark.start()]
        plain += [before, mark.group(2)]
        start = length + len(before)
        length = start + len(mark.group(2))
        if spans and before == " " and spans[-1].kind == mark.group(1) == "name":
            start = spans.pop().start  # first name and surname are one name
        spans.append(Span(mark.group(1), start, length))
        end = mark.end()
    plain.append(marked[end:])
    return Marked("".join(plain), tuple(spans), language, origin)


def read_file(path: Path, language: str) -> list[Marked]:
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if not line.startswith("#")]
    paragraphs = [part.strip() for part in "\n".join(lines).split("\n\n")]
    return [read(part, language, "written") for part in paragraphs if part]
