"""Photographed and scanned forms as they are sealed: without what a camera or a telephone wrote beside the picture.

Nothing is decoded and encoded again. Of a JPEG and of a PNG only the parts that a decoder needs are copied, byte for
byte, so that every pixel is what was photographed; place, time, device, owner, thumbnails and whatever follows the
picture are left behind. How the camera was held (EXIF orientation) is written anew, or the sheet would lie on its side.
A PDF is kept as it came: taking it apart would need a parser of the whole format, and changes what was scanned.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from services.ingest.routes.consent_problems import SHEET_TYPE, SHEET_UNREADABLE

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_PDF = b"%PDF-"

# JPEG (ITU-T T.81, table B.1): frames, tables, restart intervals, number of lines.
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOS, _EOI = 0xDA, 0xD9
_KEPT_SEGMENTS = _SOF | {_SOS, 0xC4, 0xCC, 0xDB, 0xDC, 0xDD}
_JFIF, _APP1, _ADOBE = 0xE0, 0xE1, 0xEE
_JFIF_BYTES = 12
"""With the density, without the thumbnail that may follow."""
_ADOBE_BYTES = 12
"""How colours are coded; a decoder needs it."""
_AFTER_THE_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# PNG (W3C, third edition, 5.6): what pixels are made of.
_KEPT_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"pHYs"})
_MANY = 100_000  # more parts than this has no photograph
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Sheet:
    """A form as it is kept. `stripped`: metadata was left behind; a PDF keeps its own."""

    data: bytes
    media_type: str
    stripped: bool


def sheet_of(data: bytes) -> Sheet:
    """The form that a file shows, told by its content. Raises `sheet-type-unsupported` and `sheet-unreadable`.

    Takes time in proportion to the file: not for the event loop.
    """
    try:
        if data.startswith(_JPEG):
            return Sheet(_bare_jpeg(data), "image/jpeg", True)
        if data.startswith(_PNG):
            return Sheet(_bare_png(data), "image/png", True)
    except _Broken as error:
        raise SHEET_UNREADABLE() from error
    if data.startswith(_PDF):
        return Sheet(data, "application/pdf", False)
    raise SHEET_TYPE()


class _Broken(Exception):
    """The file ends early, or its parts do not fit into it."""


# -- JPEG ------------------------------------------------------------------------------------------------------------


def _bare_jpeg(data: bytes) -> bytes:
    head, picture = [], []
    orientation = 1
    seen: set[int] = set()
    for marker, payload, scan in _segments(data):
        seen.add(marker)
        if marker == _JFIF and payload.startswith(b"JFIF\0") and len(payload) >= _JFIF_BYTES:
            head.append(_segment(marker, payload[:_JFIF_BYTES] + b"\0\0"))
        elif marker == _ADOBE and payload.startswith(b"Adobe") and len(payload) >= _ADOBE_BYTES:
            head.append(_segment(marker, payload[:_ADOBE_BYTES]))
        elif marker == _APP1 and payload.startswith(b"Exif\0\0") and orientation == 1:
            orientation = _orientation(payload[6:])
        elif marker in _KEPT_SEGMENTS:
            picture.append(_segment(marker, payload) + scan)
    if not seen & _SOF or _SOS not in seen:
        raise _Broken
    if orientation != 1:
        head.append(_segment(_APP1, b"Exif\0\0" + _only_orientation(orientation)))
    return b"\xff\xd8" + b"".join(head + picture) + bytes((0xFF, _EOI))


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Each segment's marker and payload up to the end of the picture, and the coded pixels that follow a scan's."""
    at = 2
    for _ in range(_MANY):
        while data[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if at + 2 > len(data) or data[at] != 0xFF:
            raise _Broken
        marker = data[at + 1]
        if marker == _EOI:
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        payload = data[at + 4 : at + 2 + length]
        if length < 2 or len(payload) < length - 2:
            raise _Broken
        at += 2 + length
        scan = b""
        if marker == _SOS:
            end = _AFTER_THE_SCAN.search(data, at)
            if end is None:
                raise _Broken
            scan, at = data[at : end.start()], end.start()
        yield marker, payload, scan
    raise _Broken


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


# -- PNG -------------------------------------------------------------------------------------------------------------


def _bare_png(data: bytes) -> bytes:
    kept: list[bytes] = []
    names: list[bytes] = []
    orientation = 1
    for name, whole in _chunks(data):
        names.append(name)
        if name == b"eXIf":
            orientation = _orientation(whole[8:-4])
        elif name in _KEPT_CHUNKS:
            kept.append(whole)
    if names[0] != b"IHDR" or names.count(b"IHDR") > 1 or b"IDAT" not in names:
        raise _Broken
    if orientation != 1:
        kept.insert(1, _chunk(b"eXIf", _only_orientation(orientation)))
    return _PNG + b"".join(kept)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The name of each chunk, and all of it, up to the end of the picture."""
    at = len(_PNG)
    for _ in range(_MANY):
        whole = data[at : at + 12 + int.from_bytes(data[at : at + 4], "big")]
        if len(whole) < 12 + int.from_bytes(whole[:4], "big"):
            raise _Broken
        yield whole[4:8], whole
        if whole[4:8] == b"IEND":
            return
        at += len(whole)
    raise _Broken


def _chunk(name: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")


# -- how the camera was held -----------------------------------------------------------------------------------------


def _orientation(tiff: bytes) -> int:
    """EXIF's orientation, 1 to 8; 1 (as it lies) where none is told."""
    if tiff[:2] not in (b"II", b"MM"):
        return 1

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], "little" if tiff[:2] == b"II" else "big")

    entries = number(4, 4) + 2
    for at in range(entries, min(entries + 12 * number(entries - 2, 2), len(tiff)), 12):
        if number(at, 2) == _ORIENTATION:
            return number(at + 8, 2) if 1 <= number(at + 8, 2) <= 8 else 1
    return 1


def _only_orientation(orientation: int) -> bytes:
    """A TIFF header with one directory of one entry: a short."""
    entry = _ORIENTATION.to_bytes(2, "big") + b"\0\x03\0\0\0\x01" + orientation.to_bytes(2, "big") + b"\0\0"
    return b"MM\0*\0\0\0\x08" + b"\0\x01" + entry + b"\0\0\0\0"
