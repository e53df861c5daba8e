"""Prepare Kafka, MongoDB and the object store for the five services: topics, rights, users, buckets.

Everything comes from environment variables, secrets also from files in `SECRETS_DIR` named like them in lower case, so
that the same code serves the local platform, the Compose job and the Kubernetes Job (`python -m deploy.local
provision`): KAFKA_BOOTSTRAP_SERVERS, ADMIN_KAFKA_PASSWORD, MONGO_ADDRESS, ADMIN_MONGO_PASSWORD (or ADMIN_MONGO_URI),
S3_ENDPOINT, ADMIN_S3_SECRET_KEY, and for each service <SERVICE>_KAFKA_PASSWORD and <SERVICE>_MONGO_PASSWORD.
Running it again changes nothing, except that passwords and rights are set to what the variables and the code say.

A service gets: write on the topics it emits, read on those it consumes, its own dead-letter topics, the consumer
groups that begin with its name; its own databases; the buckets below. Nothing else exists for it.
"""

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from urllib.parse import quote

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from minio import Minio
from minio.error import MinioException, S3Error
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from deploy.local.processes import PlatformError
from shared.events import CONSUMES, EVENTS, PARTITIONS, CaseWithdrawn, CommentAdded, Event, MemberChanged, dead_topic

ADMIN = "admin"
REPLICA_SET = "rs0"
SERVICES = ("identity", "ingest", "redactor", "moderation", "feed")
DATABASES: dict[str, tuple[str, ...]] = {
    "identity": ("identity",),
    "ingest": ("ingest",),
    "redactor": (),
    "moderation": ("moderation",),
    "feed": ("feed", "feed_private"),
}
BUCKETS: dict[str, dict[str, tuple[str, ...]]] = {
    # bucket -> service -> what it may do, all objects or those that a pattern names; deleting is writing.
    # Ingest needs a case's wrapped key to add a picture; the pictures themselves only the redactor can read.
    "cases-raw": {"ingest": ("Write", "List", "Read:*/key"), "redactor": ("Read", "List")},
    "cases-redacted": {
        "redactor": ("Read", "Write", "List"),
        "ingest": ("Read", "List"),
        "moderation": ("Read", "List"),
        "feed": ("Read", "List"),
    },
    "texts": {"ingest": ("Read", "Write", "List"), "moderation": ("Read", "List")},
    "proofs": {"ingest": ("Read", "Write", "List")},
    "credentials": {"identity": ("Read", "Write", "List")},
}
LEDGERS = {"ingest": CaseWithdrawn.topic, "identity": MemberChanged.topic}
"""What services read at their start and do not consume: their own topic of what has ended for good."""
READ_BACK: dict[str, tuple[type[Event], ...]] = {"ingest": (CommentAdded,)}
"""What a service reads of its own records after a restore: `python -m services.ingest unknown-cases`."""
_WAIT_S = 30.0
_QUIET = logging.Logger("kafka-admin", level=logging.CRITICAL + 1)  # failures arrive as exceptions


class TopicOptions(BaseSettings):
    """Settings of every event topic. Production keeps the defaults; a test of erasure shortens them."""

    model_config = SettingsConfigDict(env_prefix="TOPIC_", extra="ignore", frozen=True)

    replication_factor: int = Field(default=1, ge=1)
    # A withdrawn case's records leave the log at the latest after these two together (promise 7).
    max_compaction_lag_ms: int = Field(default=12 * 3_600_000, ge=1)
    segment_ms: int = Field(default=12 * 3_600_000, ge=1)
    min_cleanable_dirty_ratio: float = Field(default=0.1, ge=0, le=1)
    delete_retention_ms: int = Field(default=7 * 24 * 3_600_000, ge=0)  # how long tombstones stay for late readers

    def config(self) -> dict[str, str]:
        """As Kafka names them."""
        return {
            "cleanup.policy": "compact",
            "max.compaction.lag.ms": str(self.max_compaction_lag_ms),
            "segment.ms": str(self.segment_ms),
            "min.cleanable.dirty.ratio": str(self.min_cleanable_dirty_ratio),
            "delete.retention.ms": str(self.delete_retention_ms),
            "max.message.bytes": str(4 * 1024 * 1024),  # as the producers; a dead letter is its message and more
        }


class ProvisionSettings(BaseSettings):
    """Where the platform is and how its administrator signs in."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    kafka_security_protocol: str = "SASL_PLAINTEXT"
    kafka_sasl_mechanism: str = "SCRAM-SHA-256"
    admin_kafka_username: str = ADMIN
    admin_kafka_password: SecretStr
    mongo_address: str = "127.0.0.1:27017"
    admin_mongo_username: str = ADMIN
    admin_mongo_password: SecretStr = SecretStr("")
    admin_mongo_uri: SecretStr = SecretStr("")  # instead of the three above, where the connection needs more
    s3_endpoint: str = "127.0.0.1:8333"
    s3_secure: bool = False
    admin_s3_access_key: str = ADMIN
    admin_s3_secret_key: SecretStr

    def kafka(self) -> dict[str, str]:
        """confluent-kafka settings of the administrator."""
        return {
            "bootstrap.servers": self.kafka_bootstrap_servers,
            "security.protocol": self.kafka_security_protocol,
            "sasl.mechanism": self.kafka_sasl_mechanism,
            "sasl.username": self.admin_kafka_username,
            "sasl.password": self.admin_kafka_password.get_secret_value(),
        }

    def mongo_uri(self) -> str:
        """Connection string of the administrator."""
        return self.admin_mongo_uri.get_secret_value() or mongo_uri(
            self.mongo_address, self.admin_mongo_username, self.admin_mongo_password.get_secret_value()
        )

    def s3(self) -> Minio:
        """The administrator's client."""
        return s3_client(
            self.s3_endpoint,
            self.admin_s3_access_key,
            self.admin_s3_secret_key.get_secret_value(),
            secure=self.s3_secure,
        )


def mongo_uri(address: str, user: str, password: str) -> str:
    """Connection string of a user of the replica set at `address` (host:port); users live in the database `admin`."""
    return f"mongodb://{quote(user)}:{quote(password)}@{address}/?replicaSet={REPLICA_SET}&authSource=admin"


def s3_client(endpoint: str, access_key: str, secret_key: str, *, secure: bool = False, timeout_s: float = 20) -> Minio:
    """An S3 client that gives up after `timeout_s` seconds instead of trying for minutes."""
    pool = PoolManager(timeout=Timeout(timeout_s), retries=Retry(2, backoff_factor=0.2))
    return Minio(
        endpoint, access_key=access_key, secret_key=secret_key, secure=secure, http_client=pool, region="us-east-1"
    )


def identities(secrets: Mapping[str, str]) -> dict[str, Any]:
    """SeaweedFS's S3 configuration: one identity a user, its name the access key, `secrets[name]` the secret key."""
    found = []
    for name, secret in secrets.items():
        rights = [
            ":".join((action, "/".join(filter(None, (bucket, pattern)))))
            for bucket, users in BUCKETS.items()
            for action, _, pattern in (act.partition(":") for act in users.get(name, ()))
        ]
        found.append(
            {
                "name": name,
                "credentials": [{"accessKey": name, "secretKey": secret}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"] if name == ADMIN else rights,
            }
        )
    return {"identities": found}


def topics() -> dict[str, int]:
    """Every topic that exists, with its number of partitions."""
    dead = {dead_topic(event.topic, service): 1 for service, events in CONSUMES.items() for event in events}
    return {event.topic: PARTITIONS for event in EVENTS} | dead


def rights(service: str) -> list[AclBinding]:
    """What Kafka lets `service` do: nothing that is not in this list."""
    topic, group = ResourceType.TOPIC, ResourceType.GROUP
    emits = [event.topic for event in EVENTS if event.emitter == service]
    consumes = [event.topic for event in CONSUMES[service]]
    dead = [dead_topic(name, service) for name in consumes]
    reads = consumes + ([LEDGERS[service]] if service in LEDGERS else [])
    reads += [event.topic for event in READ_BACK.get(service, ())]
    granted = [
        *((topic, name, AclOperation.WRITE) for name in [*emits, *dead]),
        *((topic, name, AclOperation.READ) for name in [*reads, *dead]),
        *((topic, name, AclOperation.DESCRIBE) for name in dict.fromkeys([*emits, *reads, *dead])),
    ]
    literal = [_allow(service, kind, name, ResourcePatternType.LITERAL, act) for kind, name, act in granted]
    if not reads:
        return literal
    acts = (AclOperation.READ, AclOperation.DESCRIBE, AclOperation.DELETE)
    return literal + [_allow(service, group, service, ResourcePatternType.PREFIXED, act) for act in acts]


def provision_kafka(
    admin: Mapping[str, str], passwords: Mapping[str, str], options: TopicOptions, mechanism: str = "SCRAM-SHA-256"
) -> None:
    """Create topics, users and rights; return when every partition has a leader."""
    client = AdminClient({**admin, "log_level": 0}, logger=_QUIET)
    with _named("Kafka"):
        new = [
            NewTopic(name, count, options.replication_factor, config=options.config())
            for name, count in topics().items()
        ]
        _settle(client.create_topics(new, operation_timeout=_WAIT_S), but=KafkaError.TOPIC_ALREADY_EXISTS)
        scram = getattr(ScramMechanism, mechanism.replace("-", "_"))
        _settle(
            client.alter_user_scram_credentials(
                [
                    UserScramCredentialUpsertion(service, ScramCredentialInfo(scram, 8192), secret.encode())
                    for service, secret in passwords.items()
                ]
            )
        )
        _settle(client.create_acls([binding for service in passwords for binding in rights(service)]))
        _wait_for(lambda: _led(client), "Kafka's partitions did not get their leaders")
        # The controller has the passwords and rights; the broker hears of them a little later.
        _wait_for(lambda: _all_see_their_topics(admin, passwords), "Kafka did not let the services in")


def provision_mongo(admin_uri: str, passwords: Mapping[str, str]) -> None:
    """Create one user a service, with rights on its own databases only; repeat sets password and rights."""
    with _named("MongoDB"), MongoClient[dict[str, Any]](admin_uri, serverSelectionTimeoutMS=20_000) as mongo:
        known = {user["user"] for user in mongo.admin.command("usersInfo")["users"]}
        for service, databases in DATABASES.items():
            if not databases:
                continue
            roles = [{"role": role, "db": name} for name in databases for role in ("readWrite", "dbAdmin")]
            command = "updateUser" if service in known else "createUser"
            mongo.admin.command(command, service, pwd=passwords[service], roles=roles)


def provision_s3(store: Minio) -> None:
    """Create the buckets that are missing."""
    with _named("The object store"):
        there = {bucket.name for bucket in store.list_buckets()}
        for bucket in BUCKETS.keys() - there:
            try:
                store.make_bucket(bucket)
            except S3Error as refused:
                if refused.code not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
                    raise


def provision(settings: ProvisionSettings, secret: Callable[[str], str], options: TopicOptions) -> None:
    """Prepare all three. `secret("ingest_kafka_password")` gives a service's password; Raises PlatformError."""
    kafka_passwords = {service: secret(f"{service}_kafka_password") for service in SERVICES}
    mongo_passwords = {service: secret(f"{service}_mongo_password") for service, used in DATABASES.items() if used}
    provision_mongo(settings.mongo_uri(), mongo_passwords)
    provision_s3(settings.s3())
    provision_kafka(settings.kafka(), kafka_passwords, options, settings.kafka_sasl_mechanism)


def provision_from_environment() -> None:
    """The job: everything above, with what the environment and `SECRETS_DIR` say."""
    folder = secrets_dir()
    try:
        settings = ProvisionSettings(_secrets_dir=folder if folder.is_dir() else None)
    except ValidationError as incomplete:
        missing = ", ".join(str(error["loc"][0]).upper() for error in incomplete.errors())
        raise PlatformError(f"Set {missing}, or put each into a file of that name in lower case in {folder}.") from None
    provision(settings, secret_from_environment, TopicOptions())


def secrets_dir() -> Path:
    """Where secrets may lie as files."""
    return Path(os.environ.get("SECRETS_DIR", "/run/secrets"))


def secret_from_environment(name: str) -> str:
    """The secret `name` (lower case): the variable of that name, else the file. Raises PlatformError without one."""
    file = secrets_dir() / name
    found = os.environ.get(name.upper()) or (file.read_text().strip() if file.exists() else "")
    if not found:
        raise PlatformError(f"Set {name.upper()}, or put the secret into the file {file}.")
    return found


def _allow(user: str, kind: ResourceType, name: str, pattern: ResourcePatternType, act: AclOperation) -> AclBinding:
    return AclBinding(kind, name, pattern, f"User:{user}", "*", act, AclPermissionType.ALLOW)


def _settle(futures: Mapping[Any, "Future[Any]"], but: int | None = None) -> None:
    for future in futures.values():
        try:
            future.result(timeout=_WAIT_S)
        except KafkaException as failure:
            if failure.args[0].code() != but:
                raise


def _led(client: AdminClient) -> bool:
    known = client.list_topics(timeout=10).topics
    return all(
        name in known
        and len(known[name].partitions) == count
        and all(partition.leader >= 0 for partition in known[name].partitions.values())
        for name, count in topics().items()
    )


def _all_see_their_topics(admin: Mapping[str, str], passwords: Mapping[str, str]) -> bool:
    for service, secret in passwords.items():
        user: dict[str, str | int] = {"sasl.username": service, "sasl.password": secret, "log_level": 0}
        own = {binding.name for binding in rights(service) if binding.restype == ResourceType.TOPIC}
        try:
            visible = AdminClient({**admin, **user}, logger=_QUIET).list_topics(timeout=2).topics
        except KafkaException:
            return False
        if not own <= visible.keys():
            return False
    return True


def _wait_for(condition: Callable[[], bool], complaint: str) -> None:
    end = time.monotonic() + _WAIT_S
    while not condition():
        if time.monotonic() > end:
            raise PlatformError(f"{complaint} within {_WAIT_S:.0f} s.")
        time.sleep(0.1)


@contextlib.contextmanager
def _named(part: str) -> Iterator[None]:
    try:
        yield
    except (KafkaException, PyMongoError, MinioException, HTTPError) as failure:
        raise PlatformError(f"{part} could not be prepared: {str(failure)[:400]}") from failure
    except TimeoutError as failure:
        raise PlatformError(
            f"{part} could not be prepared: no answer within {_WAIT_S:.0f} s. "
            "Check its address and the administrator's password."
        ) from failure
