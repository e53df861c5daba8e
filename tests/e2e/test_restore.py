"""A database comes back out of an old backup: what was withdrawn since is not shown for a moment."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from deploy.local import Platform
from deploy.local.client import Person, wait_until
from tests.e2e.conftest import MakePerson, published

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
        for collection in {*backup, *db.list_collection_names()}:
            db[collection].delete_many({})
            if backup.get(collection):
                db[collection].insert_many(backup[collection])


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


def names_of(stack: Platform, bucket: str, case_id: str) -> list[str]:
    listed = stack.admin_s3().list_objects(bucket, prefix=f"{case_id}/", recursive=True)
    return [one.object_name or "" for one in listed]


def objects_of(stack: Platform, bucket: str, case_id: str) -> dict[str, bytes]:
    """With their bytes: only while nobody erases them."""
    store = stack.admin_s3()
    return {name: store.get_object(bucket, name).data for name in names_of(stack, bucket, case_id)}


def test_ingest_withdraws_again_what_an_old_backup_brings_back(
    stack: Platform, author: Person, moderator: Person, colleague: Person, radiograph: bytes
) -> None:
    """Database and buckets come back together, as they were before the withdrawal."""
    case_id = published(author, moderator, radiograph, title="Restored ingest")
    colleague.comment(case_id, "Restored as well.")
    backup = backed_up(stack, "ingest")
    buckets = {bucket: objects_of(stack, bucket, case_id) for bucket in ("cases-raw", "texts", "cases-redacted")}
    assert all(buckets.values())

    author.withdraw(case_id)
    wait_until("the withdrawal has arrived", lambda: author.read(case_id) is None)
    wait_until("the objects to go", lambda: not any(names_of(stack, bucket, case_id) for bucket in buckets))
    stack.stop_service("ingest")
    put_back(stack, "ingest", backup)
    for bucket, objects in buckets.items():
        for name, data in objects.items():
            stack.admin_s3().put_object(bucket, name, io.BytesIO(data), len(data))
    stack.start_service("ingest", wait=False)

    heard = answers_until_200(author, "ingest", f"/cases/{case_id}", "/cases")
    heard.append(author.raw("GET", "ingest", f"/cases/{case_id}"))
    assert "Restored" not in "".join(answer.text for answer in heard)
    assert {answer.status_code for answer in heard} <= {410, 502, 503}
    assert heard[-1].status_code == httpx.codes.GONE
    # The redactor is told again, and so erases what came back with its bucket; the receipt gets new reports.
    wait_until("what came back to be erased", lambda: not any(names_of(stack, name, case_id) for name in buckets))

    def reported() -> bool:
        with database(stack, "ingest") as db:
            receipt = db["withdrawals"].find_one({"_id": case_id}) or {"confirmed": {}}
            return {"feed", "moderation", "redactor"} <= set(receipt["confirmed"])

    wait_until("all to report again", reported)
    with database(stack, "ingest") as db:
        assert db["comments"].count_documents({"case_id": case_id}) == 0
    stack.wait_ready("ingest")

    # Where only the redactor's bucket was restored nobody tells it, and it has no database: a command does it.
    for name, data in buckets["cases-redacted"].items():
        stack.admin_s3().put_object("cases-redacted", name, io.BytesIO(data), len(data))
    kept = published(author, moderator, radiograph, title="Kept")
    done = subprocess.run(
        [sys.executable, "-m", "services.redactor", "apply-ledger"],
        env=os.environ | stack.service_env("redactor"),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "painted pictures of 1 of these cases were erased" in done.stdout
    assert not objects_of(stack, "cases-redacted", case_id)
    assert objects_of(stack, "cases-redacted", kept)


def test_a_member_who_left_does_not_come_back_with_an_old_backup(stack: Platform, make_person: MakePerson) -> None:
    """Nothing but probes is answered before the log was asked who has left."""
    stack.stop_service("identity")
    stack.start_service("identity", IDENTITY_LEAVING_GRACE_S="0", IDENTITY_LEAVING_EVERY_S="0.5")
    leaver, stays = make_person(), make_person()
    member_id, address = leaver.member["member_id"], f"{leaver.member['pseudonym']}@test.invalid"
    backup = backed_up(stack, "identity")

    leaver.call("POST", "identity", "/me/deletion", {"contributions": "kept"})
    with database(stack, "identity") as db:
        wait_until("the account to go", lambda: db["accounts"].find_one({"_id": member_id}) is None)
        wait_until("the bus to hear of it", lambda: db["outbox"].count_documents({"key": member_id}) == 0)
    stack.stop_service("identity")
    put_back(stack, "identity", backup)
    with database(stack, "identity") as db:
        assert db["accounts"].find_one({"_id": member_id})["email"] == address
    stack.start_service("identity", wait=False)

    heard = answers_until_200(stays, "identity", "/skills", "/skills")
    asked = {"email": address, "password": "correct horse battery staple"}
    assert {answer.status_code for answer in heard} <= {200, 502, 503}
    assert stays.raw("POST", "identity", "/sessions", json=asked).status_code == httpx.codes.UNAUTHORIZED
    assert stays.raw("GET", "identity", f"/members/{member_id}").status_code == httpx.codes.NOT_FOUND
    assert stays.raw("GET", "identity", "/me").status_code == httpx.codes.OK
    with database(stack, "identity") as db:
        held = {name for name in db.list_collection_names() if member_id in str(list(db[name].find({})))}
        assert held <= {"former_members", "outbox"}
    stack.wait_ready("identity")
