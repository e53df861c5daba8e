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

    # Ed25519, PEM (PKCS 8), one key or several (`rotate-keys`). Made at the first start where there is none; every
    # replica needs the same file.
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
    # Who asks to leave has so long to take it back; the worker looks for whose time has come.
    leaving_grace_s: int = Field(default=30 * 86_400, ge=0)
    leaving_every_s: float = Field(default=60, gt=0)
    # Who left while suspended for what they did, and comes back with the same number, is looked at by a person: so long
    # after leaving. See docs/privacy.md for why.
    return_review_days: int = Field(default=1095, ge=0)
    # A suspension reaches services by event within seconds; this bounds the harm where events are late (RFC 9068).
    access_token_ttl_s: int = Field(default=600, ge=30, le=600)
    # A session ends when it has not been used for so long, and in any case at the age of `absolute` (ASVS 5.0, 7.3).
    session_idle_s: int = Field(default=14 * 86_400, ge=60)
    session_absolute_s: int = Field(default=30 * 86_400, ge=60)
    # Who decides about others: a working day, and no long pause in it (NIST SP 800-63B-4, AAL2).
    staff_session_idle_s: int = Field(default=3600, ge=60)
    staff_session_absolute_s: int = Field(default=12 * 3600, ge=60)
    # The path of identity's sessions as browsers see it, behind the gateway: cookies go nowhere else.
    cookie_path: str = "/api/identity/sessions"
    # Passkeys belong to this domain (WebAuthn's relying party id), and work on pages of these origins.
    passkey_domain: str = "localhost"
    passkey_origins: tuple[str, ...] = ("http://localhost:8080",)
    # Argon2 takes about 19 MiB and 90 ms of a core each: more at once than cores only makes all of them late.
    password_hashes_at_once: int = Field(default=2, ge=1, le=64)
    password_hashes_waiting: int = Field(default=32, ge=0)
    # Where RPPS numbers are looked up: Annuaire Santé over HTTP (needs a key), its imported extraction, or nowhere.
    registry_rpps: Literal["annuaire", "extraction", "off"] = "off"
    annuaire_url: str = "https://gateway.api.esante.gouv.fr/fhir/v2"
    annuaire_key: SecretStr = SecretStr("")
    # The agency's limit for one application, shared by all replicas; requests of people and checks count together.
    annuaire_calls_per_s: float = Field(default=17, gt=0)
    # Where United States numbers (NPI) are looked up.
    registry_npi: Literal["nppes", "off"] = "off"
    nppes_url: str = "https://npiregistry.cms.hhs.gov/api/"
    nppes_calls_per_s: float = Field(default=2, gt=0)
    # How often a registry is asked again about a member, and how often for those who became inactive meanwhile.
    recheck_days: int = Field(default=30, ge=1, le=365)
    registry_changes_every_s: int = Field(default=900, ge=10)
    verification_look_every_s: float = Field(default=5.0, gt=0)
    # Pro Santé Connect; without an issuer it is not offered. `sandbox` takes the identities of its test bed (ANS…),
    # which are nobody: never in production.
    psc_issuer: str = ""
    psc_client_id: str = ""
    psc_client_secret: SecretStr = SecretStr("")
    psc_redirect_url: str = "http://127.0.0.1:8080/api/identity/verifications/psc/callback"
    # The levels of authentication that will do, with a space between. Asked for, and checked in the answer.
    psc_acr_values: str = "eidas1"
    psc_identities: Literal["national", "sandbox"] = "national"
    # A page of the front end to which browsers are sent at the end, with #verified or #<problem>.
    psc_done_url: str = ""
    document_max_bytes: int = Field(default=10 * 1024 * 1024, ge=1024)
    document_uploads_at_once: int = Field(default=4, ge=1)
