"""Every file that pydicom's packages carry: read as pydicom renders it, pixel by pixel, or refused with a reason.

The files come with the packages `pydicom` and `pydicom-data`; nothing is fetched.
"""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array

from services.redactor.domain import Reason, Unreadable
from services.redactor.pixels.decode import open_picture
from services.redactor.pixels.dicom import read_dataset
from services.redactor.pixels.frames import DeepFrame

CAP = 60_000_000
FILES = {
    Path(str(name)).name: Path(str(name)) for name in sorted(map(str, get_testdata_files())) if Path(name).is_file()
}

NO_PICTURE = Reason.NOT_A_PICTURE
NO_PIXELS = Reason.UNSUPPORTED_FORMAT  # DICOM, but a report, a plan, a curve, a directory
REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": Reason.TOO_MANY_PIXELS,  # its stream claims 3,722,445,056 x 1,024
    "MR_truncated.dcm": Reason.TRUNCATED,
    "badVR.dcm": Reason.DECODER_FAILED,  # "1A" frames
    "color3d_jpeg_baseline.dcm": Reason.TOO_MANY_FRAMES,
    "DICOMDIR": NO_PIXELS,
    "DICOMDIR-bigEnd": NO_PIXELS,
    "DICOMDIR-empty.dcm": NO_PIXELS,
    "DICOMDIR-implicit": NO_PIXELS,
    "DICOMDIR-nooffset": NO_PIXELS,
    "DICOMDIR-nopatient": NO_PIXELS,
    "DICOMDIR-reordered": NO_PIXELS,
    "UN_sequence.dcm": NO_PIXELS,
    "emri_small_jpeg_2k_lossless_too_short.dcm": NO_PIXELS,  # ends before its pixels
    "empty_charset_LEI.dcm": NO_PIXELS,
    "meta_missing_tsyntax.dcm": NO_PIXELS,
    "nested_priv_SQ.dcm": NO_PIXELS,
    "no_meta_group_length.dcm": NO_PIXELS,
    "priv_SQ.dcm": NO_PIXELS,
    "reportsi.dcm": NO_PIXELS,
    "reportsi_with_empty_number_tags.dcm": NO_PIXELS,
    "rtplan.dcm": NO_PIXELS,
    "rtplan_truncated.dcm": NO_PIXELS,
    "test-SR.dcm": NO_PIXELS,
    "waveform_ecg.dcm": NO_PIXELS,
    "ExplVR_BigEndNoMeta.dcm": NO_PICTURE,  # not even the mark that says DICOM
    "ExplVR_LitEndNoMeta.dcm": NO_PICTURE,
    "no_meta.dcm": NO_PICTURE,
    "rtstruct.dcm": NO_PICTURE,
    "README": NO_PICTURE,
    "README.txt": NO_PICTURE,
    "crayons.icc": NO_PICTURE,
    "rtplan.dump": NO_PICTURE,
    "rtstruct.dump": NO_PICTURE,
    "test1.json": NO_PICTURE,
    "test_PN.json": NO_PICTURE,
    "zipMR.gz": NO_PICTURE,
}
REFUSED.update({name: NO_PIXELS for name in FILES if name.startswith("IM0000")})  # headers of a directory's test
# Of JPEG lossless other than first order (.57) there is only a file without pixels.
EVERY_SYNTAX = {
    "1.2.840.10008.1.2": "implicit little endian",
    "1.2.840.10008.1.2.1": "explicit little endian",
    "1.2.840.10008.1.2.1.99": "deflated",
    "1.2.840.10008.1.2.2": "explicit big endian",
    "1.2.840.10008.1.2.4.50": "JPEG baseline",
    "1.2.840.10008.1.2.4.51": "JPEG extended, 12 bits",
    "1.2.840.10008.1.2.4.70": "JPEG lossless, first order",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS near lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.5": "RLE",
}


@pytest.fixture(autouse=True)
def hushed() -> Iterator[None]:
    """These files are full of oddities that pydicom remarks on."""
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_broken_or_holds_no_picture_is_refused_with_its_reason(name: str) -> None:
    with pytest.raises(Unreadable) as refused:
        list(open_picture(FILES[name].read_bytes(), max_pixels=CAP).frames)
    assert refused.value.reason is REFUSED[name]


@pytest.mark.parametrize("name", sorted(set(FILES) - set(REFUSED)))
def test_every_frame_is_shown_as_pydicom_renders_it(name: str) -> None:
    data = FILES[name].read_bytes()
    header = pydicom.dcmread(FILES[name], force=True)
    dataset = read_dataset(data, 4 * CAP)  # pydicom alone does not guess a transfer syntax that is not named
    picture = open_picture(data, max_pixels=CAP)
    assert picture.frame_count == int(header.get("NumberOfFrames") or 1)
    shown = 0
    for index, frame in enumerate(picture.frames):
        found = frame.shown()
        assert found.shape == (header.Rows, header.Columns, 3)
        expected = rendered(dataset, index, deep=isinstance(frame, DeepFrame))
        assert np.abs(found.astype(float) - expected).max() <= 1, f"frame {index}"
        shown += 1
    assert shown == picture.frame_count


def test_all_transfer_syntaxes_are_among_the_files_that_are_read() -> None:
    seen = set()
    for name in set(FILES) - set(REFUSED):
        meta = getattr(pydicom.dcmread(FILES[name], force=True, stop_before_pixels=True), "file_meta", {})
        seen.add(str(meta.get("TransferSyntaxUID")))
    assert set(EVERY_SYNTAX) - seen == set()
    assert len(FILES) > 200


def rendered(dataset: Dataset, index: int, *, deep: bool) -> npt.NDArray[np.float64]:
    """pydicom's rendering as levels from 0 to 255, height x width x 3.

    Where the header asks for no window (`deep`), the standard leaves the range to the viewer: ours goes from the
    darkest to the brightest sample that is no padding, so that is done here with pydicom's values too.
    """
    samples = pixel_array(dataset, index=index)
    kind = dataset.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        colours = apply_color_lut(samples, dataset)
        return np.asarray(colours[..., :3] * (255.0 / (2 ** (8 * colours.dtype.itemsize) - 1)))
    if samples.ndim == 3:
        return np.asarray(samples * (255.0 / (2**dataset.BitsStored - 1)))
    if dataset.BitsAllocated == 1:
        levels = samples * 255.0
    else:
        flat = of_frame(dataset, index)
        values = apply_modality_lut(samples, flat).astype(np.float64)
        if deep:
            low, high = outside_padding(dataset, samples, values)
        else:
            low, high = voi_range(flat)
            values = apply_voi_lut(apply_modality_lut(samples, flat), flat).astype(np.float64)
        levels = np.clip((values - low) * (255.0 / (high - low) if high > low else 0.0), 0, 255)
    if kind == "MONOCHROME1":
        levels = 255.0 - levels
    return np.repeat(levels[:, :, np.newaxis], 3, axis=2)


def of_frame(dataset: Dataset, index: int) -> Dataset:
    """The header with the functional groups of one frame written over it, as pydicom's functions want it."""
    flat = Dataset()
    for element in dataset:
        if element.tag.group == 0x0028 and element.VR != "SQ":
            flat.add(element)
    for keyword in ("VOILUTSequence", "ModalityLUTSequence"):
        if keyword in dataset:
            flat[keyword] = dataset[keyword]
    flat.set_original_encoding(*dataset.original_encoding)
    flat.file_meta = dataset.file_meta
    for keyword, item in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", index)):
        for group in (dataset.get(keyword) or [])[item : item + 1]:
            for part in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                flat.update(group[part][0] if part in group else {})
    return flat


def voi_range(flat: Dataset) -> tuple[float, float]:
    """What pydicom maps a window or a table onto: the range of its modality values, or the table's bits."""
    if flat.get("VOILUTSequence"):
        return 0.0, 2.0 ** flat.VOILUTSequence[0].LUTDescriptor[2] - 1
    if flat.get("ModalityLUTSequence"):
        return 0.0, 2.0 ** flat.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    bits, signed = flat.BitsStored, flat.PixelRepresentation
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)
    if "RescaleSlope" in flat and "RescaleIntercept" in flat:
        slope, intercept = float(flat.RescaleSlope), float(flat.RescaleIntercept)
        low, high = low * slope + intercept, high * slope + intercept
    return low, high


def outside_padding(dataset: Dataset, samples: npt.NDArray[Any], values: npt.NDArray[Any]) -> tuple[float, float]:
    padding = dataset.get("PixelPaddingValue")
    seen = values if padding in (None, "") else values[samples != padding]
    return (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)
