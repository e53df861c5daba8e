"""Finders: each looks for one kind of identifier in an upright picture and says where it is, how surely, and who says.

Every finder has `detect(pixels) -> list[Region]`: pixels are height x width x 3 bytes in RGB order, or height x width
where the three would be equal (see `single`); boxes are in pixels of that picture, without padding. Thresholds are low:
a person can remove a box, nobody can take back a face.
"""

from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from services.redactor.inference import Tensor
from shared.events import Box, Region

Pixels = npt.NDArray[np.uint8]
"""An upright picture: height x width x 3, RGB; for a finder also height x width, three equal channels in one."""

Boxes = npt.NDArray[np.float32]
"""n x 4: left, top, right, bottom."""


LEAST_HALVED_PX = 64
"""Smaller pictures are not halved on the way to a size: the odd line that is left out would be a part of them."""


THUMBNAIL_PX = 128

GREY, NEARLY_GREY = 10, 24
"""Levels between a pixel's channels that a grey picture reaches by its compression, and that a film or a sheet reaches
in the light of a lamp."""


class Finder(Protocol):
    """What the redactor asks of a detector."""

    def detect(self, pixels: Pixels) -> list[Region]:
        """Regions of one kind in upright full-size pixels, unpadded. Never changes `pixels`."""
        ...


def scaled(pixels: Pixels, longest: int, *, largest_growth: float = 1.0, linear: bool = False) -> tuple[Pixels, float]:
    """The picture with its longer side at `longest` pixels, and the factor; grown at most `largest_growth` times.
    `linear`: see `resized`."""
    height, width = pixels.shape[:2]
    factor = min(longest / max(height, width), largest_growth)
    if factor == 1.0:
        return pixels, 1.0
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return resized(pixels, size, linear=linear), factor


def resized(pixels: Pixels, size: tuple[int, int], *, linear: bool = False) -> Pixels:
    """The picture at `size` (width, height): means of areas when it shrinks, linear when it grows. `linear`: always so,
    in a tenth of the time, where what is looked for is larger than the pixels that are passed over.

    It is halved first as often as that goes: halving 12 megapixels takes 3 ms, any other factor 25 to 60.
    """
    while min(pixels.shape[1] / size[0], pixels.shape[0] / size[1]) >= 2 and min(pixels.shape[:2]) >= LEAST_HALVED_PX:
        pixels = halved(pixels)
    if pixels.shape[1::-1] == size:
        return pixels
    shrinks = not linear and size[0] * size[1] < pixels.shape[0] * pixels.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8)


def thumbnail(pixels: Pixels) -> Pixels:
    """128 x 128 of as many channels, whatever its shape: to tell films from photos and from paper."""
    return resized(pixels, (THUMBNAIL_PX, THUMBNAIL_PX))


def colourless(pixels: Pixels, levels: int, part: float = 0.95) -> bool:
    """Whether, in so large a part of the picture (or of its thumbnail), the channels lie less than `levels` apart."""
    if pixels.ndim == 2:
        return True
    red, green, blue = cv2.split(thumbnail(pixels))
    apart = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
    return int(np.count_nonzero(apart < levels)) > part * apart.size


def is_grey(pixels: Pixels) -> bool:
    """Whether nothing in the picture has a colour: a radiograph, an ultrasound, a scan in grey."""
    return colourless(pixels, GREY, 0.99)


def halved(pixels: Pixels) -> Pixels:
    """Half as wide and high, each pixel the mean of four; the last line or column of an odd number is left out."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    even = pixels[: 2 * height, : 2 * width]
    return np.asarray(cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def brightness(pixels: Pixels) -> Pixels:
    """Height x width, one byte a pixel: as bright as the picture looks."""
    return pixels if pixels.ndim == 2 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def turned(pixels: Pixels, quarter_turns: int) -> Pixels:
    """`np.rot90` of a picture, contiguous, in a tenth of the time."""
    how = (None, cv2.ROTATE_90_COUNTERCLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE)[quarter_turns % 4]
    return np.ascontiguousarray(pixels if how is None else cv2.rotate(pixels, how), np.uint8)


def to_tensor(pixels: Pixels, *, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    """The picture as a batch of one, 1 x 3 x height x width, each byte times `scale` plus `shift`.

    A picture of one channel (see `single`) becomes three equal ones.
    """
    table = (np.arange(256, dtype=np.float64) * scale + shift).astype(np.float32)
    tensor = np.empty((1, 3, *pixels.shape[:2]), np.float32)
    for channel, plane in enumerate(cv2.split(pixels)):
        cv2.LUT(plane, table, dst=tensor[0, channel])
    if pixels.ndim == 2:
        tensor[0, 1:] = tensor[0, 0]
    return tensor


def single(pixels: Pixels) -> Pixels:
    """One channel, height x width, of a picture whose three are equal in every pixel; else the picture itself.

    To scale, turn and widen one channel takes a third of the time. The outcome is the same.
    """
    if pixels.ndim == 2:
        return pixels
    red, green, blue = (pixels[::16, ::16, channel] for channel in range(3))
    if not (np.array_equal(red, green) and np.array_equal(green, blue)):
        return pixels
    first, *others = cv2.split(pixels)
    return np.asarray(first, np.uint8) if not any(cv2.norm(first, each, cv2.NORM_INF) for each in others) else pixels


def on_grid(pixels: Pixels, step: int = 32) -> Pixels:
    """The picture with black added right and below, up to a multiple of `step`: networks halve their maps. Of height x
    width, or height x width x 3."""
    below, right = (-length % step for length in pixels.shape[:2])
    return np.asarray(cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_CONSTANT), np.uint8)


def to_box(edges: npt.NDArray[np.floating], width: int, height: int) -> Box | None:
    """Left, top, right, bottom as whole pixels, rounded outward and cut to the picture; None where nothing is left."""
    left, top = max(0, int(np.floor(edges[0]))), max(0, int(np.floor(edges[1])))
    right, bottom = min(width, int(np.ceil(edges[2]))), min(height, int(np.ceil(edges[3])))
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def turned_back(boxes: Boxes, quarter_turns: int, width: int, height: int) -> Boxes:
    """Boxes found in `np.rot90(picture, quarter_turns)`, in the picture of `width` by `height` before the turn."""
    left, top, right, bottom = boxes.T
    if quarter_turns % 4 == 1:
        left, top, right, bottom = width - bottom, left, width - top, right
    elif quarter_turns % 4 == 2:
        left, top, right, bottom = width - right, height - bottom, width - left, height - top
    elif quarter_turns % 4 == 3:
        left, top, right, bottom = top, height - right, bottom, height - left
    return np.stack([left, top, right, bottom], axis=1)
