"""The project's set of texts for the finder of identifying words: French and English, with marks; nobody in it exists.

Two parts: `tuned`, on which the rules were written, and `held_out`, on which they were not. Its texts and templates
were written before the rules first ran on it; its names come from other lists, its towns are others. Both
parts have texts written by hand and texts drawn from templates with fixed seeds.
"""

from pathlib import Path
from typing import Literal

from tests.deid.drawn import drawn
from tests.deid.marked import Marked, read_file

Part = Literal["held_out", "tuned"]
DRAWN = 96
"""Texts drawn from templates, for each part and language."""
_HERE = Path(__file__).parent


def texts(part: Part) -> list[Marked]:
    """Every text of a part, always the same."""
    return [
        text
        for language in ("fr", "en")
        for text in (*read_file(_HERE / part / f"{language}.txt", language), *drawn(part, language, DRAWN))
    ]
