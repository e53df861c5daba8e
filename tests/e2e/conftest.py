"""People and pictures for the journeys. The platform and the five services are real processes."""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.local import Platform
from deploy.local.client import Account, Json, Person, wait_until
from deploy.local.demo import create_member, new_totp_secret
from deploy.local.downloads import ROOT
from shared.events import STAFF_ROLES

PICTURES = Path(__file__).parents[1] / "samples" / "pictures"
MakePerson = Callable[..., Person]


@pytest.fixture(scope="session")
def make_person(stack: Platform) -> Iterator[MakePerson]:
    """Makes a member with identity's command line and signs in as one."""
    with ExitStack() as open_people:

        def make(role: str = "", *, verified: bool = True, language: str = "en", sign_in: bool = True) -> Person:
            name = f"p{uuid.uuid4().hex[:12]}"
            totp = new_totp_secret() if role in STAFF_ROLES else ""
            account = Account(f"{name}@test.invalid", "correct horse battery staple", name, totp)
            who = {"pseudonym": name, "profession": "physician", "specialty": "radiology"}
            if role:
                who["role"] = role
            create_member(stack, account.email, account.password, who, verified=verified, totp=totp)
            person = open_people.enter_context(Person(stack.gateway_url, language=language))
            return person.sign_in(account) if sign_in else person

        yield make


@pytest.fixture(scope="session")
def author(make_person: MakePerson) -> Person:
    return make_person()


@pytest.fixture(scope="session")
def colleague(make_person: MakePerson) -> Person:
    return make_person()


@pytest.fixture(scope="session")
def moderator(make_person: MakePerson) -> Person:
    return make_person("moderator")


@pytest.fixture(scope="session")
def photo() -> bytes:
    return next(PICTURES.glob("photo.*")).read_bytes()


@pytest.fixture(scope="session")
def radiograph() -> bytes:
    return next(PICTURES.glob("radiograph.*")).read_bytes()


@pytest.fixture(scope="session")
def dicom() -> bytes:
    return next(PICTURES.glob("dicom.*")).read_bytes()


def submitted(author: Person, *pictures: bytes, **fields: str) -> str:
    """A case that the author has brought as far as the moderators' queue."""
    case_id: str = author.create_case(**fields)["case_id"]
    for data in pictures:
        author.upload(case_id, data)
    author.start_redaction(case_id)
    author.preview_when_painted(case_id)
    author.consent(case_id)
    author.submit(case_id)
    return case_id


def approved(moderator: Person, case_id: str) -> Json:
    """The case after a moderator has looked at everything and approved it."""
    moderator.claim_when_queued(case_id)
    for picture in moderator.review(case_id)["pictures"]:
        moderator.look_at(picture, case_id)
        moderator.decide(case_id, picture)
    return moderator.approve(case_id)


def published(author: Person, moderator: Person, *pictures: bytes, **fields: str) -> str:
    """A case that members can read."""
    case_id = submitted(author, *pictures, **fields)
    approved(moderator, case_id)
    author.read_when_published(case_id)
    return case_id


def suspend(stack: Platform, person: Person) -> None:
    """Suspend a signed-in member with identity's command line; return when the three services know."""
    subprocess.run(
        [sys.executable, "-m", "services.identity", "suspend", person.member["member_id"], "--reason", "test"],
        env=dict(stack.service_env("identity")) | {"PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for service, path in (("ingest", "/cases"), ("moderation", "/queue"), ("feed", "/cases")):
        wait_until(
            f"{service} to refuse",
            lambda service=service, path=path: (  # type: ignore[misc]
                person.raw("GET", service, path).json().get("type", "").endswith("account-suspended")
            ),
            within_s=15,
        )
