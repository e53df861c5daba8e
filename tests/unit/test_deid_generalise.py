"""Saying things more generally."""

import pytest

from shared.deid import find
from shared.deid.generalise import (
    BANDS,
    TIMINGS,
    TOO_SMALL,
    Offered,
    age_band,
    band_in_words,
    exact_ages,
    offered_regions,
    region_of,
    suggestion,
)
from shared.deid.words import regions, towns
from shared.events import AgeBand, Timing
from shared.findings import KINDS, in_words


@pytest.mark.parametrize(
    ("years", "months", "band"),
    [
        (0, 0, AgeBand.MONTHS_0_2),
        (0, 2, AgeBand.MONTHS_0_2),
        (0, 3, AgeBand.MONTHS_3_5),
        (1, 0, AgeBand.MONTHS_12_17),
        (1, 11, AgeBand.MONTHS_18_23),
        (2, 0, AgeBand.YEARS_2_4),
        (4, 11, AgeBand.YEARS_2_4),
        (5, 0, AgeBand.YEARS_5_9),
        (89, 11, AgeBand.YEARS_85_89),
        (90, 0, AgeBand.YEARS_90_UP),
        (117, 0, AgeBand.YEARS_90_UP),
    ],
)
def test_an_age_falls_into_its_band(years: int, months: int, band: AgeBand) -> None:
    assert age_band(years, months) is band


def test_every_age_has_one_band_and_every_band_words() -> None:
    for months in range(130 * 12):
        assert age_band(0, months) in BANDS
    for band in AgeBand:
        said = band_in_words(band)
        assert said.en != said.fr
    with pytest.raises(ValueError, match="negative"):
        age_band(-1)


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("Bordeaux", "FR-75"),
        ("CHU de Nantes", "FR-52"),
        ("12 rue de Paris, Lille", "FR-32"),
        ("Massachusetts General Hospital, Boston", "US-MA"),
        ("Genève", "CH"),
        ("Wherever", None),
    ],
)
def test_a_place_lies_in_the_region_of_its_last_town(place: str, code: str | None) -> None:
    assert region_of(place) == code


def test_every_town_has_a_region_with_names_and_small_ones_are_not_offered() -> None:
    assert set(towns().values()) <= set(regions()) | TOO_SMALL
    assert not TOO_SMALL & set(offered_regions())


def test_every_finding_has_a_suggestion_and_its_kind_a_sentence() -> None:
    text = "Mme Lambert, 92 ans, Bordeaux, 12/03/2024, a@b.fr, 06 39 98 12 34, https://a.fr/b, IPP 12345678"
    found = find(text, "fr")
    assert len({one.kind for one in found}) == 8
    for one in found:
        instead, _ = suggestion(one, text)
        assert instead.fr != instead.en
        assert in_words(one.kind.value) is KINDS[one.kind]
    assert in_words("a_newer_kind").en


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("Vue à Vierzon.", Offered("region", "FR-24")),
        ("Homme de 92 ans.", Offered("age_band", AgeBand.YEARS_90_UP)),
        ("Vue le 12/03/2024.", None),
    ],
)
def test_what_can_be_told_beside_the_text_is_offered_as_its_code(text: str, offered: Offered | None) -> None:
    (one,) = find(text, "fr")
    assert suggestion(one, text)[1] == offered


def test_each_distance_in_time_has_words() -> None:
    assert set(TIMINGS) == set(Timing)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Homme de 87 ans.", [("87 ans", AgeBand.YEARS_85_89)]),
        ("A 7-month-old boy", [("7-month-old", AgeBand.MONTHS_6_11)]),
        ("Nourrisson de 20 mois", [("20 mois", AgeBand.MONTHS_18_23)]),
        ("A woman aged 45 years", [("45 years", AgeBand.YEARS_45_49)]),
        ("A man aged 45, a smoker", [("45", AgeBand.YEARS_45_49)]),
        ("Suivi depuis plus de 3 ans", []),
        ("Homme de 92 ans", []),
    ],
)
def test_exact_ages_are_offered_their_band(text: str, expected: list[tuple[str, AgeBand]]) -> None:
    assert [(text[one.start : one.end], one.band) for one in exact_ages(text)] == expected
