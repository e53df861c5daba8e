"""What the finder says: where words are that may tell who somebody is, of what kind, and how sure it is."""

from dataclasses import dataclass, replace

from shared.events import IdentifierKind

Kind = IdentifierKind


@dataclass(frozen=True, slots=True)
class Finding:
    """`start` and `end` count Unicode code points, as Python's slices do; `rule` names what found it."""

    kind: Kind
    start: int
    end: int
    score: float
    rule: str


def without_overlaps(findings: list[Finding], text: str) -> tuple[Finding, ...]:
    """None over another and nothing uncovered, in the order of the text.

    What lies within a longer finding is left to that one (a street that is called after a doctor). Of two that cross,
    the surer keeps the whole and the other what is left of it.
    """
    longest: list[Finding] = []
    end = -1
    for one in sorted(findings, key=lambda f: (f.start, -f.end, -f.score)):
        if one.end > end:
            longest.append(one)
            end = one.end
    kept: list[Finding] = []
    for one in longest:
        before = kept[-1] if kept else None
        if before is None or before.end <= one.start:
            kept.append(one)
        elif before.score >= one.score:
            kept += _trimmed(one, before.end, one.end, text)
        else:
            kept[-1:] = [*_trimmed(before, before.start, one.start, text), one]
    return tuple(kept)


def _trimmed(one: Finding, start: int, end: int, text: str) -> list[Finding]:
    """The finding cut to `start`..`end` without signs at its edges; nothing where no letter or digit is left."""
    while start < end and not text[start].isalnum():
        start += 1
    while start < end and not text[end - 1].isalnum():
        end -= 1
    return [replace(one, start=start, end=end)] if start < end else []
