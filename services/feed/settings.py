"""What the feed is told from outside: environment variables with the prefix `FEED_`, or secret files."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="FEED_")

    port: int = Field(default=8104, ge=0, le=65535)
    kafka_username: str = "feed"
    mongo_database: str = "feed"
    batch_records: int = Field(default=500, ge=1)
    """Records of one topic that the live consumer applies in one transaction."""
    rebuild_batch_records: int = Field(default=2_000, ge=1)
    """The same for a replay, where nobody waits for the single event."""
    rebuild_catch_up_s: float = Field(default=30.0, ge=0)
    """How long a rebuild waits for a live consumer that makes no progress before it compares."""
