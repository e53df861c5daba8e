"""One search over all finders: who is asked, and what becomes of what a finder is unsure of. Finders are scripted."""

import numpy as np
import pytest

from services.redactor.detectors import Pixels, is_grey
from services.redactor.detectors.code_hints import Part
from services.redactor.detectors.text import Found
from services.redactor.domain import Thresholds
from services.redactor.pixels import search as searches
from services.redactor.pixels.search import Search
from services.redactor.pixels.watch import Watch
from shared.events import PictureKind, Region, RegionKind

LIMITS = Thresholds(tattoo=0.8, tattoo_proposed=0.4)
PHOTO = np.random.default_rng(1).integers(0, 255, (200, 300, 3), dtype=np.uint8)
FILM = np.repeat(PHOTO[..., :1], 3, axis=2)


def tattoo(score: float, left: int) -> Region:
    return Region(kind=RegionKind.TATTOO, box=(left, 20, 40, 40), score=score, detector="test")


SURE, UNSURE = tattoo(0.8, 20), tattoo(0.79, 120)


class Asked:
    """Stands for every finder."""

    def __init__(self, found: list[Region], **thresholds: float) -> None:
        self.found, self.thresholds, self.calls = found, thresholds, 0
        self.told: dict[str, object] = {}
        self.coded: list[Part] | None = None

    def detect(self, pixels: Pixels, *_: object, **told: object) -> list[Region]:
        self.calls += 1
        self.told = told
        return list(self.found)

    def look(self, pixels: Pixels, *_: object) -> Found:
        return Found(self.detect(pixels), self.coded)


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Search:
    for name in ("Faces", "Text", "Codes"):
        monkeypatch.setattr(searches, name, lambda *_, **__: Asked([]))
    monkeypatch.setattr(searches, "Tattoos", lambda engine, threshold: Asked([SURE, UNSURE], threshold=threshold))
    return Search(None, LIMITS)  # type: ignore[arg-type]


def test_a_sure_tattoo_is_painted_and_an_unsure_one_proposed(search: Search) -> None:
    findings = search(PHOTO, None, Watch())
    assert findings.regions == (SURE,)
    assert findings.proposals == (UNSURE,)
    assert search.proposals(PHOTO, Watch()) == (UNSURE,)
    assert search.proposals(PHOTO, Watch(), sure_too=True) == (SURE, UNSURE)
    assert search.tattoos.thresholds == {"threshold": 0.4}  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [None, *PictureKind])
def test_tattoos_are_sought_whatever_the_author_calls_the_picture(search: Search, kind: PictureKind | None) -> None:
    findings = search(PHOTO, kind, Watch())
    assert (findings.regions, findings.proposals) == ((SURE,), (UNSURE,))
    assert search.proposals(PHOTO, Watch()) == (UNSURE,)


def test_lying_bars_are_read_at_once_in_photos_and_by_the_second_look_in_films(search: Search) -> None:
    search(PHOTO, None, Watch())
    assert search.codes.told["lying"] is True  # type: ignore[attr-defined]
    search(FILM, None, Watch())
    assert search.codes.told["lying"] is False  # type: ignore[attr-defined]


@pytest.mark.parametrize("coded", [None, [], [Part((40, 30, 20, 20), (10, 10, 90, 60))]])
def test_codes_are_sought_where_the_search_for_text_hints_at_them(search: Search, coded: list[Part] | None) -> None:
    search.text.coded = coded  # type: ignore[attr-defined]
    search(PHOTO, None, Watch())
    assert search.codes.told["parts"] == coded  # type: ignore[attr-defined]


def test_tattoos_are_not_sought_where_nothing_has_a_colour(search: Search) -> None:
    findings = search(FILM, None, Watch())
    assert (findings.regions, findings.proposals) == ((), ())
    assert search.proposals(FILM, Watch()) == ()
    assert search.tattoos.calls == 0  # type: ignore[attr-defined]


def test_a_picture_is_grey_when_nothing_in_it_has_a_colour() -> None:
    assert is_grey(FILM)
    assert not is_grey(PHOTO)
    spot = np.full((400, 400, 3), 90, np.uint8)
    spot[100:200, 100:200] = (190, 140, 120)
    assert not is_grey(spot)
