"""How many identifying words the finder points out, and how many of those it points at are: by kind and language.

    python -m benchmarks.deid --write          # the tables by kind, into docs/text-deidentification.md
    python -m benchmarks.deid --misses tuned   # what was missed (-) and what was wrongly pointed out (+) in a part

A marked span counts as found when findings cover all of it, of whatever kind: what matters is that the author looks at
it. A finding counts as right when it overlaps a marked span. Intervals: Wilson, 95 %; spans of one text are not quite
independent, so they are a little too narrow.
"""

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import get_args

from benchmarks import harness, quality_tables
from benchmarks.harness import Result, Row
from shared.deid import Finding, Kind, find
from tests.deid import Part, texts
from tests.deid.marked import Marked

DOCUMENT = Path(__file__).parents[1] / "docs/text-deidentification.md"
PARTS: tuple[Part, ...] = get_args(Part)
TITLES = {"held_out": "Held-out part", "tuned": "Part that the rules were tuned on"}
DIRECT = {Kind.NAME, Kind.PHONE, Kind.EMAIL, Kind.NIR, Kind.RPPS, Kind.RECORD_NUMBER, Kind.SSN, Kind.NHS, Kind.NPI}
DIRECT |= {Kind.URL, Kind.IP, Kind.PLATE}
"""Words that name a person by themselves; dates, ages and places do so together with others."""


@dataclass
class Tally:
    """Counts of one kind in one language. `same`: found with exactly this span and kind."""

    marked: int = 0
    found: int = 0
    same: int = 0
    pointed: int = 0
    right: int = 0

    def add(self, other: "Tally") -> None:
        for name in ("marked", "found", "same", "pointed", "right"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def score(marked: list[Marked]) -> dict[tuple[str, str], Tally]:
    """Tallies by kind and language."""
    tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
    for text in marked:
        found = find(text.text, text.language)
        covered = {place for one in found for place in range(one.start, one.end)}
        exact = {(one.kind.value, one.start, one.end) for one in found}
        for span in text.spans:
            tally = tallies[span.kind, text.language]
            tally.marked += 1
            tally.found += covered >= {p for p in range(span.start, span.end) if text.text[p].isalnum()}
            tally.same += (span.kind, span.start, span.end) in exact
        for one in found:
            tally = tallies[one.kind.value, text.language]
            tally.pointed += 1
            tally.right += _is_right(one, text)
    return tallies


def interval(part: int, whole: int) -> tuple[float, float]:
    """Wilson's interval for a share, 95 %."""
    if not whole:
        return 0.0, 1.0
    z, share = 1.96, part / whole
    middle = (share + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return max(0.0, middle - half), min(1.0, middle + half)


def table(part: Part) -> str:
    """The part's results as a table in Markdown."""
    marked = texts(part)
    tallies = score(marked)
    lines = [
        "| kind | language | marked | recall (95 %) | same span and kind | pointed out | precision (95 %) |",
        "| --- | --- | ---: | --- | ---: | ---: | --- |",
    ]
    lines += [_row(kind, language, tallies[kind, language]) for kind, language in sorted(tallies)]
    for name, kinds in (("direct identifiers", DIRECT), ("all", set(Kind))):
        for language in ("en", "fr"):
            total = Tally()
            for kind in kinds:
                total.add(tallies.get((kind.value, language), Tally()))
            lines.append(_row(f"**{name}**", language, total))
    return "\n".join(lines)


def _is_right(one: Finding, text: Marked) -> bool:
    return any(span.start < one.end and one.start < span.end for span in text.spans)


def _row(kind: str, language: str, tally: Tally) -> str:
    return (
        f"| {kind} | {language} | {tally.marked} | {_share(tally.found, tally.marked)} | {tally.same} "
        f"| {tally.pointed} | {_share(tally.right, tally.pointed)} |"
    )


def _share(part: int, whole: int) -> str:
    low, high = interval(part, whole)
    return f"{part / whole:.3f} ({low:.2f}–{high:.2f})" if whole else "–"


def misses(part: Part) -> None:
    """Print every marked span that was missed (-) and every finding beside the marks (+)."""
    for text in texts(part):
        found = find(text.text, text.language)
        covered = {place for one in found for place in range(one.start, one.end)}
        for span in text.spans:
            if not covered >= {p for p in range(span.start, span.end) if text.text[p].isalnum()}:
                print(f"- {span.kind}: {text.text[span.start : span.end]!r} in {text.text[:90]!r}")
        for one in found:
            if not _is_right(one, text):
                print(f"+ {one.kind.value} ({one.rule}): {text.text[one.start : one.end]!r} in {text.text[:90]!r}")


async def run(options: argparse.Namespace | None = None) -> Result:
    """Score both parts; with options also print misses or write the tables."""
    if options is not None and options.misses:
        misses(options.misses)
    if options is not None and options.write:
        quality_tables.write(DOCUMENT, "\n\n".join(f"### {TITLES[part]}\n\n{table(part)}" for part in PARTS))
    rows = []
    aims = []
    for language in ("en", "fr"):
        direct, whole = _totals(score([text for text in texts("held_out") if text.language == language]))
        recall, precision = direct.found / direct.marked, whole.right / whole.pointed
        rows.append(Row(f"recall, direct identifiers, {language}", recall, "", interval(direct.found, direct.marked)))
        rows.append(Row(f"precision, all kinds, {language}", precision, "", interval(whole.right, whole.pointed)))
        aims += [recall >= 0.95, precision >= 0.85]
    rows.append(_disturbance())
    rows.append(_speed())
    return Result(
        "Words that may identify somebody, held-out part",
        "recall of direct identifiers 0.95 and precision 0.85",
        all(aims),
        rows,
        ["in brackets the 95 % interval (Wilson), and the range of the texts"],
    )


def _totals(tallies: dict[tuple[str, str], Tally]) -> tuple[Tally, Tally]:
    """Of direct identifiers, and of all kinds."""
    direct, whole = Tally(), Tally()
    for (kind, _), tally in tallies.items():
        whole.add(tally)
        if kind in DIRECT:
            direct.add(tally)
    return direct, whole


def _disturbance() -> Row:
    """What an author is asked about in vain: findings per 1,000 words of held-out texts that identify nobody."""
    plain = [text for text in texts("held_out") if not text.spans and text.origin == "written"]
    words = sum(len(text.text.split()) for text in plain)
    found = sum(len(find(text.text, text.language)) for text in plain)
    return Row(f"findings per 1,000 words where none should be ({words} words)", 1000 * found / words, "")


def _speed() -> Row:
    """CPU time for cases of the set joined to 2,000 characters, as a case's text may be."""
    joined = {
        language: "\n".join(t.text for t in texts("tuned") if t.language == language) for language in ("fr", "en")
    }
    seconds = []
    for language, text in joined.items():
        for start in range(0, len(text) - 2_000, 2_000):
            began = time.process_time()
            find(text[start : start + 2_000], language)
            seconds.append((time.process_time() - began) * 1000)
    return harness.median_row("CPU time for 2,000 characters", seconds, "ms")


def arguments() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT.name}")
    options.add_argument("--misses", choices=PARTS, help="print what was missed and wrongly pointed out in a part")
    return options


if __name__ == "__main__":
    given, _ = arguments().parse_known_args()
    harness.main(lambda: run(given), arguments())
