"""Faces: CenterFace in four right-angle turns and two diagonal ones, and BlazeFace full range beside it.

Patients lie: at 90 degrees CenterFace alone finds half of the faces that it finds upright; four turns bring them back,
and two more those that lean half way.
CenterFace: MIT (trained on WIDER FACE). BlazeFace full range: Apache-2.0, run by LiteRT.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from services.redactor.detectors import (
    NEARLY_GREY,
    Boxes,
    Pixels,
    colourless,
    on_grid,
    scaled,
    single,
    to_box,
    to_tensor,
    turned,
    turned_back,
)
from services.redactor.domain import area, merged
from services.redactor.inference import Engine
from services.redactor.weights import BLAZEFACE, CENTERFACE
from shared.events import Region, RegionKind

CENTERFACE_SIDE_PX = 960
"""Longer side that CenterFace sees: at 960 a face of 12 pixels in a picture of that size is still found."""

LARGEST_GROWTH = 4.0
"""Small pictures are grown up to this: the faces in them are small too."""

DIAGONALS = (45.0, -45.0)
"""Degrees counter-clockwise, besides the quarter turns."""

GLANCE_PART, GLANCE = 0.4, 0.06
"""Grey pictures are nearly always films, in which CenterFace sees nothing. So they are looked at closely only in the
turns in which it says this in a glance at this part of the size..."""

HINT = 0.15
"""... and in the others and the diagonals only where the close look says this. Of 266 development faces, made grey, as
many are found as without a glance, upright and shrunk to a quarter; 21 films of 28 end with it, most of the others with
a close look in one turn."""

GREY_PART = 0.8
"""The glance is blind to small faces (of 40 of 32 pixels laid into a film of 960 px, 13 are found). So the second look
sees grey pictures upright, closely, at this part of its size (22 of the 40, and 32 of 40 of 48 pixels, alone)."""

BLAZEFACE_SIDE_PX = 192  # fixed by the model
BLAZEFACE_STRIDE_PX = 4
BLAZEFACE_LEVELS = np.arange(256, dtype=np.float32) / 127.5 - 1.0

TURNS = (0, 1, 2, 3)

LARGE = 0.1
"""A face that fills this part of the picture is seen surely, or it is a wound or a lesion..."""

LARGE_SCORE = 0.4  # ... which this score tells apart


class CenterFace:
    """The heat map network: centre, size and offset for each cell of 4 by 4 pixels."""

    detector = "centerface-1.5.0"
    STRIDE_PX = 4

    def __init__(self, engine: Engine, threshold: float, *, side_px: int = CENTERFACE_SIDE_PX) -> None:
        self._network = engine.network(CENTERFACE)
        self._threshold = threshold
        self._side_px = side_px

    def detect(
        self, pixels: Pixels, turns: tuple[int, ...] = TURNS, part: float = 1.0, *, linear: bool = False
    ) -> list[Region]:
        """Faces in every turn, each once, in a picture of `part` of the usual size (`linear`: see `resized`). See
        `Finder`."""
        return merged(self._in_turns(pixels, turns, part, linear=linear)[0])

    def detect_if_hinted(self, pixels: Pixels) -> tuple[list[Region], bool]:
        """The same where a glance sees something like a face, and whether a close look saw it too: see `GLANCE`."""
        hinted = self._glance(pixels)
        found, likeliest = self._in_turns(pixels, hinted, 1.0)
        if likeliest < HINT:
            return found, False
        others = tuple(turn for turn in TURNS if turn not in hinted)
        return merged([*found, *self._in_turns(pixels, others, 1.0)[0]]), True

    def _in_turns(
        self, pixels: Pixels, turns: tuple[int, ...], part: float, *, linear: bool = False
    ) -> tuple[list[Region], float]:
        """Faces in these turns, and the highest score of any place, however low."""
        regions, likeliest = [], 0.0
        if not turns:
            return [], likeliest
        longest = round(part * self._side_px)
        small, factor = scaled(single(pixels), longest, largest_growth=LARGEST_GROWTH, linear=linear)
        small = on_grid(small)
        for turn in turns:
            boxes, scores, highest = self._one_turn(turned(small, turn))
            boxes = turned_back(boxes, turn, small.shape[1], small.shape[0]) / factor
            regions += _regions(boxes, scores, pixels, self.detector)
            likeliest = max(likeliest, highest)
        return regions, likeliest

    def _glance(self, pixels: Pixels) -> tuple[int, ...]:
        """The turns in which anything at `GLANCE_PART` of the size looks a little like a face."""
        small, _ = scaled(single(pixels), round(GLANCE_PART * self._side_px), largest_growth=LARGEST_GROWTH)
        small = on_grid(small)
        return tuple(
            turn for turn in TURNS if float(self._network.run(to_tensor(turned(small, turn)))[0].max()) >= GLANCE
        )

    def detect_leaning(self, pixels: Pixels, degrees: float) -> list[Region]:
        """Faces in the picture turned by this angle counter-clockwise, whose corners then meet the usual size."""
        height, width = pixels.shape[:2]
        along, beside = abs(np.cos(np.radians(degrees))), abs(np.sin(np.radians(degrees)))
        extent = max(width * along + height * beside, width * beside + height * along)
        longest = round(self._side_px * max(width, height) / extent)
        small, factor = scaled(pixels, longest, largest_growth=LARGEST_GROWTH)
        height, width = small.shape[:2]
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        size = round(width * along + height * beside), round(width * beside + height * along)
        turn[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
        leaning = np.asarray(cv2.warpAffine(small, turn, size, flags=cv2.INTER_LINEAR), np.uint8)
        boxes, scores, _ = self._one_turn(on_grid(leaning))
        back = cv2.invertAffineTransform(turn)
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2 @ back[:, :2].T + back[:, 2]
        # A face is about an ellipse: this is the upright box round it after the turn back.
        wide, high = ((boxes[:, 2:] - boxes[:, :2]) / 2).T
        half = np.stack([np.hypot(wide * along, high * beside), np.hypot(wide * beside, high * along)], axis=1)
        upright = (np.concatenate([middle - half, middle + half], axis=1) / factor).astype(np.float32)
        return _regions(upright, scores, pixels, self.detector)

    def _one_turn(self, pixels: Pixels) -> tuple[Boxes, npt.NDArray[np.float32], float]:
        heat, size, offset, _ = self._network.run(to_tensor(pixels))
        rows, columns = np.where(heat[0, 0] > self._threshold)
        high, wide = (np.exp(size[0, axis, rows, columns]) * self.STRIDE_PX for axis in (0, 1))
        middle_y = (rows + offset[0, 0, rows, columns] + 0.5) * self.STRIDE_PX
        middle_x = (columns + offset[0, 1, rows, columns] + 0.5) * self.STRIDE_PX
        edges = (middle_x - wide / 2, middle_y - high / 2, middle_x + wide / 2, middle_y + high / 2)
        return np.stack(edges, axis=1).astype(np.float32), heat[0, 0, rows, columns], float(heat.max())


class BlazeFace:
    """The dense single-shot network for pictures of 192 by 192: the whole picture, shrunk to that."""

    detector = "blazeface-full-range-0.6.0"

    def __init__(self, engine: Engine, threshold: float) -> None:
        self._network = Interpreter(model_path=str(engine.path(BLAZEFACE)), num_threads=1)
        self._network.allocate_tensors()
        self._input = self._network.get_input_details()[0]["index"]
        outputs: list[dict[str, Any]] = sorted(self._network.get_output_details(), key=lambda o: -o["shape"][-1])
        self._boxes, self._scores = outputs[0]["index"], outputs[1]["index"]
        self._threshold = threshold
        side = BLAZEFACE_SIDE_PX // BLAZEFACE_STRIDE_PX
        rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
        self._anchors = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1) * BLAZEFACE_STRIDE_PX

    def detect(self, pixels: Pixels, turns: tuple[int, ...] = TURNS) -> list[Region]:
        """Faces in every turn, each once. See `Finder`."""
        small, factor = scaled(pixels, BLAZEFACE_SIDE_PX, largest_growth=4.0)
        height, width = small.shape[:2]
        square = np.zeros((BLAZEFACE_SIDE_PX, BLAZEFACE_SIDE_PX, 3), np.uint8)
        square[:height, :width] = small if small.ndim == 3 else small[:, :, np.newaxis]
        regions = []
        for turn in turns:
            boxes, scores = self._one_turn(turned(square, turn))
            boxes = turned_back(boxes, turn, BLAZEFACE_SIDE_PX, BLAZEFACE_SIDE_PX) / factor
            regions += _regions(boxes, scores, pixels, self.detector)
        return merged(regions)

    def _one_turn(self, square: Pixels) -> tuple[Boxes, npt.NDArray[np.float32]]:
        self._network.set_tensor(self._input, cv2.LUT(square, BLAZEFACE_LEVELS)[np.newaxis])
        self._network.invoke()
        raw = self._network.get_tensor(self._boxes)[0]
        logits = np.clip(self._network.get_tensor(self._scores)[0, :, 0], -80, 80)
        scores = 1 / (1 + np.exp(-logits))
        sure = scores > self._threshold
        middle = raw[sure, 0:2] + self._anchors[sure]
        half = raw[sure, 2:4] / 2
        return np.concatenate([middle - half, middle + half], axis=1).astype(np.float32), scores[sure]


class Faces:
    """Both networks, joined."""

    def __init__(self, engine: Engine, *, threshold: float, threshold_small: float) -> None:
        self._large = CenterFace(engine, threshold)
        self._small = BlazeFace(engine, threshold_small)

    def detect(self, pixels: Pixels) -> list[Region]:
        """Faces that either network sees in any turn, each once. See `Finder`."""
        found = self._small.detect(pixels)
        if colourless(pixels, NEARLY_GREY):
            seen, likely = self._large.detect_if_hinted(pixels)
        else:
            seen, likely = self._large.detect(pixels), True
        found += seen
        if likely:
            found += [region for degrees in DIAGONALS for region in self._large.detect_leaning(pixels, degrees)]
        return merged(found)

    def detect_once(self, pixels: Pixels, part: float) -> list[Region]:
        """The same, upright and upside down only and in `part` of the usual size: for a second look, of a picture made
        smaller by as much. Grey ones upright only and smaller still, but whole, for what the glance is blind to."""
        grey = colourless(pixels, NEARLY_GREY)
        turns, size = ((0,), GREY_PART * part) if grey else ((0, 2), part)
        seen = self._large.detect(pixels, turns, size, linear=grey)
        return merged([*self._small.detect(pixels, (0, 2)), *seen])


def _regions(boxes: Boxes, scores: npt.NDArray[np.float32], pixels: Pixels, detector: str) -> list[Region]:
    height, width = pixels.shape[:2]
    regions = []
    for edges, score in zip(boxes, scores, strict=True):
        box = to_box(edges, width, height)
        large = box is not None and area(box) > LARGE * height * width
        if box is not None and (score >= LARGE_SCORE or not large):
            regions.append(Region(kind=RegionKind.FACE, box=box, score=round(float(score), 3), detector=detector))
    return regions
