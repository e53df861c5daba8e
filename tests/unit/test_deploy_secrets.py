"""Secrets are made once, are different, and nobody else can read them."""

import base64
import stat
from pathlib import Path

import pytest

from deploy.local.credentials import Credentials, write_private
from deploy.local.platform import Platform
from deploy.local.processes import PlatformError
from deploy.local.provision import SERVICES
from deploy.local.services import read_env_file, write_env_file


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    first = Credentials(tmp_path / "secrets", {}).password("ingest_kafka_password")
    assert len(first) == 48
    assert Credentials(tmp_path / "secrets", {}).password("ingest_kafka_password") == first
    assert Credentials(tmp_path / "secrets", {}).password("feed_kafka_password") != first


def test_only_the_owner_can_read_secrets(tmp_path: Path) -> None:
    credentials = Credentials(tmp_path / "secrets", {})
    credentials.password("a")
    key = credentials.key_file("wrapping_key")
    assert mode(credentials.folder) == 0o700
    assert {mode(path) for path in credentials.folder.iterdir()} == {0o600}
    assert len(base64.b64decode(key.read_text(), validate=True)) == 32


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    assert (
        Credentials(tmp_path / "secrets", {"FEED_KAFKA_PASSWORD": "given"}).password("feed_kafka_password") == "given"
    )
    assert not (tmp_path / "secrets").exists()


def test_passwords_of_our_own_platform_do_not_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEED_KAFKA_PASSWORD", "of another platform")
    platform = Platform(tmp_path, ports="free")
    assert platform.service_env("feed")["FEED_KAFKA_PASSWORD"] != "of another platform"


def test_a_private_file_replaces_one_that_others_could_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_environment_file_reads_back_whatever_is_in_it(tmp_path: Path) -> None:
    variables = {"A": "with space, 'quotes' and $dollar", "B": "mongodb://u:p@h/?a=b&c=d", "C": ""}
    write_env_file(tmp_path / "env" / "x.env", variables)
    assert read_env_file(tmp_path / "env" / "x.env") == variables
    assert mode(tmp_path / "env" / "x.env") == 0o600


def test_a_service_gets_its_own_secrets_and_no_other_ones(tmp_path: Path) -> None:
    platform = Platform(tmp_path, ports="free")
    environments = {name: platform.service_env(name) for name in SERVICES}
    secrets = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir() if "_" in path.name}
    for name, variables in environments.items():
        foreign = {
            kind for kind, secret in secrets.items() if kind.partition("_")[0] != name and kind != "wrapping_key"
        }
        values = " ".join(variables.values())
        assert [kind for kind in foreign if secrets[kind] in values] == []
        assert all(variable.startswith(name.upper()) or variable == "ROLE" for variable in variables)
    wrapping_keys = {name: environments[name].get(f"{name.upper()}_WRAPPING_KEY_FILE") for name in SERVICES}
    assert [name for name, file in wrapping_keys.items() if file] == ["identity", "ingest", "redactor"]
    assert wrapping_keys["ingest"] == wrapping_keys["redactor"] != wrapping_keys["identity"]
    assert "REDACTOR_MONGO_URI" not in environments["redactor"]


def test_an_unknown_kind_of_platform_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM", "cloudy")
    with pytest.raises(PlatformError, match="embedded, containers or external"):
        Platform(tmp_path)
