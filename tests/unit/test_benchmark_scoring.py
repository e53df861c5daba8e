"""The measure itself: what counts as covered, kept and too much, and how sure a share is."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks import pictures, quality, quality_tables, redaction
from benchmarks.contenders import Cost
from benchmarks.pictures import Sample, Truth
from benchmarks.scoring import Painted, is_covered, mask_of, score, wilson
from services.redactor.domain import Thresholds
from tests.scenes import mixed


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(43, 43, 0.918, 1.0), (19, 19, 0.832, 1.0), (0, 10, 0.0, 0.278), (81, 263, 0.255, 0.366)],
)
def test_the_interval_is_wilsons(hits: int, of: int, low: float, high: float) -> None:
    """43 of 43: the reference that the measured facts of the project give; 81 of 263: Newcombe 1998, table I."""
    assert wilson(hits, of) == pytest.approx((low, high), abs=6e-4)


def test_enough_of_a_thing_must_be_filled_and_of_a_face_its_middle() -> None:
    text, face = Truth("text", (10, 10, 100, 20)), Truth("face", (10, 10, 100, 100))
    assert is_covered(text, mask_of([(10, 10, 81, 20)], 200, 200))
    assert not is_covered(text, mask_of([(10, 10, 79, 20)], 200, 200))
    assert is_covered(face, mask_of([(10, 10, 100, 65)], 200, 200))
    assert not is_covered(face, mask_of([(10, 10, 100, 45), (10, 75, 100, 35)], 200, 200)), "the eyes are to be seen"


def test_a_slanted_thing_is_measured_in_its_own_shape() -> None:
    corners = np.array([(0, 50), (50, 0), (60, 10), (10, 60)], np.float32)
    slanted = Truth("text", (0, 0, 60, 60), corners)
    along = mask_of([(x, 45 - x, 16, 16) for x in range(0, 50, 4)], 60, 60)
    assert along.mean() < 0.6
    assert is_covered(slanted, along)
    assert not is_covered(Truth("text", (0, 0, 60, 60)), along)


def test_paint_beside_what_must_go_is_counted_and_a_margin_is_not() -> None:
    truths = (Truth("text", (40, 40, 50, 20)), Truth("face", (150, 150, 30, 30), ignored=True))
    sample = Sample("a", "b", b"", truths, (Truth("lesion", (0, 0, 30, 30)), Truth("lesion", (60, 60, 20, 8))))
    painted = [Painted("text", (36, 36, 58, 28)), Painted("face", (0, 0, 20, 20)), Painted("face", (150, 150, 30, 30))]
    told = score(sample, mask_of([each.box for each in painted], 200, 200), painted)
    assert told.outside == pytest.approx(20 * 20 / 200**2)
    assert [hit for _, hit in told.right] == [True, False, True]
    assert [hit for _, hit in told.covered] == [True], "what is ignored is not asked for"
    assert [hit for _, hit in told.kept] == [False, True], "a margin may reach into what stays"


def test_what_is_proposed_counts_apart() -> None:
    sample = Sample("a", "b", b"", (Truth("tattoo", (10, 10, 50, 50)),))
    nothing, seen = mask_of([], 100, 100), mask_of([(10, 10, 50, 50)], 100, 100)
    told = score(sample, nothing, [], seen)
    assert [hit for _, hit in told.covered] == [False]
    assert [hit for _, hit in told.proposed] == [True]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_box_turns_with_its_picture(turns: int) -> None:
    mask = mask_of([(10, 20, 30, 15)], 120, 80)
    moved = quality._turned_box((10, 20, 30, 15), 120, 80, turns)
    turned = np.rot90(mask, turns)
    assert (turned == mask_of([moved], turned.shape[1], turned.shape[0])).all()


def test_tables_go_between_their_marks_and_nowhere_else(tmp_path: Path) -> None:
    document = tmp_path / "d.md"
    document.write_text(f"a\n{quality_tables.BEGIN}\nold\n{quality_tables.END}\nz\n")
    quality_tables.write(document, "new")
    assert document.read_text() == f"a\n{quality_tables.BEGIN}\nnew\n{quality_tables.END}\nz\n"
    document.write_text("without marks")
    with pytest.raises(ValueError, match="no place"):
        quality_tables.write(document, "new")
    assert quality_tables.BEGIN in quality.DOCUMENT.read_text()


def test_scenes_follow_from_their_seed_and_what_is_planted_lies_in_them() -> None:
    for one, same in zip(mixed.scenes(3, 7), mixed.scenes(3, 7), strict=True):
        assert (one.pixels == same.pixels).all()
        assert one.planted == same.planted
        height, width = one.pixels.shape[:2]
        for planted in one.planted:
            left, top, across, down = planted.box
            assert left >= 0 <= top
            assert left + across <= width
            assert top + down <= height
    assert (mixed.scene(7, 2).pixels == one.pixels).all()


def test_every_shipped_picture_has_a_truth() -> None:
    assert {sample.name for sample in pictures.shipped()} == {
        path.name for path in pictures.SHIPPED.iterdir() if path.suffix != ".md"
    }


def test_the_document_names_every_threshold_with_its_default() -> None:
    for name, default in asdict(Thresholds()).items():
        assert f"| `{name}` | {default:g} |" in quality.DOCUMENT.read_text(), name


def test_what_all_pictures_cost_together_is_no_mean_of_their_ratios() -> None:
    def cost(*seconds: float) -> redaction.Run:
        return redaction.Run({name: [Cost(each, each)] for name, each in zip("ab", seconds, strict=True)})

    ours, theirs, more = cost(1.0, 2.0), cost(1.0, 8.0), cost(1.0, 2.0)
    assert redaction._ratio(ours, theirs) == [1.0, 0.25]
    assert redaction._together(ours, theirs) == pytest.approx(3 / 9)
    assert redaction._together(ours, theirs, more) == pytest.approx(3 / 12)
