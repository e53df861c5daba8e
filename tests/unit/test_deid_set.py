"""The finder on the project's own set, and the set itself. The published numbers: docs/text-deidentification.md."""

import pytest

from benchmarks.deid import DIRECT, Tally, interval, score
from shared.deid import Kind
from tests.deid import texts
from tests.deid.drawn import drawn
from tests.deid.marked import Span, read


def test_marks_become_spans_in_code_points() -> None:
    text = read("🩺 Vu par [[name|Ann]] [[name|Lee]] à [[place|Gap]].", "fr", "written")
    assert text.text == "🩺 Vu par Ann Lee à Gap."
    assert text.spans == (Span("name", 9, 16), Span("place", 19, 22))


def test_the_set_has_texts_enough_in_both_languages_and_parts() -> None:
    both = [*texts("tuned"), *texts("held_out")]
    assert len(both) >= 300
    assert {text.language for text in both} == {"fr", "en"}
    assert {span.kind for text in both for span in text.spans} == {kind.value for kind in Kind}


def test_no_text_stands_in_both_parts() -> None:
    assert not {text.text for text in texts("tuned")} & {text.text for text in texts("held_out")}


def test_the_generator_draws_the_same_at_every_call() -> None:
    assert drawn("held_out", "fr", 5) == drawn("held_out", "fr", 5)


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_held_out_part_keeps_its_aims(language: str) -> None:
    tallies = score([text for text in texts("held_out") if text.language == language])
    direct, everything = Tally(), Tally()
    for (kind, _), tally in tallies.items():
        everything.add(tally)
        if kind in DIRECT:
            direct.add(tally)
    assert direct.found / direct.marked >= 0.95
    assert everything.right / everything.pointed >= 0.85


def test_an_interval_holds_the_share_and_narrows_with_more() -> None:
    few, many = interval(9, 10), interval(900, 1_000)
    assert few[0] < 0.9 < few[1]
    assert many[1] - many[0] < few[1] - few[0]
    assert interval(0, 0) == (0.0, 1.0)
