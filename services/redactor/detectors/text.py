"""Burned-in text: PP-OCRv6 (small) finds it; its reader is asked only which short marks may stay.

Everything written goes, since a word tells nothing of its own harm: a number may be a room or a patient. Only a
clinical mark standing alone (side, projection, lead) is given back, and only when it is read surely.
PP-OCRv6: Apache-2.0. The map is turned into boxes as the paper on Differentiable Binarization does it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from services.redactor.detectors import Pixels, on_grid, resized, scaled, to_box, to_tensor, turned, turned_back
from services.redactor.domain import area, merged, overlap
from services.redactor.inference import Engine
from services.redactor.weights import TEXT_DETECTION, TEXT_RECOGNITION
from shared.events import Box, Region, RegionKind

PHOTO_SIDE_PX = 960
"""Longer side on which text is sought in a colour photo."""

RADIOGRAPH_SIDE_PX = 1536
"""The same for radiographs, ECGs and other grey or white-paper pictures: their lettering is small."""

LYING_SCALE = 0.8
"""The pass on the lying picture finds vertical lines and costs as much as the upright one: a little less will do."""

LARGEST_GROWTH = 2.0
GROWTH_OF_BOX = 1.6
"""The map marks the core of a line; this ratio (of area to outline) brings back its full height."""

SMALLEST_CORE_PX = 2.0
STEEP = 0.25  # sine of the angle from which a slanted line is covered piece by piece and not by one great box

USUAL_HEIGHT = 0.06
"""Lines up to this part of the picture's shorter side are believed at the threshold. What is taller is more often an
organ, a wound, a limb or the curve of an ECG, and must look surer..."""

TALL = 0.15
SURE = 0.7
LINE_SHAPE = 2.5  # ... unless it is this much longer than tall

LEGIBLE_LETTERS = 3
LEGIBLE = 0.6
"""... or be read: so many letters, each at least this surely."""

SECOND_DOUBT = 0.1

MARK_SHAPE = 6  # a mark is at most this much wider than tall
SMALLEST_MARK_PX = 8

SIDES = {"L", "R", "G", "D", "LT", "RT", "LEFT", "RIGHT", "LINKS", "RECHTS", "GAUCHE", "DROITE"}
PROJECTIONS = {"AP", "PA", "LAT", "LL", "RL", "OBL", "LAO", "RAO", "LPO", "RPO", "AX", "CC", "MLO", "RCC", "LCC"}
LEADS = {"I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"}
MARKS = frozenset(SIDES | PROJECTIONS | LEADS)
"""Side, projection and the leads of an ECG: they identify no one and change what the picture means. Not ERECT, MOBILE
and their like: they tell of the ward rather than of the patient's body, and a person can give them back."""


class Text:
    """Lines and words anywhere in the picture, upright or turned, less the clinical marks."""

    detector = "ppocrv6-det-small-3.10.0"

    def __init__(self, engine: Engine, *, pixel: float, box: float, mark: float) -> None:
        self._network = engine.network(TEXT_DETECTION)
        self._reader = MarkReader(engine, mark)
        self._pixel, self._box = pixel, box

    def detect(self, pixels: Pixels, small_print: bool | None = None) -> list[Region]:
        """Text regions, sought upright and lying. `small_print` None: told by the look. See `Finder`."""
        if small_print is None:
            small_print = looks_like_print(pixels)
        side_px = RADIOGRAPH_SIDE_PX if small_print else PHOTO_SIDE_PX
        shown = evened(pixels) if small_print else pixels
        found = self._at_scale(shown, side_px, 0) + self._at_scale(pixels, round(side_px * LYING_SCALE), 1)
        return self._without_marks(pixels, found)

    def detect_once(self, pixels: Pixels, side_px: int) -> list[Region]:
        """The same in one pass, upright and at this scale: for a second look.

        On white paper it must be surer: the first look has doubted each curve of an ECG already.
        """
        threshold = self._box + (SECOND_DOUBT if looks_like_paper(pixels) else 0.0)
        found = [region for region in self._at_scale(pixels, side_px, 0) if region.score >= threshold]
        return self._without_marks(pixels, found)

    def _without_marks(self, pixels: Pixels, found: list[Region]) -> list[Region]:
        """The regions to paint. A mark stays only among marks: letters beside it are a technologist's initials, or
        it is the first letter of a name."""
        regions = merged(found)
        marks = [region for region in regions if self._reader.is_mark(pixels, region.box)]
        others = [region for region in regions if region not in marks]
        return others + [mark for mark in marks if any(_beside(mark, other) for other in others)]

    def _at_scale(self, pixels: Pixels, side_px: int, turn: int) -> list[Region]:
        small, factor = scaled(pixels, side_px, largest_growth=LARGEST_GROWTH)
        small = on_grid(small)
        regions = []
        for edges, score in self._lines(turned(small, turn)):
            edges = turned_back(edges[np.newaxis], turn, small.shape[1], small.shape[0])[0] / factor
            box = to_box(edges, pixels.shape[1], pixels.shape[0])
            if box is not None:
                score = round(min(1.0, score), 3)
                regions.append(Region(kind=RegionKind.TEXT, box=box, score=score, detector=self.detector))
        return regions

    def _lines(self, pixels: Pixels) -> Iterator[tuple[npt.NDArray[np.float32], float]]:
        likely = self._network.run(to_tensor(pixels, scale=1 / 127.5, shift=-1.0))[0][0, 0]
        core = cv2.dilate((likely > self._pixel).astype(np.uint8), np.ones((2, 2), np.uint8))
        outlines, _ = cv2.findContours(core, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        for outline in outlines:
            slanted = cv2.minAreaRect(outline)
            if min(slanted[1]) < SMALLEST_CORE_PX:
                continue
            score = _mean_inside(likely, np.asarray(cv2.boxPoints(slanted), np.float32))
            line = _Line.grown(slanted)
            if score >= self._box and self._could_be_text(pixels, line, score):
                for edges in line.pieces():
                    yield edges, score

    def _could_be_text(self, pixels: Pixels, line: "_Line", score: float) -> bool:
        height = line.down / min(pixels.shape[:2])
        if height < USUAL_HEIGHT:
            return True
        if score >= SURE and (height < TALL or line.across >= LINE_SHAPE * line.down):
            return True
        return any(self._reader.legible(line.straightened(pixels, turn)) for turn in (0, 1, 2, 3))


class MarkReader:
    """Reads one short box and says whether it holds a clinical mark and nothing else."""

    HEIGHT_PX = 48

    def __init__(self, engine: Engine, threshold: float) -> None:
        self._network = engine.network(TEXT_RECOGNITION)
        listed = self._network.metadata["character"]
        self._letters = ["", *listed.splitlines(), " "]  # 0 is the blank between letters
        self._threshold = threshold

    def is_mark(self, pixels: Pixels, box: Box) -> bool:
        """True only when every letter is read at the threshold or above and every word is in `MARKS`."""
        if box[2] > MARK_SHAPE * box[3] or min(box[2:]) < SMALLEST_MARK_PX:
            return False
        line, sure = self.read(pixels, box)
        words = line.upper().replace(".", " ").split()
        return sure >= self._threshold and bool(words) and all(word.strip(":()[]") in MARKS for word in words)

    def legible(self, line: Pixels) -> bool:
        """Whether a few letters are read in this picture of one line."""
        word, sure = self.read(line, (0, 0, line.shape[1], line.shape[0]))
        return len(word.strip()) >= LEGIBLE_LETTERS and sure >= LEGIBLE

    def read(self, pixels: Pixels, box: Box) -> tuple[str, float]:
        """The word in `box` and the lowest score among its letters. Never log or send the word."""
        left, top, width, height = box
        crop = pixels[top : top + height, left : left + width]
        wide = max(16, round(width * self.HEIGHT_PX / height))
        crop = resized(np.ascontiguousarray(crop), (wide, self.HEIGHT_PX))
        # Few widths: an engine prepares its kernels for each new one.
        tensor = np.zeros((1, 3, self.HEIGHT_PX, max(160, wide + -wide % 32)), np.float32)
        tensor[0, :, :, :wide] = crop.transpose(2, 0, 1)[::-1].astype(np.float32) / 127.5 - 1.0
        steps = self._network.run(tensor)[0][0]
        best, scores = steps.argmax(axis=1), steps.max(axis=1)
        word, lowest, last = "", 1.0, 0
        for letter, score in zip(best, scores, strict=True):
            if letter and letter != last:
                word += self._letters[letter] if letter < len(self._letters) else "?"
                lowest = min(lowest, float(score))
            last = letter
        return word, lowest if word else 0.0


def _beside(mark: Region, other: Region) -> bool:
    """Whether `other` stands on the mark's line, within twice its height, and is not the same thing seen twice."""
    left, top, width, height = mark.box
    around: Box = (left - 2 * height, top - height // 4, width + 4 * height, height + height // 2)
    same = overlap(mark.box, other.box) > 0.5 * area(other.box)
    return bool(overlap(around, other.box)) and not same


def looks_like_print(pixels: Pixels) -> bool:
    """Whether the picture is grey (a radiograph, a scan) or white paper: its lettering may be small and faint."""
    small = resized(pixels, (128, 128))
    spread = small.max(axis=2).astype(np.int16) - small.min(axis=2)
    return bool(np.percentile(spread, 95) < 24) or looks_like_paper(pixels)


def looks_like_paper(pixels: Pixels) -> bool:
    """Whether more than half of the picture is nearly white (an ECG, a letter, a report)."""
    return bool(np.mean(resized(pixels, (128, 128)).min(axis=2) > 190) > 0.5)


def evened(pixels: Pixels) -> Pixels:
    """Local contrast evened out: faint print on a film, 20 to 35 levels above its ground, becomes as clear as the rest.

    On 114 synthetic lines the upright pass alone finds 106 instead of 99 with it.
    """
    grey = cv2.createCLAHE(clipLimit=4.0, tileGridSize=(8, 8)).apply(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    return np.ascontiguousarray(np.repeat(grey[:, :, np.newaxis], 3, axis=2))


def _mean_inside(likely: npt.NDArray[np.float32], corners: npt.NDArray[np.float32]) -> float:
    height, width = likely.shape
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (width - 1, height - 1))
    inside = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(inside, [np.round(corners - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(likely[top : bottom + 1, left : right + 1], inside)[0])


@dataclass(frozen=True)
class _Line:
    """A slanted rectangle: centre, length along the writing, height across it, and the writing's angle in degrees."""

    centre: tuple[float, float]
    across: float
    down: float
    angle: float

    @classmethod
    def grown(cls, slanted: Any) -> "_Line":
        """The full line of a core as `cv2.minAreaRect` gives it."""
        centre, (across, down), angle = slanted
        grow = GROWTH_OF_BOX * across * down / (2 * (across + down))
        across, down = across + 2 * grow, down + 2 * grow
        return cls(centre, across, down, angle) if across >= down else cls(centre, down, across, angle + 90)

    def pieces(self) -> Iterator[npt.NDArray[np.float32]]:
        """Upright boxes (left, top, right, bottom) that cover the line, without the corners it does not reach."""
        along = np.array([np.cos(np.radians(self.angle)), np.sin(np.radians(self.angle))])
        count = 1 if min(abs(along)) < STEEP else max(1, round(self.across / self.down))
        for index in range(count):
            middle = np.array(self.centre) + along * self.across * ((index + 0.5) / count - 0.5)
            corners = cv2.boxPoints((tuple(middle), (self.across / count, self.down), self.angle))
            yield np.concatenate([corners.min(axis=0), corners.max(axis=0)]).astype(np.float32)

    def straightened(self, pixels: Pixels, quarter_turns: int) -> Pixels:
        """The line cut out and laid level, then turned: which way up it was written is not known."""
        size = max(2, round(self.across)), max(2, round(self.down))
        turn = cv2.getRotationMatrix2D(self.centre, self.angle, 1.0)
        turn[:, 2] += np.array(size) / 2 - np.array(self.centre)
        level = np.asarray(cv2.warpAffine(pixels, turn, size), np.uint8)
        return turned(level, quarter_turns)
