"""Codes in generated scenes are found, whatever they are, and what only looks like them is left alone."""

import re

import cv2
import numpy as np
import pytest
import zxingcpp

from services.redactor.detectors.codes import Codes
from services.redactor.domain import padded
from shared.events import RegionKind
from tests.scenes.codes import (
    BACKGROUNDS,
    LOOKALIKES,
    SIZES_PX,
    SYMBOLOGIES,
    TURNS_DEGREES,
    Scene,
    empty,
    scene,
    scenes,
)
from tests.scenes.codes_measured import FOUND_FROM, covered, libraries, ours, recall


@pytest.fixture(scope="module")
def codes() -> Codes:
    cv2.setNumThreads(1)
    return Codes()


def found(codes: Codes, shown: Scene) -> bool:
    return covered(shown, [padded(region) for region in codes.detect(shown.pixels)]) >= FOUND_FROM


@pytest.mark.parametrize("symbology", SYMBOLOGIES)
def test_every_code_is_found_at_every_size_and_turn_on_skin(codes: Codes, symbology: str) -> None:
    shown = [
        scene(symbology, size, "clean", turn, seed=size + turn, background="skin")
        for size in SIZES_PX
        for turn in TURNS_DEGREES
    ]
    missed = [each.name for each in shown if not found(codes, each)]
    assert len(missed) <= (1 if symbology in ("PDF417", "DataMatrix") else 0), missed


@pytest.mark.parametrize("symbology", ["Code128", "EAN13", "PDF417"])
def test_bars_too_small_blurred_or_dark_to_be_read_are_found_by_their_print(codes: Codes, symbology: str) -> None:
    shown = list(scenes(12, seed=21, symbology=symbology))
    hits = sum(found(codes, each) for each in shown)
    assert hits >= (6 if symbology == "PDF417" else 9), f"{hits} of {len(shown)}"


@pytest.mark.parametrize("symbology", ["Code128", "EAN13", "PDF417"])
def test_lying_bars_are_read_where_asked_for_and_found_by_their_print_anyhow(codes: Codes, symbology: str) -> None:
    shown = scene(symbology, 320, "clean", 90, seed=11, background="skin")
    assert any("zxing" in region.detector for region in codes.detect(shown.pixels))
    unread = codes.detect(shown.pixels, lying=False)
    assert not any("zxing" in region.detector for region in unread)
    assert covered(shown, [padded(region) for region in unread]) >= FOUND_FROM


@pytest.mark.parametrize(("symbology", "turn"), [("Code128", 90), ("QRCode", 0), ("DataMatrix", 90)])
def test_a_second_look_reads_lying_bars_and_squares_and_only_reads(codes: Codes, symbology: str, turn: int) -> None:
    shown = scene(symbology, 320, "clean", turn, seed=11, background="skin")
    assert covered(shown, [padded(region) for region in codes.read(shown.pixels)]) >= FOUND_FROM
    small = next(scenes(1, seed=21, symbology="Code128"))
    assert found(codes, small)
    assert codes.read(small.pixels) == []


def test_what_is_found_says_nothing_of_what_the_code_says(codes: Codes) -> None:
    shown = scene("QRCode", 160, "clean", 0, seed=3, background="skin")
    (region,) = codes.detect(shown.pixels)
    (read,) = zxingcpp.read_barcodes(shown.pixels)
    assert region.kind is RegionKind.CODE
    assert read.text.startswith("PID ")
    assert not [part for part in re.split("[ ;]", read.text) if part in region.model_dump_json()]


def test_the_picture_is_not_changed(codes: Codes) -> None:
    shown = scene("Code128", 160, "dark", 37, seed=5, background="cloth")
    before = shown.pixels.copy()
    codes.detect(shown.pixels)
    assert np.array_equal(before, shown.pixels)


@pytest.mark.parametrize("background", ["skin", "cloth", "meadow", "wood", "photo", "page", "ecg", "hair"])
def test_what_only_looks_like_a_code_is_left_alone(codes: Codes, background: str) -> None:
    draw = {**BACKGROUNDS, **LOOKALIKES}[background]
    for seed in range(2):
        regions = codes.detect(draw(np.random.default_rng(seed)))
        assert not regions, f"{background} {seed}: {regions}"


def test_white_on_black_is_found(codes: Codes) -> None:
    shown = scene("QRCode", 160, "clean", 0, seed=7, background="skin")
    left, top = (int(value) for value in shown.corners.min(axis=0) - 24)
    right, bottom = (int(value) for value in shown.corners.max(axis=0) + 24)
    turned = shown.pixels.copy()
    turned[top:bottom, left:right] = 255 - turned[top:bottom, left:right]
    assert covered(shown, [padded(region) for region in codes.detect(turned)]) >= FOUND_FROM


def test_a_picture_smaller_than_any_code_has_none(codes: Codes) -> None:
    for height, width in ((1, 1), (3, 40), (40, 3), (64, 64)):
        assert codes.detect(np.full((height, width, 3), 128, np.uint8)) == []


def test_scenes_follow_from_their_seed_alone() -> None:
    one, other = next(scenes(1, seed=9)), next(scenes(1, seed=9))
    assert one.name == other.name
    assert np.array_equal(one.pixels, other.pixels)
    assert next(scenes(1, seed=10)).pixels.tobytes() != one.pixels.tobytes()
    assert np.array_equal(next(empty(1, seed=9))[1], next(empty(1, seed=9))[1])


@pytest.mark.full
def test_no_single_library_finds_more_of_any_kind() -> None:
    counts = recall({"ours": ours(), **libraries()}, scenes(seed=4))
    for symbology in SYMBOLOGIES:
        best = max(rows[symbology][0] for name, rows in counts.items() if name != "ours")
        assert counts["ours"][symbology][0] >= best, symbology
    for symbology, more in (("Code128", 5), ("EAN13", 5), ("PDF417", 5), ("DataMatrix", 1)):
        best = max(rows[symbology][0] for name, rows in counts.items() if name != "ours")
        assert counts["ours"][symbology][0] >= best + more, symbology
