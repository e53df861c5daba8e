"""What the patient saw covered stays covered: moderators may have more painted, never less.

The patient signs for the pictures as they were painted when the author submitted. A moderator who wants less paint
sends the case back: the author draws, and the patient is asked again.
"""

from collections.abc import Sequence

from services.moderation.domain.coverage import painted_part, shared_box
from shared.events import Box, Frame, RegionKind

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
        covered = painted_part(shut if region.kind is RegionKind.FACE else now, region.box)
        if covered < _ALL and min(region.box[2:]) >= 1:
            return True
    return False


def _within(inner: Box, outer: Box) -> bool:
    return shared_box(inner, outer) == inner
