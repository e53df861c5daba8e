"""Which decoder a compressed DICOM frame is given to, and the size that the frame itself claims.

A header may say 10 x 10 while the JPEG in the file says 65,535 x 65,535, and it is the JPEG's size for which a decoder
claims memory.

Pillow's libjpeg and OpenJPEG, which browsers and fuzzers have hardened, read what they can. What is left (lossless
JPEG, JPEG-LS, JPEG of 12 bits) only GDCM reads among free decoders that are not under the GPL, and GDCM crashes over
some broken streams: it works in a copy of the process. pydicom does not let it near 12 bits; it reads them.
"""

from typing import Any

import gdcm
from pydicom.pixels.decoders import base
from pydicom.pixels.decoders import gdcm as by_gdcm
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from services.redactor.pixels.apart import apart

_START_OF_FRAME = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}) | {0xF7}  # F7: JPEG-LS
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_JPEG2000 = b"\xff\x4f\xff\x51"
_JP2 = b"\x00\x00\x00\x0cjP  "

MAX_SCANS = 200
"""A progressive picture has about ten; thumbnails and further pictures in the file have theirs."""

APART = "apart"
"""What pydicom knows our plugin as."""

_GDCM_ONLY = (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless)
DECODER_DEPENDENCIES = dict.fromkeys(_GDCM_ONLY, ("gdcm>=3.0.10",))
_CHANGED = ("bits_allocated", "planar_configuration", "photometric_interpretation")


def decoder_of(syntax: UID, bits_stored: int) -> str:
    """The plugin for pydicom's `decoding_plugin`; empty where pydicom's own reading is the only one."""
    if syntax == JPEGBaseline8Bit or (syntax == JPEGExtended12Bit and bits_stored == 8):
        return "pillow"
    if syntax in (JPEG2000, JPEG2000Lossless):
        return "pylibjpeg"
    return APART if syntax in _GDCM_ONLY else ""


def claimed_size(coded: bytes) -> tuple[int, int] | None:
    """Width and height out of the header of a JPEG, JPEG-LS or JPEG 2000 stream; None where there is none."""
    if coded[:2] == b"\xff\xd8":
        return _jpeg_size(coded)
    start = coded.find(_JPEG2000, 0, 4096)  # at 0, or behind the boxes of a JP2 file
    if start < 0 or len(coded) < start + 24:
        return None
    right, bottom, left, top = (int.from_bytes(coded[at : at + 4], "big") for at in range(start + 8, start + 24, 4))
    return max(0, right - left), max(0, bottom - top)


def _jpeg_size(coded: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(coded):
        if coded[at] != 0xFF:
            return None
        marker = coded[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker in _START_OF_FRAME:
            return int.from_bytes(coded[at + 7 : at + 9], "big"), int.from_bytes(coded[at + 5 : at + 7], "big")
        else:
            at += 2 + max(2, int.from_bytes(coded[at + 2 : at + 4], "big"))
    return None


def too_many_scans(coded: bytes) -> bool:
    """A progressive JPEG may go over all of its pixels once more every few bytes: hours of work in a small file."""
    return coded.count(b"\xff\xda") > MAX_SCANS


def endless_boxes(coded: bytes) -> bool:
    """Whether the boxes of a JP2 file within a frame never end: pydicom (3.0) follows a box without length back to
    itself, for ever. A length of 0 (to the end) or 1 (a long length behind it) leads to no picture with it either."""
    at = 12
    while coded.startswith(_JP2) and at + 8 <= len(coded) and coded[at + 4 : at + 8] != b"jp2c":
        length = int.from_bytes(coded[at : at + 4], "big")
        if length < 8:
            return True
        at += length
    return False


def is_available(uid: str) -> bool:
    """For pydicom's list of decoders."""
    return uid in DECODER_DEPENDENCIES


def decode_apart(coded: bytes, runner: Any) -> bytearray:
    """One frame, for pydicom. Raises ValueError, RuntimeError or MemoryError; see `apart`."""

    def work() -> tuple[bytes, dict[str, Any]]:
        twelve = runner.transfer_syntax == JPEGExtended12Bit
        samples = _twelve_bits(coded, runner) if twelve else by_gdcm._decode_frame(coded, runner)
        return samples, {name: runner.options[name] for name in _CHANGED if name in runner.options}

    samples, changed = apart(work)
    for name, value in changed.items():
        runner.set_option(name, value)
    return samples


def _twelve_bits(coded: bytes, runner: Any) -> bytes:
    """As 16-bit little-endian samples. Raises ValueError where GDCM gives nothing."""
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(coded)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    pixel_data = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    pixel_data.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(pixel_data)
    shown_as = gdcm.PhotometricInterpretation.GetPIType(str(runner.photometric_interpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(shown_as))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(JPEGExtended12Bit))))
    image.SetPixelFormat(gdcm.PixelFormat(runner.samples_per_pixel, 16, 12, 11, runner.pixel_representation))
    samples = image.GetBuffer()
    if samples is None:
        raise ValueError("no samples")
    runner.set_option("bits_allocated", 16)
    return bytes(samples.encode("utf-8", "surrogateescape"))


def offer() -> None:
    """Put the decoder on pydicom's lists; doing so again changes nothing."""
    for decoder in (
        base.JPEGExtended12BitDecoder,
        base.JPEGLosslessDecoder,
        base.JPEGLosslessSV1Decoder,
        base.JPEGLSLosslessDecoder,
        base.JPEGLSNearLosslessDecoder,
    ):
        if APART not in decoder.available_plugins:
            decoder.add_plugin(APART, (__name__, decode_apart.__name__))
