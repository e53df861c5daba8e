"""Combinations that single a person out: which there are, where they are seen, and what is offered instead."""

from typing import Literal

import pytest

from shared.deid import find
from shared.deid.combinations import FINER, MOST_SEEN, SINGLING, Combination, Searched, combinations
from shared.deid.generalise import SAID_OF_PARTS, Offered, offered_regions
from shared.deid.words import sections
from shared.events import AgeBand, PatientFacts, Sex, TextCombination, Timing
from shared.singling import PARTS, UNKNOWN_PART, Part, code_of, shown
from tests.deid import texts

RARE = "Porphyrie chez une femme."
CORSICA = "FR-94"


def found(
    text: str, language: str = "fr", patient: PatientFacts | None = None, title: str = ""
) -> tuple[Combination, ...]:
    texts = [Searched("title", title, find(title, language)), Searched("body", text, find(text, language))]
    return combinations(texts, patient)


def parts(text: str, language: str = "fr", patient: PatientFacts | None = None) -> list[set[Part]]:
    return [set(one.parts) for one in found(text, language, patient)]


def test_a_rare_disease_and_a_town_single_a_person_out() -> None:
    assert parts("Porphyrie chez une femme de Vierzon.") == [{Part.RARE, Part.PLACE}]
    assert parts(RARE) == []
    assert parts("Diabète chez une femme de Vierzon.") == []


def test_an_office_and_a_town_or_a_reported_event_and_a_date_do_too() -> None:
    assert {Part.KNOWN, Part.PLACE} in parts("Le maire de Vierzon a une plaie.")
    assert {Part.REPORTED, Part.DATE} in parts("Blessé lors de l'attentat du 12 mars.")
    assert parts("Une institutrice en retraite, plaie du pied.") == []


def test_a_region_counts_with_a_rare_disease_and_an_exact_age() -> None:
    text = "A man aged 45 years with porphyria."
    assert parts(text, "en") == []
    assert parts(text, "en", PatientFacts(region=CORSICA)) == [{Part.RARE, Part.REGION, Part.AGE}]


@pytest.mark.parametrize(
    ("told", "part"),
    [
        ({"age_band": AgeBand.YEARS_90_UP}, Part.VERY_OLD),
        ({"age_band": AgeBand.MONTHS_3_5}, Part.INFANT),
        ({"age_band": AgeBand.YEARS_40_44}, Part.AGE_BAND),
        ({"sex": Sex.OTHER}, Part.UNCOMMON_SEX),
        ({"timing": Timing.WEEKS}, Part.WEEKS_AGO),
    ],
)
def test_what_is_told_beside_the_text_counts(told: dict[str, object], part: Part) -> None:
    patient = PatientFacts.model_validate({"region": CORSICA} | told)
    assert parts(RARE, patient=patient) == [{Part.RARE, Part.REGION, part}]
    assert parts(RARE, patient=patient.model_copy(update={"region": None})) == []
    assert parts("Plaie du pied.", patient=patient) == []


@pytest.mark.parametrize(
    "told",
    [
        {"sex": Sex.FEMALE},
        {"sex": Sex.WITHHELD},
        {"timing": Timing.MONTHS},
        {"timing": Timing.ONE_TO_FIVE_YEARS},
        {"timing": Timing.OVER_FIVE_YEARS},
    ],
)
def test_what_leaves_many_people_counts_for_nothing(told: dict[str, object]) -> None:
    assert parts(RARE, patient=PatientFacts.model_validate({"region": CORSICA} | told)) == []


@pytest.mark.parametrize("timing", [Timing.WEEKS, Timing.MONTHS])
def test_a_reported_event_of_this_year_stands_in_an_archive(timing: Timing) -> None:
    assert parts("Brûlures lors d'un incendie.", patient=PatientFacts(timing=timing))
    assert parts("Brûlures lors d'un incendie.", patient=PatientFacts(timing=Timing.OVER_FIVE_YEARS)) == []


def test_an_age_above_89_as_a_band_and_a_town_single_a_person_out() -> None:
    assert parts("Vue à Vierzon.", patient=PatientFacts(age_band=AgeBand.YEARS_90_UP)) == [{Part.VERY_OLD, Part.PLACE}]


def test_a_region_that_the_text_names_counts_and_a_large_country_does_not() -> None:
    band = PatientFacts(age_band=AgeBand.YEARS_40_44)
    assert parts("Porphyrie, suivie en Nouvelle-Aquitaine.", patient=band) == [{Part.RARE, Part.REGION, Part.AGE_BAND}]
    assert parts("Porphyria, seen in the main ward.", "en", band) == []
    small, large = (PatientFacts(region=code, age_band=AgeBand.YEARS_40_44) for code in ("LU", "FR"))
    assert parts(RARE, patient=small)
    assert parts(RARE, patient=large) == []
    assert sections("singling.txt")["small_countries"] <= set(offered_regions())


def test_title_and_text_count_together_and_each_part_says_where_it_is() -> None:
    (one,) = found("Vue à Vierzon.", title="Porphyrie")
    assert one.code == "rare_condition+place"
    assert [(each.told.field, each.told.start, each.told.end) for each in one.seen] == [
        ("title", 0, 9),
        ("body", 6, 13),
    ]
    assert one.seen[1].offered == Offered("region", "FR-24")


def test_the_generalisation_of_a_fact_is_another_choice_or_none() -> None:
    patient = PatientFacts(region=CORSICA, sex=Sex.OTHER, age_band=AgeBand.YEARS_90_UP, timing=Timing.WEEKS)
    offered = {each.offered for one in found(RARE, patient=patient) for each in one.seen}
    assert offered == {
        None,
        Offered("region", "FR"),
        Offered("sex", "withheld"),
        Offered("age_band", None),
        Offered("timing", None),
    }
    said = patient.model_copy(update={"region": "FR"})
    assert found(RARE, patient=said) == (), "what is offered ends the warning"


def test_a_combination_is_not_warned_of_beside_one_that_says_it_more_exactly() -> None:
    patient = PatientFacts(region=CORSICA, age_band=AgeBand.YEARS_40_44)
    assert parts("Porphyrie chez une femme de 42 ans.", patient=patient) == [{Part.RARE, Part.REGION, Part.AGE}]
    assert parts("Porphyrie, vue à Vierzon le 12/03/2024.", patient=patient) == [
        {Part.RARE, Part.PLACE},
        {Part.PLACE, Part.DATE, Part.AGE_BAND},
    ]
    for rough, finer in FINER.items():
        assert not any(rough in FINER.get(one, ()) for one in finer), "nothing is finer than itself"


def test_of_many_places_the_first_are_pointed_at() -> None:
    (one,) = found("Porphyrie à Vierzon. " * 50)
    assert len(one.seen) == 2 * MOST_SEEN


def test_common_words_are_no_markers() -> None:
    assert parts("Pompe à insuline, facteur de risque, cure de fer, gaucher ; vu à Vierzon.") == []


@pytest.mark.parametrize("part", ["tuned", "held_out"])
def test_texts_that_identify_nobody_are_warned_of_next_to_nothing(part: Literal["tuned", "held_out"]) -> None:
    nobody = [one for one in texts(part) if not one.spans]
    assert len(nobody) > 50
    told = PatientFacts(region="FR-75", age_band=AgeBand.YEARS_40_44, sex=Sex.FEMALE, timing=Timing.WEEKS)
    warned = [[bool(found(one.text, one.language, patient)) for one in nobody] for patient in (None, told)]
    assert sum(warned[0]) == 0
    assert sum(warned[1]) <= 2, "every fact there is, told beside each of them"


def test_sentences_name_every_part_in_both_languages() -> None:
    assert set(PARTS) == set(Part)
    of_findings = {Part.PLACE, Part.DATE, Part.AGE}
    assert set(SAID_OF_PARTS) == set(Part) - of_findings
    for wanted in SINGLING:
        (one,) = shown([TextCombination(code=code_of(wanted))])
        assert set(one.parts) == {part.value for part in wanted}
        for part in wanted:
            assert PARTS[part].fr in one.fr
            assert PARTS[part].en in one.en


def test_a_part_of_a_newer_version_has_words() -> None:
    (one,) = shown([TextCombination(code="a_newer_part+place")])
    assert UNKNOWN_PART.en in one.en
