"""Ports: those that people expect, or free ones; a taken port is told in a sentence."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import Platform, ports
from deploy.local.processes import PlatformError


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((ports.HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_fixed_ports_are_the_documented_ones_and_all_different(tmp_path: Path) -> None:
    chosen = ports.choose("fixed", tmp_path / "ports.json", {})
    assert chosen["gateway"] == 8080
    assert [chosen[name] for name in ("identity", "ingest", "moderation", "feed", "redactor")] == list(
        range(8101, 8106)
    )
    assert len(set(chosen.values())) == len(chosen)


def test_a_variable_changes_a_fixed_port(tmp_path: Path) -> None:
    assert ports.choose("fixed", tmp_path / "ports.json", {"GATEWAY_PORT": "9000"})["gateway"] == 9000


@pytest.mark.parametrize("text", ["none", "0", "70000", "-1"])
def test_a_variable_that_is_no_port_is_refused_by_name(text: str, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="GATEWAY_PORT"):
        ports.choose("fixed", tmp_path / "ports.json", {"GATEWAY_PORT": text})


def test_free_ports_are_kept_for_the_next_start(tmp_path: Path) -> None:
    first = ports.choose("free", tmp_path / "ports.json")
    assert len(set(first.values())) == len(ports.FIXED)
    assert ports.choose("free", tmp_path / "ports.json") == first


def test_free_ports_are_chosen_anew_when_one_of_them_was_taken_meanwhile(tmp_path: Path) -> None:
    first = ports.choose("free", tmp_path / "ports.json")
    with socket.socket() as server:
        server.bind((ports.HOST, first["kafka"]))
        server.listen()
        assert first["kafka"] not in ports.choose("free", tmp_path / "ports.json").values()


def test_a_taken_port_is_told_with_its_holder_and_the_variable_to_change(taken: int) -> None:
    with pytest.raises(PlatformError) as told:
        ports.require_free({"gateway": taken}, ["gateway"])
    sentence = str(told.value)
    assert f"Port {taken} for gateway is in use by" in sentence
    assert "process" in sentence
    assert "GATEWAY_PORT" in sentence


@pytest.mark.parametrize("part", ["kafka", "gateway", "feed"])
def test_a_taken_port_of_a_part_or_a_service_is_told_before_anything_is_started(
    part: str, taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for (_, variable), free in zip(ports.FIXED.values(), ports.free_ports(len(ports.FIXED)), strict=True):
        monkeypatch.setenv(variable, str(free))
    monkeypatch.setenv("PLATFORM", "embedded")
    monkeypatch.setenv(ports.FIXED[part][1], str(taken))
    platform = Platform(tmp_path)
    started: list[str] = []
    monkeypatch.setattr(platform.processes, "start", lambda name, *_, **__: started.append(name))
    with pytest.raises(PlatformError, match=f"Port {taken} for {part} is in use by"):
        platform.start(services=True)
    assert not started


def test_a_port_is_free_again_when_its_holder_has_gone() -> None:
    with socket.socket() as server:
        server.bind((ports.HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.listening(port)
    assert ports.is_free(port)
    assert not ports.listening(port)
