"""Pictures with faces, lettering and codes together, each in a known place: `scenes(count, seed)`.

Faces are the two portraits of tests/samples/pictures (public domain), laid in as a badge or a screen shows them, at any
right angle and up to 15 degrees beside it; lettering and codes are drawn. Synthetic: figures from these scenes say that
a change has broken something, not how well faces of other people are found.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import zxingcpp
from PIL import Image, ImageOps

from shared.events import Box, RegionKind
from tests.scenes import codes, grounds, lettering

Pixels = npt.NDArray[np.uint8]
Random = np.random.Generator

PHOTO = Path(__file__).parents[1] / "samples" / "pictures" / "photo.jpg"
PORTRAITS: tuple[tuple[Box, Box], ...] = (
    ((130, 0, 270, 330), (212, 75, 105, 132)),
    ((680, 20, 370, 400), (765, 130, 185, 205)),
)
"""For each portrait of the upright photo: the part that is cut out, and the face in it (x, y, width, height)."""

FACE_HEIGHTS = (32, 48, 80, 140, 240)
LETTER_HEIGHTS = (16, 22, 32, 44)
CODE_SIDES = (110, 160, 240)
SYMBOLOGIES = ("QRCode", "DataMatrix", "Aztec", "Code128")
FILMS = ("radiograph", "ultrasound", "paper")
ROOMS = ("skin", "cloth", "wood")
PLACES_TRIED = 40


@dataclass(frozen=True)
class Planted:
    """Something that must go. `box`: upright round it, in pixels; `size`: height of the face or letters, side of the
    code, before it was turned by `turn` degrees."""

    kind: RegionKind
    box: Box
    size: int
    turn: int


@dataclass(frozen=True)
class Scene:
    """A picture (height x width x 3, RGB) and everything in it that could identify someone."""

    name: str
    pixels: Pixels
    planted: tuple[Planted, ...]


def scenes(count: int, seed: int) -> Iterator[Scene]:
    """`count` scenes of 480 to 1,200 pixels; the same seed gives the same pixels."""
    for index in range(count):
        yield scene(seed, index)


def scene(seed: int, index: int) -> Scene:
    """One of them, without those before it."""
    random = np.random.default_rng((seed, index))
    kind = (*FILMS, *ROOMS)[index % (len(FILMS) + len(ROOMS))]
    sheet = _Sheet(_ground(kind, random), random)
    for _ in range(int(random.integers(0, 3))):
        sheet.add(RegionKind.FACE)
    for _ in range(int(random.integers(1, 4))):
        sheet.add(RegionKind.TEXT)
    if random.random() < 0.6:
        sheet.add(RegionKind.CODE)
    return Scene(f"{kind}-{seed}-{index}", sheet.pixels, tuple(sheet.planted))


class _Sheet:
    """A ground on which things are laid, none over another."""

    def __init__(self, pixels: Pixels, random: Random) -> None:
        self.pixels = pixels
        self.planted: list[Planted] = []
        self._random = random
        self._taken: npt.NDArray[np.bool_] = np.zeros(pixels.shape[:2], bool)

    def add(self, kind: RegionKind) -> None:
        """Lay down one thing of that kind where there is room for it; where there is none, nothing."""
        make = {RegionKind.FACE: _portrait, RegionKind.TEXT: _words, RegionKind.CODE: _code}[kind]
        piece, inner, size = make(self._random)
        turn = int(self._random.choice((0, 90, 180, 270)))
        tilt = int(self._random.integers(-15, 16)) if self._random.random() < 0.5 else 0
        turned, shape, corners = _turned(piece, inner, turn + tilt)
        place = self._place(shape.shape)
        if place is None:
            return
        x, y = place
        height, width = shape.shape
        spot = self.pixels[y : y + height, x : x + width]
        spot[:] = np.clip(spot * (1 - shape[..., np.newaxis]) + turned * shape[..., np.newaxis], 0, 255)
        self._taken[y : y + height, x : x + width] = True
        left, top = np.floor(corners.min(axis=0)).astype(int)
        right, bottom = np.ceil(corners.max(axis=0)).astype(int)
        box = x + int(left), y + int(top), int(right - left), int(bottom - top)
        self.planted.append(Planted(kind, box, size, turn + tilt))

    def _place(self, shape: tuple[int, ...]) -> tuple[int, int] | None:
        height, width = shape
        rows, columns = self._taken.shape
        if height + 16 > rows or width + 16 > columns:
            return None
        for _ in range(PLACES_TRIED):
            x, y = int(self._random.integers(8, columns - width - 7)), int(self._random.integers(8, rows - height - 7))
            if not self._taken[max(0, y - 24) : y + height + 24, max(0, x - 24) : x + width + 24].any():
                return x, y
        return None


def _ground(kind: str, random: Random) -> Pixels:
    if kind in ROOMS:
        whole = codes.BACKGROUNDS[kind](random)
        height, width = (int(side) for side in random.integers(480, 1001, 2))
        return np.ascontiguousarray(whole[:height, :width])
    levels = {"radiograph": grounds.radiograph, "ultrasound": grounds.ultrasound, "paper": grounds.paper}[kind](random)
    pixels = np.clip(levels.levels, 0, 255).astype(np.uint8)
    factor = min(1.0, 1200 / max(pixels.shape))
    size = round(pixels.shape[1] * factor), round(pixels.shape[0] * factor)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


@cache
def _photo() -> Pixels:
    return np.asarray(ImageOps.exif_transpose(Image.open(PHOTO)).convert("RGB"), np.uint8)


def _portrait(random: Random) -> tuple[Pixels, Box, int]:
    (left, top, width, height), face = PORTRAITS[int(random.integers(len(PORTRAITS)))]
    size = int(random.choice(FACE_HEIGHTS))
    factor = size / face[3]
    cut = _photo()[top : top + height, left : left + width]
    inner = face[0] - left, face[1] - top, face[2], face[3]
    if random.random() < 0.5:
        cut, inner = cut[:, ::-1], (width - inner[0] - inner[2], *inner[1:])
    shrunk = max(1, round(width * factor)), max(1, round(height * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    small = np.asarray(cv2.resize(np.ascontiguousarray(cut), shrunk, interpolation=how), np.uint8)
    return small, _scaled(inner, factor), size


def _words(random: Random) -> tuple[Pixels, Box, int]:
    """A word on a plate of its own: a label, a band, a strip of a screen."""
    kind = str(random.choice(list(lettering.WORDS)))
    size = int(random.choice(LETTER_HEIGHTS))
    ink = lettering.ink(lettering.WORDS[kind](random), lettering.print_font(random), size)
    margin = size // 2
    alpha = np.pad(ink, margin)[..., np.newaxis]
    contrast = float(random.choice((80, 140, 200)))
    plate = random.uniform(0, 250 - contrast, 3)
    letters = plate + contrast
    if random.random() < 0.5:
        plate, letters = letters, plate
    pixels = np.clip(plate * (1 - alpha) + letters * alpha, 0, 255).astype(np.uint8)
    return pixels, (margin, margin, ink.shape[1], ink.shape[0]), size


def _code(random: Random) -> tuple[Pixels, Box, int]:
    kind = str(random.choice(SYMBOLOGIES))
    made = zxingcpp.create_barcode(codes.content(kind, random), getattr(zxingcpp.BarcodeFormat, kind))
    modules = np.asarray(made.to_image(scale=6, add_quiet_zones=False), np.uint8)
    side = int(random.choice(CODE_SIDES)) * (2 if kind == "Code128" else 1)
    if kind == "Code128":
        modules = np.tile(modules[:1], (modules.shape[1] // 3, 1))
    factor = side / max(modules.shape)
    size = max(1, round(modules.shape[1] * factor)), max(1, round(modules.shape[0] * factor))
    small = np.asarray(cv2.resize(modules, size, interpolation=cv2.INTER_AREA), np.uint8)
    margin = max(8, side // 10)
    label = np.pad(small, margin, constant_values=255)
    return np.repeat(label[..., np.newaxis], 3, axis=2), (margin, margin, *size), side


def _scaled(box: Box, factor: float) -> Box:
    left, top, width, height = (round(value * factor) for value in box)
    return left, top, width, height


def _turned(
    piece: Pixels, inner: Box, degrees: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The piece turned clockwise on a sheet that holds all of it, where it is opaque (0 to 1), and inner's corners."""
    height, width = piece.shape[:2]
    turning = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1.0)
    whole = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    placed = whole @ turning[:, :2].T + turning[:, 2]
    turning[:, 2] -= placed.min(axis=0)
    extent = np.ceil(np.ptp(placed, axis=0) - 1e-6).astype(int)
    size = int(extent[0]), int(extent[1])
    turned = cv2.warpAffine(piece, turning, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    covers = cv2.warpAffine(np.ones((height, width), np.float32), turning, size)
    left, top, across, down = inner
    corners = np.array([[left, top], [left + across, top], [left + across, top + down], [left, top + down]], np.float64)
    where = corners @ turning[:, :2].T + turning[:, 2]
    return turned.astype(np.float32), np.asarray(covers, np.float32), where.astype(np.float32)
