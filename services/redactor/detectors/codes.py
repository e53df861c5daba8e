"""Machine-readable codes: wristbands, labels and forms carry the patient's number in them.

Three searchers, since none finds all: zxing-cpp wants to decode (QR, Aztec, Data Matrix, PDF417, lines), OpenCV's
barcode detector only to find lines, QRCodeDetectorAruco stands by for tilted QR codes. All Apache-2.0.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import zxingcpp

from services.redactor.detectors import Pixels, scaled, to_box
from services.redactor.domain import merged
from shared.events import Region, RegionKind

SIDE_PX = 1600
"""Longer side on which codes are sought: a code of 90 pixels in a picture of this size is still read."""

BELIEVED_UNREAD = (zxingcpp.BarcodeFormat.Aztec, zxingcpp.BarcodeFormat.PDF417)
"""Kinds that are believed when their check sum fails. Not QR and Data Matrix: the grid of an ECG's paper is full of
what could be one (87 on the four development ECGs, none of them a code), and spoilt QR codes have a searcher below."""

MARGIN = 0.1  # of the longer side: searchers mark the outer bars or corners, and print is seldom exact
LINE_MARGIN = 0.25  # OpenCV marks the part of the bars' height that it measured


class Codes:
    """Bar codes and square codes in any turn."""

    def __init__(self) -> None:
        self._lines = cv2.barcode.BarcodeDetector()
        self._squares = cv2.QRCodeDetectorAruco()

    def detect(self, pixels: Pixels) -> list[Region]:
        """Codes that any searcher sees, readable or not. See `Finder`. What they say is never kept."""
        small, factor = scaled(pixels, SIDE_PX, largest_growth=2.0)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        found: list[tuple[str, float, npt.NDArray[np.float32]]] = []
        for code in zxingcpp.read_barcodes(grey, return_errors=True):
            if not code.valid and code.format not in BELIEVED_UNREAD:
                continue
            place = code.position
            corners = [place.top_left, place.top_right, place.bottom_right, place.bottom_left]
            points = np.array([(corner.x, corner.y) for corner in corners], np.float32)
            found.append(("zxing-cpp-3.1", 1.0 if code.valid else 0.6, points))
        found += [("opencv-barcode-5.0", 0.5, points) for points in _quads(self._lines.detectMulti(grey))]
        found += [("opencv-qr-aruco-5.0", 0.7, points) for points in _quads(self._squares.detectMulti(grey))]
        regions = []
        for detector, score, points in found:
            edges = np.concatenate([points.min(axis=0), points.max(axis=0)]) / factor
            margin = (LINE_MARGIN if "barcode" in detector else MARGIN) * max(edges[2] - edges[0], edges[3] - edges[1])
            box = to_box(edges + np.array([-margin, -margin, margin, margin]), pixels.shape[1], pixels.shape[0])
            if box is not None:
                regions.append(Region(kind=RegionKind.CODE, box=box, score=score, detector=detector))
        return merged(regions)


def _quads(found: Any) -> list[npt.NDArray[np.float32]]:
    seen, points = found[0], found[1]
    return list(np.asarray(points, np.float32).reshape(-1, 4, 2)) if seen and points is not None else []
