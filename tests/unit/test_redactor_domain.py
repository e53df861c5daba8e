"""Boxes: padded, aligned, merged. Pure."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.redactor.domain import (
    BLOCK_PX,
    Reason,
    Unreadable,
    aligned,
    area,
    bounded,
    clip,
    hole,
    merged,
    overlap,
    padded,
    painted_boxes,
    surest,
    without,
)
from shared.events import Box, Region, RegionKind

boxes = st.tuples(st.integers(-50, 400), st.integers(-50, 300), st.integers(1, 200), st.integers(1, 200))


def region(box: Box, kind: RegionKind = RegionKind.TEXT, score: float = 0.8) -> Region:
    return Region(kind=kind, box=box, score=score, detector="test")


@given(boxes)
def test_an_aligned_box_covers_the_box_and_starts_and_ends_on_the_grid_or_the_edge(box: Box) -> None:
    width, height = 333, 250
    inside, grown = clip(box, width, height), aligned(box, width, height)
    assert (inside is None) == (grown is None)
    if inside is None or grown is None:
        return
    assert overlap(inside, grown) == area(inside)
    assert grown[0] % BLOCK_PX == grown[1] % BLOCK_PX == 0
    assert (grown[0] + grown[2]) % BLOCK_PX == 0 or grown[0] + grown[2] == width
    assert (grown[1] + grown[3]) % BLOCK_PX == 0 or grown[1] + grown[3] == height


@pytest.mark.parametrize(("kind", "margin"), [("face", 18), ("text", 15), ("code", 15), ("manual", 0)])
def test_each_kind_gets_its_margin(kind: str, margin: int) -> None:
    assert padded(region((100, 100, 100, 100), RegionKind(kind)))[0] == 100 - margin


def test_small_print_gets_four_pixels_at_least() -> None:
    assert padded(region((10, 10, 40, 9))) == (6, 6, 48, 17)


def test_what_lies_outside_the_picture_is_not_painted() -> None:
    assert painted_boxes([region((500, 500, 20, 20))], 100, 100) == []


def test_the_same_thing_seen_twice_is_one_region_and_the_surest_stays() -> None:
    sure, unsure = region((10, 10, 50, 50), score=0.9), region((12, 12, 50, 50), score=0.4)
    assert merged([unsure, sure]) == [sure]


def test_what_only_overlaps_stays() -> None:
    one, other = region((0, 0, 100, 20)), region((80, 0, 100, 20))
    assert len(merged([one, other])) == 2


def test_a_surer_part_of_a_line_does_not_replace_the_whole_line() -> None:
    part, line = region((100, 50, 120, 20), score=0.9), region((100, 50, 200, 20), score=0.6)
    assert [(each.box, each.score) for each in merged([part, line])] == [((100, 50, 200, 20), 0.9)]


def test_another_kind_is_another_thing() -> None:
    box = (10, 10, 50, 50)
    assert len(merged([region(box), region(box, RegionKind.FACE)])) == 2


@given(st.lists(boxes, min_size=1, max_size=60), st.integers(1, 20))
def test_bounded_regions_cover_all_that_was_found(found: list[Box], limit: int) -> None:
    few = bounded([region(box) for box in found], limit)
    assert len(few) <= limit
    for box in found:
        assert any(overlap(box, each.box) == area(box) for each in few)


@given(
    st.lists(st.tuples(boxes, st.sampled_from(list(RegionKind))), min_size=20, max_size=80),
    st.integers(len(RegionKind), 20),
)
def test_bounded_regions_keep_their_kinds_apart(found: list[tuple[Box, RegionKind]], limit: int) -> None:
    few = bounded([region(box, kind) for box, kind in found], limit)
    assert len(few) <= limit
    for box, kind in found:
        assert any(each.kind is kind and overlap(box, each.box) == area(box) for each in few)


def test_a_page_of_print_joins_its_lines_and_leaves_the_faces_alone() -> None:
    lines = [region((0, 10 * row, 100, 8)) for row in range(300)]
    faces = [region((200, 0, 40, 40), RegionKind.FACE), region((200, 900, 40, 40), RegionKind.FACE)]
    few = bounded([*lines, *faces], 50)
    assert [each.box for each in few if each.kind is RegionKind.FACE] == [each.box for each in faces]
    assert len(few) <= 50


def test_of_a_list_that_is_only_shown_faces_stay_and_then_the_surest() -> None:
    face, sure = region((0, 0, 9, 9), RegionKind.FACE, score=0.1), region((0, 0, 9, 9), score=0.9)
    unsure = [region((row, 0, 9, 9), score=0.3) for row in range(9)]
    assert surest([*unsure, sure, face], 2) == [face, sure]
    assert surest([sure, face], 2) == [sure, face]


def test_a_refusal_keeps_its_reason_on_the_way_out_of_a_worker_process() -> None:
    error = pickle.loads(pickle.dumps(Unreadable(Reason.TRUNCATED, "half of it")))
    assert (error.reason, error.detail) == (Reason.TRUNCATED, "half of it")


@given(boxes, boxes)
def test_a_box_less_an_opening_is_all_of_the_box_outside_it_once(box: Box, opening: Box) -> None:
    pieces = without(box, opening)
    assert sum(map(area, pieces)) == area(box) - overlap(box, opening)
    assert not [piece for piece in pieces if overlap(piece, opening)]
    assert all(overlap(piece, box) == area(piece) for piece in pieces)
    assert not [one for one in pieces for other in pieces if one is not other and overlap(one, other)]


@given(boxes, st.integers(1, 400), st.integers(1, 300))
def test_an_opening_is_made_of_whole_blocks_inside_the_clinical_box(box: Box, width: int, height: int) -> None:
    opening = hole(box, width, height)
    if opening is None:
        inside = clip(box, width, height)
        assert inside is None or min(inside[2], inside[3]) < 2 * BLOCK_PX
        return
    assert overlap(opening, box) == area(opening)
    assert opening[0] % BLOCK_PX == opening[1] % BLOCK_PX == 0
    assert opening[0] + opening[2] == width or (opening[0] + opening[2]) % BLOCK_PX == 0
    assert opening[1] + opening[3] == height or (opening[1] + opening[3]) % BLOCK_PX == 0


def test_only_the_paint_of_a_face_leaves_a_clinical_box_open() -> None:
    eye: Box = (96, 96, 32, 32)
    for kind in RegionKind:
        painted = painted_boxes([region((64, 64, 128, 128), kind)], 400, 300, [eye])
        assert any(overlap(box, eye) for box in painted) == (kind is not RegionKind.FACE)
        assert sum(map(area, painted)) >= 128 * 128 - 32 * 32


def test_overlapping_clinical_boxes_leave_open_what_either_does() -> None:
    eyes: list[Box] = [(96, 96, 32, 32), (112, 112, 32, 32)]
    painted = painted_boxes([region((64, 64, 128, 128), RegionKind.FACE)], 400, 300, eyes)
    assert not [box for box in painted for eye in eyes if overlap(box, eye)]
    assert not [one for one in painted for other in painted if one is not other and overlap(one, other)]
