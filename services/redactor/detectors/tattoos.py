"""Tattoos: a small network trained on painted pictures says where ink lies in skin; see models/README.md.

Its map (one value for each 8 x 8 pixels of the shrunken picture) is turned into boxes: what hangs together above
`EDGE` is one tattoo, and its score is that of its surest part.
"""

import cv2
import numpy as np
import numpy.typing as npt

from services.redactor.detectors import Pixels, colourless, on_grid, scaled, to_box
from services.redactor.inference import Engine
from shared.events import Region, RegionKind

MODEL = "tattoos.onnx"

SIDE_PX = 448
"""Longer side at which tattoos are sought: the training pictures show limbs and trunks at about this size."""

STRIDE = 8

EDGE = 0.3
"""A tattoo's box reaches as far as the map says this, whatever the threshold: a region is the same in every look."""

SUREST_PART = 0.25
"""The score is the mean over this part of the box's marked cells, the surest ones: single cells are chance."""

SMALLEST_CELLS = 3

COLOURLESS = 20
"""Where 95 of 100 pixels have channels closer together than this, nothing tells ink from the shadow of a bone: the
finder is silent. It marked four fifths of the radiographs that it was tried on, and one tattoo photo of 72 is grey."""


class Tattoos:
    """Tattoos of any size above about a twentieth of the picture's longer side."""

    detector = "consilium-tattoos-1"

    def __init__(self, engine: Engine, *, threshold: float) -> None:
        self._network = engine.network(MODEL)
        self._threshold = threshold

    def detect(self, pixels: Pixels) -> list[Region]:
        """Regions that score `threshold` or more; none in a picture without colour. See `Finder`."""
        if colourless(pixels, COLOURLESS):
            return []
        small, factor = scaled(pixels, SIDE_PX)
        likely = self.map(small)
        height, width = pixels.shape[:2]
        regions = []
        for edges, score in marked(likely, self._threshold):
            box = to_box(edges * (STRIDE / factor), width, height)
            if box is not None:
                score = round(min(1.0, score), 3)
                regions.append(Region(kind=RegionKind.TATTOO, box=box, score=score, detector=self.detector))
        return regions

    def map(self, small: Pixels) -> npt.NDArray[np.float32]:
        """For each 8 x 8 pixels of this picture, how likely it is tattooed: rows x columns, 0 to 1."""
        tensor = (on_grid(small).transpose(2, 0, 1)[np.newaxis].astype(np.float32) - 127) / 128
        likely = self._network.run(np.ascontiguousarray(tensor))[0][0, 0]
        rows, columns = -(-small.shape[0] // STRIDE), -(-small.shape[1] // STRIDE)
        return np.asarray(likely[:rows, :columns], np.float32)


def marked(likely: npt.NDArray[np.float32], threshold: float) -> list[tuple[npt.NDArray[np.float32], float]]:
    """What hangs together in the map: edges (left, top, right, bottom in cells) and score, for those at `threshold`."""
    found = []
    count, names, stats, _ = cv2.connectedComponentsWithStats((likely >= EDGE).astype(np.uint8), connectivity=8)
    for name in range(1, count):
        values = np.sort(likely[names == name])[::-1]
        if len(values) < SMALLEST_CELLS:
            continue
        score = float(values[: max(SMALLEST_CELLS, round(len(values) * SUREST_PART))].mean())
        if score >= threshold:
            left, top, across, down = stats[name, :4]
            found.append((np.array([left, top, left + across, top + down], np.float32), score))
    return found
