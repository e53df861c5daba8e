"""Burned-in text: PP-OCRv6 (small) finds it; its reader is asked only which short marks may stay.

Everything written goes, since a word tells nothing of its own harm: a number may be a room or a patient. Only a
clinical mark standing alone (side, projection, position) is given back, and only when it is read surely.
PP-OCRv6: Apache-2.0. The map is turned into boxes as the paper on Differentiable Binarization does it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from services.redactor.detectors import Pixels, on_grid, resized, scaled, session, to_box, turned_back
from services.redactor.domain import merged, overlap
from services.redactor.weights import TEXT_DETECTION, TEXT_RECOGNITION
from shared.events import Box, Region, RegionKind

PHOTO_SIDE_PX = 960
"""Longer side on which text is sought in a colour photo."""

RADIOGRAPH_SIDE_PX = 1536
"""The same for radiographs, ECGs and other grey or white-paper pictures: their lettering is small."""

LARGEST_GROWTH = 2.0
GROWTH_OF_BOX = 1.6
"""The map marks the core of a line; this ratio (of area to outline) brings back its full height."""

SMALLEST_CORE_PX = 2.0
STEEP = 0.12  # |sin| of the angle from which a slanted line is covered piece by piece and not by one great box

TALL = 0.15
"""A line taller than this part of the picture is more often an organ, a wound or a limb than lettering."""

LEGIBLE = 0.3

SIDES = {"L", "R", "G", "D", "LT", "RT", "LEFT", "RIGHT", "LINKS", "RECHTS", "GAUCHE", "DROITE"}
PROJECTIONS = {"AP", "PA", "LAT", "LL", "RL", "OBL", "LAO", "RAO", "LPO", "RPO", "AX", "CC", "MLO", "RCC", "LCC"}
POSITIONS = {"ERECT", "SUPINE", "PRONE", "UPRIGHT", "STANDING", "SITTING", "DEBOUT", "ASSIS", "PORTABLE", "MOBILE"}
LEADS = {"I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"}
MARKS = frozenset(SIDES | PROJECTIONS | POSITIONS | LEADS)
"""Side, projection, position, and the leads of an ECG: they identify no one and change what the picture means."""


class Text:
    """Lines and words anywhere in the picture, upright or turned, less the clinical marks."""

    detector = "ppocrv6-det-small-3.10.0"

    def __init__(self, weights: Path, *, pixel: float, box: float, mark: float) -> None:
        self._network = session(weights / TEXT_DETECTION)
        self._reader = MarkReader(weights, mark)
        self._pixel, self._box = pixel, box

    def detect(self, pixels: Pixels, side_px: int | None = None, turns: tuple[int, ...] = (0, 1)) -> list[Region]:
        """Text regions; `side_px` None: chosen by the look of the picture. See `Finder`."""
        side_px = side_px or (RADIOGRAPH_SIDE_PX if looks_like_print(pixels) else PHOTO_SIDE_PX)
        small, factor = scaled(pixels, side_px, largest_growth=LARGEST_GROWTH)
        small = on_grid(small)
        regions = []
        for turn in turns:
            for edges, score in self._one_turn(np.ascontiguousarray(np.rot90(small, turn))):
                edges = turned_back(edges[np.newaxis], turn, small.shape[1], small.shape[0])[0] / factor
                box = to_box(edges, pixels.shape[1], pixels.shape[0])
                if box is not None:
                    score = round(min(1.0, score), 3)
                    regions.append(Region(kind=RegionKind.TEXT, box=box, score=score, detector=self.detector))
        regions = merged([region for region in regions if self._could_be_text(pixels, region)])
        return [region for region in regions if not self._may_stay(pixels, region, regions)]

    def _one_turn(self, pixels: Pixels) -> Iterator[tuple[npt.NDArray[np.float32], float]]:
        tensor = pixels.transpose(2, 0, 1)[np.newaxis].astype(np.float32) / 127.5 - 1.0
        likely = self._network.run(None, {"x": np.ascontiguousarray(tensor)})[0][0, 0]
        core = cv2.dilate((likely > self._pixel).astype(np.uint8), np.ones((2, 2), np.uint8))
        outlines, _ = cv2.findContours(core, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        for outline in outlines:
            slanted = cv2.minAreaRect(outline)
            if min(slanted[1]) < SMALLEST_CORE_PX:
                continue
            score = _mean_inside(likely, np.asarray(cv2.boxPoints(slanted), np.float32))
            if score >= self._box:
                for edges in _pieces(slanted):
                    yield edges, score

    def _could_be_text(self, pixels: Pixels, region: Region) -> bool:
        """Lines of usual height are believed. A "line" as tall as anatomy is erased only if something is legible."""
        shorter = min(region.box[2], region.box[3])
        if shorter < TALL * min(pixels.shape[:2]):
            return True
        return any(self._reader.legible(pixels, region.box, turn) for turn in (0, 1, 3))

    def _may_stay(self, pixels: Pixels, region: Region, regions: list[Region]) -> bool:
        left, top, width, height = region.box
        if width > 6 * height or min(width, height) < 8:
            return False
        # Letters beside a mark are a technologist's initials, or the mark is the first letter of a name.
        around: Box = (left - 2 * height, top - height // 2, width + 4 * height, 2 * height)
        alone = all(other is region or not overlap(around, other.box) for other in regions)
        return alone and self._reader.is_mark(pixels, region.box)


class MarkReader:
    """Reads one short box and says whether it holds a clinical mark and nothing else."""

    HEIGHT_PX = 48

    def __init__(self, weights: Path, threshold: float) -> None:
        self._network = session(weights / TEXT_RECOGNITION)
        listed = self._network.get_modelmeta().custom_metadata_map["character"]
        self._letters = ["", *listed.splitlines(), " "]  # 0 is the blank between letters
        self._threshold = threshold

    def is_mark(self, pixels: Pixels, box: Box) -> bool:
        """True only when every letter is read at the threshold or above and the word is in `MARKS`."""
        word, sure = self.read(pixels, box)
        return sure >= self._threshold and word.strip(" .:()[]").upper() in MARKS

    def legible(self, pixels: Pixels, box: Box, turn: int = 0) -> bool:
        """Whether at least two letters are read in the box, turned by quarter turns, with some confidence."""
        left, top, width, height = box
        crop = np.rot90(pixels[top : top + height, left : left + width], turn)
        word, sure = self.read(crop, (0, 0, crop.shape[1], crop.shape[0]))
        return len(word.strip()) >= 2 and sure >= LEGIBLE

    def read(self, pixels: Pixels, box: Box) -> tuple[str, float]:
        """The word in `box` and the lowest score among its letters. Never log or send the word."""
        left, top, width, height = box
        crop = pixels[top : top + height, left : left + width]
        wide = max(16, round(width * self.HEIGHT_PX / height))
        crop = resized(np.ascontiguousarray(crop), (wide, self.HEIGHT_PX))
        tensor = np.zeros((1, 3, self.HEIGHT_PX, max(wide, 160)), np.float32)
        tensor[0, :, :, :wide] = crop.transpose(2, 0, 1)[::-1].astype(np.float32) / 127.5 - 1.0
        steps = self._network.run(None, {"x": tensor})[0][0]
        best, scores = steps.argmax(axis=1), steps.max(axis=1)
        word, lowest, last = "", 1.0, 0
        for letter, score in zip(best, scores, strict=True):
            if letter and letter != last:
                word += self._letters[letter] if letter < len(self._letters) else "?"
                lowest = min(lowest, float(score))
            last = letter
        return word, lowest if word else 0.0


def looks_like_print(pixels: Pixels) -> bool:
    """Whether the picture is grey (a radiograph, a scan) or mostly white paper (an ECG, a letter, a report)."""
    small = cv2.resize(pixels, (128, 128), interpolation=cv2.INTER_AREA)
    spread = small.max(axis=2).astype(np.int16) - small.min(axis=2)
    return bool(np.percentile(spread, 95) < 24 or np.mean(small.min(axis=2) > 190) > 0.5)


def _mean_inside(likely: npt.NDArray[np.float32], corners: npt.NDArray[np.float32]) -> float:
    height, width = likely.shape
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, (width - 1, height - 1))
    inside = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(inside, [np.round(corners - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(likely[top : bottom + 1, left : right + 1], inside)[0])


def _pieces(slanted: Any) -> Iterator[npt.NDArray[np.float32]]:
    """Upright boxes (left, top, right, bottom) that cover a slanted line, grown from its core to its full height."""
    centre, (across, down), angle = slanted
    grow = GROWTH_OF_BOX * across * down / (2 * (across + down))
    across, down = across + 2 * grow, down + 2 * grow
    if across < down:
        across, down, angle = down, across, angle + 90
    along = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    slope = min(abs(along))
    count = 1 if slope < STEEP else max(1, round(across / down))
    for index in range(count):
        shift = (index + 0.5) / count - 0.5
        middle = np.array(centre) + along * across * shift
        corners = cv2.boxPoints((tuple(middle), (across / count, down), angle))
        yield np.concatenate([corners.min(axis=0), corners.max(axis=0)]).astype(np.float32)
