"""Words of a header, and the lines that hold one. Nothing of them may leave: neither in a log nor in an error."""

import logging
import warnings

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from services.redactor.pixels.dicom import Header
from services.redactor.pixels.header import header_words, matched


def header() -> Dataset:
    order = Dataset()
    order.RequestingPhysician = "Ødegård^Åse"
    order.RequestedProcedureID = "RP-00817"
    dataset = Dataset()
    dataset.PatientName = "O'Brien-Müller^Zoë^Anne^Dr"
    dataset.PatientID = "00.417-X22"
    dataset.PatientBirthDate = "19850307"
    dataset.PatientAge = "039Y"
    dataset.AccessionNumber = "ACC7781234"
    dataset.InstitutionName = "Clinique Sainte-Élise"
    dataset.StudyDate, dataset.StudyTime = "20240229", "142305.120"
    dataset.ReferringPhysicianName = "Sato^Ken=佐藤^健"
    dataset.StudyDescription = "CHEST AP LEFT"
    dataset.RequestAttributesSequence = Sequence([order])
    return dataset


WORDS = header_words(header())


@pytest.mark.parametrize(
    "line",
    [
        "O'BRIEN",
        "obrien-muller, zoe",
        "OBRIENMULLER ZOE ANNE",
        "Zoë",
        "M. MÜLLER",
        "0'Brien",  # a zero was read
        "O'Brlen-Mu1ler",
        "Muelier Z, OBRIEM MULLER",
        "ID: 00 417 X22",
        "417X22",
        "ACC 7781234",
        "acc7781284",  # one digit read wrongly
        "ACC778123",  # one missed
        "ACC77BIZ34",  # three look-alikes
        "NOXACC77BIZ34Y",  # and no space round it
        "Ste clinique",
        "07.03.1985",
        "1985-03-07",
        "3/7/85 DOB 7/3/1985",
        "7 mars 1985",
        "Mar 07 1985",
        "29 FEV. 2024",
        "29-FEB-24",
        "14:23",
        "14:23:05",
        "Dr Sato",
        "佐藤",
        "odegard",  # the stroke of Ø is no accent, but one letter may be wrong
        "RP00817",
        "39Y 039Y",
        "SK",  # initials
        "K. S.",
    ],
)
def test_a_line_with_a_word_of_the_header_is_told(line: str) -> None:
    assert matched(line, WORDS)


@pytest.mark.parametrize(
    "line", ["", "R", "L", "AP", "LEFT", "CHEST", "kV 80", "SUPINE", "120 mAs", "5 cm", "PORTABLE", "W 400 L 40", "..."]
)
def test_marks_and_settings_are_not_taken_for_words(line: str) -> None:
    assert not matched(line, WORDS)


def test_without_a_header_nothing_matches() -> None:
    assert header_words(Dataset()) == frozenset()
    assert not matched("O'Brien", frozenset())


def test_a_word_is_found_at_every_depth_that_real_files_have() -> None:
    deepest = Dataset()
    deepest.OperatorsName = "Quixada^Ines"
    for _ in range(5):
        outer = Dataset()
        outer.RequestAttributesSequence = Sequence([deepest])
        deepest = outer
    assert "quixada" in header_words(deepest)


def test_what_cannot_be_read_is_passed_over_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    dataset = header()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.PatientBirthDate = "19859999 Quixada"
    dataset.StudyDate = ""
    caplog.clear()  # of pydicom's own complaint about the assignment
    with caplog.at_level(logging.DEBUG):
        words = header_words(dataset)
    assert "obrien" in words
    assert not any("Quixada" in record.getMessage() for record in caplog.records)


def test_a_header_of_a_million_names_gives_a_bounded_list() -> None:
    dataset = Dataset()
    dataset.OperatorsName = [f"Name{number}^Given{number}" for number in range(5_000)]
    assert len(header_words(dataset)) <= 4_000


def test_what_is_known_of_a_file_shows_nothing_of_the_patient_in_a_log_or_traceback() -> None:
    assert repr(Header(header(), 1, WORDS, 1_000)) == "Header(frame_count=1, max_pixels=1000)"
