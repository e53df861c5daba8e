"""What moderation can be told from outside: environment variables MODERATION_…"""

from datetime import timedelta

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Moderation's settings."""

    model_config = SettingsConfigDict(env_prefix="MODERATION_")

    port: int = Field(default=8103, ge=0, le=65535)
    kafka_username: str = "moderation"
    mongo_database: str = "moderation"

    # How long a claimed case stays with a moderator who does nothing. Long enough to read a paper about it,
    # short enough that a closed browser does not keep an author waiting.
    lease_s: int = Field(default=900, ge=1)

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_s)
