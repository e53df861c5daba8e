"""Burned-in text, in whatever direction; a reader says which short marks may stay and what is no lettering.

Everything written goes, since a word tells nothing of its own harm: a number may be a room or a patient. Only a
clinical mark standing alone (see `marks`) is given back, and only when it is read surely.
On films and photos one network finds it in one pass: PP-OCRv6's small detector (Apache-2.0), taught by `training/text`
to see lying lines as well as upright ones, films in a smaller picture. On white paper the original looks as well, in
two passes: it draws columns of numbers as what they are, and is blind to what is faint. Maps are turned into boxes as
the paper on Differentiable Binarization does it.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from services.redactor.detectors import (
    NEARLY_GREY,
    Pixels,
    brightness,
    colourless,
    on_grid,
    scaled,
    single,
    thumbnail,
    to_box,
    to_tensor,
    turned,
)
from services.redactor.detectors.code_hints import Part, hinted
from services.redactor.detectors.curves import is_curve, is_stroke
from services.redactor.detectors.lines import Line, lines_of
from services.redactor.detectors.marks import HALF_WORD, LONG_WORD, SHORT_WORD, Reader
from services.redactor.domain import area, merged, overlap
from services.redactor.inference import Engine, Network
from services.redactor.weights import TEXT_BOTH_WAYS, TEXT_DETECTION
from shared.events import Box, Region, RegionKind

LARGEST_GROWTH = 2.0
WHITE, EVEN = 190, 45
"""Paper: the grey level of half of its pixels, and how far those in the middle lie apart (ECGs up to 22, sheets in
uneven light up to 35, the lightest film of the development set 68)."""

MARGIN_PX, EDGE_PX = 32, 6
"""The picture is continued beyond its edges by this: a line that the edge cuts through is else not seen as one. Of what
is seen there by the network for both directions only the first pixels count, so that nothing runs together in the
mirror; and a second look has no others: it finds as much, with fewer false alarms."""

USUAL_HEIGHT = 0.06
"""Lines up to this part of the picture's shorter side are believed at the threshold. What is taller is more often an
organ, a wound, a limb or a pattern, and must look surer, or like a line where no curves are drawn..."""

TALL = 0.15
SURE = 0.7
"""... and what is taller still must be read."""

SHORT = 2.5
"""What is less than this much longer than tall may be a single letter, or a speck."""

SPECK_PX = 7
"""Short things lower than this hold no letter that anyone could read."""

CURVE_PX = 18
"""Lower lines are too coarse to be told from a curve."""

CUT_LETTERS = 0.5
"""A line along the picture's edge is cut by it: the map sees what is left as lower than it is. It grows by this."""

SAME_LENGTH, SAME_LINE = 1.25, 2.5
"""Of two boxes, one in the other, that are about as long: up to this many times as high it is the same line."""

LONG_CORES = 0.9
"""The first look believes the network for both directions from this part of the threshold on: the narrower it was made,
the longer are the cores it draws, and the mean of a box falls with what is between a bent core and the box's sides (a
name badge of the sample photo: 0.43)."""

SECOND_DOUBT = 0.1
FAINT = 0.5
"""With words from the file's header to look for: lines at this part of the thresholds are read and compared."""


NO_WORDS: frozenset[str] = frozenset()


SHRUNK = 0.75
"""The network for both directions was taught to see in pictures of this part of the size. Only films are shown to it
so: in a photo a name badge was lost."""


class Scale(NamedTuple):
    """The longer side, in pixels, on which text is sought: the picture's own between two bounds, and a part of that."""

    least: int
    most: int
    part: float = 1.0

    def side_px(self, pixels: Pixels) -> int:
        height, width = pixels.shape[:2]
        return round(self.part * float(min(self.most, max(self.least, height, width))))


PHOTO = Scale(960, 1600)
FILM, PAPER = Scale(1120, 2240, SHRUNK), Scale(1280, 2240)
"""Films and all other grey pictures, and white paper (an ECG, a letter): their lettering is small and faint."""


SECOND_PHOTO_PX, SECOND_SMALL_PRINT_PX = 960, 1152
"""The same for a second look, of a photo and of small print (films are shrunk then, too): another scale than the first
look's, so that what was overlooked is seen otherwise."""


class _Sight(NamedTuple):
    """A network, and how lines come out of its maps (see `lines_of`). `edge_px`: what of the margin counts. `share`: of
    the threshold for a box, what its mean must reach."""

    network: Network
    detector: str
    growth: float
    edge_px: int
    apart: bool
    share: float = 1.0


class Found(NamedTuple):
    """What one look at a picture gives."""

    regions: list[Region]
    """Lettering."""

    coded: list[Part] | None
    """Parts of the picture that may hold codes (see `code_hints`); None: the network that looked at it cannot say."""


class Text:
    """Lines and words anywhere in the picture, upright or turned, less the clinical marks."""

    def __init__(self, engine: Engine, *, pixel: float, box: float, mark: float) -> None:
        both_ways = engine.network(TEXT_BOTH_WAYS)
        self._both_ways = _Sight(both_ways, "text-both-ways-2", 1.3, EDGE_PX, apart=True, share=LONG_CORES)
        self._upright = _Sight(engine.network(TEXT_DETECTION), "ppocrv6-det-small-3.10.0", 1.6, MARGIN_PX, apart=False)
        self._reader = Reader(engine, mark)
        self._pixel, self._box, self._mark = pixel, box, mark

    def detect(self, pixels: Pixels, small_print: bool | None = None, words: frozenset[str] = NO_WORDS) -> list[Region]:
        """Text regions. See `Finder`, and `look` for what may be said besides."""
        return self.look(pixels, small_print, words).regions

    def look(self, pixels: Pixels, small_print: bool | None = None, words: frozenset[str] = NO_WORDS) -> Found:
        """Text regions, and where else to look for codes.

        `small_print`: whether lettering may be small and faint; None: told by the look. `words`: what the file's
        header says of the patient (see `pixels.header`): lines that hold one are never given back as a mark, and are
        found at lower thresholds.
        """
        paper, grey = _paper_and_grey(pixels)
        if small_print is None:
            small_print = paper or grey
        plain = single(pixels)
        shown = evened(plain) if small_print else plain
        if paper:
            found, coded = self._seen(pixels, shown, PAPER.side_px(pixels), self._upright, words=words)
            found += self._seen(pixels, plain, PAPER.side_px(pixels), self._upright, turn=1, words=words).regions
            found += self._seen(pixels, shown, PAPER.side_px(pixels), self._both_ways, words=words).regions
        else:
            scale = FILM if small_print else PHOTO
            found, coded = self._seen(pixels, shown, scale.side_px(pixels), self._both_ways, words=words)
        return Found(self._without_marks(pixels, found, paper, words), coded)

    def detect_once(self, pixels: Pixels, part: float, small_print: bool = False) -> list[Region]:
        """The same in `part` of the sides for a second look (of films `SHRUNK`), the contrast as it is: for a picture
        made smaller by as much. `small_print`: whether lettering may be small and faint though it looks otherwise.

        On white paper it must be surer: the first look has doubted each curve of an ECG already.
        """
        paper, grey = _paper_and_grey(pixels)
        least = self._box + (SECOND_DOUBT if paper else 0.0)
        side_px = part * (SECOND_SMALL_PRINT_PX if small_print or paper or grey else SECOND_PHOTO_PX)
        if grey and not paper:
            side_px *= SHRUNK
        found = self._seen(pixels, single(pixels), round(side_px), self._both_ways, EDGE_PX, least=least).regions
        return self._without_marks(pixels, found, paper)

    def _without_marks(
        self, pixels: Pixels, found: list[Region], paper: bool, words: frozenset[str] = NO_WORDS
    ) -> list[Region]:
        """The regions to paint. A mark stays only among marks: letters beside it are a technologist's initials, or
        it is the first letter of a name."""
        regions = merged(found)
        regions = [region for region in regions if not any(_seen_better(region, other) for other in regions)]
        stays = self._reader.marks(pixels, [region.box for region in regions], words, paper=paper)
        marks = [region for region, mark in zip(regions, stays, strict=True) if mark]
        others = [region for region, mark in zip(regions, stays, strict=True) if not mark]
        return others + [mark for mark in marks if any(_beside(mark, other) for other in others)]

    def _seen(
        self,
        pixels: Pixels,
        shown: Pixels,
        side_px: int,
        sight: _Sight,
        margin_px: int = MARGIN_PX,
        *,
        turn: int = 0,
        words: frozenset[str] = NO_WORDS,
        least: float | None = None,
    ) -> Found:
        """What is found in `shown`, which is `pixels` or made of it (one channel or three), at this scale and turn.
        `least`: the mean that a line must reach; None: what the first look asks of this network."""
        linear = shown.ndim == 2 and sight is self._both_ways
        small, factor = scaled(shown, side_px, largest_growth=LARGEST_GROWTH, linear=linear)
        around = on_grid(continued(small, margin_px, mirrored=not turn))
        maps = sight.network.run(to_tensor(turned(around, turn), scale=1 / 127.5, shift=-1.0))
        likely, coded = maps[0][0, 0], None
        if len(maps) > 1:
            coded = hinted(maps[1][0, 0], margin_px, factor, pixels.shape[1], pixels.shape[0])
        if sight.edge_px < MARGIN_PX:
            beyond = margin_px - sight.edge_px
            rows, columns = (slice(beyond, margin_px + length + sight.edge_px) for length in small.shape[:2])
            likely = np.ascontiguousarray(likely[rows, columns])
        paper = sight is self._upright

        regions = []
        for faint in (False, True) if words else (False,):
            part = FAINT if faint else 1.0
            whole = least or self._box * part
            asked = least or whole * sight.share
            apart = whole if sight.apart else 0.0
            for line, score in lines_of(likely, self._pixel * part, asked, sight.growth, apart=apart):
                line = line.turned_back(turn, around.shape[1], around.shape[0])
                line = line.moved(-sight.edge_px, -sight.edge_px, 1 / factor)
                if faint:
                    stays = self._reader.holds(line.straightened(pixels, 0), words)
                else:
                    stays = self._could_be_text(pixels, line, score, paper)
                if stays:
                    regions += _covering(line, score, pixels, sight.detector)
        return Found(regions, coded)

    def _could_be_text(self, pixels: Pixels, line: Line, score: float, paper: bool) -> bool:
        height, short = line.down / min(pixels.shape[:2]), line.across < SHORT * line.down
        if short and line.down < SPECK_PX:
            return False
        level = line.straightened(pixels, 0)
        drawn = line.down >= CURVE_PX and is_curve(level)
        if paper and short:
            drawn = drawn or line.stands or is_stroke(level)
        like_a_line = score >= SURE or not (paper or short)
        if not drawn and (height < USUAL_HEIGHT or (height < TALL and like_a_line)):
            return True
        letters = SHORT_WORD if paper and short else LONG_WORD
        if self._reader.legible(level, letters, paper=paper):
            return True
        # Two lines close together are one on the map, and then neither is read, or the larger alone: one of them must
        # be, and surely, in its half.
        middle = level.shape[0] // 2
        halves = (level[:middle], level[middle:]) if height >= USUAL_HEIGHT and not drawn else ()
        return any(self._reader.legible(half, HALF_WORD, self._mark, paper=paper) for half in halves)


def _covering(line: Line, score: float, pixels: Pixels, detector: str) -> list[Region]:
    height, width = pixels.shape[:2]
    boxes = [to_box(_uncut(edges, width, height), width, height) for edges in line.pieces()]
    score = round(score, 3)
    return [Region(kind=RegionKind.TEXT, box=box, score=score, detector=detector) for box in boxes if box]


def _uncut(edges: npt.NDArray[np.float32], width: int, height: int) -> npt.NDArray[np.float32]:
    """The box of a line that runs along an edge of the picture and is cut by it, grown inward."""
    left, top, right, bottom = edges
    across, down = right - left, bottom - top
    if across > down:
        top -= CUT_LETTERS * down * (bottom >= height)
        bottom += CUT_LETTERS * down * (top <= 0)
    else:
        left -= CUT_LETTERS * across * (right >= width)
        right += CUT_LETTERS * across * (left <= 0)
    return np.array([left, top, right, bottom], np.float32)


def continued(pixels: Pixels, margin_px: int = MARGIN_PX, *, mirrored: bool) -> Pixels:
    """The picture carried on by so much beyond its edges, mirrored (where it is large enough) or drawn out."""
    enough = min(pixels.shape[:2]) > margin_px
    how = cv2.BORDER_REFLECT_101 if mirrored and enough else cv2.BORDER_REPLICATE
    return np.asarray(cv2.copyMakeBorder(pixels, *(margin_px,) * 4, how), np.uint8)


def _beside(mark: Region, other: Region) -> bool:
    """Whether `other` stands on the mark's line, within its height, and is not the same thing seen twice."""
    left, top, width, height = mark.box
    around: Box = (left - height, top - height // 4, width + 2 * height, height + height // 2)
    same = overlap(mark.box, other.box) > 0.5 * area(other.box)
    return bool(overlap(around, other.box)) and not same


def _seen_better(region: Region, other: Region) -> bool:
    """Whether `other` is the same line found more surely: the other pass draws a short line's box far too high."""
    if other.score <= region.score or overlap(region.box, other.box) <= 0.9 * area(other.box):
        return False
    wide, high = region.box[2] / other.box[2], region.box[3] / other.box[3]
    along, thick = (wide, high) if other.box[2] >= other.box[3] else (high, wide)
    return along < SAME_LENGTH and thick < SAME_LINE


def _paper_and_grey(pixels: Pixels) -> tuple[bool, bool]:
    small = thumbnail(pixels)
    return looks_like_paper(small), colourless(small, NEARLY_GREY)


def looks_like_paper(pixels: Pixels) -> bool:
    """Whether more than half of the picture (or its thumbnail) is nearly white, and evenly so (an ECG, a letter, a
    report): a film of soft tissue may be as light, but is nowhere even."""
    darkest = _darkest(thumbnail(pixels))
    up_to = np.bincount(darkest.ravel(), minlength=256).cumsum()
    low, middle, high = (int(np.searchsorted(up_to, darkest.size * part // 4, side="right")) for part in (1, 2, 3))
    return middle > WHITE and high - low < EVEN


def _darkest(pixels: Pixels) -> Pixels:
    if pixels.ndim == 2:
        return pixels
    red, green, blue = cv2.split(pixels)
    return np.asarray(cv2.min(cv2.min(red, green), blue), np.uint8)


def evened(pixels: Pixels) -> Pixels:
    """Local contrast evened out, as one channel: faint print on a film, 20 to 35 levels above its ground, becomes as
    clear as the rest.

    On 114 synthetic lines the upright pass alone finds 106 instead of 99 with it.
    """
    return np.asarray(cv2.createCLAHE(clipLimit=4.0, tileGridSize=(8, 8)).apply(brightness(pixels)), np.uint8)
