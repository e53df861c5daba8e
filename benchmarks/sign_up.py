"""From nothing to the first answer: requests and seconds of a newcomer whom a registry knows.

Registration, the link in the letter, the registry match, the first page of the feed, the first comment: at the gateway
with every service running, the registry a stand-in on this machine. People type and read between; that is not counted.
"""

import asyncio
import statistics
import time
import uuid
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.harness import Result, Row, median_row
from deploy.local import Platform
from deploy.local.client import Account, Person, wait_until
from deploy.local.demo import create_member, new_totp_secret
from deploy.local.joining import Newcomer, admitted, join
from tests.registry_servers import KEY, Annuaire, Professional
from tests.served import served

ROUNDS = 7


async def run() -> Result:
    return await asyncio.to_thread(_run)


def _run() -> Result:
    annuaire = Annuaire()
    numbers = [f"99{number:09d}" for number in range(ROUNDS + 1)]
    annuaire.add(*(Professional(number, "DUPONT", ("ANNE",)) for number in numbers))
    with served(annuaire.app) as address:
        registry: dict[str, Any] = {
            "IDENTITY_REGISTRY_RPPS": "annuaire",
            "IDENTITY_ANNUAIRE_URL": f"{address}/fhir/v2",
            "IDENTITY_ANNUAIRE_KEY": KEY,
        }
        with harness.own_platform() as platform:
            platform.start(services=True)
            platform.stop_service("identity")
            platform.start_service("identity", **registry)
            case_id = _a_published_question(platform)
            rounds = [_joined(platform, number, case_id) for number in numbers][1:]
    seconds = [taken for taken, _, _ in rounds]
    return Result(
        "From registration to the first answer, by registry match",
        "under five minutes, people's own time left aside: under 10 seconds for the machine",
        statistics.median(seconds) < 10,
        [
            Row("requests", rounds[0][1], "", (min(r[1] for r in rounds), max(r[1] for r in rounds))),
            median_row("seconds, from the first request to the comment's answer", seconds, "s"),
            median_row("of these, until verified (the letter included)", [verified for _, _, verified in rounds], "s"),
        ],
        [f"{ROUNDS} newcomers one after another; the letter is fetched from the catcher; argon2id twice"],
    )


def _joined(platform: Platform, number: str, case_id: str) -> tuple[float, int, float]:
    """Seconds, requests, and seconds until verified."""
    name = f"n{uuid.uuid4().hex[:12]}"
    newcomer = Newcomer(
        f"{name}@test.invalid", "correct horse battery staple", name, "physician", number, "Dupont", "Anne"
    )
    with Counted(platform.gateway_url) as person:
        started = time.perf_counter()
        join(person, newcomer, Path(platform.data_dir) / "mail")
        verified = time.perf_counter() - started
        wait_until("the feed lets in", lambda: admitted(person, "feed", "/cases"))
        wait_until("ingest lets in", lambda: admitted(person, "ingest", "/cases"))
        person.comment(case_id, "Halve the dose and look again in a week.")
        return time.perf_counter() - started, person.requests, verified


class Counted(Person):
    """A person whose requests are counted; those that wait for an event count as well."""

    requests = 0

    def raw(self, *args, **named):  # type: ignore[no-untyped-def]
        self.requests += 1
        return super().raw(*args, **named)


def _a_published_question(platform: Platform) -> str:
    """A question about no patient, so that it needs neither picture nor consent."""
    with Person(platform.gateway_url) as author, Person(platform.gateway_url) as moderator:
        for person, role in ((author, ""), (moderator, "moderator")):
            name = f"a{uuid.uuid4().hex[:12]}"
            account = Account(f"{name}@test.invalid", "correct horse battery", name, new_totp_secret() if role else "")
            who = {"pseudonym": name, "profession": "physician"} | ({"role": role} if role else {})
            create_member(platform, account.email, account.password, who, totp=account.totp)
            person.sign_in(account)
        case_id: str = author.create_case(kind="posology", title="Dose", body="Which dose in renal failure?")["case_id"]
        author.start_redaction(case_id)
        author.preview_when_painted(case_id)
        author.submit(case_id)
        moderator.claim_when_queued(case_id)
        moderator.review(case_id)
        moderator.approve(case_id)
        author.read_when_published(case_id)
        return case_id


if __name__ == "__main__":
    harness.main(run)
