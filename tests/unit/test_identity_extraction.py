"""The lines of the open extraction of the French directory."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.identity.registries.extraction_files import FileUnusable, Malformed, Person, as_of, read

ACTIVITY = (
    "Type d'identifiant PP|Identifiant PP|Identification nationale PP|Code civilité d'exercice|"
    "Libellé civilité d'exercice|Code civilité|Libellé civilité|Nom d'exercice|Prénom d'exercice|Code profession|"
    "Libellé profession|Code catégorie professionnelle|Libellé catégorie professionnelle|Code type savoir-faire|"
    "Libellé type savoir-faire|Code savoir-faire|Libellé savoir-faire|Code mode exercice|Libellé mode exercice|"
)
SKILLS = (
    "Type d'identifiant PP|Identifiant PP|Identification nationale PP|Nom d'exercice|Prénom d'exercice|"
    "Code profession|Libellé profession|Code catégorie professionnelle|Libellé catégorie professionnelle|"
    "Code type savoir-faire|Libellé type savoir-faire|Code savoir-faire|Libellé savoir-faire|"
)


def activity(number: str = "99900000003", family: str = "DUPONT", code: str = "10", skill: str = "SM54") -> str:
    return (
        f"8|{number}|8{number}|DR|Docteur|MME|Madame|{family}|ANNE|{code}|Médecin|C|Civil|S|Spécialité ordinale|"
        f"{skill}|Médecine générale|L|Libéral|"
    )


def lines(*text: str, header: str = ACTIVITY, bom: bool = True) -> list[Person | Malformed | None]:
    raw = "\n".join([header, *text]).encode("utf-8-sig" if bom else "utf-8") + b"\n"
    return list(read(io.BytesIO(raw), "file"))


@pytest.mark.parametrize("bom", [True, False])
def test_a_line_names_a_person_who_practises(bom: bool) -> None:
    (person,) = lines(activity(family="LŒB-MÜLLER"), bom=bom)
    assert person == Person(
        number="99900000003",
        families={"LŒB-MÜLLER"},
        givens={"ANNE"},
        professions={("10", "C")},
        skills={"SM54"},
        active=True,
    )


def test_columns_are_found_by_name_and_the_last_separator_is_optional() -> None:
    moved = ACTIVITY.replace("Code mode exercice|", "").replace("Type d'", "Code mode exercice|Type d’").rstrip("|")
    line = "L|" + activity().replace("|L|Libéral|", "|Libéral")
    (person,) = lines(line, header=moved)
    assert isinstance(person, Person)
    assert (person.number, person.active) == ("99900000003", True)
    (same,) = lines(activity().rstrip("|"))
    assert isinstance(same, Person)


def test_who_is_only_in_the_file_of_skills_does_not_practise_by_it() -> None:
    line = "8|99900000003|899900000003|DUPONT|ANNE|10|Médecin|C|Civil|CEX|Compétence|C42|Allergologie|"
    (person,) = lines(line, header=SKILLS)
    assert isinstance(person, Person)
    assert (person.active, person.skills) == (False, {"C42"})


def test_the_old_register_is_left_out() -> None:
    assert lines("0|012600631|0012600631|||M|Monsieur|PETIT|ALEX|26|x|C|Civil|||||S|Salarié|") == [None]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("8|999", "2 cells, not 19"),
        (activity() + "one|more|", "22 cells, not 19"),
        (activity("9990000000"), "an RPPS number that is not 11 digits"),
        (activity("9990000000x"), "an RPPS number that is not 11 digits"),
        (activity().replace("8|", "7|", 1), "a type of identifier that is neither 8 nor 0"),
    ],
)
def test_a_line_that_cannot_be_read_is_reported_by_its_number(line: str, reason: str) -> None:
    said = lines(activity(), "", line, activity("99900000011"))
    assert said[1] == Malformed(4, reason)
    assert [type(each) for each in said] == [Person, Malformed, Person]


def test_another_encoding_is_reported() -> None:
    raw = f"{ACTIVITY}\n".encode() + activity(family="MÜLLER").encode("latin-1") + b"\n"
    assert list(read(io.BytesIO(raw), "file")) == [Malformed(2, "not UTF-8")]


@pytest.mark.parametrize("header", [b"", b"a;b;c\n", b"Identifiant PP|Nom d'exercice\n", b"\xff\xfe8\n"])
def test_another_file_is_refused(header: bytes) -> None:
    with pytest.raises(FileUnusable, match=r"somefile\.txt is no file of the extraction"):
        list(read(io.BytesIO(header), "somefile.txt"))


def test_lines_about_one_person_come_together() -> None:
    first, second = lines(activity(), activity(family="MARTIN", code="60", skill="SM02"))
    assert isinstance(first, Person)
    assert isinstance(second, Person)
    first.merge(second)
    assert first.families == {"DUPONT", "MARTIN"}
    assert first.professions == {("10", "C"), ("60", "C")}
    assert first.skills == {"SM54", "SM02"}


def test_a_file_is_of_when_its_name_says(tmp_path: Path) -> None:
    assert as_of(Path("PS_LibreAcces_Personne_activite_202504040839.txt")) == datetime(2025, 4, 4, 8, 39, tzinfo=UTC)
    other = tmp_path / "extraction_999999999999.txt"
    other.write_text("x")
    assert as_of(other) == datetime.fromtimestamp(other.stat().st_mtime, UTC)
