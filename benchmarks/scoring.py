"""What counts as covered, as kept and as too much; and how sure a share of so many is."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from benchmarks.pictures import Sample, Truth
from shared.events import Box

Mask = npt.NDArray[np.bool_]

ENOUGH = {"text": 0.8, "code": 0.8, "tattoo": 0.6, "face": 0.5}
"""The part of a thing that must be filled; of a face also its centre."""

KEPT = 0.9
"""The part of a lesion, a trace or a mark that must be left as it was."""

RIGHT = 0.25
"""A painted region is right when this much of it lies on something that must go, grown by a fifth."""

MARGIN = 0.2
LEAST_MARGIN_PX = 6


@dataclass(frozen=True)
class Painted:
    """A region that a finder painted. `box` as found, without padding."""

    kind: str
    box: Box
    score: float = 1.0


@dataclass(frozen=True)
class Score:
    """One picture: what was covered, kept, and painted for nothing."""

    group: str
    name: str
    covered: tuple[tuple[Truth, bool], ...]
    kept: tuple[tuple[str, bool], ...]
    right: tuple[tuple[str, bool], ...]
    outside: float
    """Part of the picture that is painted beyond everything that must go, grown by a fifth."""

    proposed: tuple[tuple[Truth, bool], ...] = ()
    """Of the tattoos: whether covered or at least proposed to a person."""

    seconds: dict[str, float] = field(default_factory=dict)


def score(sample: Sample, filled: Mask, painted: Sequence[Painted], proposed: Mask | None = None) -> Score:
    """`filled`: what the output shows as paint, height x width; `painted`: the regions it was painted for."""
    near = np.zeros(filled.shape, bool)
    for truth in sample.truths:
        fill(near, [grown(truth.box)])
    asked = [truth for truth in sample.truths if not truth.ignored]
    right = tuple((each.kind, _share(near, each.box) >= RIGHT) for each in painted)
    untouched = ~filled | near  # what must go may take its margin with it
    shown = filled if proposed is None else filled | proposed
    return Score(
        group=sample.group,
        name=sample.name,
        covered=tuple((truth, is_covered(truth, filled)) for truth in asked),
        kept=tuple((each.kind, each.inside(untouched) >= KEPT) for each in sample.keep),
        right=right,
        outside=float((filled & ~near).mean()),
        proposed=tuple((truth, is_covered(truth, shown)) for truth in asked if truth.kind == "tattoo"),
    )


def is_covered(truth: Truth, filled: Mask) -> bool:
    """Enough of it, and of a face the middle as well."""
    if truth.inside(filled) < ENOUGH[truth.kind]:
        return False
    if truth.kind != "face":
        return True
    left, top, width, height = truth.box
    middle = round(left + width * 0.4), round(top + height * 0.4), max(1, width // 5), max(1, height // 5)
    return _share(filled, middle) >= 0.8


def mask_of(boxes: Iterable[Box], width: int, height: int) -> Mask:
    """A mask with these boxes in it."""
    mask = np.zeros((height, width), bool)
    fill(mask, boxes)
    return mask


def fill(mask: Mask, boxes: Iterable[Box]) -> None:
    """Set the boxes in the mask, in place."""
    for left, top, width, height in boxes:
        mask[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)] = True


def grown(box: Box) -> Box:
    """The box with a fifth, and six pixels at least, on each side."""
    left, top, width, height = box
    across, down = max(LEAST_MARGIN_PX, round(width * MARGIN)), max(LEAST_MARGIN_PX, round(height * MARGIN))
    return left - across, top - down, width + 2 * across, height + 2 * down


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927): right for few and for shares near 1, where the usual one fails."""
    if not of:
        return 0.0, 1.0
    z = 1.959964
    share = hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(0.0, middle - half), min(1.0, middle + half)


def _share(mask: Mask, box: Box) -> float:
    left, top, width, height = box
    part = mask[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
    return float(part.mean()) if part.size else 0.0
