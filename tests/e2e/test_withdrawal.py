"""Withdrawn is gone: from every route, every bucket, every topic, and from a rebuild."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local import Platform
from deploy.local.client import Person, wait_until
from shared.blobs import PROOFS
from shared.events import (
    EVENTS,
    CaseApproved,
    CaseRedacted,
    CaseSubmitted,
    CaseUploaded,
    CaseWithdrawn,
    Erased,
    partition_for,
)
from tests.e2e.conftest import approved, published, submitted

pytestmark = pytest.mark.platform
ROOT = Path(__file__).parents[2]
KEPT = {CaseWithdrawn.topic, *(event.topic for event in EVENTS if issubclass(event, Erased))}
"""What stays of a withdrawn case in the log: the ledger, and who has erased how much."""
COUNTS = {"cases", "comments", "objects", "letters"}


def objects_of(stack: Platform, case_id: str) -> list[str]:
    """Every object of the case, seen with the administrator's rights: in any bucket but that of the sealed forms,
    which are kept for five years more."""
    store = stack.admin_s3()
    return [
        f"{bucket.name}/{found.object_name}"
        for bucket in store.list_buckets()
        if bucket.name != PROOFS
        for found in store.list_objects(bucket.name, prefix=f"{case_id}/", recursive=True)
        if not found.is_dir
    ]


async def records_of(stack: Platform, case_id: str, ids: set[str]) -> dict[str, list[bytes | None]]:
    """Topic -> values in the log, oldest first, of records that concern the case."""
    found: dict[str, list[bytes | None]] = {}
    consumer = AIOKafkaConsumer(**stack.admin_kafka(), enable_auto_commit=False)
    await consumer.start()
    try:
        for event in EVENTS:
            place = TopicPartition(event.topic, partition_for(case_id))
            consumer.assign([place])
            await consumer.seek_to_beginning(place)
            end = (await consumer.end_offsets([place]))[place]
            while await consumer.position(place) < end:
                for record in (await consumer.getmany(place, timeout_ms=500)).get(place, []):
                    if record.key.decode() in ids:
                        found.setdefault(event.topic, []).append(record.value)
    finally:
        await consumer.stop()
    return found


def test_a_withdrawn_case_is_gone_everywhere(
    stack: Platform, author: Person, moderator: Person, colleague: Person, photo: bytes
) -> None:
    case_id = published(author, moderator, photo)
    comment_id = colleague.comment(case_id, "An answer that must go too.")["comment_id"]
    wait_until("the comment", lambda: colleague.comments(case_id))
    case = colleague.read(case_id)
    assert case
    picture_id = case["pictures"][0]["picture_id"]
    addresses = [r["url"] for f in case["pictures"][0]["frames"] for r in f["renditions"]]
    assert objects_of(stack, case_id)

    author.withdraw(case_id)

    wait_until("the case to leave the feed", lambda: colleague.read(case_id) is None, within_s=20)
    for address in addresses:
        path = address if address.startswith("/api/") else f"/api/feed{address}"
        assert colleague._http.get(path).status_code == httpx.codes.NOT_FOUND
    for service, path in [
        ("feed", f"/cases/{case_id}/comments"),
        ("moderation", f"/cases/{case_id}"),
        ("ingest", f"/cases/{case_id}/pictures/{picture_id}/frames/0/full"),
    ]:
        answer = moderator.raw("GET", service, path)
        assert answer.status_code in (403, 404, 409, 410), f"{service}{path}: {answer.status_code}"
    gone = author.raw("GET", "ingest", f"/cases/{case_id}")
    assert (gone.status_code, gone.json()["type"]) == (httpx.codes.GONE, "urn:consilium:problem:case-withdrawn")
    wait_until("the objects to be erased", lambda: not objects_of(stack, case_id), within_s=30)

    ids = {case_id, picture_id, comment_id}

    def all_tombstones() -> dict[str, list[bytes | None]] | None:
        logs = asyncio.run(records_of(stack, case_id, ids))
        last = {topic: values[-1] for topic, values in logs.items() if topic not in KEPT}
        return logs if last and all(value is None for value in last.values()) else None

    wait_until("a tombstone at the end of every topic", all_tombstones, within_s=30)
    for topic in KEPT:
        kept = wait_until(f"{topic}", lambda topic=topic: asyncio.run(records_of(stack, case_id, ids)).get(topic))  # type: ignore[misc]
        said = json.loads(kept[-1] or b"null")
        assert said.pop("case_id") == case_id
        assert set(said) <= {"version", "picture_ids", "cause", "withdrawn_at", "erased_at", *COUNTS}, "no word of it"
        assert {type(said[name]) for name in COUNTS & set(said)} <= {int}

    done = subprocess.run(
        [sys.executable, "-m", "services.feed", "rebuild"],
        env=os.environ | stack.service_env("feed"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert colleague.read(case_id) is None


@pytest.fixture
def hurried_for_this_test(stack: Platform) -> Iterator[None]:
    """What closes the log's segments, else every six hours, happens all the time; afterwards as before. Seldom enough
    for the one cleaner to come round to every partition in between.
    """
    services = ("ingest", "moderation", "redactor")
    for service in services:
        stack.stop_service(service)
        hurried: dict[str, Any] = {f"{service.upper()}_LOG_TURNOVER_S": "15"}
        stack.start_service(service, **hurried)
    yield
    for service in services:
        stack.stop_service(service)
        stack.start_service(service)


@pytest.mark.usefixtures("hurried_for_this_test")
def test_compaction_makes_the_old_records_disappear_from_a_fresh_read(
    stack: Platform, author: Person, moderator: Person, radiograph: bytes
) -> None:
    case_id = published(author, moderator, radiograph)
    kept = published(author, moderator, radiograph)
    picture_id = (author.read(case_id) or {})["pictures"][0]["picture_id"]
    spoken = {topic for topic in asyncio.run(records_of(stack, case_id, {case_id, picture_id})) if topic not in KEPT}
    assert {CaseUploaded.topic, CaseRedacted.topic, CaseSubmitted.topic, CaseApproved.topic} <= spoken
    stack.compact_soon(spoken)  # nothing of the case is in any other, and the one cleaner has less to do
    author.withdraw(case_id)
    wait_until("the objects to be erased", lambda: not objects_of(stack, case_id), within_s=30)

    def compacted() -> bool:
        logs = asyncio.run(records_of(stack, case_id, {case_id, picture_id}))
        return not [
            value for topic, values in logs.items() if topic not in KEPT for value in values if value is not None
        ]

    wait_until("the old records to disappear", compacted, within_s=180, every_s=2)
    others = asyncio.run(records_of(stack, kept, {kept}))
    assert any(value for values in others.values() for value in values), "another case's records stay"


def test_a_case_withdrawn_before_approval_never_appears(author: Person, moderator: Person, radiograph: bytes) -> None:
    case_id = submitted(author, radiograph)
    moderator.claim_when_queued(case_id)
    picture = moderator.review(case_id)["pictures"][0]
    moderator.look_at(picture, case_id)
    moderator.decide(case_id, picture)
    author.withdraw(case_id)
    answer = moderator.raw("POST", "moderation", f"/cases/{case_id}/approval")
    assert author.raw("GET", "ingest", f"/cases/{case_id}").status_code == httpx.codes.GONE
    wait_until("no trace in the feed", lambda: author.read(case_id) is None, within_s=20)
    assert answer.status_code in (200, 404, 409, 410)


def test_only_the_author_may_withdraw(author: Person, colleague: Person, moderator: Person, radiograph: bytes) -> None:
    case_id = published(author, moderator, radiograph)
    answer = colleague.raw("POST", "ingest", f"/cases/{case_id}/withdrawal")
    assert answer.status_code in (403, 404)
    assert author.read(case_id)


def test_a_patient_ends_a_published_case_with_the_code_alone_and_the_receipt_becomes_complete(
    stack: Platform, author: Person, moderator: Person, colleague: Person, radiograph: bytes
) -> None:
    case_id: str = author.create_case(title="Ended by the patient")["case_id"]
    author.upload(case_id, radiograph)
    author.start_redaction(case_id)
    author.preview_when_painted(case_id)
    author.inform(case_id)
    (signer,) = author.ask_consent(case_id)["signers"]
    code = author.sign(signer["link"]["url"])["withdrawal_code"]
    author.submit(case_id)
    approved(moderator, case_id)
    wait_until("the case in the feed", lambda: colleague.read(case_id))

    with httpx.Client(base_url=stack.gateway_url, trust_env=False, headers={"accept-language": "fr"}) as patient:
        sure = patient.post("/withdrawal", data={"code": code})
        assert sure.status_code == httpx.codes.OK, sure.text
        assert colleague.read(case_id), "nothing has happened before the second step"
        done = patient.post("/withdrawal", data={"code": code, "confirmed": "yes"})
        assert done.status_code == httpx.codes.SEE_OTHER
        assert code not in str(done.headers)
        wait_until("the case to leave the feed", lambda: colleague.read(case_id) is None, within_s=20)
        receipt = patient.get(done.headers["location"])
        assert "Reçu de retrait" in receipt.text
        receipt_id = done.headers["location"].partition("?")[0].rpartition("/")[2]
        address = f"/api/ingest/receipts/{receipt_id}"
        wait_until("everything to be confirmed", lambda: patient.get(address).json()["complete"], within_s=60)
        said = patient.get(address).json()
        assert said["cause"] == "patient"
        # The feed's count is a lower bound (docs/privacy.md): contract tests hold it where nothing interrupts.
        counted = {name: (one["cases"], one["objects"] > 0) for name, one in said["reports"].items()}
        assert counted.pop("feed") in ((0, False), (1, False))
        assert counted == {"moderation": (1, False), "redactor": (0, True)}
        again = patient.post("/api/ingest/withdrawals", json={"code": code}).json()
        assert (again["again"], again["receipt_id"]) == (True, receipt_id)
    assert objects_of(stack, case_id) == []
    said = "".join(path.read_text() for path in (stack.data_dir / "logs").glob("*"))
    for secret in (code, code.replace("-", ""), receipt_id):
        assert secret not in said, "no log line holds a code or the number of a receipt"
