"""What the patient saw covered stays covered, the margin that each kind of region is painted with included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.moderation.domain.uncovered import painted_box, shows_more
from services.redactor.domain import clip, padded
from shared.events import Box, Frame, Region, RegionKind

SIDE = 200
FACE: Box = (60, 60, 50, 50)


def frame(*regions: tuple[RegionKind, Box], clinical: tuple[Box, ...] = ()) -> Frame:
    made = tuple(Region(kind=kind, box=box) for kind, box in regions)
    return Frame(index=0, width=SIDE, height=SIDE, regions=made, clinical=clinical, renditions=())


@pytest.mark.parametrize(
    ("now", "more"),
    [
        ([(RegionKind.FACE, FACE)], False),
        ([(RegionKind.FACE, (50, 50, 70, 70))], False),
        ([(RegionKind.MANUAL, (51, 51, 68, 68))], False),
        ([(RegionKind.MANUAL, (51, 51, 34, 68)), (RegionKind.MANUAL, (85, 51, 34, 68))], False),
        ([(RegionKind.MANUAL, FACE)], True),
        ([(RegionKind.TEXT, FACE)], True),
        ([(RegionKind.MANUAL, (52, 51, 67, 68))], True),
        ([], True),
    ],
)
def test_a_face_keeps_its_margin_whatever_is_painted_instead(now: list[tuple[RegionKind, Box]], more: bool) -> None:
    assert shows_more([frame((RegionKind.FACE, FACE))], [frame(*now)]) is more


def test_an_opened_face_may_be_painted_by_hand_with_its_margin() -> None:
    before = frame((RegionKind.FACE, FACE), clinical=((70, 70, 20, 20),))
    assert not shows_more([before], [frame((RegionKind.FACE, FACE), clinical=((70, 70, 20, 20),))])
    assert not shows_more([before], [frame((RegionKind.MANUAL, (51, 51, 68, 68)))])
    assert shows_more([before], [frame((RegionKind.MANUAL, FACE))])


boxes = st.tuples(*(st.integers(0, 180), st.integers(0, 180)), *(st.integers(1, 120), st.integers(1, 120)))


@given(st.sampled_from(RegionKind), boxes)
def test_the_margin_is_the_one_that_is_painted(kind: RegionKind, box: Box) -> None:
    region = Region(kind=kind, box=box)
    assert painted_box(region, frame()) == clip(padded(region), SIDE, SIDE)
