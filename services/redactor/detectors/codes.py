"""Machine-readable codes: wristbands, labels and forms carry the patient's number in them.

A reader first: zxing-cpp wants to decode (QR, Aztec, Data Matrix, PDF417, lines). What it misses, small, blurred or
tilted, is found by how it is printed (`code_prints`, our own), and a doubtful place is read once more, enlarged, by
zxing-cpp and by OpenCV's QRCodeDetectorAruco, which stands by for tilted QR codes. Both are Apache-2.0. OpenCV's finder
of bars was left out: of 648 generated scenes it added none.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import zxingcpp

from services.redactor.detectors import Pixels, brightness, resized, to_box, turned
from services.redactor.detectors.code_hints import Part
from services.redactor.detectors.code_prints import GRID_PX, Look, Print, prints
from services.redactor.domain import merged
from shared.events import Box, Region, RegionKind

SIDE_PX = 1600
"""Longer side on which codes are sought: a code of 90 pixels in a picture of this size is still read."""

LARGEST_GROWTH = 2.0

BELIEVED_UNREAD = (zxingcpp.BarcodeFormat.Aztec, zxingcpp.BarcodeFormat.PDF417)
"""Kinds that are believed when their check sum fails. Not QR and Data Matrix: the grid of an ECG's paper is full of
what could be one (87 on the four development ECGs, none of them a code), and spoilt QR codes have a searcher below."""

SQUARE_FORMATS = (
    zxingcpp.BarcodeFormat.QRCode,
    zxingcpp.BarcodeFormat.MicroQRCode,
    zxingcpp.BarcodeFormat.Aztec,
    zxingcpp.BarcodeFormat.DataMatrix,
    zxingcpp.BarcodeFormat.MaxiCode,
)

AS_IT_IS = 0.9  # what would hardly be made smaller to be read is read as large as it is: see `_to_read`

MARGIN = 0.15  # of the longer side: searchers mark the outer bars or corners, print is seldom exact, and paper bends
LINE_MARGIN = 0.25  # readers mark the part of the bars' height that they read, and the number stands below the bars

PRINT_SCORES = {Look.BARS: 0.55, Look.STACKED: 0.5, Look.SQUARES: 0.45, Look.FRAMED: 0.5}
"""How surely a print that nobody could read is a code."""

READ_SCORE, NEARLY_READ_SCORE = 1.0, 0.6

READ_AGAIN = 4  # doubtful places at most, each a few milliseconds
READ_AGAIN_PX = 320  # longer side at which a doubtful place is read again

SQUARE = ("zxing-cpp-3.1", "opencv-qr-aruco-5.0", f"print-{Look.SQUARES}", f"print-{Look.FRAMED}")
"""Detectors of square codes. The others find bars, beside which a number may stand in plain."""

Quad = npt.NDArray[np.float32]
"""4 x 2: corners of a code."""


class Codes:
    """Bar codes, stacked and square codes in any turn."""

    def __init__(self) -> None:
        self._squares = cv2.QRCodeDetectorAruco()

    def detect(self, pixels: Pixels, *, lying: bool = True, parts: Sequence[Part] | None = None) -> list[Region]:
        """Codes that any searcher sees, readable or not. See `Finder`. What they say is never kept.

        `parts`: where to look closely (see `code_hints`); None: everywhere. What the reader reads is believed anywhere,
        what it reads nearly and what is only printed like a code there.

        `lying`: whether bars are read from top to bottom as well, half of the reader's time; else the second look does.
        Lying bars are found by their print anyhow, but a few in perspective (3 of 648 generated scenes), as in photos.
        """
        height, width = pixels.shape[:2]
        factor = _factor(pixels, LARGEST_GROWTH)
        picture_size = round(height * width * factor**2)
        full = brightness(pixels)
        if parts is None:
            found = self._in_part(full, factor, picture_size, None, lying=lying)
            return merged(_regions(found, factor, (0, 0), pixels))
        grey, scale = _to_read(full)
        read = _read(grey, inverted=False, lying=lying)
        regions = _regions([each for each in read if each[1] >= READ_SCORE], scale, (0, 0), pixels)
        for part in parts:
            left, top, across, down = _on_grid(part.box, factor, width, height)
            x, y, wide, high = (round(length * factor) for length in part.hint)
            hint = (x - round(left * factor), y - round(top * factor), wide, high)
            part_of_it = full[top : top + down, left : left + across]
            found = self._in_part(part_of_it, factor, picture_size, hint, lying=lying)
            regions += _regions(found, factor, (left, top), pixels)
        return merged(regions)

    def _in_part(
        self, full: Pixels, factor: float, picture_size: int, hint: Box | None, *, lying: bool
    ) -> list[tuple[str, float, Quad]]:
        """Detector, score and corners, in pixels of the part made larger by `factor`, as `hint` is."""
        grey = _by_factor(full, factor)
        # White on black is rare and takes a quarter more time: such prints are read at the second try.
        found = _read(grey, inverted=False, lying=lying)
        seen = prints(grey, picture_size, hint)
        found += [
            (f"print-{each.look}", PRINT_SCORES[each.look], each.corners) for each in seen if each.look in PRINT_SCORES
        ]
        return found + self._read_again(full, factor, seen, [quad for _, _, quad in found])

    def read(self, pixels: Pixels) -> list[Region]:
        """Codes that a reader reads, or nearly, on their side: for a second look, as whoever holds the picture would
        take it. What is only printed like a code was seen by the first look, or is not seen at all: on 216 generated
        scenes a second search for prints found nothing."""
        grey, factor = _to_read(brightness(pixels))
        found = _read(turned(grey, 1), inverted=False, lying=False)
        upright = [(name, score, np.stack([grey.shape[1] - quad[:, 1], quad[:, 0]], 1)) for name, score, quad in found]
        return merged(_regions(upright, factor, (0, 0), pixels))

    def _read_again(
        self, full: Pixels, factor: float, seen: list[Print], known: list[Quad]
    ) -> list[tuple[str, float, Quad]]:
        """Doubtful prints, cut out of the full picture, enlarged where they are small, and read."""
        found = []
        tried: list[Quad] = list(known)
        tries = 0
        for each in sorted(seen, key=lambda one: one.uneven):
            middle = each.corners.mean(axis=0)
            if each.look is not Look.UNSURE or tries == READ_AGAIN or any(_holds(quad, middle) for quad in tried):
                continue
            tries += 1
            tried.append(each.corners)
            low, high = each.corners.min(axis=0) / factor, each.corners.max(axis=0) / factor
            margin = 0.15 * float((high - low).max()) + 4
            left, top = (max(0, int(value)) for value in np.floor(low - margin))
            right, bottom = (int(value) for value in np.ceil(high + margin))
            cut = full[top:bottom, left:right]
            grown = min(3.0, READ_AGAIN_PX / max(cut.shape))
            how = cv2.INTER_CUBIC if grown > 1 else cv2.INTER_AREA
            large = np.asarray(cv2.resize(cut, None, fx=grown, fy=grown, interpolation=how), np.uint8)
            here = _read(large, inverted=True, lying=True)
            here += [("opencv-qr-aruco-5.0", 0.7, quad) for quad in _quads(self._squares.detectMulti(large))]
            found += [
                (detector, score, (quad / grown + np.array([left, top], np.float32)) * np.float32(factor))
                for detector, score, quad in here
            ]
        return found


def _factor(pixels: Pixels, largest_growth: float) -> float:
    """By how much the picture is made larger, so that its longer side has SIDE_PX, as far as it may grow."""
    return float(min(SIDE_PX / max(pixels.shape[:2]), largest_growth))


def _to_read(grey: Pixels) -> tuple[Pixels, float]:
    """A picture as a reader of all of it gets it, and by how much it was made larger: as large as it is, or smaller
    where its longer side is larger than SIDE_PX. A part with a hint is read besides, at the scale at which
    the longer side has SIDE_PX: of 1,464 codes in pictures of 600, 800, 2160 and 2880 pixels none was lost that was
    found when all was enlarged."""
    factor = _factor(grey, 1.0)
    return (grey, 1.0) if factor > AS_IT_IS else (_by_factor(grey, factor, linear=True), factor)


def _by_factor(grey: Pixels, factor: float, *, linear: bool = False) -> Pixels:
    """A picture, or a part of one, made larger by that; `linear`: see `resized`."""
    if factor == 1.0:
        return grey
    height, width = (max(1, round(side * factor)) for side in grey.shape)
    return resized(grey, (width, height), linear=linear)


def _on_grid(part: Box, factor: float, width: int, height: int) -> Box:
    """The part grown outward, so that cells lie in it as they would in the whole picture, as far as pixels go."""
    left, top = (round(part[at] * factor // GRID_PX * GRID_PX / factor) for at in (0, 1))
    right, bottom = (round(-(-(part[at] + part[at + 2]) * factor // GRID_PX) * GRID_PX / factor) for at in (0, 1))
    return left, top, min(right, width) - left, min(bottom, height) - top


def _regions(
    found: list[tuple[str, float, Quad]], factor: float, start: tuple[int, int], pixels: Pixels
) -> list[Region]:
    """What was found in a part that was made larger by `factor` and starts there (x, y), each with its margin."""
    regions = []
    for detector, score, quad in found:
        edges = np.concatenate([quad.min(axis=0), quad.max(axis=0)]) / factor + np.array([*start, *start])
        long_side = max(edges[2] - edges[0], edges[3] - edges[1])
        margin = (MARGIN if detector in SQUARE else LINE_MARGIN) * long_side
        box = to_box(edges + np.array([-margin, -margin, margin, margin]), pixels.shape[1], pixels.shape[0])
        if box is not None:
            regions.append(Region(kind=RegionKind.CODE, box=box, score=score, detector=detector))
    return regions


def _read(grey: Pixels, *, inverted: bool, lying: bool) -> list[tuple[str, float, Quad]]:
    """What zxing-cpp reads, or nearly reads: detector, score and corners in pixels of `grey`."""
    found = []
    for code in zxingcpp.read_barcodes(grey, return_errors=True, try_invert=inverted, try_rotate=lying):
        if not code.valid and code.format not in BELIEVED_UNREAD:
            continue
        place = code.position
        corners = [place.top_left, place.top_right, place.bottom_right, place.bottom_left]
        quad = np.array([(corner.x, corner.y) for corner in corners], np.float32)
        name = "zxing-cpp-3.1" if code.format in SQUARE_FORMATS else "zxing-cpp-3.1-bars"
        found.append((name, READ_SCORE if code.valid else NEARLY_READ_SCORE, quad))
    return found


def _holds(quad: Quad, point: npt.NDArray[np.floating]) -> bool:
    return bool((quad.min(axis=0) <= point).all() and (point <= quad.max(axis=0)).all())


def _quads(found: Any) -> list[Quad]:
    seen, points = found[0], found[1]
    return list(np.asarray(points, np.float32).reshape(-1, 4, 2)) if seen and points is not None else []
