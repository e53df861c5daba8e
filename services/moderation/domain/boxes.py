"""The complete list of boxes that a moderator wants painted, checked against the frames that they saw."""

from collections.abc import Sequence

from services.moderation.domain.refusals import BadBoxes, BoxFault
from services.moderation.domain.values import BY_HAND
from shared.events import MAX_BOXES, Box, Frame, FrameBoxes, Region


def complete_boxes(frames: Sequence[Frame], wanted: Sequence[FrameBoxes]) -> tuple[FrameBoxes, ...]:
    """`wanted` in order of frame, clipped to the frames, ready for `redaction.requested`.

    Every frame must be listed exactly once, with an empty list where nothing is to be covered: a frame that was
    simply forgotten would come back uncovered. A box that the machine found (same kind and place) keeps its score
    and detector; every other box is a person's, whatever the request says, so that no free text travels in it.
    A clinical box may be kept, made smaller or left out (the face is then painted there), but only the author marks
    one: there are never more of them. Raises BadBoxes with the place in the request.
    """
    by_index = {frame.index: frame for frame in frames}
    seen: set[int] = set()
    complete: list[FrameBoxes] = []
    for place, listed in enumerate(wanted):
        frame = by_index.get(listed.frame)
        if frame is None:
            raise BadBoxes(BoxFault.FRAME_UNKNOWN, "frames", place, "frame")
        if listed.frame in seen:
            raise BadBoxes(BoxFault.FRAME_TWICE, "frames", place, "frame")
        seen.add(listed.frame)
        boxes = []
        for number, region in enumerate(listed.boxes):
            fitted = _fit(region, frame)
            if fitted is None:
                raise BadBoxes(BoxFault.BOX_OUTSIDE, "frames", place, "boxes", number, "box")
            boxes.append(fitted)
        for number, clinical in enumerate(listed.clinical):
            more = number >= len(frame.clinical)
            if more or min(clinical[2:]) < 1 or not any(_within(clinical, marked) for marked in frame.clinical):
                raise BadBoxes(BoxFault.CLINICAL_NEW, "frames", place, "clinical", number)
        complete.append(FrameBoxes(frame=frame.index, boxes=tuple(boxes), clinical=listed.clinical))
    if by_index.keys() - seen:
        raise BadBoxes(BoxFault.FRAMES_FORGOTTEN, "frames")
    if sum(len(each.boxes) for each in complete) > MAX_BOXES:
        raise BadBoxes(BoxFault.TOO_MANY, "frames")
    return tuple(sorted(complete, key=lambda each: each.frame))


def _fit(region: Region, frame: Frame) -> Region | None:
    """The part of the box that lies in the frame; None where there is none."""
    left, top, width, height = region.box
    right, bottom = min(left + width, frame.width), min(top + height, frame.height)
    left, top = max(left, 0), max(top, 0)
    if right <= left or bottom <= top:
        return None
    for found in (*frame.regions, *frame.residual, *frame.proposals):
        if found.kind == region.kind and found.box == region.box:
            return found.model_copy(update={"box": (left, top, right - left, bottom - top)})
    return Region(kind=region.kind, box=(left, top, right - left, bottom - top), detector=BY_HAND)


def _within(inner: Box, outer: Box) -> bool:
    return (
        inner[0] >= outer[0]
        and inner[1] >= outer[1]
        and inner[0] + inner[2] <= outer[0] + outer[2]
        and inner[1] + inner[3] <= outer[1] + outer[3]
    )
