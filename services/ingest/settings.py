"""Settings of ingest: environment variables with the prefix INGEST_."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import SecretKeeperSettings

MIB = 1024 * 1024


class Settings(SecretKeeperSettings):
    model_config = SettingsConfigDict(env_prefix="INGEST_")

    port: int = Field(default=8102, ge=0, le=65535)
    kafka_username: str = "ingest"
    mongo_database: str = "ingest"

    max_upload_bytes: int = 25 * MIB
    # Above the 50 megapixels of today's telephones; an 8-bit colour picture of that size decodes to 150 MB.
    max_picture_pixels: int = 50_000_000
    max_picture_side_px: int = 30_000
    max_picture_frames: int = 50
    # An upload holds about three times its size in memory until it is stored (plain, sealed, on its way out).
    concurrent_uploads: int = Field(default=4, ge=1)
    upload_wait_s: float = 20.0
    upload_time_limit_s: float = 120.0

    # Where people reach the gateway: signing links and withdrawal pages begin with it.
    public_url: str = "http://127.0.0.1:8080"
    # Who answers for the data, and who to ask about it (GDPR, article 13): both stand on every consent form. Without
    # them no consent can be asked for.
    controller: str = Field(default="", max_length=300)
    data_officer: str = Field(default="", max_length=300)
    # A signature is a few strokes: a canvas of 1,200 by 400 pixels makes 10 to 30 KB.
    max_signature_bytes: int = 150_000
    # A photographed signature or sheet.
    max_signature_file_bytes: int = 5 * MIB
    max_paper_bytes: int = 10 * MIB

    idempotency_hours: int = 48
    purge_retry_s: float = 5.0
    # How often the last days of consents are looked at.
    expiry_every_s: float = Field(default=60.0, gt=0)
    # How often the contributions of members who have left are looked at.
    leavers_every_s: float = Field(default=5.0, gt=0)
    # Wrong withdrawal codes from one address within ten minutes, then it waits.
    withdrawal_tries: int = Field(default=30, ge=1)
    sweep_every_s: float = 900.0
    orphan_age_s: float = 3600.0
