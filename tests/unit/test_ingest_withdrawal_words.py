"""The withdrawal page and its receipt say the same in both languages, whole, and in good typography."""

import re
from datetime import UTC, date, datetime
from typing import get_args

import pytest

from services.ingest.domain.withdrawal import Receipt, Report, Step
from services.ingest.pages import withdrawal_words
from services.ingest.pages.withdrawal_words import (
    CAUSES,
    STEPS,
    erased,
    how_much,
    moment,
    out_of_sight,
    what_goes,
    what_stayed,
)
from services.ingest.routes import withdrawal_problems
from services.ingest.store import Standing
from shared.events import Language, WithdrawalCause
from shared.web import ProblemKind, Text

AT = datetime(2026, 12, 1, 14, 5, 9, tzinfo=UTC)
LANGUAGES: tuple[Language, ...] = get_args(Language)


def texts() -> list[Text]:
    found: list[Text] = []
    for value in vars(withdrawal_words).values():
        for one in value if isinstance(value, tuple) else value.values() if isinstance(value, dict) else [value]:
            found += [each for each in (one if isinstance(one, tuple) else (one,)) if isinstance(each, Text)]
    kinds = [value for value in vars(withdrawal_problems).values() if isinstance(value, ProblemKind)]
    return found + [text for kind in kinds for text in (kind.title, kind.detail)]


@pytest.mark.parametrize("text", texts(), ids=lambda text: text.en[:40])
def test_every_sentence_is_whole_in_both_languages(text: Text) -> None:
    assert text.fr
    assert text.en
    assert text.fr != text.en
    assert sorted(re.findall(r"\{(\w+)\}", text.fr)) == sorted(re.findall(r"\{(\w+)\}", text.en))
    assert not re.search(r"(?<!\u00a0)[:;!?»]", text.fr), "a non-breaking space stands before these in French"
    assert "'" not in text.fr
    assert "'" not in text.en


def test_every_step_but_the_announcement_and_every_cause_has_words() -> None:
    assert set(STEPS) == set(Step) - {Step.ANNOUNCED}
    assert set(CAUSES) == set(WithdrawalCause)


def test_what_goes_is_counted_as_people_count() -> None:
    assert what_goes(Standing(1, 1, True, None), "en")[1:] == [
        "1 picture: the original, the key that opens it, and the covered picture",
        "1 comment of a member",
    ]
    assert what_goes(Standing(2, 1000, True, None), "fr")[1:] == [
        "2\u00a0images\u00a0: les originaux, la clé qui les ouvre, et les images recouvertes",
        "1000\u00a0commentaires de membres",
    ]
    assert len(what_goes(Standing(0, 0, False, None), "en")) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_receipt_says_what_is_confirmed_and_what_is_not(language: Language) -> None:
    receipt = Receipt(
        receipt_id="r",
        case_id="c",
        cause=WithdrawalCause.PATIENT,
        withdrawn_at=AT,
        confirmed={Step.ORIGINALS: AT},
        proofs_until=date(2031, 12, 1),
    )
    said = dict(erased(receipt, language))
    assert list(said.values()) == [moment(AT, language), moment(AT, language), *[None] * (len(STEPS) - 1)]
    confirmed: list[dict[Step, datetime]] = [{}, {Step.ANNOUNCED: AT}, {Step.ANNOUNCED: AT, Step.FEED: AT}]
    sight = [out_of_sight(receipt.model_copy(update={"confirmed": each}), language) for each in confirmed]
    assert len(set(sight)) == 3, "not handed over, handed over, reported"
    assert not any("{" in each for each in sight)
    assert "2031" in what_stayed(receipt, language)[0]
    assert "2031" not in str(what_stayed(receipt.model_copy(update={"proofs_until": None}), language))


def test_a_report_is_counted_as_people_count() -> None:
    report = Report(erased_at=AT, cases=2, comments=1, letters=3)
    assert how_much(report, "en") == "2 copies of the case, 1 copy of a comment, 3 messages put aside"
    assert how_much(report, "fr") == ("2\u00a0copies du cas, 1\u00a0copie de commentaire, 3\u00a0messages mis de côté")
    assert how_much(Report(erased_at=AT), "en") == "nothing was left there"
    receipt = Receipt(
        receipt_id="r",
        case_id="c",
        cause=WithdrawalCause.EXPIRED,
        withdrawn_at=AT,
        confirmed={Step.FEED: AT},
        reports={Step.FEED: report},
    )
    (told,) = [at for _, at in erased(receipt, "en")[1:] if at]
    assert told == f"{moment(AT, 'en')} ({how_much(report, 'en')})"
    assert not receipt.complete


def test_times_are_told_as_each_language_tells_them() -> None:
    assert moment(AT, "en") == "1\u00a0December\u00a02026, 14:05:09\u00a0UTC"
    assert moment(AT, "fr") == "1er\u00a0décembre\u00a02026 à 14\u00a0h\u00a005\u00a0min\u00a009\u00a0s (UTC)"
