"""A photographed form: every pixel is kept, and nothing that the camera wrote beside them."""

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, ImageOps

from services.ingest.routes.sheets import sheet_of
from shared.web import Problem


def photograph(form: str, size: tuple[int, int] = (160, 90), mode: str = "RGB", **options: Any) -> bytes:
    """Something with edges, as a telephone would save it: with a place, a device, an owner and a way to hold it."""
    picture = Image.linear_gradient("L").resize(size).convert(mode)
    picture.paste(Image.effect_noise((40, 40), 90).convert(mode), (30, 20))
    exif = Image.Exif()
    exif[0x010F] = "Camera of Jane Doe"
    exif[0x0112] = 6
    exif.get_ifd(0x8825).update({1: "N", 2: (44.0, 50.0, 16.0), 3: "W", 4: (0.0, 34.0, 46.0)})
    out = io.BytesIO()
    picture.save(out, form, **{"exif": exif, "icc_profile": b"profile of Jane"} | options)
    return out.getvalue()


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as picture:
        return ImageOps.exif_transpose(picture).tobytes()


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


JPEGS = {
    "plain": photograph("JPEG", comment=b"Jane Doe"),
    "progressive": photograph("JPEG", progressive=True),
    "restarts": photograph("JPEG", restart_marker_blocks=1),
    "grey": photograph("JPEG", mode="L"),
    "inverted inks": photograph("JPEG", mode="CMYK"),
}


@pytest.mark.parametrize("data", JPEGS.values(), ids=JPEGS)
def test_of_a_jpeg_the_picture_alone_is_kept_and_stays_upright(data: bytes) -> None:
    kept = sheet_of(data + b"a film of Jane")
    assert (kept.media_type, kept.stripped) == ("image/jpeg", True)
    assert b"Jane" not in kept.data
    assert pixels(kept.data) == pixels(data)
    with Image.open(io.BytesIO(kept.data)) as picture:
        assert dict(picture.getexif()) == {0x0112: 6}
        assert "comment" not in picture.info
    assert sheet_of(kept.data).data == kept.data


def test_a_thumbnail_in_front_of_the_picture_goes() -> None:
    thumbnail = b"Jane as a thumbnail."[:18]
    jfif = b"JFIF\0\1\1\0\0\1\0\1\3\2" + thumbnail
    plain = photograph("JPEG")
    data = b"\xff\xd8\xff\xe0" + struct.pack(">H", len(jfif) + 2) + jfif + plain[2:]
    kept = sheet_of(data).data
    assert b"Jane" not in kept
    assert pixels(kept) == pixels(plain)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_of_a_png_the_picture_alone_is_kept_and_stays_upright(mode: str) -> None:
    plain = photograph("PNG", mode=mode)
    data = plain[:33] + png_chunk(b"tEXt", b"Author\0Jane Doe") + plain[33:] + b"Jane again"
    kept = sheet_of(data)
    assert (kept.media_type, kept.stripped) == ("image/png", True)
    assert b"Jane" not in kept.data
    assert pixels(kept.data) == pixels(plain)
    with Image.open(io.BytesIO(kept.data)) as picture:
        assert dict(picture.getexif()) == {0x0112: 6}


def test_a_picture_that_lies_as_it_was_taken_says_nothing_of_it() -> None:
    kept = sheet_of(photograph("JPEG", exif=Image.Exif())).data
    assert b"Exif" not in kept


def test_a_pdf_is_kept_as_it_is_and_says_so() -> None:
    kept = sheet_of(b"%PDF-1.7 /Author (Jane)")
    assert (kept.data, kept.media_type, kept.stripped) == (b"%PDF-1.7 /Author (Jane)", "application/pdf", False)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<html>"])
def test_another_file_is_refused(data: bytes) -> None:
    with pytest.raises(Problem) as refused:
        sheet_of(data)
    assert refused.value.slug == "sheet-type-unsupported"


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_file_that_ends_early_is_refused_wherever_it_ends(form: str) -> None:
    data = photograph(form, size=(80, 60))
    for end in range(8, len(data) - 1, max(1, len(data) // 400)):
        with pytest.raises(Problem) as refused:
            sheet_of(data[:end])
        assert refused.value.slug == "sheet-unreadable", end


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xe0\0\1\xff\xd9",
        b"\xff\xd8\xff\xda\0\2\xff\xd9",
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IEND", b""),
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IDAT", b"x") + png_chunk(b"IEND", b""),
    ],
)
def test_parts_without_a_picture_are_refused(data: bytes) -> None:
    with pytest.raises(Problem) as refused:
        sheet_of(data)
    assert refused.value.slug == "sheet-unreadable"


@pytest.mark.parametrize("tiff", [b"", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff" + b"\1\x12" * 99])
def test_nonsense_about_how_the_camera_was_held_counts_for_nothing(tiff: bytes) -> None:
    exif = b"Exif\0\0" + tiff
    plain = photograph("JPEG", exif=Image.Exif())
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]
    assert sheet_of(data).data == sheet_of(plain).data
