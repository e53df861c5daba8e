"""DICOM to upright 8-bit frames, in the standard's order: modality, values of interest, inversion, palette or colour.

Only pixels and the words to search for leave this module. Overlays and icon images are never drawn.
"""

import contextlib
import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom.config
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.errors import InvalidDicomError
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, convert_color_space
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
)

from services.redactor.detectors import Pixels
from services.redactor.domain import MAX_FRAMES, Reason, Unreadable
from services.redactor.pixels.coded import claimed_size, decoder_of, endless_boxes, offer, too_many_scans
from services.redactor.pixels.frames import DeepFrame, FlatFrame, strips
from services.redactor.pixels.header import header_words
from services.redactor.pixels.levels import grey_frame

INFLATED_BYTES_PER_PIXEL = 4
"""A deflated file may unfold to this times the allowed pixels: the largest one with 16 bits, twice over."""

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_COLOURS = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
_GREYS = frozenset({"MONOCHROME1", "MONOCHROME2"})
_CUT_SHORT = (
    "truncated",
    "less than expected",
    "less than the expected",
    "fewer frames",
    "unexpected end",
    "is missing",
    "no more",
)

# pydicom quotes values that it dislikes, and a value may be the patient's name.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
logging.getLogger("pydicom").disabled = True
offer()


@dataclass(frozen=True)
class Header:
    """A file whose size was accepted. No pixel of it is unpacked yet."""

    dataset: Dataset = field(repr=False)  # a log or a traceback that shows this object must not show the patient
    frame_count: int
    words: frozenset[str] = field(repr=False)
    max_pixels: int

    @property
    def coding(self) -> tuple[UID, int]:
        """Transfer syntax, and bits of a sample."""
        return self.dataset.file_meta.TransferSyntaxUID, int(self.dataset.get("BitsStored") or 0)


def looks_like_dicom(data: bytes) -> bool:
    """The mark after the preamble, or a first element of group 2 or 8 where old files have no preamble."""
    return data[128:132] == b"DICM" or data[:2] in (b"\x02\x00", b"\x08\x00")


def read_header(data: bytes, *, max_pixels: int, longest_side_px: int) -> Header:
    """Rows, columns and frames, checked. Raises Unreadable."""
    with _silence():
        try:
            dataset = read_dataset(data, INFLATED_BYTES_PER_PIXEL * max_pixels)
            rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
            count = int(dataset.get("NumberOfFrames") or 1)
            words = header_words(dataset)
        except Unreadable:
            raise
        except MemoryError as error:
            raise Unreadable(Reason.MEMORY_LIMIT) from error.with_traceback(None)
        except Exception as error:  # a malformed header: pydicom raises nearly everything
            raise _refusal(error) from error
    if rows * columns > max_pixels or max(rows, columns) > longest_side_px:
        raise Unreadable(Reason.TOO_MANY_PIXELS, f"{columns} x {rows}, at most {max_pixels} pixels")
    if count > MAX_FRAMES:
        raise Unreadable(Reason.TOO_MANY_FRAMES, f"{count} frames, at most {MAX_FRAMES}")
    if not rows or not columns or not any(name in dataset for name in _PIXELS):
        marked = data[128:132] == b"DICM"
        raise Unreadable(Reason.UNSUPPORTED_FORMAT if marked else Reason.NOT_A_PICTURE, "no pixels in it")
    return Header(dataset, max(1, count), words, max_pixels)


def read_dataset(data: bytes, inflated_limit: int) -> Dataset:
    """The data set, and a transfer syntax in its meta information also where the file names none.

    A deflated one is unfolded here, up to `inflated_limit` bytes: pydicom would unfold it at once and without a limit.
    Raises Unreadable, and whatever pydicom raises over a malformed file.
    """
    stream = io.BytesIO(data)
    read_preamble(stream, True)
    meta = _read_file_meta_info(stream)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        dataset = dcmread(io.BytesIO(_inflated(data[stream.tell() :], inflated_limit)), force=True)
        dataset.file_meta = meta
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        return dataset
    dataset = dcmread(io.BytesIO(data), force=True)
    if not getattr(dataset, "file_meta", None):
        dataset.file_meta = FileMetaDataset()
    if not dataset.file_meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        plain = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else plain
    return dataset


def _inflated(packed: bytes, limit: int) -> bytes:
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    unpacked = unpacker.decompress(packed, limit)
    if unpacker.unconsumed_tail:
        raise Unreadable(Reason.TOO_MANY_PIXELS, f"unfolds to more than {limit} bytes")
    if not unpacker.eof:
        raise Unreadable(Reason.TRUNCATED, "deflated data end early")
    return unpacked


def frames(header: Header) -> Iterator[FlatFrame | DeepFrame]:
    """Each frame in turn, decoded when it is asked for. Raises Unreadable."""
    for _, frame in stored_frames(header):
        yield frame


def stored_frames(header: Header) -> Iterator[tuple[npt.NDArray[Any] | None, FlatFrame | DeepFrame]]:
    """Each frame as shown, with its stored samples (height x width, read-only) where they are integer greys of a byte
    and more; None for colours. Raises Unreadable."""
    for index in range(header.frame_count):
        with _silence():
            try:
                _check_coded(header, index)
                samples = _samples(header, index)
                frame = _shown(header.dataset, samples, index)
                grey = samples.ndim == 2 and samples.dtype.kind in "iu" and int(header.dataset.BitsAllocated) > 1
                stored = samples if grey and str(header.dataset.PhotometricInterpretation) in _GREYS else None
            except Unreadable:
                raise
            except MemoryError as error:
                raise Unreadable(Reason.MEMORY_LIMIT) from error.with_traceback(None)
            except Exception as error:  # decoders raise nearly everything on malformed bytes
                raise _refusal(error) from error
        del samples
        yield stored, frame
        del stored, frame


def written(dataset: Dataset) -> bytes:
    """The data set as a whole file."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _check_coded(header: Header, index: int) -> None:
    dataset = header.dataset
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    offsets = dataset.get("ExtendedOffsetTable")
    lengths = dataset.get("ExtendedOffsetTableLengths")
    extended = (offsets, lengths) if offsets and lengths else None
    coded = get_frame(dataset.PixelData, index, number_of_frames=header.frame_count, extended_offsets=extended)
    if header.coding[0] in (JPEGBaseline8Bit, JPEGExtended12Bit) and too_many_scans(coded):
        raise Unreadable(Reason.DECODER_FAILED, "a JPEG of endless scans")
    if endless_boxes(coded):
        raise Unreadable(Reason.DECODER_FAILED, "a JP2 file of endless boxes")
    size = claimed_size(coded)
    if size is not None and size[0] * size[1] > header.max_pixels:
        raise Unreadable(Reason.TOO_MANY_PIXELS, f"{size[0]} x {size[1]} in the compressed frame")


def _samples(header: Header, index: int) -> npt.NDArray[Any]:
    """Stored samples, read-only where that spares a copy; colours as RGB.

    pydicom turns YBR into RGB with a whole picture in floating point, several times over; here by strips of rows.
    """
    decoder = get_decoder(header.coding[0])
    plugin = decoder_of(*header.coding)
    options: dict[str, Any] = {"view_only": True, "as_rgb": False}  # more than pydicom's annotations allow
    samples, facts = decoder.as_array(header.dataset, index=index, decoding_plugin=plugin, **options)
    kind = str(facts["photometric_interpretation"])
    if kind not in ("YBR_FULL", "YBR_FULL_422") or samples.ndim != 3:
        return samples
    colours = np.empty_like(samples)
    for rows in strips(*samples.shape[:2]):
        colours[rows] = convert_color_space(samples[rows], kind, "RGB")
    return colours


def _shown(dataset: Dataset, samples: npt.NDArray[Any], index: int) -> FlatFrame | DeepFrame:
    kind = str(dataset.PhotometricInterpretation)
    if kind == "PALETTE COLOR" and samples.ndim == 2:
        coloured = apply_color_lut(samples, dataset)[..., :3]
        return FlatFrame(_eight_bits(coloured, 8 * coloured.dtype.itemsize))
    if kind in _COLOURS and samples.ndim == 3 and samples.shape[2] == 3:  # the decoder has turned YBR into RGB
        return FlatFrame(_eight_bits(samples, int(dataset.BitsStored)))
    if kind in _GREYS and samples.ndim == 2:
        return grey_frame(dataset, samples, index)
    raise Unreadable(Reason.UNSUPPORTED_FORMAT, "a photometric interpretation that is not read, or not its samples")


def _eight_bits(samples: npt.NDArray[Any], bits: int) -> Pixels:
    if bits <= 8:
        return np.ascontiguousarray(samples.astype(np.uint8, copy=False))
    return np.ascontiguousarray((samples >> (bits - 8)).clip(0, 255).astype(np.uint8))


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Warnings quote what a header holds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _refusal(error: Exception) -> Unreadable:
    said = str(error).lower()
    short = isinstance(error, InvalidDicomError | EOFError | struct.error)
    short = short or any(words in said for words in _CUT_SHORT)
    return Unreadable(Reason.TRUNCATED if short else Reason.DECODER_FAILED, type(error).__name__)
