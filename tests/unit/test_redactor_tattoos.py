"""The tattoo finder on pictures painted here: it finds ink in skin, and leaves lesions and grey pictures alone."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from services.redactor.detectors import Pixels
from services.redactor.detectors.tattoos import Tattoos, marked
from services.redactor.domain import area, overlap
from services.redactor.inference import EngineKind, make_engine
from shared.events import Box, RegionKind

PROPOSED = 0.6

SKIN = (224, 178, 148)
INK = (34, 38, 46)


@pytest.fixture(scope="module")
def finder() -> Tattoos:
    """At a threshold for proposals: what is left alone here is never painted either."""
    return Tattoos(make_engine(EngineKind.ONNXRUNTIME, Path()), threshold=PROPOSED)


def arm(seed: int, width: int = 640, height: int = 480) -> Pixels:
    """A forearm across the picture, before a plain wall."""
    random = np.random.default_rng(seed)
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, np.newaxis, np.newaxis]
    light = 0.55 + 0.45 * np.sqrt(np.clip(1 - (rows / 0.75) ** 2, 0, 1))
    skin = np.array(SKIN, np.float32) * light + random.normal(0, 4, (height, width, 1)).astype(np.float32)
    picture = np.where(np.abs(rows) < 0.72, skin, 170 + random.normal(0, 3, (height, width, 1)))
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def tattooed(seed: int) -> tuple[Pixels, Box]:
    """The forearm with an anchor in a wreath of old black ink, and their box."""
    picture = arm(seed)
    ink = np.zeros(picture.shape[:2], np.uint8)
    x, y = 300, 240
    cv2.circle(ink, (x, y - 75), 18, 255, 8, cv2.LINE_AA)
    cv2.line(ink, (x, y - 55), (x, y + 90), 255, 14, cv2.LINE_AA)
    cv2.line(ink, (x - 45, y - 30), (x + 45, y - 30), 255, 12, cv2.LINE_AA)
    cv2.ellipse(ink, (x, y + 25), (75, 65), 0, 10, 170, 255, 14, cv2.LINE_AA)
    for side in (-1, 1):
        corners = np.array([(x + side * 92, y + 45), (x + side * 60, y + 12), (x + side * 52, y + 55)], np.int32)
        cv2.fillConvexPoly(ink, corners, 255, cv2.LINE_AA)
    for angle in range(0, 360, 20):
        centre = round(x + 118 * np.cos(np.radians(angle))), round(y + 118 * np.sin(np.radians(angle)))
        cv2.ellipse(ink, centre, (20, 8), angle + 60, 0, 360, 255, -1, cv2.LINE_AA)
    over = cv2.GaussianBlur(ink, (0, 0), 1.2)[:, :, np.newaxis].astype(np.float32) / 255 * 0.85
    mixed = picture * (1 - over) + np.array(INK, np.float32) * over
    return mixed.astype(np.uint8), (x - 130, y - 130, 260, 260)


def lesion(seed: int) -> Pixels:
    """Skin close by with a brown naevus of uneven border."""
    random = np.random.default_rng(seed)
    side = 448
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) - side / 2
    coarse = cv2.resize(random.random((9, 9)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    share = np.clip((1 - np.hypot(rows, columns) / 70 + 0.5 * (coarse - 0.5)) / 0.25, 0, 1)[:, :, np.newaxis]
    ground = np.array(SKIN, np.float32) + random.normal(0, 4, (side, side, 1)).astype(np.float32)
    brown = np.array((120, 70, 50), np.float32) * (0.7 + 0.5 * coarse[:, :, np.newaxis])
    return np.asarray(np.clip(ground * (1 - share) + brown * share, 0, 255), np.uint8)


def grey(seed: int) -> Pixels:
    """Soft grey shapes on black, as a radiograph has them."""
    random = np.random.default_rng(seed)
    field = cv2.resize(random.random((7, 7)).astype(np.float32), (512, 512), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(field * 220 + random.normal(0, 4, (512, 512)), 0, 255).astype(np.uint8)
    return np.repeat(picture[:, :, np.newaxis], 3, axis=2)


class TestTattoos:
    """With the weights that ship."""

    @pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
    def test_a_tattoo_is_found_whichever_way_the_arm_lies(self, finder: Tattoos, quarter_turns: int) -> None:
        picture, box = tattooed(1)
        turned = np.ascontiguousarray(np.rot90(picture, quarter_turns))
        mask = np.zeros(picture.shape[:2], bool)
        mask[box[1] : box[1] + box[3], box[0] : box[0] + box[2]] = True
        mask = np.rot90(mask, quarter_turns)
        found = finder.detect(turned)
        assert found
        covered = np.zeros(mask.shape, bool)
        for region in found:
            left, top, width, height = region.box
            covered[top : top + height, left : left + width] = True
            assert region.kind is RegionKind.TATTOO
            assert PROPOSED <= region.score <= 1
        assert covered[mask].mean() >= 0.6

    def test_the_box_does_not_swallow_the_arm(self, finder: Tattoos) -> None:
        picture, box = tattooed(2)
        for region in finder.detect(picture):
            assert area(region.box) < 3 * area(box)
            assert overlap(region.box, box) > 0

    @pytest.mark.parametrize("seed", range(6))
    def test_a_bare_arm_is_left_alone(self, finder: Tattoos, seed: int) -> None:
        assert finder.detect(arm(seed)) == []

    @pytest.mark.parametrize("seed", range(6))
    def test_a_lesion_is_left_alone(self, finder: Tattoos, seed: int) -> None:
        assert finder.detect(lesion(seed)) == []

    @pytest.mark.parametrize("seed", range(6))
    def test_a_grey_picture_is_left_alone(self, finder: Tattoos, seed: int) -> None:
        assert finder.detect(grey(seed)) == []

    def test_a_tattoo_without_colour_is_not_told_from_a_shadow(self, finder: Tattoos) -> None:
        picture = tattooed(1)[0].mean(axis=2, keepdims=True).astype(np.uint8)
        assert finder.detect(np.repeat(picture, 3, axis=2)) == []

    @pytest.mark.parametrize("size", [(1, 1), (5, 700), (33, 31), (1200, 90)])
    def test_any_size_is_taken_and_boxes_stay_inside(self, finder: Tattoos, size: tuple[int, int]) -> None:
        picture = np.full((*size, 3), 128, np.uint8)
        before = picture.copy()
        for region in finder.detect(picture):
            left, top, width, height = region.box
            assert left >= 0
            assert top >= 0
            assert left + width <= size[1]
            assert top + height <= size[0]
        assert np.array_equal(picture, before)


class TestMap:
    """From the network's map to boxes."""

    @staticmethod
    def two_spots() -> npt.NDArray[np.float32]:
        likely = np.zeros((20, 30), np.float32)
        likely[2:6, 3:9] = 0.95
        likely[12:16, 20:24] = 0.6
        likely[18, 2] = 0.99  # a single cell is chance
        return likely

    def test_what_hangs_together_is_one_box(self) -> None:
        found = marked(self.two_spots(), 0.5)
        assert [edges.tolist() for edges, _ in found] == [[3, 2, 9, 6], [20, 12, 24, 16]]
        assert [round(score, 2) for _, score in found] == [0.95, 0.6]

    def test_the_threshold_leaves_out_what_is_unsure(self) -> None:
        assert len(marked(self.two_spots(), 0.8)) == 1
