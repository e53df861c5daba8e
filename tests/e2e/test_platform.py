"""The platform: each service reaches what is its own and is refused what is another's; data survives a restart."""

import asyncio
import io
import os
import shutil
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError, TopicAuthorizationFailedError
from confluent_kafka import Consumer, KafkaError
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from minio import Minio
from minio.commonconfig import CopySource
from minio.error import S3Error
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from deploy.local import Platform, PlatformError
from deploy.local.mongo import LONGEST_TRANSACTION_S
from deploy.local.platform import DATA
from deploy.local.provision import BUCKETS, DATABASES, LEDGERS, READ_BACK, SERVICES, s3_client, topics
from shared.events import CONSUMES, EVENTS, PARTITIONS, dead_topic

pytestmark = pytest.mark.platform
TOPICS = tuple(event.topic for event in EVENTS)
ALL_DATABASES = sorted(name for owned in DATABASES.values() for name in owned)
WITH_DATABASE = [service for service in SERVICES if DATABASES[service]]


def kafka_of(platform: Platform, service: str, **changed: str) -> dict[str, Any]:
    """aiokafka's arguments with the service's credentials."""
    variables, prefix = platform.service_env(service), service.upper()
    return {
        "bootstrap_servers": variables[f"{prefix}_KAFKA_BOOTSTRAP_SERVERS"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": variables[f"{prefix}_KAFKA_USERNAME"],
        "sasl_plain_password": variables[f"{prefix}_KAFKA_PASSWORD"],
        **changed,
    }


def readable(platform: Platform, service: str) -> set[str]:
    """The topics whose first partition the service can read, of all that exist."""
    consumer = Consumer(
        platform.admin_kafka_confluent()
        | {"sasl.username": service, "sasl.password": kafka_of(platform, service)["sasl_plain_password"]}
        | {"group.id": service, "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 0}
    )
    visible = consumer.list_topics(timeout=20).topics.keys() & topics().keys()  # a hidden topic cannot be read either
    consumer.assign([Place(topic, 0, 0) for topic in visible])
    answers: dict[str, bool] = {}
    end = time.monotonic() + 60
    while answers.keys() != visible and time.monotonic() < end:
        message = consumer.poll(1)
        topic = message.topic() if message else None
        if message is None or topic is None:
            continue
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            answers[topic] = True
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            answers[topic] = False
    consumer.close()
    assert answers.keys() == visible, "every topic answers, with a record, its end, or a refusal"
    return {topic for topic, may in answers.items() if may}


def mongo_of(platform: Platform, service: str) -> "MongoClient[dict[str, Any]]":
    variables = platform.service_env(service)
    return MongoClient(variables[f"{service.upper()}_MONGO_URI"], serverSelectionTimeoutMS=10_000)


def s3_of(platform: Platform, service: str, secret: str = "") -> Minio:
    variables, prefix = platform.service_env(service), service.upper()
    return s3_client(
        variables[f"{prefix}_S3_ENDPOINT"],
        variables[f"{prefix}_S3_ACCESS_KEY"],
        secret or variables[f"{prefix}_S3_SECRET_KEY"],
    )


class TestKafka:
    @pytest.mark.parametrize("service", SERVICES)
    async def test_a_service_may_write_what_it_emits_and_its_dead_letters_and_nothing_else(
        self, service: str, platform: Platform
    ) -> None:
        own = {event.topic for event in EVENTS if event.emitter == service}
        own |= {dead_topic(event.topic, service) for event in CONSUMES[service]}
        producer = AIOKafkaProducer(**kafka_of(platform, service), enable_idempotence=True)
        await producer.start()
        written = set()
        try:
            for topic in topics():
                try:
                    await producer.send_and_wait(topic, b"{}", key=f"rights-{uuid.uuid4()}".encode(), partition=0)
                    written.add(topic)
                except TopicAuthorizationFailedError:
                    continue
        finally:
            await producer.stop()
        assert written == own

    @pytest.mark.parametrize("service", SERVICES)
    def test_a_service_may_read_what_it_consumes_and_its_dead_letters_and_nothing_else(
        self, service: str, platform: Platform
    ) -> None:
        own = {event.topic for event in CONSUMES[service]}
        own |= {dead_topic(topic, service) for topic in own}
        own |= {LEDGERS[service]} if service in LEDGERS else set()
        own |= {event.topic for event in READ_BACK.get(service, ())}
        assert readable(platform, service) == own

    async def test_a_service_may_join_its_own_groups_only(self, platform: Platform) -> None:
        async def commit(group: str) -> None:
            place = TopicPartition("case.withdrawn", 0)
            consumer = AIOKafkaConsumer(**kafka_of(platform, "feed"), group_id=group, enable_auto_commit=False)
            await consumer.start()
            try:
                consumer.assign([place])
                await consumer.commit({place: 0})
            finally:
                await consumer.stop()

        await commit("feed-rebuild-7")
        for foreign in ("moderation", "redactor-interactive"):
            with pytest.raises(GroupAuthorizationFailedError):
                await commit(foreign)

    async def test_a_wrong_password_opens_nothing(self, platform: Platform) -> None:
        for changed in ({"sasl_plain_password": "wrong"}, {"sasl_plain_username": "nobody"}):
            client = AIOKafkaProducer(**kafka_of(platform, "feed", **changed))
            with pytest.raises(KafkaConnectionError):
                await client.start()
            await client.stop()

    def test_every_topic_is_compacted_and_has_its_partitions(self, platform: Platform) -> None:
        client = AdminClient(platform.admin_kafka_confluent())
        known = client.list_topics(timeout=10).topics
        assert {name: len(known[name].partitions) for name in topics()} == topics()
        assert {len(known[topic].partitions) for topic in TOPICS} == {PARTITIONS}
        described = client.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in topics()])
        for future in described.values():
            assert future.result(timeout=10)["cleanup.policy"].value == "compact"


class TestMongo:
    @pytest.mark.parametrize("service", WITH_DATABASE)
    def test_a_service_has_its_own_databases_and_no_other(self, service: str, platform: Platform) -> None:
        allowed = set()
        with mongo_of(platform, service) as client:
            for name in ALL_DATABASES:
                try:
                    client[name].rights.insert_one({"by": service})
                    assert client[name].rights.count_documents({"by": service}) >= 1
                    allowed.add(name)
                except OperationFailure:
                    with pytest.raises(OperationFailure):
                        client[name].rights.find_one()
            with pytest.raises(OperationFailure):
                client.admin.command("usersInfo")
        assert allowed == set(DATABASES[service])

    def test_without_a_password_nothing_can_be_read(self, platform: Platform) -> None:
        with MongoClient[dict[str, Any]](f"mongodb://{platform.addresses['mongo']}/?directConnection=true") as client:
            with pytest.raises(OperationFailure):
                client.ingest.rights.find_one()
            with pytest.raises(OperationFailure):
                client.admin.command("createUser", "intruder", pwd="x", roles=["root"])

    def test_a_transaction_left_open_by_a_killed_service_soon_ends(self, platform: Platform) -> None:
        with MongoClient[dict[str, Any]](platform.admin_mongo_uri) as client:
            limit = client.admin.command("getParameter", 1, transactionLifetimeLimitSeconds=1)
        assert limit["transactionLifetimeLimitSeconds"] == LONGEST_TRANSACTION_S
        compose = (Path(__file__).parents[2] / "docker-compose.yml").read_text()
        assert f"transactionLifetimeLimitSeconds={LONGEST_TRANSACTION_S} " in compose

    def test_transactions_over_several_collections_work(self, platform: Platform) -> None:
        with mongo_of(platform, "ingest") as client, client.start_session() as session:
            with session.start_transaction():
                client.ingest.rights.insert_one({"by": "transaction"}, session=session)
                client.ingest.rights_too.insert_one({"by": "transaction"}, session=session)
            assert client.ingest.rights_too.count_documents({"by": "transaction"}) == 1


class TestObjects:
    @pytest.mark.parametrize("service", SERVICES)
    def test_a_service_may_do_with_each_bucket_what_the_table_says(self, service: str, platform: Platform) -> None:
        key = f"rights/{service}"
        own, admin = s3_of(platform, service), platform.admin_s3()
        for bucket, users in BUCKETS.items():
            admin.put_object(bucket, "rights/there", io.BytesIO(b"x"), 1)
            acts: dict[str, Callable[[], object]] = {
                "Read": lambda bucket=bucket: own.get_object(bucket, "rights/there").read(),  # type: ignore[misc]
                "Write": lambda bucket=bucket: own.put_object(bucket, key, io.BytesIO(b"x"), 1),  # type: ignore[misc]
                "List": lambda bucket=bucket: list(own.list_objects(bucket, prefix="rights/")),  # type: ignore[misc]
            }
            found = tuple(name for name, act in acts.items() if permitted(act))
            assert set(found) == {act for act in users.get(service, ()) if ":" not in act}, bucket
            may_delete = permitted(lambda bucket=bucket: own.remove_object(bucket, key))  # type: ignore[misc]
            assert may_delete == ("Write" in users.get(service, ()))
        assert not permitted(lambda: own.make_bucket("a-bucket-of-my-own"))

    def test_ingest_reads_the_wrapped_keys_of_cases_and_no_original(self, platform: Platform) -> None:
        admin, ingest = platform.admin_s3(), s3_of(platform, "ingest")
        for key in ("case/key", "case/picture"):
            admin.put_object("cases-raw", key, io.BytesIO(b"x"), 1)
        assert ingest.get_object("cases-raw", "case/key").read() == b"x"
        copy = CopySource("cases-raw", "case/picture")
        acts: list[Callable[[], object]] = [
            lambda: ingest.get_object("cases-raw", "case/picture"),
            lambda: ingest.stat_object("cases-raw", "case/picture"),
            lambda: ingest.copy_object("texts", "stolen", copy),
        ]
        assert [permitted(act) for act in acts] == [False, False, False]
        assert s3_of(platform, "redactor").get_object("cases-raw", "case/picture").read() == b"x"

    def test_a_wrong_secret_opens_nothing(self, platform: Platform) -> None:
        with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
            s3_of(platform, "redactor", secret="wrong").get_object("cases-redacted", "rights/there")

    def test_no_object_can_be_had_past_the_identities(self, platform: Platform) -> None:
        platform.admin_s3().put_object("texts", "rights/hidden", io.BytesIO(b"x"), 1)
        for url in (
            f"{platform.addresses['s3']}/texts/rights/hidden",
            f"http://127.0.0.1:{platform.ports['s3-filer']}/buckets/texts/rights/hidden",
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(url, timeout=10)
            assert refused.value.code in (401, 403)


def permitted(act: Callable[[], object]) -> bool:
    """Whether the object store lets it happen."""
    try:
        act()
    except S3Error as refused:
        if refused.code != "AccessDenied":
            raise
        return False
    return True


@contextmanager
def own_platform(name: str) -> Iterator[Platform]:
    """A platform that a test may stop and start."""
    folder = DATA / "tests" / f"{os.getpid()}-{name}-{uuid.uuid4().hex[:6]}"
    made = Platform(folder, ports="free")
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def leave_traces(platform: Platform) -> None:
    async def produce() -> None:
        producer = AIOKafkaProducer(**kafka_of(platform, "ingest"))
        await producer.start()
        await producer.send_and_wait("case.withdrawn", b"{}", key=b"trace", partition=3)
        await producer.stop()

    asyncio.run(produce())
    with mongo_of(platform, "ingest") as client:
        client.ingest.traces.insert_one({"_id": "trace"})
    s3_of(platform, "ingest").put_object("texts", "trace", io.BytesIO(b"x"), 1)


def traces(platform: Platform) -> tuple[int, int, bytes]:
    async def last_offset() -> int:
        consumer = AIOKafkaConsumer(**kafka_of(platform, "feed"))
        await consumer.start()
        try:
            place = TopicPartition("case.withdrawn", 3)
            return int((await consumer.end_offsets([place]))[place])
        finally:
            await consumer.stop()

    with mongo_of(platform, "ingest") as client:
        documents = client.ingest.traces.count_documents({})
    return asyncio.run(last_offset()), documents, bytes(s3_of(platform, "ingest").get_object("texts", "trace").read())


def test_data_and_passwords_survive_a_restart_a_crash_and_a_change_of_ports() -> None:
    with own_platform("restart") as platform:
        platform.start()
        leave_traces(platform)
        passwords = {service: platform.service_env(service) for service in SERVICES}
        platform.stop()
        assert platform.running() == {}

        platform.start()
        assert traces(platform) == (1, 1, b"x")
        assert {service: platform.service_env(service) for service in SERVICES} == passwords
        for part in ("kafka", "mongo", "s3", "mail"):
            platform.processes.kill(part)

        (platform.data_dir / "run" / "ports.json").unlink()
        again = Platform(platform.data_dir, ports="free")
        try:
            again.start()
            assert again.ports != platform.ports
            assert traces(again) == (1, 1, b"x")
        finally:
            again.stop()


def test_a_second_platform_on_the_same_data_uses_what_runs_and_leaves_it_running(platform: Platform) -> None:
    before = platform.running()
    visitor = Platform(platform.data_dir, ports="fixed")
    visitor.start()
    assert visitor.addresses == platform.addresses
    visitor.stop()
    assert platform.running() == before


def test_a_taken_port_stops_the_start_with_a_sentence_and_leaves_nothing_behind(platform: Platform) -> None:
    with own_platform("taken") as other:
        other.data_dir.mkdir(parents=True)
        (other.data_dir / "run").mkdir()
        variables = {"KAFKA_PORT": str(platform.ports["kafka"])}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            fixed = Platform(other.data_dir, ports="fixed")
            with pytest.raises(
                PlatformError, match=rf"Port {platform.ports['kafka']} for kafka is in use by java .*KAFKA_PORT"
            ):
                fixed.start()
            assert fixed.running() == {}


def test_folders_and_files_with_secrets_are_private(platform: Platform) -> None:
    def others_may_read(path: Path) -> bool:
        return bool(path.stat().st_mode & 0o077)

    for folder in ("secrets", "kafka", "run", "logs"):
        assert not others_may_read(platform.data_dir / folder), folder
    for file in ("kafka/server.properties", "kafka/broker.args", "mongo/cluster.key", "s3/identities.json"):
        assert not others_may_read(platform.data_dir / file), file


def test_no_password_stands_in_the_process_list(platform: Platform) -> None:
    secrets = [path.read_text() for path in (platform.data_dir / "secrets").iterdir()]
    for child in platform.running().values():
        words = Path(f"/proc/{child.pid}/cmdline").read_text() + Path(f"/proc/{child.pid}/environ").read_text()
        assert not [secret for secret in secrets if secret in words], child.name
