"""Lines of text as geometry: out of the text map, grown to their full height, cut out of the picture, laid level."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from services.redactor.detectors import Pixels, halved, turned

SMALLEST_CORE_PX = 2.0
TANGLED = 0.7
"""How sure the map must be of cores that no rectangle fits, to take them apart."""

HIGHEST_CUT_PX = 192
"""What is twice as high or more is cut out of the picture halved: its reader looks at 48 pixels of height."""

UPRIGHT = 1.2  # a line this much longer than tall has a direction
STEEP = 0.25  # sine of the angle from which a slanted line is covered piece by piece and not by one great box


@dataclass(frozen=True)
class Line:
    """A slanted rectangle: centre, length along the writing, height across it, and the writing's angle in degrees."""

    centre: tuple[float, float]
    across: float
    down: float
    angle: float

    @property
    def stands(self) -> bool:
        """Whether it is taller than wide in the picture."""
        return bool(abs(np.sin(np.radians(self.angle))) > np.sqrt(0.5) and self.across > UPRIGHT * self.down)

    @classmethod
    def grown(cls, slanted: Any, growth: float) -> "Line":
        """The full line of a core as `cv2.minAreaRect` gives it; `growth`: see `lines_of`."""
        centre, (across, down), angle = slanted
        grow = growth * across * down / (2 * (across + down))
        across, down = across + 2 * grow, down + 2 * grow
        return cls(centre, across, down, angle) if across >= down else cls(centre, down, across, angle + 90)

    def turned_back(self, quarter_turns: int, width: int, height: int) -> "Line":
        """The line, found in `np.rot90(picture, quarter_turns)`, in the picture of this size before the turn."""
        x, y = self.centre
        centre = ((x, y), (width - y, x), (width - x, height - y), (y, height - x))[quarter_turns % 4]
        return Line(centre, self.across, self.down, self.angle + 90 * (quarter_turns % 4))

    def moved(self, right: float, down: float, factor: float) -> "Line":
        """The line shifted, then made larger or smaller."""
        centre = (self.centre[0] + right) * factor, (self.centre[1] + down) * factor
        return Line(centre, self.across * factor, self.down * factor, self.angle)

    def pieces(self) -> Iterator[npt.NDArray[np.float32]]:
        """Upright boxes (left, top, right, bottom) that cover the line, without the corners it does not reach."""
        along = np.array([np.cos(np.radians(self.angle)), np.sin(np.radians(self.angle))])
        count = 1 if min(abs(along)) < STEEP else max(1, round(self.across / self.down))
        for index in range(count):
            middle = np.array(self.centre) + along * self.across * ((index + 0.5) / count - 0.5)
            corners = cv2.boxPoints((tuple(middle), (self.across / count, self.down), self.angle))
            yield np.concatenate([corners.min(axis=0), corners.max(axis=0)]).astype(np.float32)

    def straightened(self, pixels: Pixels, quarter_turns: int) -> Pixels:
        """The line cut out and laid level, then turned: which way up it was written is not known. Halved while it is
        higher than twice `HIGHEST_CUT_PX`."""
        halvings = 0
        while self.down / 2**halvings >= 2 * HIGHEST_CUT_PX:
            pixels = halved(pixels)
            halvings += 1
        small = self.moved(0, 0, 0.5**halvings)
        size = max(2, round(small.across)), max(2, round(small.down))
        turn = cv2.getRotationMatrix2D(small.centre, small.angle, 1.0)
        turn[:, 2] += np.array(size) / 2 - np.array(small.centre)
        level = np.asarray(cv2.warpAffine(pixels, turn, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)
        return turned(level, quarter_turns)


def lines_of(
    likely: npt.NDArray[np.float32], pixel: float, box: float, growth: float, *, apart: float = 0.0
) -> Iterator[tuple[Line, float]]:
    """The lines of a text map (height x width, 0 to 1) and their mean score, from `box` up; `pixel` bounds a core.

    The map marks the core of a line; `growth` (by area and outline) brings back its full height. Where the mean is
    under `apart`, cores that run into each other are taken apart as well (see `_untangled`).
    """
    core = cv2.dilate((likely > pixel).astype(np.uint8), np.ones((2, 2), np.uint8))
    outlines, _ = cv2.findContours(core, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    for outline in outlines:
        seen = _scored(likely, outline, growth)
        if seen is None:
            continue
        if seen[1] >= box:
            yield seen
        if seen[1] < apart:
            yield from (part for part in _untangled(likely, outline, pixel, growth) if part[1] >= box)


def _scored(likely: npt.NDArray[np.float32], outline: Any, growth: float) -> tuple[Line, float] | None:
    """The line of an outline and its mean score; None for a speck."""
    slanted = cv2.minAreaRect(outline)
    if min(slanted[1]) < SMALLEST_CORE_PX:
        return None
    score = _mean_inside(likely, np.asarray(cv2.boxPoints(slanted), np.float32))
    return Line.grown(slanted, growth), min(1.0, score)


def _untangled(
    likely: npt.NDArray[np.float32], outline: Any, pixel: float, growth: float
) -> Iterator[tuple[Line, float]]:
    """Of cores that run into each other (the short numbers of a table's column, and the words beside them) what lies
    and what stands: no rectangle fits them all. Nothing, where the map itself is not sure of them."""
    left, top, width, height = cv2.boundingRect(outline)
    inside = np.zeros((height + 2, width + 2), np.uint8)
    cv2.drawContours(inside, [np.subtract(outline, (left - 1, top - 1))], -1, 1, cv2.FILLED)
    here = likely[top : top + height, left : left + width]
    core = here[(inside[1:-1, 1:-1] > 0) & (here > pixel)]
    if min(width, height) < SMALLEST_CORE_PX or not core.size or float(core.mean()) < TANGLED:
        return
    inside[1:-1, 1:-1] &= here > pixel
    thick = 2 * float(cv2.distanceTransform(inside, cv2.DIST_L2, 3).max())
    for across, down in ((round(2.5 * thick), 1), (1, round(2.5 * thick))):
        part = cv2.morphologyEx(inside, cv2.MORPH_OPEN, np.ones((down, across), np.uint8))
        outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        for each in outlines:
            seen = _scored(likely, np.add(each, (left - 1, top - 1)), growth)
            if seen is not None:
                yield seen


def _mean_inside(likely: npt.NDArray[np.float32], corners: npt.NDArray[np.float32]) -> float:
    height, width = likely.shape
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (width - 1, height - 1))
    inside = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(inside, [np.round(corners - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(likely[top : bottom + 1, left : right + 1], inside)[0])
