"""A short run with fixed numbers, what is hostile by design, and a long run; see the package's own words."""

import contextlib
import itertools
import tarfile
from collections.abc import Iterator
from pathlib import Path

import PIL
import pytest

from tests.fuzz.hostile import HOSTILE, PICTURE, Hostile
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import broken, carried, made
from tests.fuzz.target import Target

SHORT_RUN = 4_000
LONG_RUN = 150_000
PILLOW_SOURCES = Path(".data/fuzz") / f"pillow-{PIL.__version__}.tar.gz"
"""Where Pillow's own test pictures are taken from if somebody has put the source archive there (it is on PyPI)."""


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as made_one:
        yield made_one


@pytest.mark.parametrize("name", sorted(made()))
def test_every_whole_file_is_a_picture(target: Target, name: str) -> None:
    assert target.run(made()[name]).kind == PICTURE


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_what_is_hostile_by_design_ends_as_it_should(target: Target, hostile: Hostile) -> None:
    outcome = target.run(hostile.make())
    ended = outcome.kind if outcome.kind == PICTURE else outcome.what
    assert ended in hostile.ends


def test_broken_files_end_as_a_picture_or_as_a_reason(target: Target) -> None:
    check(target, made() | carried(), seed=20_240, count=SHORT_RUN)


@pytest.mark.full
def test_many_broken_files_end_as_a_picture_or_as_a_reason(target: Target) -> None:
    check(target, made() | carried(), seed=20_241, count=LONG_RUN)


@pytest.mark.full
def test_the_test_pictures_of_pillow_end_as_a_picture_or_as_a_reason(target: Target) -> None:
    if not PILLOW_SOURCES.exists():
        pytest.skip(f"no {PILLOW_SOURCES}: pip download --no-deps --no-binary :all: pillow=={PIL.__version__}")
    files = {}
    with tarfile.open(PILLOW_SOURCES) as archive:
        for member in archive:
            if member.isfile() and "/Tests/images/" in member.name:
                with contextlib.closing(archive.extractfile(member)) as content:  # type: ignore[type-var]
                    files[member.name] = content.read() if content else b""
    assert len(files) > 500
    for name, data in files.items():
        outcome = target.run(data)
        assert outcome.allowed, f"{name}: {outcome.what}"
    check(target, {name: data for name, data in files.items() if 0 < len(data) < 60_000}, seed=5, count=LONG_RUN)


def test_a_decoder_that_hangs_is_told_and_the_next_file_has_a_process_again() -> None:
    (slow,) = (hostile for hostile in HOSTILE if hostile.name == "tiff that unfolds")
    with Target(seconds=0.05) as hurried:
        assert hurried.run(slow.make()).what == "hangs"
        assert hurried.run(b"no picture").what == "not_a_picture"


def check(target: Target, files: dict[str, bytes], *, seed: int, count: int) -> None:
    """Every one of `count` broken files ends as it may. The name in a failure makes the file again: see `broken`."""
    failures = []
    for name, data in itertools.islice(broken(files, seed, mutated), count):
        outcome = target.run(data)
        if not outcome.allowed:
            failures.append(f"{name}: {outcome.what}")
    assert failures == []
