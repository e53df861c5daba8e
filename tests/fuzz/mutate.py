"""Ways in which a file can be broken, each by a seeded random source: the same number gives the same file."""

import random
import zlib

_INTERESTING = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_PNG = b"\x89PNG\r\n\x1a\n"


def mutated(whole: bytes, other: bytes, source: random.Random) -> bytes:
    """One to five breaks in `whole`; `other` is another file to take a part from."""
    data = bytearray(whole)
    for _ in range(source.choice((1, 1, 1, 2, 3, 5))):
        source.choice((_flip, _flip, _set, _number, _number, _cut, _splice, _repeat, _erase, _zero))(
            data, other, source
        )
        if not data:
            break
    if data[:8] == _PNG and source.random() < 0.7:
        return _with_right_sums(bytes(data))
    return bytes(data)


def _place(data: bytearray, source: random.Random) -> int:
    """Anywhere, more often in the first half kilobyte, where headers are."""
    return source.randrange(min(512, len(data)) if source.random() < 0.5 else len(data))


def _flip(data: bytearray, other: bytes, source: random.Random) -> None:
    for _ in range(source.choice((1, 2, 8))):
        data[_place(data, source)] ^= 1 << source.randrange(8)


def _set(data: bytearray, other: bytes, source: random.Random) -> None:
    data[_place(data, source)] = source.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, source.randrange(256)))


def _number(data: bytearray, other: bytes, source: random.Random) -> None:
    """A length, an offset or a count that lies."""
    width = source.choice((2, 2, 4, 4, 8))
    at = _place(data, source)
    value = source.choice((*_INTERESTING, len(data), len(data) - at, source.randrange(2**32))) % (1 << 8 * width)
    new = value.to_bytes(width, source.choice(("big", "little")))
    data[at : at + width] = new[: len(data) - at]


def _cut(data: bytearray, other: bytes, source: random.Random) -> None:
    del data[source.randrange(len(data)) :]


def _splice(data: bytearray, other: bytes, source: random.Random) -> None:
    if other:
        start = source.randrange(len(other))
        part = other[start : start + source.choice((4, 64, 1024, len(other)))]
        at = _place(data, source)
        data[at : at + (len(part) if source.random() < 0.5 else 0)] = part


def _repeat(data: bytearray, other: bytes, source: random.Random) -> None:
    start = _place(data, source)
    part = bytes(data[start : start + source.choice((1, 12, 100, 2000))])
    data[start:start] = part * source.choice((1, 2, 30))


def _erase(data: bytearray, other: bytes, source: random.Random) -> None:
    start = _place(data, source)
    del data[start : start + source.choice((1, 2, 4, 16, 300))]


def _zero(data: bytearray, other: bytes, source: random.Random) -> None:
    start = _place(data, source)
    length = min(source.choice((2, 4, 16, 100)), len(data) - start)
    data[start : start + length] = bytes([source.choice((0, 255))]) * length


def _with_right_sums(data: bytes) -> bytes:
    """A PNG whose check sums fit again: else a reader stops at the first chunk and the rest is never tried."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            break
        body = data[at + 4 : at + 8 + length]
        parts += [data[at : at + 4], body, zlib.crc32(body).to_bytes(4, "big")]
        at += 12 + length
    return b"".join((*parts, data[at:]))
