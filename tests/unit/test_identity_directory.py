"""The rules of the directory: which words find whom, and in which order."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.identity.domain.account import Account
from services.identity.domain.directory import (
    BadCursor,
    Entry,
    Wanted,
    cursor_after,
    entry_of,
    order_of,
    plain,
    query_words,
    read_cursor,
)
from services.identity.domain.profile import OwnSkill, Part, Place, Profile, Visibility
from shared.events import Profession, Role, Specialty

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ALL = dict.fromkeys(Part, Visibility.MEMBERS)
ACCOUNT = Account.register(
    email="a@hopital.example",
    password_hash="hash",
    pseudonym="Dr Ambroise",
    profession=Profession.PHYSICIAN,
    specialty=Specialty.GYNAECOLOGY_OBSTETRICS,
    country="fr",
    now=NOW,
).verify(NOW)
PROFILE = Profile(
    ACCOUNT.member_id,
    skills=(OwnSkill("fertility", referrals=True), OwnSkill("obstetrics")),
    languages=("fr", "en-CA"),
    place=Place("Bordeaux", "FR"),
    faculty="Faculté de médecine de Montpellier",
    visibility=ALL,
    shown_name="Zoé Lœuvre",
)


def entry(profile: Profile = PROFILE, account: Account = ACCOUNT) -> Entry:
    found = entry_of(account, profile, {})
    assert found is not None
    return found


def finds(text: str, one: Entry, **exact: str) -> bool:
    """As the store looks: the index by the terms of each need, then the need itself."""
    needs = Wanted(text, **exact).needs()  # type: ignore[arg-type]
    assert needs
    met = [need.met_by(one) for need in needs]
    for need, found in zip(needs, met, strict=True):
        by_terms = not set(need.terms).isdisjoint(one.terms)
        assert by_terms or not found, "the index would miss what the need finds"
        assert found == by_terms or not need.whole, "what the index says is not all"
    return all(met)


@pytest.mark.parametrize(
    "text",
    [
        "fertilite bord", "fertilité, Bordeaux", "FERTILITÉ", "bor fert", "infertility", "PMA", "obstétricien",
        "gynéco", "ambro", "Dr Amb", "loeuvre", "LŒUV zoe", "medecin bordeaux", "physician", "montpellier",
        "faculté de montp",
    ],
)  # fmt: skip
def test_beginnings_of_words_find_in_both_languages_without_accents(text: str) -> None:
    assert finds(text, entry())


@pytest.mark.parametrize("text", ["fertilite paris", "ordeaux", "bordeauxx", "cardio", "nurse", "ambroises"])
def test_every_word_must_be_found_at_a_beginning(text: str) -> None:
    assert not finds(text, entry())


@pytest.mark.parametrize("text", ["", " ", "de la", "d' l'", "a", "!?", "’"])
def test_small_words_and_single_letters_ask_for_nothing(text: str) -> None:
    assert Wanted(text).needs() == []


@pytest.mark.parametrize(
    ("exact", "found"),
    [
        ({"skill": "fertility"}, True),
        ({"skill": "fertility", "accepts_referrals": True}, True),
        ({"skill": "obstetrics", "accepts_referrals": True}, False),
        ({"accepts_referrals": True}, True),
        ({"town": "BORDEAUX"}, True),
        ({"town": "Bord"}, False),
        ({"language": "en"}, True),
        ({"language": "fr-BE"}, True),
        ({"language": "de"}, False),
        ({"specialty": "gynaecology_obstetrics"}, True),
        ({"specialty": "cardiology"}, False),
        ({"profession": "physician"}, True),
    ],
)
def test_exact_values_are_found(exact: dict[str, str], found: bool) -> None:
    assert finds("", entry(), **exact) is found


WORDS_OF_PART = {
    Part.NAME: "loeuvre",
    Part.SKILLS: "fertilite",
    Part.PLACE: "bordeaux",
    Part.FACULTY: "montpellier",
}


@pytest.mark.parametrize("part", WORDS_OF_PART)
@pytest.mark.parametrize("visibility", [Visibility.NOBODY, Visibility.CONTACTS])
def test_what_is_not_shown_to_every_member_is_neither_found_nor_in_the_card(part: Part, visibility: Visibility) -> None:
    hidden = entry(replace(PROFILE, visibility={**ALL, part: visibility}))
    assert finds(WORDS_OF_PART[part], entry())
    assert not finds(WORDS_OF_PART[part], hidden)
    shown = entry().card
    assert all(hidden.card.get(key) in (shown[key], None) for key in shown)


def test_hidden_skills_or_referrals_say_nothing_of_referrals() -> None:
    for part in (Part.SKILLS, Part.REFERRALS):
        hidden = entry(replace(PROFILE, visibility={**ALL, part: Visibility.CONTACTS}))
        assert not finds("", hidden, accepts_referrals=True)  # type: ignore[arg-type]
        assert not any(skill["referrals"] for skill in hidden.card.get("skills", ()))


@pytest.mark.parametrize(
    "account",
    [
        ACCOUNT.suspend("reason"),
        replace(ACCOUNT, roles=frozenset({Role.PRIVACY_OFFICER})),
        Account.register(
            email="b@x.example", password_hash="h", pseudonym="Other", profession=Profession.NURSE, now=NOW
        ),
    ],
)
def test_who_is_no_verified_professional_is_not_listed(account: Account) -> None:
    assert entry_of(account, PROFILE, {}) is None


def test_who_shows_nothing_to_every_member_is_not_listed() -> None:
    assert entry_of(ACCOUNT, None, {}) is None
    shy = replace(PROFILE, visibility=dict.fromkeys(Part, Visibility.CONTACTS))
    assert entry_of(ACCOUNT, shy, {}) is None


def test_who_has_more_confirmed_skills_comes_first() -> None:
    places = [order_of("b", 3), order_of("a", 2), order_of("c", 0)]
    assert places == sorted(places)
    assert order_of("a", 999) == order_of("a", 5_000)
    counted = entry_of(ACCOUNT, PROFILE, {"fertility": 2, "not_declared_any_more": 7})
    assert counted is not None
    assert counted.order == order_of(ACCOUNT.member_id, 2)


@given(st.text(max_size=60))
def test_comparing_forgives_the_same_twice(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    assert all(word.isalnum() for word in query_words(text)), "words go into a pattern as they are"


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_a_cursor_names_its_place(order: int) -> None:
    assert read_cursor(cursor_after(order)) == order


@pytest.mark.parametrize("cursor", ["", "!", "AAAA", "_" * 11, "A" * 12])
def test_other_cursors_are_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        read_cursor(cursor)
