"""The complete list of boxes that an author wants painted, checked against the frames as they are rendered."""

from collections.abc import Sequence

from services.ingest.domain.refusals import BoxOutside, TooManyBoxes
from shared.events import MAX_BOXES, Box, Frame, FrameBoxes, Region


def complete_boxes(shown: Sequence[Frame], wanted: Sequence[FrameBoxes]) -> tuple[FrameBoxes, ...]:
    """The list for all frames: those named as given, the others as they are painted now.

    An omission so never uncovers anything: a frame that is not named keeps its boxes, and of a named one a clinical
    box that is not listed is painted again. A box that the machine found (same kind and place) keeps its score and
    detector; every other box is a person's, whatever the request says, so that no free text travels in it. Raises
    BoxOutside, TooManyBoxes.
    """
    named = {entry.frame: entry for entry in wanted}
    known = {frame.index: frame for frame in shown}
    for index, entry in named.items():
        frame = known.get(index)
        if frame is None:
            raise BoxOutside(frame=index)
        for box in (*(region.box for region in entry.boxes), *entry.clinical):
            if not _inside(box, frame):
                raise BoxOutside(frame=index, box=list(box))
    complete = tuple(
        FrameBoxes(
            frame=index,
            boxes=tuple(_whose(region, frame) for region in named[index].boxes) if index in named else frame.regions,
            clinical=named[index].clinical if index in named else frame.clinical,
        )
        for index, frame in sorted(known.items())
    )
    if sum(len(entry.boxes) for entry in complete) > MAX_BOXES:
        raise TooManyBoxes(limit=MAX_BOXES)
    return complete


def _inside(box: Box, frame: Frame) -> bool:
    x, y, width, height = box
    return min(x, y) >= 0 and min(width, height) >= 1 and x + width <= frame.width and y + height <= frame.height


def _whose(region: Region, frame: Frame) -> Region:
    for found in (*frame.regions, *frame.residual, *frame.proposals):
        if (found.kind, found.box) == (region.kind, region.box):
            return found
    return Region(kind=region.kind, box=region.box)
