"""Where the text network hints at codes, the finder of codes looks, and nowhere else; a hint misses no code."""

import itertools

import cv2
import numpy as np
import pytest

from services.redactor.detectors import Pixels
from services.redactor.detectors.code_hints import FIELD_PX, HINT, LEAST, Part, hinted
from services.redactor.detectors.codes import Codes
from services.redactor.detectors.text import Text
from services.redactor.domain import Thresholds, overlap, padded
from services.redactor.inference import EngineKind, make_engine
from services.redactor.pixels.redact import Redactor
from services.redactor.weights import DEFAULT_DIRECTORY, missing
from shared.events import Box, RegionKind
from tests.scenes import text as lettering
from tests.scenes.codes import SYMBOLOGIES, Scene, scene, scenes
from tests.scenes.codes_measured import FOUND_FROM, covered

needs_weights = pytest.mark.skipif(bool(missing(DEFAULT_DIRECTORY)), reason="weights are not fetched: make weights")

SIDE = 640


@pytest.fixture(scope="module")
def codes() -> Codes:
    cv2.setNumThreads(1)
    return Codes()


@pytest.fixture(scope="module")
def finder() -> Text:
    limits = Thresholds()
    engine = make_engine(EngineKind.AUTO, DEFAULT_DIRECTORY)
    return Text(engine, pixel=limits.text_pixel, box=limits.text, mark=limits.mark)


def fields(*strong: tuple[int, int], value: float = LEAST) -> np.ndarray:
    """A map of 40 x 40 fields, those of these columns and rows of this value, the others just below a hint."""
    codes = np.full((40, 40), HINT * 0.99, np.float32)
    for column, row in strong:
        codes[row, column] = value
    return codes


def in_grey(pixels: Pixels) -> Pixels:
    return np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., np.newaxis], 3, axis=2).astype(np.uint8)


def holds(parts: list[Part] | None, shown: Scene) -> bool:
    """Whether one part holds the whole print, and its hint the print's middle. Light skin in grey may pass for paper:
    then all of it is searched."""
    if parts is None:
        return True
    left, top = (int(value) for value in np.floor(shown.corners.min(axis=0)))
    right, bottom = (int(value) for value in np.ceil(shown.corners.max(axis=0)))
    print_: Box = (left, top, right - left, bottom - top)
    x, y = (int(value) for value in shown.corners.mean(axis=0))
    return any(
        overlap(part.box, print_) == print_[2] * print_[3] and overlap(part.hint, (x, y, 1, 1)) for part in parts
    )


class TestMap:
    def test_a_map_that_hints_at_nothing_leaves_nothing_to_search(self) -> None:
        assert hinted(fields(), 0, 1.0, SIDE, SIDE) == []

    def test_faint_fields_are_a_hint_where_enough_lie_together(self) -> None:
        enough = round(LEAST / 0.2) + 1
        near, scattered = [(10 + n, 20) for n in range(enough)], [(6 * n, 8 + 20 * (n % 2)) for n in range(enough)]
        assert len(hinted(fields(*near, value=0.2), 0, 1.0, SIDE, SIDE)) == 1
        assert hinted(fields(*near[:-2], value=0.2), 0, 1.0, SIDE, SIDE) == []
        assert hinted(fields(*scattered, value=0.2), 0, 1.0, SIDE, SIDE) == []

    def test_a_hint_is_a_place_in_the_picture_with_room_around(self) -> None:
        (part,) = hinted(fields((20, 10)), 0, 1.0, SIDE, SIDE)
        left, top, across, down = part.box
        assert (left + across / 2, top + down / 2) == pytest.approx((20.5 * FIELD_PX, 10.5 * FIELD_PX), abs=1)
        assert across >= 5 * FIELD_PX
        assert down >= 5 * FIELD_PX
        assert part.hint == pytest.approx((19 * FIELD_PX, 9 * FIELD_PX, 3 * FIELD_PX, 3 * FIELD_PX), abs=1)

    def test_margin_and_scale_of_what_the_network_saw_are_taken_back(self) -> None:
        plain = hinted(fields((20, 10)), 0, 1.0, SIDE, SIDE)[0]
        moved = hinted(fields((22, 12)), 2 * FIELD_PX, 1.0, SIDE, SIDE)[0]
        halved = hinted(fields((20, 10)), 0, 2.0, SIDE, SIDE)[0]
        assert moved == plain
        assert halved.box == pytest.approx([length / 2 for length in plain.box], abs=1)
        assert halved.hint == pytest.approx([length / 2 for length in plain.hint], abs=1)

    def test_at_the_edge_it_is_cut_and_beyond_it_there_is_none(self) -> None:
        assert hinted(fields((0, 0)), 0, 1.0, SIDE, SIDE)[0].box[:2] == (0, 0)
        assert hinted(fields((39, 39)), 0, 1.0, 300, 300) == []

    def test_hints_that_touch_are_one_and_those_far_apart_are_not(self) -> None:
        near = hinted(fields((10, 10), (14, 10)), 0, 1.0, SIDE, SIDE)
        far = hinted(fields((5, 5), (30, 30)), 0, 1.0, SIDE, SIDE)
        assert len(near) == 1
        assert len(far) == 2

    def test_a_faint_field_near_a_hint_belongs_to_it(self) -> None:
        both = fields((10, 10))
        both[10, 14] = HINT + 0.01
        (part,) = hinted(both, 0, 1.0, SIDE, SIDE)
        assert part.hint[0] + part.hint[2] >= 15 * FIELD_PX

    def test_a_hint_that_joins_two_others_leaves_one(self) -> None:
        (part,) = hinted(fields((6, 10), (16, 10), (11, 10)), 0, 1.0, SIDE, SIDE)
        for left, _, across, _ in part:
            assert left <= 6 * FIELD_PX
            assert left + across >= 17 * FIELD_PX


class TestSearchOfParts:
    def test_where_there_is_no_part_only_what_is_read_is_a_code(self, codes: Codes) -> None:
        clean = scene("QRCode", 160, "clean", 0, seed=3, background="skin")
        assert {region.detector for region in codes.detect(clean.pixels, parts=[])} == {"zxing-cpp-3.1"}
        blurred = scene("Code128", 160, "blur", 37, seed=21_052, background="wood")
        assert codes.detect(blurred.pixels)
        assert codes.detect(blurred.pixels, parts=[]) == []

    @pytest.mark.parametrize("symbology", ["Code128", "DataMatrix", "PDF417"])
    def test_a_part_that_holds_the_print_gives_what_the_whole_picture_gives(self, codes: Codes, symbology: str) -> None:
        for number, shown in enumerate(scenes(4, seed=21, symbology=symbology)):
            left, top = (int(value) for value in shown.corners.min(axis=0) - 70)
            right, bottom = (int(value) for value in shown.corners.max(axis=0) + 70)
            part = max(0, left), max(0, top), right - max(0, left), bottom - max(0, top)
            whole = [padded(region) for region in codes.detect(shown.pixels)]
            here = [padded(region) for region in codes.detect(shown.pixels, parts=[Part(part, part)])]
            assert (covered(shown, here) >= FOUND_FROM) == (covered(shown, whole) >= FOUND_FROM), number

    def test_wherever_a_part_begins_cells_lie_in_it_as_in_the_whole_picture(self, codes: Codes) -> None:
        """A doubtful print: at another offset of the cells it is not seen."""
        shown = next(each for each in scenes(seed=2026, symbology="PDF417") if each.name == "PDF417-160-blur-0-skin")
        whole = codes.detect(in_grey(shown.pixels))
        assert whole
        left, top = (int(value) for value in shown.corners.min(axis=0))
        for moved in range(0, 12, 3):
            around: Box = (left - 141 - moved, top - 133 + moved, 438, 310)
            assert codes.detect(in_grey(shown.pixels), parts=[Part(around, around)]) == whole, moved

    def test_elsewhere_no_print_is_sought(self, codes: Codes) -> None:
        shown = scene("Code128", 160, "blur", 37, seed=21_052, background="wood")
        left = int(shown.corners[:, 0].min())
        beside: Box = (0, 0, left - 40, 1200) if left > 600 else (left + 260, 0, 1600 - left - 260, 1200)
        assert codes.detect(shown.pixels, parts=[Part(beside, beside)]) == []

    def test_what_is_printed_beside_a_hint_is_not_measured(self, codes: Codes) -> None:
        shown = scene("Code128", 160, "blur", 37, seed=21_052, background="wood")
        left, top = (int(value) for value in shown.corners.min(axis=0))
        right, bottom = (int(value) for value in shown.corners.max(axis=0))
        around: Box = (left - 100, top - 100, right - left + 200, bottom - top + 200)
        middle: Box = ((left + right) // 2 - 30, (top + bottom) // 2 - 30, 60, 60)
        corner: Box = (left - 100, top - 100, 60, 60)
        assert codes.detect(shown.pixels, parts=[Part(middle, around)])
        assert codes.detect(shown.pixels, parts=[Part(corner, around)]) == []


@needs_weights
class TestNetwork:
    @pytest.mark.parametrize("grey", [False, True])
    def test_the_parts_hold_every_code(self, finder: Text, grey: bool) -> None:
        shown = list(scenes(12, seed=31))
        without = [
            each.name
            for each in shown
            if not holds(finder.look(in_grey(each.pixels) if grey else each.pixels).coded, each)
        ]
        assert without == []

    def test_a_code_that_fills_a_small_picture_is_hinted_at(self, finder: Text) -> None:
        """320 pixels of 520: a map taught without close-ups hints at 15 of these 24."""
        seen = 0
        for symbology, condition in itertools.product(SYMBOLOGIES, ("blur", "dark")):
            for turn in (0, 37):
                shown = scene(symbology, 320, condition, turn, seed=5, background="meadow")
                left, top = (max(0, int(value)) for value in shown.corners.mean(axis=0) - 260)
                parts = finder.look(np.ascontiguousarray(shown.pixels[top : top + 520, left : left + 520])).coded
                x, y = (int(value) for value in shown.corners.mean(axis=0) - (left, top))
                assert parts is not None
                seen += any(overlap(part.hint, (x, y, 1, 1)) for part in parts)
        assert seen >= 23

    def test_drawn_films_full_of_lettering_have_next_to_nothing_to_search(self, finder: Text) -> None:
        for shown in lettering.scenes(6, 31, only=lettering.FILMS):
            parts = finder.look(shown.pixels, True).coded
            assert parts is not None
            searched = sum(part.box[2] * part.box[3] for part in parts)
            assert searched < 0.15 * shown.pixels.shape[0] * shown.pixels.shape[1], shown.ground

    def test_on_paper_the_other_network_looks_which_cannot_say(self, finder: Text) -> None:
        assert finder.look(np.full((900, 700, 3), 245, np.uint8)).coded is None

    def test_a_code_that_nobody_can_read_is_painted_where_there_is_a_hint_of_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shown = scene("Code128", 160, "blur", 37, seed=21_052, background="wood")
        redactor = Redactor(DEFAULT_DIRECTORY)

        def found() -> bool:
            regions = [each for each in redactor.find(shown.pixels) if each.kind is RegionKind.CODE]
            return covered(shown, [padded(each) for each in regions]) >= FOUND_FROM

        assert found()
        monkeypatch.setattr("services.redactor.detectors.text.hinted", lambda *_: [])
        assert not found()

    @pytest.mark.parametrize("turn", [0, 90])
    @pytest.mark.parametrize("symbology", SYMBOLOGIES)
    def test_a_code_that_a_library_reads_needs_no_hint(
        self, monkeypatch: pytest.MonkeyPatch, symbology: str, turn: int
    ) -> None:
        monkeypatch.setattr("services.redactor.detectors.text.hinted", lambda *_: [])
        shown = scene(symbology, 320, "clean", turn, seed=11, background="skin")
        file = cv2.imencode(".png", shown.pixels[..., ::-1])[1].tobytes()
        frame = Redactor(DEFAULT_DIRECTORY).redact(file).frames[0]
        codes = [padded(each) for each in frame.regions if each.kind is RegionKind.CODE]
        assert covered(shown, codes) >= FOUND_FROM
