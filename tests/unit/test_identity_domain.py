"""The rules of accounts."""

from datetime import UTC, datetime

import pytest

from services.identity.domain.account import (
    REGISTRY_INACTIVE,
    Account,
    EmailMalformed,
    MoveRefused,
    PasswordTooWeak,
    PseudonymMalformed,
    RolesRefused,
    check_password,
    check_roles,
    normalise_email,
    normalise_pseudonym,
    pseudonym_key,
)
from services.identity.domain.brakes import sign_in_brakes
from shared.events import MemberStatus, Profession, Role
from shared.networks import network_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def account() -> Account:
    return Account.register(
        email="A.Martin@Hopital.example",
        password_hash="h",
        pseudonym="Dr  Ambroise",
        profession=Profession.NURSE,
        now=NOW,
    )


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" A.Martin@Hopital.EXAMPLE ", "a.martin@hopital.example"),
        ("jos\u0065\u0301@example.org", "josé@example.org"),
        ("a@hôpital.fr", "a@xn--hpital-ixa.fr"),
        ("a+b_c@x.co", "a+b_c@x.co"),
    ],
)
def test_an_address_has_one_spelling(typed: str, kept: str) -> None:
    assert normalise_email(typed) == kept
    assert normalise_email(kept) == kept


@pytest.mark.parametrize(
    "typed",
    [
        *("", "a", "a@", "@b.fr", "a@b", "a b@c.fr", "a@b@c.fr", "a@-b.fr", "a@b..fr", "a@b.fr\n.x", "<a@b.fr>"),
        *("a,b@c.fr", "a@1.2.3.4", "a\u202e@b.fr .", "a@" + "b" * 300 + ".fr"),
    ],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(EmailMalformed):
        normalise_email(typed)


def test_pseudonyms_that_a_reader_would_confuse_have_one_key() -> None:
    assert normalise_pseudonym("  Dr   Élodie ") == "Dr Élodie"
    assert pseudonym_key("Dr Élodie") == pseudonym_key("dr.elodie") == pseudonym_key("DR-ELODIE")


@pytest.mark.parametrize("typed", ["ab", "a" * 41, "<b>Bob</b>", "Bob\u202eevil", "$where", "   ", "a@b.fr"])
def test_what_is_no_pseudonym_is_refused(typed: str) -> None:
    with pytest.raises(PseudonymMalformed):
        normalise_pseudonym(typed)


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("elevenchars", "short"),
        ("x" * 129, "long"),
        ("ababababababab", "repetitive"),
        ("my-A.Martin-secret", "personal"),
        ("Ambroise!2026 ok", "personal"),
        ("consilium-2026", "personal"),
        ("password1234", "guessable"),
        ("qwertyuiop123", "guessable"),
        ("motdepasse123", "guessable"),
        ("iloveyou12345", "guessable"),
        ("123456789012", "guessable"),
    ],
)
def test_a_weak_password_is_refused_with_its_reason(password: str, reason: str) -> None:
    with pytest.raises(PasswordTooWeak, match=r"\.$") as refusal:
        check_password(password, email="a.martin@hopital.example", pseudonym="Ambroise")
    assert refusal.value.code == reason


@pytest.mark.parametrize("password", ["correct horse battery", "é" * 4 + "ùàçñ ïô öü", "1234567890 zebra"])
def test_length_is_enough_and_any_character_counts(password: str) -> None:
    check_password(password, email="a.martin@hopital.example", pseudonym="Ambroise")
    with pytest.raises(PasswordTooWeak) as refusal:
        check_password(password[:11], email="a.martin@hopital.example", pseudonym="Ambroise")
    assert refusal.value.code == "short"


def test_a_new_account_is_unverified_and_a_member() -> None:
    new = account()
    assert new.status is MemberStatus.UNVERIFIED
    assert new.roles == {Role.MEMBER}
    assert new.version == 1
    assert new.email == "a.martin@hopital.example"
    assert new.pseudonym == "Dr Ambroise"
    assert account().member_id != new.member_id


def test_every_move_makes_the_next_version() -> None:
    moved = account().verify(NOW, "rpps").suspend("left the hospital").reinstate()
    assert moved.version == 4
    assert moved.status is MemberStatus.VERIFIED
    assert moved.suspended_for is None
    assert moved.registry == "rpps"


def test_reinstating_gives_back_no_more_than_there_was() -> None:
    assert account().suspend("spam").reinstate().status is MemberStatus.UNVERIFIED


@pytest.mark.parametrize(
    "move",
    [
        lambda a: a.verify(NOW).verify(NOW),
        lambda a: a.suspend("spam").verify(NOW),
        lambda a: a.suspend("spam").suspend("spam"),
        lambda a: a.suspend("  "),
        lambda a: a.reinstate(),
        lambda a: a.verify(NOW).reinstate(),
    ],
    ids=["verify-twice", "verify-suspended", "suspend-twice", "no-reason", "reinstate-new", "reinstate-verified"],
)
def test_a_move_that_the_status_does_not_allow_is_refused(move: object) -> None:
    with pytest.raises(MoveRefused, match=r"\.$"):
        move(account())  # type: ignore[operator]


def test_the_event_tells_the_public_state_and_nothing_else() -> None:
    told = account().verify(NOW, "rpps").suspend("drug theft").changed()
    text = told.to_json().decode()
    assert told.version == 3
    assert told.status is MemberStatus.SUSPENDED
    for secret in ("martin", "hopital", "drug", "password"):
        assert secret not in text.lower()


def test_claims_say_who_for_whom_and_for_how_long() -> None:
    claims = account().claims(issuer="i", audience="a", now=NOW, ttl_s=600)
    assert claims["exp"] - claims["iat"] == 600
    assert (claims["iss"], claims["aud"]) == ("i", "a")
    assert claims["jti"] != account().claims(issuer="i", audience="a", now=NOW, ttl_s=600)["jti"]
    assert "martin" not in str(claims)


def test_brakes_keep_no_address_and_tell_callers_apart_by_network() -> None:
    keys = str(sign_in_brakes("a.martin@hopital.example", "10.0.0.7"))
    assert "martin" not in keys
    assert network_of("2001:db8::1") == network_of("2001:db8::2") != network_of("2001:db8:0:1::1")
    assert network_of("::ffff:10.0.0.7") == "10.0.0.7"
    assert network_of("testclient") == "unknown"


@pytest.mark.parametrize(
    ("profession", "roles"),
    [
        (None, set()),
        (None, {Role.MODERATOR}),
        (None, {Role.MEMBER}),
        (Profession.STUDENT, {Role.MODERATOR}),
        (Profession.STUDENT, {Role.CREDENTIAL_REVIEWER}),
        (Profession.NURSE, {Role.PATIENT}),
        (None, {Role.PATIENT, Role.PRIVACY_OFFICER}),
    ],
)
def test_roles_that_do_not_go_together_are_refused(profession: Profession | None, roles: set[Role]) -> None:
    with pytest.raises(RolesRefused):
        check_roles(profession, frozenset(roles))


@pytest.mark.parametrize("role", [Role.PATIENT, Role.RELATIVE, Role.PRIVACY_OFFICER])
def test_who_has_no_profession_is_no_member(role: Role) -> None:
    made = Account.register(
        email="a@b.example", password_hash="h", pseudonym="Saule", profession=None, now=NOW, roles=frozenset({role})
    )
    assert made.roles == {role}
    assert made.claims(issuer="i", audience="a", now=NOW, ttl_s=60)["profession"] is None


def test_a_persons_suspension_takes_the_place_of_a_registrys_and_not_the_other_way_round() -> None:
    by_registry = account().verify(NOW).suspend(REGISTRY_INACTIVE)
    by_person = by_registry.suspend("misconduct")
    assert by_person.suspended_for == "misconduct"
    for again in ("misconduct", REGISTRY_INACTIVE):
        with pytest.raises(MoveRefused):
            by_person.suspend(again)
