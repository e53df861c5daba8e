"""How many codes ours and each single library find on the generated scenes: one run, the same pictures, one thread.

`python -m tests.scenes.codes_measured [--count N] [--seed N] [--empty N]` prints the table. A code counts as found when
80 % of its print lies under what would be painted; the libraries are given our margins and padding, so that only the
finding is compared.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import zxingcpp

from services.redactor.detectors.codes import Codes
from services.redactor.domain import padded
from shared.events import Box, Region, RegionKind
from tests.scenes.codes import SIZES_PX, SYMBOLOGIES, Pixels, Scene, empty, scenes

FOUND_FROM = 0.8
MARGIN = 0.1  # what the libraries' quadrilaterals are grown by, as part of their longer side
LINE_MARGIN = 0.25  # OpenCV marks only part of the bars' height

Finding = Callable[[Pixels], list[Box]]


def covered(scene: Scene, boxes: Sequence[Box]) -> float:
    """The part of the print that lies under `boxes`, from 0 to 1."""
    height, width = scene.pixels.shape[:2]
    under = np.zeros((height, width), np.uint8)
    for left, top, across, down in boxes:
        under[max(0, top) : max(0, top + down), max(0, left) : max(0, left + across)] = 1
    printed = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(printed, np.round(scene.corners).astype(np.int32), 1)
    return float(under[printed > 0].mean())


def ours() -> Finding:
    """The redactor's own finder, as painted."""
    codes = Codes()
    return lambda pixels: [padded(region) for region in codes.detect(pixels)]


def libraries() -> dict[str, Finding]:
    """Each library alone, at the picture's own size, in grey."""
    squares, tilted, lines = cv2.QRCodeDetector(), cv2.QRCodeDetectorAruco(), cv2.barcode.BarcodeDetector()

    def zxing(pixels: Pixels) -> list[Box]:
        quads = []
        for code in zxingcpp.read_barcodes(_grey(pixels), return_errors=True):
            place = code.position
            corners = (place.top_left, place.top_right, place.bottom_right, place.bottom_left)
            quads.append(np.array([(corner.x, corner.y) for corner in corners], np.float32))
        return _boxes(quads, MARGIN)

    return {
        "zxing-cpp": zxing,
        "cv2.QRCodeDetector": lambda pixels: _boxes(_quads(squares.detectMulti(_grey(pixels))), MARGIN),
        "cv2.QRCodeDetectorAruco": lambda pixels: _boxes(_quads(tilted.detectMulti(_grey(pixels))), MARGIN),
        "cv2.barcode": lambda pixels: _boxes(_quads(lines.detectMulti(_grey(pixels))), LINE_MARGIN),
    }


def recall(finders: dict[str, Finding], seen: Iterable[Scene]) -> dict[str, dict[str, tuple[int, int]]]:
    """Finder -> symbology (and `symbology size`) -> how many of how many were found."""
    counts: dict[str, dict[str, list[bool]]] = {name: defaultdict(list) for name in finders}
    for scene in seen:
        for name, find in finders.items():
            hit = covered(scene, find(scene.pixels)) >= FOUND_FROM
            counts[name][scene.symbology].append(hit)
            counts[name][f"{scene.symbology} {scene.size}"].append(hit)
    return {name: {key: (sum(hits), len(hits)) for key, hits in rows.items()} for name, rows in counts.items()}


def _grey(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def _quads(found: Any) -> list[npt.NDArray[np.float32]]:
    seen, points = found[0], found[1]
    return list(np.asarray(points, np.float32).reshape(-1, 4, 2)) if seen and points is not None else []


def _boxes(quads: Sequence[npt.NDArray[np.float32]], margin: float) -> list[Box]:
    boxes = []
    for quad in quads:
        lowest, highest = quad.min(axis=0), quad.max(axis=0)
        more = margin * float((highest - lowest).max())
        left, top = (int(value) for value in np.floor(lowest - more))
        right, bottom = (int(value) for value in np.ceil(highest + more))
        if right > left and bottom > top:
            region = Region(kind=RegionKind.CODE, box=(left, top, right - left, bottom - top), detector="library")
            boxes.append(padded(region))
    return boxes


def main() -> None:
    """Prints recall by symbology, false boxes on pictures without a code, and CPU time, as a Markdown table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=None, help="scenes; all 216 without it")
    arguments.add_argument("--seed", type=int, default=4)
    arguments.add_argument("--empty", type=int, default=30, help="pictures without a code")
    given = arguments.parse_args()
    cv2.setNumThreads(1)
    finders = {"ours": ours(), **libraries()}
    took: dict[str, list[float]] = {name: [] for name in finders}

    def timed(name: str, find: Finding) -> Finding:
        def run(pixels: Pixels) -> list[Box]:
            began = time.process_time()
            boxes = find(pixels)
            took[name].append(time.process_time() - began)
            return boxes

        return run

    finders = {name: timed(name, find) for name, find in finders.items()}
    found = recall(finders, scenes(given.count, given.seed))
    false: dict[str, int] = dict.fromkeys(finders, 0)
    for _, pixels in empty(given.empty, given.seed):
        for name, find in finders.items():
            false[name] += bool(find(pixels))
    print(f"| | {' | '.join(SYMBOLOGIES)} | touched of {given.empty} without a code | CPU ms, median |")
    print("|---|" + "---|" * (len(SYMBOLOGIES) + 2))
    for name, rows in found.items():
        cells = [_cell(rows, kind) for kind in SYMBOLOGIES]
        print(f"| {name} | {' | '.join(cells)} | {false[name]} | {1000 * float(np.median(took[name])):.0f} |")
    count = sum(found["ours"][kind][1] for kind in SYMBOLOGIES if kind in found["ours"])
    print(f"\n{count} scenes, seed {given.seed}; in brackets by size: {', '.join(map(str, SIZES_PX))} pixels.")


def _cell(rows: dict[str, tuple[int, int]], kind: str) -> str:
    if kind not in rows:
        return "-"
    by_size = [rows.get(f"{kind} {size}") for size in SIZES_PX]
    return f"{rows[kind][0] / rows[kind][1]:.2f} ({' '.join(f'{hit}/{n}' for hit, n in filter(None, by_size))})"


if __name__ == "__main__":
    main()
