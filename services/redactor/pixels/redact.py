"""The redactor as a library: bytes in, painted pictures and a list of what was covered out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from services.redactor.detectors import Pixels, single
from services.redactor.domain import MAX_REGIONS, Thresholds, bounded, clip, merged, painted_boxes, surest
from services.redactor.inference import Engine, EngineKind, make_engine
from services.redactor.pixels.decode import open_picture
from services.redactor.pixels.frames import DeepFrame, FlatFrame
from services.redactor.pixels.looks import look_again, uncovered
from services.redactor.pixels.paint import Encoded, as_seen, encode, full_size, paint
from services.redactor.pixels.search import SMALL_PRINT, Search
from services.redactor.pixels.watch import Watch
from services.redactor.weights import require
from shared.events import Box, PictureKind, Region

LOOKS_AGAIN = 2
"""Times the painted picture is searched again while the search still finds something."""


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
    proposals: tuple[Region, ...] = ()
    """Seen, not painted, and not under the paint of something else: a person must answer."""

    clinical: tuple[Box, ...] = ()
    """The clinical boxes that were given for this frame, cut to it."""


@dataclass(frozen=True)
class Redacted:
    """A whole picture. `stages`: wall seconds by stage over all frames; `notes`: for example `first_frame_of:12`."""

    frames: tuple[RedactedFrame, ...]
    notes: tuple[str, ...]
    stages: dict[str, float]
    seconds: float


@dataclass(frozen=True, repr=False)
class _Order:
    """What a person has decided about one frame, and what is known of the picture it is part of."""

    given: tuple[Region, ...] | None
    clinical: tuple[Box, ...]
    kind: PictureKind | None
    most: int
    words: frozenset[str]


class Redactor:
    """Finds, paints and looks again. One instance a process: it holds the models and is not thread-safe.

    `weights_dir`: see `services.redactor.weights` (raises WeightsMissing). `max_pixels`: the largest picture that is
    decoded, told by its header. `engine`: what runs the networks, or its kind (raises WrongSetting where that is not
    installed).

    Pixels everywhere: height x width x 3 bytes, RGB, upright; grey ones may come as height x width. Boxes: x, y, width,
    height in those pixels. Regions are unpadded; what is filled for them is `domain.painted_boxes`. No method changes
    the pixels it is given.
    """

    def __init__(
        self,
        weights_dir: Path,
        thresholds: Thresholds | None = None,
        *,
        max_pixels: int = 60_000_000,
        engine: EngineKind | Engine = EngineKind.AUTO,
    ) -> None:
        cv2.setNumThreads(1)
        weights = require(weights_dir)
        self.engine = make_engine(engine, weights) if isinstance(engine, EngineKind) else engine
        self.max_pixels = max_pixels
        self.search = Search(self.engine, thresholds or Thresholds())

    def find(
        self, pixels: Pixels, kind: PictureKind | None = None, words: frozenset[str] = frozenset()
    ) -> list[Region]:
        """What is to be painted: faces, text, codes, tattoos seen surely. `kind` says how small the print may be;
        None: told by the look. `words` (of `pixels.header.header_words`): names and numbers that lettering must not
        hold, however faint it is; they are compared and not kept."""
        return list(self.search(pixels, kind, Watch(), words).regions)

    def propose(self, pixels: Pixels) -> list[Region]:
        """What may have to be painted, and only a person can say: what looks like a tattoo, a scar or jewellery."""
        return list(self.search.proposals(pixels, Watch()))

    def paint(self, pixels: Pixels, regions: Sequence[Region], clinical: Sequence[Box] = ()) -> Pixels:
        """A copy with the regions' boxes padded, aligned outward to JPEG blocks, and filled with one opaque grey.

        The paint of faces leaves out the whole blocks inside the boxes `clinical`; see `domain.painted_boxes`.
        """
        return paint(pixels, painted_boxes(regions, pixels.shape[1], pixels.shape[0], clinical))

    def look_again(
        self,
        painted: Pixels,
        regions: Sequence[Region],
        kind: PictureKind | None = None,
        clinical: Sequence[Box] = (),
        *,
        alone: bool = False,
    ) -> list[Region]:
        """What is still seen in `painted`, searched at another scale and shift; what lies under the paint of `regions`
        is left out, and of faces what lies in the openings of `clinical`. `alone`: `regions` are a person's, and not
        what `find` has seen; then codes are sought by their print, too."""
        return look_again(self.search, painted, regions, kind, clinical, alone=alone)

    def redact(
        self,
        data: bytes,
        boxes: Mapping[int, Sequence[Region]] | None = None,
        kind: PictureKind | None = None,
        announce: Callable[[int], None] = lambda frame_count: None,
        clinical: Mapping[int, Sequence[Box]] | None = None,
    ) -> Redacted:
        """Decode, find, paint, look again, encode. Raises Unreadable with the reason.

        `boxes` None: the machine decides, and what the second look finds is painted too. Else frame -> the complete
        list of regions: exactly these are painted, and the second look only reports; a frame that is not listed is the
        machine's (whoever listed the others never saw it). `clinical`: frame -> boxes that the paint of faces leaves
        open. One frame at a time is in memory; `announce` is told how many there will be, before the first is decoded.
        """
        watch = Watch()
        picture = open_picture(data, max_pixels=self.max_pixels)
        announce(picture.frame_count)
        if picture.like_radiograph and kind not in SMALL_PRINT:
            kind = PictureKind.XRAY
        done = []
        for index, frame in enumerate(picture.frames):
            watch.lap("decode")
            given = None if boxes is None or index not in boxes else tuple(boxes[index])
            left_open = tuple((clinical or {}).get(index, ()))
            order = _Order(given, left_open, kind, MAX_REGIONS // picture.frame_count, picture.words)
            done.append(self._frame(index, frame, order, watch))
        return Redacted(tuple(done), tuple(picture.notes), watch.stages, watch.elapsed())

    def _frame(self, index: int, frame: FlatFrame | DeepFrame, order: _Order, watch: Watch) -> RedactedFrame:
        began = watch.elapsed()
        height, width = frame.height, frame.width
        clinical = tuple(box for each in order.clinical if (box := clip(each, width, height)) is not None)
        shown = single(frame.shown())
        alone = order.given is not None
        if order.given is not None:
            regions = list(order.given)
            proposals = self.search.proposals(shown, watch, sure_too=True)
        else:
            findings = self.search(shown, order.kind, watch, order.words)
            regions, proposals = bounded(findings.regions, order.most), findings.proposals
        for _ in range(LOOKS_AGAIN):
            painted = _painted(frame, shown, regions, clinical)
            watch.lap("paint")
            full = full_size(painted)
            watch.lap("encode")
            # What leaves is searched, and as it leaves: compression wakes what is just too faint to be seen before it.
            residual = self.look_again(as_seen(full), regions, order.kind, clinical, alone=alone)
            watch.lap("look_again")
            if alone or not residual:
                break
            regions = bounded(merged([*regions, *residual]), order.most)
        else:
            # The last look's findings are painted as well, and reported: nobody has looked after them.
            painted = _painted(frame, shown, regions, clinical)
            full = full_size(painted)
        renditions = encode(painted, full)
        watch.lap("encode")
        return RedactedFrame(
            index=index,
            width=width,
            height=height,
            regions=tuple(regions),
            residual=tuple(surest(residual, order.most)),
            renditions=renditions,
            seconds=watch.elapsed() - began,
            proposals=tuple(bounded(uncovered(proposals, regions, width, height, clinical), order.most)),
            clinical=clinical,
        )


def _painted(frame: FlatFrame | DeepFrame, shown: Pixels, regions: Sequence[Region], clinical: Sequence[Box]) -> Pixels:
    """The frame, which was `shown` to the finders, with these regions filled; grey levels that had to be brought to 8
    bits are spread by what lies outside them."""
    boxes = painted_boxes(regions, frame.width, frame.height, clinical)
    return paint(shown if isinstance(frame, FlatFrame) else single(frame.shown(boxes)), boxes)
