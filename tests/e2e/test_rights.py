"""The table of rights, walked: every route of every service as every kind of account, at the gateway."""

import re
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from deploy.local import Platform
from deploy.local.client import Account, Json, Person
from deploy.local.demo import create_member, new_totp_secret
from docs.rights import rights
from shared.events import STAFF_ROLES, MemberStatus, Role
from shared.rights import CALLERS, Access, Caller, Right
from tests.e2e.conftest import suspend

pytestmark = pytest.mark.platform

OPEN_TO_ALL = {
    "identity": {
        # Coming in.
        "POST /registrations",
        "POST /registrations/confirmation",
        "POST /sessions",
        "POST /sessions/passkey",
        "POST /sessions/passkey/options",
        "POST /sessions/refresh",
        "POST /sessions/second-factor",
        "POST /sessions/second-factor/passkey-options",
        "POST /password-resets",
        "POST /password-resets/confirmation",
        "GET /confirm-address",
        "POST /confirm-address",
        "GET /reset-password",
        "POST /reset-password",
        # The way back from Pro Santé Connect: the state and the browser's cookie are the permission.
        "GET /verifications/psc/callback",
        # Keys and words that every front end needs.
        "GET /.well-known/jwks.json",
        "GET /skills",
    },
    "ingest": {
        # Patients read and sign, and take back: a link, a code or a receipt's id is the permission.
        "GET /consent-texts",
        "GET /consent-leaflets/{language}",
        "GET /consent/{token}",
        "POST /consent/{token}",
        "GET /consent/{token}/form",
        "GET /consent/{token}/request",
        "GET /consent/{token}/pictures/{picture_id}/{frame}/{size}",
        "POST /consent/{token}/signature",
        "POST /consent/{token}/refusal",
        "POST /consent/receipt",
        "GET /withdrawal",
        "POST /withdrawal",
        "POST /withdrawals",
        "GET /withdrawal/receipts/{receipt_id}",
        "GET /receipts/{receipt_id}",
    },
    "moderation": set(),
    "feed": set(),
}
"""Written down, so that a new one is seen."""

NOT_BEHIND_THE_GATEWAY = {"/healthz", "/readyz", "/metrics", "/docs", "/docs/oauth2-redirect", "/openapi.json"}
REFUSED = {"account-unverified", "account-suspended", "professionals-only", "role-missing", "second-factor-needed"}


def walked() -> list[tuple[str, Right]]:
    """Every guarded operation; what ends a session or an account comes last."""
    found = [
        (service, right)
        for service, found in rights().items()
        for right in found
        if right.path not in NOT_BEHIND_THE_GATEWAY and right.access is not Access.OPEN
    ]
    return sorted(found, key=lambda one: ("session" in one[1].path or "deletion" in one[1].path, one[0]))


def test_what_is_open_to_everyone_is_written_down() -> None:
    for service, found in rights().items():
        found_open = {
            f"{right.method} {right.path}"
            for right in found
            if right.access is Access.OPEN and right.path not in NOT_BEHIND_THE_GATEWAY
        }
        assert found_open == OPEN_TO_ALL[service]


@pytest.fixture(scope="module")
def cast(stack: Platform) -> Iterator[dict[str, Person]]:
    """One person for each kind of account, signed in."""
    with ExitStack() as open_people:
        people = {}
        for caller in CALLERS:
            person = open_people.enter_context(Person(stack.gateway_url))
            if caller.status is not None:
                join(stack, person, caller)
            people[caller.name] = person
        yield people


def join(stack: Platform, person: Person, caller: Caller) -> None:
    name = f"r{uuid.uuid4().hex[:12]}"
    roles = sorted(role.value for role in caller.roles - {Role.MEMBER})
    totp = new_totp_secret() if caller.roles & STAFF_ROLES else ""
    who = {"pseudonym": name}
    if caller.profession:
        who |= {"profession": caller.profession.value}
    if roles:
        (who["role"],) = roles
    account = Account(f"{name}@test.invalid", "correct horse battery staple", name, totp)
    verified = caller.status is not MemberStatus.UNVERIFIED
    create_member(stack, account.email, account.password, who, verified=verified, totp=totp)
    person.sign_in(account)
    if caller.status is MemberStatus.SUSPENDED:
        suspend(stack, person)


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_the_table_of_rights_is_what_happens(cast: dict[str, Person], caller: Caller) -> None:
    operations = walked()
    assert len(operations) > 60
    wrong = []
    for service, right in operations:
        path = re.sub(r"\{[^}]+\}", "1", right.path)
        body: Json | None = {} if right.method in ("POST", "PUT", "PATCH") else None
        answer = cast[caller.name].raw(right.method, service, path, json=body)
        if caller.may(right.access) != let_in(answer):
            wrong.append(f"{right.method} {service}{right.path}: {answer.status_code} {answer.text[:120]}")
    assert not wrong


def let_in(answer: httpx.Response) -> bool:
    """Whether the caller came past the door: any answer but a refusal of who they are, which must say why."""
    if answer.status_code not in (401, 403):
        return True
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["detail"]
    return answer.status_code == 403 and problem["type"].removeprefix("urn:consilium:problem:") not in REFUSED
