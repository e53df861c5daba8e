"""The complete list of boxes that a moderator wants painted, checked against the frames that they saw."""

from collections.abc import Sequence

from services.moderation.domain.refusals import BadBoxes
from shared.events import Frame, FrameBoxes, Region

BY_HAND = "human"


def complete_boxes(frames: Sequence[Frame], wanted: Sequence[FrameBoxes]) -> tuple[FrameBoxes, ...]:
    """`wanted` in order of frame, clipped to the frames, ready for `redaction.requested`.

    Every frame must be listed exactly once, with an empty list where nothing is to be covered: a frame that was
    simply forgotten would come back uncovered. A box that the machine found (same kind and place) keeps its score
    and detector; every other box is a person's, whatever the request says, so that no free text travels in it.
    Raises BadBoxes with a JSON pointer into the request.
    """
    by_index = {frame.index: frame for frame in frames}
    seen: set[int] = set()
    complete: list[FrameBoxes] = []
    for place, listed in enumerate(wanted):
        frame = by_index.get(listed.frame)
        if frame is None:
            raise BadBoxes(f"/frames/{place}/frame", f"the picture has no frame {listed.frame}")
        if listed.frame in seen:
            raise BadBoxes(f"/frames/{place}/frame", f"frame {listed.frame} is listed twice")
        seen.add(listed.frame)
        boxes = (_fit(region, frame, f"/frames/{place}/boxes/{number}") for number, region in enumerate(listed.boxes))
        complete.append(FrameBoxes(frame=frame.index, boxes=tuple(boxes)))
    forgotten = sorted(by_index.keys() - seen)
    if forgotten:
        raise BadBoxes("/frames", f"list every frame, with an empty list of boxes where none is wanted: {forgotten}")
    return tuple(sorted(complete, key=lambda each: each.frame))


def _fit(region: Region, frame: Frame, pointer: str) -> Region:
    left, top, width, height = region.box
    right, bottom = min(left + width, frame.width), min(top + height, frame.height)
    left, top = max(left, 0), max(top, 0)
    if right <= left or bottom <= top:
        raise BadBoxes(f"{pointer}/box", f"the box lies outside the frame of {frame.width} × {frame.height} pixels")
    for found in (*frame.regions, *frame.residual):
        if found.kind == region.kind and found.box == region.box:
            return found.model_copy(update={"box": (left, top, right - left, bottom - top)})
    return Region(kind=region.kind, box=(left, top, right - left, bottom - top), detector=BY_HAND)
