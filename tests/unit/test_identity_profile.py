"""The rules of profiles, and the platform's lists of specialties and skills."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.identity.domain.profile import (
    LanguageUnknown,
    Part,
    Profile,
    Relation,
    TownMalformed,
    Visibility,
    may_confirm,
    normalise_language,
    normalise_town,
)
from services.identity.specialties import skills, specialties, specialty_of_r38
from shared.events import Profession, Specialty


def test_every_specialty_has_a_name_in_both_languages_and_at_least_one_skill() -> None:
    assert set(specialties()) == set(Specialty)
    assert all(entry.fr and entry.en for entry in specialties().values())
    assert {skill.specialty for skill in skills().values()} == set(Specialty)
    assert all(skill.fr and skill.en for skill in skills().values())


def test_names_are_not_given_twice() -> None:
    for names in (
        [entry.fr for entry in specialties().values()],
        [entry.en for entry in specialties().values()],
        [f"{skill.specialty} {skill.fr}" for skill in skills().values()],
        [f"{skill.specialty} {skill.en}" for skill in skills().values()],
    ):
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("code", "specialty"),
    [
        ("SM04", Specialty.CARDIOLOGY),
        ("SM20", Specialty.GYNAECOLOGY_OBSTETRICS),
        ("SM54", Specialty.GENERAL_PRACTICE),
        ("SCD01", Specialty.DENTISTRY),
        ("SM47", None),
        ("nonsense", None),
    ],
)
def test_codes_of_the_french_registry_mean_our_specialties(code: str, specialty: Specialty | None) -> None:
    assert specialty_of_r38(code) is specialty


def test_no_code_of_the_licensed_taxonomy_is_shipped() -> None:
    assert not any(entry.nucc for entry in specialties().values())


@pytest.mark.parametrize(
    ("visibility", "seen_by"),
    [
        (None, {Relation.OWNER}),
        (Visibility.NOBODY, {Relation.OWNER}),
        (Visibility.CONTACTS, {Relation.OWNER, Relation.CONTACT}),
        (Visibility.MEMBERS, {Relation.OWNER, Relation.CONTACT, Relation.MEMBER}),
    ],
)
@pytest.mark.parametrize("part", Part)
def test_a_part_is_seen_by_whom_its_owner_says_and_never_by_a_stranger(
    part: Part, visibility: Visibility | None, seen_by: set[Relation]
) -> None:
    profile = Profile("m", visibility={part: visibility} if visibility else {})
    assert {relation for relation in Relation if profile.visible(part, relation)} == seen_by
    for other in set(Part) - {part}:
        assert [relation for relation in Relation if profile.visible(other, relation)] == [Relation.OWNER]


@pytest.mark.parametrize(
    "town",
    ["Bordeaux", "St Malo", "Saint-Jean-de-Luz", "L'Haÿ-les-Roses", "Rue", "Y", "’s-Hertogenbosch", "Köln (Deutz)"],
)
def test_towns_are_taken(town: str) -> None:
    assert normalise_town(f"  {town} ") == town


@pytest.mark.parametrize(
    "text",
    [
        "", "12 rue Sainte-Catherine", "rue Sainte-Catherine", "Main Street", "Baker St", "33000 Bordeaux",
        "Bordeaux, France", "Bâtiment C", "Av. Foch", "a@b", "B" * 61, "Bor\ndeaux 2",
    ],
)  # fmt: skip
def test_what_is_finer_than_a_town_is_refused(text: str) -> None:
    with pytest.raises(TownMalformed):
        normalise_town(text)


@given(st.text(max_size=80))
def test_no_town_has_a_digit(text: str) -> None:
    try:
        town = normalise_town(text)
    except TownMalformed:
        return
    assert not any(character.isdigit() for character in town)
    assert normalise_town(town) == town


@pytest.mark.parametrize(
    ("text", "tag"), [("FR", "fr"), ("en-ca", "en-CA"), ("zh-hant-tw", "zh-Hant-TW"), ("gsw", "gsw")]
)
def test_language_tags_take_their_usual_case(text: str, tag: str) -> None:
    assert normalise_language(text) == tag


@pytest.mark.parametrize("text", ["", "xx", "french", "fr_FR", "f", "fr-"])
def test_what_is_no_language_tag_is_refused(text: str) -> None:
    with pytest.raises(LanguageUnknown):
        normalise_language(text)


def test_peers_confirm_and_neither_students_nor_oneself() -> None:
    assert may_confirm(Profession.NURSE, "a", "b")
    assert not may_confirm(Profession.NURSE, "a", "a")
    assert not may_confirm(Profession.STUDENT, "a", "b")
    assert not may_confirm(None, "a", "b")
