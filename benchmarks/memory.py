"""Resident memory of each process of the platform, after it has walked one case through."""

import asyncio
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks import harness
from benchmarks.harness import Result, Row
from deploy.local import Platform
from deploy.local.demo import people, sample_pictures
from deploy.local.platform import DATA
from deploy.local.story import Story
from deploy.local.walk import walk

AIM_MB = 2_500


async def run() -> Result:
    """Sum of the resident sets in MB (10^6 bytes); pages that processes share are counted in each of them."""
    return await asyncio.to_thread(_measure)


def _measure() -> Result:
    parent = DATA / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        platform = Platform(Path(folder), ports="free")
        try:
            platform.start(services=True)
            cast = people(platform, Path(folder) / "accounts.json")
            quiet = Story(Console(quiet=True))
            walk(platform.gateway_url, cast, sample_pictures(), Path(folder) / "demo", quiet)
            used = platform.resident_mb()
        finally:
            platform.stop()
    rows = [Row(name, megabytes, "MB") for name, megabytes in sorted(used.items(), key=lambda item: -item[1])]
    total = sum(used.values())
    return Result(
        "Resident memory after one case",
        f"under {AIM_MB:,} MB in all",
        total < AIM_MB,
        [*rows, Row("all", total, "MB")],
        notes=["redactor: the service with its pixel workers and their fork server"],
    )


if __name__ == "__main__":
    harness.main(run)
