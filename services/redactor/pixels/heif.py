"""HEIC and HEIF from telephones, by libheif: sizes from the boxes of the file first, pixels when they are asked for.

The package pi-heif brings libheif and libde265 (LGPL, as shared libraries of their own) and no encoder. AVIF looks
alike and has another decoder, which is not there: it is refused. libheif turns and mirrors as the file's own boxes
say; the EXIF orientation does not count in this format. All of it happens in a copy of the process: see `apart`.
"""

import contextlib
import io
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pi_heif

from services.redactor.domain import MAX_FRAMES, Reason, Unreadable
from services.redactor.pixels.apart import apart
from services.redactor.pixels.frames import FlatFrame

_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})

pi_heif.options.DECODE_THREADS = 1  # a worker is given one core
pi_heif.options.THUMBNAILS = False
pi_heif.options.DEPTH_IMAGES = False
pi_heif.options.AUX_IMAGES = False


def looks_like_heif(data: bytes) -> bool:
    """A file type box with a brand of HEIC or HEIF in front."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS


def read_sizes(data: bytes) -> list[tuple[int, int]]:
    """Width and height of every picture in the file; nothing is unpacked. Raises Unreadable."""
    with _refusing():
        _, facts = apart(lambda: (b"", {"sizes": [image.size for image in _opened(data)]}))
    sizes = [(int(width), int(height)) for width, height in facts["sizes"]]
    if not sizes:
        raise Unreadable(Reason.UNSUPPORTED_FORMAT, "no still picture in it")
    if len(sizes) > MAX_FRAMES:
        raise Unreadable(Reason.TOO_MANY_FRAMES, f"{len(sizes)} pictures, at most {MAX_FRAMES}")
    return sizes


def frames(data: bytes, sizes: list[tuple[int, int]]) -> Iterator[FlatFrame]:
    """Every picture of the file, upright, in the file's order. Raises Unreadable."""
    for index, (width, height) in enumerate(sizes):
        with _refusing():
            pixels, _ = apart(partial(_work, data, index))
            if len(pixels) != width * height * 3:
                raise Unreadable(Reason.DECODER_FAILED, "another size than its header says")
        yield FlatFrame(np.frombuffer(pixels, np.uint8).reshape(height, width, 3))


def _work(data: bytes, index: int) -> tuple[memoryview, dict[str, Any]]:
    return _decoded(_opened(data)[index]).reshape(-1).data, {}


def _opened(data: bytes) -> pi_heif.HeifFile:
    return pi_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)


def _decoded(image: pi_heif.HeifImage) -> npt.NDArray[np.uint8]:
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "RGBa": 4}[image.mode]
    flat = np.frombuffer(image.data, np.uint8)
    width, height = image.size
    rows = flat[: height * image.stride].reshape(height, image.stride)
    samples = rows[:, : width * channels].reshape(height, width, channels)
    return _on_white(samples, premultiplied=image.mode == "RGBa")


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except Unreadable:
        raise
    except MemoryError as error:
        raise Unreadable(Reason.MEMORY_LIMIT) from error.with_traceback(None)
    except Exception as error:  # libheif's words, in whatever class they come
        raise refusal(error) from error


def _on_white(samples: npt.NDArray[np.uint8], *, premultiplied: bool) -> npt.NDArray[np.uint8]:
    """Three channels, copied: the samples are libheif's memory and go with the file.

    What is transparent was never meant to be seen and becomes paper.
    """
    pixels = np.empty((*samples.shape[:2], 3), np.uint8)
    if samples.shape[2] in (1, 3):
        pixels[:] = samples
        return pixels
    for row in range(samples.shape[0]):
        cover = samples[row, :, -1:].astype(np.uint32)
        seen = samples[row, :, :-1].astype(np.uint32) * (255 if premultiplied else cover)
        pixels[row] = (seen + 255 * (255 - cover) + 127).clip(0, 255 * 255 + 127) // 255
    return pixels


def refusal(error: Exception) -> Unreadable:
    """What libheif says in words, as a reason."""
    said = str(error).lower()
    if "security limit" in said:
        return Unreadable(Reason.DECODER_FAILED, "beyond libheif's own limits")
    if "memory" in said:
        return Unreadable(Reason.MEMORY_LIMIT, type(error).__name__)
    if "unsupported" in said or "not supported" in said or "no decoder" in said or "no decoding plugin" in said:
        return Unreadable(Reason.UNSUPPORTED_FORMAT, "a codec that is not read")
    cut_short = isinstance(error, EOFError) or any(
        words in said for words in ("end of file", "truncated", "premature", "unexpected end")
    )
    return Unreadable(Reason.TRUNCATED if cut_short else Reason.DECODER_FAILED, type(error).__name__)
