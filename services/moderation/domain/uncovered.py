"""What the patient saw covered stays covered: moderators may have more painted, never less.

The patient signs for the pictures as they were painted when the author submitted. A moderator who wants less paint
sends the case back: the author draws, and the patient is asked again.
"""

from collections.abc import Sequence

from services.moderation.domain.coverage import painted_part, shared_box
from shared.events import Box, Frame, Region, RegionKind

_ALL = 1 - 1e-9


def shows_more(agreed: Sequence[Frame], now: Sequence[Frame]) -> bool:
    """Whether a frame of `now` shows anything that the same frame of `agreed` covers. A frame too many does."""
    before = {frame.index: frame for frame in agreed}
    return any(frame.index not in before or _opens(before[frame.index], frame) for frame in now)


def _opens(before: Frame, now: Frame) -> bool:
    if not all(any(_within(box, known) for known in before.clinical) for box in now.clinical):
        return True
    shut = now.model_copy(update={"clinical": ()})
    for region in before.regions:
        # What is open in a face was open before; of what is no face nothing was.
        seen = shut if region.kind is RegionKind.FACE else now
        # Of the same kind a box around it has the larger margin; anything else has to cover the margin as well.
        if any(one.kind is region.kind and _within(region.box, one.box) for one in seen.regions):
            continue
        if painted_part(seen, painted_box(region, before)) < _ALL:
            return True
    return False


def painted_box(region: Region, frame: Frame) -> Box:
    """What the redactor paints for a region, before it grows to whole blocks: the box with the margin of its kind.

    A face 18 % of each side (hair line, chin and ears tell who it is), what a person drew none, all else 15 % of the
    shorter side and at least 4 pixels. A test holds this to the redactor's own rule.
    """
    left, top, width, height = region.box
    if region.kind is RegionKind.FACE:
        across, down = round(width * 0.18), round(height * 0.18)
    elif region.kind is RegionKind.MANUAL:
        across = down = 0
    else:
        across = down = max(4, round(min(width, height) * 0.15))
    right, bottom = min(frame.width, left + width + across), min(frame.height, top + height + down)
    left, top = max(0, left - across), max(0, top - down)
    return left, top, right - left, bottom - top


def _within(inner: Box, outer: Box) -> bool:
    return shared_box(inner, outer) == inner
