"""A consent text as blocks, for pages and for print.

The texts use a part of Markdown: headings (`#`, `##`), paragraphs, items (`- `) and words between asterisks. What is
signed is the file, by its hash; this only lays it out.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    TITLE = "title"
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    ITEM = "item"


@dataclass(frozen=True)
class Span:
    """A run of words; `strong` (double asterisks) or `emphasis` (single ones), or plain."""

    words: str
    strong: bool = False
    emphasis: bool = False


@dataclass(frozen=True)
class Block:
    kind: Kind
    spans: tuple[Span, ...]

    @property
    def words(self) -> str:
        return "".join(span.words for span in self.spans)


_MARKED = re.compile(r"(\*\*[^*]+\*\*|\*[^*]+\*)")
_STARTS = (("## ", Kind.HEADING), ("# ", Kind.TITLE), ("- ", Kind.ITEM))


def blocks(text: str) -> list[Block]:
    """The text from its first line to its last; one line is one block, as these texts are written."""
    found = []
    for line in (line.strip() for line in text.splitlines()):
        if line:
            kind, start = next(
                ((kind, start) for start, kind in _STARTS if line.startswith(start)), (Kind.PARAGRAPH, "")
            )
            found.append(Block(kind, _spans(line.removeprefix(start))))
    return found


def items(text: str) -> list[tuple[str, str]]:
    """Each item's first words, which are between asterisks, and what follows the colon."""
    found = []
    for block in blocks(text):
        if block.kind is Kind.ITEM:
            label, *rest = block.spans
            found.append((label.words, "".join(span.words for span in rest).lstrip(" \u00a0:")))
    return found


def without_signature(all_blocks: Sequence[Block]) -> list[Block]:
    """For a leaflet: everything before the last heading, under which the signer speaks."""
    last = max(place for place, block in enumerate(all_blocks) if block.kind is Kind.HEADING)
    return list(all_blocks[:last])


def _spans(line: str) -> tuple[Span, ...]:
    found = []
    for part in _MARKED.split(line):
        if part.startswith("**"):
            found.append(Span(part[2:-2], strong=True))
        elif part.startswith("*"):
            found.append(Span(part[1:-1], emphasis=True))
        elif part:
            found.append(Span(part))
    return tuple(found)
