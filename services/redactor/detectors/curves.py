"""Tells drawn curves from lettering: an ECG's trace is what the case is about, and its text map looks like a word's."""

import cv2
import numpy as np
import numpy.typing as npt

from services.redactor.detectors import Pixels

CONTRAST = 40.0
"""Grey levels between ink and ground below which nothing is called a curve: faint lettering must not be lost to it."""

COLUMNS = 0.75  # a curve runs through this part of the columns...
ONCE = 0.8  # ... and crosses so many of those once; of 60 real lines of text the highest was 0.65
INK = 0.3  # and it is thin: at most this part of the cut is ink


def is_curve(level: Pixels) -> bool:
    """Whether a line cut out of the picture and laid level is a drawn curve, thin and from edge to edge."""
    ink = _ink(level)
    if ink is None:
        return False
    inked, once = _columns(ink)
    return bool(inked >= COLUMNS and once >= ONCE and ink.mean() <= INK)


def is_stroke(level: Pixels) -> bool:
    """Whether the cut holds one single thin stroke or beat: one connected thing that crosses each column once."""
    ink = _ink(level)
    if ink is None:
        return False
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    sizes = np.sort(stats[1:, cv2.CC_STAT_AREA])[::-1]
    alone = sizes.size == 1 or sizes[1] < 0.1 * sizes[0]
    return bool(alone and _columns(ink)[1] >= ONCE and ink.mean() <= INK)


def _ink(level: Pixels) -> npt.NDArray[np.uint8] | None:
    """1 where ink lies, dark or light; None where it does not stand out. The coloured squares of an ECG's paper are
    light in their brightest channel and do not count."""
    grey = _brightest(level)
    counts = np.bincount(grey.ravel(), minlength=256)
    middle = int(_value(counts, 0.5))
    apart = np.abs(np.arange(256) - middle)
    strongest = _value(np.bincount(apart, counts), 0.99)
    if strongest < CONTRAST:
        return None
    return np.asarray(cv2.LUT(grey, (apart > strongest / 2).astype(np.uint8)), np.uint8)


def _value(counts: npt.NDArray[np.int64] | npt.NDArray[np.float64], part: float) -> float:
    """Of so many values 0, 1, 2... the one below which this part of them lies, between the two that are nearest."""
    up_to = counts.cumsum()
    place = part * (int(up_to[-1]) - 1)
    below, above = np.searchsorted(up_to, (int(place), int(place) + 1), side="right").tolist()
    return float(below + (place - int(place)) * (above - below))


def _brightest(level: Pixels) -> Pixels:
    if level.ndim == 2:
        return level
    red, green, blue = cv2.split(level)  # numpy's own maximum over three values takes twenty times as long
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)


def _columns(ink: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """The part of the columns with ink, and the part of those that one single run of ink crosses."""
    runs = (np.diff(ink.astype(np.int8), axis=0, prepend=0) == 1).sum(axis=0)
    return float((runs > 0).mean()), float((runs == 1).sum() / max(1, (runs > 0).sum()))
