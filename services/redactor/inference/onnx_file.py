"""Reads the notes that an ONNX file carries, without the package onnx (33 MB, and it is needed for nothing else here).

ONNX files are protocol buffers: a message ModelProto, in which field 14 (repeated) is a pair of key (1) and value (2).
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

_METADATA = 14
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5

_Buffer = bytes | mmap.mmap


def metadata(path: Path) -> dict[str, str]:
    """The notes in the file. Raises ValueError where it is no protocol buffer."""
    found = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for number, value in _fields(data):
            if number == _METADATA:
                pair = {part: text.decode() for part, text in _fields(value)}
                found[pair.get(1, "")] = pair.get(2, "")
    return found


def _fields(data: _Buffer) -> Iterator[tuple[int, bytes]]:
    """Number and content of each field that has a length; the others are passed over."""
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            _, at = _number(data, at)
        elif kind == _EIGHT_BYTES:
            at += 8
        elif kind == _FOUR_BYTES:
            at += 4
        elif kind == _LENGTH:
            size, at = _number(data, at)
            if at + size > len(data):
                raise ValueError("the file ends inside a field")
            # The graph, nearly all of the file, is passed over without being copied.
            if number in (1, 2, _METADATA) and size < 2**20:
                yield number, bytes(data[at : at + size])
            at += size
        else:
            raise ValueError(f"no protocol buffer: kind of field {kind}")


def _number(data: _Buffer, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where the next thing begins."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("no protocol buffer: a number does not end")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
