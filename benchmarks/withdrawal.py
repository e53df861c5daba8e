"""How long a withdrawn case stays anywhere: `python -m benchmarks.withdrawal`.

A published case with 10 pictures and 1,000 comments is withdrawn with the patient's code. From the moment at which the
code is sent, several watchers look at once, each at one place, until nothing is left there: the answer itself, the feed
as a reader sees it, every bucket, every database, the end of every topic, and the receipt. Looking takes time too, so
every figure is an upper bound.
"""

import asyncio
import io
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from PIL import Image, ImageDraw
from pymongo import MongoClient

from benchmarks import harness
from benchmarks.harness import PASSWORD, Result, Row, own_platform
from deploy.local import Platform
from deploy.local.client import Account, Person, wait_until
from deploy.local.demo import create_member, new_totp_secret
from shared.events import EVENTS, CaseWithdrawn, Erased, partition_for

PICTURES = 10
COMMENTS = 1_000
AIM_S = 10.0


async def run() -> Result:
    """One case; the platform is started for it and idle otherwise."""
    return await asyncio.to_thread(_run)


def _run() -> Result:
    with own_platform() as platform, ExitStack() as people:
        platform.start(services=True)

        def person(name: str, role: str = "") -> Person:
            totp = new_totp_secret() if role else ""
            who = {"pseudonym": name, "profession": "physician", "specialty": "radiology"}
            who |= {"role": role} if role else {}
            account = Account(f"{name}@bench.invalid", PASSWORD, name, totp)
            create_member(platform, account.email, account.password, who, totp=totp)
            return people.enter_context(Person(platform.gateway_url)).sign_in(account)

        author, reader = person("author"), person("reader")
        case_id, code = _published(author, person("moderator", "moderator"))
        for number in range(COMMENTS):
            reader.comment(case_id, f"Answer {number}: let it be, and look again in two weeks.", "remark")
        wait_until("all comments in the feed", lambda: _comments_in_feed(platform, case_id) == COMMENTS, within_s=300)
        ids = {case_id, *_ids_of(platform, case_id)}
        found = _withdraw(platform, reader, case_id, code, ids)
    told = ("feed: a reader gets 404", "every bucket empty", "every database clean")
    worst = max(found[name] for name in told)
    return Result(
        f"Withdrawal of a case with {PICTURES} pictures and {COMMENTS:,} comments",
        f"unreachable and purged from objects and databases within {AIM_S:.0f} s",
        worst < AIM_S,
        [Row(name, seconds, "s") for name, seconds in found.items()],
        [
            "Seconds after the code was sent; each an upper bound.",
            "Compaction is not in it: see docs/privacy.md.",
        ],
    )


def _published(author: Person, moderator: Person) -> tuple[str, str]:
    case_id: str = author.create_case(title="Benchmark", specialty="radiology")["case_id"]
    for number in range(PICTURES):
        author.upload(case_id, _picture(number), kind="xray")
    author.start_redaction(case_id)
    author.preview_when_painted(case_id, within_s=600)
    author.inform(case_id)
    (signer,) = author.ask_consent(case_id)["signers"]
    code: str = author.sign(signer["link"]["url"])["withdrawal_code"]
    author.submit(case_id)
    moderator.claim_when_queued(case_id)
    for picture in moderator.review(case_id)["pictures"]:
        moderator.look_at(picture, case_id)
        moderator.decide(case_id, picture)
    moderator.approve(case_id)
    author.read_when_published(case_id)
    return case_id, code


def _picture(number: int) -> bytes:
    drawn = Image.new("L", (640, 480), 20 + number)
    ImageDraw.Draw(drawn).ellipse([120, 60, 520, 420], fill=140 + number)
    out = io.BytesIO()
    drawn.save(out, "PNG")
    return out.getvalue()


def _withdraw(platform: Platform, reader: Person, case_id: str, code: str, ids: set[str]) -> dict[str, float]:
    started = time.monotonic()
    answered: dict[str, Any] = {}

    def send() -> bool:
        answer = httpx.post(f"{platform.gateway_url}/api/ingest/withdrawals", json={"code": code}, timeout=120)
        answered.update(answer.raise_for_status().json())
        return True

    def receipt() -> dict[str, Any]:
        if not answered:
            return {"confirmed": {}, "complete": False}
        address = f"{platform.gateway_url}/api/ingest/receipts/{answered['receipt_id']}"
        found: dict[str, Any] = httpx.get(address, timeout=60).raise_for_status().json()
        return found

    looks: dict[str, Callable[[], bool]] = {
        "the answer to the patient": send,
        "feed: a reader gets 404": lambda: reader.read(case_id) is None,
        "every bucket empty": lambda: not _objects(platform, case_id),
        "every database clean": lambda: _clean(platform, case_id),
        "an order to erase at the end of every topic": lambda: asyncio.run(_ordered(platform, case_id, ids)),
        **{
            f"the receipt: reported by {name}": lambda name=name: name in receipt()["confirmed"]  # type: ignore[misc]
            for name in ("feed", "moderation", "redactor")
        },
        "the receipt is complete": lambda: bool(receipt()["complete"]),
    }

    def watch(name: str) -> float:
        wait_until(name, looks[name], within_s=300, every_s=0.02)
        return time.monotonic() - started

    with ThreadPoolExecutor(len(looks)) as pool:
        return dict(zip(looks, pool.map(watch, looks), strict=True))


def _objects(platform: Platform, case_id: str) -> bool:
    """Whether any bucket but that of the sealed proofs holds something of the case."""
    store = platform.admin_s3()
    names = [bucket.name for bucket in store.list_buckets() if bucket.name != "proofs"]
    return any(next(iter(store.list_objects(name, prefix=f"{case_id}/", recursive=True)), None) for name in names)


def _comments_in_feed(platform: Platform, case_id: str) -> int:
    with MongoClient[dict[str, Any]](platform.admin_mongo_uri) as mongo:
        pointer = mongo["feed"]["builds"].find_one({"_id": "pointer"}) or {}
        return mongo["feed"][f"comments_b{pointer['live']}"].count_documents({"case_id": case_id})


def _ids_of(platform: Platform, case_id: str) -> list[str]:
    """The ids of pictures and comments, which are keys of topics."""
    with MongoClient[dict[str, Any]](platform.admin_mongo_uri) as mongo:
        case = mongo["ingest"]["cases"].find_one({"_id": case_id}) or {}
        comments = [found["_id"] for found in mongo["ingest"]["comments"].find({"case_id": case_id}, {"_id": 1})]
        return comments + [picture["picture_id"] for picture in case["pictures"]]


def _clean(platform: Platform, case_id: str) -> bool:
    """Whether no database holds a word of the case: stubs and ledger lines are all that stays."""
    with MongoClient[dict[str, Any]](platform.admin_mongo_uri) as mongo:
        case = mongo["ingest"]["cases"].find_one({"_id": case_id}) or {}
        review = mongo["moderation"]["reviews"].find_one({"_id": case_id}) or {}
        pointer = mongo["feed"]["builds"].find_one({"_id": "pointer"}) or {}
        shown = mongo["feed"][f"cases_b{pointer['live']}"].find_one({"_id": case_id}) or {}
        states = (case.get("state"), review.get("state"), shown.get("standing"))
        left = mongo["ingest"]["comments"].count_documents({"case_id": case_id}, limit=1)
        return states == ("withdrawn",) * 3 and not left and not _comments_in_feed(platform, case_id)


async def _ordered(platform: Platform, case_id: str, ids: set[str]) -> bool:
    """Whether the last record of each key of the case is a tombstone, in every topic but the ledger and the reports."""
    last: dict[tuple[str, str], bool] = {}
    consumer = AIOKafkaConsumer(**platform.admin_kafka(), enable_auto_commit=False, client_id=uuid.uuid4().hex)
    await consumer.start()
    try:
        erased = [event for event in EVENTS if event is not CaseWithdrawn and not issubclass(event, Erased)]
        places = [TopicPartition(event.topic, partition_for(case_id)) for event in erased]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for place, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    if (key := record.key.decode()) in ids:
                        last[place.topic, key] = record.value is None
    finally:
        await consumer.stop()
    return bool(last) and all(last.values())


if __name__ == "__main__":
    harness.main(run)
