"""Data Matrix codes by their frame, whether or not a library can read them: flat ones, tilted ones, blurred ones.

Own method. ISO/IEC 16022 gives every Data Matrix two solid sides that meet in a corner, and two sides on which ink and
paper alternate, module by module, with paper around. So the ink of a place is enclosed by the quadrilateral that fits
it best, whatever the perspective; that is laid flat, and its four sides are read. Hardly anything else has such sides:
tables are solid all around, rulers are empty inside, lines of letters have no side at all.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from services.redactor.detectors import Pixels

Quad = npt.NDArray[np.float32]
"""4 x 2: corners."""

LEAST_CONTRAST = 30  # of ink and paper, in grey levels
LEAST_SIDE_PX = 10.0  # a side of eight modules or more
FLAT_PX = 200  # longer side of the frame when it is laid flat
LEAST_FLAT_PX = 24
SOLID_FROM = 0.9  # the part of a solid side that is ink
DASHES = (0.28, 0.72)  # the part of a dashed side that is ink
FILLED = (0.3, 0.7)  # the part of what the sides enclose that is ink
LEAST_CHANGES = 6  # between ink and paper on a dashed side: eight modules have seven
MOST_UNEVEN = 0.34  # the spread of the dashes' lengths, by their mean
MOST_MISSING = 0.15  # of a dashed side where nothing alternates


def framed(grey: Pixels, island: Quad) -> Quad | None:
    """The frame round a place that is packed with edges (4 x 2, in pixels of `grey`), or None where there is none."""
    inked = _ink(grey, island)
    if inked is None:
        return None
    part, ink, corner = inked
    hull = cv2.convexHull(cv2.findNonZero(ink))
    if len(hull) < 4:
        return None
    # Of all quadrilaterals round the ink the smallest, near enough.
    around: Any = cv2.approxPolyN(hull, 4, approxCurve=None, epsilon_percentage=-1.0, ensure_convex=True)
    quad = np.asarray(around, np.float32).reshape(-1, 2)
    if len(quad) != 4:
        return None
    lengths = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    if lengths.min() < LEAST_SIDE_PX:
        return None
    longer = max(lengths[0] + lengths[2], lengths[1] + lengths[3]) / 2
    wide, high = (
        max(LEAST_FLAT_PX, round(FLAT_PX * float(one + other) / 2 / longer))
        for one, other in ((lengths[0], lengths[2]), (lengths[1], lengths[3]))
    )
    flat = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32)
    turn = cv2.getPerspectiveTransform(quad, flat)
    laid = cv2.warpPerspective(part, turn, (wide, high), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    threshold, _ = cv2.threshold(laid, 0, 255, cv2.THRESH_OTSU)
    dark = laid <= threshold
    if not FILLED[0] < float(dark.mean()) < FILLED[1]:
        return None
    sides = [np.rot90(dark, quarter) for quarter in range(4)]  # each in turn on top: top, right, bottom, left
    solid = [_solid(side) for side in sides]
    for first in range(4):
        if solid[first] and solid[(first + 1) % 4] and _dashed(sides[(first + 2) % 4]) and _dashed(sides[first - 1]):
            return quad + corner
    return None


def _ink(grey: Pixels, island: Quad) -> tuple[Pixels, npt.NDArray[np.uint8], npt.NDArray[np.float32]] | None:
    """The part of the picture round an island, what in it is ink with paper around, and where the part begins."""
    low, high = island.min(axis=0), island.max(axis=0)
    margin = 6 + 0.06 * float((high - low).max())
    left, top = (max(0, int(value)) for value in np.floor(low - margin))
    right, bottom = (int(value) + 1 for value in np.ceil(high + margin))
    part = grey[top:bottom, left:right]
    corner = np.array([left, top], np.float32)
    within = np.zeros(part.shape, np.uint8)
    cv2.fillConvexPoly(within, np.round(island - corner).astype(np.int32), 1)
    levels = part[within > 0]
    if levels.size < LEAST_SIDE_PX**2:
        return None
    threshold, _ = cv2.threshold(levels.reshape(1, -1), 0, 255, cv2.THRESH_OTSU)
    dark = levels <= threshold
    if dark.all() or not dark.any() or float(levels[~dark].mean()) - float(levels[dark].mean()) < LEAST_CONTRAST:
        return None
    ink = (part <= threshold).astype(np.uint8)
    count, labels = cv2.connectedComponents(ink, connectivity=8)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    kept = np.ones(count, np.uint8)
    kept[edge] = 0  # what goes on beyond the part is what the label lies on
    kept[0] = 0
    ink = kept[labels] & within
    return (part, ink, corner) if int(ink.sum()) > 0.15 * int(within.sum()) else None


def _lines(side: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The uppermost lines of the code: within its first module, however few it has."""
    return side[: max(3, side.shape[0] // 6)]


def _solid(side: npt.NDArray[np.bool_]) -> bool:
    """Is one of the uppermost lines ink from end to end?"""
    return bool(_lines(side).mean(axis=1).max() >= SOLID_FROM)


def _dashed(side: npt.NDArray[np.bool_]) -> bool:
    """Do ink and paper alternate evenly in one of the uppermost lines, from end to end?"""
    for line in _lines(side):
        inked = float(line.mean())
        if inked >= SOLID_FROM:
            return False  # a table has lines all around, and looks dashed where others meet them
        if not DASHES[0] < inked < DASHES[1]:
            continue
        changes = np.nonzero(line[1:] != line[:-1])[0]
        if len(changes) < LEAST_CHANGES:
            continue
        pairs = changes[2:] - changes[:-2]  # a dash and the gap behind it: thick ink or thin, their sum is the same
        mean = float(pairs.mean())
        whole = mean * (len(changes) + 1) / 2
        if float(pairs.std()) <= MOST_UNEVEN * mean and abs(whole - len(line)) < MOST_MISSING * len(line):
            return True
    return False
