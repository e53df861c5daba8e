"""What the lettering of `tests.scenes.text` stands on: drawn stand-ins for films, screens and paper."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from shared.events import Box

Levels = npt.NDArray[np.float32]
"""Height x width x 3, 0 to 255."""


CONTRASTS = (20, 35, 60, 120, 200)


@dataclass(frozen=True)
class Ground:
    """An unlettered picture. `room`: where words may stand. `dark_ink`: the way print goes there (None: either).

    `blur`: of the camera, in pixels; `contrasts`: grey levels at which words are written on it.
    """

    levels: Levels
    room: tuple[Box, ...]
    keep: tuple[Box, ...] = ()
    dark_ink: bool | None = None
    blur: float = 0.0
    contrasts: tuple[int, ...] = CONTRASTS


def radiograph(rng: np.random.Generator) -> Ground:
    """A grey film of 700 to 2,000 pixels: soft shadows, two long bones, grain."""
    height, width = (int(side) for side in rng.integers(700, 2001, 2))
    film = 30 + 110 * _clouds(rng, height, width, 4)
    for _ in range(2):
        start = rng.uniform(0.2, 0.8, 2) * (width, height)
        bone = np.zeros((height, width), np.float32)
        end = start + rng.uniform(-0.5, 0.5, 2) * (width, height)
        thickness = int(min(height, width) * rng.uniform(0.05, 0.12))
        cv2.line(bone, _point(start), _point(end), 1.0, thickness, cv2.LINE_AA)
        film += 60 * cv2.GaussianBlur(bone, (0, 0), 5)
    film += rng.normal(0, 3.0, film.shape).astype(np.float32)
    return Ground(_grey(film), ((0, 0, width, height),))


def ct(rng: np.random.Generator) -> Ground:
    """A slice on black, 512 to 1,024 pixels, the words in the corners and along the edges."""
    side = int(rng.choice((512, 768, 1024)))
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    body = (columns / 0.42) ** 2 + (rows / 0.33) ** 2
    tissue = 70 + 60 * _clouds(rng, side, side, 8)
    film = np.where(body < 1, tissue, 3) + np.where((body < 1) & (body > 0.92), 80, 0)
    film = cv2.GaussianBlur(film.astype(np.float32), (0, 0), 1.2) + rng.normal(0, 4, film.shape)
    edge = side // 6
    room = (
        (0, 0, side, edge),
        (0, side - edge, side, edge),
        (0, 0, side // 4, side),
        (side * 3 // 4, 0, side // 4, side),
    )
    return Ground(_grey(film), room, dark_ink=False)


def ultrasound(rng: np.random.Generator) -> Ground:
    """A fan of speckle on black with a grey scale beside it, 640 to 1,280 pixels wide."""
    width = int(rng.choice((640, 800, 1024, 1280)))
    height = width * 3 // 4
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    across, down = columns - width / 2, rows - height * 0.12
    radius, angle = np.hypot(across, down), np.arctan2(across, down)
    inside = (radius < height * 0.8) & (abs(angle) < 0.7) & (radius > height * 0.06)
    speckle = rng.rayleigh(1.0, (height, width)).astype(np.float32)
    grains = np.asarray(cv2.GaussianBlur(speckle, (0, 0), 1.0), np.float32)
    film = np.where(inside, grains * (25 + 70 * _clouds(rng, height, width, 5)), 2).astype(np.float32)
    bar = slice(height // 4, height * 3 // 4), slice(width - 24, width - 12)
    film[bar] = np.linspace(250, 5, bar[0].stop - bar[0].start, dtype=np.float32)[:, np.newaxis]
    edge = height // 7
    room = ((0, 0, width, edge), (0, height - edge, width, edge), (0, 0, width // 5, height))
    return Ground(_grey(film), room, dark_ink=False)


def ecg(rng: np.random.Generator) -> Ground:
    """A recorder's paper: red or grey squares, three rows of beats, words above, below and between."""
    width = int(rng.integers(800, 1801))
    height = int(width * rng.uniform(0.5, 0.7))
    paper = np.full((height, width, 3), 250, np.float32)
    red = rng.random() < 0.7
    small = max(4, width // 220)
    for step, strength in ((small, 25), (small * 5, 60)):
        lines = np.zeros((height, width), bool)
        lines[::step] = lines[:, ::step] = True
        paper[lines] -= np.array((strength * 0.2, strength, strength) if red else (strength,) * 3, np.float32)
    keep = []
    top, row = height // 5, int(height * 0.7) // 3
    for line in range(3):
        middle, swing = top + line * row + row // 2, int(row * rng.uniform(0.25, 0.45))
        beats = _beats(rng, width - 40)
        points = np.stack([np.arange(20, width - 20), middle - beats * swing], axis=1).astype(np.int32)
        cv2.polylines(paper, [points], False, (30, 30, 40), int(rng.integers(1, 4)), cv2.LINE_AA)
        keep.append((20, middle - swing, width - 40, int(swing * 1.3)))
    room = ((0, 0, width, top - row // 8), (0, height - height // 9, width, height // 9))
    # A recorder prints as dark as it draws; what is fainter than the squares cannot be read there by anyone.
    return Ground(paper, room, tuple(keep), dark_ink=True, contrasts=CONTRASTS[2:])


def monitor(rng: np.random.Generator) -> Ground:
    """A photo of a bedside screen: uneven light, the lines of its pixels, coloured curves."""
    width, height = (1200, 900) if rng.random() < 0.5 else (1600, 1200)
    screen = np.full((height, width, 3), 14, np.float32)
    keep = []
    for line, colour in enumerate(((60, 230, 80), (240, 220, 60), (70, 190, 240))):
        middle = int(height * (0.3 + 0.2 * line))
        beats = _beats(rng, width * 6 // 10)
        points = np.stack([np.arange(len(beats)) + width // 12, middle - beats * height * 0.06], axis=1)
        cv2.polylines(screen, [points.astype(np.int32)], False, colour, 3, cv2.LINE_AA)
        keep.append((width // 12, middle - round(height * 0.06), len(beats), round(height * 0.08)))
    screen[:: int(rng.integers(2, 5))] *= 0.85
    light = np.linspace(0, float(rng.uniform(10, 60)), width, dtype=np.float32)
    screen += light[np.newaxis, :, np.newaxis] * (0.5 + _clouds(rng, height, width, 3)[..., np.newaxis])
    screen += rng.normal(0, 4, screen.shape).astype(np.float32)
    room = ((20, 20, width - 40, height // 5), (20, height * 4 // 5, width - 40, height // 6))
    return Ground(screen, (*room, (width * 3 // 4, height // 4, width // 5, height // 2)), tuple(keep), False, blur=0.7)


def wristband(rng: np.random.Generator) -> Ground:
    """A photo of skin and sheet with a white band across; words stand on the band."""
    height, width = 900, 1200
    skin = np.array((rng.uniform(120, 230), rng.uniform(90, 180), rng.uniform(70, 150)), np.float32)
    photo = skin * (0.8 + 0.3 * _clouds(rng, height, width, 5)[..., np.newaxis])
    top, down = int(rng.integers(300, 450)), int(rng.integers(150, 260))
    shade = 225 + 25 * np.sin(np.linspace(0, np.pi, down, dtype=np.float32))
    photo[top : top + down] = shade[:, np.newaxis, np.newaxis]
    photo = np.asarray(photo + rng.normal(0, 3, photo.shape), np.float32)
    return Ground(photo, ((40, top + 8, width - 80, down - 16),), dark_ink=True, blur=0.6)


def paper(rng: np.random.Generator) -> Ground:
    """A photo of a sheet under uneven light."""
    height, width = (int(side) for side in rng.integers(900, 1601, 2))
    tint = np.array((1.0, rng.uniform(0.93, 1.0), rng.uniform(0.85, 1.0)), np.float32)
    sheet = (175 + 75 * _clouds(rng, height, width, 2))[..., np.newaxis] * tint
    sheet += rng.normal(0, 2, sheet.shape).astype(np.float32)
    return Ground(sheet, ((20, 20, width - 40, height - 40),), dark_ink=True, blur=0.5)


def _clouds(rng: np.random.Generator, height: int, width: int, cells: int) -> Levels:
    """Soft random light, 0 to 1."""
    coarse = rng.random((cells, cells)).astype(np.float32)
    return np.asarray(np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1), np.float32)


def _beats(rng: np.random.Generator, length: int) -> npt.NDArray[np.float32]:
    """A curve of heart beats: a small wave, a spike down, a tall spike, a wave; between -0.3 and 1."""
    period = int(rng.integers(90, 220))
    at = np.arange(length) % period / period
    curve: npt.NDArray[Any] = np.asarray(rng.normal(0, 0.01, length))
    for centre, wide, tall in (
        (0.2, 0.03, 0.15),
        (0.36, 0.008, -0.15),
        (0.4, 0.01, 1.0),
        (0.44, 0.01, -0.3),
        (0.7, 0.05, 0.3),
    ):
        curve = curve + tall * np.exp(-(((at - centre) / wide) ** 2))
    return np.asarray(curve, np.float32)


def _grey(film: npt.NDArray[Any]) -> Levels:
    return np.repeat(np.asarray(np.clip(film, 0, 255), np.float32)[..., np.newaxis], 3, axis=2)


def _point(place: npt.NDArray[np.floating]) -> tuple[int, int]:
    return int(place[0]), int(place[1])
