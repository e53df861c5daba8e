"""HEIC and HEIF from telephones, by libheif: sizes from the boxes of the file first, pixels when they are asked for.

The package pi-heif brings libheif and libde265 (LGPL, as shared libraries of their own) and no encoder. AVIF looks
alike and has another decoder, which is not there: it is refused. libheif turns and mirrors as the file's own boxes
say; the EXIF orientation does not count in this format.
"""

import io
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pi_heif

from services.redactor.domain import MAX_FRAMES, Reason, Unreadable
from services.redactor.pixels.frames import FlatFrame

_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})

pi_heif.options.DECODE_THREADS = 1  # a worker is given one core
pi_heif.options.THUMBNAILS = False
pi_heif.options.DEPTH_IMAGES = False
pi_heif.options.AUX_IMAGES = False


def looks_like_heif(data: bytes) -> bool:
    """A file type box with a brand of HEIC or HEIF in front."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS


def read_header(data: bytes) -> pi_heif.HeifFile:
    """The pictures of the file with their sizes; nothing is unpacked. Raises Unreadable."""
    try:
        file = pi_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
    except MemoryError as error:
        raise Unreadable(Reason.MEMORY_LIMIT) from error
    except Exception as error:  # a malformed header: libheif's words, in whatever class they come
        raise refusal(error) from error
    if not len(file):
        raise Unreadable(Reason.UNSUPPORTED_FORMAT, "no still picture in it")
    if len(file) > MAX_FRAMES:
        raise Unreadable(Reason.TOO_MANY_FRAMES, f"{len(file)} pictures, at most {MAX_FRAMES}")
    return file


def frames(file: pi_heif.HeifFile) -> Iterator[FlatFrame]:
    """Every picture of the file, upright, in the file's order. Raises Unreadable."""
    for index in range(len(file)):
        try:
            image = file[index]
            width, height = promised = image.size
            channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "RGBa": 4}[image.mode]
            flat = np.frombuffer(image.data, np.uint8)
            if image.size != promised:
                raise Unreadable(Reason.DECODER_FAILED, "another size than its header says")
            rows = flat[: height * image.stride].reshape(height, image.stride)
            samples = rows[:, : width * channels].reshape(height, width, channels)
            pixels = _on_white(samples, premultiplied=image.mode == "RGBa")
        except Unreadable:
            raise
        except MemoryError as error:
            raise Unreadable(Reason.MEMORY_LIMIT) from error
        except Exception as error:  # libheif's words, in whatever class they come
            raise refusal(error) from error
        del image, flat, rows, samples
        file._images[index] = None  # it keeps its unpacked bytes as long as it lives
        yield FlatFrame(pixels)


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
