"""A civil name stays in identity: it is in no event, in no document of another service, and in no line of any log."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from pymongo import MongoClient

from deploy.local import Platform
from deploy.local.client import Person, wait_until
from deploy.local.joining import Newcomer, admitted, join
from deploy.local.provision import topics
from shared.events import EVENTS
from tests.e2e.conftest import approved
from tests.registry_servers import KEY, Annuaire, Professional
from tests.served import served

pytestmark = pytest.mark.platform

FAMILY, GIVEN, NUMBER = "Quennevillard", "Philippine", "99900000011"
SECRETS = (FAMILY, FAMILY.upper(), GIVEN, GIVEN.upper(), NUMBER)


@pytest.fixture(scope="module")
def doctor(stack: Platform) -> Iterator[Person]:
    """Somebody whom a registry knows by name, verified by it."""
    annuaire = Annuaire()
    annuaire.add(Professional(NUMBER, FAMILY.upper(), (GIVEN.upper(),)))
    with served(annuaire.app) as address, Person(stack.gateway_url) as person:
        stack.stop_service("identity")
        stack.start_service(
            "identity",
            IDENTITY_REGISTRY_RPPS="annuaire",
            IDENTITY_ANNUAIRE_URL=f"{address}/fhir/v2",
            IDENTITY_ANNUAIRE_KEY=KEY,
        )
        name = f"Saule {uuid.uuid4().hex[:8]}"
        newcomer = Newcomer(
            f"{uuid.uuid4().hex}@test.invalid", "correct horse battery staple", name, "physician", NUMBER, FAMILY, GIVEN
        )
        join(person, newcomer, stack.data_dir / "mail")
        for service in ("ingest", "feed"):
            wait_until(f"{service} to let in", lambda s=service: admitted(person, s, "/cases"))  # type: ignore[misc]
        yield person
        stack.stop_service("identity")
        stack.start_service("identity")


async def events_of(stack: Platform) -> dict[str, bytes]:
    """Everything in every topic, dead letters included, keys and headers too."""
    found: dict[str, bytes] = {}
    consumer = AIOKafkaConsumer(**stack.admin_kafka(), enable_auto_commit=False)
    await consumer.start()
    try:
        for topic, partitions in topics().items():
            places = [TopicPartition(topic, number) for number in range(partitions)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            said = []
            while any([await consumer.position(place) < ends[place] for place in places]):
                for records in (await consumer.getmany(*places, timeout_ms=200)).values():
                    for record in records:
                        heads = b" ".join(value or b"" for _, value in record.headers)
                        said.append(b"\n".join((record.key or b"", heads, record.value or b"")))
            found[topic] = b"\n".join(said)
    finally:
        await consumer.stop()
    return found


def documents_of(stack: Platform, *databases: str) -> dict[str, str]:
    """Every document of these databases, as text."""
    with MongoClient[dict[str, Any]](stack.admin_mongo_uri) as client:
        return {
            f"{database}.{name}": "\n".join(str(document) for document in client[database][name].find({}))
            for database in databases
            for name in client[database].list_collection_names()
        }


def logs_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(errors="replace") for path in folder.glob("*.log")}


async def test_a_civil_name_never_leaves_identity(
    stack: Platform, doctor: Person, colleague: Person, moderator: Person, radiograph: bytes
) -> None:
    pseudonym = doctor.member["pseudonym"]
    case_id = doctor.create_case(title="Wrist", body="A fracture?")["case_id"]
    doctor.upload(case_id, radiograph)
    doctor.start_redaction(case_id)
    doctor.preview_when_painted(case_id)
    doctor.consent(case_id)
    doctor.submit(case_id)
    approved(moderator, case_id)
    doctor.read_when_published(case_id)
    comment = doctor.comment(case_id, "Compare with an earlier film.")["comment_id"]
    wait_until("the comment", lambda: colleague.comments(case_id))
    card = (colleague.read(case_id) or {})["author"]
    assert (card["pseudonym"], card["verified"], card["registry"]) == (pseudonym, True, "rpps")
    assert card["profession"] == "physician"
    assert card["checked_at"]

    events = await events_of(stack)
    assert {event.topic for event in EVENTS} <= set(events)
    assert pseudonym.encode() in events["member.changed"], "the reading sees what is there"
    assert comment.encode() in events["comment.added"]
    documents = documents_of(stack, "identity", "ingest", "moderation", "feed", "feed_private")
    assert any(pseudonym in text for name, text in documents.items() if name.startswith("feed."))
    logs = logs_of(stack.data_dir / "logs")
    assert any(doctor.member["member_id"] in text for name, text in logs.items() if "identity" in name)
    for secret in SECRETS:
        assert not [topic for topic, data in events.items() if secret.encode() in data]
        assert not [name for name, text in (documents | logs).items() if secret in text]
