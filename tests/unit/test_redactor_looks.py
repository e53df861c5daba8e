"""What follows the first search: the second look, openings for clinical regions, proposals. Finders are scripted."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.redactor.detectors import Pixels
from services.redactor.domain import painted_boxes
from services.redactor.pixels import redact
from services.redactor.pixels.looks import SCALE, SHIFT_PX, look_again, uncovered
from services.redactor.pixels.redact import LOOKS_AGAIN, Redactor
from services.redactor.pixels.search import Findings
from shared.events import Box, PictureKind, Region, RegionKind

SAMPLES = Path(__file__).parents[1] / "samples" / "pictures"
WIDTH, HEIGHT = 640, 480
FACE = Region(kind=RegionKind.FACE, box=(200, 100, 200, 240), score=0.9, detector="test")
NAME = Region(kind=RegionKind.TEXT, box=(20, 440, 160, 24), score=0.9, detector="test")
TATTOO = Region(kind=RegionKind.TATTOO, box=(480, 300, 60, 60), score=0.5, detector="test")
EYE: Box = (230, 150, 60, 50)


class Scripted:
    """A search that finds on first sight what it is told, and at each further look the next of `again`."""

    def __init__(
        self, first: Sequence[Region] = (), again: Sequence[Sequence[Region]] = (), proposed: Sequence[Region] = ()
    ) -> None:
        self.first, self.proposed = tuple(first), tuple(proposed)
        self.looks = [list(each) for each in again]
        self.seen: list[Pixels] = []
        self.text, self.faces, self.codes = self, Silent(), Silent()
        self.words: list[frozenset[str]] = []

    def __call__(self, pixels: Pixels, kind: object, watch: object, words: frozenset[str] = frozenset()) -> Findings:
        self.words.append(words)
        return Findings(self.first, self.proposed)

    def proposals(self, pixels: Pixels, *_: object, sure_too: bool = False) -> tuple[Region, ...]:
        return (*self.proposed, *(each for each in self.first if sure_too and each.kind is RegionKind.TATTOO))

    def detect_once(self, pixels: Pixels, part: float, small_print: bool) -> list[Region]:
        """The text of a second look: the script's regions, where they lie in the moved picture."""
        self.seen.append(pixels)
        return [moved(each) for each in (self.looks.pop(0) if self.looks else [])]


class Silent:
    """Stands for the finders that see nothing in a second look."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def detect(self, pixels: Pixels) -> list[Region]:
        self.asked.append("detect")
        return []

    def detect_once(self, pixels: Pixels, part: float) -> list[Region]:
        self.asked.append("detect_once")
        return []

    def read(self, pixels: Pixels) -> list[Region]:
        self.asked.append("read")
        return []


def moved(region: Region) -> Region:
    left, top, width, height = (round(edge * SCALE) for edge in region.box)
    return region.model_copy(update={"box": (left + SHIFT_PX, top + SHIFT_PX, width, height)})


MakeRedactor = Callable[[Scripted], Redactor]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> MakeRedactor:
    def build(script: Scripted) -> Redactor:
        monkeypatch.setattr(redact, "require", lambda directory: directory)
        monkeypatch.setattr(redact, "make_engine", lambda kind, weights: None)
        monkeypatch.setattr(redact, "Search", lambda engine, thresholds: script)
        return Redactor(Path())

    return build


def noise() -> Pixels:
    return np.random.default_rng(5).integers(160, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def png() -> bytes:
    written = io.BytesIO()
    Image.fromarray(noise()).save(written, "PNG")
    return written.getvalue()


def is_grey(pixels: Pixels, box: Box) -> bool:
    left, top, width, height = box
    return bool((pixels[top : top + height, left : left + width] == 128).all())


def test_what_the_second_look_finds_is_painted_and_searched_again(make: MakeRedactor) -> None:
    script = Scripted([FACE], [[NAME], []])
    (frame,) = make(script).redact(png()).frames
    assert [region.kind for region in frame.regions] == [RegionKind.FACE, RegionKind.TEXT]
    assert not frame.residual
    assert len(script.seen) == 2
    shown = np.asarray(Image.open(io.BytesIO(frame.renditions[0].data)))
    assert is_grey(shown, NAME.box)


def test_what_is_searched_again_is_the_file_that_leaves(make: MakeRedactor) -> None:
    """Compression moves noise by some levels, and with it what a finder sees."""
    script = Scripted([FACE], [])
    (frame,) = make(script).redact(png()).frames
    left = np.asarray(Image.open(io.BytesIO(frame.renditions[0].data)))
    expected = Scripted()
    look_again(expected, left, ())  # type: ignore[arg-type]
    np.testing.assert_array_equal(script.seen[0], expected.seen[0])


def test_what_cannot_be_cleared_is_painted_and_reported(make: MakeRedactor) -> None:
    others = [NAME.model_copy(update={"box": (20, 40 * row, 160, 24)}) for row in range(LOOKS_AGAIN)]
    (frame,) = make(Scripted([FACE], [[each] for each in others])).redact(png()).frames
    assert len(frame.residual) == 1
    shown = np.asarray(Image.open(io.BytesIO(frame.renditions[0].data)))
    assert all(is_grey(shown, each.box) for each in others)


def test_where_a_person_set_the_boxes_the_second_look_only_reports(make: MakeRedactor) -> None:
    (frame,) = make(Scripted([FACE], [[NAME]])).redact(png(), {0: [FACE]}).frames
    assert frame.regions == (FACE,)
    assert [region.kind for region in frame.residual] == [RegionKind.TEXT]
    shown = np.asarray(Image.open(io.BytesIO(frame.renditions[0].data)))
    assert not is_grey(shown, NAME.box)


def test_what_is_residual_is_bounded_and_names_the_surest(make: MakeRedactor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "MAX_REGIONS", 2)
    scores = (0.5, 0.9, 0.7)
    seen = [
        NAME.model_copy(update={"box": (20, 40 * row, 160, 24), "score": score}) for row, score in enumerate(scores)
    ]
    (frame,) = make(Scripted([], [seen])).redact(png(), {0: []}).frames
    assert [each.score for each in frame.residual] == [0.9, 0.7]


def test_the_second_look_sees_the_picture_scaled_and_shifted_and_says_where_in_the_whole(make: MakeRedactor) -> None:
    script = Scripted(again=[[NAME]])
    (found,) = make(script).look_again(noise(), [], PictureKind.XRAY)
    assert np.abs(np.subtract(found.box, NAME.box)).max() <= 2
    assert script.seen[0].shape[:2] == (round(HEIGHT * SCALE) + SHIFT_PX, round(WIDTH * SCALE) + SHIFT_PX)


def test_where_a_person_set_the_regions_the_second_look_seeks_codes_by_their_print(make: MakeRedactor) -> None:
    """One too blurred to be read, whose box they took away, is reported."""
    script = Scripted()
    make(script).redact(png())
    assert (script.faces.asked, script.codes.asked) == (["detect_once"], ["read"])
    make(script).redact(png(), {0: []})
    assert (script.faces.asked, script.codes.asked) == (["detect_once"] * 2, ["read", "detect"])


def test_a_great_picture_is_halved_for_the_second_look_and_places_stay_right() -> None:
    far = NAME.model_copy(update={"box": (3000, 2400, 400, 60)})
    seen: list[Pixels] = []

    class Halving(Scripted):
        def detect_once(self, pixels: Pixels, part: float, small_print: bool) -> list[Region]:
            seen.append(pixels)
            left, top, width, height = (round(edge * SCALE / 2) for edge in far.box)
            return [far.model_copy(update={"box": (left + SHIFT_PX, top + SHIFT_PX, width, height)})]

    (found,) = look_again(Halving(), np.zeros((3000, 4001, 3), np.uint8), [])  # type: ignore[arg-type]
    assert max(seen[0].shape) == round(2000 * SCALE) + SHIFT_PX
    assert np.abs(np.subtract(found.box, far.box)).max() <= 4


def test_a_clinical_box_stays_open_in_a_face_and_nothing_else_of_it_does(make: MakeRedactor) -> None:
    (frame,) = make(Scripted([FACE])).redact(png(), clinical={0: [EYE]}).frames
    assert frame.clinical == (EYE,)
    shown = np.asarray(Image.open(io.BytesIO(frame.renditions[0].data))).astype(int)
    opening = (240, 160, 48, 32)  # the whole blocks of 16 pixels inside the clinical box
    left, top, width, height = opening
    assert np.abs(shown - noise())[top : top + height, left : left + width].mean() < 12
    painted = np.zeros((HEIGHT, WIDTH), bool)
    painted[96:352, 192:416] = True  # well inside the padded face
    painted[top : top + height, left : left + width] = False
    assert (shown[painted] == 128).all()


def test_text_in_the_opening_is_painted_all_the_same(make: MakeRedactor) -> None:
    tag = NAME.model_copy(update={"box": (244, 164, 24, 16)})
    (frame,) = make(Scripted([FACE, tag])).redact(png(), clinical={0: [EYE]}).frames
    assert is_grey(np.asarray(Image.open(io.BytesIO(frame.renditions[0].data))), tag.box)


def test_a_face_seen_again_in_the_opening_is_none_that_was_overlooked_and_a_name_there_is() -> None:
    eye_as_face = FACE.model_copy(update={"box": (240, 160, 48, 32)})
    name_on_it = NAME.model_copy(update={"box": (240, 160, 48, 32)})
    assert uncovered([eye_as_face, name_on_it], [FACE], WIDTH, HEIGHT, [EYE]) == [name_on_it]
    assert uncovered([eye_as_face], [], WIDTH, HEIGHT, []) == [eye_as_face]


def test_a_clinical_box_hides_no_face_that_is_not_painted_at_all() -> None:
    eye_as_face = FACE.model_copy(update={"box": (240, 160, 48, 32)})
    elsewhere = FACE.model_copy(update={"box": (500, 20, 60, 60)})
    assert uncovered([eye_as_face], [], WIDTH, HEIGHT, [EYE]) == [eye_as_face]
    assert uncovered([eye_as_face], [elsewhere], WIDTH, HEIGHT, [EYE]) == [eye_as_face]


def test_a_frame_that_nobody_listed_is_painted_as_the_machine_decides(make: MakeRedactor) -> None:
    (listed,) = make(Scripted([FACE])).redact(png(), {0: []}).frames
    assert not listed.regions
    (forgotten,) = make(Scripted([FACE])).redact(png(), {1: []}).frames
    assert forgotten.regions == (FACE,)
    assert is_grey(np.asarray(Image.open(io.BytesIO(forgotten.renditions[0].data))), FACE.box)


@pytest.mark.parametrize("boxes", [None, {0: [FACE]}])
def test_proposals_are_carried_and_not_painted(make: MakeRedactor, boxes: dict[int, list[Region]] | None) -> None:
    (frame,) = make(Scripted([FACE], proposed=[TATTOO])).redact(png(), boxes).frames
    assert frame.proposals == (TATTOO,)
    assert TATTOO not in frame.regions
    assert not is_grey(np.asarray(Image.open(io.BytesIO(frame.renditions[0].data))), TATTOO.box)


def test_a_sure_tattoo_whose_box_a_person_took_away_is_proposed(make: MakeRedactor) -> None:
    (frame,) = make(Scripted([TATTOO])).redact(png(), {0: [TATTOO]}).frames
    assert frame.proposals == ()
    (frame,) = make(Scripted([TATTOO])).redact(png(), {0: []}).frames
    assert frame.proposals == (TATTOO,)


def test_a_proposal_that_is_painted_already_asks_nobody(make: MakeRedactor) -> None:
    drawn = Region(kind=RegionKind.MANUAL, box=(470, 290, 80, 60))
    (frame,) = make(Scripted([FACE], proposed=[TATTOO])).redact(png(), {0: [drawn]}).frames
    assert frame.proposals == ()


def test_paint_leaves_the_clinical_opening_and_the_original_alone(make: MakeRedactor) -> None:
    picture = noise()
    painted = make(Scripted()).paint(picture, [FACE], [EYE])
    assert np.array_equal(picture, noise())
    changed = (painted != picture).any(axis=2)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    for left, top, width, height in painted_boxes([FACE], WIDTH, HEIGHT, [EYE]):
        expected[top : top + height, left : left + width] = True
    assert np.array_equal(changed, expected)


def test_the_words_of_the_header_reach_the_search_and_nothing_that_comes_out(make: MakeRedactor) -> None:
    script = Scripted([FACE])
    done = make(script).redact((SAMPLES / "dicom.dcm").read_bytes())
    (words,) = script.words
    assert words
    told = repr([replace(frame, renditions=()) for frame in done.frames]) + repr((done.notes, done.stages))
    assert not [word for word in words if len(word) > 3 and word in told.casefold()]
    make(script).redact(png())
    assert script.words[-1] == frozenset()
