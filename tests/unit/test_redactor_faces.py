"""The face finder on the two portraits of the sample photo (public domain): tilted, shrunk, dark, half covered."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from services.redactor.detectors import Pixels, resized, turned
from services.redactor.detectors.faces import CENTERFACE_SIDE_PX, GLANCE_PART, GREY_PART, Faces
from services.redactor.domain import Thresholds, painted_boxes
from services.redactor.inference import EngineKind, make_engine
from services.redactor.pixels.decode import open_picture
from services.redactor.weights import DEFAULT_DIRECTORY, missing
from shared.events import Region
from tests.listening import Listening

PHOTO = Path(__file__).parents[1] / "samples" / "pictures" / "photo.jpg"
pytestmark = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)
FACES = ((225, 80, 80, 120), (775, 150, 160, 170))  # pixels of the upright photo, read off by eye
Points = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def finder() -> Faces:
    limits = Thresholds()
    engine = make_engine(EngineKind.AUTO, DEFAULT_DIRECTORY)
    return Faces(engine, threshold=limits.face, threshold_small=limits.face_small)


@pytest.fixture(scope="module")
def photo() -> Pixels:
    return next(open_picture(PHOTO.read_bytes(), max_pixels=60_000_000).frames).shown()


def features() -> Points:
    """Brow, cheeks, mouth and middle of each face: 2 faces x 5 x (x, y)."""
    spots = np.array([(0.5, 0.5), (0.5, 0.2), (0.25, 0.5), (0.75, 0.5), (0.5, 0.8)])
    return np.array([[(x + a * width, y + b * height) for a, b in spots] for x, y, width, height in FACES])


def covered(found: list[Region], pixels: Pixels, points: Points) -> bool:
    """Whether every point is painted, and not the whole picture."""
    mask = np.zeros(pixels.shape[:2], bool)
    for left, top, width, height in painted_boxes(found, pixels.shape[1], pixels.shape[0]):
        mask[top : top + height, left : left + width] = True
    columns, rows = np.round(points).astype(int).reshape(-1, 2).T
    return bool(mask[rows, columns].all()) and mask.mean() < 0.5


def tilted(photo: Pixels, degrees: int) -> tuple[Pixels, Points]:
    """The photo turned counter-clockwise on a sheet that holds it, and where the features lie then."""
    height, width = photo.shape[:2]
    side = int(np.hypot(height, width)) + 2
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    turn[:, 2] += (side - width) / 2, (side - height) / 2
    leaning = np.asarray(cv2.warpAffine(photo, turn, (side, side), borderValue=(110, 110, 110)), np.uint8)
    return leaning, features() @ turn[:, :2].T + turn[:, 2]


@pytest.mark.parametrize("degrees", [45, -45, 135, 20])
def test_leaning_faces_are_found(finder: Faces, photo: Pixels, degrees: int) -> None:
    leaning, points = tilted(photo, degrees)
    assert covered(finder.detect(leaning), leaning, points)


def test_a_diagonal_turn_alone_finds_them_and_knows_where_they_lie(
    finder: Faces, photo: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a second look makes no such turn."""
    for network in (finder._large, finder._small):
        monkeypatch.setattr(network, "detect", lambda *_, **__: [])
    leaning, points = tilted(photo, 45)
    assert covered(finder.detect(leaning), leaning, points)
    assert not finder.detect_once(leaning, 1.0)


@pytest.mark.parametrize(("part", "sure"), [(4, 0.25), (8, 0.7)])
def test_faces_are_found_in_a_shrunk_picture(finder: Faces, photo: Pixels, part: int, sure: float) -> None:
    """An eighth leaves a face of ten by fifteen pixels and one of twenty; CenterFace sees it grown, and is sure."""
    small = resized(photo, (photo.shape[1] // part, photo.shape[0] // part))
    found = [region for region in finder._large.detect(small) if region.score >= sure]
    assert covered(found, small, features() / part)


def test_dark_and_pale_faces_are_found(finder: Faces, photo: Pixels) -> None:
    for light in (0.3, 1.5):
        shown = np.clip(photo * light, 0, 255).astype(np.uint8)
        assert covered(finder.detect(shown), shown, features()), light


def test_faces_without_their_lower_half_are_found(finder: Faces, photo: Pixels) -> None:
    masked = photo.copy()
    for x, y, width, height in FACES:
        masked[y + height * 6 // 10 : y + height, x : x + width] = (150, 190, 210)
    assert covered(finder.detect(masked), masked, features()[:, :4])


def test_a_face_on_a_badge_in_a_large_picture_is_found(finder: Faces, photo: Pixels) -> None:
    scene = np.full((3000, 4000, 3), (90, 120, 110), np.uint8)
    badge = resized(photo, (photo.shape[1] // 2, photo.shape[0] // 2))
    scene[2000 : 2000 + badge.shape[0], 600 : 600 + badge.shape[1]] = badge
    assert covered(finder.detect(scene), scene, features() / 2 + (600, 2000))


def test_no_face_is_seen_in_skin_and_cloth(finder: Faces) -> None:
    rng = np.random.default_rng(4)
    coarse = rng.integers(120, 220, (6, 8, 3)).astype(np.uint8)
    assert not finder.detect(np.asarray(cv2.resize(coarse, (800, 600), interpolation=cv2.INTER_CUBIC), np.uint8))


def test_faces_in_a_grey_photo_are_found(finder: Faces, photo: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder._small, "detect", lambda *_: [])  # it would find these two as well
    grey = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    for turns in range(4):
        lying = turned(np.asarray(grey, np.uint8), turns)
        found = finder.detect(lying)
        corners = features() if not turns else turned_features(turns, photo.shape[1], photo.shape[0])
        assert covered(found, lying, corners)


@pytest.mark.parametrize("degrees", [45, 135])
def test_leaning_faces_in_a_grey_photo_are_found(
    finder: Faces, photo: Pixels, degrees: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the diagonal turns alone, which a film is spared: nothing in it looks like a face."""
    monkeypatch.setattr(finder._small, "detect", lambda *_: [])
    leaning, points = tilted(photo, degrees)
    grey = np.asarray(cv2.cvtColor(cv2.cvtColor(leaning, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)
    _, likely = finder._large.detect_if_hinted(grey)
    assert likely
    monkeypatch.setattr(finder._large, "detect_if_hinted", lambda *_: ([], likely))
    assert covered(finder.detect(grey), grey, points)
    monkeypatch.setattr(finder._large, "detect_if_hinted", lambda *_: ([], False))
    assert not finder.detect(grey)


def test_a_film_is_looked_at_in_a_glance_only(finder: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where the glance was a doubt, closely in that turn only."""
    network = Listening(finder._large._network)
    monkeypatch.setattr(finder._large, "_network", network)

    def sides() -> list[int]:
        return [max(shape[2:]) for shape in network.told()]

    noise = np.random.default_rng(5).normal(60, 4, (900, 700, 1)).clip(0, 255).astype(np.uint8)
    film, photo = np.repeat(noise, 3, axis=2), np.concatenate([noise, noise, noise // 4], axis=2)
    assert finder.detect(film) == []
    assert sides() == [round(GLANCE_PART * CENTERFACE_SIDE_PX)] * 4
    with monkeypatch.context() as doubtful:
        doubtful.setattr(finder._large, "_glance", lambda pixels: (2,))
        assert finder.detect(film) == []
    assert sides() == [CENTERFACE_SIDE_PX]
    finder.detect(photo)
    seen = sides()
    assert len(seen) == 6
    assert min(seen) > GLANCE_PART * CENTERFACE_SIDE_PX
    finder.detect_once(film, 0.5)
    assert sides() == [round(GREY_PART * 0.5 * CENTERFACE_SIDE_PX)]
    finder.detect_once(photo, 0.5)
    assert sides() == [CENTERFACE_SIDE_PX // 2] * 2


def turned_features(turns: int, width: int, height: int) -> Points:
    points = features()
    for _ in range(turns):
        points = np.stack([points[..., 1], width - points[..., 0]], axis=-1)
        width, height = height, width
    return points
