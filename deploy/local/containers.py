"""`PLATFORM=containers`: the whole of docker-compose.yml, started and stopped with the same commands."""

import os
import shutil
import subprocess

from deploy.local import compose_secrets
from deploy.local.downloads import ROOT
from deploy.local.processes import PlatformError


def up() -> str:
    """Build the images, start everything, wait until it is ready. Returns the gateway's address."""
    _require_docker()
    compose_secrets.make(ROOT / compose_secrets.DEFAULT_FOLDER)
    _compose("up", "--build", "--detach", "--wait")
    return f"http://127.0.0.1:{os.environ.get('GATEWAY_PORT') or 8080}"


def down() -> None:
    """Stop and remove the containers; their volumes, the data, stay."""
    _require_docker()
    _compose("down")


def status() -> None:
    """Print what runs."""
    _require_docker()
    _compose("ps")


def _require_docker() -> None:
    docker = shutil.which("docker")
    if docker is None:
        raise PlatformError("PLATFORM=containers needs Docker with Compose, and `docker` is not on the PATH.")
    try:
        asked = subprocess.run([docker, "info"], capture_output=True, text=True, check=False, timeout=20)
    except subprocess.TimeoutExpired:
        raise PlatformError("Docker does not answer within 20 s. Is its engine running?") from None
    if asked.returncode:
        said = (asked.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PlatformError(f"Docker does not answer ({said}) Start its engine, or leave out PLATFORM=containers.")
    if subprocess.run([docker, "compose", "version"], capture_output=True, check=False, timeout=20).returncode:
        raise PlatformError("`docker compose` is missing. Install Docker's Compose plugin.")


def _compose(*words: str) -> None:
    done = subprocess.run(["docker", "compose", *words], cwd=ROOT, check=False)
    if done.returncode:
        raise PlatformError(f"`docker compose {words[0]}` failed; see its output above.")
