"""Pictures with one machine-readable code each, and pictures with none: what the finder of codes is measured on.

A scene is 1600 x 1200 pixels, stored once as JPEG of quality 80: six symbologies, printed 90, 160 or 320 pixels long,
clean, blurred, dark or tilted, turned by 0, 37 or 90 degrees: 216 scenes. Backgrounds are generated textures and the
sample photo. Everything follows from the seed. Synthetic: real prints are creased, glossy and cut off.

`python -m tests.scenes.codes` prints how many each single library finds and how many ours finds.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import zxingcpp
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint8]
Random = np.random.Generator

WIDTH, HEIGHT = 1600, 1200
SYMBOLOGIES = ("QRCode", "Code128", "EAN13", "DataMatrix", "PDF417", "Aztec")
SIZES_PX = (90, 160, 320)
CONDITIONS = ("clean", "blur", "dark", "perspective")
TURNS_DEGREES = (0, 37, 90)

QUIET_MODULES = {"QRCode": (4, 4), "Code128": (10, 2), "EAN13": (9, 2), "DataMatrix": (2, 2), "PDF417": (2, 2)}
"""Empty modules beside and above the print that each standard asks for; Aztec needs none."""

SHARPER = 4  # a scene's label is drawn this much larger and averaged down, as a lens does
BLUR_SIGMA_PX = 1.3
DARK_GAIN = 0.25
DARK_NOISE = 3.0
TILT = 0.12
"""How far a corner of a tilted label moves, as part of its longer side."""
JPEG_QUALITY = 80
PHOTO = Path(__file__).parents[1] / "samples" / "pictures" / "photo.jpg"


@dataclass(frozen=True)
class Scene:
    """One picture and the code in it."""

    name: str
    symbology: str
    size: int
    """Longer side of the print, without its quiet zone, in pixels of the scene, before tilt."""
    condition: str
    turn: int
    background: str
    pixels: Pixels
    """HEIGHT x WIDTH x 3, RGB."""
    corners: npt.NDArray[np.float32]
    """4 x 2: the corners of the print, without its quiet zone."""


def scenes(count: int | None = None, seed: int = 4, *, symbology: str | None = None) -> Iterator[Scene]:
    """The 216 scenes of a seed, or `count` drawn from them; of one symbology only, where it is given."""
    plan = list(itertools.product(SYMBOLOGIES, SIZES_PX, CONDITIONS, TURNS_DEGREES))
    chosen = [(number, each) for number, each in enumerate(plan) if symbology in (None, each[0])]
    if count is not None:
        order = np.random.default_rng(seed).permutation(len(chosen))[:count]
        chosen = [chosen[int(position)] for position in sorted(order)]
    for number, (kind, size, condition, turn) in chosen:
        yield scene(kind, size, condition, turn, seed=seed * 1000 + number)


def scene(symbology: str, size: int, condition: str, turn: int, *, seed: int, background: str | None = None) -> Scene:
    """One scene; `background` None: one of those on which codes are met, by the seed."""
    random = np.random.default_rng(seed)
    names = list(BACKGROUNDS)
    background = background or names[int(random.integers(len(names)))]
    pixels = BACKGROUNDS[background](random)
    corners = lay(pixels, symbology, size, turn, TILT if condition == "perspective" else 0.0, random)
    name = f"{symbology}-{size}-{condition}-{turn}-{background}"
    return Scene(name, symbology, size, condition, turn, background, photographed(pixels, condition, random), corners)


def lay(pixels: Pixels, symbology: str, size: int, turn: float, tilt: float, random: Random) -> npt.NDArray[np.float32]:
    """Lays a label with a code into the picture, in place; gives the corners of the print as in `Scene`.

    The picture must have room for it: its sides are larger than the label's diagonal.
    """
    label, box = _label(symbology, random)
    to_scene = _placed(label, box, pixels.shape[:2], size, turn, tilt, random)
    _print_on(pixels, label, to_scene)
    left, top, right, bottom = box
    print_corners = np.array([[[left, top], [right, top], [right, bottom], [left, bottom]]], np.float32)
    return np.asarray(cv2.perspectiveTransform(print_corners, to_scene)[0], np.float32)


def empty(count: int, seed: int = 4) -> Iterator[tuple[str, Pixels]]:
    """Names and pictures without a code: every background in turn, also those that look like codes from afar."""
    names = [*BACKGROUNDS, *LOOKALIKES]
    for number in range(count):
        random = np.random.default_rng(seed * 1000 + 500 + number)
        name = names[number % len(names)]
        yield name, photographed({**BACKGROUNDS, **LOOKALIKES}[name](random), "clean", random)


def content(symbology: str, random: Random) -> str:
    """What a wristband or label would say: an invented number, and a name where letters are allowed."""
    digits = "".join(str(digit) for digit in random.integers(0, 10, 12))
    if symbology == "EAN13":
        return digits
    if symbology == "Code128":
        return f"P{digits[: int(random.integers(6, 11))]}"
    names = ("MARTIN", "OKAFOR", "LINDQVIST", "RAHMAN", "DA SILVA", "NOVAK")
    return f"PID {digits[:8]};{names[int(random.integers(len(names)))]};19{digits[8:10]}-0{digits[10]}-1{digits[11]}"


def _label(symbology: str, random: Random) -> tuple[Pixels, tuple[int, int, int, int]]:
    """White paper with the print on it, eight pixels a module, and the print's left, top, right and bottom."""
    code = zxingcpp.create_barcode(content(symbology, random), getattr(zxingcpp.BarcodeFormat, symbology))
    modules = np.asarray(code.to_image(scale=8, add_quiet_zones=False), np.uint8)
    if symbology in ("Code128", "EAN13"):
        modules = np.tile(modules[:1], (int(modules.shape[1] * random.uniform(0.25, 0.5)), 1))
    beside, above = QUIET_MODULES.get(symbology, (1, 1))
    # Half of the labels have more white than the standard's quiet zone.
    more = int(random.integers(0, 2)) * random.uniform(0.05, 0.5, 2) * min(modules.shape)
    across, down = 8 * beside + int(more[0]), 8 * above + int(more[1])
    paper = int(random.integers(225, 256))
    ink = int(random.integers(5, 45))
    printed = np.where(modules > 127, paper, ink).astype(np.uint8)
    label = np.pad(printed, ((down, down), (across, across)), constant_values=paper)
    return label, (across, down, across + modules.shape[1], down + modules.shape[0])


def _placed(
    label: Pixels,
    box: tuple[int, int, int, int],
    picture: tuple[int, ...],
    size: int,
    turn: float,
    tilt: float,
    random: Random,
) -> npt.NDArray[np.float64]:
    """The 3 x 3 mapping from the label to a place in the scene where all of the label is seen."""
    left, top, right, bottom = box
    factor = size / max(right - left, bottom - top)
    height, width = label.shape
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    longest = max(width, height) * factor
    angle = np.deg2rad(turn)
    turning = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    placed = (flat - flat.mean(axis=0)) * factor @ turning.T
    placed += random.uniform(-tilt, tilt, (4, 2)) * longest
    lowest, highest = placed.min(axis=0), placed.max(axis=0)
    room = np.array(picture[::-1]) - (highest - lowest) - 8
    placed += 4 - lowest + random.uniform(0, 1, 2) * room
    return np.asarray(cv2.getPerspectiveTransform(flat, placed.astype(np.float32)), np.float64)


def _print_on(pixels: Pixels, label: Pixels, to_scene: npt.NDArray[np.float64]) -> None:
    """Lays the label into the picture, in place, with soft edges and a colour cast of the light."""
    height, width = label.shape
    corners = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float32)
    placed = cv2.perspectiveTransform(corners, to_scene)[0]
    left, top = (int(value) for value in np.floor(placed.min(axis=0)))
    right, bottom = (int(value) + 1 for value in np.ceil(placed.max(axis=0)))
    across, down = right - left, bottom - top
    shift = np.array([[SHARPER, 0, -left * SHARPER], [0, SHARPER, -top * SHARPER], [0, 0, 1.0]])
    large = across * SHARPER, down * SHARPER
    drawn = cv2.warpPerspective(label, shift @ to_scene, large, flags=cv2.INTER_AREA)
    covers = cv2.warpPerspective(np.full_like(label, 255), shift @ to_scene, large)
    seen = cv2.resize(drawn, (across, down), interpolation=cv2.INTER_AREA)[..., np.newaxis] / 255
    part = cv2.resize(covers, (across, down), interpolation=cv2.INTER_AREA)[..., np.newaxis] / 255
    spot = pixels[top:bottom, left:right]
    light = np.array([250.0, 246.0, 238.0])
    spot[:] = np.clip(spot * (1 - part) + seen * light, 0, 255).astype(np.uint8)


def photographed(pixels: Pixels, condition: str, random: Random) -> Pixels:
    """The picture as a camera stores it under `condition`."""
    seen = pixels.astype(np.float32)
    if condition == "blur":
        seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), BLUR_SIGMA_PX), np.float32)
    if condition == "dark":
        seen = seen * DARK_GAIN
    seen = seen + random.normal(0, DARK_NOISE if condition == "dark" else 1.0, seen.shape).astype(np.float32)
    stored = np.clip(seen, 0, 255).astype(np.uint8)[..., ::-1]
    done, data = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise RuntimeError("the scene could not be stored as JPEG")
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def _clouds(random: Random, coarsest: int, finest: int) -> npt.NDArray[np.float32]:
    """Smooth noise of many sizes, from -1 to 1: `coarsest` and `finest` are pixels a blob."""
    total = np.zeros((HEIGHT, WIDTH), np.float32)
    weight, step = 1.0, coarsest
    while step >= finest:
        grid = random.uniform(-1, 1, (HEIGHT // step + 2, WIDTH // step + 2)).astype(np.float32)
        total += weight * cv2.resize(grid, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        weight, step = weight * 0.6, step // 2
    return np.asarray(total / np.abs(total).max(), np.float32)


def _tinted(light: npt.NDArray[np.float32], colour: tuple[int, int, int]) -> Pixels:
    """A picture whose brightness is `light` (about 1) times `colour`."""
    return np.clip(light[..., np.newaxis] * np.array(colour, np.float32), 0, 255).astype(np.uint8)


def _skin(random: Random) -> Pixels:
    tone = ((224, 184, 160), (198, 150, 120), (120, 82, 62), (76, 50, 40))[int(random.integers(4))]
    skin = _tinted(1 + 0.12 * _clouds(random, 400, 50) + 0.05 * _clouds(random, 8, 2), tone)
    for _ in range(int(random.integers(20, 120))):  # hairs
        start = random.integers(0, [WIDTH, HEIGHT])
        end = start + random.integers(-60, 60, 2)
        dark = tuple(int(value * 0.5) for value in tone)
        cv2.line(skin, start.tolist(), end.tolist(), dark, 1, cv2.LINE_AA)
    return skin


def _cloth(random: Random) -> Pixels:
    """Striped and woven, with folds: the stripes repeat."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    angle = random.uniform(0, np.pi)
    folds = 14 * _clouds(random, 400, 100)
    along = rows * np.sin(angle) + columns * np.cos(angle) + folds
    across = columns * np.sin(angle) - rows * np.cos(angle) + folds
    stripes = np.tanh(3 * np.sin(along * 2 * np.pi / random.uniform(8, 40)))
    weave = np.sin(along * 2 * np.pi / 4) * np.sin(across * 2 * np.pi / 4)
    light = 0.8 + random.uniform(0.05, 0.25) * stripes + 0.04 * weave + 0.1 * _clouds(random, 400, 50)
    return _tinted(
        np.asarray(light, np.float32), ((210, 215, 225), (120, 160, 190), (180, 120, 110))[int(random.integers(3))]
    )


def _meadow(random: Random) -> Pixels:
    """Strong texture of every size and direction: grass, gravel, a carpet."""
    light = 0.7 + 0.25 * _clouds(random, 128, 2) + 0.35 * _clouds(random, 6, 2)
    return _tinted(
        np.asarray(light, np.float32), ((140, 170, 90), (170, 160, 150), (150, 110, 90))[int(random.integers(3))]
    )


def _wood(random: Random) -> Pixels:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    rings = rows / random.uniform(6, 14) + 6 * _clouds(random, 512, 128) + columns / 300
    light = 0.75 + 0.1 * np.sin(rings) + 0.08 * np.sin(2.7 * rings + 1) + 0.05 * _clouds(random, 4, 2)
    return _tinted(np.asarray(light, np.float32), (190, 140, 90))


def _town(random: Random) -> Pixels:
    """Rectangles with hard edges, and rows of windows: what a room or a street is made of."""
    town = _tinted(0.8 + 0.1 * _clouds(random, 512, 64), (190, 190, 195))
    for _ in range(40):
        left, top = (int(value) for value in random.integers(0, [WIDTH, HEIGHT]))
        across, down = (int(value) for value in random.integers(20, 420, 2))
        colour = [int(value) for value in random.integers(20, 240, 3)]
        cv2.rectangle(town, (left, top), (left + across, top + down), colour, -1)
        if random.random() < 0.4:
            pitch = int(random.integers(14, 50))
            shade = [int(value * 0.6) for value in colour]
            for row in range(top + 6, top + down - pitch, pitch):
                for column in range(left + 6, left + across - pitch, pitch):
                    cv2.rectangle(town, (column, row), (column + pitch * 2 // 3, row + pitch * 2 // 3), shade, -1)
    return np.asarray(cv2.GaussianBlur(town, (0, 0), 0.8), np.uint8)


def _photo(random: Random) -> Pixels:
    """A part of the sample photo, enlarged: shelves, coats, faces."""
    stored = np.asarray(Image.open(PHOTO).convert("RGB"), np.uint8)
    height, width = stored.shape[:2]
    across = int(random.integers(600, min(width, height * 4 // 3) + 1))
    down = across * 3 // 4
    left, top = int(random.integers(0, width - across + 1)), int(random.integers(0, height - down + 1))
    part = stored[top : top + down, left : left + across]
    return np.asarray(cv2.resize(part, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


def _print_page(random: Random) -> Pixels:
    """A page of print: lines of words, in sizes from 14 to 40 pixels."""
    page = Image.fromarray(_tinted(0.95 + 0.04 * _clouds(random, 512, 128), (252, 250, 244)))
    pen = ImageDraw.Draw(page)
    top = 40
    while top < HEIGHT - 60:
        size = int(random.choice([14, 18, 22, 28, 40]))
        face = ImageFont.load_default(size)
        for _ in range(int(random.integers(1, 5))):
            letters = "eeeeaaaiiioooutttnnnrrrsssldhcmpfgbvyw" + "0123456789MPTRHL"
            words = ["".join(random.choice(list(letters), int(random.integers(2, 11)))) for _ in range(200 // size * 2)]
            pen.text((60, top), " ".join(words), fill=(30, 30, 34), font=face)
            top += int(size * 1.4)
        top += size
    return np.array(page, np.uint8)


def _ecg_paper(random: Random) -> Pixels:
    """Pink paper with a fine and a coarse grid, and traces."""
    paper = _tinted(1 + 0.02 * _clouds(random, 512, 128), (252, 236, 232))
    pitch = random.uniform(6, 12)
    for lines, horizontal in ((HEIGHT, True), (WIDTH, False)):
        for number in range(int(lines / pitch)):
            at = round(number * pitch)
            colour = (228, 120, 120) if number % 5 == 0 else (244, 190, 190)
            ends = ((0, at), (WIDTH, at)) if horizontal else ((at, 0), (at, HEIGHT))
            cv2.line(paper, *ends, colour, 2 if number % 5 == 0 else 1, cv2.LINE_AA)
    columns = np.arange(WIDTH)
    for base in range(150, HEIGHT, 220):
        beat = (columns + int(random.integers(200))) % int(random.integers(90, 240))
        trace = base - 110 * np.exp(-(((beat - 40) / 4.0) ** 2)) - 20 * np.exp(-(((beat - 75) / 14.0) ** 2))
        cv2.polylines(paper, [np.stack([columns, trace], 1).astype(np.int32)], False, (30, 30, 40), 2, cv2.LINE_AA)
    return paper


def _bars_of_light(random: Random) -> Pixels:
    """Blinds, radiators, a keyboard: parallel lines that repeat and end sharply."""
    room = _tinted(0.8 + 0.15 * _clouds(random, 512, 64), (205, 200, 190))
    for _ in range(6):
        left, top = (int(value) for value in random.integers(0, [WIDTH - 300, HEIGHT - 300]))
        across, down = (int(value) for value in random.integers(100, 300, 2))
        pitch = int(random.integers(6, 24))
        for at in range(left, left + across, pitch):
            cv2.rectangle(room, (at, top), (at + pitch // 2, top + down), (60, 60, 64), -1)
    turning = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), random.uniform(0, 180), 1.2)
    return np.asarray(cv2.warpAffine(room, turning, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT), np.uint8)


def _hair(random: Random) -> Pixels:
    """Strands that run together and bend."""
    hair = _tinted(0.9 + 0.2 * _clouds(random, 256, 64), (110, 78, 56))
    way = np.cumsum(random.normal(0, 0.4, (3000, 40)), axis=1) + random.normal(0, 3, (3000, 1))
    starts = random.uniform(-200, WIDTH + 200, 3000)
    downs = np.linspace(0, HEIGHT, 40)
    for strand, start in zip(way, starts, strict=True):
        points = np.stack([start + strand * 12, downs], 1).astype(np.int32)
        shade = int(random.integers(-45, 90))
        cv2.polylines(hair, [points], False, (110 + shade, 78 + shade, 56 + shade // 2), 1, cv2.LINE_AA)
    return hair


BACKGROUNDS: dict[str, Callable[[Random], Pixels]] = {
    "skin": _skin,
    "cloth": _cloth,
    "meadow": _meadow,
    "wood": _wood,
    "town": _town,
    "photo": _photo,
}
"""On which labels are laid."""

LOOKALIKES: dict[str, Callable[[Random], Pixels]] = {
    "page": _print_page,
    "ecg": _ecg_paper,
    "bars": _bars_of_light,
    "hair": _hair,
}
"""What a finder may take for a code."""
