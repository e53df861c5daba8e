"""Pictures with lettering whose place, height, contrast, turn and kind are known: `scenes(count, seed)`.

Drawn, not photographed: figures from these scenes are synthetic and must be called so. What can be read off them is how
recall falls with height, contrast and turn; what a ward's films and telephones hold beyond that, they cannot say.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from shared.events import Box
from tests.scenes import grounds, lettering

Pixels = npt.NDArray[np.uint8]

HEIGHTS = (10, 12, 16, 22, 32, 44, 60)
TURNS = (0, 90, 180, 270)
SLANTS = (-12, -6, 6, 12)

GROUNDS: dict[str, Callable[[np.random.Generator], grounds.Ground]] = {
    "radiograph": grounds.radiograph,
    "ct": grounds.ct,
    "ultrasound": grounds.ultrasound,
    "ecg": grounds.ecg,
    "monitor": grounds.monitor,
    "wristband": grounds.wristband,
    "paper": grounds.paper,
}
FILMS = ("radiograph", "ct", "ultrasound")
PLACES_TRIED = 60


@dataclass(frozen=True)
class Written:
    """One string. `corners`: 4 x 2 (x, y), of its ink, in pixels; `box`: upright round them (x, y, width, height).

    `height`: size of the font in pixels (a capital has about 0.7 of it); `contrast`: grey levels between ink and
    ground; `turn`: degrees counter-clockwise; `kind`: name, date, number, place, hand, initials, or mark. `must_go`:
    False only for a clinical mark that stands alone.
    """

    text: str
    kind: str
    height: int
    contrast: int
    turn: int
    corners: npt.NDArray[np.float32]
    must_go: bool = True

    @property
    def box(self) -> Box:
        left, top = np.floor(self.corners.min(axis=0)).astype(int)
        right, bottom = np.ceil(self.corners.max(axis=0)).astype(int)
        return int(left), int(top), int(right - left), int(bottom - top)

    def covered_by(self, mask: npt.NDArray[np.bool_]) -> float:
        """The part of the string's slanted rectangle that a mask of the picture's size covers."""
        left, top, width, height = self.box
        inside = np.zeros((height, width), np.uint8)
        cv2.fillPoly(inside, [np.round(self.corners - (left, top)).astype(np.int32)], 1)
        return float(mask[top : top + height, left : left + width][inside > 0].mean())


@dataclass(frozen=True)
class Scene:
    """A picture (height x width x 3, RGB), what is written in it, and boxes of curves that must stay visible."""

    ground: str
    pixels: Pixels
    written: tuple[Written, ...]
    keep: tuple[Box, ...]


def scenes(count: int, seed: int, only: tuple[str, ...] = tuple(GROUNDS), *, by_hand: bool = False) -> Iterator[Scene]:
    """`count` scenes, the grounds of `only` in turn; the same seed gives the same pixels.

    `by_hand`: every word is handwriting (see `tests.scenes.lettering`), from 16 pixels up.
    """
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        ground = only[index % len(only)]
        yield scene(ground, GROUNDS[ground](rng), rng, by_hand)


def scene(kind: str, ground: grounds.Ground, rng: np.random.Generator, by_hand: bool, blocks: int = 0) -> Scene:
    """One scene: this ground with five to nine words on it, and marks where it is a film. `blocks`: before them so many
    blocks of close lines are written, as headers, tables and letters have them."""
    sheet = _Sheet(ground, rng)
    for _ in range(blocks):
        sheet.write_block()
    for _ in range(int(rng.integers(5, 10))):
        sheet.write_word(by_hand)
    if kind in FILMS and not by_hand:
        sheet.write_marks()
    pixels = np.clip(sheet.levels, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        squeezed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(80, 95))])[1]
        pixels = np.asarray(cv2.imdecode(squeezed, cv2.IMREAD_COLOR), np.uint8)
    return Scene(kind, np.ascontiguousarray(pixels), tuple(sheet.written), ground.keep)


class _Sheet:
    """A ground that is being written on: words never touch each other or a curve."""

    def __init__(self, ground: grounds.Ground, rng: np.random.Generator) -> None:
        soft = cv2.GaussianBlur(ground.levels, (0, 0), ground.blur) if ground.blur else ground.levels.copy()
        self.levels: grounds.Levels = np.asarray(soft, np.float32)
        self.written: list[Written] = []
        self._ground, self._rng = ground, rng
        self._taken = np.zeros(self.levels.shape[:2], bool)
        for left, top, width, height in ground.keep:
            self._taken[top : top + height, left : left + width] = True

    def write_word(self, by_hand: bool) -> None:
        """A name, date, number or place of any height, contrast and turn where there is room for it."""
        rng = self._rng
        heights = [height for height in HEIGHTS if not by_hand or height >= 16]
        height, contrast, turn = (
            int(rng.choice(heights)),
            int(rng.choice(self._ground.contrasts)),
            int(rng.choice(TURNS)),
        )
        slant = int(rng.choice(SLANTS)) if rng.random() < 0.2 else 0
        kind = str(rng.choice(list(lettering.WORDS)))
        text = lettering.WORDS[kind](rng)
        alpha = lettering.ink(text, lettering.hand_font(rng) if by_hand else lettering.print_font(rng), height)
        if by_hand:
            alpha = lettering.swayed(alpha, rng)
        corners = _turned_corners(alpha.shape, turn + slant)
        alpha = lettering.slanted(alpha, turn + slant)
        place = self._place(alpha.shape, contrast)
        if place is not None:
            self._draw(self._blurred(alpha), place, contrast)
            where = (corners + place).astype(np.float32)
            shown = "hand" if by_hand else kind
            self.written.append(Written(text, shown, height, contrast, turn + slant, where))

    def write_block(self) -> None:
        """Two to twelve lines of one font and size, close together, in up to three columns, where there is room."""
        rng = self._rng
        face = lettering.print_font(rng)
        height, contrast = int(rng.choice((10, 11, 12, 14, 16, 20, 26))), int(rng.choice(self._ground.contrasts))
        turn = int(rng.choice(TURNS)) if rng.random() < 0.35 else 0
        step, gap = height * float(rng.uniform(1.05, 1.7)), height * float(rng.uniform(0.8, 4.0))
        lines: list[tuple[str, lettering.Alpha, float, float]] = []
        left = 0.0
        rows = int(rng.integers(2, 13))
        for _ in range(int(rng.choice((1, 1, 2, 3)))):
            numbers, right = rng.random() < 0.3, rng.random() < 0.3
            column: list[tuple[str, lettering.Alpha, int]] = []
            for row in range(rows):
                if rng.random() >= 0.1:
                    words = str(int(rng.integers(1, 2000))) if numbers else lettering.line(rng)
                    column.append((words, lettering.ink(words, face, height), row))
            wide = max((alpha.shape[1] for _, alpha, _ in column), default=0)
            for words, alpha, row in column:
                lines.append((words, alpha, left + (wide - alpha.shape[1]) * right, row * step))
            left += wide + gap
        if not lines:
            return
        sheet = np.zeros((int(rows * step) + 2 * height, int(left) + 2), np.float32)
        for _, alpha, x, y in lines:
            down = round(y + height - alpha.shape[0])  # on a common foot, near enough
            sheet[max(0, down) :, round(x) :][: alpha.shape[0], : alpha.shape[1]] = alpha
        turned = lettering.slanted(sheet, turn)
        place = self._place(turned.shape, contrast)
        if place is None:
            return
        self._draw(self._blurred(turned), place, contrast)
        spread = _turned_corners(sheet.shape, turn) + place
        along, aside = spread[1] - spread[0], spread[3] - spread[0]
        for words, alpha, x, y in lines:
            down = max(0, round(y + height - alpha.shape[0]))
            right, foot = x + alpha.shape[1], down + alpha.shape[0]
            ends = ((x, down), (right, down), (right, foot), (x, foot))
            where = [spread[0] + along * (u / sheet.shape[1]) + aside * (v / sheet.shape[0]) for u, v in ends]
            self.written.append(Written(words, "block", height, contrast, turn, np.array(where, np.float32)))

    def write_marks(self) -> None:
        """A side mark alone; and, on every other film, another with a technologist's initials beside it."""
        rng = self._rng
        for beside in (False, True) if rng.random() < 0.5 else (False,):
            face, height, contrast = lettering.print_font(rng), int(rng.choice((32, 44, 60))), 200
            mark, letters = lettering.mark(rng), lettering.initials(rng)
            alpha = lettering.ink(mark, face, height)
            small = lettering.ink(letters, face, max(16, height // 2))
            gap = height // 2
            wide = alpha.shape[1] + gap + small.shape[1] if beside else alpha.shape[1]
            place = self._place((alpha.shape[0], wide), contrast, margin=3 * height)
            if place is None:
                continue
            self._draw(alpha, place, contrast)
            corners = (_turned_corners(alpha.shape, 0) + place).astype(np.float32)
            self.written.append(Written(mark, "mark", height, contrast, 0, corners, must_go=beside))
            if beside:
                at = place[0] + alpha.shape[1] + gap, place[1] + alpha.shape[0] - small.shape[0]
                self._draw(small, at, contrast)
                corners = (_turned_corners(small.shape, 0) + at).astype(np.float32)
                self.written.append(Written(letters, "initials", max(16, height // 2), contrast, 0, corners))

    def _place(self, size: tuple[int, ...], contrast: int, margin: int = 14) -> tuple[int, int] | None:
        height, width = size
        for _ in range(PLACES_TRIED):
            left, top, across, down = self._ground.room[int(self._rng.integers(len(self._ground.room)))]
            if width + 4 > across or height + 4 > down:
                continue
            x = left + int(self._rng.integers(2, across - width - 1))
            y = top + int(self._rng.integers(2, down - height - 1))
            around = slice(max(0, y - margin), y + height + margin), slice(max(0, x - margin), x + width + margin)
            spot = self.levels[y : y + height, x : x + width]
            if not self._taken[around].any() and (_takes_light(spot, contrast) or _takes_dark(spot, contrast)):
                self._taken[y : y + height, x : x + width] = True
                return x, y
        return None

    def _blurred(self, alpha: lettering.Alpha) -> lettering.Alpha:
        """As the ground's camera sees it, the middle of a stroke still at full contrast."""
        if not self._ground.blur:
            return alpha
        soft = np.asarray(cv2.GaussianBlur(alpha, (0, 0), self._ground.blur), np.float32)
        strongest = max(0.2, float(np.percentile(soft[alpha > 0.5], 90)))
        return np.asarray(np.minimum(soft / strongest, 1.0), np.float32)

    def _draw(self, alpha: lettering.Alpha, place: tuple[int, int], contrast: int) -> None:
        x, y = place
        spot = self.levels[y : y + alpha.shape[0], x : x + alpha.shape[1]]
        wanted = self._ground.dark_ink if self._ground.dark_ink is not None else self._rng.random() < 0.3
        dark = _takes_dark(spot, contrast) if wanted else not _takes_light(spot, contrast)
        spot += (-contrast if dark else contrast) * alpha[..., np.newaxis]


def _takes_light(spot: grounds.Levels, contrast: int) -> bool:
    return bool(np.percentile(spot, 90) + contrast <= 260)


def _takes_dark(spot: grounds.Levels, contrast: int) -> bool:
    return bool(np.percentile(spot, 10) - contrast >= -5)


def _turned_corners(size: tuple[int, ...], degrees: float) -> npt.NDArray[np.float64]:
    """Corners of an upright mask of this size on the sheet that `lettering.slanted` lays it on."""
    height, width = size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64) - (width / 2, height / 2)
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = corners @ turn.T
    extent = np.ptp(turned, axis=0)
    sheet = extent if degrees % 90 == 0 else np.ceil(extent) + 2
    return np.asarray(turned + sheet / 2)
