"""Stored DICOM samples to levels from 0 to 255, in the order of PS3.3 C.11: modality, values of interest, inversion.

pydicom has functions for each step; they widen a whole picture to double precision at every one. Here a strip of rows
goes through all steps at once. The tests compare the outcome with pydicom's, file by file.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from services.redactor.detectors import Pixels
from services.redactor.pixels.frames import DeepFrame, FlatFrame, grey_levels, strips

_SHOWING = (
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
)


def grey_frame(dataset: Dataset, samples: npt.NDArray[Any], index: int) -> FlatFrame | DeepFrame:
    """A frame of one sample a pixel, height x width, as this header wants it shown.

    With a window or a table of values of interest: flat. Without: deep, and its own range decides.
    Raises ValueError and whatever pydicom raises over a malformed header.
    """
    showing = _showing(dataset, index)
    inverted = str(dataset.PhotometricInterpretation) == "MONOCHROME1"
    if int(dataset.BitsAllocated) == 1:
        return _flat(samples, lambda strip: strip.astype(np.float32) * 255, inverted)
    modality = _modality(dataset, showing)
    if showing.get("VOILUTSequence"):
        table, first, depth = _table(dataset, showing.VOILUTSequence[0])
        return _flat(
            samples, lambda strip: _looked_up(modality(strip), table, first) * (255 / (2**depth - 1)), inverted
        )
    window = _window(showing)
    if window is not None:
        function = str(showing.get("VOILUTFunction") or "LINEAR")
        return _flat(samples, lambda strip: _through_window(modality(strip), *window, function), inverted)
    if showing.get("ModalityLUTSequence"):
        values = np.empty(samples.shape, np.float32)
        for rows in strips(*samples.shape):
            values[rows] = modality(samples[rows])
        return DeepFrame(values, inverted)
    # A rescale moves darkest and brightest alike: only its sign matters where the range is stretched anyway.
    falling = float(showing.get("RescaleSlope") or 1) < 0
    return DeepFrame(samples, inverted != falling, _padding(dataset))


def _flat(samples: npt.NDArray[Any], levels: Any, inverted: bool) -> FlatFrame:
    height, width = samples.shape
    pixels: Pixels = np.empty((height, width, 3), np.uint8)
    for rows in strips(height, width):
        pixels[rows] = grey_levels(levels(samples[rows]), inverted=inverted)[:, :, np.newaxis]
    return FlatFrame(pixels)


def _modality(dataset: Dataset, showing: Dataset) -> Any:
    """A function from a strip of stored samples to modality values (for example Hounsfield units)."""
    if showing.get("ModalityLUTSequence"):
        table, first, _ = _table(dataset, showing.ModalityLUTSequence[0])
        return lambda strip: _looked_up(strip, table, first)
    slope, intercept = float(showing.get("RescaleSlope") or 1), float(showing.get("RescaleIntercept") or 0)
    return lambda strip: strip.astype(np.float64) * slope + intercept


def _looked_up(values: npt.NDArray[Any], table: npt.NDArray[np.float32], first: int) -> npt.NDArray[np.float32]:
    return table[np.clip(values.astype(np.int64) - first, 0, len(table) - 1)]


def _table(dataset: Dataset, item: Dataset) -> tuple[npt.NDArray[np.float32], int, int]:
    """A table, the value of its first entry, and its bits. Raises ValueError where it is empty."""
    entries, first, depth = (int(value) for value in item.LUTDescriptor)
    data = item.LUTData
    if isinstance(data, bytes):
        little = dataset.original_encoding[1] is not False
        # 8-bit tables come packed, two to a word, or one to a word; the length tells which.
        one_byte_each = depth <= 8 and len(data) < 2 * (entries or 65536)
        data = np.frombuffer(data, "u1" if one_byte_each else "<u2" if little else ">u2")
    table = np.atleast_1d(np.asarray(data, np.float32))[: entries or 65536]
    if not table.size or not 1 <= depth <= 16:
        raise ValueError("a look-up table without entries or depth")
    return table, first, depth


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
        for name in _SHOWING:
            if name in place:
                showing[name] = place[name]
    return showing


def _window(showing: Dataset) -> tuple[float, float] | None:
    """Centre and width; of several windows the first. None where there is none that could be used."""
    first = []
    for value in (showing.get("WindowCenter"), showing.get("WindowWidth")):
        if value is None or value == "" or (hasattr(value, "__len__") and not len(value)):
            return None
        first.append(float(value[0]) if hasattr(value, "__len__") else float(value))
    usable = np.isfinite(first[0]) and np.isfinite(first[1]) and first[1] >= 1
    return (first[0], first[1]) if usable else None


def _through_window(values: npt.NDArray[Any], centre: float, width: float, function: str) -> npt.NDArray[np.float64]:
    """Values to levels from 0 to 255, as PS3.3 C.11.2.1.2 and C.11.2.1.3 say."""
    if function == "SIGMOID":
        return np.asarray(255.0 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -500, 500))))
    if function != "LINEAR_EXACT":
        centre, width = centre - 0.5, width - 1
    if width <= 0:
        return np.where(values > centre, 255.0, 0.0)
    return np.asarray(np.clip((values - centre) / width + 0.5, 0, 1) * 255.0)


def _padding(dataset: Dataset) -> tuple[float, float] | None:
    one = dataset.get("PixelPaddingValue")
    if one is None or one == "":
        return None
    other = dataset.get("PixelPaddingRangeLimit")
    ends = sorted((float(one), float(one if other is None or other == "" else other)))
    return ends[0], ends[1]
