"""Pictures that a test needs as bytes: odd, broken and hostile ones, made here so that none has to be stored."""

import io
import zlib

import numpy as np
from PIL import Image


def text_named_jpg() -> bytes:
    """What arrives when somebody renames a letter to .jpg."""
    return b"Dear colleague, please find attached the radiograph of our patient.\n" * 20


def plain_jpeg(width: int = 320, height: int = 240) -> bytes:
    """A whole, harmless photo-like JPEG."""
    return _encoded(_waves(width, height), "JPEG", quality=90)


def truncated_jpeg() -> bytes:
    """A JPEG whose second half never arrived."""
    whole = plain_jpeg()
    return whole[: len(whole) // 2]


def bomb_png(side: int = 13_300) -> bytes:
    """About 500 KB that unpack to `side` x `side` RGB pixels: 531 MB at 13,300."""
    packer = zlib.compressobj(9)
    line = b"\0" + b"\0" * (side * 3)
    packed = b"".join(packer.compress(line) for _ in range(side)) + packer.flush()
    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(name, data) for name, data in ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    )


def animated_gif(frames: int = 5) -> bytes:
    """Each frame another grey, so that a test can tell which one was taken: the first is the darkest."""
    return _animated("GIF", frames)


def animated_webp(frames: int = 5) -> bytes:
    """The same as WebP."""
    return _animated("WEBP", frames, lossless=True)


def sixteen_bit_png(width: int = 320, height: int = 240) -> bytes:
    """Grey ramp of 12 used bits in 16, as scanners write it: shown unscaled it would be nearly black."""
    ramp = np.linspace(0, 4095, width, dtype=np.uint16)
    return _encoded(Image.fromarray(np.repeat(ramp[np.newaxis], height, axis=0)), "PNG")


def palette_png() -> bytes:
    """A picture of 256 colours with one of them transparent."""
    image = _waves(320, 240).quantize(64)
    return _encoded(image, "PNG", transparency=3)


def cmyk_jpeg() -> bytes:
    """Four inks, as print houses send it."""
    return _encoded(_waves(320, 240).convert("CMYK"), "JPEG", quality=90)


def oriented_jpeg(orientation: int) -> bytes:
    """160 x 80, left half black and right half white before the EXIF orientation is applied."""
    samples = np.zeros((80, 160, 3), np.uint8)
    samples[:, 80:] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _encoded(Image.fromarray(samples), "JPEG", quality=95, exif=exif)


def _waves(width: int, height: int) -> Image.Image:
    rows, columns = np.mgrid[0:height, 0:width]
    channels = [127 + 90 * np.sin(columns / period + rows / (period * 1.7)) for period in (19, 31, 47)]
    return Image.fromarray(np.stack(channels, axis=2).astype(np.uint8))


def _animated(form: str, frames: int, **options: object) -> bytes:
    shots = [Image.new("RGB", (120, 90), (30 + 40 * index,) * 3) for index in range(frames)]
    return _encoded(shots[0], form, save_all=True, append_images=shots[1:], duration=100, **options)


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    written = io.BytesIO()
    image.save(written, form, **options)
    return written.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
