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

    idempotency_hours: int = 48
    purge_retry_s: float = 5.0
    sweep_every_s: float = 900.0
    orphan_age_s: float = 3600.0
