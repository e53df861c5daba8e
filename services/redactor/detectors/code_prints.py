"""Where something is printed like a code, whether or not a library can read it: its number may still be read from a
better copy, or by a person who compares.

Own method, classical: a code is a rectangle packed with strong edges, empty around, half ink and half paper. So cells
of 4 x 4 pixels are joined where the gradient energy passes one of several thresholds, as a code is a clean island at
some of them; each island is measured (`code_measures`) and judged by that. What tells a stacked code from a line of
letters are the bars over its full height at both ends, and how often it changes per height.
"""

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

from services.redactor.detectors import Pixels
from services.redactor.detectors.code_frames import framed
from services.redactor.detectors.code_measures import LEAST_CONTRAST, Measures, measured
from shared.events import Box

CELL_PX = 4
ENERGY_STEPS = (16.0, 40.0, 100.0, 250.0, 625.0, 1500.0)
"""Mean squared gradient of a cell, in grey levels per pixel squared: from a dark, blurred code to fresh print."""
LEAST_CELLS = 40
LEAST_FILLED = 0.55  # of the smallest rectangle round an island
SLIMMEST = 12.0  # longer side by shorter side
LONGEST_PX = 420.0  # a larger print is looked at in the halved picture
SHORTEST_HALVED_PX = 80.0  # a smaller print was looked at before the picture was halved
HALVINGS = 2
GRID_PX = CELL_PX * 2**HALVINGS
"""Where parts of a picture begin and end at multiples of this, they have the cells that the whole has."""
MOST_ISLANDS = 24
"""Islands measured at each size of what is searched, largest first: a page of print has hundreds, and each takes time.
"""
MOST_OF_PICTURE = 0.25
"""A print that nobody could read is not believed when it is larger than this part of the picture."""


class Look(StrEnum):
    """What a print looks like."""

    BARS = "bars"
    STACKED = "stacked"
    SQUARES = "squares"
    FRAMED = "framed"  # with the frame of a Data Matrix: see `code_frames`
    UNSURE = "unsure"  # worth a closer look by a reader, not by itself a code


@dataclass(frozen=True)
class Print:
    """A place that looks like a code."""

    corners: npt.NDArray[np.float32]
    """4 x 2, in pixels of the picture that was searched."""
    look: Look
    uneven: float
    """How unevenly its edges are spread, from 0: the least uneven of the doubtful are the likeliest."""


def prints(grey: Pixels, picture_size: int, within: Box | None = None) -> list[Print]:
    """Places that look like codes in a grey picture or a part of one (height x width), also at half and a quarter of
    its size. `picture_size`: how many pixels all of the picture has. `within`: in this their middle lies."""
    found: list[Print] = []
    level = grey
    most = MOST_OF_PICTURE * picture_size
    for halving in range(HALVINGS + 1):
        if min(level.shape) < 8 * CELL_PX:
            break
        for island in _islands(level, SHORTEST_HALVED_PX if halving else 0.0):
            grown = np.float32(2**halving)
            if within is not None and not _lies_in(island.mean(axis=0) * grown, within):
                continue
            seen = measured(level, island)
            look = None if seen is None else _look(seen)
            if look not in (Look.BARS, Look.STACKED, Look.SQUARES):
                frame = None if _known(found, island.mean(axis=0) * grown) else framed(level, island)
                if frame is not None and cv2.contourArea(frame) < most:
                    found.append(Print(frame * grown, Look.FRAMED, 0.0))
                    continue
            if seen is not None and look is not None and seen.width * seen.height < most:
                found.append(Print(seen.corners * grown, look, seen.uneven))
        most /= 4
        level = np.asarray(cv2.resize(level, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
    return found


def _lies_in(point: npt.NDArray[np.floating], box: Box) -> bool:
    return all(box[at] <= point[at] <= box[at] + box[at + 2] for at in (0, 1))


def _known(found: list[Print], point: npt.NDArray[np.floating]) -> bool:
    """Does the point lie in a print that is believed already?"""
    place = float(point[0]), float(point[1])
    return any(each.look is not Look.UNSURE and cv2.pointPolygonTest(each.corners, place, False) > 0 for each in found)


def _islands(grey: Pixels, shortest: float) -> list[npt.NDArray[np.float32]]:
    """Corners (4 x 2) of rectangles packed with edges, in pixels of `grey`; each place once, the largest first."""
    rows, columns = grey.shape[0] // CELL_PX, grey.shape[1] // CELL_PX
    whole = grey[: rows * CELL_PX, : columns * CELL_PX]
    across, down = (cv2.multiply(each, each, dtype=cv2.CV_32F, scale=1 / 64) for each in cv2.spatialGradient(whole))
    energy = cv2.add(across, down)
    energy = cv2.blur(cv2.resize(energy, (columns, rows), interpolation=cv2.INTER_AREA), (3, 3))
    kept: dict[tuple[int, ...], tuple[float, npt.NDArray[np.float32]]] = {}
    for step in ENERGY_STEPS:
        strong = (energy > step).astype(np.uint8)
        _, labels, boxes, _ = cv2.connectedComponentsWithStats(strong, connectivity=4)
        for number in np.nonzero(boxes[:, cv2.CC_STAT_AREA] >= LEAST_CELLS)[0]:
            left, top, width, height, cells = (int(value) for value in boxes[number])
            if number == 0 or min(width, height) < 4 or max(width, height) * CELL_PX < shortest:
                continue
            if max(width, height) * CELL_PX > 1.5 * LONGEST_PX:
                continue
            inside = (labels[top : top + height, left : left + width] == number).astype(np.uint8)
            outline = cv2.findNonZero(inside)
            (middle_x, middle_y), (one, other), angle = cv2.minAreaRect(outline)
            one, other = one + 1, other + 1
            longer, shorter = max(one, other), min(one, other)
            if cells < LEAST_FILLED * one * other or shorter < 4 or longer > SLIMMEST * shorter:
                continue
            if not shortest <= longer * CELL_PX <= LONGEST_PX:
                continue
            middle = (left + middle_x + 0.5) * CELL_PX, (top + middle_y + 0.5) * CELL_PX
            corners = cv2.boxPoints((middle, (one * CELL_PX, other * CELL_PX), angle)).astype(np.float32)
            # The same print at the next threshold is a cell smaller: trimming would make both the same.
            place = tuple(int(value) // 3 for value in (left, top, left + width, top + height))
            kept.setdefault(place, (one * other, corners))
    return [corners for _, corners in sorted(kept.values(), key=lambda each: -each[0])[:MOST_ISLANDS]]


def _look(seen: Measures) -> Look | None:
    """What the print looks like; thresholds from generated scenes, checked on pictures without codes."""
    if seen.contrast < LEAST_CONTRAST or seen.surround > 0.4 or not 0.34 < seen.ink < 0.6:
        return None
    slim = seen.width / seen.height
    if (
        seen.surround < 0.35
        and 0.34 < seen.dark < 0.72
        and seen.uneven < 0.5
        and seen.sharp > 0.06
        and seen.right_angled > 0.68
        and seen.leaning > 0.38
        and seen.changes_across >= 14
        and seen.periodic < 0.8
        and slim > 1.1
    ):
        return Look.BARS
    if (
        seen.surround < 0.35
        and 0.33 < seen.dark < 0.64
        and seen.uneven < 0.4
        and seen.sharp > 0.08
        and seen.right_angled > 0.22
        and -0.1 < seen.leaning < 0.66
        and seen.changes_across >= 16
        and 1.8 < slim < 12
        and seen.changes_down < 0.4 * seen.changes_across
        and seen.periodic < 0.75
        and seen.height >= 16
        and seen.end_contrast > 0.12
        and (
            (seen.end_bars > 0.7 and seen.changes_by_height >= 3.9)
            or (seen.changes_by_height >= 7 and seen.changes_down >= 2 and seen.periodic < 0.5)
        )
    ):
        return Look.STACKED
    periodic = max(seen.periodic, seen.periodic_down)
    fewer, more = sorted((seen.changes_across, seen.changes_down))
    packed = 0.36 < seen.dark < 0.6 and seen.right_angled > 0.24 and abs(seen.leaning) < 0.3 and seen.separate > 0.7
    if packed and seen.uneven < 0.25 and seen.sharp > 0.09 and fewer >= 9 and slim < 2 and periodic < 0.6:
        return Look.SQUARES
    # A flat Data Matrix, or a stacked code taken for one. A line of letters changes once or twice in its height, a row
    # of windows repeats.
    lies = seen.changes_across > seen.changes_down
    narrow = (slim if lies else 1 / slim) > 1.8 and (seen.periodic if lies else seen.periodic_down) < 0.6
    half_inked = 0.42 < seen.dark < 0.58 and 0.42 < seen.ink < 0.58
    if packed and narrow and half_inked and seen.uneven < 0.42 and seen.sharp > 0.1 and fewer >= 4 and more >= 18:
        return Look.SQUARES
    if seen.uneven < 0.45 and seen.sharp > 0.06 and more >= 7:
        return Look.UNSURE
    return None
