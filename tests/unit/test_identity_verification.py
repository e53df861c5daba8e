"""Numbers, names and professions: who is taken for whom."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.identity.domain.account import REGISTRY_INACTIVE, Account, MoveRefused
from services.identity.domain.recheck import Finding, Rhythm, consequence, finding_of, reminder_due
from services.identity.domain.verification import (
    CivilName,
    NotMatched,
    Number,
    NumberMalformed,
    Practitioner,
    end_of_school_year,
    match,
    same_name,
)
from services.identity.registries import numbers
from services.identity.registries.professions import of_nucc, of_tre_g15
from shared.events import MemberStatus, Profession

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SYNTHETIC = ("99900000003", "99900000011", "99900000029")


def account(profession: Profession = Profession.PHYSICIAN) -> Account:
    return Account.register(
        email="a@hopital.example", password_hash="h", pseudonym="Dr Ambroise", profession=profession, now=NOW
    )


def practitioner(active: bool = True, professions: frozenset[Profession] | None = None) -> Practitioner:
    return Practitioner(
        number=Number("rpps", SYNTHETIC[0]),
        families=("DUPONT-MARTIN",),
        givens=("ANNE", "ANNE CLAIRE"),
        professions=frozenset({Profession.PHYSICIAN}) if professions is None else professions,
        skills=(),
        active=active,
        source="test",
        as_of=NOW,
    )


@pytest.mark.parametrize("text", SYNTHETIC)
def test_an_rpps_number_is_eleven_digits_and_its_luhn_digit_only_warns(text: str) -> None:
    assert numbers.rpps(text) == Number("rpps", text)
    last = str((int(text[-1]) + 1) % 10)
    assert numbers.rpps(text[:-1] + last) == Number("rpps", text[:-1] + last, ("check_digit",))


@pytest.mark.parametrize("text", ["899900000003", "8 99900000003", "999 0000 0003", " 99900000003 ", "999.000.000.03"])
def test_the_national_identifier_and_spaces_give_the_same_rpps_number(text: str) -> None:
    assert numbers.rpps(text).value == "99900000003"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "rpps_malformed"),
        ("9990000000", "rpps_malformed"),
        ("999000000031", "rpps_malformed"),
        ("9990000000a", "rpps_malformed"),
        ("٩٩٩٠٠٠٠٠٠٠٣", "rpps_malformed"),
        ("ANS20231122132732", "rpps_malformed"),
        ("759124159", "adeli_retired"),
        ("0759124159", "adeli_retired"),
    ],
)
def test_what_cannot_be_an_rpps_number_says_why(text: str, code: str) -> None:
    with pytest.raises(NumberMalformed) as refusal:
        numbers.rpps(text)
    assert refusal.value.code == code


def test_a_legacy_adeli_number_is_an_alias_only() -> None:
    assert numbers.adeli("0759124159") == numbers.adeli("759124159") == "759124159"
    assert numbers.adeli("99900000003") is None


@pytest.mark.parametrize("text", ["1234567893", "1999999992", "2000000002"])
def test_an_npi_with_its_check_digit_is_taken(text: str) -> None:
    assert numbers.npi(text) == Number("npi", text)


@pytest.mark.parametrize(
    ("text", "code"), [("1234567890", "npi_check_digit"), ("3234567893", "npi_malformed"), ("123", "npi_malformed")]
)
def test_an_npi_that_is_none_is_refused(text: str, code: str) -> None:
    with pytest.raises(NumberMalformed) as refusal:
        numbers.npi(text)
    assert refusal.value.code == code


@given(st.text(max_size=20))
def test_no_text_crashes_a_check_of_numbers(text: str) -> None:
    for check in (numbers.rpps, numbers.npi, numbers.sandbox):
        try:
            found = check(text)
        except NumberMalformed:
            continue
        assert found.value.isascii()


@pytest.mark.parametrize(
    ("family", "given_name"),
    [
        ("Dupont", "Anne"),
        ("DUPONT-MARTIN", "Anne"),
        ("dupont martin", "Anne-Claire"),
        ("Martin", "Claire"),
        ("Martin Dupont", "anne claire"),
        ("Dupönt", "Ànne"),
    ],
)
def test_the_same_person_by_another_spelling(family: str, given_name: str) -> None:
    assert same_name(CivilName(family, given_name), ("DUPONT-MARTIN",), ("ANNE", "CLAIRE"))


@pytest.mark.parametrize(
    ("claimed", "known"),
    [
        ("D'Alembert", "DALEMBERT"),
        ("Le Gall", "LEGALL"),
        ("de La Fontaine", "FONTAINE"),
        ("Lœb", "LOEB"),
        ("Müller", "MULLER"),
        ("Straße", "STRASSE"),
        ("N'Guyen", "N GUYEN"),
        ("Łukasz", "LUKASZ"),
    ],
)
def test_spellings_of_family_names(claimed: str, known: str) -> None:
    assert same_name(CivilName(claimed, "Anne"), (known,), ("ANNE",))


@pytest.mark.parametrize(
    ("family", "given_name"),
    [
        ("Dupond", "Anne"),
        ("Dupont", "Jeanne"),
        ("Du", "Anne"),
        ("de", "Anne"),
        ("D", "Anne"),
        ("", "Anne"),
        ("Dupont", ""),
        ("Dupont", "A"),
        ("-", "-"),
        ("Dupont Durand", "Anne"),
    ],
)
def test_another_person(family: str, given_name: str) -> None:
    assert not same_name(CivilName(family, given_name), ("DUPONT-MARTIN", "DE LA TOUR"), ("ANNE",))


def test_a_civil_name_does_not_show_itself() -> None:
    assert "Dupont" not in f"{CivilName('Dupont', 'Anne')!r} {CivilName('Dupont', 'Anne')}"


@pytest.mark.parametrize(
    ("found", "name", "profession", "why"),
    [
        (None, CivilName("Dupont", "Anne"), Profession.PHYSICIAN, "unknown_number"),
        (practitioner(active=False), CivilName("Dupont", "Anne"), Profession.PHYSICIAN, "inactive"),
        (practitioner(), CivilName("Durand", "Anne"), Profession.PHYSICIAN, "name"),
        (practitioner(), CivilName("Dupont", "Anne"), Profession.NURSE, "profession"),
        (practitioner(professions=frozenset()), CivilName("Dupont", "Anne"), Profession.PHYSICIAN, "profession"),
        (practitioner(), CivilName("Dupont", "Anne"), None, "profession"),
    ],
)
def test_whatever_does_not_agree_is_refused(
    found: Practitioner | None, name: CivilName, profession: Profession | None, why: str
) -> None:
    with pytest.raises(NotMatched) as refusal:
        match(found, name, profession)
    assert refusal.value.why == why


def test_number_name_and_profession_that_agree_are_taken() -> None:
    assert match(practitioner(), CivilName("Dupont", "Anne"), Profession.PHYSICIAN) == practitioner()


def test_codes_become_professions_and_students_are_students() -> None:
    known = {code: of_tre_g15(code) for code in ("10", "21", "40", "50", "60", "70", "80", "93")}
    assert set(known.values()) == set(Profession) - {Profession.STUDENT}
    assert of_tre_g15("10", "E") is Profession.STUDENT
    assert of_tre_g15("26", "E") is None
    assert of_nucc(["207Q00000X", "390200000X", "1041C0700X"]) == {Profession.PHYSICIAN, Profession.STUDENT}


@pytest.mark.parametrize(
    ("today", "until"),
    [
        (date(2026, 9, 15), date(2026, 10, 31)),
        (date(2026, 9, 30), date(2026, 10, 31)),
        (date(2026, 10, 1), date(2027, 10, 31)),
        (date(2026, 11, 2), date(2027, 10, 31)),
        (date(2026, 1, 1), date(2026, 10, 31)),
    ],
)
def test_proof_of_studies_holds_until_the_end_of_october(today: date, until: date) -> None:
    assert end_of_school_year(today) == until


def test_a_registry_that_lists_everybody_says_nothing_by_absence() -> None:
    assert finding_of(None, lists_active_only=False) is Finding.MISSING
    assert finding_of(None, lists_active_only=True) is Finding.INACTIVE
    assert finding_of(practitioner(), lists_active_only=True) is Finding.ACTIVE
    assert finding_of(practitioner(active=False), lists_active_only=False) is Finding.INACTIVE


def test_inactive_suspends_and_active_again_reinstates() -> None:
    verified = account().confirm(NOW, "rpps")
    suspended = consequence(verified, Finding.INACTIVE, NOW)
    assert (suspended.status, suspended.suspended_for) == (MemberStatus.SUSPENDED, REGISTRY_INACTIVE)
    assert consequence(suspended, Finding.INACTIVE, NOW) is suspended
    assert consequence(suspended, Finding.MISSING, NOW) is suspended
    later = NOW + timedelta(days=1)
    back = consequence(suspended, Finding.ACTIVE, later)
    assert (back.status, back.checked_at, back.verified_at) == (MemberStatus.VERIFIED, later, NOW)
    assert back.version > suspended.version


def test_the_registry_ends_no_suspension_that_it_did_not_make() -> None:
    suspended = account().confirm(NOW, "rpps").suspend("insults")
    for finding in Finding:
        assert consequence(suspended, finding, NOW) is suspended


@pytest.mark.parametrize("finding", list(Finding))
def test_a_check_makes_nobody_verified(finding: Finding) -> None:
    assert consequence(account(), finding, NOW).status is MemberStatus.UNVERIFIED


def test_missing_changes_nothing() -> None:
    verified = account().confirm(NOW, "rpps")
    assert consequence(verified, Finding.MISSING, NOW) is verified


def test_proof_changes_what_the_member_said_and_not_a_suspension() -> None:
    found = account(Profession.STUDENT).confirm(NOW, "documents", profession=Profession.NURSE, country="BE")
    assert (found.profession, found.country, found.registry, found.checked_at) == (
        Profession.NURSE,
        "BE",
        "documents",
        NOW,
    )
    assert found.confirm(NOW, "rpps").version == 3
    with pytest.raises(MoveRefused):
        found.suspend("x").confirm(NOW, "rpps")
    ended = found.lapse()
    assert (ended.status, ended.verified_at, ended.registry) == (MemberStatus.UNVERIFIED, None, None)
    with pytest.raises(MoveRefused):
        ended.checked(NOW)


def test_checks_spread_and_silence_is_asked_again_ever_later() -> None:
    rhythm = Rhythm()
    days = {(rhythm.after(Finding.ACTIVE, f"m{n}", NOW) - NOW) / timedelta(days=1) for n in range(200)}
    assert 27 <= min(days) < 28
    assert 32 < max(days) <= 33
    assert len(days) == 200
    assert rhythm.after(Finding.INACTIVE, "m", NOW) - NOW < timedelta(days=2)
    waits = [(rhythm.after_silence(n, NOW) - NOW) / timedelta(minutes=1) for n in (0, 1, 2, 3, 50)]
    assert waits == [5, 5, 10, 20, 360]


@pytest.mark.parametrize(("days_left", "due"), [(31, None), (30, 30), (8, 30), (7, 7), (0, 7), (-1, None)])
def test_reminders_come_a_month_and_a_week_before(days_left: int, due: int | None) -> None:
    assert reminder_due(NOW.date() + timedelta(days=days_left), NOW.date()) == due
