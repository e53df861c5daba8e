"""What the text finder is taught: the wanted maps, without the network and without PyTorch."""

import numpy as np
import numpy.typing as npt

from tests.scenes.text import scene
from training.text.code_lessons import worn
from training.text.lessons import corrected, lines_only
from training.text.recorders import recorder

Map = npt.NDArray[np.float32]


def empty() -> Map:
    return np.zeros((200, 300), np.float32)


def bar(target: Map, left: int, top: int, width: int, height: int) -> npt.NDArray[np.float32]:
    """Fills a part of the map as lettering; returns corners of the ink round it."""
    target[top : top + height, left : left + width] = 0.9
    aside, along = round(0.7 * min(width, height)), 4
    across, down = (along, aside) if width > height else (aside, along)
    box = left - across, top - down, left + width + across, top + height + down
    return np.array([(box[0], box[1]), (box[2], box[1]), (box[2], box[3]), (box[0], box[3])], np.float32)


def test_a_line_is_wanted_as_the_pass_saw_it_that_reads_in_its_direction() -> None:
    upright, lying = empty(), empty()
    line = bar(upright, 50, 90, 150, 10)
    bar(lying, 60, 60, 10, 70)  # as the lying pass sees letters that stand under each other

    wanted = corrected(upright, lying, [(line, False)])

    assert np.array_equal(wanted, upright)
    assert np.array_equal(corrected(upright, lying, [(line, True)])[110:120, 60:70], lying[110:120, 60:70])


def test_nothing_is_wanted_where_nothing_was_written() -> None:
    upright = empty()
    line = bar(upright, 50, 90, 150, 10)
    bar(upright, 20, 20, 100, 12)

    wanted = corrected(upright, empty(), [(line, False)])

    assert wanted[85:105, 50:200].max() > 0.8
    assert not wanted[:40].any()


def test_the_core_of_a_line_that_nobody_saw_is_drawn() -> None:
    line = np.array([(50, 80), (200, 80), (200, 100), (50, 100)], np.float32)

    wanted = corrected(empty(), empty(), [(line, False)])

    rows, columns = np.nonzero(wanted)
    assert (rows.min(), rows.max()) == (86, 94)
    assert (columns.min(), columns.max()) == (56, 194)


def test_of_a_photograph_a_great_patch_is_no_lettering_and_a_slanted_line_is() -> None:
    seen = empty()
    seen[20:150, 20:120] = 0.8
    for step in range(130):
        seen[60 + step // 2 : 70 + step // 2, 150 + step] = 0.8

    kept = lines_only(seen)

    assert not kept[:, :130].any()
    assert np.array_equal(kept[:, 140:], seen[:, 140:])


def test_a_recorders_sheet_keeps_its_curves_apart_from_its_words() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        sheet, labels = recorder(rng)
        made = scene("ecg", sheet, rng, False, blocks=1)
        assert made.keep
        assert made.written
        for line in labels:
            left, top, width, height = line.box
            inked = made.pixels[top : top + height, left : left + width]
            assert int(inked.max()) - int(inked.min()) > 40


def test_what_wears_a_print_wears_the_map_of_its_codes_with_it() -> None:
    """A white square stands for the code: bent or inverted, it stays where its map says; a finger takes from both."""
    covered = np.zeros((400, 500), np.uint8)
    covered[150:250, 200:320] = 255
    print_ = np.repeat(covered[..., np.newaxis], 3, axis=2)
    bent = inverted = hidden = 0
    for seed in range(60):
        seen, where = worn(print_, covered, np.random.default_rng(seed))
        light = bool(np.median(seen[0]) < 128)
        as_mapped = float((((seen > 128).all(axis=2) == light) == (where > 128)).mean())
        inverted += not light
        hidden += int(where.sum()) < 0.97 * int(covered.sum())
        bent += as_mapped > 0.98 and not np.array_equal(where, covered)
        assert as_mapped > (0.98 if np.array_equal(seen[0], print_[0]) and where.sum() == covered.sum() else 0.85), seed
    assert bent >= 10
    assert inverted >= 4
    assert hidden >= 3
