"""Fills boxes with one opaque colour, and writes painted pixels as fresh files.

Blur and mosaic can be undone or matched; a constant cannot. The colour is the middle grey: in JPEG it is the zero of
all three channels, so a block of it is coded exactly, without ringing, and it shows on a black film and on white paper.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import simplejpeg

from services.redactor.detectors import Pixels, resized, single
from shared.events import Box, RenditionSize

FILL = (128, 128, 128)

LONGEST_SIDE_PX = {RenditionSize.FULL: None, RenditionSize.LARGE: 1600, RenditionSize.SMALL: 480}
QUALITY = {RenditionSize.FULL: 92, RenditionSize.LARGE: 88, RenditionSize.SMALL: 82}
"""JPEG throughout: at 92 without colour subsampling its loss is below what a lesion or a trace shows, and PNG of a
12-megapixel photo is eight times as large and takes two seconds to write."""


@dataclass(frozen=True)
class Encoded:
    """One size of a painted frame: a complete JPEG file with pixels and nothing else in it."""

    size: RenditionSize
    data: bytes
    width: int
    height: int
    sha256: str
    media_type: str = "image/jpeg"


def paint(pixels: Pixels, boxes: Iterable[Box]) -> Pixels:
    """A copy of `pixels` with every box filled. Boxes must lie in the picture (see `domain.painted_boxes`)."""
    painted = pixels.copy()
    for left, top, width, height in boxes:
        painted[top : top + height, left : left + width] = FILL if painted.ndim == 3 else FILL[0]
    return painted


def full_size(painted: Pixels) -> bytes:
    """The file of the full size."""
    return _jpeg(painted, QUALITY[RenditionSize.FULL])


def as_seen(full: bytes) -> Pixels:
    """The pixels that whoever opens such a file sees: compression has moved each by a few levels. One channel where the
    file has one."""
    grey = simplejpeg.decode_jpeg_header(full)[2] == "Gray"
    seen = np.asarray(simplejpeg.decode_jpeg(full, "GRAY" if grey else "RGB"), np.uint8)
    return seen[..., 0] if grey else seen


def encode(painted: Pixels, full: bytes | None = None) -> tuple[Encoded, ...]:
    """Full size (`full`, where that is made already), large and small, each made from the painted full picture, never
    from the original."""
    sizes = []
    plain = single(painted)
    for size, longest in LONGEST_SIDE_PX.items():
        height, width = plain.shape[:2]
        shown = plain
        if longest is not None and max(height, width) > longest:
            factor = longest / max(height, width)
            target = max(1, round(width * factor)), max(1, round(height * factor))
            shown = resized(plain, target)
        data = full if full and size is RenditionSize.FULL else _jpeg(shown, QUALITY[size])
        digest = hashlib.sha256(data).hexdigest()
        sizes.append(Encoded(size, data, width=shown.shape[1], height=shown.shape[0], sha256=digest))
    return tuple(sizes)


def _jpeg(pixels: Pixels, quality: int) -> bytes:
    plain = np.ascontiguousarray(single(pixels))
    if plain.ndim == 2:
        grey = plain[:, :, np.newaxis]
        return bytes(simplejpeg.encode_jpeg(grey, quality=quality, colorspace="GRAY", colorsubsampling="Gray"))
    return bytes(simplejpeg.encode_jpeg(plain, quality=quality, colorsubsampling="444"))
