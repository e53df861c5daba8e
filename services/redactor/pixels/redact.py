"""The redactor as a library: bytes in, painted pictures and a list of what was covered out."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from services.redactor.detectors import Pixels, resized
from services.redactor.detectors.codes import Codes
from services.redactor.detectors.faces import Faces
from services.redactor.detectors.text import PHOTO_SIDE_PX, RADIOGRAPH_SIDE_PX, Text, looks_like_print
from services.redactor.domain import MAX_REGIONS, Thresholds, bounded, clip, merged, painted_boxes
from services.redactor.inference import EngineKind, make_engine
from services.redactor.pixels.decode import open_picture
from services.redactor.pixels.frames import DeepFrame, FlatFrame
from services.redactor.pixels.paint import Encoded, encode, paint
from services.redactor.weights import require
from shared.events import Box, PictureKind, Region

LOOKS_AGAIN = 2
"""Times the painted picture is searched again while the search still finds something."""

ALREADY_COVERED = 0.6
"""What is found again and lies this much under paint is the edge of a painted thing, not a new one."""

SECOND_LOOK_SCALE = 0.8
SECOND_LOOK_SHIFT_PX = 7
SMALL_PRINT = frozenset({PictureKind.XRAY, PictureKind.ECG, PictureKind.SCAN, PictureKind.ECHO, PictureKind.LAB})


@dataclass(frozen=True)
class RedactedFrame:
    """One frame: what was painted (`regions`), what the second look still found (`residual`), and the new files."""

    index: int
    width: int
    height: int
    regions: tuple[Region, ...]
    residual: tuple[Region, ...]
    renditions: tuple[Encoded, ...]
    seconds: float


@dataclass(frozen=True)
class Redacted:
    """A whole picture. `stages`: wall seconds by stage over all frames; `notes`: for example `first_frame_of:12`."""

    frames: tuple[RedactedFrame, ...]
    notes: tuple[str, ...]
    stages: dict[str, float]
    seconds: float


class Redactor:
    """Finds, paints and looks again. One instance a process: it holds the models and is not thread-safe.

    `weights_dir`: see `services.redactor.weights` (raises WeightsMissing). `max_pixels`: the largest picture that is
    decoded, told by its header. Pixels everywhere: height x width x 3 bytes, RGB, upright. Boxes: x, y, width, height.
    """

    def __init__(
        self,
        weights_dir: Path,
        thresholds: Thresholds | None = None,
        *,
        max_pixels: int = 60_000_000,
        engine: EngineKind = EngineKind.AUTO,
    ) -> None:
        cv2.setNumThreads(1)
        self.engine = make_engine(engine, require(weights_dir))
        limits = thresholds or Thresholds()
        self.max_pixels = max_pixels
        self._faces = Faces(self.engine, threshold=limits.face, threshold_small=limits.face_small)
        self._text = Text(self.engine, pixel=limits.text_pixel, box=limits.text, mark=limits.mark)
        self._codes = Codes()

    def find(self, pixels: Pixels, kind: PictureKind | None = None) -> list[Region]:
        """Every face, text and code, unpadded. `kind` says how small the print may be; None: told by the look."""
        return self._find(pixels, kind, _Watch())

    def paint(self, pixels: Pixels, regions: Sequence[Region]) -> Pixels:
        """A copy with the regions' boxes padded, aligned outward to JPEG blocks, and filled with one opaque grey."""
        return paint(pixels, painted_boxes(regions, pixels.shape[1], pixels.shape[0]))

    def look_again(self, painted: Pixels, regions: Sequence[Region], kind: PictureKind | None = None) -> list[Region]:
        """Search the painted picture at another scale and shift; what lies under the paint of `regions` is left out."""
        height, width = painted.shape[:2]
        size = max(1, round(width * SECOND_LOOK_SCALE)), max(1, round(height * SECOND_LOOK_SCALE))
        margin = (SECOND_LOOK_SHIFT_PX, 0)
        moved = np.pad(resized(painted, size), (margin, margin, (0, 0)), mode="edge")
        small_print = kind in SMALL_PRINT or looks_like_print(painted)
        side = RADIOGRAPH_SIDE_PX if small_print else PHOTO_SIDE_PX
        found = self._text.detect_once(moved, round(side * SECOND_LOOK_SCALE))
        found += self._faces.detect(moved, turns=(0, 2)) + self._codes.detect(moved)
        covered = np.zeros((height, width), bool)
        for left, top, across, down in painted_boxes(regions, width, height):
            covered[top : top + down, left : left + across] = True
        shown = []
        for each in found:
            region = _moved_back(each, size[0] / width, size[1] / height, width, height)
            if region is not None and _part(covered, region.box) < ALREADY_COVERED:
                shown.append(region)
        return shown

    def redact(
        self,
        data: bytes,
        boxes: Mapping[int, Sequence[Region]] | None = None,
        kind: PictureKind | None = None,
        announce: Callable[[int], None] = lambda frame_count: None,
    ) -> Redacted:
        """Decode, find, paint, look again, encode. Raises Unreadable with the reason.

        `boxes` None: the machine decides, and what the second look finds is painted too. Else frame -> the complete
        list of regions: exactly these are painted, and the second look only reports. One frame at a time is in memory;
        `announce` is told how many there will be, before the first is decoded.
        """
        watch = _Watch()
        picture = open_picture(data, max_pixels=self.max_pixels)
        announce(picture.frame_count)
        if picture.like_radiograph and kind not in SMALL_PRINT:
            kind = PictureKind.XRAY
        done = []
        for index, frame in enumerate(picture.frames):
            watch.lap("decode")
            given = None if boxes is None else tuple(boxes.get(index, ()))
            done.append(self._frame(index, frame, given, kind, MAX_REGIONS // picture.frame_count, watch))
        return Redacted(tuple(done), tuple(picture.notes), watch.stages, watch.elapsed())

    def _frame(
        self,
        index: int,
        frame: FlatFrame | DeepFrame,
        given: tuple[Region, ...] | None,
        kind: PictureKind | None,
        most: int,
        watch: "_Watch",
    ) -> RedactedFrame:
        began = watch.elapsed()
        regions = list(given) if given is not None else bounded(self._find(frame.shown(), kind, watch), most)
        height, width = frame.height, frame.width
        for _ in range(LOOKS_AGAIN):
            boxes = painted_boxes(regions, width, height)
            painted = paint(frame.shown(boxes), boxes)
            watch.lap("paint")
            residual = self.look_again(painted, regions, kind)
            watch.lap("look_again")
            if given is not None or not residual:
                break
            regions = bounded(merged([*regions, *residual]), most)
        else:
            # The last look's findings are painted as well, and reported: nobody has looked after them.
            boxes = painted_boxes(regions, width, height)
            painted = paint(frame.shown(boxes), boxes)
        renditions = encode(painted)
        watch.lap("encode")
        seconds = watch.elapsed() - began
        return RedactedFrame(index, width, height, tuple(regions), tuple(residual), renditions, seconds)

    def _find(self, pixels: Pixels, kind: PictureKind | None, watch: "_Watch") -> list[Region]:
        found = self._faces.detect(pixels)
        watch.lap("faces")
        found += self._text.detect(pixels, True if kind in SMALL_PRINT else None)
        watch.lap("text")
        found += self._codes.detect(pixels)
        watch.lap("codes")
        return merged(found)


class _Watch:
    """Wall seconds by stage."""

    def __init__(self) -> None:
        self._began = self._lap = time.perf_counter()
        self.stages: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Book the time since the last lap on `stage`."""
        now = time.perf_counter()
        self.stages[stage] = self.stages.get(stage, 0.0) + now - self._lap
        self._lap = now

    def elapsed(self) -> float:
        return time.perf_counter() - self._began


def _moved_back(region: Region, by_x: float, by_y: float, width: int, height: int) -> Region | None:
    """A region of the second look in pixels of the full picture; None where it lies in the added margin only."""
    left, top, across, down = region.box
    box = clip(
        (
            int((left - SECOND_LOOK_SHIFT_PX) / by_x),
            int((top - SECOND_LOOK_SHIFT_PX) / by_y),
            int(across / by_x) + 1,
            int(down / by_y) + 1,
        ),
        width,
        height,
    )
    return region.model_copy(update={"box": box}) if box is not None else None


def _part(covered: npt.NDArray[np.bool_], box: Box) -> float:
    """The part of the box that is painted already."""
    left, top, across, down = box
    return float(covered[top : top + down, left : left + across].mean())
