"""The second look: the painted picture is searched again with other settings, as somebody else would search it."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from services.redactor.detectors import Pixels, halved, single
from services.redactor.domain import clip, holes, painted_boxes
from services.redactor.pixels.search import SMALL_PRINT, Search
from shared.events import Box, PictureKind, Region, RegionKind

ALREADY_COVERED = 0.6
"""What is found again and lies this much under paint is the edge of a painted thing, not a new one."""

SCALE = 0.8
SHIFT_PX = 7

LARGEST_SEARCHED_PX = 1600
"""No finder looks at more than this: a larger picture is halved before it is scaled and shifted."""


def look_again(
    search: Search,
    painted: Pixels,
    regions: Sequence[Region],
    kind: PictureKind | None = None,
    clinical: Sequence[Box] = (),
    *,
    alone: bool = False,
) -> list[Region]:
    """What is still seen in `painted`, scaled and shifted, in pixels of the picture; not what lies under paint.

    `alone`: the paint is a person's, and no first look preceded this one. Then codes are sought by their print, too.

    The clinical boxes' openings in a face count as paint for faces and for nothing else: an eye that was left open on
    purpose is no face that was overlooked, and a name across it is.
    """
    height, width = painted.shape[:2]
    base = single(painted)
    while max(base.shape[:2]) >= 2 * LARGEST_SEARCHED_PX:
        base = halved(base)
    size = max(1, round(base.shape[1] * SCALE)), max(1, round(base.shape[0] * SCALE))
    # Linear: in a seventh of the time of areas' means.
    smaller = np.asarray(cv2.resize(base, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    moved = np.asarray(cv2.copyMakeBorder(smaller, SHIFT_PX, 0, SHIFT_PX, 0, cv2.BORDER_REPLICATE), np.uint8)
    found = search.text.detect_once(moved, SCALE, kind in SMALL_PRINT)
    found += search.faces.detect_once(moved, SCALE)
    found += search.codes.detect(moved) if alone else search.codes.read(moved)
    seen = [_moved_back(each, size[0] / width, size[1] / height, width, height) for each in found]
    return uncovered([each for each in seen if each is not None], regions, width, height, clinical)


def uncovered(
    found: Sequence[Region], regions: Sequence[Region], width: int, height: int, clinical: Sequence[Box] = ()
) -> list[Region]:
    """Those of `found` that lie less than `ALREADY_COVERED` under the paint of `regions`.

    For faces an opening counts as paint where a painted face surrounds it: in a face without paint it opens nothing.
    """
    paint = mask(painted_boxes(regions, width, height, clinical), width, height)
    paint_and_holes = paint
    if clinical:
        faces = [region for region in regions if region.kind is RegionKind.FACE]
        openings = mask(holes(clinical, width, height), width, height)
        paint_and_holes = paint | (openings & mask(painted_boxes(faces, width, height), width, height))
    return [
        each
        for each in found
        if part(paint_and_holes if each.kind is RegionKind.FACE else paint, each.box) < ALREADY_COVERED
    ]


def mask(boxes: Sequence[Box], width: int, height: int) -> npt.NDArray[np.bool_]:
    """Height x width: true in the boxes."""
    covered = np.zeros((height, width), bool)
    for left, top, across, down in boxes:
        covered[top : top + down, left : left + across] = True
    return covered


def part(covered: npt.NDArray[np.bool_], box: Box) -> float:
    """The part of `box`, which must lie in the picture, that is covered."""
    left, top, across, down = box
    return float(covered[top : top + down, left : left + across].mean())


def _moved_back(region: Region, by_x: float, by_y: float, width: int, height: int) -> Region | None:
    """A region of the second look in pixels of the full picture; None where it lies in the added margin only."""
    left, top, across, down = region.box
    box = clip(
        (
            int((left - SHIFT_PX) / by_x),
            int((top - SHIFT_PX) / by_y),
            int(across / by_x) + 1,
            int(down / by_y) + 1,
        ),
        width,
        height,
    )
    return region.model_copy(update={"box": box}) if box is not None else None
