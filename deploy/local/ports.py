"""Which part listens where. All on the loopback interface."""

import contextlib
import json
import os
import random
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from deploy.local.processes import PlatformError

HOST = "127.0.0.1"
PortMode = Literal["fixed", "free"]

# Part -> (the port that people expect, the variable that changes it)
FIXED: dict[str, tuple[int, str]] = {
    "gateway": (8080, "GATEWAY_PORT"),
    "identity": (8101, "IDENTITY_PORT"),
    "ingest": (8102, "INGEST_PORT"),
    "moderation": (8103, "MODERATION_PORT"),
    "feed": (8104, "FEED_PORT"),
    "redactor": (8105, "REDACTOR_PORT"),
    "mail": (1025, "MAIL_PORT"),
    "kafka": (9092, "KAFKA_PORT"),
    "kafka-controller": (9093, "KAFKA_CONTROLLER_PORT"),
    "mongo": (27017, "MONGO_PORT"),
    "s3": (8333, "S3_PORT"),
    "s3-grpc": (18333, "S3_GRPC_PORT"),
    "s3-master": (9333, "S3_MASTER_PORT"),
    "s3-master-grpc": (19333, "S3_MASTER_GRPC_PORT"),
    "s3-volume": (9340, "S3_VOLUME_PORT"),
    "s3-volume-grpc": (19340, "S3_VOLUME_GRPC_PORT"),
    "s3-filer": (8888, "S3_FILER_PORT"),
    "s3-filer-grpc": (18888, "S3_FILER_GRPC_PORT"),
}


def choose(mode: PortMode, memory: Path, environment: Mapping[str, str] | None = None) -> dict[str, int]:
    """The port of every part.

    `fixed`: the numbers above, unless a variable says otherwise. `free`: numbers that nobody uses; they are kept in
    the file `memory`, so that a restart on the same data finds its old ports while they are still free.
    """
    if mode == "fixed":
        environment = os.environ if environment is None else environment
        return {part: _number(variable, environment, port) for part, (port, variable) in FIXED.items()}
    if memory.exists():
        kept: dict[str, int] = json.loads(memory.read_text())
        if kept.keys() == FIXED.keys() and all(is_free(port) for port in kept.values()):
            return kept
    ports = dict(zip(FIXED, free_ports(len(FIXED)), strict=True))
    memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    memory.write_text(json.dumps(ports))
    return ports


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on, below the range that outgoing connections take theirs from."""
    lowest_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    first = max(10_240, lowest_ephemeral - 12_000)
    start = random.randrange(first, lowest_ephemeral - 1_000)  # noqa: S311 - two runs at once should not meet
    found = [port for port in range(start, lowest_ephemeral) if is_free(port)][:count]
    if len(found) < count:
        raise PlatformError(
            f"No {count} free ports between {start} and {lowest_ephemeral}; stop something and try again."
        )
    return found


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def listening(port: int) -> bool:
    """Whether something accepts connections on `port`."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0


def require_free(ports: Mapping[str, int], parts: Iterable[str]) -> None:
    """Raise PlatformError, naming port, holder and variable, if one of the parts' ports is taken."""
    for part in parts:
        port, variable = ports[part], FIXED[part][1]
        if not is_free(port):
            raise PlatformError(
                f"Port {port} for {part} is in use by {holder(port)}: stop that, or set {variable} to another port."
            )


def holder(port: int) -> str:
    """Who listens on `port`, as well as this user may know: "caddy (process 4711)" or "another process"."""
    inodes = {
        fields[9]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        if Path(table).exists()
        for fields in (line.split() for line in Path(table).read_text().splitlines()[1:])
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port
    }
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    target = os.readlink(descriptor)
                    if target.startswith("socket:[") and target[8:-1] in inodes:
                        return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return "another process"


def _number(variable: str, environment: Mapping[str, str], default: int) -> int:
    text = environment.get(variable, "")
    if not text:
        return default
    if not text.isdigit() or not 0 < int(text) < 65_536:
        raise PlatformError(f"{variable} must be a port number from 1 to 65535, not {text!r}.")
    return int(text)
