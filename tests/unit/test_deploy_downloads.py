"""Downloads: whole and checked, or not there at all."""

import os
import time
from pathlib import Path

import pytest

from deploy.local import downloads
from deploy.local.processes import PlatformError

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(downloads, "DOWNLOADS", tmp_path)
    return tmp_path


def filled(draft: Path) -> None:
    (draft / "part").write_text("whole")


def broken(draft: Path) -> None:
    (draft / "part").write_text("half")
    raise PlatformError("the line was cut")


def test_a_file_with_another_hash_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "jar").write_text("hello")
    downloads.check(tmp_path / "jar", HELLO)
    (tmp_path / "jar").write_text("hello!")
    with pytest.raises(PlatformError, match="jar is not the file that was expected"):
        downloads.check(tmp_path / "jar", HELLO)


def test_a_download_that_breaks_off_leaves_nothing_and_the_next_one_is_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_fill_mongod", filled)
    monkeypatch.setattr(downloads, "_fill_kafka", broken)
    with pytest.raises(PlatformError, match="the line was cut"):
        downloads.fetch(lambda sentence: None)
    assert list(folder.iterdir()) == []

    monkeypatch.setattr(downloads, "_fill_kafka", filled)
    said: list[str] = []
    downloads.fetch(said.append)
    assert len(said) == 2
    assert sorted(folder.iterdir()) == sorted([downloads.kafka_dir(), downloads.mongod_path().parent])
    assert (downloads.kafka_dir() / "part").read_text() == "whole"


def test_what_is_there_is_not_fetched_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads.kafka_dir().mkdir()
    downloads.mongod_path().parent.mkdir()
    monkeypatch.setattr(downloads, "_fill_kafka", broken)
    monkeypatch.setattr(downloads, "_fill_mongod", broken)
    said: list[str] = []
    downloads.fetch(said.append)
    assert said == []


def test_the_remains_of_a_killed_download_are_cleared_once_they_are_old(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_fill_kafka", filled)
    monkeypatch.setattr(downloads, "_fill_mongod", filled)
    old, fresh = folder / "kafka.part-old", folder / "kafka.part-of-somebody-else"
    old.mkdir()
    fresh.mkdir()
    os.utime(old, (0, time.time() - 7200))
    downloads.fetch(lambda sentence: None)
    assert not old.exists()
    assert fresh.exists()


def test_every_jar_is_pinned_and_clients_and_broker_are_of_one_version() -> None:
    jars = downloads.pinned_jars()
    assert all(len(digest) == 64 for digest in jars.values())
    assert f"kafka-clients-{downloads.KAFKA_VERSION}.jar" in jars
    assert {name.rpartition("-")[2] for name in jars if name.startswith("kafka")} == {f"{downloads.KAFKA_VERSION}.jar"}
    libraries = [name.rpartition("-")[0] for name in jars]
    assert len(libraries) == len(set(libraries)), "one version of each library"
