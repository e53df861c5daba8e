"""Measures the finder on labelled pictures: how many tattoos it finds, how many pictures without one it touches.

Found: 60 % of the tattoo's box or more lies under the painted boxes (padded and aligned as the redactor paints them).
Touched: a picture without a tattoo in which anything is painted. Outside: the part of a tattooed picture that is
painted beyond its tattoos' boxes grown by 20 %. Intervals are Wilson's, 95 %.
"""

import json
import math
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from services.redactor.detectors import colourless, scaled, to_box
from services.redactor.detectors.tattoos import COLOURLESS, SIDE_PX, STRIDE, Tattoos, marked
from services.redactor.domain import painted_boxes
from services.redactor.inference import Engine
from shared.events import Region, RegionKind

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995)
ENOUGH = 0.6


@dataclass
class Counts:
    """At one threshold."""

    found: int = 0
    tattoos: int = 0
    touched: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    without: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    outside: list[float] = field(default_factory=list)


def wilson(hits: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    if total == 0:
        return 0.0, 1.0
    z, share = 1.96, hits / total
    middle = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, (middle - half) / (1 + z * z / total)), min(1.0, (middle + half) / (1 + z * z / total))


def evaluate(engine: Engine, pictures: Path, ground_truth: Path, *, side_px: int = SIDE_PX) -> dict[float, Counts]:
    """Counts at each of `THRESHOLDS`. `ground_truth`: a list of {"file", "boxes": [{"kind", "box": [x1, y1, x2, y2]}]}.

    Prints the finder's cost as well: CPU seconds of this process, one thread.
    """
    finder = Tattoos(engine, threshold=0.0)
    curve = {threshold: Counts() for threshold in THRESHOLDS}
    spent, seen = 0.0, 0
    for entry in json.loads(ground_truth.read_text()):
        path = pictures / entry["file"]
        bgr = cv2.imread(str(path))
        if bgr is None:
            raise ValueError(f"{path} is no picture")
        pixels = np.ascontiguousarray(bgr[:, :, ::-1]).astype(np.uint8)
        started = time.process_time()
        small, factor = scaled(pixels, side_px)
        likely = np.zeros((1, 1), np.float32) if colourless(pixels, COLOURLESS) else finder.map(small)
        spent, seen = spent + time.process_time() - started, seen + 1
        for threshold, counts in curve.items():
            regions = []
            for edges, score in marked(likely, threshold):
                box = to_box(edges * (STRIDE / factor), pixels.shape[1], pixels.shape[0])
                if box is not None:
                    regions.append(Region(kind=RegionKind.TATTOO, box=box, score=min(1.0, score), detector="tattoos"))
            _count(counts, entry, regions, pixels.shape[:2])
    print(f"{seen} pictures at {side_px} px, {spent / max(1, seen):.3f} CPU s each, engine {engine.name}")
    return curve


def _count(counts: Counts, entry: dict[str, Any], regions: list[Region], size: tuple[int, int]) -> None:
    height, width = size
    painted = np.zeros((height, width), bool)
    for left, top, across, down in painted_boxes(regions, width, height):
        painted[top : top + down, left : left + across] = True
    boxes = [each for each in entry["boxes"] if each["kind"] == "tattoo"]
    if not boxes:
        folder = entry["file"].split("/")[0]
        counts.without[folder] += 1
        counts.touched[folder] += bool(painted.any())
        return
    allowed = np.zeros((height, width), bool)
    for each in boxes:
        x1, y1, x2, y2 = (round(value) for value in each["box"])
        across, down = max(6, round(0.2 * (x2 - x1))), max(6, round(0.2 * (y2 - y1)))
        allowed[max(0, y1 - down) : y2 + down, max(0, x1 - across) : x2 + across] = True
        if each.get("ignore"):
            continue
        inside: npt.NDArray[np.bool_] = painted[max(0, y1) : y2, max(0, x1) : x2]
        counts.tattoos += 1
        counts.found += bool(inside.size and inside.mean() >= ENOUGH)
    counts.outside.append(float((painted & ~allowed).mean()))


def table(curve: dict[float, Counts]) -> str:
    """The curve as a Markdown table."""
    folders = sorted({folder for counts in curve.values() for folder in counts.without})
    head = ["threshold", "found", "outside, mean", *(f"touched: {folder}" for folder in folders)]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for threshold, counts in curve.items():
        cells = [f"{threshold:.2f}", _share(counts.found, counts.tattoos)]
        cells.append(f"{100 * float(np.mean(counts.outside)):.1f} %" if counts.outside else "-")
        cells += [_share(counts.touched[folder], counts.without[folder]) for folder in folders]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _share(hits: int, total: int) -> str:
    if not total:
        return "-"
    low, high = wilson(hits, total)
    return f"{hits / total:.2f} ({low:.2f} to {high:.2f}; {hits}/{total})"
