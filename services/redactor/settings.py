"""What the redactor is told from outside: environment variables with the prefix `REDACTOR_`, or secret files."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.redactor.domain import Thresholds
from services.redactor.inference import EngineKind
from services.redactor.inference.server import Sharing
from services.redactor.pixels.pool import Limits
from services.redactor.weights import DEFAULT_DIRECTORY
from shared.settings import SecretKeeperSettings


class Settings(SecretKeeperSettings):
    model_config = SettingsConfigDict(env_prefix="REDACTOR_", env_nested_delimiter="__")

    port: int = Field(default=8105, ge=0, le=65535)
    kafka_username: str = "redactor"

    group: Literal["redactor", "redactor-interactive", "both"] = "both"
    """Uploads in batches, or a moderator who waits, or both in one process."""
    workers: int = Field(default_factory=lambda: len(os.sched_getaffinity(0)), ge=1)
    """Processes for pixel work, and cases worked on at a time."""
    weights_dir: Path = DEFAULT_DIRECTORY
    engine: EngineKind = EngineKind.AUTO
    """What runs the networks: openvino, onnxruntime (both on the processor), cuda; auto: openvino if installed."""
    wrapping_key_file: Path = Path("wrapping_key")
    """What the cases' data keys are wrapped with. Only ingest and redactor have it."""
    inference: Literal["inline", "shared"] = "inline"
    """Every worker runs the networks, or one process does so for all, in batches: for a graphics card."""
    batch_max: int = Field(default=8, ge=1, le=256)
    """Shared: pictures in a batch at most."""
    batch_wait_ms: float = Field(default=10.0, ge=0, le=1000)
    """Shared: how long a request waits for others at most, where others are at work at all."""
    batch_grid_px: int = Field(default=32, ge=32, le=1024, multiple_of=32)
    """Shared: the sides of what the networks see are rounded up to this, so that more pictures run together."""
    max_pixels: int = Field(default=60_000_000, ge=1)
    """Largest frame that is unpacked, told by its header."""
    time_limit_s: float = Field(default=120.0, gt=0)
    """Wall time for one picture (a tenth more for each further frame of a file). Then its worker is ended; the second
    time the picture is unreadable."""
    memory_limit_mb: int = Field(default=3584, ge=1536)
    """Address space of a worker; `pixels.pool.Limits` says what pictures need of it."""
    thresholds: Thresholds = Thresholds()
    """For example REDACTOR_THRESHOLDS__FACE=0.3."""

    @property
    def limits(self) -> Limits:
        """What one picture may cost."""
        return Limits(self.time_limit_s, self.memory_limit_mb * 2**20, self.max_pixels)

    @property
    def sharing(self) -> Sharing | None:
        """How the workers share one engine, None where each has its own."""
        if self.inference == "inline":
            return None
        return Sharing(self.batch_max, self.batch_wait_ms / 1000, self.batch_grid_px)

    @property
    def runs_batch(self) -> bool:
        """Whether this process takes uploads (and withdrawals)."""
        return self.group in ("redactor", "both")

    @property
    def runs_interactive(self) -> bool:
        """Whether this process answers a moderator who waits."""
        return self.group in ("redactor-interactive", "both")
