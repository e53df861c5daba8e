"""A handful of the developers' pictures (not part of the repository): faces and patient text must be covered."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.redactor.domain import painted_boxes
from services.redactor.pixels.decode import open_picture
from services.redactor.pixels.redact import Redactor
from services.redactor.weights import DEFAULT_DIRECTORY, missing
from shared.events import Region

SET = Path(__file__).parents[2] / ".." / "shared" / "testdata"
pytestmark = [
    pytest.mark.skipif(not SET.is_dir(), reason="the developers' pictures are not beside this checkout"),
    pytest.mark.skipif(bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"),
]

FACES = ("2007_007763", "rot90_2008_001322", "rot180_2008_002079", "mask_109", "Linza_19")
RADIOGRAPHS = ("presidio_0", "presidio_1", "presidio_2", "presidio_3")


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor(DEFAULT_DIRECTORY)


def truth(folder: str, stem: str) -> dict[str, Any]:
    entries: list[dict[str, Any]] = json.loads((SET / "ground_truth.json").read_text())
    return next(entry for entry in entries if entry["file"].startswith(f"{folder}/{stem}."))


def shares_covered(entry: dict[str, Any], kind: str, regions: list[Region]) -> list[float]:
    covered = np.zeros((entry["h"], entry["w"]), bool)
    for left, top, width, height in painted_boxes(regions, entry["w"], entry["h"]):
        covered[top : top + height, left : left + width] = True
    boxes = [each["box"] for each in entry["boxes"] if each["kind"] == kind and not each.get("ignore")]
    return [float(covered[int(top) : int(bottom), int(left) : int(right)].mean()) for left, top, right, bottom in boxes]


@pytest.mark.parametrize("stem", FACES)
def test_every_face_is_covered(redactor: Redactor, stem: str) -> None:
    entry = truth("faces", stem)
    pixels = next(open_picture((SET / entry["file"]).read_bytes(), max_pixels=60_000_000).frames).shown()
    shares = shares_covered(entry, "face", redactor.search.faces.detect(pixels))
    assert shares
    assert min(shares) >= 0.5


@pytest.mark.parametrize("stem", RADIOGRAPHS)
def test_every_line_of_patient_text_is_covered(redactor: Redactor, stem: str) -> None:
    entry = truth("radiographs", stem)
    pixels = next(open_picture((SET / entry["file"]).read_bytes(), max_pixels=60_000_000).frames).shown()
    shares = shares_covered(entry, "text", redactor.search.text.detect(pixels))
    assert shares
    assert min(shares) >= 0.8
