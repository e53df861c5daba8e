"""One Kafka broker (KRaft, its own controller) that lets nobody in without a password or a right."""

import contextlib
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.local import parts
from deploy.local.credentials import write_private
from deploy.local.ports import HOST, listening
from deploy.local.processes import PlatformError
from deploy.local.provision import ADMIN

CLUSTER_ID = "Q29uc2lsaXVtTG9jYWwwMQ"  # 22 characters of base64: "ConsiliumLocal01"
# Small on purpose: one broker on a developer's machine, few clients, little data.
HEAP_MB = 384
_JVM = (
    f"-Xmx{HEAP_MB}m",
    f"-Xms{HEAP_MB // 3}m",
    "-XX:+UseSerialGC",  # half the overhead of G1 at this size
    "-XX:MaxMetaspaceSize=160m",
    "-XX:ReservedCodeCacheSize=64m",
    "-XX:TieredStopAtLevel=1",  # starts several seconds sooner; the broker is never the slow part here
    "-Xshare:auto",
    "-Djava.awt.headless=true",
)
_SILENT = logging.Logger("kafka-not-up-yet", level=logging.CRITICAL + 1)  # refused connections are no news here
_LOG4J = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
logger.cleaner.name = org.apache.kafka.storage.internals.log.LogCleaner
logger.cleaner.level = info
"""


def broker_properties(data: Path, ports: Mapping[str, int], password: str) -> str:
    """server.properties: SCRAM for clients, PLAIN between broker and controller, everything denied but to `admin`."""
    scram = (
        f'org.apache.kafka.common.security.scram.ScramLoginModule required username="{ADMIN}" password="{password}";'
    )
    plain = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'username="{ADMIN}" password="{password}" user_{ADMIN}="{password}";'
    )
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{ports['kafka-controller']}",
        "listeners": f"CLIENTS://{HOST}:{ports['kafka']},CONTROLLER://{HOST}:{ports['kafka-controller']}",
        "advertised.listeners": f"CLIENTS://{HOST}:{ports['kafka']}",
        "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENTS",
        "sasl.enabled.mechanisms": "SCRAM-SHA-256",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-256",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.clients.scram-sha-256.sasl.jaas.config": scram,
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.controller.plain.sasl.jaas.config": plain,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:{ADMIN}",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "log.cleaner.threads": "1",
        "log.cleaner.dedupe.buffer.size": "8388608",  # the default, 128 MB, would be a third of the heap
        "log.cleaner.io.buffer.size": "262144",
        "log.cleaner.backoff.ms": "1000",
        "log.index.size.max.bytes": "1048576",
        "log.message.timestamp.before.max.ms": "9223372036854775807",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "num.recovery.threads.per.data.dir": "2",
        "background.threads": "4",
        "queued.max.requests": "100",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


class Kafka:
    """The broker of one data folder."""

    def __init__(self, folder: Path, ports: Mapping[str, int], password: str) -> None:
        self.folder = folder
        self.ports = ports
        self._password = password
        self._java = parts.java()

    def prepare(self) -> list[str]:
        """Write the configuration, format the storage the first time, and return the broker's command."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        properties, log4j = self.folder / "server.properties", self.folder / "log4j2.properties"
        data = self.folder / "data"
        write_private(properties, broker_properties(data, self.ports, self._password))
        log4j.write_text(_LOG4J)
        if not data.exists():
            self._format(data, log4j)
        return [str(self._java), self._arguments("broker.args", log4j, "kafka.Kafka", str(properties))]

    def environment(self) -> dict[str, str]:
        """What the JVM gets to see: nothing that could change its behaviour from outside."""
        return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}

    def ready(self) -> bool:
        """Whether the broker answers its administrator."""
        return listening(self.ports["kafka"]) and answers(self.admin())

    def admin(self) -> dict[str, Any]:
        """confluent-kafka settings of the administrator."""
        return {
            "bootstrap.servers": f"{HOST}:{self.ports['kafka']}",
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-256",
            "sasl.username": ADMIN,
            "sasl.password": self._password,
        }

    def _format(self, data: Path, log4j: Path) -> None:
        """Make the storage, with the administrator in it, under a passing name: a half-made one never counts."""
        for abandoned in self.folder.glob("format-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(prefix="format-", dir=self.folder))
        properties = draft / "server.properties"
        write_private(properties, broker_properties(draft / "data", self.ports, self._password))
        arguments = self._arguments(
            str(draft / "format.args"), log4j, "kafka.tools.StorageTool",
            "format", "--config", str(properties), "--cluster-id", CLUSTER_ID,
            "--add-scram", f"SCRAM-SHA-256=[name={ADMIN},password={self._password}]",
        )  # fmt: skip
        done = subprocess.run(
            [str(self._java), arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        if done.returncode:
            raise PlatformError(
                f"Kafka's storage could not be prepared:\n{(done.stdout + done.stderr).strip()[-1500:]}"
            )
        (draft / "data").rename(data)
        shutil.rmtree(draft)

    def _arguments(self, name: str, log4j: Path, main_class: str, *arguments: str) -> str:
        """A java argument file: keeps the class path and the password out of the process list."""
        jars = ":".join(str(jar) for jar in parts.kafka_jars())
        words = [*_JVM, f"-Dlog4j2.configurationFile={log4j}", "-cp", jars, main_class, *arguments]
        path = self.folder / name
        write_private(path, "\n".join(_quoted(word) for word in words) + "\n")
        return f"@{path}"


def answers(admin: Mapping[str, Any]) -> bool:
    """Whether the cluster answers within two seconds."""
    client = AdminClient({**admin, "log_level": 0}, logger=_SILENT)
    with contextlib.suppress(KafkaException):
        return bool(client.list_topics(timeout=2).brokers)
    return False


def _quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
