"""Decoded frames: of 8 bits a pixel, and of more, with how their range is brought to 8."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.redactor.detectors import Pixels
from shared.events import Box


@dataclass(frozen=True)
class FlatFrame:
    """Pixels that came as 8 bits: what lies under a box does not change how the rest is shown."""

    pixels: Pixels

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    def shown(self, without: Sequence[Box] = ()) -> Pixels:
        """Height x width x 3, RGB. `without` matters to deep frames only."""
        return self.pixels


@dataclass(frozen=True)
class DeepFrame:
    """Grey samples without a window of their own: the darkest seen becomes black, the brightest white.

    Seen means outside the boxes: a name burned in at full white must not, from under its box, darken the picture.
    """

    samples: npt.NDArray[np.float32]
    """Height x width, any unit; larger is brighter unless `inverted`."""

    inverted: bool = False

    @property
    def height(self) -> int:
        return int(self.samples.shape[0])

    @property
    def width(self) -> int:
        return int(self.samples.shape[1])

    def shown(self, without: Sequence[Box] = ()) -> Pixels:
        """Height x width x 3, RGB; the range is that of the pixels outside the boxes `without`."""
        seen = self.samples
        if without:
            outside = np.ones(seen.shape, bool)
            for left, top, width, height in without:
                outside[top : top + height, left : left + width] = False
            seen = seen[outside]
        seen = seen[np.isfinite(seen)]
        low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)
        return grey((self.samples - low) * (255.0 / (high - low) if high > low else 0.0), inverted=self.inverted)


def grey(levels: npt.NDArray[np.floating], *, inverted: bool = False) -> Pixels:
    """Levels from 0 to 255 as RGB bytes; what lies outside is cut, what is no number is black."""
    whole = np.rint(np.clip(np.nan_to_num(levels, nan=0.0, posinf=255.0, neginf=0.0), 0, 255)).astype(np.uint8)
    if inverted:
        whole = 255 - whole
    return np.ascontiguousarray(np.repeat(whole[:, :, np.newaxis], 3, axis=2))
