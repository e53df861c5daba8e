"""Draws tattoo designs: ink on nothing. Each has a density from 0 to 1 and a colour for every pixel."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from training.tattoos.sources import Sources

Map = npt.NDArray[Any]
"""height x width, 0 to 1."""

Random = np.random.Generator

INKS = (
    ((22, 24, 28), (38, 44, 50), (48, 58, 70), (60, 72, 80), (40, 52, 62), (30, 36, 60)),  # black, old and blue black
    ((170, 34, 40), (196, 52, 92), (226, 110, 40), (236, 190, 60), (40, 120, 70), (30, 140, 140), (40, 80, 160)),
)
SIDE = 256
WORDS = [
    "MOM",
    "LOVE",
    "Anna",
    "1987",
    "Carpe",
    "Diem",
    "FAITH",
    "Libertad",
    "Leo",
    "XIV",
    "Forever",
    "23.04.2011",
    "Dios",
    "HOPE",
    "Kira",
    "family",
    "VII",
    "Marco",
]


@dataclass(frozen=True)
class Design:
    """A square of `SIDE` pixels: where ink lies and how densely, and its colour (RGB from 0 to 1)."""

    density: Map
    colour: npt.NDArray[Any]


def design(random: Random, sources: Sources) -> Design:
    """One design of any kind."""
    kinds: tuple[Callable[[Random, Sources], Design], ...]
    shares: tuple[float, ...]
    if sources.icons:
        kinds = (_icon, _emoji, _lettering, _strokes, _mandala, shaded, _portrait, collage)
        shares = (0.2, 0.12, 0.12, 0.1, 0.1, 0.13, 0.13, 0.1)
    else:  # a test has no icons and no fonts
        kinds, shares = (_strokes, _mandala, shaded, _portrait, collage), (0.2,) * 5
    made = kinds[int(random.choice(len(kinds), p=shares))](random, sources)
    density = np.clip(made.density, 0, 1)
    if random.random() < 0.25:  # shading inside the ink
        density = density * (0.35 + 0.65 * smooth(random, SIDE, int(random.integers(3, 12))))
    return Design(density.astype(np.float32), made.colour.astype(np.float32))


def smooth(random: Random, side: int, cells: int) -> Map:
    """Smooth noise from 0 to 1 with about `cells` hills along a side."""
    coarse = random.random((cells + 2, cells + 2)).astype(np.float32)
    fine = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    low, high = float(fine.min()), float(fine.max())
    return np.asarray((fine - low) / (high - low + 1e-6), np.float32)


def rendered(body: str, box: int, side: int, colour: str = "#000") -> npt.NDArray[Any]:
    """An icon as side x side x 4, RGB and alpha from 0 to 1."""
    import resvg_py  # only the training environment has it

    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}" viewBox="0 0 {box} {box}">'
    png = resvg_py.svg_to_bytes(svg_string=head + body.replace("currentColor", colour) + "</svg>")
    bgra = np.asarray(cv2.imdecode(np.frombuffer(bytes(png), np.uint8), cv2.IMREAD_UNCHANGED), np.float32) / 255
    return bgra[:, :, [2, 1, 0, 3]]


def _ink(random: Random, coloured: float = 0.25) -> npt.NDArray[Any]:
    inks = INKS[1] if random.random() < coloured else INKS[0]
    ink = np.array(inks[random.integers(len(inks))], np.float32) + random.normal(0, 8, 3)
    return np.clip(ink / 255, 0.02, 1).astype(np.float32)


def _filled(density: Map, ink: npt.NDArray[Any]) -> Design:
    return Design(density, np.broadcast_to(ink, (*density.shape, 3)).copy())


def _outlined(random: Random, alpha: Map) -> Map:
    width = int(random.integers(2, 7))
    edge = cv2.morphologyEx(alpha, cv2.MORPH_GRADIENT, np.ones((width, width), np.uint8))
    return np.asarray(np.maximum(edge, alpha * random.uniform(0, 0.4)), np.float32)


def _icon(random: Random, sources: Sources) -> Design:
    body, box = sources.icons[random.integers(len(sources.icons))]
    alpha = rendered(body, box, SIDE)[:, :, 3]
    if random.random() < 0.4:
        alpha = _outlined(random, alpha)
    drawn = _filled(alpha, _ink(random))
    if random.random() < 0.3:  # a second colour for a part
        part = (smooth(random, SIDE, 3) > 0.5)[:, :, np.newaxis]
        drawn = Design(alpha, np.where(part, _ink(random, 0.8), drawn.colour).astype(np.float32))
    return drawn


def _emoji(random: Random, sources: Sources) -> Design:
    body, box = sources.emoji[random.integers(len(sources.emoji))]
    drawn = rendered(body, box, SIDE)
    colour, alpha = drawn[:, :, :3], drawn[:, :, 3]
    grey = colour.mean(axis=2)
    edges = cv2.dilate(
        np.clip(cv2.Canny((grey * 255).astype(np.uint8), 40, 120) / 255.0, 0, 1), np.ones((3, 3), np.uint8)
    )
    outline = np.maximum(edges, cv2.morphologyEx(alpha, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)))
    if random.random() < 0.5:  # black and grey
        shade = alpha * (1 - grey) * random.uniform(0.4, 0.9)
        return _filled(np.maximum(shade, outline * 0.9).astype(np.float32), _ink(random, 0.05))
    density = np.maximum(alpha * random.uniform(0.45, 0.85), outline * 0.9)
    tinted = colour * (1 - outline[:, :, np.newaxis]) * random.uniform(0.6, 1.0)
    return Design(density.astype(np.float32), tinted.astype(np.float32))


def _lettering(random: Random, sources: Sources) -> Design:
    canvas = Image.new("L", (SIDE, SIDE), 0)
    draw = ImageDraw.Draw(canvas)
    path = str(sources.fonts[random.integers(len(sources.fonts))])
    lines = [" ".join(random.choice(WORDS, int(random.integers(1, 3)))) for _ in range(int(random.integers(1, 5)))]
    size = SIDE // max(2, len(lines))
    font = ImageFont.truetype(path, size)
    widest = max(draw.textlength(line, font=font) for line in lines)
    font = ImageFont.truetype(path, max(10, min(size, int(size * SIDE * 0.95 / widest))))
    step = font.size * 1.15
    top = SIDE / 2 - step * len(lines) / 2
    for index, line in enumerate(lines):
        draw.text((SIDE / 2, top + step * (index + 0.5)), line, fill=255, font=font, anchor="mm")
    alpha = np.asarray(canvas, np.float32) / 255
    if random.random() < 0.2:
        alpha = _outlined(random, alpha)
    return _filled(alpha, _ink(random, 0.15))


def _curve(random: Random) -> npt.NDArray[Any]:
    points = random.uniform(0.1, 0.9, (int(random.integers(3, 6)), 2))
    steps = np.linspace(0, 1, 40)[:, np.newaxis]
    count = len(points) - 1
    return np.asarray(
        sum(math.comb(count, k) * steps**k * (1 - steps) ** (count - k) * points[k] for k in range(count + 1)),
        np.float32,
    )


def _strokes(random: Random, sources: Sources) -> Design:
    canvas = np.zeros((SIDE, SIDE), np.float32)
    thick = random.uniform(1.5, 16)
    for _ in range(int(random.integers(3, 14))):
        curve = _curve(random) * SIDE
        taper = np.sin(np.linspace(0.05, math.pi - 0.05, len(curve)))
        for start, end, part in zip(curve[:-1], curve[1:], taper, strict=False):
            line = [tuple(int(value) for value in point) for point in (start, end)]
            cv2.line(canvas, line[0], line[1], 1.0, max(1, round(thick * part)), cv2.LINE_AA)
    if random.random() < 0.5:
        canvas = np.maximum(canvas, canvas[:, ::-1])
    return _filled(canvas, _ink(random))


def _mandala(random: Random, sources: Sources) -> Design:
    fold = int(random.integers(4, 17))
    canvas = np.zeros((SIDE, SIDE), np.float32)
    middle = SIDE // 2
    for _ in range(int(random.integers(4, 9))):
        radius, size = random.uniform(0.08, 0.44) * SIDE, random.uniform(0.03, 0.16) * SIDE
        fill = -1 if random.random() < 0.35 else int(random.integers(1, 5))
        shape, stretch, offset = int(random.integers(4)), random.uniform(0.3, 1.0), random.integers(2) * math.pi / fold
        for index in range(fold):
            angle = 2 * math.pi * index / fold + offset
            centre = round(middle + radius * math.cos(angle)), round(middle + radius * math.sin(angle))
            if shape == 0:
                cv2.circle(canvas, centre, round(size), 1.0, fill, cv2.LINE_AA)
            elif shape == 1:
                axes = round(size), max(1, round(size * stretch))
                cv2.ellipse(canvas, centre, axes, math.degrees(angle), 0, 360, 1.0, fill, cv2.LINE_AA)
            elif shape == 2:
                corners = [
                    (centre[0] + size * math.cos(angle + turn), centre[1] + size * math.sin(angle + turn))
                    for turn in (0, 2.2, 4.1)
                ]
                cv2.polylines(canvas, [np.array(corners, np.int32)], True, 1.0, abs(fill), cv2.LINE_AA)
            else:
                cv2.circle(canvas, (middle, middle), round(radius), 1.0, max(1, fill), cv2.LINE_AA)
    return _filled(canvas, _ink(random))


def _blob(random: Random, spread: float = 0.35) -> Map:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE - 0.5
    turn = random.uniform(0, math.pi)
    across, along = columns * math.cos(turn) + rows * math.sin(turn), rows * math.cos(turn) - columns * math.sin(turn)
    radius = np.hypot(across * random.uniform(1, 2.2), along) + spread * 0.4 * (smooth(random, SIDE, 5) - 0.5)
    edge = random.uniform(0.01, 0.06)
    return np.asarray(np.clip((spread + 0.08 - radius) / edge, 0, 1), np.float32)


def shaded(random: Random, sources: Sources) -> Design:
    """A picture of nothing: shades with outlines between them, as large tattoos look from afar."""
    field: Map = np.sum([smooth(random, SIDE, cells) * weight for cells, weight in ((4, 1.0), (9, 0.6), (22, 0.3))], 0)
    field = (field - field.min()) / (np.ptp(field) + 1e-6)
    levels = int(random.integers(3, 9))
    steps = np.floor(field * levels)
    outline = cv2.dilate(
        (np.abs(cv2.Laplacian(steps.astype(np.float32), cv2.CV_32F)) > 0).astype(np.float32), np.ones((2, 2), np.uint8)
    )
    tones = random.random(levels + 1).astype(np.float32)
    tone = tones[np.clip(steps, 0, levels).astype(int)]
    whole = _blob(random, random.uniform(0.25, 0.5))
    density = whole * np.maximum(tone * random.uniform(0.5, 1.0), outline * random.uniform(0.5, 1.0))
    if random.random() < 0.5:
        return _filled(density.astype(np.float32), _ink(random, 0.1))
    palette = np.stack([_ink(random, 0.7) for _ in range(levels + 1)])
    colour = palette[np.clip(steps, 0, levels).astype(int)] * (1 - 0.8 * outline[:, :, np.newaxis])
    return Design(density.astype(np.float32), colour.astype(np.float32))


def _portrait(random: Random, sources: Sources) -> Design:
    """A piece of a photograph as black and grey (sometimes tinted) needlework."""
    photo = sources.photos[random.integers(len(sources.photos))]
    height, width = photo.shape[:2]
    side = int(random.uniform(0.25, 0.9) * min(height, width))
    top, left = int(random.integers(height - side + 1)), int(random.integers(width - side + 1))
    piece = cv2.resize(photo[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(piece, cv2.COLOR_RGB2GRAY)
    grey = cv2.createCLAHE(clipLimit=4.0, tileGridSize=(4, 4)).apply(grey).astype(np.float32) / 255
    dark = np.clip((1 - grey) * random.uniform(1.0, 1.6) - random.uniform(0.0, 0.3), 0, 1)
    whole = _blob(random, random.uniform(0.25, 0.5))
    if random.random() < 0.7:
        return _filled((dark * whole).astype(np.float32), _ink(random, 0.05))
    return Design((whole * np.maximum(dark, 0.5)).astype(np.float32), piece.astype(np.float32) / 255 * 0.8)


def collage(random: Random, sources: Sources) -> Design:
    """Several icons and strokes over shades: a sleeve."""
    density = np.zeros((SIDE, SIDE), np.float32)
    colour = np.zeros((SIDE, SIDE, 3), np.float32)
    parts = [shaded(random, sources)] if random.random() < 0.6 else []
    for _ in range(int(random.integers(3, 8))):
        kinds = (_icon, _emoji, _mandala, _portrait) if sources.icons else (_strokes, _mandala)
        part = kinds[int(random.integers(len(kinds)))](random, sources)
        angle, size = random.uniform(-60, 60), random.uniform(0.3, 0.75)
        turn = np.asarray(cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), angle, size), np.float64)
        turn[:, 2] += random.uniform(-0.33, 0.33, 2) * SIDE
        moved = [cv2.warpAffine(each, turn, (SIDE, SIDE)) for each in (part.density, part.colour)]
        parts.append(Design(np.asarray(moved[0], np.float32), np.asarray(moved[1], np.float32)))
    for part in parts:
        over = part.density[:, :, np.newaxis]
        colour = colour * (1 - over) + part.colour * over
        density = np.maximum(density * (1 - 0.6 * part.density), part.density)
    return Design(density, (colour / np.maximum(density, 0.3)[:, :, np.newaxis]).clip(0, 1).astype(np.float32))
