"""Bytes to upright 8-bit pixels. Size is read from the header and checked before anything is unpacked.

The type is told by content, never by name. Only Pillow's readers of the formats below are let near the bytes, and for
JPEG libjpeg-turbo itself, which Pillow's reader uses, too: each reader is attack surface. Raises `Unreadable` with a
reason for everything that is no picture to us.
"""

import io
import itertools
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from services.redactor.detectors import Pixels
from services.redactor.domain import MAX_FRAMES, Reason, Unreadable
from services.redactor.pixels import dicom, heif
from services.redactor.pixels.coded import too_many_scans
from services.redactor.pixels.frames import DeepFrame, FlatFrame, strips

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
LONGEST_SIDE_PX = 32_000
"""JPEG ends at 65,535 pixels a side, and a strip of that shape is no clinical picture."""

_OTHER_PICTURES = (
    (0, b"%PDF"),
    (4, b"ftyp"),  # AVIF, MP4, QuickTime
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
    """Plain facts for the report: `first_frame_of:12`, `all_pages_of:3`, `all_frames_of:2`."""
    words: frozenset[str] = field(default=frozenset(), repr=False)
    """What the header says of people, places and days, to be looked for in the pixels: see `pixels.header`. Never to
    be written, logged or sent."""


def open_picture(data: bytes, *, max_pixels: int) -> Picture:
    """Read the header of `data` and promise its frames. Raises Unreadable.

    Every frame of DICOM, every page of TIFF and every picture of HEIC is promised, up to MAX_FRAMES: more are refused,
    never cut. Of an animation (GIF, WebP, APNG) and of a JPEG with further pictures behind it the first one is.
    """
    if dicom.looks_like_dicom(data):
        header = dicom.read_header(data, max_pixels=max_pixels, longest_side_px=LONGEST_SIDE_PX)
        return Picture(dicom.frames(header), header.frame_count, like_radiograph=True, words=header.words)
    if heif.looks_like_heif(data):
        sizes = heif.read_sizes(data)
        for width, height in sizes:
            check_size(width, height, max_pixels)
        return Picture(heif.frames(data, sizes), len(sizes), notes=_note("all_frames_of", len(sizes)))
    image = _identify(data, max_pixels)
    if image.format == "TIFF":
        pages = _pages(image, max_pixels)
        return Picture(_decoded(image, pages), pages, notes=_note("all_pages_of", pages))
    count = _count(image)
    return Picture(_decoded(image, 1, data), 1, notes=_note("first_frame_of", count))


def _note(fact: str, count: int) -> list[str]:
    return [f"{fact}:{count}"] if count > 1 else []


def _count(image: Image.Image) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except MemoryError as error:
        raise Unreadable(Reason.MEMORY_LIMIT) from error.with_traceback(None)
    except Exception as error:  # counting reads on: the next frame's header may be anything
        raise _refusal(error) from error


def _pages(image: Image.Image, max_pixels: int) -> int:
    """Pages of a TIFF, each of an accepted size. Asking Pillow for their number would follow millions of them."""
    try:
        for page in range(MAX_FRAMES + 1):
            try:
                image.seek(page)
            except EOFError:
                image.seek(0)
                return page
            check_size(*image.size, max_pixels)
    except Unreadable:
        raise
    except MemoryError as error:
        raise Unreadable(Reason.MEMORY_LIMIT) from error.with_traceback(None)
    except Exception as error:  # a malformed page: Pillow's readers raise nearly everything
        raise _refusal(error) from error
    raise Unreadable(Reason.TOO_MANY_FRAMES, f"at most {MAX_FRAMES} pages")


def _identify(data: bytes, max_pixels: int) -> Image.Image:
    size = _webp_size(data)  # Pillow's WebP reader claims the canvas's memory while it opens the file
    if size:
        check_size(*size, max_pixels)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's limit: our own is lower and follows; others may quote the file
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise Unreadable(Reason.TOO_MANY_PIXELS, str(error)) from error
    except UnidentifiedImageError as error:
        known = any(data[start : start + len(magic)] == magic for start, magic in _OTHER_PICTURES)
        raise Unreadable(Reason.UNSUPPORTED_FORMAT if known else Reason.NOT_A_PICTURE) from error
    except MemoryError as error:
        raise Unreadable(Reason.MEMORY_LIMIT) from error.with_traceback(None)
    except Exception as error:  # a malformed header: Pillow's readers raise nearly everything
        raise _refusal(error) from error
    check_size(*image.size, max_pixels)
    if image.format in ("JPEG", "MPO") and too_many_scans(data):
        raise Unreadable(Reason.DECODER_FAILED, "a JPEG of endless scans")
    return image


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse a picture by the size in its header."""
    if width * height > max_pixels or max(width, height) > LONGEST_SIDE_PX:
        raise Unreadable(Reason.TOO_MANY_PIXELS, f"{width} x {height}, at most {max_pixels} pixels")
    if width < 1 or height < 1:
        raise Unreadable(Reason.DECODER_FAILED, "no pixels")


def _decoded(image: Image.Image, pages: int, data: bytes = b"") -> Iterator[FlatFrame | DeepFrame]:
    """The pages of an opened file in turn. `data`: the file, where it may be a JPEG."""
    for page in range(pages):
        try:
            if pages > 1:
                image.seek(page)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a warning may quote what the file holds
                samples = _faultless_jpeg(data, image)
                if samples is None:
                    image.load()
                    samples = _samples(image)
                turn = image.getexif().get(_ORIENTATION_TAG, 1)
        except MemoryError as error:
            raise Unreadable(Reason.MEMORY_LIMIT) from error.with_traceback(None)
        except Exception as error:  # decoders raise nearly everything on malformed bytes
            raise _refusal(error) from error
        if page == pages - 1:
            image.close()  # Pillow's copy goes before the search needs its memory
        samples = upright(samples, turn)
        yield DeepFrame(samples) if samples.ndim == 2 else FlatFrame(np.ascontiguousarray(samples))


def _faultless_jpeg(data: bytes, image: Image.Image) -> Pixels | None:
    """The pixels of a JPEG in colour or in grey, the same as Pillow's in half of the time and memory: the decoder fills
    one array. None for everything else, and where it only reads with a warning: Pillow takes or refuses that."""
    if image.format not in ("JPEG", "MPO") or image.mode not in ("L", "RGB"):
        return None
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        if (width, height) != image.size:  # the size that was accepted
            return None
        return np.asarray(simplejpeg.decode_jpeg(data, "RGB"), np.uint8)
    except (ValueError, KeyError):  # the latter for colour in rows of 4 to 1, which it has no name for
        return None


def _samples(image: Image.Image) -> npt.NDArray[Any]:
    """Height x width x 3 bytes, or height x width of more than 8 bits a pixel.

    Taken over in strips: asked for all at once, Pillow makes three copies of the picture on the way.
    """
    width, height = image.size
    bands = (image.crop((0, rows.start, width, rows.stop)) for rows in strips(height, width))
    first = next(bands)
    if image.mode.startswith("I") or image.mode == "F":
        deep = np.empty((height, width), np.asarray(first).dtype)
        for rows, band in zip(strips(height, width), itertools.chain([first], bands), strict=True):
            deep[rows] = np.asarray(band)
        clear = image.info.get("transparency")
        if isinstance(clear, int):  # this grey means: not there
            np.copyto(deep, deep.max(), where=deep == clear)
        return deep
    see_through = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    pixels: Pixels = np.empty((height, width, 3), np.uint8)
    for rows, band in zip(strips(height, width), itertools.chain([first], bands), strict=True):
        pixels[rows] = _colours(band, see_through=see_through)
    return pixels


def _colours(band: Image.Image, *, see_through: bool) -> npt.NDArray[np.uint8]:
    if not see_through:
        return np.asarray(band if band.mode == "RGB" else band.convert("RGB"))
    # What is transparent was never meant to be seen; dropping the mask alone would uncover it.
    seen = band.convert("RGBA")
    paper = Image.new("RGBA", seen.size, (255, 255, 255, 255))
    return np.asarray(Image.alpha_composite(paper, seen).convert("RGB"))


def upright(samples: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
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
