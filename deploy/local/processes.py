"""Start, watch and stop child processes, and nothing else's.

Every child is written down in a state file with its pid, the moment it started and the boot it belongs to. A pid
alone is not enough: the kernel gives it away again. A process is touched only when all three still agree, so that a
state file left by a crash, a reboot or a copy never hits a stranger.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

LOG_TAIL_LINES = 12
LOG_KEPT_BYTES = 20_000_000  # a longer log is set aside at the next start; the one set aside before goes
_POLL_FIRST_S = 0.05
_POLL_MAX_S = 0.4


class PlatformError(Exception):
    """Something the person at the keyboard can put right; the message is a sentence that says how."""


class TooLate(PlatformError):
    """What was waited for did not happen in time."""


@dataclass(frozen=True)
class Child:
    """A process we started. `started_ticks`: field 22 of /proc/<pid>/stat, clock ticks since boot."""

    name: str
    pid: int
    started_ticks: int
    boot_id: str
    log: str
    grace_s: float  # from SIGTERM to SIGKILL

    @property
    def alive(self) -> bool:
        """Whether exactly this process still runs (a zombie does not, another one with its pid does not count)."""
        return self.boot_id == boot_id() and started_ticks(self.pid) == self.started_ticks


def boot_id() -> str:
    """The kernel's id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def started_ticks(pid: int) -> int | None:
    """When process `pid` started, in clock ticks since boot; None if it is gone or only a zombie is left."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name, in brackets, may hold spaces and brackets
    state, ticks = fields[0], int(fields[19])
    return None if state in "ZX" else ticks


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MB (10^6 bytes), shared pages counted; 0 if it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def family(pid: int) -> list[int]:
    """`pid` and all its living descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for member in found:
        found.extend(parents.get(member, ()))
    return found


def wait_until(condition: Callable[[], bool], deadline_s: float, what: str) -> None:
    """Return when `condition()` is true; raise TooLate naming `what` after `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    pause = _POLL_FIRST_S
    while not condition():
        if time.monotonic() > end:
            raise TooLate(f"{what} did not happen within {deadline_s:.0f} s.")
        time.sleep(pause)
        pause = min(pause * 1.5, _POLL_MAX_S)


def tail(log: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of a log, for a message about a failure."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 16_384))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


class Processes:
    """The children of one data folder. Threads may start different children at the same time."""

    def __init__(self, run_dir: Path, log_dir: Path) -> None:
        self._state = run_dir / "processes.json"
        self._lock_file = run_dir / "lock"
        self._log_dir = log_dir
        self._guard = threading.RLock()
        self._handles: dict[int, subprocess.Popen[bytes]] = {}

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the data folder for one change. Raises PlatformError while another process holds it."""
        self._lock_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._lock_file.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as busy:
                raise PlatformError(
                    f"Another command is starting or stopping the platform in {self._lock_file.parent.parent}; "
                    "wait for it to end, then try again."
                ) from busy
            yield

    def recorded(self) -> dict[str, Child]:
        """All children written down, dead or alive, in the order of their start."""
        with self._guard:
            if not self._state.exists():
                return {}
            children = (Child(**entry) for entry in json.loads(self._state.read_text()))
            return {child.name: child for child in children}

    def running(self) -> dict[str, Child]:
        """The children that are alive, in the order of their start."""
        self._reap()
        return {name: child for name, child in self.recorded().items() if child.alive}

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        cwd: Path,
        ready: Callable[[], bool],
        deadline_s: float = 60.0,
        grace_s: float = 20.0,
    ) -> Child:
        """Start `command` as child `name` and return once `ready()` is true.

        stdout and stderr are appended to `<log_dir>/<name>.log`. The child leads a session of its own: a Ctrl-C at
        the terminal reaches only us, and we stop it in order. Raises PlatformError with the end of the log when the
        child ends early or is not ready in time; it is stopped then.
        """
        if name in self.running():
            raise PlatformError(f"{name} is running already (process {self.running()[name].pid}).")
        child = self._spawn(name, command, env, cwd, grace_s)
        log = Path(child.log)

        def ready_or_dead() -> bool:
            if not self._alive(child):
                raise PlatformError(f"{name} ended while starting. The end of {log}:\n{tail(log)}")
            return ready()

        try:
            wait_until(ready_or_dead, deadline_s, f"Becoming ready: {name}")
        except BaseException as failure:
            self.stop_all([name])
            if isinstance(failure, TooLate):
                raise PlatformError(f"{failure} The end of {log}:\n{tail(log)}") from failure
            raise
        return child

    def stop_all(self, names: Sequence[str] | None = None) -> None:
        """End the given children (default: all) together: SIGTERM, then SIGKILL for what is left after their grace.

        Unknown or dead names are no error.
        """
        recorded = self.recorded()
        children = [recorded[name] for name in (recorded if names is None else names) if name in recorded]
        alive = [child for child in children if self._alive(child)]
        begin = time.monotonic()
        for child in alive:
            _signal(child, signal.SIGTERM)
        for child in sorted(alive, key=lambda child: child.grace_s):
            while child.alive and time.monotonic() < begin + child.grace_s:
                time.sleep(_POLL_FIRST_S)
            self._sweep(child)
        self._forget({child.name for child in children})

    def kill(self, name: str) -> None:
        """SIGKILL child `name` and all its processes, as a crash would. Raises PlatformError if it does not run."""
        child = self.running().get(name)
        if child is None:
            raise PlatformError(f"{name} does not run, so it cannot be killed.")
        self._sweep(child)
        self._forget({name})

    def _spawn(
        self, name: str, command: Sequence[str | Path], env: Mapping[str, str], cwd: Path, grace_s: float
    ) -> Child:
        self._log_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = self._log_dir / f"{name}.log"
        if log.exists() and log.stat().st_size > LOG_KEPT_BYTES:
            log.replace(log.with_suffix(".log.old"))
        with log.open("ab") as output:
            handle = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
                umask=0o077,
            )
        ticks = started_ticks(handle.pid)
        child = Child(name, handle.pid, -1 if ticks is None else ticks, boot_id(), str(log), grace_s)
        with self._guard:
            self._handles[handle.pid] = handle
            self._write([*(other for other in self.recorded().values() if other.name != name), child])
        return child

    def _sweep(self, child: Child) -> None:
        """SIGKILL the child's whole group. Its leader is reaped only afterwards: until then the pid stays its own."""
        handle = self._handles.get(child.pid)
        if handle is not None or child.alive:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        if handle is not None:
            handle.wait()
            self._handles.pop(child.pid, None)
        else:
            wait_until(lambda: not child.alive, 10, f"The end of {child.name} (process {child.pid})")

    def _alive(self, child: Child) -> bool:
        self._reap()
        return child.alive

    def _reap(self) -> None:
        with self._guard:
            for pid, handle in list(self._handles.items()):
                if handle.poll() is not None:
                    del self._handles[pid]

    def _forget(self, names: set[str]) -> None:
        with self._guard:
            self._write([child for child in self.recorded().values() if child.name not in names])

    def _write(self, children: Sequence[Child]) -> None:
        self._state.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._state.with_suffix(".tmp")
        draft.write_text(json.dumps([asdict(child) for child in children], indent=1))
        draft.replace(self._state)


def _signal(child: Child, number: signal.Signals) -> None:
    if child.alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, number)
