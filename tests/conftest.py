"""The real platform for tests, tests that take long, and skips that count as failures in CI.

`platform`: Kafka, MongoDB and the object store on free ports, prepared as always, with no service on them.
`stack`: another one, with the gateway and the five services. Both start when the first test asks for them.
"""

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

from deploy.local import Platform, PlatformError
from deploy.local.platform import DATA
from deploy.local.processes import started_ticks
from deploy.local.provision import SERVICES

TEST_DATA = DATA / "tests"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also run the tests that take long (make test-full)")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--full"):
        long_ones = [item for item in items if item.get_closest_marker("full")]
        if long_ones:
            config.hook.pytest_deselected(items=long_ones)
            items[:] = [item for item in items if not item.get_closest_marker("full")]
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_kept_together_with(item)))


def _kept_together_with(item: pytest.Item) -> str:
    """What one worker runs, in order: everything on one platform, and otherwise the tests of a file."""
    fixtures = getattr(item, "fixturenames", ())
    if "stack" in fixtures:
        return "stack"
    if "platform" in fixtures or item.get_closest_marker("platform"):
        return "platform"
    return item.path.stem


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
