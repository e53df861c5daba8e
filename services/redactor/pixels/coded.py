"""The size that a compressed DICOM frame itself claims, and 12-bit JPEG.

A header may say 10 x 10 while the JPEG in the file says 65,535 x 65,535, and it is the JPEG's size for which a decoder
claims memory. pydicom does not let GDCM near JPEG of 12 bits; GDCM reads it, and the only other free reader is GPL.
"""

from typing import Any

import gdcm
from pydicom.pixels.decoders.base import JPEGExtended12BitDecoder
from pydicom.uid import JPEGExtended12Bit

_START_OF_FRAME = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}) | {0xF7}  # F7: JPEG-LS
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_JPEG2000 = b"\xff\x4f\xff\x51"

DECODER_DEPENDENCIES = {JPEGExtended12Bit: ("gdcm>=3.0.10",)}


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


def is_available(uid: str) -> bool:
    """For pydicom's list of decoders."""
    return uid in DECODER_DEPENDENCIES


def decode_twelve_bits(coded: bytes, runner: Any) -> bytes:
    """One frame of 12-bit JPEG as 16-bit little-endian samples. Raises ValueError where GDCM gives nothing."""
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


def offer_twelve_bits() -> None:
    """Put it on pydicom's list; doing so again changes nothing."""
    if "twelve_bits" not in JPEGExtended12BitDecoder.available_plugins:
        JPEGExtended12BitDecoder.add_plugin("twelve_bits", (__name__, decode_twelve_bits.__name__))
