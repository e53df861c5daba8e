"""A signature as a picture: strokes are kept, and nothing else that a file may carry."""

import io
import struct
import warnings
import zlib
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageOps

from services.ingest.routes.drawing import strokes
from shared.web import Problem


def drawn(size: tuple[int, int] = (600, 200), mode: str = "RGBA", ground: object = 0) -> Image.Image:
    picture = Image.new(mode, size, ground)  # type: ignore[arg-type]
    scale = size[0] / 600
    line = [(x * scale, y * scale) for x, y in ((40, 150), (160, 40), (260, 160), (420, 60), (560, 120))]
    ImageDraw.Draw(picture).line(line, fill=(0, 0, 0, 255)[: len(picture.getbands())], width=round(5 * scale))
    return picture


def file(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def slug(data: bytes) -> str:
    with pytest.raises(Problem) as refused:
        strokes(data)
    return refused.value.slug


def test_strokes_on_a_transparent_canvas_become_black_on_white() -> None:
    kept = Image.open(io.BytesIO(strokes(file(drawn()))))
    assert (kept.format, kept.mode, kept.size) == ("PNG", "L", (600, 200))
    assert (kept.getpixel((0, 0)), kept.getpixel((160, 42))) == (255, 0)


def test_a_large_photograph_is_made_small_and_keeps_neither_place_nor_device() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera of Jane Doe"
    exif[0x0112] = 6  # held upright: width and height change places
    kept = strokes(file(drawn((3000, 1000), "RGB", "white"), "JPEG", exif=exif, comment=b"Jane Doe"))
    assert b"Jane" not in kept
    shown = Image.open(io.BytesIO(kept))
    assert max(shown.size) <= 1200
    assert shown.height > shown.width
    assert not shown.info


def test_words_hidden_in_a_png_are_not_kept() -> None:
    plain = file(drawn())
    words = b"Comment\0Jane Doe"
    chunk = struct.pack(">I", len(words)) + b"tEXt" + words + struct.pack(">I", zlib.crc32(b"tEXt" + words))
    hidden = plain[:33] + chunk + plain[33:]
    assert b"Jane" in hidden
    assert strokes(hidden) == strokes(plain)


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("RGBA", (600, 200)),
        Image.new("RGB", (600, 200), "white"),
        Image.new("P", (600, 200)).convert("L").point(lambda _: 255),
    ],
)
def test_an_empty_box_is_no_signature(picture: Image.Image) -> None:
    assert slug(file(picture)) == "signature-empty"


def test_a_dot_is_no_signature() -> None:
    picture = Image.new("RGBA", (600, 200))
    ImageDraw.Draw(picture).ellipse((100, 100, 108, 108), "black")
    assert slug(file(picture)) == "signature-empty"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"%PDF-1.7",
        file(drawn(mode="RGB", ground="white"), "GIF"),
        file(drawn(mode="RGB", ground="white"), "TIFF"),
        file(drawn())[:-200],
    ],
)
def test_what_is_no_whole_png_or_jpeg_is_refused(data: bytes) -> None:
    assert slug(data) == "signature-unreadable"


def test_a_file_that_unfolds_to_a_billion_pixels_is_refused_by_its_header() -> None:
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 100)
    data = b"\x89PNG\r\n\x1a\n"
    for name, content in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b"")):
        data += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    assert slug(data) == "signature-unreadable"


@pytest.mark.parametrize("action", ["ignore", "error"])
def test_a_picture_that_pillow_only_warns_of_is_refused_whatever_becomes_of_warnings(action: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        assert slug(file(Image.new("1", (10_000, 10_000)))) == "signature-unreadable"


def test_the_filters_of_warnings_which_all_threads_share_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(warnings.filters)
    during: list[object] = []
    upright = ImageOps.exif_transpose

    def looked_at(picture: Image.Image) -> Image.Image:
        during.extend(warnings.filters)
        return upright(picture)

    monkeypatch.setattr(ImageOps, "exif_transpose", looked_at)
    strokes(file(drawn()))
    assert during == before
