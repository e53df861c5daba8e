"""What a file is, by its content: type, size in pixels, frames. Reads headers only, decodes nothing.

The header decides before any pixel exists in memory: a 500 KB file may unfold to 700 MB. Names and declared types
are never looked at.
"""

import io
import logging
import threading
import warnings
import zlib
from dataclasses import dataclass

import pydicom.config
from PIL import Image
from pydicom.filereader import read_partial

from services.ingest.routes import heif
from services.ingest.routes.problems import (
    PICTURE_EMPTY,
    PICTURE_FRAMES,
    PICTURE_PIXELS,
    PICTURE_TYPE,
    PICTURE_UNREADABLE,
)

DICOM = "application/dicom"
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (8, b"WEBP", "image/webp"),
    (128, b"DICM", DICOM),
    (0, b"BM", "image/bmp"),
)
# Only the decoder of the type that was seen may look at the header. MPO: JPEG as some telephones write it.
_DECODERS = {
    "image/jpeg": ("JPEG", "MPO"),
    "image/png": ("PNG",),
    "image/gif": ("GIF",),
    "image/tiff": ("TIFF",),
    "image/webp": ("WEBP",),
    "image/bmp": ("BMP",),
}
SUPPORTED = "JPEG, PNG, HEIC, WebP, TIFF, BMP, GIF, DICOM"

# A DICOM header larger than this is no header; reading stops there, and after the group that describes pixels.
_DICOM_HEADER_BYTES = 4 * 1024 * 1024
_AFTER_IMAGE_GROUP = 0x00290000
_BEFORE_ANY_GROUP = 0x00020000
_INFLATED_HEADER_BYTES = 512 * 1024
_DEFLATED = b"1.2.840.10008.1.2.1.99"

_warning_filters = threading.Lock()  # they belong to the process, not to a thread
# pydicom quotes values that it dislikes, and a value may be the patient's name.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").disabled = True


@dataclass(frozen=True)
class Limits:
    pixels: int
    side_px: int
    frames: int


@dataclass(frozen=True)
class PictureFacts:
    """`frames` is 1 where the header does not tell; the redactor counts again when it decodes."""

    media_type: str
    width: int
    height: int
    frames: int = 1


def inspect(data: bytes, limits: Limits) -> PictureFacts:
    """What `data` is. Raises a Problem: picture-empty, picture-type-unsupported, picture-unreadable,
    picture-too-many-pixels or picture-too-many-frames. May take a second of CPU for a hostile file: not for the
    event loop.
    """
    if not data:
        raise PICTURE_EMPTY()
    media_type = _media_type(data)
    if media_type == DICOM:
        facts = _dicom(data)
    elif media_type == heif.MEDIA_TYPE:
        facts = _heic(data)
    else:
        facts = _picture(data, media_type, limits)
    if facts.width < 1 or facts.height < 1 or facts.frames < 1:
        raise PICTURE_UNREADABLE(media_type=media_type)
    if facts.width * facts.height > limits.pixels or max(facts.width, facts.height) > limits.side_px:
        raise PICTURE_PIXELS(limit_pixels=limits.pixels, limit_side=limits.side_px)
    if facts.frames > limits.frames:
        raise PICTURE_FRAMES(frames=facts.frames, limit_frames=limits.frames)
    return facts


def _media_type(data: bytes) -> str:
    for offset, signature, media_type in _SIGNATURES:
        if data[offset : offset + len(signature)] == signature and (offset != 8 or data.startswith(b"RIFF")):
            return media_type
    if heif.is_heif(data):
        return heif.MEDIA_TYPE
    if data[:2] in (b"\x02\0", b"\x08\0") and data[3:4] == b"\0":
        return DICOM  # an old file without preamble begins with an element of group 2 or 8
    raise PICTURE_TYPE(supported=SUPPORTED)


def _heic(data: bytes) -> PictureFacts:
    try:
        width, height = heif.size(data)
    except ValueError as error:
        raise PICTURE_UNREADABLE(media_type=heif.MEDIA_TYPE) from error
    return PictureFacts(heif.MEDIA_TYPE, width, height)


def _picture(data: bytes, media_type: str, limits: Limits) -> PictureFacts:
    try:
        with _warning_filters, warnings.catch_warnings():
            # Pillow itself refuses twice its limit and warns above it; our own limit is applied to what is left.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning)
            with Image.open(io.BytesIO(data), formats=_DECODERS[media_type]) as picture:
                width, height = picture.size
                # Only these know their frames from the header; counting them in GIF and TIFF reads the whole file.
                frames = getattr(picture, "n_frames", 1) if media_type in ("image/png", "image/webp") else 1
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
        raise PICTURE_PIXELS(limit_pixels=limits.pixels, limit_side=limits.side_px) from bomb
    except Exception as error:  # whatever a hostile header makes a parser raise
        raise PICTURE_UNREADABLE(media_type=media_type) from error
    return PictureFacts(media_type, width, height, frames)


def _dicom(data: bytes) -> PictureFacts:
    head = data[:_DICOM_HEADER_BYTES]
    try:
        if _DEFLATED in head:
            head = _inflated_head(head)
        with _warning_filters, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = read_partial(io.BytesIO(head), _past_the_header, force=True)
            width, height = int(header["Columns"].value), int(header["Rows"].value)
            frames = int(header["NumberOfFrames"].value) if "NumberOfFrames" in header else 1
    except Exception as error:  # a truncated header, a report without pixels, nonsense
        raise PICTURE_UNREADABLE(media_type=DICOM) from error
    return PictureFacts(DICOM, width, height, frames)


def _inflated_head(head: bytes) -> bytes:
    """The first part of a deflated data set, without its meta information.

    pydicom would inflate all of it at once, without a limit; here the header's limit holds. Raises ValueError and
    zlib.error.
    """
    if head[132:140] != b"\x02\0\0\0UL\x04\0":
        raise ValueError("the meta information does not tell its length")
    end_of_meta = 144 + int.from_bytes(head[140:144], "little")
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(head[end_of_meta:], _INFLATED_HEADER_BYTES)
    if inflated[:2] == b"\0\0":
        raise ValueError("no data set begins with group 0")  # a run of zeros: half a million empty elements to read
    return inflated


def _past_the_header(tag: int, _vr: str | None, _length: int) -> bool:
    """Behind what describes pixels, or in a run of zeros, which would be read as empty elements of group 0."""
    return tag >= _AFTER_IMAGE_GROUP or tag < _BEFORE_ANY_GROUP
