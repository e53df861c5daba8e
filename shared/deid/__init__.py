"""Finds words in a case's text or a comment that may tell who the patient, a relative or a carer is.

Pointed out before anything is sent, and shown to moderators; nothing is changed and nothing is decided here. How often
it is right is measured on the project's own set (docs/text-deidentification.md); it is a help, and misses things.
"""

from shared.deid.dates import find_dates
from shared.deid.finding import Finding, Kind, without_overlaps
from shared.deid.names import find_names, find_unlisted_places
from shared.deid.numbers import find_numbers
from shared.deid.places import find_places
from shared.deid.words_of_text import words_of

__all__ = ["MAX_CHARACTERS", "Finding", "Kind", "find", "find_in_both_languages"]

MAX_CHARACTERS = 20_000
"""The longest text that is searched: as long as a case's text may be."""


def find(text: str, language: str) -> tuple[Finding, ...]:
    """Findings in the order of the text, none over another. Offsets count Unicode code points.

    `language` is "fr" or "en"; names, dates and most numbers are searched in both, since one text quotes the other.
    Takes time in proportion to the text's length. Raises ValueError for a text above `MAX_CHARACTERS`.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError("text too long to be searched")
    words = words_of(text)
    return without_overlaps(
        [
            *find_numbers(text, language),
            *find_dates(text, language),
            *find_places(text, words, language),
            *find_names(text, words),
            *find_unlisted_places(text, words),
        ],
        text,
    )


def find_in_both_languages(text: str) -> tuple[Finding, ...]:
    """What `find` finds with either language, for texts whose language nobody has said."""
    return without_overlaps([*find(text, "fr"), *find(text, "en")], text)
