"""A block and a departure through the real bus: what other services make of it, and what a rebuild makes of that."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from deploy.local import Platform
from deploy.local.client import Person, wait_until
from deploy.local.downloads import ROOT
from deploy.local.services import process_environment
from tests.e2e.conftest import MakePerson, approved

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def hasty(stack: Platform) -> Iterator[Platform]:
    """The stack with an identity that gives who leaves no time to think it over."""
    stack.stop_service("identity")
    stack.start_service("identity", IDENTITY_LEAVING_GRACE_S="0", IDENTITY_LEAVING_EVERY_S="0.5")
    yield stack
    stack.stop_service("identity")
    stack.start_service("identity")


def published(author: Person, moderator: Person) -> str:
    """A question about no patient, which needs neither picture nor consent."""
    case_id: str = author.create_case(kind="posology", title="Dose", body="Which dose in renal failure?")["case_id"]
    author.start_redaction(case_id)
    author.preview_when_painted(case_id)
    author.submit(case_id)
    approved(moderator, case_id)
    author.read_when_published(case_id)
    return case_id


def comment(person: Person, case_id: str) -> httpx.Response:
    said = {"kind": "remark", "text": "Look at the creatinine first."}
    return person.raw("POST", "ingest", f"/cases/{case_id}/comments", json=said)


def archive(person: Person, service: str) -> dict[str, Any]:
    answer = person.raw("GET", service, "/me/export")
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as found:
        return {name: json.loads(found.read(name)) for name in found.namelist() if name.endswith(".json")}


def rebuilt(stack: Platform) -> dict[str, Any]:
    """What a replay of the feed from offset zero reports."""
    done = subprocess.run(
        [sys.executable, "-m", "services.feed", "rebuild", "--json"],
        cwd=ROOT,
        env=process_environment(stack.service_env("feed")),
        capture_output=True,
        check=False,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_blocked_member_cannot_comment_until_unblocked(
    author: Person, moderator: Person, make_person: MakePerson
) -> None:
    blocked, case_id = make_person(), published(author, moderator)
    assert comment(blocked, case_id).status_code == 201
    author.call("PUT", "identity", f"/me/blocks/{blocked.member['member_id']}")

    def refused() -> bool:
        answer = comment(blocked, case_id)
        return answer.status_code == 403 and answer.json()["type"].endswith(":comments-closed-to-you")

    wait_until("the block to reach ingest", refused)
    author.call("DELETE", "identity", f"/me/blocks/{blocked.member['member_id']}")
    wait_until("the end of the block to reach ingest", lambda: comment(blocked, case_id).status_code == 201)


@pytest.mark.parametrize("contributions", ["kept", "erased"])
def test_who_leaves_is_gone_everywhere_and_stays_so_after_a_rebuild(
    hasty: Platform, author: Person, moderator: Person, make_person: MakePerson, contributions: str
) -> None:
    leaver = make_person()
    name, member_id = leaver.member["pseudonym"], leaver.member["member_id"]
    own, theirs = published(leaver, moderator), published(author, moderator)
    draft = leaver.create_case(title="A draft")["case_id"]
    assert comment(leaver, theirs).status_code == 201
    wait_until("the comment in the feed", lambda: author.comments(theirs))

    assert archive(leaver, "identity")["accounts.json"]["pseudonym"] == name
    cases = archive(leaver, "ingest")
    assert {f"cases/{own}/case.json", f"cases/{draft}/case.json"} <= set(cases)
    assert len(cases["comments.json"]) == 1

    leaver.call("POST", "identity", "/me/deletion", {"contributions": contributions})
    if contributions == "erased":
        wait_until("the case to leave the feed", lambda: author.read(own) is None)
        wait_until("the comment to leave the feed", lambda: not author.comments(theirs))
    else:

        def nameless() -> bool:
            cards = [(author.read(own) or {}).get("author", {}), author.comments(theirs)[0]["author"]]
            return all(card.get("left") for card in cards)

        wait_until("the name to leave the feed", nameless)
        card = author.comments(theirs)[0]["author"]
        assert {key: value for key, value in card.items() if value} == {"member_id": member_id, "left": True}
    assert name not in author.raw("GET", "feed", "/cases?limit=100").text
    assert author.raw("GET", "identity", f"/members/{member_id}").status_code == 404

    def shut_out() -> bool:
        asked = {"email": f"{name}@test.invalid", "password": "correct horse battery staple"}
        return leaver.raw("POST", "identity", "/sessions", json=asked).status_code == 401

    wait_until("the account to be gone", shut_out)
    report = rebuilt(hasty)
    assert report["equal"], report
    assert report["switched"]
    shown = author.read(own)
    assert (shown is None) is (contributions == "erased")
    assert shown is None or (shown["author"]["left"] and shown["author"]["pseudonym"] is None)
