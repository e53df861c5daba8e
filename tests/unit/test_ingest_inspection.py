"""What an upload is, by its content: every supported type, and every bad input with its own refusal."""

import io
import logging
import struct
import time
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid

from services.ingest.routes.inspection import Limits, PictureFacts, inspect
from shared.web import Language, Problem
from tests.heic import Grid, heic

LIMITS = Limits(pixels=50_000_000, side_px=30_000, frames=50)


def encoded(form: str, size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size).save(out, form, **options)
    return out.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size, without pixels for it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def dicom(rows: int = 64, columns: int = 48, frames: int | None = None, syntax: str = ExplicitVRLittleEndian) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.PatientName = "Doe^Jane"
    data.PatientBirthDate = "19999999"  # no such date: pydicom would quote it in a warning
    data.Rows, data.Columns, data.SamplesPerPixel, data.BitsAllocated = rows, columns, 1, 8
    data.PhotometricInterpretation = "MONOCHROME2"
    if frames is not None:
        data.NumberOfFrames = frames
    data.PixelData = b"\0" * 64
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def photo(**options: Any) -> bytes:
    """A HEIC picture of 40 x 30."""
    return heic([np.zeros((30, 40, 3), np.uint8)], **options)


def refusal(data: bytes, limits: Limits = LIMITS) -> tuple[str, int]:
    with pytest.raises(Problem) as refused:
        inspect(data, limits)
    return refused.value.slug, refused.value.status


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (encoded("JPEG"), "image/jpeg"),
        (encoded("PNG"), "image/png"),
        (encoded("PNG", mode="I;16"), "image/png"),
        (encoded("GIF"), "image/gif"),
        (encoded("BMP"), "image/bmp"),
        (encoded("TIFF"), "image/tiff"),
        (encoded("TIFF", big_tiff=False, compression="tiff_deflate"), "image/tiff"),
        (encoded("WEBP"), "image/webp"),
        (encoded("MPO"), "image/jpeg"),
        (photo(), "image/heic"),
        (photo(brand=b"mif1"), "image/heic"),
        (photo(quarter_turns=1, exif=b"II*\0"), "image/heic"),
    ],
)
def test_each_supported_type_is_told_by_its_content(data: bytes, media_type: str) -> None:
    assert inspect(data, LIMITS) == PictureFacts(media_type, 40, 30)


def test_a_dicom_file_tells_size_and_frames() -> None:
    assert inspect(dicom(), LIMITS) == PictureFacts("application/dicom", 48, 64)
    assert inspect(dicom(frames=7), LIMITS).frames == 7


def test_a_dicom_file_is_told_without_preamble_and_through_deflation_too() -> None:
    assert inspect(dicom()[132:], LIMITS) == PictureFacts("application/dicom", 48, 64)
    assert inspect(dicom(syntax=DeflatedExplicitVRLittleEndian), LIMITS) == PictureFacts("application/dicom", 48, 64)


def test_of_a_heic_file_the_photo_counts_and_not_its_tiles() -> None:
    tiled = photo(grid=Grid(3, 4, 160, 90))
    assert inspect(tiled, LIMITS) == PictureFacts("image/heic", 160, 90)


def test_a_refusal_of_the_type_names_the_accepted_ones() -> None:
    with pytest.raises(Problem) as refused:
        inspect(b"a letter", LIMITS)
    languages: tuple[Language, ...] = ("en", "fr")
    for language in languages:
        assert "JPEG, PNG, HEIC, WebP, TIFF, BMP, GIF, DICOM" in refused.value.document(language)["detail"]


def test_an_animated_picture_tells_its_frames() -> None:
    frames = [Image.new("RGB", (8, 8), (100 * i, 0, 0)) for i in range(3)]
    for form in ("PNG", "WEBP"):
        out = io.BytesIO()
        frames[0].save(out, form, save_all=True, append_images=frames[1:])
        assert inspect(out.getvalue(), LIMITS).frames == 3
        assert refusal(out.getvalue(), Limits(10**6, 10**4, 2)) == ("picture-too-many-frames", 413)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ("picture-empty", 422)),
        (b"This is a letter, and its name ends in .jpg", ("picture-type-unsupported", 415)),
        (b"%PDF-1.7\n", ("picture-type-unsupported", 415)),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", ("picture-type-unsupported", 415)),
        (b"RIFF\0\0\0\0WAVEfmt ", ("picture-type-unsupported", 415)),
        (b"\0\0\0\x20ftypavif" + b"\0" * 40, ("picture-type-unsupported", 415)),
        (b"\0\0\0\x20ftypqt  " + b"\0" * 40, ("picture-type-unsupported", 415)),
        (b"\0\0\0\x20ftypheic", ("picture-unreadable", 422)),
        (photo()[:100], ("picture-unreadable", 422)),
        (photo().replace(b"ispe", b"ixpe"), ("picture-unreadable", 422)),
        (photo(claimed=(20_000, 20_000)), ("picture-too-many-pixels", 413)),
        (photo(grid=Grid(20, 20, 40_000, 10)), ("picture-too-many-pixels", 413)),
        (b"\x08\0\x05\0 and then a text", ("picture-unreadable", 422)),
        (encoded("JPEG")[:30], ("picture-unreadable", 422)),
        (encoded("PNG")[:20], ("picture-unreadable", 422)),
        (b"\xff\xd8\xff\xe0 and then a text", ("picture-unreadable", 422)),
        (b"II*\0\xff\xff\xff\xff", ("picture-unreadable", 422)),
        (b"BM" + b"\xff" * 60, ("picture-unreadable", 422)),
        (b"\0" * 128 + b"DICM", ("picture-unreadable", 422)),
        (dicom()[:200], ("picture-unreadable", 422)),
        (png_header(0, 10), ("picture-unreadable", 422)),
        (png_header(13_300, 13_300), ("picture-too-many-pixels", 413)),
        (png_header(60_000, 60_000), ("picture-too-many-pixels", 413)),
        (png_header(7_100, 7_100), ("picture-too-many-pixels", 413)),
        (png_header(30_001, 1), ("picture-too-many-pixels", 413)),
        (dicom(rows=20_000, columns=20_000), ("picture-too-many-pixels", 413)),
        (dicom(frames=51), ("picture-too-many-frames", 413)),
    ],
)
def test_each_bad_input_gets_its_own_refusal(data: bytes, expected: tuple[str, int]) -> None:
    assert refusal(data) == expected


def test_a_dicom_file_without_a_picture_is_refused() -> None:
    data = pydicom.dcmread(io.BytesIO(dicom()))
    del data.Rows
    out = io.BytesIO()
    data.save_as(out)
    assert refusal(out.getvalue()) == ("picture-unreadable", 422)


def test_a_decompression_bomb_costs_no_memory_and_no_time() -> None:
    bomb = encoded("PNG", (13_300, 13_300), mode="1")
    tracemalloc.start()
    started = time.perf_counter()
    try:
        assert refusal(bomb) == ("picture-too-many-pixels", 413)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000
    assert time.perf_counter() - started < 2


def test_a_deflated_dicom_bomb_is_not_inflated() -> None:
    plain = dicom(syntax=DeflatedExplicitVRLittleEndian)
    end_of_meta = 144 + struct.unpack("<I", plain[140:144])[0]
    raw_deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = plain[:end_of_meta] + raw_deflate.compress(b"\0" * 50_000_000) + raw_deflate.flush()
    assert len(bomb) < 100_000
    tracemalloc.start()
    try:
        assert refusal(bomb)[1] == 422
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_nothing_of_a_dicom_header_reaches_the_log(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    with caplog.at_level(logging.DEBUG):
        inspect(dicom(), LIMITS)
        inspect(dicom().replace(b"Doe^Jane", b"Doe^\xff\xfe\xfd!"), LIMITS)
    assert not caplog.records
    assert not recwarn.list


STARTS = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"II*\0",
    b"BM",
    b"\0" * 128 + b"DICM",
    photo()[:60],
    b"\x08\0\x05\0",
]


@given(st.binary(max_size=300), st.sampled_from(STARTS))
def test_no_bytes_make_it_fail_in_another_way(noise: bytes, start: bytes) -> None:
    assert _status(start + noise) in (200, 413, 415, 422)


@given(st.sampled_from([dicom(), encoded("JPEG"), encoded("TIFF"), photo()]), st.integers(0, 4000), st.integers(0, 255))
def test_a_damaged_header_is_read_or_refused(whole: bytes, position: int, value: int) -> None:
    damaged = bytearray(whole)
    damaged[position % len(damaged)] = value
    assert _status(bytes(damaged)) in (200, 413, 415, 422)


def _status(data: bytes) -> int:
    try:
        inspect(data, LIMITS)
    except Problem as problem:
        return problem.status
    return 200
