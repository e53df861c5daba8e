"""Decoded frames: of 8 bits a pixel, and of more, with how their range is brought to 8.

A picture of 60 megapixels must fit into a worker with room for the search: whatever is computed here with numbers
wider than a byte is computed for a strip of rows at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.redactor.detectors import Pixels
from shared.events import Box

STRIP_PIXELS = 1 << 20
"""About so many pixels are widened to floating point at once."""


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

    samples: npt.NDArray[Any]
    """Height x width, integer or floating, any unit; larger is brighter unless `inverted`."""

    inverted: bool = False

    padding: tuple[float, float] | None = None
    """Samples from the first to the second value only fill the frame: they do not count for the range."""

    @property
    def height(self) -> int:
        return int(self.samples.shape[0])

    @property
    def width(self) -> int:
        return int(self.samples.shape[1])

    def shown(self, without: Sequence[Box] = ()) -> Pixels:
        """Height x width x 3, RGB; the range is that of the pixels outside the boxes `without`."""
        low, high = self._range(without)
        factor = 255.0 / (high - low) if high > low else 0.0
        pixels = np.empty((self.height, self.width, 3), np.uint8)
        for rows in strips(self.height, self.width):
            levels = (_widened(self.samples[rows]) - low) * factor
            pixels[rows] = grey_levels(levels, inverted=self.inverted)[:, :, np.newaxis]
        return pixels

    def _range(self, without: Sequence[Box]) -> tuple[float, float]:
        lowest, highest = [], []
        for rows in strips(self.height, self.width):
            strip = self.samples[rows]
            seen = np.isfinite(strip) if strip.dtype.kind == "f" else np.ones(strip.shape, bool)
            if self.padding is not None:
                seen &= (strip < self.padding[0]) | (strip > self.padding[1])
            for left, top, width, height in without:
                above, below = max(0, top - rows.start), max(0, top + height - rows.start)
                seen[above:below, left : left + width] = False
            if seen.any():
                strip = strip[seen]
                lowest.append(float(strip.min()))
                highest.append(float(strip.max()))
        return (min(lowest), max(highest)) if lowest else (0.0, 0.0)


def strips(height: int, width: int) -> Iterator[slice]:
    """Slices of rows that together make the picture, each of about STRIP_PIXELS."""
    rows = max(1, STRIP_PIXELS // max(1, width))
    for start in range(0, height, rows):
        yield slice(start, min(height, start + rows))


def grey_levels(levels: npt.NDArray[np.floating], *, inverted: bool = False) -> npt.NDArray[np.uint8]:
    """Levels from 0 to 255 as bytes of the same shape; what lies outside is cut, what is no number is black."""
    cut = np.clip(np.nan_to_num(levels, nan=0.0, posinf=255.0, neginf=0.0), 0, 255)
    whole: npt.NDArray[np.uint8] = np.rint(cut).astype(np.uint8)
    return np.invert(whole) if inverted else whole


def _widened(samples: npt.NDArray[Any]) -> npt.NDArray[np.floating]:
    """Single precision holds 16-bit samples exactly; wider ones need double, or a small window shows steps."""
    return samples.astype(np.float32 if samples.dtype.itemsize <= 2 else np.float64)
