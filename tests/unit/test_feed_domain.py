"""The feed's rules: the same documents for every order and repetition of the same events."""

import random
from datetime import datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feed import domain
from services.feed.domain import BadCursor, CommentEntry, Fold, Standing
from shared.events import (
    AgeBand,
    CaseApproved,
    CaseRedacted,
    CaseWithdrawn,
    CommentAdded,
    MemberChanged,
    MemberStatus,
    PatientFacts,
)
from tests.feed_histories import (
    START,
    MemoryBuild,
    Step,
    approval,
    batches_of,
    comment,
    expected,
    histories,
    member,
    picture,
    withdrawal,
)

times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1))


def build_of(history: list[Step], batch: int = 1) -> MemoryBuild:
    build = MemoryBuild()
    for topic, changes in batches_of(history, batch):
        build.apply(topic, changes)
    return build


@given(histories, st.integers(1, 10))
def test_any_history_gives_what_its_facts_say(history: list[Step], batch: int) -> None:
    assert build_of(history, batch).essence() == expected(history)


@given(histories, st.randoms(use_true_random=False))
def test_order_and_repetition_change_no_document(history: list[Step], chance: random.Random) -> None:
    other = history + chance.choices(history, k=len(history)) if history else []
    chance.shuffle(other)
    assert build_of(history).essence() == build_of(other).essence()
    assert build_of(history).contents() == build_of(other).contents()


def test_a_comment_before_its_case_is_counted_when_the_case_arrives() -> None:
    fold = Fold()
    fold.apply(CommentAdded, [("k", comment("k", "c"))])
    assert fold.cases["c"].standing is Standing.AWAITED
    fold.apply(CaseApproved, [("c", approval("c"))])
    assert (fold.cases["c"].standing, fold.cases["c"].comments) == (Standing.PUBLISHED, 1)


def test_withdrawn_wins_over_any_later_version() -> None:
    fold = Fold()
    fold.apply(CaseWithdrawn, [("c", withdrawal("c", 1))])
    fold.apply(CaseApproved, [("c", approval("c", 99))])
    fold.apply(CommentAdded, [("k", comment("k", "c", 99))])
    assert fold.cases["c"].standing is Standing.WITHDRAWN
    assert fold.comments["k"] == CommentEntry()


def test_a_tombstone_before_its_comment_keeps_it_out() -> None:
    fold = Fold()
    fold.apply(CommentAdded, [("k", None), ("k", comment("k", "c"))])
    assert fold.comments["k"].erased
    assert "c" not in fold.cases or fold.cases["c"].comments == 0


def test_the_ledger_does_not_forget_through_a_tombstone() -> None:
    fold = Fold()
    fold.apply(CaseWithdrawn, [("c", withdrawal("c")), ("c", None)])
    assert fold.cases["c"].standing is Standing.WITHDRAWN


def test_an_unchanged_entry_is_not_written_again() -> None:
    fold = Fold(members={"m": domain.MemberEntry(version=5)})
    fold.apply(MemberChanged, [("m", member("m", 5)), ("m", member("m", 4))])
    assert not fold.members["m"].changed


def test_a_topic_without_a_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="CaseRedacted"):
        Fold().apply(CaseRedacted, [])


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)), st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1))
)
def test_positions_sort_as_times_do(first: datetime, second: datetime) -> None:
    one, other = domain.position(first, "x"), domain.position(second, "x")
    assert (one < other) == (first < second)
    assert one < domain.FIRST_PAGE


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)), st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True)
)
def test_a_cursor_gives_its_position_back(moment: datetime, entity_id: str) -> None:
    where = domain.position(moment, entity_id)
    assert domain.read_cursor(domain.cursor_after(where)) == where


@given(st.text(max_size=60))
def test_a_foreign_cursor_is_refused_and_never_crashes(text: str) -> None:
    try:
        where = domain.read_cursor(text)
    except BadCursor:
        return
    assert domain.cursor_after(where) == text.rstrip("=")


def test_a_cursor_that_names_no_position_is_refused() -> None:
    for foreign in ("", "!!!", domain.cursor_after("~"), domain.cursor_after("{'$gt': 1}"), "é"):
        with pytest.raises(BadCursor):
            domain.read_cursor(foreign)


def test_cards_carry_author_and_count_as_valid_json() -> None:
    content = domain.case_content(approval("c", text="word " * 200))
    author = domain.member_content(member("m-1", pseudonym='Dr "Ü"'))["card"]
    item = orjson.loads(domain.with_author(content["card"], author, 7))
    assert item["comment_count"] == 7
    assert item["author"]["pseudonym"] == 'Dr "Ü"'
    assert item["excerpt"].endswith("word…")
    assert len(item["excerpt"]) <= domain.EXCERPT_CHARACTERS + 1
    assert item["cover"] is None


def test_a_whole_case_shows_its_renditions_and_not_where_they_lie() -> None:
    content = domain.case_content(approval("c", pictures=[picture("p", "c/p/1/0000-full", "a" * 64, 10)]))
    shown = domain.whole_case({"_id": "c", "version": 1, "comments": 2, **content}, '{"member_id":"m-1"}')
    case = orjson.loads(shown)
    assert (case["case_id"], case["comment_count"], case["author"]) == ("c", 2, {"member_id": "m-1"})
    rendition = case["pictures"][0]["frames"][0]["renditions"][0]
    assert rendition["url"] == "/cases/c/pictures/p/frames/0/full"
    assert rendition["sha256"] == "a" * 64
    assert "object_key" not in shown


def test_what_is_told_of_the_patient_is_shown_with_the_whole_case() -> None:
    patient = PatientFacts(age_band=AgeBand.YEARS_85_89, region="FR-75")
    told = domain.case_content(approval("c").model_copy(update={"patient": patient}))
    shown = orjson.loads(domain.whole_case({"_id": "c", "version": 1, "comments": 0, **told}, "{}"))
    assert shown["patient"] == {"age_band": "years_85_89", "sex": None, "region": "FR-75", "timing": None}
    before = domain.case_content(approval("c"))
    before.pop("patient")
    shown = orjson.loads(domain.whole_case({"_id": "c", "version": 1, "comments": 0, **before}, "{}"))
    assert shown["patient"] is None


def test_only_an_approved_rendition_is_found() -> None:
    content = domain.case_content(approval("c", pictures=[picture("p", "c/p/1/0000-full", "a" * 64, 10)]))
    found = domain.approved_rendition(content["pictures"], "p", 0, "full")
    assert found is not None
    assert found["object_key"] == "c/p/1/0000-full"
    for name in (("q", 0, "full"), ("p", 1, "full"), ("p", 0, "small")):
        assert domain.approved_rendition(content["pictures"], *name) is None


def test_a_suspended_member_is_not_shown_as_verified() -> None:
    card = orjson.loads(domain.member_content(member("m", status=MemberStatus.SUSPENDED))["card"])
    assert card["verified"] is False
    assert orjson.loads(domain.unknown_member_card("m"))["verified"] is False


def test_a_former_member_has_no_name() -> None:
    gone = member("m", status=MemberStatus.LEFT).model_copy(
        update={"pseudonym": "", "profession": None, "specialty": None, "country": None, "roles": ()}
    )
    card = orjson.loads(domain.member_content(gone)["card"])
    assert (card["left"], card["pseudonym"], card["verified"]) == (True, None, False)
    assert {name for name, value in card.items() if value is not None} == {"member_id", "verified", "left"}


def test_times_are_utc_with_microseconds() -> None:
    assert domain.instant(START) == "2025-03-01T09:00:00.000000Z"
    assert domain.instant(datetime(2025, 3, 1, 9)) == domain.instant(START)


def test_equal_documents_have_equal_canonical_bytes() -> None:
    assert domain.canonical({"a": 1, "b": [1], "touched": 3}) == domain.canonical({"b": [1], "a": 1})
    assert domain.canonical({"a": 1}) != domain.canonical({"a": 2})
