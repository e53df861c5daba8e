"""DICOM to upright 8-bit frames, in the standard's order: modality, values of interest, inversion, palette or colour.

Only pixels leave this module. The header is read for what shows them (rows, window, palette) and for nothing else;
overlays and icon images are never drawn.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import pixel_array

from services.redactor.detectors import Pixels
from services.redactor.domain import MAX_FRAMES, Reason, Unreadable
from services.redactor.pixels.frames import DeepFrame, FlatFrame, grey

_SHOWING = (
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
)


@dataclass(frozen=True)
class Header:
    """A file whose size was accepted. No pixel of it is unpacked yet."""

    dataset: Dataset
    frame_count: int


def looks_like_dicom(data: bytes) -> bool:
    """The mark after the preamble, or a first element of group 2 or 8 where old files have no preamble."""
    return data[128:132] == b"DICM" or data[:2] in (b"\x02\x00", b"\x08\x00")


def read_header(data: bytes, *, max_pixels: int, longest_side_px: int) -> Header:
    """Rows, columns and frames, checked. Raises Unreadable."""
    try:
        dataset = dcmread(io.BytesIO(data), force=True)
        rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
        count = int(dataset.get("NumberOfFrames") or 1)
    except MemoryError as error:
        raise Unreadable(Reason.MEMORY_LIMIT) from error
    except (InvalidDicomError, EOFError, struct.error) as error:
        raise Unreadable(Reason.TRUNCATED, type(error).__name__) from error
    except Exception as error:  # a malformed header: pydicom raises nearly everything
        raise Unreadable(Reason.DECODER_FAILED, type(error).__name__) from error
    if rows * columns > max_pixels or max(rows, columns) > longest_side_px:
        raise Unreadable(Reason.TOO_MANY_PIXELS, f"{columns} x {rows}, at most {max_pixels} pixels")
    if count > MAX_FRAMES:
        raise Unreadable(Reason.TOO_MANY_FRAMES, f"{count} frames, at most {MAX_FRAMES}")
    if not rows or not columns or "PixelData" not in dataset:
        marked = data[128:132] == b"DICM"
        raise Unreadable(Reason.UNSUPPORTED_FORMAT if marked else Reason.NOT_A_PICTURE, "no pixels in it")
    return Header(dataset, max(1, count))


def frames(header: Header) -> Iterator[FlatFrame | DeepFrame]:
    """Each frame in turn, decoded when it is asked for. Raises Unreadable."""
    for index in range(header.frame_count):
        try:
            samples = pixel_array(header.dataset, index=index if header.frame_count > 1 else None)
            frame = _shown(header.dataset, samples, index)
        except MemoryError as error:
            raise Unreadable(Reason.MEMORY_LIMIT) from error
        except Exception as error:  # decoders raise nearly everything on malformed bytes
            raise _refusal(error) from error
        yield frame


def _shown(dataset: Dataset, samples: npt.NDArray[np.generic], index: int) -> FlatFrame | DeepFrame:
    showing = _showing(dataset, index)
    kind = str(dataset.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        coloured = apply_color_lut(samples, dataset)[..., :3]
        return FlatFrame(_eight_bits(coloured, 8 * coloured.dtype.itemsize))
    if samples.ndim == 3:  # the decoder has turned YBR into RGB
        return FlatFrame(_eight_bits(samples[..., :3], int(dataset.BitsStored)))
    inverted = kind == "MONOCHROME1"
    if int(dataset.BitsAllocated) == 1:
        return FlatFrame(grey(samples.astype(np.float32) * 255, inverted=inverted))
    values = apply_modality_lut(samples, showing)
    if showing.get("VOILUTSequence"):
        table, first, depth = _table(dataset, showing.VOILUTSequence[0])
        entries = table[np.clip(values.astype(np.int64) - first, 0, len(table) - 1)]
        return FlatFrame(grey(entries * (255.0 / (2**depth - 1)), inverted=inverted))
    window = _window(showing)
    if window is not None:
        levels = _through_window(values.astype(np.float64), *window, str(showing.get("VOILUTFunction") or "LINEAR"))
        return FlatFrame(grey(levels, inverted=inverted))
    return DeepFrame(values.astype(np.float32), inverted)


def _table(dataset: Dataset, item: Dataset) -> tuple[npt.NDArray[np.float32], int, int]:
    """A table, the value of its first entry, and its bits. (pydicom's own function goes wrong at 8 bits.)"""
    entries, first, depth = (int(value) for value in item.LUTDescriptor)
    data = item.LUTData
    if isinstance(data, bytes):
        little = dataset.original_encoding[1] is not False
        data = np.frombuffer(data, "<u2" if little else ">u2")
    return np.asarray(data[: entries or 65536], np.float32), first, depth


def _showing(dataset: Dataset, index: int) -> Dataset:
    """Window and rescale of this frame: its own in the functional groups, else the shared ones, else the file's."""
    showing = Dataset()
    places = [dataset]
    for groups, item in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", index)):
        sequence = dataset.get(groups) or []
        if item < len(sequence):
            for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                places += list(sequence[item].get(name) or [])
    for place in places:
        for name in (*_SHOWING, "PixelRepresentation", "BitsStored"):
            if name in place:
                showing[name] = place[name]
    showing.set_original_encoding(*dataset.original_encoding)
    if hasattr(dataset, "file_meta"):
        showing.file_meta = dataset.file_meta
    return showing


def _window(showing: Dataset) -> tuple[float, float] | None:
    centre, width = showing.get("WindowCenter"), showing.get("WindowWidth")
    if centre is None or width is None or centre == "" or width == "":
        return None
    first = [float(value[0]) if hasattr(value, "__len__") else float(value) for value in (centre, width)]
    return (first[0], first[1]) if first[1] >= 1 else None


def _through_window(
    values: npt.NDArray[np.float64], centre: float, width: float, function: str
) -> npt.NDArray[np.float64]:
    """Values to levels from 0 to 255, as PS3.3 C.11.2.1.2 and C.11.2.1.3 say."""
    if function == "SIGMOID":
        return 255.0 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -500, 500)))
    if function != "LINEAR_EXACT":
        centre, width = centre - 0.5, width - 1
    if width <= 0:
        return np.where(values > centre, 255.0, 0.0)
    return np.clip((values - centre) / width + 0.5, 0, 1) * 255.0


def _eight_bits(samples: npt.NDArray[np.generic], bits: int) -> Pixels:
    if bits <= 8:
        return np.ascontiguousarray(samples.astype(np.uint8))
    return np.ascontiguousarray((samples.astype(np.uint32) >> (bits - 8)).clip(0, 255).astype(np.uint8))


def _refusal(error: Exception) -> Unreadable:
    said = str(error).lower()
    short = isinstance(error, EOFError | struct.error) or any(
        words in said
        for words in (
            "truncated",
            "less than expected",
            "less than the expected",
            "unexpected end",
            "is missing",
            "no more",
        )
    )
    return Unreadable(Reason.TRUNCATED if short else Reason.DECODER_FAILED, type(error).__name__)
