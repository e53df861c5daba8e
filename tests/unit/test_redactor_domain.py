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
    merged,
    overlap,
    padded,
    painted_boxes,
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


def test_another_kind_is_another_thing() -> None:
    box = (10, 10, 50, 50)
    assert len(merged([region(box), region(box, RegionKind.FACE)])) == 2


@given(st.lists(boxes, min_size=1, max_size=60), st.integers(1, 20))
def test_bounded_regions_cover_all_that_was_found(found: list[Box], limit: int) -> None:
    few = bounded([region(box) for box in found], limit)
    assert len(few) <= limit
    for box in found:
        assert any(overlap(box, each.box) == area(box) for each in few)


def test_a_refusal_keeps_its_reason_on_the_way_out_of_a_worker_process() -> None:
    error = pickle.loads(pickle.dumps(Unreadable(Reason.TRUNCATED, "half of it")))
    assert (error.reason, error.detail) == (Reason.TRUNCATED, "half of it")
