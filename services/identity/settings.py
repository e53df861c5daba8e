"""What identity can be told from outside: environment variables IDENTITY_…"""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from shared.settings import SecretKeeperSettings


class Settings(SecretKeeperSettings):
    """Identity's settings."""

    model_config = SettingsConfigDict(env_prefix="IDENTITY_")

    port: int = Field(default=8101, ge=0, le=65535)
    kafka_username: str = "identity"
    mongo_database: str = "identity"

    # Ed25519, PEM (PKCS 8). Made at the first start where there is none; every replica needs the same file.
    signing_key_file: Path = Path(".data/identity-signing-key.pem")
    # What credential documents and small secrets are wrapped with; identity's own, no other service has it.
    wrapping_key_file: Path = Path(".data/identity-wrapping-key")
    # Where letters to members go out. STARTTLS or TLS is demanded, never merely tried; `none` is for one machine.
    smtp_host: str = "127.0.0.1"
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    mail_from: str = "Consilium <no-reply@consilium.invalid>"
    # What links in letters begin with: our own pages behind the gateway, or a front end that has pages of these names
    # (confirm-address, reset-password).
    links_url: str = "http://127.0.0.1:8080/api/identity"
    # A suspension reaches services by event within seconds; this bounds the harm where events are late (RFC 9068).
    access_token_ttl_s: int = Field(default=600, ge=30, le=600)
    # Argon2 takes about 19 MiB and 90 ms of a core each: more at once than cores only makes all of them late.
    password_hashes_at_once: int = Field(default=2, ge=1, le=64)
    password_hashes_waiting: int = Field(default=32, ge=0)
