"""HEIC files for tests, written here: the packages that could write them bring an encoder under the GPL.

The pictures are coded as HEVC still pictures of raw blocks (I_PCM, ITU-T H.265 7.3.8.7): no prediction, no transform,
so all there is to code are two decisions a block. Colours are BT.601 full range at half resolution, 4:2:0.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BLOCK = 32
# What the less probable symbol gets of a range of 448 to 511, by state: the last column of H.265 table 9-52.
_LESS_PROBABLE = (
    240, 227, 216, 205, 195, 185, 175, 166, 158, 150, 142, 135, 128, 122, 116, 110, 104, 99, 94, 89, 85, 80, 76, 72,
    69, 65, 62, 59, 56, 53, 50, 48, 45, 43, 41, 39, 37, 35, 33, 31, 30, 28, 27, 25, 24, 23, 22, 21, 19, 18, 17, 16, 15,
    14, 14, 13, 12, 12, 11, 11, 10, 9,
)  # fmt: skip
_PROFILE = bytes([0x03]) + struct.pack(">I", 0x70000000) + b"\x90" + b"\0" * 5 + bytes([186])  # main still, level 6.2


@dataclass(frozen=True)
class Grid:
    """`rows` x `columns` times the same tile, shown as `width` x `height`."""

    rows: int
    columns: int
    width: int
    height: int


def heic(
    pictures: Sequence[npt.NDArray[np.uint8]],
    *,
    quarter_turns: int = 0,
    primary: int = 0,
    brand: bytes = b"heic",
    grid: Grid | None = None,
    claimed: tuple[int, int] | None = None,
    exif: bytes | None = None,
) -> bytes:
    """A file of these pictures (height x width x 3 bytes each; sides of any even length).

    `quarter_turns`: anticlockwise, told by an irot box. `grid`: the first picture becomes every tile of one large one.
    `claimed`: the size in the header, where it should lie. `exif`: an Exif item, beginning with its TIFF header.
    """
    coded = [_coded(picture) for picture in pictures]
    items: list[tuple[bytes, bytes | int]] = []  # type, and data or the number of the item whose data it shares
    properties: list[bytes] = []
    uses: list[list[int]] = []
    for picture, (config, slices) in zip(pictures, coded, strict=True):
        height, width = picture.shape[:2]
        items.append((b"hvc1", slices))
        needed = [_box(b"hvcC", config), _size(*(claimed or (width, height))), _COLOURS]
        if quarter_turns:
            needed.append(_box(b"irot", bytes([quarter_turns])))
        properties += [each for each in needed if each not in properties]
        # The decoder's configuration and the turn must be understood by a reader.
        must = (0x80, 0, 0, 0x80)
        uses.append([flag | properties.index(each) + 1 for flag, each in zip(must, needed, strict=False)])
    references = b""
    if grid is not None:
        tiles = grid.rows * grid.columns
        items += [(b"hvc1", 0)] * (tiles - 1)
        uses += [uses[0]] * (tiles - 1)
        numbers = struct.pack(">BBBBII", 0, 1, grid.rows - 1, grid.columns - 1, grid.width, grid.height)
        items.append((b"grid", numbers))
        properties.append(_size(grid.width, grid.height))
        uses.append([len(properties)])
        primary = len(items) - 1
        references += _box(
            b"dimg", struct.pack(f">HH{tiles}H", len(items), tiles, *(number + 1 for number in range(tiles)))
        )
    if exif is not None:
        items.append((b"Exif", b"\0\0\0\0" + exif))
        uses.append([])
        references += _box(b"cdsc", struct.pack(">HHH", len(items), 1, primary + 1))
    return _file(items, properties, uses, references, primary, brand, hidden=grid is not None)


def _file(
    items: list[tuple[bytes, bytes | int]],
    properties: list[bytes],
    uses: list[list[int]],
    references: bytes,
    primary: int,
    brand: bytes,
    *,
    hidden: bool,
) -> bytes:
    kind = _box(b"ftyp", brand + b"\0\0\0\0" + b"mif1heic")
    infos = b"".join(
        _box(b"infe", struct.pack(">IHH", 0x02000000 | (hidden and at != primary), at + 1, 0) + form + b"\0")
        for at, (form, _) in enumerate(items)
    )
    data = b"".join(payload for _, payload in items if isinstance(payload, bytes))
    wide = len(properties) > 127
    associations = struct.pack(">I", len(uses)) + b"".join(
        struct.pack(">HB", at + 1, len(used))
        + b"".join(struct.pack(">H", (use & 0x80) << 8 | use & 0x7F) if wide else bytes([use]) for use in used)
        for at, used in enumerate(uses)
    )

    def meta(data_at: int) -> bytes:
        places: list[tuple[int, int]] = []
        at = data_at
        for _, payload in items:
            if isinstance(payload, int):
                start, length = places[payload]
            else:
                start, length = at, len(payload)
                at += length
            places.append((start, length))
        located = b"".join(
            struct.pack(">HHHII", number + 1, 0, 1, start, length) for number, (start, length) in enumerate(places)
        )
        parts = [
            _box(b"hdlr", struct.pack(">II4s12xB", 0, 0, b"pict", 0)),
            _box(b"pitm", struct.pack(">IH", 0, primary + 1)),
            _box(b"iloc", struct.pack(">IBBH", 0, 0x44, 0, len(items)) + located),
            _box(b"iinf", struct.pack(">IH", 0, len(items)) + infos),
            _box(b"iref", b"\0\0\0\0" + references) if references else b"",
            _box(
                b"iprp",
                _box(b"ipco", b"".join(properties)) + _box(b"ipma", struct.pack(">I", int(wide)) + associations),
            ),
        ]
        return _box(b"meta", b"\0\0\0\0" + b"".join(parts))

    head = len(kind) + len(meta(0))
    return kind + meta(head + 8) + _box(b"mdat", data)


def _box(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + name + data


def _size(width: int, height: int) -> bytes:
    return _box(b"ispe", struct.pack(">III", 0, width, height))


_COLOURS = _box(b"colr", b"nclx" + struct.pack(">HHHB", 1, 13, 6, 0x80))


class _Bits:
    """A bit string under construction, with the codes of H.265 9.2."""

    def __init__(self) -> None:
        self._bits: list[str] = []

    def put(self, value: int, bits: int) -> "_Bits":
        self._bits.append(format(value, f"0{bits}b"))
        return self

    def golomb(self, *values: int) -> "_Bits":
        for value in values:
            self.put(value + 1, 2 * (value + 1).bit_length() - 1)
        return self

    def raw(self, data: bytes) -> "_Bits":
        return self.put(int.from_bytes(data, "big"), 8 * len(data))

    def ended(self) -> bytes:
        """With the stop bit, filled up to whole bytes."""
        text = "".join(self._bits) + "1"
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def _unit(kind: int, payload: bytes) -> bytes:
    """A NAL unit: no payload may look like a start code."""
    return bytes([kind << 1, 1]) + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", payload)


def _coded(picture: npt.NDArray[np.uint8]) -> tuple[bytes, bytes]:
    """hvcC payload, and the slice with its length in front."""
    height, width = picture.shape[:2]
    full_width, full_height = -(-width // BLOCK) * BLOCK, -(-height // BLOCK) * BLOCK
    video = _Bits().put(0, 4).put(3, 2).put(0, 9).put(1, 1).put(0xFFFF, 16).raw(_PROFILE).put(1, 1).golomb(0, 0, 0)
    video.put(0, 6).golomb(0).put(0, 2)
    sequence = _Bits().put(0, 7).put(1, 1).raw(_PROFILE).golomb(0, 1, full_width, full_height)
    sequence.put(1, 1).golomb(0, (full_width - width) // 2, 0, (full_height - height) // 2).golomb(0, 0, 0)
    sequence.put(1, 1).golomb(0, 0, 0).golomb(2, 0, 0, 3, 0, 0).put(0, 3)
    sequence.put(1, 1).put(7, 4).put(7, 4).golomb(2, 0).put(1, 1).golomb(0).put(0, 5)
    shot = _Bits().golomb(0, 0).put(0, 7).golomb(0, 0, 0).put(0, 3).golomb(0, 0).put(0, 7)
    shot.put(1, 1).put(0, 1).put(1, 1).put(0, 2).golomb(0).put(0, 2)
    units = [_unit(32, video.ended()), _unit(33, sequence.ended()), _unit(34, shot.ended())]
    config = b"\1" + _PROFILE + b"\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f" + bytes([len(units)])
    for kind, unit in zip((32, 33, 34), units, strict=True):
        config += struct.pack(">BHH", 0x80 | kind, 1, len(unit)) + unit
    header = _Bits().put(0b10, 2).golomb(0, 2, 0).ended()
    slices = _unit(20, header + _raw_blocks(picture, full_width, full_height))
    return config, struct.pack(">I", len(slices)) + slices


def _raw_blocks(picture: npt.NDArray[np.uint8], width: int, height: int) -> bytes:
    across, down = width - picture.shape[1], height - picture.shape[0]
    planes = [
        _tiles(plane, size)
        for plane, size in zip(
            _luma_and_chroma(np.pad(picture, ((0, down), (0, across), (0, 0)), mode="edge")),
            (BLOCK, BLOCK // 2, BLOCK // 2),
            strict=True,
        )
    ]
    samples = np.concatenate(planes, axis=1)
    parts: list[bytes] = []
    coder = _Arithmetic()
    for at, block in enumerate(samples):
        if at:
            coder.terminate(0)  # the slice goes on
        coder.likely(_LESS_PROBABLE[min(at, len(_LESS_PROBABLE) - 1)])  # not split; surer with every block
        parts += [coder.terminate(1), block.tobytes()]  # raw
    parts.append(coder.terminate(1))
    return b"".join(parts)


class _Arithmetic:
    """The arithmetic coder of H.265 9.3.5, as far as raw blocks need it."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._low, self._range, self._waiting, self._bits = 0, 510, 0, ""
        self._at_start = True

    def likely(self, less_probable: int) -> None:
        """The more probable symbol."""
        self._range -= less_probable
        self._shift()

    def terminate(self, end: int) -> bytes:
        """0: go on. 1: end here; gives the bits in whole bytes, and a new code begins."""
        self._range -= 2
        if not end:
            self._shift()
            return b""
        self._low += self._range
        self._range = 2
        self._shift()
        self._put(self._low >> 9 & 1)
        self._bits += format(self._low >> 7 & 3 | 1, "02b")
        whole = self._bits + "0" * (-len(self._bits) % 8)
        self._start()
        return int(whole, 2).to_bytes(len(whole) // 8, "big")

    def _shift(self) -> None:
        while self._range < 256:
            if self._low < 256:
                self._put(0)
            elif self._low >= 512:
                self._low -= 512
                self._put(1)
            else:
                self._low -= 256
                self._waiting += 1
            self._range <<= 1
            self._low <<= 1

    def _put(self, bit: int) -> None:
        if self._at_start:
            self._at_start = False  # the register is one bit wider than the code
        else:
            self._bits += str(bit)
        self._bits += str(1 - bit) * self._waiting
        self._waiting = 0


def _luma_and_chroma(picture: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    red, green, blue = (picture[..., channel].astype(np.float32) for channel in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = [128 + 0.564 * (blue - luma), 128 + 0.713 * (red - luma)]
    halves = [(each[::2, ::2] + each[1::2, ::2] + each[::2, 1::2] + each[1::2, 1::2]) / 4 for each in chroma]
    return [np.rint(each).clip(0, 255).astype(np.uint8) for each in (luma, *halves)]


def _tiles(plane: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """One row a block, in reading order."""
    down, across = plane.shape[0] // size, plane.shape[1] // size
    return plane.reshape(down, size, across, size).swapaxes(1, 2).reshape(down * across, size * size)
