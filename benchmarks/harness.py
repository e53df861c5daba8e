"""What all benchmarks share: a platform of their own, medians over rounds, a table, and a JSON file.

A benchmark is a module with `async def run() -> Result` and

    if __name__ == "__main__":
        harness.main(run)

The rates that are compared are measured in turn, round by round, so that what else the machine does hits all alike.
"""

import argparse
import asyncio
import json
import os
import platform as machine
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.local import Platform
from deploy.local.platform import DATA

PASSWORD = "correct horse battery staple"  # of accounts that live as long as a benchmark


@dataclass(frozen=True)
class Row:
    """One line of the table. `value` in `unit`; `spread`: lowest and highest round, where there were several."""

    what: str
    value: float
    unit: str
    spread: tuple[float, float] | None = None


@dataclass(frozen=True)
class Result:
    """What a benchmark found. `aim` is the claim, `met` whether it held this time; nothing is asserted."""

    name: str
    aim: str
    met: bool
    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=lambda: this_machine())
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


Run = Callable[[], Awaitable[Result]]


def main(run: Run, options: argparse.ArgumentParser | None = None) -> None:
    """Run one benchmark from the command line: prints its table; `--json FILE` writes the result too.

    `options`: what this benchmark understands besides; it reads them itself.
    """
    sys.exit(run_all([run], options))


def main_over_pictures(
    run: Callable[[argparse.Namespace], Awaitable[Result]], options: argparse.ArgumentParser
) -> None:
    """`main` for a benchmark that may be given a folder of pictures and the list of what stands where in them."""
    given, _ = options.parse_known_args()
    if bool(given.pictures) != bool(given.ground_truth):
        sys.exit("--pictures and --ground-truth belong together")
    main(lambda: run(given), options)


def run_all(runs: Sequence[Run], options: argparse.ArgumentParser | None = None) -> int:
    """Run benchmarks one after another. Exit status 0 unless one could not measure."""
    parser = argparse.ArgumentParser(parents=[options] if options else [])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as JSON")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a stopped benchmark stops its platform
    results = []
    for run in runs:
        results.append(asyncio.run(_in_order(run)))
        print(told(results[-1]), flush=True)
    if arguments.json:
        found = [asdict(result) for result in results]
        arguments.json.write_text(json.dumps(found[0] if len(found) == 1 else found, indent=2) + "\n")
    return 0


async def _in_order(run: Run) -> Result:
    return await run()


def told(result: Result) -> str:
    """The result as a table for people."""
    width = max(len(row.what) for row in result.rows)
    lines = [f"\n{result.name}   (aim: {result.aim}; {'met' if result.met else 'not met'})"]
    for row in result.rows:
        spread = f"   ({row.spread[0]:,.4g} to {row.spread[1]:,.4g})" if row.spread else ""
        number = f"{row.value:,.0f}" if abs(row.value) >= 100 else f"{row.value:.3g}"
        lines.append(f"  {row.what:<{width}}  {number:>10} {row.unit}{spread}")
    lines += [f"  {note}" for note in result.notes]
    found = result.machine
    lines.append(
        f"  {found['cpu']}, {found['cores']} cores, {found['memory_gb']:.0f} GB, "
        f"load {found['load']:.1f}, Python {found['python']}, {result.date}"
    )
    return "\n".join(lines)


def median_row(what: str, rounds: Sequence[float], unit: str) -> Row:
    """A line with the median of the rounds, and their range."""
    return Row(what, statistics.median(rounds), unit, (min(rounds), max(rounds)))


def this_machine() -> dict[str, Any]:
    """What a reader needs to know to judge a figure."""
    cpu = machine.processor() or machine.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = (line.split(":", 1) for line in info.read_text().split("\n\n", 1)[0].splitlines() if ":" in line)
        first = {name.strip(): value.strip() for name, value in named}
        cpu = first.get("model name", cpu)
        if "cpu family" in first:  # a guest is often told a name that several generations share
            cpu += f" (family {first['cpu family']}, model {first.get('model', '?')})"
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        "load": os.getloadavg()[0],
        "system": machine.platform(),
        "python": machine.python_version(),
    }


@contextmanager
def own_platform(*services: str, **overrides: dict[str, str]) -> Iterator[Platform]:
    """A platform on free ports with empty data and these services; gone afterwards, data included.

    `overrides`: variables by service, as `feed={"FEED_LOG_LEVEL": "WARNING"}`.
    """
    parent = DATA / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    platform = Platform(folder, ports="free")
    try:
        platform.start()
        for service in services:
            platform.start_service(service, wait=True, **overrides.get(service, {}))
        yield platform
    finally:
        platform.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def rate(work: Callable[[], Awaitable[Any]], seconds: float, concurrency: int) -> float:
    """How often per second `work` is done by `concurrency` workers that never pause."""
    done = 0
    ends_at = time.perf_counter() + seconds

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() < ends_at:
            await work()
            done += 1

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return done / (time.perf_counter() - started)


async def in_turn(
    works: Mapping[str, Callable[[], Awaitable[Any]]], rounds: int, seconds: float, concurrency: int
) -> dict[str, list[float]]:
    """The rates of several works, round by round, so that they meet the same machine. A round before warms up."""
    rates: dict[str, list[float]] = {name: [] for name in works}
    for round_number in range(rounds + 1):
        for name, work in works.items():
            found = await rate(work, seconds, concurrency)
            if round_number:
                rates[name].append(found)
    return rates


def ratios(ones: Sequence[float], others: Sequence[float]) -> list[float]:
    """One by the other, round by round."""
    return [one / other for one, other in zip(ones, others, strict=True)]


class KeepAlive:
    """A minimal HTTP/1.1 client on kept connections: a full-featured one costs more than what is measured."""

    def __init__(self, host: str, port: int, connections: int) -> None:
        self._host, self._port = host, port
        self._connections = connections
        self._free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def __aenter__(self) -> "KeepAlive":
        for _ in range(self._connections):
            reader, writer = await asyncio.open_connection(self._host, self._port)
            self._free.put_nowait((reader, writer))
        return self

    async def __aexit__(self, *_: object) -> None:
        while not self._free.empty():
            connection = self._free.get_nowait()
            connection[1].close()
            await connection[1].wait_closed()

    def request(self, path: str, **headers: str) -> bytes:
        """The bytes of a GET request, to be sent many times."""
        lines = [f"GET {path} HTTP/1.1", f"Host: {self._host}:{self._port}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def get(self, request: bytes) -> bytes:
        """The body of the answer. Raises RuntimeError unless it is a 200 with a Content-Length."""
        reader, writer = await self._free.get()
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode(errors="replace"))
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            return await reader.readexactly(int(length.partition(b":")[2]))
        finally:
            self._free.put_nowait((reader, writer))
