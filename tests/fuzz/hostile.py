"""Files made by hand to cost more than they weigh, each with the ends that are right for it."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from tests.fuzz.seeds import _colour, _encoded, _grey, _written, picture
from tests.heic import Grid, heic
from tests.pictures import bomb_png

PICTURE = "picture"


@dataclass(frozen=True)
class Hostile:
    """`make` gives the file; `ends`: picture, or values of Reason."""

    name: str
    make: Callable[[], bytes]
    ends: tuple[str, ...]


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png_with(*chunks: bytes) -> bytes:
    whole = _encoded(picture(), "PNG")
    return whole[:33] + b"".join(chunks) + whole[33:]


def _png_text_bomb() -> bytes:
    """200 MB of text in 200 KB, and a colour profile of the same kind."""
    packed = zlib.compress(b"\0" * 200_000_000, 9)
    return _png_with(_chunk(b"zTXt", b"Comment\0\0" + packed), _chunk(b"iCCP", b"profile\0\0" + packed))


def _gif_screen(width: int, height: int) -> bytes:
    whole = bytearray(_encoded(picture("P"), "GIF"))
    whole[6:10] = struct.pack("<HH", width, height)
    return bytes(whole)


def _gif_frame_outside() -> bytes:
    whole = bytearray(_encoded(picture("P"), "GIF"))
    at = whole.index(b",", 13 + 3 * 256)
    whole[at + 1 : at + 9] = struct.pack("<4H", 65_000, 65_000, 65_535, 65_535)
    return bytes(whole)


def _tiff(entries: list[tuple[int, int, int, int]], following: int, data: bytes = b"") -> bytes:
    """Little-endian, one directory at 8; `following`: where the next one is said to be."""
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + directory + struct.pack("<I", following) + data


def _tiff_directories(*, round_and_round: bool) -> bytes:
    size = 2 + 12 * 9 + 4
    pixels_at = 8 + size
    entries = [
        (256, 4, 1, 4), (257, 4, 1, 4), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, pixels_at), (277, 3, 1, 1), (278, 4, 1, 4), (279, 4, 1, 16),
    ]  # fmt: skip
    if round_and_round:
        return _tiff(entries, 8, b"\0" * 16)
    # A long row of empty directories, six bytes each.
    start = pixels_at + 16
    row = b"".join(b"\0\0" + struct.pack("<I", start + 6 * (number + 1)) for number in range(1_000_000))
    return _tiff(entries, start, b"\0" * 16 + row)


def _tiff_counts() -> bytes:
    """Four thousand million strips."""
    return _tiff(
        [(256, 4, 1, 7000), (257, 4, 1, 7000), (258, 3, 1, 8), (259, 3, 1, 5), (262, 3, 1, 1),
         (273, 4, 2**32 - 1, 8), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, 2**32 - 1, 8)],
        0,
    )  # fmt: skip


def _jpeg_size(width: int, height: int) -> bytes:
    whole = bytearray(_encoded(picture(), "JPEG"))
    at = whole.index(b"\xff\xc0")
    whole[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(whole)


def _jpeg_scans() -> bytes:
    """The last scan of a progressive picture, twenty thousand times, over 50 megapixels: hours of work."""
    whole = bytearray(_encoded(picture(), "JPEG", progressive=True))
    at = whole.index(b"\xff\xc2")
    whole[at + 5 : at + 9] = struct.pack(">HH", 7000, 7000)
    last = whole.rindex(b"\xff\xda")
    return bytes(whole[:-2]) + bytes(whole[last:-2]) * 20_000 + b"\xff\xd9"


def _deflated_bomb() -> bytes:
    whole = _written(_grey(), DeflatedExplicitVRLittleEndian)
    end_of_meta = 144 + struct.unpack("<I", whole[140:144])[0]
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return whole[:end_of_meta] + b"".join(packer.compress(b"\0" * 10_000_000) for _ in range(30)) + packer.flush()


def _frames_that_lie(count: int) -> bytes:
    dataset = _grey()
    dataset.NumberOfFrames = count
    return _written(dataset, ExplicitVRLittleEndian)


def _wrapped(coded: bytes, syntax: UID, rows: int = 36, columns: int = 48) -> bytes:
    dataset = _colour("RGB")
    dataset.Rows, dataset.Columns = rows, columns
    dataset.PixelData = encapsulate([coded])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return _written(dataset, syntax)


def _jpeg2000_size() -> bytes:
    whole = bytearray(_encoded(picture(), "JPEG2000", no_jp2=True))
    at = whole.index(b"\xff\x4f\xff\x51")
    whole[at + 8 : at + 16] = struct.pack(">II", 2**31, 2**31)
    return _wrapped(bytes(whole), JPEG2000)


def _jpeg2000_boxes() -> bytes:
    """A JP2 file within a frame, with a box that has no length and so leads back to itself."""
    signature = struct.pack(">I4sI", 12, b"jP  ", 0x0D0A870A)
    return _wrapped(signature + struct.pack(">I4s", 0, b"free") + bytes(64), JPEG2000)


def _run_lengths() -> bytes:
    """1 MB of runs that unfold to 64 MB, where 5 KB are promised."""
    segment = b"\x81\0" * 500_000
    starts = struct.pack("<16L", 3, 64, 64 + len(segment), 64 + 2 * len(segment), *(0,) * 12)
    return _wrapped(starts + segment * 3, RLELossless)


def _deep_sequences(levels: int) -> bytes:
    whole = _written(_grey(), ExplicitVRLittleEndian)
    opened = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    at = whole.index(b"\x10\x00\x10\x00PN")
    return whole[:at] + opened * levels + whole[at:]


def _heic_of_itself() -> bytes:
    """A grid whose first tile is the grid."""
    whole = heic([np.zeros((64, 64, 3), np.uint8)], grid=Grid(2, 2, 128, 128))
    at = whole.index(b"dimg")
    item = whole[at + 4 : at + 6]
    return whole[: at + 8] + item + whole[at + 10 :]


def _tiff_unfolding() -> bytes:
    """Within the limits, and flat: 45 megapixels in a few KB."""
    return _encoded(Image.new("L", (6700, 6700)), "TIFF", compression="tiff_adobe_deflate")


def _bmp_size(width: int, height: int) -> bytes:
    whole = bytearray(_encoded(picture(), "BMP"))
    whole[18:26] = struct.pack("<ii", width, height)
    return bytes(whole)


def _webp_size() -> bytes:
    whole = _encoded(picture(), "WEBP", save_all=True, append_images=[picture(seed=2)])
    at = whole.index(b"VP8X")
    return whole[: at + 12] + b"\xff\xff\xff" * 2 + whole[at + 18 :]


FAILED, SHORT, LARGE, MANY = "decoder_failed", "truncated", "too_many_pixels", "too_many_frames"
ANY_REFUSAL = (FAILED, SHORT, LARGE, MANY, "memory_limit", "unsupported_format")

HOSTILE = (
    Hostile("png bomb", bomb_png, (LARGE,)),
    Hostile("png text bomb", _png_text_bomb, (PICTURE, FAILED)),
    Hostile("gif screen", lambda: _gif_screen(65_535, 65_535), (LARGE,)),
    Hostile("gif frame outside its screen", _gif_frame_outside, (PICTURE, LARGE, FAILED, SHORT, "memory_limit")),
    Hostile("tiff round and round", lambda: _tiff_directories(round_and_round=True), (PICTURE,)),
    Hostile("tiff of a million directories", lambda: _tiff_directories(round_and_round=False), ANY_REFUSAL),
    Hostile("tiff of endless strips", _tiff_counts, ANY_REFUSAL),
    Hostile("tiff that unfolds", _tiff_unfolding, (PICTURE,)),
    Hostile("jpeg size", lambda: _jpeg_size(65_535, 65_535), (LARGE,)),
    Hostile("jpeg without its pixels", lambda: _jpeg_size(7_500, 7_500), (PICTURE, SHORT, FAILED)),
    Hostile("jpeg of endless scans", _jpeg_scans, (FAILED,)),
    Hostile("bmp size", lambda: _bmp_size(2**31 - 1, -(2**31) + 1), (LARGE, FAILED)),
    Hostile("bmp without its pixels", lambda: _bmp_size(7_000, 7_000), (SHORT, FAILED)),
    Hostile("webp canvas", _webp_size, (LARGE,)),
    Hostile("dicom with a jpeg of endless scans", lambda: _wrapped(_jpeg_scans(), JPEGBaseline8Bit), (FAILED,)),
    Hostile("deflated dicom bomb", _deflated_bomb, (LARGE,)),
    Hostile("dicom of 50 frames with one", lambda: _frames_that_lie(50), (SHORT, FAILED)),
    Hostile("dicom of -3 frames", lambda: _frames_that_lie(-3), (PICTURE, FAILED)),
    Hostile("dicom of endless frames", lambda: _frames_that_lie(2**31 - 1), (MANY,)),
    Hostile("dicom with a large jpeg", lambda: _wrapped(_jpeg_size(65_535, 65_535), JPEGBaseline8Bit), (LARGE,)),
    Hostile("dicom with a large jpeg 2000", _jpeg2000_size, (LARGE,)),
    Hostile("dicom with endless jp2 boxes", _jpeg2000_boxes, (FAILED,)),
    Hostile("dicom with endless runs", _run_lengths, (PICTURE, FAILED, SHORT)),
    Hostile("dicom of deep sequences", lambda: _deep_sequences(20_000), ANY_REFUSAL),
    Hostile("heic grid", lambda: heic([np.zeros((64, 64, 3), np.uint8)], grid=Grid(30, 30, 60_000, 60_000)), (LARGE,)),
    Hostile("heic of itself", _heic_of_itself, ANY_REFUSAL),
)
