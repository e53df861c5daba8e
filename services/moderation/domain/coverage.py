"""How much of a box lies under the paint of a frame."""

from itertools import pairwise

from shared.events import Box, Frame, RegionKind


def painted_part(frame: Frame, box: Box) -> float:
    """The part of `box` (0 to 1) that the frame's regions cover as they are listed, without the margin of the paint.

    1 for a box that holds nothing. A face that the author's clinical region opens does not count where that region
    meets the box.
    """
    if min(box[2:]) < 1:
        return 1.0
    opened = any(shared_box(clinical, box) for clinical in frame.clinical)
    painted = [
        shared
        for region in frame.regions
        if not (opened and region.kind is RegionKind.FACE) and (shared := shared_box(region.box, box))
    ]
    return _union(painted) / (box[2] * box[3])


def shared_box(one: Box, other: Box) -> Box | None:
    """The part that two boxes have in common; None where there is none."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[0] + one[2], other[0] + other[2]), min(one[1] + one[3], other[1] + other[3])
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def _union(boxes: list[Box]) -> int:
    """Pixels in at least one of the boxes: strip by strip between the boxes' left and right edges."""
    edges = sorted({edge for x, _, width, _ in boxes for edge in (x, x + width)})
    pixels = 0
    for left, right in pairwise(edges):
        reached = 0
        for top, bottom in sorted((y, y + height) for x, y, width, height in boxes if x <= left < x + width):
            pixels += (right - left) * max(0, bottom - max(top, reached))
            reached = max(reached, bottom)
    return pixels
