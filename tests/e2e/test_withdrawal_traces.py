"""Places in which a withdrawn text could linger unseen: dead letters, and the build that readers have left."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from pymongo import MongoClient

from deploy.local import Platform
from deploy.local.client import Person, wait_until
from shared import dead_letters
from shared.events import CaseApproved, CommentAdded, Event, partition_for
from tests.e2e.conftest import published

pytestmark = pytest.mark.platform
ROOT = Path(__file__).parents[2]


async def send_poison(stack: Platform, event: type[Event], case_id: str) -> None:
    """A message that no consumer can read, with a text in it."""
    value = json.dumps({"case_id": case_id, "text": "what the patient took back"}).encode()
    producer = AIOKafkaProducer(**stack.admin_kafka())
    await producer.start()
    try:
        await producer.send_and_wait(
            event.topic, value, key=case_id.encode(), partition=partition_for(case_id), headers=[("ce_id", b"poison")]
        )
    finally:
        await producer.stop()


def letters(stack: Platform, service: str, case_id: str) -> list[dead_letters.DeadLetter]:
    async def read() -> list[dead_letters.DeadLetter]:
        return [found async for found in dead_letters.read(service, stack.admin_kafka()) if found.mentions(case_id)]

    return asyncio.run(read())


def test_neither_dead_letters_nor_the_previous_build_keep_a_withdrawn_text(
    stack: Platform, author: Person, moderator: Person, colleague: Person, radiograph: bytes
) -> None:
    case_id = published(author, moderator, radiograph, title="Title to be taken back")
    colleague.comment(case_id, "Answer to be taken back.")
    wait_until("the comment", lambda: colleague.comments(case_id))
    for event in (CaseApproved, CommentAdded):
        asyncio.run(send_poison(stack, event, case_id))
    wait_until("the feed to put both aside", lambda: len(letters(stack, "feed", case_id)) == 2)
    subprocess.run(
        [sys.executable, "-m", "services.feed", "rebuild", "--accept-differences"],
        env=os.environ | stack.service_env("feed"),
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    with MongoClient[dict[str, object]](stack.admin_mongo_uri) as mongo:
        pointer = mongo["feed"]["builds"].find_one({"_id": "pointer"})
        assert pointer
        assert pointer["previous"] is not None

        def texts() -> list[object]:
            return [
                found
                for build in (pointer["live"], pointer["previous"])
                for kind in ("cases", "comments")
                for found in mongo["feed"][f"{kind}_b{build}"].find()
                if "to be taken back" in str(found)
            ]

        assert len(texts()) >= 4, "a case and a comment in each of two builds"
        author.withdraw(case_id)
        wait_until("both builds to forget", lambda: not texts(), within_s=30)
    wait_until("the letters to go", lambda: not letters(stack, "feed", case_id), within_s=30)
