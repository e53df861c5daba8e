"""Signatures as pictures: checked, and written anew so that nothing but the strokes is kept.

A signature comes from anybody who has a link, so the file's header decides before any pixel exists in memory, and
only the decoders of PNG and JPEG may look at it. What is kept is grey strokes on white: no place, no device, no name of
a file.
"""

import io

from PIL import Image, ImageOps

from services.ingest.routes.consent_problems import SIGNATURE_EMPTY, SIGNATURE_UNREADABLE

_MAX_PIXELS = 24_000_000
_KEPT_SIDE_PX = 1_200
_INK = 128
"""Darker than this is a stroke."""
_LEAST_INK_PX = 60
_LEAST_SPAN_PX = 12


def strokes(data: bytes) -> bytes:
    """The signature as a small grey PNG. Raises the problems `signature-unreadable` and `signature-empty`.

    May take half a second for a photograph: not for the event loop.
    """
    try:
        # Opening reads the header only. Pillow warns of large pictures (an error where the process makes warnings
        # errors) and refuses huge ones; what it lets pass is measured here, before any pixel is decoded.
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                raise SIGNATURE_UNREADABLE()
            picture.draft("L", (_KEPT_SIDE_PX, _KEPT_SIDE_PX))
            upright = ImageOps.exif_transpose(picture)
            drawn = _on_white(upright)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise SIGNATURE_UNREADABLE() from error
    drawn.thumbnail((_KEPT_SIDE_PX, _KEPT_SIDE_PX))
    ink = drawn.point(lambda value: 255 if value < _INK else 0)
    box = ink.getbbox()
    if box is None or ink.histogram()[255] < _LEAST_INK_PX or max(box[2] - box[0], box[3] - box[1]) < _LEAST_SPAN_PX:
        raise SIGNATURE_EMPTY()
    out = io.BytesIO()
    drawn.save(out, "PNG", optimize=True)
    return out.getvalue()


def _on_white(picture: Image.Image) -> Image.Image:
    """Grey, with what is transparent white: a canvas starts transparent."""
    if picture.mode == "P" or "A" in picture.getbands():
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return picture.convert("L")
