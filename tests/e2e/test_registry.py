"""What a registry says reaches every service: verification, and a suspension while a session is open."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from deploy.local import Platform
from deploy.local.client import Person, wait_until
from deploy.local.downloads import ROOT
from tests.e2e.conftest import MakePerson
from tests.registry_servers import KEY, Annuaire, Professional
from tests.served import served

NUMBER = "99900000003"
DOORS = (("ingest", "/cases"), ("moderation", "/queue"), ("feed", "/cases"))


@pytest.fixture(scope="module")
def annuaire(stack: Platform) -> Iterator[Annuaire]:
    """identity with a registry of ours behind it; afterwards with none, as before."""
    made = Annuaire()
    made.add(Professional(NUMBER, "DUPONT", ("ANNE",)))
    with served(made.app) as address:
        stack.stop_service("identity")
        stack.start_service(
            "identity",
            IDENTITY_REGISTRY_RPPS="annuaire",
            IDENTITY_ANNUAIRE_URL=f"{address}/fhir/v2",
            IDENTITY_ANNUAIRE_KEY=KEY,
        )
        yield made
        stack.stop_service("identity")
        stack.start_service("identity")


def recheck(stack: Platform, member_id: str) -> dict[str, int]:
    """Ask the registry about a member out of turn, as an operator does."""
    command = [sys.executable, "-m", "services.identity", "recheck", "--member", member_id, "--json"]
    environment = {**stack.service_env("identity"), "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True)
    counts: dict[str, int] = json.loads(ended.stdout)
    return counts


def wait_for(person: Person, *kinds: str) -> None:
    """Return when every service answers this person's open session with one of these kinds of problem (or none)."""
    for service, path in DOORS:

        def answered(service: str = service, path: str = path) -> bool:
            answer = person.raw("GET", service, path)
            said = answer.json().get("type", "").rpartition(":")[2] if answer.status_code >= 400 else ""
            return said in kinds

        wait_until(f"{service} to answer {' or '.join(kinds)}", answered, within_s=15)


def test_a_registry_verifies_suspends_and_reinstates_within_an_open_session(
    stack: Platform, make_person: MakePerson, annuaire: Annuaire
) -> None:
    person = make_person(verified=False)
    wait_for(person, "account-unverified")
    form = {"registry": "rpps", "number": NUMBER, "family_name": "Dupont", "given_name": "Anne"}
    wrong = person.raw("POST", "identity", "/verifications/registry", json={**form, "given_name": "Jeanne"})
    assert (wrong.status_code, wrong.json()["type"].rpartition(":")[2]) == (422, "registry-no-match")
    answer = person.raw("POST", "identity", "/verifications/registry", json=form)
    assert answer.status_code == 200, answer.text
    wait_for(person, "", "role-missing")

    annuaire.people[NUMBER].active = False
    assert recheck(stack, person.member["member_id"]) == {"inactive": 1}
    wait_for(person, "account-suspended")
    assert person.raw("GET", "identity", "/verifications").json()["status"] == "suspended"

    annuaire.fail(503, times=20)
    command = [sys.executable, "-m", "services.identity", "recheck", "--member", person.member["member_id"]]
    environment = {**stack.service_env("identity"), "PATH": "/usr/bin:/bin"}
    away = subprocess.run(command, env=environment, cwd=ROOT, check=False, capture_output=True, text=True)
    assert (away.returncode, away.stdout.strip()) == (4, "1 away")
    annuaire.answers.clear()

    annuaire.people[NUMBER].active = True
    assert recheck(stack, person.member["member_id"]) == {"active": 1}
    wait_for(person, "", "role-missing")
    logs = "".join(path.read_text(errors="replace") for path in (stack.data_dir / "logs").glob("*.log"))
    assert "registered" in logs or "verified by registry" in logs
    for secret in (NUMBER, "Dupont", "DUPONT"):
        assert secret not in logs
