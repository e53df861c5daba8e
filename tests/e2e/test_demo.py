"""`make demo` as a new user runs it: it ends well, keeps its data, says what to do, and stops only its own."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from deploy.local import Platform
from deploy.local.client import wait_until
from deploy.local.ports import FIXED, HOST, free_ports

pytestmark = pytest.mark.platform
ROOT = Path(__file__).parents[2]


def demo(folder: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.local.demo", "--data-dir", str(folder), *words],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=ignore_interrupts,
    )


def ignore_interrupts() -> None:
    """As a shell does for what it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("demo")
    yield made
    Platform(made, ports="free").stop_everything()


@pytest.fixture(scope="module")
def first(folder: Path) -> str:
    """What the first run printed; it has ended with status 0."""
    run = demo(folder, "--exit", "--ports", "free")
    told, _ = run.communicate(timeout=400)
    assert run.returncode == 0, told
    return told


def test_it_tells_the_whole_way_and_leaves_the_pictures(first: str, folder: Path) -> None:
    for words in (
        "uploads photo",
        "uploads dicom",
        "covers faces",
        "consent",
        "approves",
        "in the feed",
        "sees the answer",
    ):
        assert words in first
    assert "\x1b[" not in first, "plain lines when piped"
    assert len(list((folder / "demo" / "before").iterdir())) == 3
    assert len(list((folder / "demo" / "after").iterdir())) >= 3
    for path in (folder / "demo" / "after").iterdir():
        assert b"Exif" not in path.read_bytes()
    assert not Platform(folder, ports="free").running()


def test_a_second_run_keeps_the_data_and_ctrl_c_stops_only_what_it_started(first: str, folder: Path) -> None:
    accounts = (folder / "accounts.json").read_text()
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    run = demo(folder, "--ports", "free")
    try:
        assert run.stdout
        for line in run.stdout:
            if "Ctrl-C" in line:
                break
        else:
            pytest.fail(f"ended early with {run.wait()}")
        assert (folder / "accounts.json").read_text() == accounts
        addresses = json.loads((folder / "addresses.json").read_text())
        pids = [found["pid"] for found in addresses.values() if found["pid"]]
        assert len(pids) == 10  # Kafka, MongoDB, the object store, the catcher of mail, the gateway, five services
        gateway = addresses["gateway"]["address"]
        author = json.loads(accounts)["author"]
        session = httpx.post(
            f"{gateway}/api/identity/sessions",
            json={"email": author["email"], "password": author["password"]},
            trust_env=False,
        ).json()
        token = {"authorization": f"Bearer {session['access_token']}"}
        cases = httpx.get(f"{gateway}/api/feed/cases", headers=token, trust_env=False).json()["items"]
        assert len(cases) == 2, "the case of the first run is still there"
        assert httpx.get(gateway, trust_env=False).status_code == httpx.codes.OK
        run.send_signal(signal.SIGINT)
        run.wait(300)
        wait_until("all of it to end", lambda: not any(psutil.pid_exists(pid) for pid in pids), within_s=30)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        run.kill()


def test_a_port_in_use_is_said_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        others = dict(zip((variable for _, variable in FIXED.values()), map(str, free_ports(len(FIXED))), strict=True))
        run = demo(tmp_path, "--exit", **others | {"GATEWAY_PORT": port})
        told, _ = run.communicate(timeout=200)
    assert run.returncode == 1
    assert port in told
    assert "GATEWAY_PORT" in told
    assert "Traceback" not in told
