"""The whole platform of one data folder: Kafka, MongoDB, object store, gateway and the five services.

    platform = Platform(Path(".data"))
    platform.start(services=True)
    ...
    platform.stop()

`PLATFORM` chooses who runs Kafka, MongoDB and the object store: `embedded` (processes of this machine, the default) or
`external` (somebody else; addresses and the administrator's credentials come from the variables that `provision`
reads). With `containers` everything runs in docker-compose.yml, services too: see `containers.py`.
"""

import json
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from minio import Minio

from deploy.local import compaction
from deploy.local import ports as port_choice
from deploy.local import services as service_processes
from deploy.local.credentials import Credentials, write_private
from deploy.local.downloads import ROOT
from deploy.local.gateway import Gateway
from deploy.local.kafka import Kafka
from deploy.local.mail_part import Mail
from deploy.local.mongo import Mongo
from deploy.local.ports import HOST, PortMode
from deploy.local.processes import Child, PlatformError, Processes, family, resident_mb, wait_until
from deploy.local.provision import ADMIN, SERVICES, ProvisionSettings, TopicOptions, provision
from deploy.local.s3 import S3
from deploy.local.services import Addresses

DATA = ROOT / ".data"
WEIGHTS = DATA / "weights"
Kind = Literal["embedded", "containers", "external"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PORTS_OF_PART = {
    "kafka": ("kafka", "kafka-controller"),
    "mongo": ("mongo",),
    "mail": ("mail",),
    "s3": tuple(name for name in port_choice.FIXED if name.startswith("s3")),
}
_PART_DEADLINE_S = 120.0
_SERVICE_DEADLINE_S = 120.0
# First open requests end, then handlers in work: up to SHUTDOWN_GRACE_S (30 s) each.
_SERVICE_GRACE_S = 65.0
_GRACE_S = {"kafka": 20.0, "mongo": 20.0, "gateway": 3.0, "mail": 3.0}
_S3_GRACE_S = 2.0  # it has shut its volumes by then, and would wait 15 s more for a connection to itself


class Part(Protocol):
    """A program of the platform that we run ourselves."""

    folder: Path

    def prepare(self) -> list[str]: ...
    def environment(self) -> dict[str, str]: ...
    def ready(self) -> bool: ...


class Platform:
    """What runs on the data in `data_dir`. Blocking calls; one thread at a time.

    `ports`: `fixed` numbers that people expect, or `free` ones (tests).
    """

    def __init__(self, data_dir: Path | str = DATA, *, ports: PortMode = "fixed") -> None:
        self.data_dir = Path(data_dir).resolve()
        self.kind = _kind_for_processes()
        self.processes = Processes(self.data_dir / "run", self.data_dir / "logs")
        # Only somebody else's platform has passwords that come from outside; ours must not change under it.
        outside: dict[str, str] | None = None if self.kind == "external" else {}
        self.credentials = Credentials(self.data_dir / "secrets", outside)
        self._mode = ports
        self._ports: dict[str, int] = {}
        self._started: list[str] = []
        self._overrides: dict[str, dict[str, str]] = {}
        self._interrupted = threading.Event()

    # --- starting and stopping -------------------------------------------------------------------------------------

    def start(self, *, services: bool = False) -> None:
        """Start what does not run yet and prepare it; with `services`, the gateway and the five services too.

        What runs already on this data is used and left alone by `stop`. Raises PlatformError in a sentence; what was
        started by this call is stopped again then.
        """
        before = list(self._started)
        try:
            with self.processes.exclusive():
                self._start_parts(also=("gateway", *SERVICES) if services else ())
                if services:
                    self._start_all_services()
        except BaseException:
            self._interrupted.set()
            self._stop([name for name in self._started if name not in before])
            raise
        finally:
            self._interrupted.clear()

    def stop(self) -> None:
        """Stop what this object started, services first; everything else goes on. Data stays."""
        self._stop(list(self._started))

    def stop_everything(self) -> list[str]:
        """Stop all that runs on this data, whoever started it. Returns the names."""
        with self.processes.exclusive():
            names = list(self.processes.running())
            self._stop(names)
            return names

    def _start_parts(self, also: Sequence[str] = ()) -> None:
        """Kafka, MongoDB and the object store, once every port is free that they or `also`, started next, need."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._choose_ports()
        parts = self._parts()
        running = self.processes.running()
        missing = [name for name in parts if name not in running]
        needed = [port for name in missing for port in PORTS_OF_PART[name]]
        port_choice.require_free(self.ports, [*needed, *(name for name in also if name not in running)])
        waits = [partial(self._wait_part, name, part) for name, part in parts.items() if name not in missing]
        self._in_parallel([*(partial(self._start_part, name, parts[name]) for name in missing), *waits])
        provision(self.provision_settings(), self.credentials.password, TopicOptions())
        self._write_addresses()

    def _start_all_services(self) -> None:
        running = self.processes.running()
        missing = [name for name in ("gateway", *SERVICES) if name not in running]
        waits = [partial(self.wait_ready, name) for name in SERVICES if name in running]
        starts = [partial(self.start_service, name) for name in missing if name != "gateway"]
        if "gateway" in missing:
            starts.append(partial(self._start_part, "gateway", Gateway(self.data_dir / "gateway", self.ports)))
        self._in_parallel([*starts, *waits])
        self._write_addresses()

    def _start_part(self, name: str, part: Part) -> Child:
        command = part.prepare()
        return self._launch(
            name,
            command,
            part.environment(),
            part.folder,
            part.ready,
            _PART_DEADLINE_S,
            _GRACE_S.get(name, _S3_GRACE_S),
        )

    def _wait_part(self, name: str, part: Part) -> None:
        """For a part that runs already: somebody may have started it only just now, and died."""
        wait_until(part.ready, _PART_DEADLINE_S, f"Becoming ready: {name}")

    def _launch(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        ready: Callable[[], bool],
        deadline_s: float,
        grace_s: float,
    ) -> Child:
        def ready_or_interrupted() -> bool:
            if self._interrupted.is_set():
                raise PlatformError(f"{name} was not needed any more.")
            return ready()

        child = self.processes.start(
            name, command, env=env, cwd=cwd, ready=ready_or_interrupted, deadline_s=deadline_s, grace_s=grace_s
        )
        self._started.append(name)
        return child

    def _in_parallel(self, tasks: Sequence[Callable[[], object]]) -> None:
        if not tasks:
            return
        with ThreadPoolExecutor(len(tasks)) as pool:
            futures = [pool.submit(task) for task in tasks]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                failure = next((future.exception() for future in done if future.exception()), None)
                if failure is not None:
                    raise failure
            except BaseException:
                self._interrupted.set()  # the others need not become ready any more
                raise

    def _stop(self, names: Sequence[str]) -> None:
        platform = [name for name in names if name in PORTS_OF_PART]
        self.processes.stop_all([name for name in reversed(names) if name not in platform])
        self.processes.stop_all(list(reversed(platform)))
        self._started = [name for name in self._started if name not in names]
        if self._ports:
            self._write_addresses()

    # --- one service ------------------------------------------------------------------------------------------------

    def start_service(self, name: str, *, wait: bool = True, **env_overrides: str) -> Child:
        """Start one service; with `wait`, return when it is ready. Overrides hold until the next `start_service`."""
        self._overrides[name] = env_overrides
        url = self.addresses[name]
        variables = self.service_env(name)
        service_processes.write_env_file(self.data_dir / "env" / f"{name}.env", variables)
        return self._launch(
            name,
            service_processes.command(name),
            service_processes.process_environment(variables),
            ROOT,
            (lambda: service_processes.ready(url)) if wait else (lambda: True),
            _SERVICE_DEADLINE_S,
            _SERVICE_GRACE_S,
        )

    def stop_service(self, name: str) -> None:
        """End the service as an orchestrator would: SIGTERM, then SIGKILL after its grace."""
        self._stop([name])

    def start_part(self, name: str) -> Child:
        """Start one part of the platform that was stopped: `mail`, `kafka` …"""
        return self._start_part(name, self._parts()[name])

    def stop_part(self, name: str) -> None:
        """End one part of the platform, as its failure would."""
        self._stop([name])

    def kill_service(self, name: str) -> None:
        """SIGKILL for the service and its workers: what a crash does."""
        self.processes.kill(name)
        self._started = [other for other in self._started if other != name]

    def wait_ready(self, name: str, timeout_s: float = _SERVICE_DEADLINE_S) -> None:
        """Return when the service says that it can do its work. Raises PlatformError after `timeout_s` seconds."""
        url = self.addresses[name]
        try:
            wait_until(lambda: service_processes.ready(url), timeout_s, f"Becoming ready: {name}")
        except PlatformError as late:
            raise PlatformError(f"{late} It says: {service_processes.complaint(url) or 'nothing'}") from late

    # --- what others need to know ------------------------------------------------------------------------------------

    @property
    def ports(self) -> dict[str, int]:
        """Part -> port. Chosen when first asked for."""
        if not self._ports:
            self._choose_ports()
        return self._ports

    @property
    def gateway_url(self) -> str:
        """The one origin of web client and public APIs, without a slash at its end."""
        return f"http://{HOST}:{self.ports['gateway']}"

    @property
    def addresses(self) -> dict[str, str]:
        """Name -> URL of the gateway, each service and the object store; host:port of the others."""
        where = self.where()
        own = {name: f"http://{HOST}:{self.ports[name]}" for name in ("gateway", *SERVICES)}
        scheme = "https" if where.s3_secure else "http"
        mail = {"mail": f"{HOST}:{self.ports['mail']}"} if self.kind == "embedded" else {}
        return {**own, **mail, "kafka": where.kafka, "mongo": where.mongo, "s3": f"{scheme}://{where.s3}"}

    def where(self) -> Addresses:
        """The platform's addresses in the form that services get them."""
        if self.kind == "embedded":
            kafka, mongo, s3 = (f"{HOST}:{self.ports[name]}" for name in ("kafka", "mongo", "s3"))
            return Addresses(kafka, mongo, s3)
        given = self.provision_settings()
        return Addresses(
            given.kafka_bootstrap_servers,
            given.mongo_address,
            given.s3_endpoint,
            given.kafka_security_protocol,
            given.kafka_sasl_mechanism,
            given.s3_secure,
        )

    def service_env(self, name: str) -> dict[str, str]:
        """The variables of one service, secrets included, as its process gets them."""
        weights = Path(os.environ.get("REDACTOR_WEIGHTS_DIR", WEIGHTS))
        catcher = self.ports["mail"] if self.kind == "embedded" else None
        base = service_processes.environment_of(name, self.where(), self.ports, self.credentials, weights, catcher)
        return base | self._overrides.get(name, {})

    def provision_settings(self) -> ProvisionSettings:
        """How the administrator reaches Kafka, MongoDB and the object store."""
        secret = self.credentials.password
        own: dict[str, Any] = {
            f"admin_{name}": secret(f"admin_{name}") for name in ("kafka_password", "mongo_password", "s3_secret_key")
        }
        if self.kind == "embedded":
            kafka, mongo, s3 = (f"{HOST}:{self.ports[name]}" for name in ("kafka", "mongo", "s3"))
            own |= {"kafka_bootstrap_servers": kafka, "mongo_address": mongo, "s3_endpoint": s3}
        return ProvisionSettings(**own)

    def admin_kafka(self) -> dict[str, Any]:
        """aiokafka's connection arguments of the administrator."""
        given = self.provision_settings()
        return {
            "bootstrap_servers": given.kafka_bootstrap_servers,
            "security_protocol": given.kafka_security_protocol,
            "sasl_mechanism": given.kafka_sasl_mechanism,
            "sasl_plain_username": given.admin_kafka_username,
            "sasl_plain_password": given.admin_kafka_password.get_secret_value(),
        }

    def admin_kafka_confluent(self) -> dict[str, str | int | float | bool]:
        """confluent-kafka's settings of the administrator (its AdminClient knows ACLs and topic settings)."""
        return dict(self.provision_settings().kafka())

    @property
    def admin_mongo_uri(self) -> str:
        """Connection string of the administrator."""
        return self.provision_settings().mongo_uri()

    def admin_s3(self) -> Minio:
        """The administrator's client of the object store."""
        return self.provision_settings().s3()

    def running(self) -> dict[str, Child]:
        """What runs on this data, whoever started it."""
        return self.processes.running()

    def pid(self, name: str) -> int:
        """The process of a part or service. Raises PlatformError if it does not run."""
        child = self.running().get(name)
        if child is None:
            raise PlatformError(f"{name} does not run.")
        return child.pid

    def compact_soon(self, topics: Collection[str] = ()) -> None:
        """Make compaction act within seconds instead of a day, on these event topics, or on every one."""
        compaction.compact_soon(self.admin_kafka_confluent(), topics)

    def roll_segments(self) -> None:
        """Close the topics' open segments, once they are a second old, so that compaction may reach them."""
        compaction.roll_segments(self.admin_kafka_confluent())

    def resident_mb(self) -> dict[str, float]:
        """Resident memory of each part and its descendants, in MB (10^6 bytes)."""
        return {name: sum(resident_mb(pid) for pid in family(child.pid)) for name, child in self.running().items()}

    # --- inside ------------------------------------------------------------------------------------------------------

    def _parts(self) -> dict[str, Part]:
        if self.kind != "embedded":
            return {}
        secret = self.credentials.password
        s3_secrets = {name: secret(f"{name}_s3_secret_key") for name in (ADMIN, *SERVICES)}
        return {
            "kafka": Kafka(self.data_dir / "kafka", self.ports, secret("admin_kafka_password")),
            "mongo": Mongo(
                self.data_dir / "mongo", self.ports, secret("admin_mongo_password"), secret("mongo_cluster_key")
            ),
            "mail": Mail(self.data_dir / "mail", self.ports),
            "s3": S3(self.data_dir / "s3", self.ports, s3_secrets, secret("s3_internal_key")),
        }

    def _choose_ports(self) -> None:
        """The ports in use where something runs already; else chosen anew, the same ones if possible."""
        memory = self.data_dir / "run" / "ports.json"
        if self.processes.running() and memory.exists():
            self._ports = json.loads(memory.read_text())
            return
        self._ports = port_choice.choose(self._mode, memory)
        memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        memory.write_text(json.dumps(self._ports))

    def _write_addresses(self) -> None:
        running = self.processes.running()
        listed = {
            name: {"address": address}
            | ({"pid": running[name].pid, "log": running[name].log} if name in running else {"pid": None})
            for name, address in self.addresses.items()
        }
        write_private(self.data_dir / "addresses.json", json.dumps(listed, indent=2) + "\n")


def kind_of_platform() -> Kind:
    """What `PLATFORM` says. Raises PlatformError if it says something else."""
    kind = os.environ.get("PLATFORM") or "embedded"
    if kind not in KINDS:
        raise PlatformError(f"PLATFORM must be embedded, containers or external, not {kind!r}.")
    return kind


def _kind_for_processes() -> Kind:
    kind = kind_of_platform()
    if kind == "containers":
        raise PlatformError(
            "PLATFORM=containers works for `make up`, `make down` and `python -m deploy.local status`. For this, "
            "use PLATFORM=embedded (the default), or external with the addresses of what runs already."
        )
    return kind
