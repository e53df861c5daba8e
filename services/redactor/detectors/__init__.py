"""Finders: each looks for one kind of identifier in an upright picture and says where it is, how surely, and who says.

Every finder has `detect(pixels) -> list[Region]`: pixels are height x width x 3 bytes in RGB order; boxes are in pixels
of that picture, without padding. Thresholds are low: a person can remove a box, nobody can take back a face.
"""

from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from shared.events import Box, Region

Pixels = npt.NDArray[np.uint8]
"""An upright picture: height x width x 3, RGB."""

Boxes = npt.NDArray[np.float32]
"""n x 4: left, top, right, bottom."""


class Finder(Protocol):
    """What the redactor asks of a detector."""

    def detect(self, pixels: Pixels) -> list[Region]:
        """Regions of one kind in upright full-size pixels, unpadded. Never changes `pixels`."""
        ...


def scaled(pixels: Pixels, longest: int, *, largest_growth: float = 1.0) -> tuple[Pixels, float]:
    """The picture with its longer side at `longest` pixels, and the factor; grown at most `largest_growth` times."""
    height, width = pixels.shape[:2]
    factor = min(longest / max(height, width), largest_growth)
    if factor == 1.0:
        return pixels, 1.0
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return resized(pixels, size), factor


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The picture at `size` (width, height): means of areas when it shrinks, linear when it grows."""
    shrinks = size[0] * size[1] < pixels.shape[0] * pixels.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)


def on_grid(pixels: Pixels, step: int = 32) -> Pixels:
    """The picture with black added right and below, up to a multiple of `step`: networks halve their maps."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, -height % step), (0, -width % step), (0, 0)))


def to_box(edges: npt.NDArray[np.floating], width: int, height: int) -> Box | None:
    """Left, top, right, bottom as whole pixels, rounded outward and cut to the picture; None where nothing is left."""
    left, top = max(0, int(np.floor(edges[0]))), max(0, int(np.floor(edges[1])))
    right, bottom = min(width, int(np.ceil(edges[2]))), min(height, int(np.ceil(edges[3])))
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def turned_back(boxes: Boxes, quarter_turns: int, width: int, height: int) -> Boxes:
    """Boxes found in `np.rot90(picture, quarter_turns)`, in the picture of `width` by `height` before the turn."""
    left, top, right, bottom = boxes.T
    if quarter_turns % 4 == 1:
        left, top, right, bottom = width - bottom, left, width - top, right
    elif quarter_turns % 4 == 2:
        left, top, right, bottom = width - right, height - bottom, width - left, height - top
    elif quarter_turns % 4 == 3:
        left, top, right, bottom = top, height - right, bottom, height - left
    return np.stack([left, top, right, bottom], axis=1)
