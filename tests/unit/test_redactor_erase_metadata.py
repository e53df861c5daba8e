"""Nothing but pixels leaves, whatever a file carried beside them: read by a walk of our own and by independent readers.

The planted words stand everywhere a picture may hold some: EXIF, its place and thumbnail, XMP, IPTC, a colour profile's
description, comments, text chunks, a DICOM header, and what somebody appended to the file.
"""

import io
import json
import shutil
import struct
import subprocess
import zlib
from functools import cache
from pathlib import Path

import exifread
import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from services.redactor.pixels.paint import Encoded
from services.redactor.pixels.redact import Redactor
from services.redactor.weights import DEFAULT_DIRECTORY, missing

pytestmark = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)

NAME = "Zbigniew Quaglino"
PLANTED = (b"Zbigniew", b"ZBIGNIEW", b"Quaglino", "Quaglino".encode("utf-16-le"), "Quaglino".encode("utf-16-be"))
WORDS = (b"Exif", b"GPS", b"http://ns.adobe.com", b"xpacket", b"Photoshop", b"8BIM", b"ICC_PROFILE", b"DICM", b"JFXX")

BEFORE_SCAN = {0xE0, 0xDB, 0xC0, 0xC4, 0xDD, 0xDA}
"""JFIF, tables, baseline frame, Huffman tables, restart interval, scan."""


def picture(seed: int = 1, width: int = 176, height: int = 128) -> Image.Image:
    """Soft shades: no letters, no faces."""
    rows, columns = np.mgrid[0:height, 0:width]
    shades = [128 + 80 * np.sin(columns / (30 + seed) + rows / 40 + phase) for phase in (0, 1, 2)]
    return Image.fromarray(np.stack(shades, axis=2).astype(np.uint8))


def exif() -> Image.Exif:
    tags = Image.Exif()
    tags[0x010E] = tags[0x013B] = tags[0x8298] = NAME
    tags[0x9C9B] = NAME.encode("utf-16-le")  # the title as Windows writes it
    tags[0x8825] = {1: "N", 2: (46.0, 31.0, 12.0), 3: "E", 4: (6.0, 37.0, 58.0), 29: NAME}
    tags[0x8769] = {0x9286: b"ASCII\0\0\0" + NAME.encode(), 0xA430: NAME}
    return tags


def exif_with_thumbnail() -> bytes:
    """TIFF structure of two directories: the second holds a small picture, as cameras write it."""
    small = io.BytesIO()
    picture().resize((32, 24)).save(small, "JPEG", comment=NAME.encode())
    name = NAME.encode() + b"\0"
    first_at, name_at = 8, 8 + 2 + 12 + 4
    second_at = name_at + len(name) + len(name) % 2
    thumbnail_at = second_at + 2 + 2 * 12 + 4
    first = struct.pack("<HHHII", 1, 0x013B, 2, len(name), name_at) + struct.pack("<I", second_at)
    second = struct.pack("<HHHIIHHIII", 2, 0x0201, 4, 1, thumbnail_at, 0x0202, 4, 1, len(small.getvalue()), 0)
    body = b"II*\0" + struct.pack("<I", first_at) + first + name.ljust(second_at - name_at, b"\0") + second
    return b"Exif\0\0" + body + small.getvalue()


def profile() -> bytes:
    """A colour profile that names its owner."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made + NAME.encode()


XMP = (
    f'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><dc:creator>{NAME}'
    "</dc:creator></x:xmpmeta><?xpacket end='w'?>"
).encode()
IPTC = (
    b"Photoshop 3.0\0"
    + b"8BIM\x04\x04\0\0"
    + struct.pack(">I", 5 + len(NAME))
    + b"\x1c\x02\x50"
    + (struct.pack(">H", len(NAME)) + NAME.encode())
)


def jpeg() -> bytes:
    written = io.BytesIO()
    picture().save(written, "JPEG", quality=90, exif=exif(), icc_profile=profile(), comment=NAME.encode())
    parts = ((0xE1, exif_with_thumbnail()), (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP), (0xED, IPTC))
    extra = b"".join(bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data for marker, data in parts)
    data = written.getvalue()
    return data[:2] + extra + data[2:] + NAME.encode() + jpeg_alone()


def jpeg_alone() -> bytes:
    """A second picture behind the first, as cameras append previews."""
    written = io.BytesIO()
    picture(9).save(written, "JPEG", comment=NAME.encode())
    return written.getvalue()


def png() -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", NAME)
    texts.add_text("Comment", NAME, zip=True)
    texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
    written = io.BytesIO()
    picture().save(written, "PNG", pnginfo=texts, exif=exif(), icc_profile=profile())
    return written.getvalue() + NAME.encode()


def webp() -> bytes:
    written = io.BytesIO()
    picture().save(written, "WEBP", lossless=True, exif=exif(), xmp=XMP, icc_profile=profile())
    return written.getvalue()


def tiff() -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = tags[315] = tags[33432] = NAME
    tags[700], tags[33723] = XMP, IPTC
    written = io.BytesIO()
    picture().save(written, "TIFF", tiffinfo=tags, icc_profile=profile())
    return written.getvalue()


def gif() -> bytes:
    written = io.BytesIO()
    picture().quantize(64).save(written, "GIF", comment=NAME.encode())
    return written.getvalue()


def bmp() -> bytes:
    written = io.BytesIO()
    picture().save(written, "BMP")
    return written.getvalue() + NAME.encode()


def dicom() -> bytes:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid(entropy_srcs=["erase"])
    dataset.PatientName, dataset.PatientComments, dataset.InstitutionName = "QUAGLINO^ZBIGNIEW", NAME, NAME
    dataset.private_block(0x0009, NAME, create=True).add_new(1, "LO", NAME)
    item = Dataset()
    item.RequestedProcedureDescription = NAME
    dataset.RequestAttributesSequence = [item]
    pixels = np.asarray(picture())
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.PixelRepresentation = 3, 0, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PhotometricInterpretation = "RGB"
    dataset.PixelData = pixels.tobytes()
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


MAKERS = {"jpeg": jpeg, "png": png, "webp": webp, "tiff": tiff, "gif": gif, "bmp": bmp, "dicom": dicom}


@cache
def outputs(form: str) -> tuple[Encoded, ...]:
    done = _redactor().redact(MAKERS[form]())
    return done.frames[0].renditions


@cache
def _redactor() -> Redactor:
    return Redactor(DEFAULT_DIRECTORY)


@pytest.mark.parametrize("form", MAKERS)
def test_what_was_planted_is_in_the_file_and_not_in_any_size_of_the_output(form: str) -> None:
    data = MAKERS[form]()
    assert any(word in data for word in PLANTED), "the file does not hold what it should"
    for size in outputs(form):
        assert not [word for word in (*PLANTED, *WORDS) if word in size.data], size.size


@pytest.mark.parametrize("form", MAKERS)
def test_each_byte_of_the_output_belongs_to_pixels(form: str) -> None:
    for size in outputs(form):
        walk(size.data)


@pytest.mark.parametrize("form", MAKERS)
def test_an_independent_reader_finds_no_tag(form: str) -> None:
    if form in ("jpeg", "png", "tiff"):
        assert exifread.process_file(io.BytesIO(MAKERS[form]()), details=True), "the reader reads nothing of ours"
    for size in outputs(form):
        assert exifread.process_file(io.BytesIO(size.data), details=True) == {}


@pytest.mark.full
@pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool is not installed (Debian: libimage-exiftool-perl)"
)
@pytest.mark.parametrize("form", MAKERS)
def test_exiftool_finds_the_shape_of_the_picture_and_nothing_else(form: str, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.write_bytes(MAKERS[form]())
    if form not in ("gif", "bmp"):  # the comment of one is shown otherwise, and what trails the other is not read
        assert "Quaglino" in subprocess.check_output(["exiftool", "-a", "-u", "-U", "-ee", str(given)], text=True)
    for size in outputs(form):
        path = tmp_path / f"{size.size}.jpg"
        path.write_bytes(size.data)
        told = json.loads(subprocess.check_output(["exiftool", "-j", "-G", "-a", "-u", "-U", "-ee", str(path)]))[0]
        groups = {tag.partition(":")[0] for tag in told if ":" in tag}
        assert groups <= {"ExifTool", "File", "JFIF", "Composite"}, told


def walk(data: bytes) -> None:
    """Read a JPEG to its last byte: only segments that pixels need, no thumbnail in JFIF, nothing behind the end."""
    assert data[:2] == b"\xff\xd8"
    place, scans = 2, 0
    while True:
        assert data[place] == 0xFF, f"no marker at {place}"
        marker = data[place + 1]
        if marker == 0xD9:
            break
        assert marker in BEFORE_SCAN, f"segment {marker:#x}"
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        content = data[place + 4 : place + 2 + length]
        if marker == 0xE0:
            assert content[:5] == b"JFIF\0"
            assert len(content) == 14
            assert content[12:] == b"\0\0", "a thumbnail"
        place += 2 + length
        if marker == 0xDA:
            scans += 1
            place = end_of_scan(data, place)
    assert scans >= 1
    assert place + 2 == len(data), "something stands behind the picture's end"


def end_of_scan(data: bytes, place: int) -> int:
    """The next marker that is neither a stuffed byte nor a restart."""
    while True:
        place = data.index(b"\xff", place)
        if data[place + 1] != 0 and not 0xD0 <= data[place + 1] <= 0xD7:
            return place
        place += 2


def test_the_walk_sees_what_it_should() -> None:
    """Each thing that must not leave is noticed, were it there."""
    written = io.BytesIO()
    picture().save(written, "JPEG", quality=80)
    clean = written.getvalue()
    walk(clean)
    comment = b"\xff\xfe" + struct.pack(">H", 2 + len(NAME)) + NAME.encode()
    between = clean[:-2] + comment + clean[-2:]  # behind the scan, where a walk up to the scan does not come
    for odd in (jpeg(), clean + b"\0", clean[:2] + comment + clean[2:], between, zlib.compress(clean)):
        with pytest.raises(AssertionError):
            walk(odd)
