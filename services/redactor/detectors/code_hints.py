"""Where something may be printed like a code, by the text network's second map (see `training/text/code_map`).

A hint is no find: it says where the finder of codes is to look closely.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from services.redactor.domain import clip
from shared.events import Box

FIELD_PX = 16
"""Of the picture that the network sees, for each value of its map."""

HINT, LEAST = 0.1, 1.0
"""A field from the first value up belongs to a hint, and fields near each other are one if they add up to the second:
a code of 90 pixels covers nine fields and more, and what is found in one alone was a letter of lead each time."""

MARGIN_FIELDS = 1
MARGIN_PART = 0.25
"""A hint grows on every side by so many fields more, and by so much of its longer side: what stands around a code, and
its end, belong to how it is judged."""


class Part(NamedTuple):
    """A part of a picture that may hold a code, in pixels of the picture."""

    hint: Box
    """In this the middle of the print lies."""

    box: Box
    """The same with what stands around it."""


def hinted(codes: npt.NDArray[np.float32], margin_px: int, factor: float, width: int, height: int) -> list[Part]:
    """Parts of a picture of `width` by `height` that may hold codes; no box overlaps another.

    `codes`: the map, 0 to 1, of that picture made larger by `factor` and carried on by `margin_px` on every side.
    """
    strong = codes > HINT
    around = cv2.dilate(strong.astype(np.uint8), np.ones((3, 3), np.uint8))
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(around, connectivity=8)
    together = np.bincount(labels[strong], codes[strong], len(boxes))
    parts = []
    for (left, top, across, down, _), weight in zip(boxes[1:].tolist(), together[1:].tolist(), strict=True):
        margin = MARGIN_FIELDS + MARGIN_PART * max(across, down)
        seen = []
        for grown in (0.0, margin):
            edges = np.array([left - grown, top - grown, left + across + grown, top + down + grown])
            first_x, first_y, last_x, last_y = (edges * FIELD_PX - margin_px) / factor
            seen.append((int(first_x), int(first_y), int(last_x - first_x) + 1, int(last_y - first_y) + 1))
        hint, box = (clip(each, width, height) for each in seen)
        if hint is not None and box is not None:
            parts.append((Part(hint, box), weight))
    return [part for part, weight in _apart(parts) if weight >= LEAST]


def _apart(parts: Sequence[tuple[Part, float]]) -> list[tuple[Part, float]]:
    """The parts, those whose boxes touch as one of their weights together: of a large code both ends may be seen."""
    apart: list[tuple[Part, float]] = []
    for part, weight in parts:
        joined, together = part, weight
        while touching := [each for each in apart if _touch(each[0].box, joined.box)]:
            for each in touching:
                apart.remove(each)
                joined = Part(_both(each[0].hint, joined.hint), _both(each[0].box, joined.box))
                together += each[1]
        apart.append((joined, together))
    return apart


def _both(one: Box, other: Box) -> Box:
    left, top = min(one[0], other[0]), min(one[1], other[1])
    right, bottom = max(one[0] + one[2], other[0] + other[2]), max(one[1] + one[3], other[1] + other[3])
    return left, top, right - left, bottom - top


def _touch(one: Box, other: Box) -> bool:
    return all(one[at] <= other[at] + other[at + 2] and other[at] <= one[at] + one[at + 2] for at in (0, 1))
