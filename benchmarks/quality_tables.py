"""The findings of `benchmarks.quality` as the tables of docs/redaction.md."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import this_machine
from benchmarks.pictures import Truth
from benchmarks.scoring import Score, wilson

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"

MUCH = 10
"""Per cent of a picture painted for nothing from which it is counted."""

Shares = dict[tuple[str, str], tuple[int, int]]
"""(kind, set) -> hits, of how many."""


@dataclass(frozen=True)
class Findings:
    """Scores of whole redactions; faces turned and shrunk, by what was done to them; scores by threshold, by kind."""

    scores: list[Score]
    turns: list[tuple[str, Score]]
    curves: dict[str, list[tuple[float, list[Score]]]]
    engine: str


def recall(scores: Iterable[Score]) -> Shares:
    """How much of what must go is covered."""
    return _shares(((truth.kind, score.group), hit) for score in scores for truth, hit in score.covered)


def markdown(found: Findings) -> str:
    """Every table for which there are figures."""
    machine = this_machine()
    head = (
        f"Measured {datetime.now(UTC).date().isoformat()}, {len(found.scores)} pictures, engine {found.engine}, "
        f"{machine['cpu']}. In brackets: the 95 % interval (Wilson)."
    )
    parts = [head, _recall_table(found.scores), _precision_table(found.scores), _outside_table(found.scores)]
    parts += [_kept_table(found.scores), _lettering_table(found.scores), _codes_table(found.scores)]
    parts += [_turns_table(found.turns), *(_curve_table(kind, curve) for kind, curve in found.curves.items())]
    return "\n\n".join(part for part in parts if part)


def write(document: Path, text: str) -> None:
    """Put the tables between the document's two marks. Raises ValueError where it has none."""
    whole = document.read_text()
    before, _, rest = whole.partition(BEGIN)
    inside, _, after = rest.partition(END)
    if not inside:
        raise ValueError(f"{document.name} has no place for the tables")
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def details(found: Findings) -> dict[str, Any]:
    """Every picture, for whoever wants to look at the failures."""
    return {
        "pictures": [
            {
                "set": score.group,
                "name": score.name,
                "cpu": round(score.seconds.get("cpu", 0.0), 3),
                "missed": [_plain(truth) for truth, hit in score.covered if not hit],
                "lost": [kind for kind, hit in score.kept if not hit],
                "wrong": Counter(kind for kind, hit in score.right if not hit),
                "outside": round(score.outside, 5),
            }
            for score in found.scores
        ]
    }


def _plain(truth: Truth) -> dict[str, Any]:
    return {key: value for key, value in asdict(truth).items() if key in ("kind", "box", "traits")}


def _recall_table(scores: list[Score]) -> str:
    either = _shares((("tattoo", score.group), hit) for score in scores for _, hit in score.proposed)
    lines = []
    for key, (hits, of) in recall(scores).items():
        asked = f"{_share(*either[key])}" if key in either else ""
        lines.append((*key, f"{_pictures(scores, key)}", f"{of}", _share(hits, of), asked))
    return _table("Recall", ("kind", "set", "pictures", "things", "covered", "covered or proposed"), lines)


def _pictures(scores: list[Score], key: tuple[str, str]) -> int:
    kind, group = key
    return sum(score.group == group and any(truth.kind == kind for truth, _ in score.covered) for score in scores)


def _precision_table(scores: list[Score]) -> str:
    shares = _shares(((kind, score.group), hit) for score in scores for kind, hit in score.right)
    lines = [(*key, str(of), _share(hits, of)) for key, (hits, of) in shares.items()]
    return _table(
        "Precision: painted regions that lie on something that must go", ("kind", "set", "regions", "right"), lines
    )


def _outside_table(scores: list[Score]) -> str:
    lines = []
    for group in _groups(scores):
        parts = 100 * np.array([score.outside for score in scores if score.group == group])
        much = sum(bool(part > MUCH) for part in parts)
        figures = [f"{value:.2f} %" for value in (np.median(parts), np.percentile(parts, 95), parts.max())]
        lines.append((group, str(len(parts)), _share(much, len(parts)), *figures))
    heads = ("set", "pictures", f"more than {MUCH} % outside", "median", "95th percentile", "largest")
    return _table("Over-erasure: part of a picture painted beyond what must go (grown by a fifth)", heads, lines)


def _kept_table(scores: list[Score]) -> str:
    shares = _shares(((kind, score.group), hit) for score in scores for kind, hit in score.kept)
    lines = [(*key, str(of), _share(hits, of)) for key, (hits, of) in shares.items()]
    return _table("Kept: at least nine tenths of it untouched", ("what", "set", "regions", "kept"), lines)


def _lettering_table(scores: list[Score]) -> str:
    hits = [
        (truth.traits, hit)
        for score in scores
        if score.group in ("synthetic lettering", "text")
        for truth, hit in score.covered
        if {"height", "contrast"} <= truth.traits.keys()
    ]
    bands: dict[str, Callable[[int], bool]] = {
        "contrast under 35": lambda contrast: contrast < 35,
        "35 to 59": lambda contrast: 35 <= contrast < 60,
        "60 and more": lambda contrast: contrast >= 60,
    }
    lines = []
    for height in sorted({int(traits["height"]) for traits, _ in hits}):
        cells = [
            _share_of(hit for traits, hit in hits if traits["height"] == height and inside(int(traits["contrast"])))
            for inside in bands.values()
        ]
        lines.append((f"{height} px", *cells))
    wanted = [hit for traits, hit in hits if int(traits["height"]) >= 10 and int(traits["contrast"]) >= 35]
    lines.append(
        ("10 px and more", "", "", f"contrast 35 and more: {_share(sum(wanted), len(wanted))}" if wanted else "")
    )
    return _table("Synthetic lettering by height of the font and contrast", ("height", *bands), lines if hits else [])


def _codes_table(scores: list[Score]) -> str:
    hits = [
        (truth.traits, hit)
        for score in scores
        for truth, hit in score.covered
        if truth.kind == "code" and {"symbology", "size"} <= truth.traits.keys()
    ]
    sizes = sorted({int(traits["size"]) for traits, _ in hits})
    lines = [
        (
            str(kind),
            *(
                _share_of(hit for traits, hit in hits if (traits["symbology"], traits["size"]) == (kind, size))
                for size in sizes
            ),
        )
        for kind in sorted({str(traits["symbology"]) for traits, _ in hits})
    ]
    return _table("Synthetic codes by kind and longer side", ("kind", *(f"{size} px" for size in sizes)), lines)


def _turns_table(turns: list[tuple[str, Score]]) -> str:
    hits = _shares(((name, ""), hit) for name, score in turns for _, hit in score.covered)
    right = _shares(((name, ""), hit) for name, score in turns for _, hit in score.right)
    lines = [(name, str(of), _share(hit, of), _share(*right[name, ""])) for (name, _), (hit, of) in hits.items()]
    title = "Faces of the given folder turned and shrunk (the finder of faces alone)"
    return _table(title, ("turned", "faces", "covered", "right"), lines)


def _curve_table(kind: str, curve: list[tuple[float, list[Score]]]) -> str:
    lines = []
    for value, scores in curve:
        hits = [hit for score in scores for _, hit in score.covered]
        right = [hit for score in scores for _, hit in score.right]
        outside = 100 * float(np.mean([score.outside for score in scores])) if scores else 0.0
        lines.append((f"{value:g}", _share(sum(hits), len(hits)), _share(sum(right), len(right)), f"{outside:.2f} %"))
    title = f"Threshold `{kind}`, all sets with such things, {len(curve[0][1])} pictures (the first look alone)"
    return _table(title, ("threshold", "covered", "right", "mean part painted outside"), lines)


def _groups(scores: Iterable[Score]) -> list[str]:
    return list(dict.fromkeys(score.group for score in scores))


def _shares(hits: Iterable[tuple[tuple[str, str], bool]]) -> Shares:
    found: dict[tuple[str, str], list[bool]] = {}
    for key, hit in hits:
        found.setdefault(key, []).append(hit)
    return {key: (sum(each), len(each)) for key, each in sorted(found.items())}


def _share_of(hits: Iterable[bool]) -> str:
    found = list(hits)
    return f"{sum(found)}/{len(found)}" if found else ""


def _share(hits: int, of: int) -> str:
    if not of:
        return "none"
    low, high = wilson(hits, of)
    return f"{hits / of:.3f} ({low:.2f} to {high:.2f})"


def _table(title: str, heads: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    """A heading and a table; nothing where there are no lines."""
    if not lines:
        return ""
    rows = [heads, ("---",) * len(heads), *lines]
    return f"### {title}\n\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows)
