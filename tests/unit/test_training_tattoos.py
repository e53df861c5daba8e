"""The generator of the tattoo finder's training pictures, and how its measuring counts."""

from pathlib import Path

import numpy as np
import pytest

from services.redactor.detectors import Pixels
from shared.events import Box, Region, RegionKind
from training.tattoos.evaluate import Counts, _count, wilson
from training.tattoos.scenes import NOT, SCENE_PX, STRIDE, TATTOO, UNSURE, labels, scene
from training.tattoos.sources import NPM, WHEELS, Sources


@pytest.fixture(scope="module")
def sources() -> Sources:
    """No icons, no fonts: nothing is downloaded for a test. Two made-up photographs."""
    photo: Pixels = np.random.default_rng(3).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    return Sources(icons=(), emoji=(), fonts=(), photos=(photo,), faces=(photo,), backbone=Path())


def region(box: Box) -> Region:
    return Region(kind=RegionKind.TATTOO, box=box, score=0.9, detector="test")


class TestScenes:
    def test_the_same_seed_paints_the_same_picture(self, sources: Sources) -> None:
        one, other = (scene(np.random.default_rng(5), sources) for _ in range(2))
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.labels, other.labels)

    def test_pictures_and_labels_have_the_shapes_that_training_takes(self, sources: Sources) -> None:
        random = np.random.default_rng(6)
        for _ in range(20):
            made = scene(random, sources)
            assert made.pixels.shape == (SCENE_PX, SCENE_PX, 3)
            assert made.pixels.dtype == np.uint8
            assert made.labels.shape == (SCENE_PX // STRIDE, SCENE_PX // STRIDE)
            assert set(np.unique(made.labels)) <= {TATTOO, NOT, UNSURE}

    def test_without_tattoos_nothing_is_labelled_as_one(self, sources: Sources) -> None:
        random = np.random.default_rng(7)
        assert all((scene(random, sources, tattooed=0.0).labels == NOT).all() for _ in range(20))

    def test_most_pictures_with_a_tattoo_say_where_it_is(self, sources: Sources) -> None:
        random = np.random.default_rng(8)
        marked = [bool((scene(random, sources, tattooed=1.0).labels == TATTOO).any()) for _ in range(30)]
        assert sum(marked) >= 15  # a fifth shows no bare skin, and some ink lies outside the limb

    def test_the_border_of_a_tattoo_is_not_counted(self) -> None:
        where = np.zeros((64, 64), np.float32)
        where[16:48, 16:48] = 1
        cells = labels(where)
        assert (cells[2:6, 2:6] == TATTOO).all()
        assert (cells[1, 1:7] == UNSURE).all()
        assert cells[0, 0] == NOT


class TestMeasuring:
    ENTRY = {"file": "arm/1.jpg", "boxes": [{"kind": "tattoo", "box": [100, 100, 200, 200]}]}  # noqa: RUF012

    def test_a_tattoo_counts_as_found_from_three_fifths(self) -> None:
        enough, little = Counts(), Counts()
        _count(enough, self.ENTRY, [region((100, 100, 64, 100))], (400, 400))
        _count(little, self.ENTRY, [region((100, 100, 30, 100))], (400, 400))
        assert (enough.found, enough.tattoos) == (1, 1)
        assert (little.found, little.tattoos) == (0, 1)

    def test_a_picture_without_one_is_touched_by_any_paint(self) -> None:
        counts = Counts()
        _count(counts, {"file": "wound/1.jpg", "boxes": []}, [region((0, 0, 5, 5))], (400, 400))
        _count(counts, {"file": "wound/2.jpg", "boxes": []}, [], (400, 400))
        assert (counts.touched["wound"], counts.without["wound"]) == (1, 2)

    def test_paint_beyond_the_box_is_measured(self) -> None:
        counts = Counts()
        _count(counts, self.ENTRY, [region((0, 0, 400, 400))], (400, 400))
        assert counts.outside[0] == pytest.approx(1 - 140 * 140 / 160_000)

    def test_the_interval_of_nothing_seen_reaches_from_0_to_1(self) -> None:
        assert wilson(0, 0) == (0.0, 1.0)
        low, high = wilson(80, 100)
        assert low == pytest.approx(0.711, abs=0.001)
        assert high == pytest.approx(0.867, abs=0.001)


def test_every_source_is_pinned() -> None:
    for package in (*NPM, *WHEELS):
        assert len(package.sha256) == 64
        assert package.spec.rpartition("@")[2] != "" if package.archive.endswith(".tgz") else "==" in package.spec
