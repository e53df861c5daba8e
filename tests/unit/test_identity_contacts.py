"""The rules of contacts: who asked whom, and what the other side can tell."""

from datetime import UTC, datetime, timedelta

from services.identity.domain.contacts import ASK_AGAIN_AFTER, Standing, Tie, TieState, ask, cut, end, tie_id

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def asked() -> Tie:
    return ask(None, "a", "b", NOW)


def contact() -> Tie:
    return ask(asked(), "b", "a", LATER)


def refused() -> Tie:
    tie = end(asked(), "b", LATER)
    assert tie is not None
    return tie


def test_asking_back_agrees() -> None:
    assert (asked().standing("a"), asked().standing("b")) == (Standing.ASKED, Standing.RECEIVED)
    assert (contact().standing("a"), contact().standing("b")) == (Standing.CONTACT, Standing.CONTACT)
    assert contact().at == LATER


def test_asking_again_changes_nothing() -> None:
    assert ask(asked(), "a", "b", LATER) == asked()
    assert ask(contact(), "a", "b", LATER + timedelta(days=1)) == contact()


def test_a_refusal_looks_like_waiting_to_who_asked() -> None:
    assert refused().standing("a") == asked().standing("a")
    assert refused().standing("b") is None
    assert ask(refused(), "a", "b", LATER + ASK_AGAIN_AFTER - timedelta(seconds=1)) == refused()


def test_one_may_ask_again_after_a_while() -> None:
    again = ask(refused(), "a", "b", LATER + ASK_AGAIN_AFTER)
    assert again.standing("b") is Standing.RECEIVED


def test_since_when_a_request_waits_does_not_tell_what_became_of_it() -> None:
    much_later = LATER + ASK_AGAIN_AFTER
    for tie in (asked(), refused(), ask(refused(), "a", "b", LATER), ask(refused(), "a", "b", much_later)):
        assert (tie.standing("a"), tie.since("a")) == (Standing.ASKED, NOW)
    assert ask(refused(), "a", "b", much_later).since("b") == much_later
    assert contact().since("a") == contact().since("b") == LATER


def test_taking_back_and_asking_again_gets_around_no_refusal() -> None:
    for taken_back in (end(refused(), "a", LATER), cut(refused(), "a")):
        assert taken_back is not None
        assert (taken_back.standing("a"), taken_back.standing("b")) == (None, None)
        again = ask(taken_back, "a", "b", LATER + timedelta(days=1))
        assert (again.standing("a"), again.since("a")) == (Standing.ASKED, LATER + timedelta(days=1))
        assert again.standing("b") is None
        assert ask(again, "a", "b", LATER + ASK_AGAIN_AFTER).standing("b") is Standing.RECEIVED


def test_who_refused_and_thinks_better_of_it_agrees_as_if_it_had_waited() -> None:
    assert ask(refused(), "b", "a", LATER).state is TieState.CONTACT
    taken_back = end(refused(), "a", LATER)
    tie = ask(taken_back, "b", "a", LATER)
    assert (tie.state, tie.asked_by, tie.standing("a")) == (TieState.ASKED, "b", Standing.RECEIVED)


def test_ending_takes_back_or_ends_and_never_lifts_a_refusal() -> None:
    assert end(asked(), "a", LATER) is None
    assert end(contact(), "a", LATER) is None
    assert end(contact(), "b", LATER) is None
    assert end(None, "a", LATER) is None
    assert end(refused(), "b", LATER + timedelta(days=1)) == refused()


def test_a_block_ends_contacts_and_leaves_their_request_as_it_looks_to_them() -> None:
    assert cut(contact(), "b") is None
    assert cut(asked(), "a") is None
    assert cut(asked(), "b") == asked()
    assert cut(None, "a") is None


def test_the_tie_of_two_has_one_id() -> None:
    assert tie_id("a", "b") == tie_id("b", "a") == asked().id
    assert asked().other("a") == "b"
