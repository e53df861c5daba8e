"""The frame of a Data Matrix is seen whatever its perspective, and nothing else is taken for one."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import zxingcpp

from services.redactor.detectors import Pixels
from services.redactor.detectors.code_frames import framed
from services.redactor.detectors.codes import Codes
from services.redactor.domain import padded
from tests.scenes.codes import Scene, scenes
from tests.scenes.codes_measured import FOUND_FROM, covered, libraries

SIDE = 240
FAR = np.array([[60, 90], [330, 40], [300, 300], [90, 260]], np.float32)
"""Corners of a label seen from the side, in a picture of 400 x 400."""


def code(symbology: str) -> Pixels:
    made = zxingcpp.create_barcode("PID 4471893 Q", getattr(zxingcpp.BarcodeFormat, symbology))
    return np.asarray(made.to_image(scale=8, add_quiet_zones=False), np.uint8)


def chequered() -> Pixels:
    return np.asarray(np.kron(np.indices((16, 16)).sum(axis=0) % 2, np.ones((12, 12))) * 255, np.uint8)


def table() -> Pixels:
    sheet = np.full((SIDE, SIDE), 255, np.uint8)
    for at in range(0, SIDE, 24):
        sheet[at : at + 6] = sheet[:, at : at + 6] = 0
    sheet[-6:] = sheet[:, -6:] = 0
    return sheet


def ruler() -> Pixels:
    """Two arms with ticks along their inner sides, as it lies beside a wound."""
    arms = np.full((SIDE, SIDE), 255, np.uint8)
    arms[:12], arms[:, :12] = 0, 0
    for at in range(12, SIDE, 12):
        arms[12:40, at : at + 5] = 0
        arms[at : at + 5, 12:40] = 0
    return arms


def underlined() -> Pixels:
    line = np.full((60, SIDE), 255, np.uint8)
    cv2.putText(line, "mmmnmmnmn", (2, 44), cv2.FONT_HERSHEY_DUPLEX, 1.5, 0, 4)
    line[50:56] = 0
    line[4:56, :5] = 0
    return line


def laid(print_: Pixels, corners: np.ndarray = FAR) -> tuple[Pixels, np.ndarray]:
    """The print on a label on darker ground, seen from the side, and its corners."""
    label = np.pad(print_, 24, constant_values=235)
    label = np.clip(label, 25, 235).astype(np.uint8)
    high, wide = label.shape
    flat = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32)
    turn = cv2.getPerspectiveTransform(flat, corners)
    seen = cv2.warpPerspective(label, turn, (400, 400), flags=cv2.INTER_AREA, borderValue=(110.0,))
    inner = np.array([[[24, 24], [wide - 24, 24], [wide - 24, high - 24], [24, high - 24]]], np.float32)
    return np.asarray(seen, np.uint8), cv2.perspectiveTransform(inner, turn)[0]


@pytest.mark.parametrize("quarter", range(4))
def test_the_frame_is_seen_from_the_side_whichever_corner_is_up(quarter: int) -> None:
    picture, corners = laid(np.asarray(np.rot90(code("DataMatrix"), quarter)))
    quad = framed(picture, corners)
    assert quad is not None
    far = np.linalg.norm(quad[:, np.newaxis] - corners[np.newaxis], axis=2).min(axis=1)
    assert far.max() < 12


@pytest.mark.parametrize("draw", [chequered, table, ruler, underlined, lambda: code("QRCode"), lambda: code("Aztec")])
def test_what_has_other_sides_has_no_frame(draw: Callable[[], Pixels]) -> None:
    picture, corners = laid(draw())
    assert framed(picture, corners) is None
    for quarter in range(4):
        assert framed(*laid(np.asarray(np.rot90(draw(), quarter)), FAR * 0.8 + 30)) is None


def test_a_frame_needs_paper_around_it() -> None:
    """What lies on the dark without a label has no sides that anybody could tell."""
    picture, corners = laid(code("DataMatrix"))
    assert framed(picture, corners) is not None
    around = np.ones(picture.shape, np.uint8)
    cv2.fillConvexPoly(around, np.round(corners).astype(np.int32), 0)
    picture[around > 0] = 25
    assert framed(picture, corners) is None


@pytest.mark.parametrize("corners", [np.zeros((4, 2)), FAR + 1000, FAR - 1000, FAR * 0.02])
def test_a_place_of_no_size_or_outside_has_none(corners: np.ndarray) -> None:
    picture, _ = laid(code("DataMatrix"))
    assert framed(picture, corners.astype(np.float32)) is None


def test_tilted_codes_that_no_library_reads_are_found_by_their_frame() -> None:
    finder, zxing = Codes(), libraries()["zxing-cpp"]

    def found(shown: Scene) -> bool:
        return covered(shown, [padded(region) for region in finder.detect(shown.pixels)]) >= FOUND_FROM

    tilted = [each for each in scenes(seed=4, symbology="DataMatrix") if each.condition == "perspective"]
    unread = [each for each in tilted if covered(each, zxing(each.pixels)) < FOUND_FROM]
    assert len(unread) == 3
    assert sum(found(each) for each in unread) >= 2
