"""Bytes to upright 8-bit pixels. Size is read from the header and checked before anything is unpacked.

The type is told by content, never by name. Only Pillow's readers of the formats below are let near the bytes: each
reader is attack surface. Raises `Unreadable` with a reason for everything that is no picture to us.
"""

import io
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from services.redactor.domain import Reason, Unreadable
from services.redactor.pixels import dicom
from services.redactor.pixels.frames import DeepFrame, FlatFrame

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
LONGEST_SIDE_PX = 32_000
"""JPEG ends at 65,535 pixels a side, and a strip of that shape is no clinical picture."""

_OTHER_PICTURES = (
    (0, b"%PDF"),
    (4, b"ftyp"),  # HEIC, AVIF, MP4, QuickTime
    (0, b"<svg"),
    (0, b"<?xml"),
    (0, b"PK\x03\x04"),
    (0, b"\xff\x4f\xff\x51"),  # JPEG 2000 code stream
    (0, b"\x00\x00\x00\x0cjP  "),
    (0, b"\x1a\x45\xdf\xa3"),  # Matroska, WebM
    (0, b"8BPS"),
    (0, b"SIMPLE  ="),
)
_ORIENTATION_TAG = 0x0112


@dataclass
class Picture:
    """A picture whose header was accepted: frames are decoded one at a time, so that only one is in memory."""

    frames: Iterator[FlatFrame | DeepFrame]
    frame_count: int
    like_radiograph: bool = False
    notes: list[str] = field(default_factory=list)
    """Plain facts for the report, for example `first_frame_of:12`."""


def open_picture(data: bytes, *, max_pixels: int) -> Picture:
    """Read the header of `data` and promise its frames. Raises Unreadable."""
    if dicom.looks_like_dicom(data):
        header = dicom.read_header(data, max_pixels=max_pixels, longest_side_px=LONGEST_SIDE_PX)
        return Picture(dicom.frames(header), header.frame_count, like_radiograph=True)
    image = _identify(data, max_pixels)
    picture = Picture(iter(()), 1)
    count = int(getattr(image, "n_frames", 1)) if image.format != "MPO" else 1
    if count > 1:
        picture.notes.append(f"first_frame_of:{count}")
    picture.frames = _first_frame(image)
    return picture


def _identify(data: bytes, max_pixels: int) -> Image.Image:
    size = _webp_size(data)  # Pillow's WebP reader claims the canvas's memory while it opens the file
    if size:
        check_size(*size, max_pixels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own cap is lower and follows
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise Unreadable(Reason.TOO_MANY_PIXELS, str(error)) from error
    except UnidentifiedImageError as error:
        known = any(data[start : start + len(magic)] == magic for start, magic in _OTHER_PICTURES)
        raise Unreadable(Reason.UNSUPPORTED_FORMAT if known else Reason.NOT_A_PICTURE) from error
    except MemoryError as error:
        raise Unreadable(Reason.MEMORY_LIMIT) from error
    except Exception as error:  # a malformed header: Pillow's readers raise nearly everything
        raise _refusal(error) from error
    check_size(*image.size, max_pixels)
    return image


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse a picture by the size in its header."""
    if width * height > max_pixels or max(width, height) > LONGEST_SIDE_PX:
        raise Unreadable(Reason.TOO_MANY_PIXELS, f"{width} x {height}, at most {max_pixels} pixels")
    if width < 1 or height < 1:
        raise Unreadable(Reason.DECODER_FAILED, "no pixels")


def _first_frame(image: Image.Image) -> Iterator[FlatFrame | DeepFrame]:
    try:
        image.load()
        turn = image.getexif().get(_ORIENTATION_TAG, 1)
        samples = _samples(image)
    except MemoryError as error:
        raise Unreadable(Reason.MEMORY_LIMIT) from error
    except Exception as error:  # decoders raise nearly everything on malformed bytes
        raise _refusal(error) from error
    samples = upright(samples, turn)
    if samples.ndim == 2:
        yield DeepFrame(samples.astype(np.float32))
    else:
        yield FlatFrame(np.ascontiguousarray(samples))


def _samples(image: Image.Image) -> npt.NDArray[np.generic]:
    """Height x width x 3 bytes, or height x width of more than 8 bits a pixel."""
    if image.mode.startswith("I") or image.mode == "F":
        return np.asarray(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        # What is transparent was never meant to be seen; dropping the mask alone would uncover it.
        seen = image.convert("RGBA")
        paper = Image.new("RGBA", seen.size, (255, 255, 255, 255))
        return np.asarray(Image.alpha_composite(paper, seen).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def upright(samples: npt.NDArray[np.generic], orientation: int) -> npt.NDArray[np.generic]:
    """Turn and mirror as the EXIF orientation (1 to 8) asks; an unknown value changes nothing."""
    if orientation in (5, 6, 7, 8):
        samples = np.swapaxes(samples, 0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples


def _webp_size(data: bytes) -> tuple[int, int] | None:
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    chunk = data[12:16]
    if chunk == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


def _refusal(error: Exception) -> Unreadable:
    said = str(error).lower()
    cut_short = isinstance(error, EOFError | struct.error) or "truncated" in said or "unexpected end" in said
    return Unreadable(Reason.TRUNCATED if cut_short else Reason.DECODER_FAILED, type(error).__name__)
