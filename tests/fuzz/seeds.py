"""Whole files of every format that the redactor reads, small, and made here; those of pydicom's packages besides."""

import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import dcmwrite
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from tests.heic import Grid, heic

SMALL = 60_000
"""Bytes: of larger files too few mutations would be tried in a minute."""


def picture(mode: str = "RGB", width: int = 48, height: int = 36, seed: int = 1) -> Image.Image:
    """Smooth in one half, noise in the other, so that every part of a coder has something to do."""
    rows, columns = np.mgrid[0:height, 0:width]
    samples = np.stack([columns * 5, rows * 7, columns * rows], axis=2).astype(np.uint8)
    samples[:, width // 2 :] = np.random.default_rng(seed).integers(0, 256, (height, width - width // 2, 3), np.uint8)
    if mode == "I;16":
        return Image.fromarray(samples[..., 0].astype(np.uint16) * 17)
    return Image.fromarray(samples).convert(mode)


def _encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, form, **options)
    return written.getvalue()


def made() -> dict[str, bytes]:
    """Name -> file."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"

    def more() -> list[Image.Image]:  # anew: an image that was saved keeps its coder's settings
        return [picture(seed=seed) for seed in (2, 3)]

    files = {
        "jpeg": _encoded(picture(), "JPEG", exif=exif),
        "jpeg progressive": _encoded(picture(), "JPEG", progressive=True),
        "jpeg grey": _encoded(picture("L"), "JPEG"),
        "jpeg cmyk": _encoded(picture("CMYK"), "JPEG"),
        "jpeg mpo": _encoded(picture(), "MPO", save_all=True, append_images=more()),
        "png": _encoded(picture(), "PNG", exif=exif),
        "png 16": _encoded(picture("I;16"), "PNG"),
        "png palette": _encoded(picture("P"), "PNG", transparency=3),
        "png bits": _encoded(picture("1"), "PNG"),
        "png mask": _encoded(picture("RGBA"), "PNG"),
        "png animated": _encoded(picture(), "PNG", save_all=True, append_images=more()),
        "gif": _encoded(picture("P"), "GIF"),
        "gif animated": _encoded(picture(), "GIF", save_all=True, append_images=more()),
        "webp": _encoded(picture(), "WEBP", exif=exif),
        "webp lossless": _encoded(picture("RGBA"), "WEBP", lossless=True),
        "webp animated": _encoded(picture(), "WEBP", save_all=True, append_images=more()),
        "bmp": _encoded(picture(), "BMP"),
        "bmp palette": _encoded(picture("P"), "BMP"),
        "tiff pages": _encoded(picture(), "TIFF", save_all=True, append_images=more()),
        "tiff 16": _encoded(picture("I;16"), "TIFF"),
        "tiff float": _encoded(picture("F"), "TIFF"),
        "tiff fax": _encoded(picture("1"), "TIFF", compression="group4"),
    }
    for packing in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd"):
        files[f"tiff {packing}"] = _encoded(picture(), "TIFF", compression=packing)
    pixels = np.asarray(picture("RGB", 64, 64))
    files["heic"] = heic([pixels[:48]], quarter_turns=1)
    files["heic grid"] = heic([pixels], grid=Grid(2, 2, 120, 120), exif=b"II*\0\x08\0\0\0\0\0")
    files["heic several"] = heic([pixels[:32, :32], pixels[:36, :40]], primary=1)
    return files | _dicom()


def _dicom() -> dict[str, bytes]:
    files = {}
    for name, syntax in (
        ("explicit", ExplicitVRLittleEndian),
        ("implicit", ImplicitVRLittleEndian),
        ("big endian", ExplicitVRBigEndian),
        ("deflated", DeflatedExplicitVRLittleEndian),
    ):
        files[f"dicom {name}"] = _written(_grey(), syntax)
    for name, syntax in (("rle", RLELossless), ("jpeg 2000", JPEG2000Lossless)):
        dataset = _grey()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.set_original_encoding(False, True)
        dataset.compress(syntax, generate_instance_uid=False)
        files[f"dicom {name}"] = _written(dataset, syntax)
    coloured = _colour("YBR_FULL_422")
    coloured.NumberOfFrames = 2
    coloured.PixelData = encapsulate([_encoded(picture(seed=seed), "JPEG") for seed in (1, 2)])
    coloured["PixelData"].VR = "OB"
    files["dicom jpeg"] = _written(coloured, JPEGBaseline8Bit)
    palette = _grey(bits=8)
    palette.PhotometricInterpretation = "PALETTE COLOR"
    for colour in ("Red", "Green", "Blue"):
        setattr(palette, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 8])
        setattr(palette, f"{colour}PaletteColorLookupTableData", np.arange(256, dtype=np.uint16).tobytes())
    del palette.WindowCenter, palette.WindowWidth
    files["dicom palette"] = _written(palette, ExplicitVRLittleEndian)
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [256, 0, 8], list(range(256))
    table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
    tabled = _grey()
    tabled.VOILUTSequence = Sequence([table])
    files["dicom table"] = _written(tabled, ExplicitVRLittleEndian)
    rgb = _colour("RGB")
    rgb.PixelData = np.asarray(picture()).tobytes()
    files["dicom rgb"] = _written(rgb, ImplicitVRLittleEndian)
    return files


def _header(photometric: str, samples: int, bits: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3.4"
    dataset.PatientName, dataset.StudyDate = "Doe^Jane=X", "20240102"
    dataset.Rows, dataset.Columns = 36, 48
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = samples, photometric
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    return dataset


def _grey(bits: int = 16) -> FileDataset:
    dataset = _header("MONOCHROME1", 1, bits)
    dataset.WindowCenter, dataset.WindowWidth = [1000, 50], [900, 10]
    dataset.RescaleSlope, dataset.RescaleIntercept = 2, -5
    samples = np.asarray(picture("L")).astype(np.uint16 if bits == 16 else np.uint8)
    dataset.PixelData = samples.tobytes()
    dataset["PixelData"].VR = "OW" if bits == 16 else "OB"
    return dataset


def _colour(photometric: str) -> FileDataset:
    dataset = _header(photometric, 3, 8)
    dataset.PlanarConfiguration = 0
    return dataset


def _written(dataset: FileDataset, syntax: UID) -> bytes:
    dataset.file_meta.TransferSyntaxUID = syntax
    written = io.BytesIO()
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    if not little and dataset.BitsAllocated == 16:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        dataset["PixelData"].VR = "OW"
    dcmwrite(written, dataset, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    return written.getvalue()


def carried() -> dict[str, bytes]:
    """The small ones of the files that pydicom's packages carry."""
    paths = sorted({Path(str(name)) for name in get_testdata_files()})
    return {path.name: path.read_bytes() for path in paths if path.is_file() and path.stat().st_size <= SMALL}


def broken(files: dict[str, bytes], seed: int, breaker: Callable[..., bytes]) -> Iterator[tuple[str, bytes]]:
    """Without end: a name that says how to make it again, and a broken file."""
    names = sorted(files)
    number = 0
    while True:
        source = random.Random(f"{seed}:{number}")
        name, other = source.choice(names), source.choice(names)
        yield f"{seed}:{number} {name} with {other}", breaker(files[name], files[other], source)
        number += 1
