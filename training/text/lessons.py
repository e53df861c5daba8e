"""Draws the lessons: pictures with lettering in every turn, and the map that the network is to give for them.

What the network learns from is what two passes of the original see, upright and lying, at the picture's own size; where
something was written that neither saw, the core of that line is drawn into the map; where nothing was written, the map
is emptied. On photographs without lettering of ours the original's two passes are believed as they are.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from services.redactor.detectors import NEARLY_GREY, Pixels, colourless, on_grid, scaled, single, to_tensor, turned
from services.redactor.detectors.text import (
    FILM,
    LARGEST_GROWTH,
    MARGIN_PX,
    PAPER,
    PHOTO,
    continued,
    evened,
    looks_like_paper,
)
from services.redactor.inference import EngineKind, make_engine
from tests.scenes import grounds, text
from training.tattoos.scenes import scene as skin_scene
from training.tattoos.sources import Sources, load
from training.text.recorders import recorder

SEED = 20_261_122
PROCESSES = 2
Work = Callable[[Path, Path, Path, Sequence[int]], None]
"""Writes lessons: the folder, the network's file, the folder of sources, the lessons' numbers."""

LARGEST_PX = 1120
"""Lessons are cut to this: of a larger picture a part is enough."""

CORE = 0.4
"""Height of a line's core, in parts of the line's."""

AROUND = 0.6
"""How far beyond a line's ink the original's map is believed, in heights of the line."""

HIGHEST_CORE_PX = 72
SEEN = 0.45

SPARSE = 2400
"""Lessons of lower numbers have single words; from here on blocks of close lines as well."""

RECORDERS = 4000
"""From here on most are the paper of recorders, with grids of all kinds, and many are small pictures."""

NUMBERS = (*range(865), *range(2400, 3291), *range(4000, 4600))
QUICK_NUMBERS = NUMBERS[::100]
"""The lessons that are learned from."""

LEGIBLE_PX = 7
"""Letters of a lower font, in a picture that was made smaller, are no lettering any more."""

KINDS = (
    ("radiograph", 0.24),
    ("ct", 0.11),
    ("ultrasound", 0.11),
    ("ecg", 0.1),
    ("monitor", 0.07),
    ("wristband", 0.05),
    ("paper", 0.1),
    ("lettered photo", 0.12),
    ("photo", 0.1),
)
BY_HAND = 0.15


@dataclass(frozen=True)
class Lesson:
    """`shown` and `plain`: height x width x 1 or 3, with and without evened contrast; `wanted`: the map, 0 to 255."""

    shown: Pixels
    plain: Pixels
    wanted: Pixels


class Teacher:
    """The original network in two passes."""

    def __init__(self, original: Path) -> None:
        self._network = make_engine(EngineKind.OPENVINO, original.parent).network(original.name)

    def map(self, shown: Pixels, turn: int) -> npt.NDArray[np.float32]:
        """Height x width of `shown`, 0 to 1."""
        around = on_grid(continued(shown, mirrored=not turn))
        found = self._network.run(to_tensor(turned(around, turn), scale=1 / 127.5, shift=-1.0))[0][0, 0]
        back = np.rot90(found, -turn)
        return np.ascontiguousarray(
            back[MARGIN_PX : MARGIN_PX + shown.shape[0], MARGIN_PX : MARGIN_PX + shown.shape[1]]
        )


def lesson(number: int, teacher: Teacher, sources: Sources) -> Lesson:
    """The lesson of this number: always the same."""
    rng = np.random.default_rng((SEED, 77, number))
    kind = str(rng.choice([name for name, _ in KINDS], p=[share for _, share in KINDS]))
    written: tuple[text.Written, ...] | None
    if number >= RECORDERS:
        kind = "ecg" if rng.random() < 0.75 else str(rng.choice(("paper", "ct", "ultrasound", "photo")))
    if kind == "photo":
        pixels, written = photo(rng, sources), None
    else:
        if kind == "ecg" and number >= RECORDERS:
            ground, labels = recorder(rng)
        else:
            labels = []
            ground = _photo_ground(rng, sources) if kind == "lettered photo" else text.GROUNDS[kind](rng)
        blocks = int(rng.integers(1, 5)) if number >= SPARSE else 0
        made = text.scene(kind, ground, rng, bool(rng.random() < BY_HAND) and not blocks, blocks)
        pixels, written = made.pixels, (*made.written, *labels)
    if number >= RECORDERS and rng.random() < 0.7:
        part = float(rng.uniform(0.4, 0.9))
        pixels = np.asarray(cv2.resize(pixels, None, fx=part, fy=part, interpolation=cv2.INTER_AREA), np.uint8)
        if written is not None:
            written = tuple(
                replace(line, corners=line.corners * np.float32(part), height=round(line.height * part))
                for line in written
            )
    turn = int(rng.integers(4)) if rng.random() < 0.3 else 0
    height, width = pixels.shape[:2]
    pixels = turned(pixels, turn)
    paper = looks_like_paper(pixels)
    small_print = paper or colourless(pixels, NEARLY_GREY)
    scale = (PAPER if paper else FILM) if small_print else PHOTO
    plain = single(pixels)
    shown = evened(plain) if small_print else plain
    side = round(scale.side_px(pixels) / scale.part)  # where the original looks
    plain, factor = scaled(plain, side, largest_growth=LARGEST_GROWTH)
    shown, _ = scaled(shown, side, largest_growth=LARGEST_GROWTH)
    lines = None
    if written is not None:
        lines = [
            (_turned(line.corners, turn, width, height) * factor, 45 < (line.turn + 90 * turn) % 180 < 135)
            for line in written
            if line.height >= LEGIBLE_PX
        ]
    (top, left), (bottom, right) = _window(rng, plain.shape, lines)
    plain, shown = plain[top:bottom, left:right], shown[top:bottom, left:right]
    upright, lying = teacher.map(shown, 0), teacher.map(plain, 1)
    wanted = np.maximum(upright, lying)
    if lines is not None:
        moved = [(corners - np.array([left, top], np.float32), lies) for corners, lies in lines]
        wanted = corrected(upright, lying, moved)
    else:
        wanted = lines_only(upright if small_print else wanted)
    whole = np.round(wanted * 255).astype(np.uint8)
    return Lesson(np.ascontiguousarray(shown), np.ascontiguousarray(plain), whole)


def corrected(
    upright: npt.NDArray[np.float32], lying: npt.NDArray[np.float32], lines: list[tuple[npt.NDArray[np.float32], bool]]
) -> npt.NDArray[np.float32]:
    """Each line as the pass saw it that reads in its direction (the other joins lines that stand close together),
    nothing where nothing was written, and the cores of lines that were not seen."""
    wanted = np.zeros_like(upright)
    for seen, direction in ((upright, False), (lying, True)):
        near = np.zeros(seen.shape, np.uint8)
        cores = np.zeros_like(seen)
        for corners, lies in lines:
            if lies is not direction:
                continue
            centre, (across, down), angle = cv2.minAreaRect(corners.astype(np.float32))
            if across < down:
                across, down, angle = down, across, angle + 90
            grown = (across + 2 * AROUND * down + 8, down + 2 * AROUND * down + 8)
            _filled(near, (centre, grown, angle), 1)
            core: Any = (centre, (max(3.0, across - (1 - CORE) * down), max(3.0, CORE * down)), angle)
            place = np.zeros(seen.shape, np.uint8)
            _filled(place, core, 1)
            if place.any() and float(seen[place > 0].mean()) < SEEN:
                cores[place > 0] = 1.0
        wanted = np.maximum(wanted, np.maximum(seen * near, cores))
    return wanted


def lines_only(seen: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The map without what is too high for a line: the original takes some textures for one piece of lettering."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((seen > 0.1).astype(np.uint8))
    large = [number for number in range(1, len(stats)) if min(stats[number][2:4]) > HIGHEST_CORE_PX]
    high = [
        number
        for number in large
        if min(cv2.minAreaRect(cv2.findNonZero((labels == number).astype(np.uint8)))[1]) > HIGHEST_CORE_PX
    ]
    return np.where(np.isin(labels, high), np.float32(0), seen)


def _filled(target: npt.NDArray[np.uint8], rectangle: Any, value: int) -> None:
    cv2.fillPoly(target, [np.round(cv2.boxPoints(rectangle) * 8).astype(np.int32)], value, shift=3)


def _turned(corners: npt.NDArray[np.float32], turn: int, width: int, height: int) -> npt.NDArray[np.float32]:
    """Where the corners are after `np.rot90(picture, turn)` of a picture of this size."""
    x, y = corners.T
    return np.stack(((x, y), (y, width - x), (width - x, height - y), (height - y, x))[turn], axis=1)


def _window(
    rng: np.random.Generator, shape: tuple[int, ...], lines: list[tuple[npt.NDArray[np.float32], bool]] | None
) -> tuple[tuple[int, int], tuple[int, int]]:
    """A part of the picture, preferably with a line in it."""
    around = lines[int(rng.integers(len(lines)))][0].mean(axis=0) if lines else np.array(shape[1::-1]) / 2
    edges = []
    for length, middle in zip(shape[:2], around[::-1], strict=True):
        size = min(length, LARGEST_PX)
        start = int(np.clip(middle - size * rng.uniform(0.15, 0.85), 0, length - size))
        edges.append((start, start + size))
    return (edges[0][0], edges[1][0]), (edges[0][1], edges[1][1])


def photo(rng: np.random.Generator, sources: Sources) -> Pixels:
    """A free photograph, a part of one, or painted skin with and without a tattoo; sometimes in grey."""
    if rng.random() < 0.5:
        made = skin_scene(rng, sources).pixels
        side = int(rng.integers(600, 1200))
        pixels = np.asarray(cv2.resize(made, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)
    else:
        base = sources.photos[int(rng.integers(len(sources.photos)))]
        height, width = (round(side * rng.uniform(0.5, 1.0)) for side in base.shape[:2])
        top, left = int(rng.integers(base.shape[0] - height + 1)), int(rng.integers(base.shape[1] - width + 1))
        part = turned(base[top : top + height, left : left + width], int(rng.integers(4)))
        grow = rng.uniform(900, 1400) / max(part.shape[:2])
        pixels = np.asarray(cv2.resize(part, None, fx=grow, fy=grow, interpolation=cv2.INTER_CUBIC), np.uint8)
    if rng.random() < 0.2:
        pixels = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., np.newaxis], 3, axis=2)
    noise = rng.normal(0, rng.uniform(0.5, 4), pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def _photo_ground(rng: np.random.Generator, sources: Sources) -> grounds.Ground:
    """A photograph to write on."""
    levels = photo(rng, sources).astype(np.float32)
    height, width = levels.shape[:2]
    return grounds.Ground(levels, ((0, 0, width, height),), contrasts=(60, 120, 200), blur=float(rng.uniform(0, 0.8)))


def write(target: Path, network: Path, sources: Path, numbers: Sequence[int]) -> Iterator[int]:
    """Writes the lessons of these numbers that are not there yet, each as PNGs in one .npz; yields each number."""
    cv2.setNumThreads(1)
    teacher, loaded = Teacher(network), load(sources)
    target.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        place = target / f"{number:05}.npz"
        if not place.exists():
            made = lesson(number, teacher, loaded)
            packed = {
                name: cv2.imencode(".png", part, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
                for name, part in (("shown", made.shown), ("plain", made.plain), ("wanted", made.wanted))
            }
            written = place.with_suffix(".part.npz")
            np.savez(written, allow_pickle=False, **packed)
            written.rename(place)
        yield number


def write_all(target: Path, network: Path, sources: Path, numbers: Sequence[int]) -> None:
    """These lessons, shared among processes."""
    in_processes(_write_part, target, network, sources, numbers)


def in_processes(work: Work, target: Path, network: Path, sources: Path, numbers: Sequence[int]) -> None:
    """`work` in `PROCESSES`, each with its part of the numbers. Exits where one of them fails."""
    context = multiprocessing.get_context("spawn")
    parts = [
        context.Process(target=work, args=(target, network, sources, numbers[first::PROCESSES]))
        for first in range(PROCESSES)
    ]
    for part in parts:
        part.start()
    for part in parts:
        part.join()
        if part.exitcode:
            raise SystemExit(part.exitcode)


def _write_part(target: Path, network: Path, sources: Path, numbers: Sequence[int]) -> None:
    for _ in write(target, network, sources, numbers):
        pass
