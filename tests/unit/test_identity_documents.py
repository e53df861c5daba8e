"""The rules of the review of proofs."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from services.identity.domain.documents import (
    LEASE,
    MAX_DOCUMENTS,
    REASONS,
    AlreadyDecided,
    Application,
    ApplicationState,
    ClaimedByAnother,
    Document,
    DocumentUnknown,
    EndImpossible,
    NotAllSeen,
    NotClaimed,
    OwnApplication,
    ProofKind,
    RefusalReason,
    TooManyDocuments,
    UnderReview,
    check_end,
    estimated_wait,
    media_type_of,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


def document(name: str = "d1") -> Document:
    return Document(name, ProofKind.STUDENT_CARD, "image/png", 10, NOW)


def application(*documents: str) -> Application:
    made = Application("a1", "member", NOW)
    for name in documents or ("d1",):
        made = made.add(document(name), NOW)
    return made


def seen() -> Application:
    return application().claim("reviewer", NOW).view("reviewer", "d1", NOW)


def test_proofs_are_decided_once_by_who_has_taken_and_opened_them() -> None:
    ended = seen().accept("reviewer", LATER)
    assert (ended.state, ended.decided_by, ended.decided_at) == (ApplicationState.ACCEPTED, "reviewer", LATER)
    refused = seen().refuse("reviewer", RefusalReason.UNREADABLE, LATER)
    assert (refused.state, refused.reason) == (ApplicationState.REFUSED, RefusalReason.UNREADABLE)
    late: tuple[Callable[[], object], ...] = (
        lambda: ended.accept("reviewer", LATER),
        lambda: ended.refuse("reviewer", RefusalReason.UNREADABLE, LATER),
        lambda: ended.claim("reviewer", LATER),
        lambda: ended.view("reviewer", "d1", LATER),
        lambda: ended.add(document("d2"), LATER),
        lambda: ended.withdraw(LATER),
    )
    for act in late:
        with pytest.raises(AlreadyDecided):
            act()


def test_nobody_reviews_himself() -> None:
    with pytest.raises(OwnApplication):
        application().claim("member", NOW)
    for held in (replace(seen(), claimed_by="member"),):
        with pytest.raises(OwnApplication):
            held.accept("member", NOW)
        with pytest.raises(OwnApplication):
            held.view("member", "d1", NOW)


def test_a_second_reviewer_waits_until_the_lease_runs_out_and_has_seen_nothing() -> None:
    held = seen()
    foreign: tuple[Callable[[], object], ...] = (
        lambda: held.claim("other", NOW),
        lambda: held.view("other", "d1", NOW),
        lambda: held.accept("other", NOW),
        lambda: held.release("other", NOW),
    )
    for act in foreign:
        with pytest.raises(ClaimedByAnother):
            act()
    taken = held.claim("other", NOW + LEASE)
    with pytest.raises(NotAllSeen):
        taken.accept("other", NOW + LEASE)
    with pytest.raises(ClaimedByAnother):
        taken.accept("reviewer", NOW + LEASE)


def test_a_lease_that_ran_out_or_was_given_back_decides_nothing() -> None:
    with pytest.raises(NotClaimed):
        seen().accept("reviewer", NOW + LEASE)
    with pytest.raises(NotClaimed):
        seen().release("reviewer", NOW).accept("reviewer", NOW)
    with pytest.raises(NotClaimed):
        application().view("reviewer", "d1", NOW)


def test_opening_a_document_prolongs_the_lease() -> None:
    almost = NOW + LEASE - timedelta(seconds=1)
    assert seen().view("reviewer", "d1", almost).accept("reviewer", NOW + LEASE).state is ApplicationState.ACCEPTED


def test_every_document_has_to_be_opened() -> None:
    held = application("d1", "d2").claim("reviewer", NOW).view("reviewer", "d1", NOW)
    with pytest.raises(NotAllSeen):
        held.accept("reviewer", NOW)
    with pytest.raises(NotAllSeen):
        held.refuse("reviewer", RefusalReason.UNREADABLE, NOW)
    with pytest.raises(DocumentUnknown):
        held.view("reviewer", "d3", NOW)
    assert held.view("reviewer", "d2", NOW).accept("reviewer", NOW).state is ApplicationState.ACCEPTED


def test_taking_it_again_keeps_what_was_seen() -> None:
    assert seen().claim("reviewer", LATER).accept("reviewer", LATER).state is ApplicationState.ACCEPTED


def test_documents_are_added_up_to_five_and_not_under_a_reviewers_eyes() -> None:
    full = application(*(f"d{n}" for n in range(MAX_DOCUMENTS)))
    with pytest.raises(TooManyDocuments):
        full.add(document("more"), NOW)
    with pytest.raises(UnderReview):
        seen().add(document("d2"), NOW)
    assert len(seen().add(document("d2"), NOW + LEASE).documents) == 2


def test_the_applicant_may_take_it_back_even_under_review() -> None:
    withdrawn = seen().withdraw(LATER)
    assert withdrawn.state is ApplicationState.WITHDRAWN
    with pytest.raises(AlreadyDecided):
        withdrawn.accept("reviewer", LATER)


@pytest.mark.parametrize("reason", list(RefusalReason))
def test_every_reason_is_said_in_both_languages(reason: RefusalReason) -> None:
    said = REASONS[reason]
    assert set(said) == {"fr", "en"}
    assert all(text.endswith(".") for text in said.values())
    assert " :" not in said["fr"]


def test_a_proof_ends_in_the_future_and_not_too_far() -> None:
    today = date(2026, 3, 1)
    assert check_end(today, today) == today
    assert check_end(date(2027, 8, 31), today) == date(2027, 8, 31)
    for impossible in (date(2026, 2, 28), date(2028, 1, 1)):
        with pytest.raises(EndImpossible):
            check_end(impossible, today)


def test_waiting_is_estimated_from_enough_decisions() -> None:
    hours = [timedelta(hours=n) for n in (1, 2, 3, 50)]
    assert estimated_wait(hours) is None
    assert estimated_wait([*hours, timedelta(hours=4)]) == timedelta(hours=3)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"%PDF-1.7\n", "application/pdf"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\0\0\0\x18ftypheic", "image/heic"),
        (b"\0\0\0\x18ftypmif1", "image/heic"),
        (b"\0\0\0\x18ftypavif", None),
        (b"<svg xmlns=", None),
        (b"<html>", None),
        (b"PK\x03\x04", None),
        (b"GIF89a", None),
        (b" %PDF-1.7", None),
        (b"", None),
    ],
)
def test_the_type_of_a_proof_is_told_by_its_bytes(data: bytes, expected: str | None) -> None:
    assert media_type_of(data) == expected
