"""Who may learn a name: two officers, for a day, and nobody about themselves."""

from datetime import UTC, datetime, timedelta

import pytest

from services.identity.domain.reveals import (
    READABLE_FOR,
    WAITS_FOR_AGREEMENT,
    NotOpen,
    NotYourRequest,
    Reveal,
    RevealState,
    SamePerson,
    ask,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=5)


def asked() -> Reveal:
    return ask("r1", "member-1", "A court order of the fifth of November.", "officer-1", NOW)


def test_nobody_asks_about_themselves_or_agrees_to_their_own_request() -> None:
    with pytest.raises(SamePerson):
        ask("r1", "officer-1", "A court order of the fifth of November.", "officer-1", NOW)
    for officer in ("officer-1", "member-1"):
        with pytest.raises(SamePerson):
            asked().answer(officer, True, SOON)


def test_the_name_is_readable_for_a_day_by_the_two_and_by_nobody_else() -> None:
    agreed = asked().answer("officer-2", True, SOON)
    for officer in ("officer-1", "officer-2"):
        agreed.check_readable(officer, SOON + READABLE_FOR - timedelta(seconds=1))
        with pytest.raises(NotOpen) as late:
            agreed.check_readable(officer, SOON + READABLE_FOR)
        assert late.value.state is RevealState.EXPIRED
    with pytest.raises(NotYourRequest):
        agreed.check_readable("officer-3", SOON)


def test_nothing_is_readable_before_an_agreement_or_after_a_refusal() -> None:
    refused = asked().answer("officer-2", False, SOON)
    for reveal, state in ((asked(), RevealState.ASKED), (refused, RevealState.REFUSED)):
        with pytest.raises(NotOpen) as closed:
            reveal.check_readable("officer-1", SOON)
        assert closed.value.state is state
    with pytest.raises(NotOpen):
        refused.answer("officer-3", True, SOON)


def test_a_request_that_nobody_answers_ends() -> None:
    with pytest.raises(NotOpen):
        asked().answer("officer-2", True, NOW + WAITS_FOR_AGREEMENT)
