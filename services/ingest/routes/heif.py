"""The size of a HEIC or HEIF picture out of the boxes in front of its pixels (ISO/IEC 23008-12), in Python.

libheif would tell it too, but ingest only needs two numbers, and a native parser is attack surface.
"""

from collections.abc import Iterator

MEDIA_TYPE = "image/heic"
_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_BOXES = 4_000  # more on one level is no header of a photo


def is_heif(data: bytes) -> bool:
    """A file type box of a HEIC or HEIF brand; AVIF, MP4 and QuickTime begin alike with others."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS


def size(data: bytes) -> tuple[int, int]:
    """Width and height of the largest picture that the file declares: the photo itself, not its tiles or thumbnail.

    Raises ValueError where none is declared, or the boxes do not fit into one another.
    """
    found = [
        (int.from_bytes(data[start + 4 : start + 8], "big"), int.from_bytes(data[start + 8 : start + 12], "big"))
        for meta, meta_end in _inside(data, 0, len(data), b"meta")
        for properties, properties_end in _inside(data, meta + 4, meta_end, b"iprp")
        for container, container_end in _inside(data, properties, properties_end, b"ipco")
        for start, end in _inside(data, container, container_end, b"ispe")
        if end - start >= 12
    ]
    if not found:
        raise ValueError("no picture is declared")
    return max(found, key=lambda each: each[0] * each[1])


def _inside(data: bytes, start: int, end: int, name: bytes) -> Iterator[tuple[int, int]]:
    """Where the payloads of the boxes of this name begin and end, between two positions."""
    for _ in range(_BOXES):
        if start + 8 > end:
            return
        length, head = int.from_bytes(data[start : start + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        elif length == 0:  # to the end of what is around it
            length = end - start
        if length < head or start + length > end:
            raise ValueError("a box larger than what is around it")
        if data[start + 4 : start + 8] == name:
            yield start + head, start + length
        start += length
    raise ValueError("too many boxes")
