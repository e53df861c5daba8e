"""What leaves the redactor: opaque, built from pixels only, and blind to what lay under a box."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from services.redactor.domain import BLOCK_PX, painted_boxes
from services.redactor.pixels.decode import open_picture
from services.redactor.pixels.paint import FILL, as_seen, encode, full_size, paint
from shared.events import Box, Region, RegionKind

SAMPLES = Path(__file__).parents[1] / "samples" / "pictures"
PLANTED = (b"MARTIN", b"JEANNE", b"Jeanne", b"4471893", b"19610314", b"Exif", b"GPS", b"DICM", b"Tilleuls", b"XMP")


def noise(seed: int, height: int = 120, width: int = 200) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def regions(*boxes: Box) -> list[Region]:
    return [Region(kind=RegionKind.MANUAL, box=box) for box in boxes]


def test_a_box_is_filled_with_one_opaque_colour_and_the_original_is_untouched() -> None:
    original = noise(1)
    before = original.copy()
    painted = paint(original, [(16, 32, 64, 48)])
    assert (painted[32:80, 16:80] == FILL).all()
    assert (original == before).all()
    outside = np.ones(painted.shape[:2], bool)
    outside[32:80, 16:80] = False
    assert (painted[outside] == original[outside]).all()


def test_the_fill_survives_compression_exactly_so_that_nothing_rings_inside_it() -> None:
    painted = paint(noise(2), painted_boxes(regions((20, 20, 60, 40)), 200, 120))
    shown = np.asarray(Image.open(io.BytesIO(encode(painted)[0].data)))
    assert (shown[16:64, 16:80] == FILL).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grey_file_is_seen_as_one_channel_and_as_any_reader_shows_it(channels: int) -> None:
    grey = noise(5)[..., 0]
    painted = paint(grey if channels == 1 else np.repeat(grey[..., np.newaxis], 3, axis=2), [(16, 32, 64, 48)])
    full = full_size(painted)
    assert full == encode(painted)[0].data
    seen = as_seen(full)
    assert seen.shape == (120, 200)
    assert np.abs(seen.astype(int) - np.asarray(Image.open(io.BytesIO(full)).convert("L"), int)).max() <= 1
    assert as_seen(full_size(noise(5))).shape == (120, 200, 3)


@given(st.tuples(st.integers(0, 150), st.integers(0, 90), st.integers(1, 90), st.integers(1, 60)), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_two_originals_that_differ_only_under_the_boxes_give_the_same_bytes(box: Box, seed: int) -> None:
    boxes = painted_boxes(regions(box), 200, 120)
    one, other = noise(3), noise(3)
    left, top, width, height = box
    other[top : top + height, left : left + width] = noise(seed)[top : top + height, left : left + width]
    assert [each.data for each in encode(paint(one, boxes))] == [each.data for each in encode(paint(other, boxes))]


def test_three_sizes_are_made_and_none_is_enlarged() -> None:
    sizes = {each.size.value: (each.width, each.height) for each in encode(noise(4, 1000, 2000))}
    assert sizes == {"full": (2000, 1000), "large": (1600, 800), "small": (480, 240)}
    assert {(each.width, each.height) for each in encode(noise(4, 100, 150))} == {(150, 100)}


@pytest.mark.parametrize("name", ["photo.jpg", "radiograph.jpg", "dicom.dcm"])
def test_nothing_but_pixels_leaves(name: str) -> None:
    data = (SAMPLES / name).read_bytes()
    if name != "radiograph.jpg":
        assert any(word in data for word in PLANTED), "the sample has lost what it was given"
    pixels = next(open_picture(data, max_pixels=60_000_000).frames).shown()
    for each in encode(pixels):
        assert not [word for word in PLANTED if word in each.data]
        assert set(segments(each.data)) <= {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}, "more than JFIF, tables and scan"
        assert not Image.open(io.BytesIO(each.data)).getexif()


def test_a_grey_picture_stays_grey() -> None:
    grey = np.repeat(noise(5)[..., :1], 3, axis=2)
    assert Image.open(io.BytesIO(encode(grey)[0].data)).mode == "L"


def test_boxes_are_aligned_to_what_the_encoder_codes_at_once() -> None:
    assert BLOCK_PX == 16


def segments(jpeg: bytes) -> list[int]:
    """The marker of each segment up to the scan."""
    found, place = [], 2
    while place < len(jpeg):
        assert jpeg[place] == 0xFF
        found.append(jpeg[place + 1])
        if jpeg[place + 1] == 0xDA:
            break
        place += 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    return found
