"""Settings that all services have. Each service subclasses this with its own environment prefix.

Values come from environment variables (`INGEST_PORT`), secrets may also come as files named like the variable in
lower case (`/run/secrets/ingest_kafka_password`); the environment wins.
"""

import os
import sys
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

Role = Literal["all", "api", "worker"]


class ServiceSettings(BaseSettings):
    """Addresses and credentials of the platform, and how this process presents itself."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8100, ge=0, le=65535)
    role: Role = Field(default="all", validation_alias=AliasChoices("role", "ROLE"))
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] = "json"
    shutdown_grace_s: float = 30.0

    kafka_bootstrap_servers: str = "127.0.0.1:9092"
    kafka_security_protocol: Literal["PLAINTEXT", "SASL_PLAINTEXT", "SASL_SSL"] = "SASL_PLAINTEXT"
    kafka_sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-256"
    kafka_username: str = ""
    kafka_password: SecretStr = SecretStr("")
    kafka_session_timeout_ms: int = 10_000
    # Well above the slowest case: a consumer that works longer than this is thrown out of its group.
    kafka_max_poll_interval_ms: int = 900_000
    kafka_max_tries: int = Field(default=5, ge=1)  # then the message goes to the dead letters
    kafka_retry_first_delay_s: float = 0.2
    kafka_retry_max_delay_s: float = 10.0
    # How often a record that says nothing is appended to each partition of our topics; see `shared.turnover`.
    log_turnover_s: float = Field(default=6 * 3600, gt=0)

    mongo_uri: SecretStr = SecretStr("mongodb://127.0.0.1:27017/?replicaSet=rs0")
    mongo_database: str = ""

    s3_endpoint: str = "127.0.0.1:8333"
    s3_access_key: str = ""
    s3_secret_key: SecretStr = SecretStr("")
    s3_secure: bool = False

    jwks_url: str = "http://127.0.0.1:8101/.well-known/jwks.json"
    token_issuer: str = "consilium-identity"  # noqa: S105 - a name, not a secret
    token_audience: str = "consilium"  # noqa: S105 - a name, not a secret

    def __init__(self, **values: Any) -> None:
        directory = Path(os.environ.get("SECRETS_DIR", "/run/secrets"))
        if directory.is_dir():
            values.setdefault("_secrets_dir", directory)
        super().__init__(**values)

    @property
    def runs_api(self) -> bool:
        """Whether this process answers HTTP requests of people (probes and metrics are always answered)."""
        return self.role in ("all", "api")

    @property
    def runs_worker(self) -> bool:
        """Whether this process consumes events and relays its outbox."""
        return self.role in ("all", "worker")


class SecretKeeperSettings(ServiceSettings):
    """Settings of a service that keeps secrets encrypted at rest; `shared.wrapping.open_keyring` reads them."""

    # One key a line, 32 bytes in base64, the current one first; read again when it changes.
    wrapping_key_file: Path = Path("/run/secrets/wrapping_key")
    # The transit engine of HashiCorp Vault or OpenBao instead: keys of the file then open what they wrapped before.
    kms_url: str = ""
    kms_mount: str = "transit"
    kms_key: str = ""
    kms_token: SecretStr = SecretStr("")


S = TypeVar("S", bound=ServiceSettings)


def load(kind: type[S]) -> S:
    """The settings of this process, for a command line: what is wrong with them ends it with a sentence, status 1.

    The sentence names the variables and what they have to be, and quotes no value: one may be a secret.
    """
    try:
        return kind()
    except ValidationError as error:
        wrong = "; ".join(f"{_variable(kind, each['loc'])}: {each['msg']}" for each in error.errors())
        stop(f"The settings are wrong. {wrong}")
    except SettingsError as error:
        stop(f"The settings are wrong. {error}")
    except OSError as error:
        stop(f"The settings cannot be read: {error.filename}: {error.strerror}.")


def stop(sentence: str, status: int = 1) -> NoReturn:
    """End a command with a sentence for its operator."""
    sys.stderr.write(f"{sentence}\n")
    raise SystemExit(status)


def _variable(kind: type[ServiceSettings], place: tuple[int | str, ...]) -> str:
    """The environment variable that sets the value at this place."""
    field = kind.model_fields.get(str(place[0])) if place else None
    prefix = "" if field is not None and field.validation_alias else kind.model_config.get("env_prefix", "")
    return prefix + (kind.model_config.get("env_nested_delimiter") or "_").join(map(str, place)).upper()
