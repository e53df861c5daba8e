"""The real platform for tests, tests that take long, and skips that count as failures in CI.

`platform`: Kafka, MongoDB and the object store on free ports, prepared as always, with no service on them.
`stack`: another one, with the gateway and the five services. Both start when the first test asks for them.
"""

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from deploy.local import Platform, PlatformError
from deploy.local.platform import DATA
from deploy.local.processes import started_ticks
from deploy.local.provision import SERVICES

TEST_DATA = DATA / "tests"
ON_PLATFORM = ("test_bus.py", "test_platform.py", "test_rebuild.py")
"""The files of tests/e2e that want no services; with tests/contract they are on `platform`."""
ON_THEIR_OWN = ("test_demo.py", "test_images.py")
"""Those that start a platform of their own."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also run the tests that take long (make test-full)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    long_ones = [item for item in items if item.get_closest_marker("full")]
    if long_ones:
        config.hook.pytest_deselected(items=long_ones)
        items[:] = [item for item in items if not item.get_closest_marker("full")]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Where several processes share the tests, one takes all that are on one platform, in order; else a file is one's.

    xdist has `--dist loadgroup` for this, whose marks pytest 9.2 loses (xdist 3.8 writes them into a name of the test
    that pytest no longer reads).
    """
    return _ByPlatform(config, log)


class _ByPlatform(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    def _split_scope(self, nodeid: str) -> str:
        path = PurePath(nodeid.partition("::")[0])
        if path.parent.name == "contract" or path.name in ON_PLATFORM:
            return "platform"
        return "stack" if path.parent.name == "e2e" and path.name not in ON_THEIR_OWN else str(path)


def skips_are_failures() -> bool:
    """In CI everything that a test needs has to be there."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and skips_are_failures():
        report.longrepr = f"Skipped, and in CI a skip is a failure: {_reason(report)}"
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped and skips_are_failures():
        report.longrepr = f"Skipped, and in CI a skip is a failure: {_reason(report)}"
        report.outcome = "failed"
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    with _own_platform(request, "platform") as made:
        made.start()
        yield made


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Platform]:
    with _own_platform(request, "stack") as made, pytest.MonkeyPatch.context() as environment:
        for service in SERVICES:  # a group notices a killed member after this time, and kill tests wait for it
            environment.setenv(f"{service.upper()}_KAFKA_SESSION_TIMEOUT_MS", "4000")
        made.start(services=True)
        yield made


@contextmanager
def _own_platform(request: pytest.FixtureRequest, name: str) -> Iterator[Platform]:
    """A platform in a folder of this test run; its logs outlive a failure, everything else goes."""
    _clear_abandoned()
    folder = TEST_DATA / f"{os.getpid()}-{name}"
    made = Platform(folder, ports="free")
    try:
        yield made
    except PlatformError as failure:
        pytest.fail(f"The platform for tests could not be started. {failure}", pytrace=False)
    finally:
        made.stop()
        made.stop_everything()  # what a failed test may have left
        if request.session.testsfailed:
            kept = TEST_DATA / f"logs-of-last-failure-{name}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.move(folder / "logs", kept)
        shutil.rmtree(folder, ignore_errors=True)


def _clear_abandoned() -> None:
    """Stop and remove platforms of test runs that were killed: their pid, which leads the name, is dead."""
    for folder in TEST_DATA.glob("[0-9]*-*") if TEST_DATA.is_dir() else ():
        if started_ticks(int(folder.name.partition("-")[0])) is None:
            Platform(folder, ports="free").stop_everything()
            shutil.rmtree(folder, ignore_errors=True)
