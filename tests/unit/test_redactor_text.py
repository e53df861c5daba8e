"""The text finder on drawn scenes (`tests.scenes.text`): what is found, what may stay. Figures hold with a margin."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from services.redactor.detectors import Pixels
from services.redactor.detectors.curves import is_curve, is_stroke
from services.redactor.detectors.lines import Line, lines_of
from services.redactor.detectors.marks import Reading
from services.redactor.detectors.text import NO_WORDS, Text, looks_like_paper
from services.redactor.domain import Thresholds, painted_boxes
from services.redactor.inference import EngineKind, Tensor, make_engine
from services.redactor.pixels.paint import paint
from services.redactor.weights import DEFAULT_DIRECTORY, missing
from shared.events import Region
from tests.listening import Listening
from tests.scenes import grounds, lettering
from tests.scenes.text import FILMS, GROUNDS, Scene, Written, scenes
from tests.scenes.text import scene as draw

needs_weights = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)
COVERED = 0.8
FACE = ("fontpkg_open_sans", "OpenSans[wdth,wght].ttf")
Share = tuple[Written, float]


@pytest.fixture(scope="module")
def finder() -> Text:
    limits = Thresholds()
    engine = make_engine(EngineKind.AUTO, DEFAULT_DIRECTORY)
    return Text(engine, pixel=limits.text_pixel, box=limits.text, mark=limits.mark)


def painted(pixels: Pixels, regions: Iterable[Region]) -> npt.NDArray[np.bool_]:
    height, width = pixels.shape[:2]
    mask = np.zeros((height, width), bool)
    for left, top, across, down in painted_boxes(regions, width, height):
        mask[top : top + down, left : left + across] = True
    return mask


def shares(scene: Scene, mask: npt.NDArray[np.bool_]) -> list[Share]:
    return [(written, written.covered_by(mask)) for written in scene.written]


def written_on(ground: npt.NDArray[np.float32], *lines: tuple[str, int, int, int, int]) -> Pixels:
    """Lines (text, size, x, y, contrast) on a grey ground."""
    for text, size, x, y, contrast in lines:
        alpha = lettering.ink(text, FACE, size)
        spot = ground[max(0, y) : y + alpha.shape[0], x : x + alpha.shape[1]]
        spot += contrast * alpha[max(0, -y) :]
    return np.repeat(np.clip(ground, 0, 255).astype(np.uint8)[..., np.newaxis], 3, axis=2)


def film() -> npt.NDArray[np.float32]:
    return np.random.default_rng(3).normal(40, 3, (700, 900)).astype(np.float32)


def found_on(finder: Text, pixels: Pixels, words: frozenset[str] = frozenset()) -> npt.NDArray[np.bool_]:
    return painted(pixels, finder.detect(pixels, True, words))


@pytest.fixture(scope="module")
def sought(finder: Text) -> list[Share]:
    """Two scenes of every ground, all that is written in them and how much of it is painted."""
    return [
        share
        for scene in scenes(14, seed=5)
        for share in shares(scene, painted(scene.pixels, finder.detect(scene.pixels, scene.ground in FILMS or None)))
    ]


def recall(sought: list[Share], counts: Callable[[Written], bool]) -> float:
    hits = [share >= COVERED for written, share in sought if written.must_go and counts(written)]
    assert len(hits) >= 10
    return sum(hits) / len(hits)


@needs_weights
def test_lettering_of_ten_pixels_and_more_is_found_whichever_way_it_lies(sought: list[Share]) -> None:
    assert recall(sought, lambda written: written.contrast >= 35) >= 0.94
    assert recall(sought, lambda written: written.contrast >= 35 and 45 < written.turn % 180 < 135) >= 0.9
    assert recall(sought, lambda written: written.contrast >= 35 and 135 < written.turn % 360 < 225) >= 0.9
    assert recall(sought, lambda written: written.contrast >= 35 and written.height <= 12) >= 0.85


@needs_weights
def test_a_clinical_mark_alone_stays(sought: list[Share]) -> None:
    alone = [share for written, share in sought if written.kind == "mark" and not written.must_go]
    assert len(alone) >= 4
    assert sum(share < 0.1 for share in alone) >= len(alone) - 1


@needs_weights
def test_initials_beside_a_mark_go_and_take_it_with_them(finder: Text) -> None:
    alone = found_on(finder, written_on(film(), ("R", 60, 700, 100, 180)))
    beside = found_on(finder, written_on(film(), ("R", 60, 700, 100, 180), ("KB", 30, 750, 116, 180)))
    assert not alone.any()
    assert beside[102:140, 702:790].mean() > 0.9


@needs_weights
def test_a_scale_and_an_exposure_stay_and_a_bare_number_goes(finder: Text) -> None:
    film_with = written_on(
        film(), ("120 kV", 30, 100, 100, 180), ("10 mm", 30, 600, 100, 180), ("4471893", 30, 100, 500, 180)
    )
    mask = found_on(finder, film_with)
    assert not mask[95:130, 90:800].any()
    assert mask[505:520, 102:210].mean() > 0.9


@needs_weights
def test_what_the_header_names_is_no_mark_and_is_found_when_faint(finder: Text) -> None:
    marked = written_on(film(), ("PA", 60, 700, 100, 180))
    assert not found_on(finder, marked).any()
    assert found_on(finder, marked, frozenset({"pa"}))[105:140, 702:760].mean() > 0.9


@needs_weights
def test_a_line_that_the_edge_cuts_through_is_covered(finder: Text) -> None:
    mask = found_on(finder, written_on(film(), ("MARCHETTI JEANNE", 60, 120, -28, 160)))
    assert mask[0:15, 130:300].mean() > 0.9


@needs_weights
def test_two_lines_that_melt_into_one_on_the_map_are_covered(finder: Text) -> None:
    rng = np.random.default_rng((5, 30))  # two names close together, one of them slanted
    scene = draw("ultrasound", GROUNDS["ultrasound"](rng), rng, False)
    found = shares(scene, painted(scene.pixels, finder.detect(scene.pixels, True)))
    close = [share for written, share in found if written.text in ("Novakova, L.", "#743843")]
    assert len(close) == 2
    assert min(close) >= COVERED


@needs_weights
def test_the_curves_of_an_ecg_stay_and_its_lettering_goes(finder: Text) -> None:
    letters, kept = [], []
    for scene in scenes(6, seed=8, only=("ecg",)):
        mask = painted(scene.pixels, finder.detect(scene.pixels))
        letters += [share >= COVERED for _, share in shares(scene, mask)]
        for left, top, width, height in scene.keep:
            kept.append(1 - float(mask[top : top + height, left : left + width].mean()))
    assert len(letters) >= 20
    assert np.mean(letters) >= 0.95
    assert min(kept) >= 0.85
    assert np.mean(kept) >= 0.95


@needs_weights
def test_empty_paper_with_paint_on_it_stays_as_it_is_when_it_is_looked_at_again(finder: Text) -> None:
    """The network for upright lines alone took such a sheet for one line as large as the sheet."""
    sheet = next(each for number, each in enumerate(scenes(42, 9092, only=("ecg", "paper"))) if number == 41)
    shown = paint(sheet.pixels, painted_boxes(finder.detect(sheet.pixels), *sheet.pixels.shape[1::-1]))
    assert not finder.detect_once(shown, 0.8)


def drawn_curve(width: int = 300, height: int = 60) -> Pixels:
    paper = np.full((height, width, 3), 250, np.uint8)
    heights = height * 0.7 - 30 * np.exp(-(((np.arange(width) % 100 - 40) / 4.0) ** 2))
    points = np.stack([np.arange(width), heights], axis=1).astype(np.int32)
    return np.asarray(cv2.polylines(paper, [points], False, (20, 20, 20), 2), np.uint8)


def test_a_curve_is_told_from_lettering() -> None:
    assert is_curve(drawn_curve())
    for text in ("Marchetti Jeanne", "14/03/1961", "illicit"):
        alpha = lettering.ink(text, FACE, 40)
        assert not is_curve(np.repeat((250 - 230 * alpha).astype(np.uint8)[..., np.newaxis], 3, axis=2))


def test_nothing_faint_is_called_a_curve() -> None:
    assert not is_curve((drawn_curve() // 10 + 200).astype(np.uint8))


def test_one_beat_is_a_stroke_and_two_letters_are_none() -> None:
    assert is_stroke(drawn_curve(60, 60))
    alpha = np.pad(lettering.ink("In", FACE, 40), 4)
    assert not is_stroke(np.repeat((250 - 230 * alpha).astype(np.uint8)[..., np.newaxis], 3, axis=2))


def test_a_line_as_high_as_an_organ_is_cut_out_halved_and_the_same() -> None:
    ramp = np.linspace(0, 250, 1200)[:, np.newaxis] * 0.5 + np.linspace(0, 250, 1600) * 0.5
    picture = np.repeat(ramp[..., np.newaxis], 3, axis=2).astype(np.uint8)
    high = Line((800, 600), 1000, 400, 12).straightened(picture, 0)
    low = Line((800, 600), 1000, 380, 12).straightened(picture, 0)
    assert (high.shape, low.shape) == ((200, 500, 3), (380, 1000, 3))
    assert np.abs(high[50:150, 50:450].astype(int) - low[90:290:2, 100:900:2]).max() <= 2


@needs_weights
@pytest.mark.parametrize(("size", "turns"), [((60, 300), (0, 2)), ((300, 60), (1, 3)), ((80, 90), (0, 1, 2, 3))])
def test_a_line_is_read_in_the_turns_in_which_it_holds_letters(
    finder: Text, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], turns: tuple[int, ...]
) -> None:
    shapes: list[tuple[int, ...]] = []

    def read(crops: list[Pixels], **_: object) -> list[Reading]:
        shapes.extend(crop.shape[:2] for crop in crops)
        return []

    monkeypatch.setattr(finder._reader, "read", read)
    finder._reader.legible(np.zeros((*size, 3), np.uint8))
    assert shapes == [size if turn % 2 == 0 else size[::-1] for turn in turns]


@needs_weights
def test_short_lines_are_padded_little_but_on_paper(finder: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = finder._reader
    network = Listening(reader._network)
    monkeypatch.setattr(reader, "_network", network)
    short, long = np.zeros((30, 50, 3), np.uint8), np.zeros((30, 110, 3), np.uint8)
    reader.read([short, long])
    reader.legible(short)
    assert [shape[3] for shape in network.told()] == [128, 192, 128]
    reader.legible(short, paper=True)
    assert not reader.marks(short, [(0, 0, 50, 30)], NO_WORDS, paper=True)[0]
    assert [shape[3] for shape in network.told()] == [160, 160, 160]


@needs_weights
def test_only_what_may_be_a_mark_is_read_twice(finder: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    film = written_on(np.full((300, 900), 20.0, np.float32), ("ERECT", 40, 60, 100, 180), ("LEFT", 40, 500, 100, 180))
    read: list[int] = []
    plain = finder._reader.read

    def counted(crops: list[Pixels], **settings: bool) -> list[Reading]:
        read.append(len(crops))
        return plain(crops, **settings)

    monkeypatch.setattr(finder._reader, "read", counted)
    boxes = [(50, 90, 190, 60), (490, 90, 140, 60)]
    assert finder._reader.marks(film, boxes, NO_WORDS, paper=False) == [False, True]
    assert read == [2, 1]


@needs_weights
@pytest.mark.parametrize(
    ("as_found", "tighter", "stays", "times"),
    [
        (Reading("ERECT", 0.99), Reading("LEFT", 0.99), False, 1),
        (Reading("LEF", 0.6), Reading("LEFT", 0.99), True, 2),
        (Reading("LEFT", 0.99), Reading("EF", 0.99), True, 2),
        (Reading("LEFT", 0.99), Reading("ANNA", 0.99), False, 2),
        (Reading("aVR", 0.75), Reading("", 0.0), True, 2),
        (Reading("", 0.0), Reading("", 0.0), False, 2),
        (Reading("RIGHT", 0.99), Reading("RIGHT", 0.99), False, 2),  # as the header names the patient
    ],
)
def test_one_reading_says_a_mark_and_none_surely_something_else(
    finder: Text, monkeypatch: pytest.MonkeyPatch, as_found: Reading, tighter: Reading, stays: bool, times: int
) -> None:
    answers = [[as_found], [tighter] if times == 2 else []]
    monkeypatch.setattr(finder._reader, "read", lambda crops, **_: answers.pop(0) if crops else [])
    film = np.zeros((100, 200), np.uint8)
    assert finder._reader.marks(film, [(20, 20, 90, 40)], frozenset({"right"}), paper=False) == [stays]
    assert len(answers) == 2 - times


@needs_weights
@pytest.mark.parametrize(("word", "stays"), [("", False), ("PORTABLE", True)])
def test_a_word_that_touches_a_large_letter_is_lettering_and_the_letter_alone_is_a_mark_or_nothing(
    finder: Text, word: str, stays: bool
) -> None:
    film = written_on(np.full((400, 400), 20.0, np.float32), ("H", 90, 150, 150, 180), (word or " ", 22, 112, 128, 180))
    seen = Line((190, 182), 130, 116, 0) if word else Line((190, 195), 100, 100, 0)
    assert finder._could_be_text(film, seen, 0.5, False) == stays


def test_the_same_seed_draws_the_same_scenes() -> None:
    one, other = list(scenes(7, seed=2)), list(scenes(7, seed=2))
    assert [scene.ground for scene in one] == list(grounds_in_order())
    for left, right in zip(one, other, strict=True):
        assert (left.pixels == right.pixels).all()
        assert [written.text for written in left.written] == [written.text for written in right.written]


def grounds_in_order() -> Iterable[str]:
    made = (grounds.radiograph, grounds.ct, grounds.ultrasound, grounds.ecg, grounds.monitor, grounds.wristband)
    return [each.__name__ for each in (*made, grounds.paper)]


@needs_weights
def test_a_film_is_carried_on_far_beyond_its_edges_for_the_first_look_only(
    finder: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Listening(finder._both_ways.network)
    monkeypatch.setattr(finder, "_both_ways", finder._both_ways._replace(network=network))
    film = np.random.default_rng(5).normal(60, 4, (1400, 1400)).clip(0, 255).astype(np.uint8)
    shown = np.repeat(film[..., np.newaxis], 3, axis=2)
    finder.detect(shown)
    finder.detect_once(shown, 0.8)
    assert [shape[2:] for shape in network.told()] == [
        (1120, 1120),
        (704, 704),
    ]  # 1,050 and 691 px, the margin, and up to a multiple of 32


class Tangled:
    """A network that sees two bars of lettering, one standing and one lying, that run into each other."""

    metadata: Mapping[str, str] = {}

    def run(self, batch: Tensor) -> Sequence[Tensor]:
        likely = np.zeros((1, 1, *batch.shape[2:]), np.float32)
        likely[0, 0, 60:230, 100:108] = likely[0, 0, 222:230, 100:250] = 0.95
        return [likely]


@needs_weights
def test_a_second_look_takes_apart_whatever_it_does_not_believe_whole(
    finder: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    (likely,) = Tangled().run(np.zeros((1, 3, 320, 320), np.float32))
    ((_, mean),) = lines_of(likely[0, 0], 0.3, 0.05, 1.3)
    monkeypatch.setattr(finder, "_both_ways", finder._both_ways._replace(network=Tangled()))
    monkeypatch.setattr(finder, "_box", mean / 0.95)
    found = finder.detect_once(np.full((300, 300, 3), (90, 120, 60), np.uint8), 1.0)
    assert [min(region.box[2:]) < 20 for region in found] == [True, True]


def test_paper_in_uneven_light_is_paper_and_a_light_film_is_none() -> None:
    for scene in scenes(4, seed=3, only=("ecg",)):
        assert looks_like_paper(scene.pixels)
    level = np.linspace(190, 230, 400, dtype=np.float32)
    sheet = np.repeat(np.repeat(level[np.newaxis, :, np.newaxis], 300, axis=0), 3, axis=2)
    assert looks_like_paper(sheet.astype(np.uint8))
    film = sheet.copy()
    film[:, :150] = np.linspace(60, 190, 150, dtype=np.float32)[np.newaxis, :, np.newaxis]
    assert not looks_like_paper(film.astype(np.uint8))


@needs_weights
def test_the_name_badge_in_a_photo_is_covered(finder: Text) -> None:
    """Letters of a few pixels, in the second portrait of the samples."""
    with Image.open(Path(__file__).parents[1] / "samples" / "pictures" / "photo.jpg") as photo:
        pixels = np.asarray(ImageOps.exif_transpose(photo).convert("RGB"), np.uint8)
    mask = painted(pixels, finder.detect(pixels))
    assert mask[492:512, 706:760].mean() > 0.8
