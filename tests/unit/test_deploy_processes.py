"""Supervision: what we started ends when we say so, and nothing else is ever touched."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.processes import (
    Child,
    PlatformError,
    Processes,
    boot_id,
    family,
    resident_mb,
    started_ticks,
    wait_until,
)

SLEEPER = "import signal, time; print('up', flush=True); time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
PARENT = (
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    " print('up', child.pid, flush=True); time.sleep(600)"
)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path / "run", tmp_path / "logs")
    yield made
    made.stop_all()


def start(processes: Processes, tmp_path: Path, code: str = SLEEPER, name: str = "child", grace_s: float = 5) -> Child:
    log = tmp_path / "logs" / f"{name}.log"
    return processes.start(
        name,
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"]},
        cwd=tmp_path,
        ready=lambda: "up" in log.read_text(),
        deadline_s=20,
        grace_s=grace_s,
    )


def test_a_child_runs_until_it_is_stopped_and_leads_its_own_group(processes: Processes, tmp_path: Path) -> None:
    child = start(processes, tmp_path)
    assert processes.running() == {"child": child}
    assert os.getpgid(child.pid) == child.pid != os.getpgid(0)
    assert resident_mb(child.pid) > 1
    processes.stop_all()
    assert not child.alive
    assert processes.recorded() == {}


def test_a_child_that_ignores_sigterm_is_killed_after_its_grace(processes: Processes, tmp_path: Path) -> None:
    child = start(processes, tmp_path, STUBBORN, grace_s=0.3)
    processes.stop_all()
    assert not child.alive


def test_killing_a_child_takes_its_descendants_too(processes: Processes, tmp_path: Path) -> None:
    child = start(processes, tmp_path, PARENT)
    grandchild = int((tmp_path / "logs" / "child.log").read_text().split()[1])
    assert grandchild in family(child.pid)
    processes.kill("child")
    wait_until(lambda: started_ticks(grandchild) is None, 5, "the end of the grandchild")
    assert processes.running() == {}


def test_stopping_a_child_takes_what_it_left_behind(processes: Processes, tmp_path: Path) -> None:
    start(processes, tmp_path, PARENT)
    grandchild = int((tmp_path / "logs" / "child.log").read_text().split()[1])
    processes.stop_all()
    wait_until(lambda: started_ticks(grandchild) is None, 5, "the end of the grandchild")
    assert processes.recorded() == {}


def test_a_child_that_ends_while_starting_is_told_with_the_end_of_its_log(processes: Processes, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="the reason is this") as told:
        start(processes, tmp_path, "raise SystemExit('the reason is this')")
    assert "ended while starting" in str(told.value)
    assert processes.recorded() == {}


def test_a_child_that_is_never_ready_is_stopped_at_the_deadline(processes: Processes, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="did not happen within"):
        processes.start(
            "late",
            [sys.executable, "-c", SLEEPER],
            env={},
            cwd=tmp_path,
            ready=lambda: False,
            deadline_s=0.3,
            grace_s=2,
        )
    assert processes.running() == {}


def test_a_second_start_of_the_same_name_is_refused(processes: Processes, tmp_path: Path) -> None:
    child = start(processes, tmp_path)
    with pytest.raises(PlatformError, match="running already"):
        start(processes, tmp_path)
    assert child.alive


def test_another_object_on_the_same_folder_finds_and_stops_the_child(processes: Processes, tmp_path: Path) -> None:
    child = start(processes, tmp_path)
    other = Processes(tmp_path / "run", tmp_path / "logs")
    assert other.running() == {"child": child}
    other.stop_all()
    assert not child.alive
    assert processes.running() == {}


@pytest.mark.parametrize("wrong", [{"started_ticks": 1}, {"boot_id": "an earlier boot"}])
def test_a_process_that_only_has_the_recorded_pid_is_left_alone(
    wrong: dict[str, object], processes: Processes, tmp_path: Path
) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True, stdout=subprocess.PIPE)
    try:
        assert stranger.stdout
        stranger.stdout.readline()
        record = {
            "name": "ours",
            "pid": stranger.pid,
            "started_ticks": started_ticks(stranger.pid),
            "boot_id": boot_id(),
            "log": "",
            "grace_s": 0.1,
        }
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "processes.json").write_text(json.dumps([record | wrong]))
        assert processes.running() == {}
        processes.stop_all()
        assert stranger.poll() is None
        with pytest.raises(PlatformError, match="does not run"):
            processes.kill("ours")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_dead_child_that_nobody_waited_for_does_not_count_as_running(processes: Processes, tmp_path: Path) -> None:
    child = start(processes, tmp_path)
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: not child.alive, 5, "the end of the child")
    assert processes.running() == {}
    processes.stop_all()


def test_children_may_be_started_at_the_same_time(processes: Processes, tmp_path: Path) -> None:
    names = [f"child-{number}" for number in range(4)]
    threads = [threading.Thread(target=start, args=(processes, tmp_path, SLEEPER, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(processes.running()) == names


def test_only_one_command_at_a_time_may_change_a_data_folder(processes: Processes, tmp_path: Path) -> None:
    other = Processes(tmp_path / "run", tmp_path / "logs")
    with processes.exclusive(), pytest.raises(PlatformError, match="Another command"), other.exclusive():
        pass
    with other.exclusive():
        pass


def test_a_long_log_is_set_aside(processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.local.processes.LOG_KEPT_BYTES", 10)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "child.log").write_text("what an earlier start wrote")
    start(processes, tmp_path)
    assert (tmp_path / "logs" / "child.log").read_text() == "up\n"
    assert (tmp_path / "logs" / "child.log.old").read_text() == "what an earlier start wrote"
