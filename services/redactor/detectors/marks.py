"""Reads short lines: which may stay because they are clinical marks, and whether something is lettering at all.

A mark tells what the picture shows (side, projection, lead, scale, exposure) and nothing of whom. It stays only where
it is read surely and stands alone. PP-OCRv6 (small) recognition, Apache-2.0. What was read is never kept or logged.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.redactor.detectors import Pixels, resized, turned
from services.redactor.inference import Engine
from services.redactor.pixels.header import matched
from services.redactor.weights import TEXT_RECOGNITION
from shared.events import Box

SIDES = {"L", "R", "G", "D", "LT", "RT", "LEFT", "RIGHT", "LINKS", "RECHTS", "GAUCHE", "DROITE"}
PROJECTIONS = {"AP", "PA", "LAT", "LL", "RL", "OBL", "LAO", "RAO", "LPO", "RPO", "AX", "CC", "MLO", "RCC", "LCC"}
LEADS = {"I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"}
MARKS = frozenset(SIDES | PROJECTIONS | LEADS)
"""Side, projection and the leads of an ECG. Not ERECT, MOBILE and their like: they tell of the ward rather than of the
patient's body, and a person can give them back."""

MEASURE = re.compile(r"(KVP?|MAS|MGY)[:=]?\d{1,3}([.,]\d{1,2})?|\d{1,3}([.,]\d{1,2})?(KVP?|MAS|MGY|MM|CM|HZ|MHZ)")
"""A scale or an exposure: a number with its unit, and no other word. Not a bare number: it may be a room or a case."""

LEAD = re.compile(r"[1IL|]? ?(AV[RLF]|V[1-6])")
"""The name of an ECG's lead, with the tick that stands before it on the paper."""

ROMAN = str.maketrans({"Ⅰ": "I", "Ⅱ": "II", "Ⅲ": "III", "−": "-", "–": "-"})

MARK_SHAPE = 6  # a mark is at most this much wider than tall
SMALLEST_MARK_PX = 8
TIGHTER = 0.2
"""The box of what may be a mark is read this part of its height tighter, too: neighbours and curves reach into it."""

SHORT_WORD, LONG_WORD, HALF_WORD = 2, 3, 4
LEGIBLE = 0.6
"""Something is lettering when so many letters are read in it, each at least this surely, one way up or another."""

NARROWEST = 0.25
"""A letter takes at least this part of its line's height in width."""

LEAD_SURE = 0.7
"""A lead's name looks like no patient's, and stands among the squares of the paper, where nothing is read surely."""


@dataclass(frozen=True)
class Reading:
    """A line as read, and the lowest score among its letters (0 where nothing was read)."""

    text: str
    sure: float

    @property
    def mark(self) -> str:
        """The words as they stand in `MARKS`."""
        return " ".join(word.strip(".,:()[]") for word in self.text.translate(ROMAN).upper().split())


class Reader:
    """Reads pictures of single lines, many in one go."""

    HEIGHT_PX = 48
    WIDTHS_PX, PAPER_WIDTHS_PX = 64, 160
    """Lines of about the same width are read together: each is padded to a multiple of this, which costs as if it were
    lettering. On white paper to more: with less around it, lettering is read into the trace of an ECG."""
    WIDEST_PX = 960

    def __init__(self, engine: Engine, threshold: float) -> None:
        self._network = engine.network(TEXT_RECOGNITION)
        listed = self._network.metadata["character"]
        self._letters = ["", *listed.splitlines(), " "]  # 0 is the blank between letters
        self._threshold = threshold

    def marks(self, pixels: Pixels, boxes: Sequence[Box], words: frozenset[str], *, paper: bool) -> list[bool]:
        """For each box whether it holds a clinical mark and nothing else; a number with a unit is one, but on paper.

        Read as found and, where that is a mark or unsure, tighter: one of the two says a mark, and whatever else
        the tighter one says surely is a part of it. What the header says of the patient (`words`) is never a mark.
        """
        short = [box for box in boxes if box[2] <= MARK_SHAPE * box[3] and min(box[2:]) >= SMALLEST_MARK_PX]
        found = self.read([_crop(pixels, box, 0.0) for box in short], paper=paper)
        likely = [
            (box, reading)
            for box, reading in zip(short, found, strict=True)
            if reading.sure < self._threshold or self._is_sure_mark(reading, paper=paper)
        ]
        closer = self.read([_crop(pixels, box, TIGHTER) for box, _ in likely], paper=paper)
        stays = set()
        for (box, reading), other in zip(likely, closer, strict=True):
            both = (reading, other)
            good = [each.mark for each in both if self._is_sure_mark(each, paper=paper)]
            sure = [each.mark for each in both if each.sure >= self._threshold]
            named = any(matched(each.text, words) for each in both)
            if good and not named and all(mark in good or any(mark in each for each in good) for mark in sure):
                stays.add(box)
        return [box in stays for box in boxes]

    def _is_sure_mark(self, reading: Reading, *, paper: bool) -> bool:
        """Whether a mark is read surely; the name of an ECG's lead need be less sure."""
        if reading.sure >= self._threshold and _is_mark(reading.mark, measures=not paper):
            return True
        return reading.sure >= LEAD_SURE and bool(LEAD.fullmatch(reading.mark))

    def holds(self, level: Pixels, words: frozenset[str]) -> bool:
        """Whether one of `words` is read in this picture of one line, whichever way up it was written."""
        return any(matched(each.text, words) for each in self.read([turned(level, turn) for turn in range(4)]))

    def legible(self, level: Pixels, letters: int = LONG_WORD, sure: float = LEGIBLE, *, paper: bool = False) -> bool:
        """Whether at least so many letters are read in this picture of one line, whichever way up it was written.

        A turn in which the line is too narrow for so many letters is not read: the narrowest, with what is between it
        and the next, is a quarter as wide as the line is high.
        """
        height, width = level.shape[:2]
        room = [NARROWEST * letters * high <= wide for wide, high in ((width, height), (height, width))]
        turns = [turn for turn in range(4) if room[turn % 2]]
        readings = self.read([turned(level, turn) for turn in turns], paper=paper)
        return any(len(_bare(each.text)) >= letters and each.sure >= sure for each in readings)

    def read(self, crops: Sequence[Pixels], *, paper: bool = False) -> list[Reading]:
        """Each line in turn. Never log or send what comes back."""
        step = self.PAPER_WIDTHS_PX if paper else self.WIDTHS_PX
        by_width: dict[int, list[int]] = {}
        ready = []
        for index, crop in enumerate(crops):
            wide = min(self.WIDEST_PX, max(16, round(crop.shape[1] * self.HEIGHT_PX / crop.shape[0])))
            ready.append(resized(np.ascontiguousarray(crop), (wide, self.HEIGHT_PX)))
            by_width.setdefault(-(-wide // step) * step, []).append(index)
        readings = [Reading("", 0.0)] * len(crops)
        for width, members in by_width.items():
            batch = np.zeros((len(members), 3, self.HEIGHT_PX, width), np.float32)
            for row, index in enumerate(members):
                line = ready[index]
                channels = line if line.ndim == 2 else line.transpose(2, 0, 1)[::-1]
                batch[row, :, :, : line.shape[1]] = channels.astype(np.float32) / 127.5 - 1.0
            for index, steps in zip(members, self._network.run(batch)[0], strict=True):
                readings[index] = self._decoded(steps.argmax(axis=1).tolist(), steps.max(axis=1).tolist())
        return readings

    def _decoded(self, best: list[int], scores: list[float]) -> Reading:
        word, lowest, last = "", 1.0, 0
        for letter, score in zip(best, scores, strict=True):
            if letter and letter != last:
                word += self._letters[letter] if letter < len(self._letters) else "?"
                lowest = min(lowest, score)
            last = letter
        return Reading(word.strip(), lowest if word.strip() else 0.0)


def _is_mark(words: str, *, measures: bool) -> bool:
    if measures and MEASURE.fullmatch(words.replace(" ", "")):
        return True
    return bool(words) and all(word in MARKS for word in words.split())


def _bare(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())


def _crop(pixels: Pixels, box: Box, tighter: float) -> Pixels:
    left, top, width, height = box
    less = round(min(width, height) * tighter / 2)
    return pixels[top + less : top + height - less, left + less : left + width - less]
