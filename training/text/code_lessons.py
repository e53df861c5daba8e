"""Draws what the map of codes is learned from: pictures with and without codes, as the text network's middle sees them.

The network itself stays as it is, so what it makes of a picture half way is calculated once and kept: the inputs of the
few layers that are taught (see `code_map`). Codes and backgrounds are those of `tests.scenes.codes` under other seeds,
on films, screens, paper and photographs besides; pictures without a code are as many, also such as look like codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import openvino

from services.redactor.detectors import NEARLY_GREY, Pixels, colourless, on_grid, scaled, single, to_tensor, turned
from services.redactor.detectors.code_hints import FIELD_PX
from services.redactor.detectors.text import FILM, LARGEST_GROWTH, PHOTO, continued, evened
from tests.scenes import codes, lettering, text
from training.tattoos.sources import Sources, load
from training.text.lessons import in_processes, photo

FINE, WIDE = "Add.65", "Add.121"
"""The ends of the second and third of the network's four stages, 96 and 192 values in every 8 and every 16 pixels."""

SEED = 20_261_122
NUMBERS = range(3600)
QUICK_NUMBERS = NUMBERS[::220]

WINDOW_PX = 800
"""Longest side of what is kept of a picture, as the network sees it."""

CODED = 0.45  # of the pictures hold codes
KINDS = (("scene", 0.35), ("lettered", 0.45), ("photo", 0.2))
LETTERED = ("radiograph", "radiograph", "radiograph", "ct", "ultrasound", "monitor", "wristband", "paper", "ecg")
"""Grounds of `tests.scenes.text`: lettering, on films above all, is what a code is most often mistaken for."""
MARKED = 0.7  # of the pictures with lettering and of the photos hold such marks
MARK_PX = 24, 220
"""Height of the letters of lead that lie on films, and of their like: what is large and sharp is no code by that."""

LONGEST = 0.28  # of the picture's shorter side: with all its white around and turned, such a label just fits
SHORTEST_PX = 60
CLOSE = 0.35  # of the pictures are taken from so near that a code fills them
CLOSE_SIDES, CLOSE_PX = (1.1, 4.0), 240
"""Sides of such a picture, in those of the code, and the least."""

GREY = 0.35  # of the pictures in colour are shown in grey, as films are


@dataclass(frozen=True)
class Lesson:
    """`fine` (channels x 2 h x 2 w), `wide` (channels x h x w): the network half way. `wanted` (h x w): the part of
    each field that codes cover, 0 to 1."""

    fine: npt.NDArray[np.float16]
    wide: npt.NDArray[np.float16]
    wanted: npt.NDArray[np.float16]


def picture(number: int, sources: Sources) -> tuple[Pixels, Pixels]:
    """The picture of this number, and (height x width) 255 where a code is printed, 0 elsewhere."""
    rng = np.random.default_rng((SEED, 78, number))
    kind = str(rng.choice([name for name, _ in KINDS], p=[share for _, share in KINDS]))
    coded = bool(rng.random() < CODED)
    if kind == "scene":
        grounds = codes.BACKGROUNDS if coded else codes.BACKGROUNDS | codes.LOOKALIKES
        pixels = grounds[str(rng.choice(list(grounds)))](rng)
    elif kind == "lettered":
        name = str(rng.choice(LETTERED))
        pixels = text.scene(name, text.GROUNDS[name](rng), rng, by_hand=False, blocks=int(rng.integers(6))).pixels
    else:
        pixels = photo(rng, sources)
    pixels = np.ascontiguousarray(pixels)
    if kind != "scene" and rng.random() < MARKED:
        lay_marks(pixels, rng)
    covered = np.zeros(pixels.shape[:2], np.uint8)
    longest = LONGEST * min(pixels.shape[:2])
    for _ in range(int(rng.integers(1, 4)) if coded else 0):
        size = int(np.exp(rng.uniform(np.log(SHORTEST_PX), np.log(longest))))
        turn = float(rng.choice((0, 90, 180, 270, rng.uniform(0, 360))))
        tilt = float(rng.choice((0.0, rng.uniform(0, codes.TILT))))
        corners = codes.lay(pixels, str(rng.choice(codes.SYMBOLOGIES)), size, turn, tilt, rng)
        cv2.fillPoly(covered, [np.round(corners * 8).astype(np.int32)], 255, shift=3)
    pixels, covered = worn(pixels, covered, rng)
    pixels = codes.photographed(pixels, str(rng.choice(codes.CONDITIONS)), rng)
    if rng.random() < GREY:
        pixels = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., np.newaxis], 3, axis=2)
    return close_up(pixels, covered, rng) if rng.random() < CLOSE else (pixels, covered)


def lay_marks(pixels: Pixels, rng: np.random.Generator) -> None:
    """Lays one to four marks into the picture, in place: large letters, thin, fat or hollow, alone or in a ring."""
    for _ in range(int(rng.integers(1, 5))):
        words = (lettering.mark, lettering.initials, lettering.place, lettering.date)
        word = words[int(rng.choice(4, p=(0.45, 0.25, 0.2, 0.1)))](rng)
        height = round(float(np.exp(rng.uniform(*np.log(MARK_PX)))))
        alpha = lettering.slanted(_lead(word, height, rng), float(rng.choice((0, 0, 90, 270, rng.uniform(0, 360)))))
        high, wide = alpha.shape
        if high >= pixels.shape[0] or wide >= pixels.shape[1]:
            continue
        top, left = int(rng.integers(pixels.shape[0] - high)), int(rng.integers(pixels.shape[1] - wide))
        there = pixels[top : top + high, left : left + wide]
        share = alpha[..., np.newaxis] * rng.uniform(0.3, 1.0)
        level = int(rng.choice((0, 255, int(rng.integers(256)))))
        there[:] = (there * (1 - share) + level * share).astype(np.uint8)


def _lead(word: str, height: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """The word as an alpha mask, its letters so high."""
    edge = max(2, height // 10)
    alpha = np.pad(lettering.ink(word, lettering.print_font(rng), height), 3 * edge)
    shape = rng.random()
    thin = alpha
    if shape < 0.6:
        alpha = np.asarray(cv2.dilate(alpha, np.ones((edge, edge))), np.float32)
    if 0.4 < shape < 0.6:
        alpha -= cv2.erode(thin, np.ones((3, 3)))
    if rng.random() < 0.2:
        middle = alpha.shape[1] // 2, alpha.shape[0] // 2
        cv2.ellipse(alpha, middle, (middle[0] - edge, middle[1] - edge), 0, 0, 360, (1.0,), edge, cv2.LINE_AA)
    return alpha


def close_up(pixels: Pixels, covered: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """A part of the picture round one of its codes, `CLOSE_SIDES` times its size; without a code, any part."""
    height, width = covered.shape
    count, _, boxes, middles = cv2.connectedComponentsWithStats((covered > 127).astype(np.uint8))
    if count > 1:
        chosen = int(rng.integers(1, count))
        sides = boxes[chosen, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]] * rng.uniform(*CLOSE_SIDES, 2)
        middle = middles[chosen] + sides * rng.uniform(-0.2, 0.2, 2)
    else:
        sides = np.exp(rng.uniform(np.log(CLOSE_PX), np.log(min(width, height)), 2))
        middle = rng.uniform(0, 1, 2) * (width, height)
    spans = []
    for length, side, at in zip((height, width), sides[::-1], middle[::-1], strict=True):
        size = int(np.clip(side, min(CLOSE_PX, length), length))
        start = int(np.clip(at - size / 2, 0, length - size))
        spans.append(slice(start, start + size))
    return np.ascontiguousarray(pixels[spans[0], spans[1]]), np.ascontiguousarray(covered[spans[0], spans[1]])


def worn(pixels: Pixels, covered: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """The picture and its codes as prints really are: bent, shining, white on black, behind a finger."""
    height, width = covered.shape
    if rng.random() < 0.35:
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        far, waves, start = rng.uniform(2, 10, 2), rng.uniform(150, 700, 2), rng.uniform(0, 2 * np.pi, 2)
        from_x = (columns + far[0] * np.sin(rows * 2 * np.pi / waves[0] + start[0])).astype(np.float32)
        from_y = (rows + far[1] * np.sin(columns * 2 * np.pi / waves[1] + start[1])).astype(np.float32)
        pixels, covered = (
            np.asarray(cv2.remap(each, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)
            for each in (pixels, covered)
        )
    if rng.random() < 0.15:
        pixels = 255 - pixels
    prints = cv2.findNonZero(covered)
    if prints is not None and rng.random() < 0.25:
        pixels, covered = pixels.copy(), covered.copy()
        middle = prints.reshape(-1, 2)[int(rng.integers(len(prints)))].tolist()
        axes = [int(length) for length in rng.uniform(10, 80, 2)]
        cover = np.zeros_like(covered)
        cv2.ellipse(cover, middle, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
        if rng.random() < 0.5:  # what shines is faint, and a code still
            soft = cv2.GaussianBlur(cover, (0, 0), 8).astype(np.float32)[..., np.newaxis] / 255
            pixels = (pixels + (250.0 - pixels) * soft * rng.uniform(0.4, 0.9)).astype(np.uint8)
        else:
            pixels[cover > 0] = rng.integers(0, 256, 3)
            covered[cover > 0] = 0
    return pixels, covered


class Halfway:
    """The text network up to where the map of codes branches off."""

    def __init__(self, network: Path) -> None:
        core = openvino.Core()
        settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
        model = core.read_model(str(network))
        branches = [each.get_node() for each in model.add_outputs([FINE, WIDE])]
        self._network = core.compile_model(openvino.Model(branches, model.get_parameters()), "CPU", settings)

    def lesson(self, pixels: Pixels, covered: Pixels, rng: np.random.Generator) -> Lesson:
        """What the network makes of a part of the picture, shown to it as the finder of text shows it."""
        grey = colourless(pixels, NEARLY_GREY)
        plain = single(pixels)
        side_px = (FILM if grey else PHOTO).side_px(pixels)
        small, _ = scaled(evened(plain) if grey else plain, side_px, largest_growth=LARGEST_GROWTH)
        covered, _ = scaled(covered, side_px, largest_growth=LARGEST_GROWTH)
        turn = int(rng.integers(4))
        small, covered = turned(small, turn), turned(covered, turn)
        spans = []
        places = cv2.findNonZero(covered)
        middle = np.array(small.shape[1::-1]) / 2
        if places is not None and rng.random() < 0.9:
            middle = places.reshape(-1, 2)[int(rng.integers(len(places)))]
        for length, at in zip(small.shape[:2], middle[::-1], strict=True):
            size = min(length, WINDOW_PX)
            start = int(np.clip(at - size * rng.uniform(0.1, 0.9), 0, length - size))
            spans.append(slice(start, start + size))
        small, covered = (np.ascontiguousarray(each[spans[0], spans[1]]) for each in (small, covered))
        shown = on_grid(continued(small, mirrored=True))
        below, right = (length - had - 32 for length, had in zip(shown.shape[:2], small.shape[:2], strict=True))
        covered = np.pad(covered, ((32, below), (32, right)))
        fine, wide = self._network(to_tensor(shown, scale=1 / 127.5, shift=-1.0)).to_tuple()
        fields = (covered.shape[1] // FIELD_PX, covered.shape[0] // FIELD_PX)
        wanted = cv2.resize(covered, fields, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        return Lesson(fine[0].astype(np.float16), wide[0].astype(np.float16), wanted.astype(np.float16))


def write_all(target: Path, network: Path, sources: Path, numbers: Sequence[int]) -> None:
    """Writes the lessons of these numbers that are not there yet, shared among processes."""
    in_processes(_write, target, network, sources, numbers)


def _write(target: Path, network: Path, sources: Path, numbers: Sequence[int]) -> None:
    cv2.setNumThreads(1)
    halfway, loaded = Halfway(network), load(sources)
    target.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        place = target / f"{number:05}.npz"
        if not place.exists():
            made = halfway.lesson(*picture(number, loaded), np.random.default_rng((SEED, 79, number)))
            written = place.with_suffix(".part.npz")
            np.savez(written, allow_pickle=False, fine=made.fine, wide=made.wide, wanted=made.wanted)
            written.rename(place)
