"""Draws the paper of recorders (ECG, CTG, spirometry): grids, curves, pulses and labels, as lessons need them.

A grid's lines are as regular as lettering, and a network that has seen few of them takes them for it.
"""

import cv2
import numpy as np
import numpy.typing as npt

from shared.events import Box
from tests.scenes import grounds, lettering
from tests.scenes.text import Written

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
COLOURS = ((10, 90, 90), (40, 70, 60), (90, 90, 90), (90, 20, 90), (90, 60, 10), (60, 60, 60))
"""What a line of the grid takes from red, green and blue, in parts of a hundred."""


def recorder(rng: np.random.Generator) -> tuple[grounds.Ground, list[Written]]:
    """A sheet, and the labels that are written on it already."""
    width = int(rng.integers(700, 1801))
    height = int(width * rng.uniform(0.45, 0.8))
    paper = np.full((height, width, 3), rng.uniform(232, 255), np.float32)
    step, colour = float(rng.uniform(3.5, 13)), np.array(COLOURS[int(rng.integers(len(COLOURS)))], np.float32) / 100
    top, bottom = (int(height * part) for part in (rng.uniform(0, 0.25), rng.uniform(0.85, 1.0)))
    left, right = (int(width * part) for part in (rng.uniform(0, 0.04), rng.uniform(0.96, 1.0)))
    grid = np.zeros((height, width), np.float32)
    for every, strength in ((step, rng.uniform(8, 80)), (5 * step, rng.uniform(30, 140))):
        thick = rng.uniform(0.5, 1.4)
        down, across = (strength * _lines(length, every, thick, rng.uniform(0, every)) for length in (height, width))
        grid = np.maximum(grid, np.maximum(down[:, np.newaxis], across[np.newaxis]))
    paper[top:bottom, left:right] -= (grid[..., np.newaxis] * colour)[top:bottom, left:right]
    keep: list[Box] = []
    labels: list[Written] = []
    rows, columns = int(rng.integers(1, 6)), int(rng.choice((1, 2, 4)))
    face, size = lettering.print_font(rng), int(rng.choice((12, 14, 16, 20, 24)))
    ink, thick = float(rng.uniform(0, 110)), int(rng.integers(1, 4))
    tall = (bottom - top) // max(1, rows)
    for row in range(rows):
        middle = top + row * tall + tall // 2
        swing = tall * float(rng.uniform(0.15, 0.5))
        curve = _curve(rng, right - left)
        points = np.stack([np.arange(left, right), middle - curve * swing], axis=1).astype(np.int32)
        cv2.polylines(paper, [points], False, (ink,) * 3, thick, cv2.LINE_AA)
        keep.append((left, max(0, int(middle - swing)), right - left, int(1.3 * swing) + 4))
        if rng.random() < 0.5:  # the pulse of one millivolt
            x, tip = right - int(6 * step), int(middle - 10 * step)
            pulse = [
                (x - int(2 * step), middle),
                (x, middle),
                (x, tip),
                (x + int(4 * step), tip),
                (x + int(4 * step), middle),
            ]
            cv2.polylines(paper, [np.array(pulse, np.int32)], False, (ink,) * 3, thick, cv2.LINE_AA)
        for column in range(columns):
            x = left + column * (right - left) // columns + int(rng.integers(2, 12))
            if column and rng.random() < 0.5:
                cv2.line(paper, (x - 6, middle - size), (x - 6, middle + size), (ink,) * 3, 2)
            labels += _label(paper, rng, face, size, (x, int(middle - swing * rng.uniform(0.3, 1.0)) - size), ink)
    room = ((0, 0, width, max(30, top)), (0, min(bottom, height - 30), width, height - min(bottom, height - 30)))
    return grounds.Ground(paper, room, tuple(keep), dark_ink=True, contrasts=(60, 120, 200)), labels


def _lines(length: int, every: float, thick: float, start: float) -> npt.NDArray[np.float32]:
    """How much of each pixel of a row lies under lines that come every so many pixels."""
    away = np.abs((np.arange(length) - start + every / 2) % every - every / 2)
    return np.asarray(np.clip(thick / 2 + 0.5 - away, 0, 1), np.float32)


def _curve(rng: np.random.Generator, length: int) -> npt.NDArray[np.float32]:
    """Beats, a slow wave, or noise; between -1 and 1."""
    at = np.arange(length, dtype=np.float32)
    kind = rng.random()
    if kind < 0.7:
        period = float(rng.uniform(50, 260))
        phase = at % period / period
        curve = np.zeros(length, np.float32)
        for centre, wide, high in (
            (0.2, 0.03, 0.15),
            (0.36, 0.012, -0.3),
            (0.4, 0.014, 1.0),
            (0.45, 0.015, -0.5),
            (0.7, 0.06, 0.3),
        ):
            curve += high * float(rng.uniform(-0.6, 1.2)) * np.exp(-(((phase - centre) / wide) ** 2))
    elif kind < 0.85:
        curve = np.sin(at / float(rng.uniform(5, 60))) * np.sin(at / 200)
    else:
        curve = np.cumsum(rng.normal(0, 0.05, length)).astype(np.float32)
    return np.clip(curve + rng.normal(0, 0.01, length), -1, 1).astype(np.float32)


def _label(
    paper: grounds.Levels,
    rng: np.random.Generator,
    face: tuple[str, str],
    size: int,
    place: tuple[int, int],
    ink: float,
) -> list[Written]:
    """The name of a lead, where there is room for it."""
    name = LEADS[int(rng.integers(len(LEADS)))]
    alpha = lettering.ink(name, face, size)
    (x, y), (high, wide) = place, alpha.shape
    if y < 0 or x < 0 or y + high > paper.shape[0] or x + wide > paper.shape[1]:
        return []
    spot = paper[y : y + high, x : x + wide]
    spot += (ink - spot) * alpha[..., np.newaxis]
    corners = np.array([(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)], np.float32)
    return [Written(name, "label", size, 150, 0, corners)]
