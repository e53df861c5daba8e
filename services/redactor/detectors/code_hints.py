"""Where something may be printed like a code, by the text network's second map (see `training/text/code_map`).

A hint is no find: it says where the finder of codes is to look closely. The threshold lies far below what any code of
the 648 generated scenes gives, in colour or in grey.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from services.redactor.domain import clip
from shared.events import Box

FIELD_PX = 16
"""Of the picture that the network sees, for each value of its map."""

HINT = 0.3

MARGIN_FIELDS = 1
MARGIN_PART = 0.25
"""A hint grows on every side by so many fields more, and by so much of its longer side: what stands around a code, and
its end, belong to how it is judged."""


def hinted(codes: npt.NDArray[np.float32], margin_px: int, factor: float, width: int, height: int) -> list[Box]:
    """Parts of a picture of `width` by `height` that may hold codes; none overlaps another.

    `codes`: the map, 0 to 1, of that picture made larger by `factor` and carried on by `margin_px` on every side.
    """
    strong = cv2.dilate((codes > HINT).astype(np.uint8), np.ones((3, 3), np.uint8))
    _, _, boxes, _ = cv2.connectedComponentsWithStats(strong, connectivity=8)
    grown = []
    for left, top, across, down, _ in boxes[1:].tolist():
        margin = MARGIN_FIELDS + MARGIN_PART * max(across, down)
        edges = np.array([left - margin, top - margin, left + across + margin, top + down + margin])
        first_x, first_y, last_x, last_y = (edges * FIELD_PX - margin_px) / factor
        box = clip((int(first_x), int(first_y), int(last_x - first_x) + 1, int(last_y - first_y) + 1), width, height)
        if box is not None:
            grown.append(box)
    return _apart(grown)


def _apart(boxes: Sequence[Box]) -> list[Box]:
    """The boxes, those that touch as one."""
    apart: list[Box] = []
    for box in boxes:
        joined = box
        while touching := [each for each in apart if _touch(each, joined)]:
            for each in touching:
                apart.remove(each)
                left, top = min(each[0], joined[0]), min(each[1], joined[1])
                right = max(each[0] + each[2], joined[0] + joined[2])
                bottom = max(each[1] + each[3], joined[1] + joined[3])
                joined = (left, top, right - left, bottom - top)
        apart.append(joined)
    return apart


def _touch(one: Box, other: Box) -> bool:
    return all(one[at] <= other[at] + other[at + 2] and other[at] <= one[at] + one[at + 2] for at in (0, 1))
