"""The real models on the sample pictures: found, painted, and not found again."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp
from PIL import Image

from services.redactor.detectors import Pixels
from services.redactor.domain import overlap, padded
from services.redactor.pixels.decode import open_picture
from services.redactor.pixels.redact import Redactor
from services.redactor.pixels.watch import Watch
from services.redactor.weights import DEFAULT_DIRECTORY, missing
from shared.events import Box, PictureKind, Region, RegionKind

SAMPLES = Path(__file__).parents[1] / "samples" / "pictures"
pytestmark = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)

# In pixels of the upright sample pictures, read off by eye.
FACES = ((225, 80, 80, 120), (775, 150, 160, 170))
NAMES = ((24, 18, 260, 30), (24, 66, 360, 26), (620, 20, 250, 28), (680, 64, 190, 24), (24, 1036, 150, 28))
SIDE_MARK = (878, 180, 50, 62)


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor(DEFAULT_DIRECTORY)


def pixels_of(name: str) -> Pixels:
    return next(open_picture((SAMPLES / name).read_bytes(), max_pixels=60_000_000).frames).shown()


def covered(box: Box, regions: list[Region], kind: RegionKind) -> bool:
    mask = np.zeros((3000, 3000), bool)
    for region in regions:
        if region.kind is kind:
            left, top, width, height = (max(0, value) for value in padded(region))
            mask[top : top + height, left : left + width] = True
    left, top, width, height = box
    return bool(mask[top : top + height, left : left + width].mean() > 0.9)


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_faces_are_found_whichever_way_the_patient_lies(redactor: Redactor, turn: int) -> None:
    photo = pixels_of("photo.jpg")
    height, width = photo.shape[:2]
    found = redactor.search.faces.detect(np.ascontiguousarray(np.rot90(photo, turn)))
    for box in FACES:
        spot = np.zeros((height, width), bool)
        spot[box[1] : box[1] + box[3], box[0] : box[0] + box[2]] = True
        rows, columns = np.where(np.rot90(spot, turn))
        turned = (int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
        assert covered(turned, found, RegionKind.FACE), f"{box} turned {turn} times"


def test_every_line_on_the_radiograph_is_found_and_the_side_mark_stays(redactor: Redactor) -> None:
    found = redactor.find(pixels_of("radiograph.jpg"), PictureKind.XRAY)
    for box in NAMES:
        assert covered(box, found, RegionKind.TEXT), box
    assert not [region for region in found if overlap(region.box, SIDE_MARK)]


def test_letters_beside_a_side_mark_take_the_mark_with_them(redactor: Redactor) -> None:
    film = pixels_of("radiograph.jpg").copy()
    cv2.putText(film, "JM", (800, 240), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (250, 250, 250), 3, cv2.LINE_AA)
    found = redactor.find(film, PictureKind.XRAY)
    assert covered((802, 214, 50, 26), found, RegionKind.TEXT)


def test_a_code_is_found_in_any_turn(redactor: Redactor) -> None:
    code = np.asarray(zxingcpp.create_barcode("4471893 MARTIN", zxingcpp.BarcodeFormat.QRCode).to_image(scale=6))
    scene = np.full((600, 800, 3), 200, np.uint8)
    scene[100 : 100 + code.shape[0], 150 : 150 + code.shape[1]] = code[..., np.newaxis]
    for turn in range(4):
        turned = np.ascontiguousarray(np.rot90(scene, turn))
        found = [region for region in redactor.find(turned) if region.kind is RegionKind.CODE]
        painted = redactor.paint(turned, found)
        assert not [code for code in zxingcpp.read_barcodes(painted) if code.valid]


@pytest.mark.parametrize("name", ["photo.jpg", "radiograph.jpg", "dicom.dcm"])
def test_what_is_painted_is_not_found_again(redactor: Redactor, name: str) -> None:
    done = redactor.redact((SAMPLES / name).read_bytes())
    (frame,) = done.frames
    assert frame.regions
    assert not frame.residual
    shown = np.asarray(Image.open(io.BytesIO(frame.renditions[0].data)).convert("RGB"))
    assert not redactor.look_again(np.ascontiguousarray(shown), frame.regions)


def test_given_boxes_are_painted_exactly_and_the_second_look_only_reports(redactor: Redactor) -> None:
    data = (SAMPLES / "photo.jpg").read_bytes()
    box = Region(kind=RegionKind.MANUAL, box=(16, 16, 32, 32))
    (frame,) = redactor.redact(data, {0: (box,)}).frames
    assert frame.regions == (box,)
    assert len([region for region in frame.residual if region.kind is RegionKind.FACE]) >= 2
    shown = np.asarray(Image.open(io.BytesIO(frame.renditions[0].data)))
    assert (shown[16:48, 16:48] == 128).all()
    assert np.abs(shown.astype(int) - pixels_of("photo.jpg"))[60:].mean() < 3


def test_for_the_same_boxes_what_lay_under_them_changes_no_byte(redactor: Redactor) -> None:
    boxes = {0: [Region(kind=RegionKind.MANUAL, box=box) for box in FACES]}
    photo = pixels_of("photo.jpg")
    other = photo.copy()
    for left, top, width, height in FACES:
        other[top : top + height, left : left + width] = 255 - other[top : top + height, left : left + width]
    files = []
    for pixels in (photo, other):
        written = io.BytesIO()
        Image.fromarray(pixels).save(written, "PNG")
        (frame,) = redactor.redact(written.getvalue(), boxes).frames
        files.append([each.data for each in frame.renditions])
    assert files[0] == files[1]


def test_a_blank_and_a_tiny_picture_come_through(redactor: Redactor) -> None:
    for size in ((1, 1), (3, 200), (700, 2)):
        written = io.BytesIO()
        Image.new("RGB", size, "white").save(written, "PNG")
        (frame,) = redactor.redact(written.getvalue()).frames
        assert (frame.width, frame.height) == size


@pytest.mark.parametrize("name", ["radiograph.jpg", "dicom.dcm", "photo.jpg"])
def test_a_grey_picture_as_one_channel_is_searched_and_painted_as_with_three(
    redactor: Redactor, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    grey = cv2.cvtColor(pixels_of(name), cv2.COLOR_RGB2GRAY)
    shown = np.repeat(grey[..., np.newaxis], 3, axis=2).astype(np.uint8)
    as_one = redactor.search(shown, None, Watch())
    file = cv2.imencode(".png", grey)[1].tobytes()
    made = redactor.redact(file).frames[0]
    for place in ("search", "looks", "redact"):
        monkeypatch.setattr(f"services.redactor.pixels.{place}.single", lambda pixels: pixels)
    monkeypatch.setattr(
        "services.redactor.pixels.redact.as_seen", lambda full: np.asarray(Image.open(io.BytesIO(full)).convert("RGB"))
    )
    assert redactor.search(shown, None, Watch()) == as_one
    again = redactor.redact(file).frames[0]
    assert again.regions == made.regions
    assert again.residual == made.residual
    assert [each.data for each in again.renditions] == [each.data for each in made.renditions]
