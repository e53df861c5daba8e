"""A database comes back out of an old backup: what was withdrawn since is not shown for a moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from deploy.local import Platform
from deploy.local.client import Person, wait_until
from tests.e2e.conftest import published

pytestmark = pytest.mark.platform
Backup = dict[str, list[dict[str, Any]]]


@contextmanager
def database(stack: Platform, name: str) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](stack.admin_mongo_uri) as client:
        yield client[name]


def backed_up(stack: Platform, name: str) -> Backup:
    with database(stack, name) as db:
        return {collection: list(db[collection].find({})) for collection in db.list_collection_names()}


def put_back(stack: Platform, name: str, backup: Backup) -> None:
    with database(stack, name) as db:
        for collection, documents in backup.items():
            db[collection].delete_many({})
            if documents:
                db[collection].insert_many(documents)


def answers_until_200(person: Person, service: str, address: str, probe: str) -> list[httpx.Response]:
    """Every answer at `address` from the first on, until the service is at work."""
    heard: list[httpx.Response] = []

    def at_work() -> bool:
        heard.append(person.raw("GET", service, address))
        return person.raw("GET", service, probe).status_code == httpx.codes.OK

    wait_until(f"{service} is at work", at_work, within_s=90, every_s=0.02)
    return heard


@pytest.mark.parametrize(
    ("service", "role", "address", "probe"),
    [
        ("feed", "colleague", "/cases/{case_id}", "/cases"),
        ("moderation", "moderator", "/cases/{case_id}/audit", "/queue"),
    ],
)
def test_a_restored_database_shows_nothing_that_was_withdrawn_since(
    stack: Platform,
    author: Person,
    moderator: Person,
    colleague: Person,
    radiograph: bytes,
    service: str,
    role: str,
    address: str,
    probe: str,
) -> None:
    case_id = published(author, moderator, radiograph, title=f"Restored {service}")
    reader = {"colleague": colleague, "moderator": moderator}[role]
    backup = backed_up(stack, service)

    author.withdraw(case_id)
    wait_until("the withdrawal has arrived", lambda: author.read(case_id) is None)
    stack.stop_service(service)
    put_back(stack, service, backup)
    stack.start_service(service, wait=False)

    heard = answers_until_200(reader, service, address.format(case_id=case_id), probe)
    heard.append(reader.raw("GET", service, address.format(case_id=case_id)))
    assert "Restored" not in "".join(answer.text for answer in heard)
    if service == "feed":
        assert {answer.status_code for answer in heard} <= {404, 502, 503}
        assert heard[-1].status_code == httpx.codes.NOT_FOUND
    else:
        assert heard[-1].json()["items"][-1]["act"] == "withdrawn"
    stack.wait_ready(service)
