"""The five services as processes of this machine: what each gets told, and whether it can do its work."""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from deploy.local.credentials import Credentials, write_private
from deploy.local.ports import HOST
from deploy.local.provision import DATABASES, mongo_uri

# Whoever keeps secrets has a wrapping key. Identity's opens nothing of ingest's, and the other way round.
WRAPPING_KEYS = {"identity": "identity_wrapping_key", "ingest": "wrapping_key", "redactor": "wrapping_key"}


@dataclass(frozen=True)
class Addresses:
    """Where the platform's parts answer; the same in all ways of running them."""

    kafka: str
    mongo: str
    s3: str
    kafka_security_protocol: str = "SASL_PLAINTEXT"
    kafka_sasl_mechanism: str = "SCRAM-SHA-256"
    s3_secure: bool = False


def environment_of(
    service: str,
    where: Addresses,
    ports: Mapping[str, int],
    credentials: Credentials,
    weights: Path,
    catcher: int | None = None,
) -> dict[str, str]:
    """The variables of one service: its own credentials and no other's. `catcher`: the port of the catcher of mail.

    Variables of ours with the service's prefix (`REDACTOR_WORKERS=1 make up`) reach it too.
    """
    settings = {
        "host": HOST,
        "port": str(ports[service]),
        "log_format": os.environ.get("LOG_FORMAT", "json"),
        "kafka_bootstrap_servers": where.kafka,
        "kafka_security_protocol": where.kafka_security_protocol,
        "kafka_sasl_mechanism": where.kafka_sasl_mechanism,
        "kafka_username": service,
        "kafka_password": credentials.password(f"{service}_kafka_password"),
        "s3_endpoint": where.s3,
        "s3_secure": str(where.s3_secure).lower(),
        "s3_access_key": os.environ.get(f"{service.upper()}_S3_ACCESS_KEY", service),
        "s3_secret_key": credentials.password(f"{service}_s3_secret_key"),
        "jwks_url": f"http://{HOST}:{ports['identity']}/.well-known/jwks.json",
    }
    if DATABASES[service]:
        settings["mongo_database"] = DATABASES[service][0]
        settings["mongo_uri"] = mongo_uri(where.mongo, service, credentials.password(f"{service}_mongo_password"))
    if service in WRAPPING_KEYS:
        settings["wrapping_key_file"] = str(credentials.key_file(WRAPPING_KEYS[service]))
    if service == "identity":
        gateway = f"localhost:{ports['gateway']}"  # the name that passkeys know this machine by
        settings["signing_key_file"] = str(credentials.path("identity_signing_key.pem"))
        settings["links_url"] = f"http://{HOST}:{ports['gateway']}/api/identity"
        settings["passkey_origins"] = json.dumps([f"http://{gateway}"])
        if catcher is not None:
            settings |= {"smtp_host": HOST, "smtp_port": str(catcher), "smtp_security": "none"}
    if service == "ingest":
        # What patients are told; a real deployment names its own (docs/operations.md).
        settings["public_url"] = f"http://{HOST}:{ports['gateway']}"
        settings["controller"] = os.environ.get("INGEST_CONTROLLER", "Consilium (demonstration, no real patients)")
        settings["data_officer"] = os.environ.get("INGEST_DATA_OFFICER", "dpo@consilium.example")
    if service == "redactor":
        settings["group"] = "both"
        settings["weights_dir"] = str(weights)
    named = {f"{service.upper()}_{name.upper()}": value for name, value in settings.items()}
    given = {name: value for name, value in os.environ.items() if name.startswith(f"{service.upper()}_")}
    return {**given, **named, "ROLE": "all"}


def write_env_file(path: Path, variables: Mapping[str, str]) -> None:
    """NAME='value' lines that a shell can source; mode 0600."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(path, "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(variables.items())))


def read_env_file(path: Path) -> dict[str, str]:
    """What `write_env_file` wrote."""
    return dict(word.split("=", 1) for word in shlex.split(path.read_text()))


def process_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """`variables` on top of what a Python process needs of ours; nobody else's settings or secrets."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
        or name.startswith(("LC_", "OPENBLAS_"))
    }
    # Few allocator arenas: services with thread pools would keep tens of MB more resident.
    return {**kept, "PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2", **variables}


def command(service: str) -> list[str]:
    """How a service is served."""
    return [sys.executable, "-m", f"services.{service}", "serve"]


def ready(url: str) -> bool:
    """Whether the service at `url` says that it can do its work now."""
    try:
        with urlopen(f"{url}/readyz", timeout=5) as answer:  # noqa: S310 - our own http address
            return bool(answer.status == 200)
    except (HTTPError, URLError, OSError):
        return False


def complaint(url: str) -> str:
    """What a service that is not ready says about itself; empty where it says nothing."""
    try:
        with urlopen(f"{url}/readyz", timeout=5):  # noqa: S310 - our own http address
            return ""
    except HTTPError as unready:
        return unready.read(2000).decode(errors="replace")
    except (URLError, OSError):
        return ""
