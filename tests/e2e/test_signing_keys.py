"""A signing key that leaked is taken away: how long the services believe what it signed, measured on real processes."""

import subprocess
import sys
import time

import httpx
import pytest

from deploy.local import Platform
from deploy.local.client import Person, wait_until
from deploy.local.downloads import ROOT
from tests.e2e.conftest import MakePerson

pytestmark = pytest.mark.platform

DOORS = {"identity": "/me", "ingest": "/cases", "moderation": "/queue", "feed": "/cases"}
BOUND_S = 12.0
"""Identity looks at the file every second, services ask every ten, and wait a second for an answer."""
SLOW_MACHINE_S = 15.0


def signed_in(person: Person, gateway_url: str) -> str:
    """An access token of another session of theirs."""
    given = {"email": person.member["email"], "password": "correct horse battery staple"}
    answer = httpx.post(f"{gateway_url}/api/identity/sessions", json=given, trust_env=False)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def refused(gateway_url: str, service: str, token: str) -> bool:
    headers = {"authorization": f"Bearer {token}"}
    answer = httpx.get(f"{gateway_url}/api/{service}{DOORS[service]}", headers=headers, trust_env=False)
    return str(answer.json().get("type", "")).endswith("token-refused") if answer.is_error else False


def test_a_leaked_key_is_believed_by_no_service_within_seconds(
    stack: Platform, make_person: MakePerson, capsys: pytest.CaptureFixture[str]
) -> None:
    member = make_person()
    token = signed_in(member, stack.gateway_url)
    assert not [service for service in DOORS if refused(stack.gateway_url, service, token)]
    subprocess.run(
        [sys.executable, "-m", "services.identity", "rotate-keys", "--at-once"],
        env=dict(stack.service_env("identity")) | {"PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    begun = time.monotonic()
    ends: dict[str, float] = {}
    waiting = set(DOORS)

    def all_refuse() -> bool:
        for service in sorted(waiting):
            if refused(stack.gateway_url, service, token):
                ends[service] = time.monotonic() - begun
                waiting.discard(service)
        return not waiting

    wait_until("every service to refuse what the old key signed", all_refuse, within_s=BOUND_S + SLOW_MACHINE_S)
    with capsys.disabled():
        print("\nseconds from the command's end to the refusal:", {name: round(s, 1) for name, s in ends.items()})
    assert member.raw("GET", "feed", "/cases").status_code == 200, "nobody is signed out"
