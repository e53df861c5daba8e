"""What is wrong with the settings of a process is told its operator in a sentence, and no secret is quoted."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.identity.settings import Settings as IdentitySettings
from services.identity.store.keys import SigningKeys
from services.redactor.settings import Settings as RedactorSettings
from shared.errors import WrongSetting
from shared.keyring import FileKeyRing
from shared.settings import ServiceSettings, load


@pytest.mark.parametrize(
    ("kind", "variable", "value", "named"),
    [
        (IdentitySettings, "IDENTITY_PORT", "eighty", "IDENTITY_PORT: Input should be a valid integer"),
        (IdentitySettings, "ROLE", "boss", "ROLE: Input should be 'all', 'api' or 'worker'"),
        (RedactorSettings, "REDACTOR_THRESHOLDS__FACE", "high", "REDACTOR_THRESHOLDS__FACE: Input should be"),
        (RedactorSettings, "REDACTOR_THRESHOLDS", "high", "thresholds"),
    ],
)
def test_a_wrong_setting_is_named_as_its_variable_and_not_quoted(
    kind: type[ServiceSettings],
    variable: str,
    value: str,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        load(kind)
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert named in said
    assert value not in said
    assert "IDENTITY_ROLE" not in said


def test_right_settings_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_PORT", "8999")
    assert load(IdentitySettings).port == 8999


@pytest.mark.parametrize("content", [None, "no base64 at all!", base64.b64encode(b"short").decode()])
def test_a_wrapping_key_that_cannot_be_used_is_named_and_not_quoted(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "wrapping_key"
    if content is not None:
        file.write_text(content)
    with pytest.raises(WrongSetting) as refused:
        FileKeyRing(file)
    assert str(file) in str(refused.value)
    assert content is None or content not in str(refused.value)


def test_a_signing_key_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("nothing of the kind")
    with pytest.raises(WrongSetting, match=r"key\.pem"):
        SigningKeys(tmp_path / "key.pem", 600)


@pytest.mark.parametrize(
    ("service", "variable", "value"),
    [
        ("feed", "FEED_PORT", "eighty"),
        ("identity", "IDENTITY_PORT", "eighty"),
        ("identity", "IDENTITY_SIGNING_KEY_FILE", "/dev/null/key.pem"),
        ("identity", "IDENTITY_WRAPPING_KEY_FILE", "/dev/null/key"),
        ("ingest", "INGEST_PORT", "eighty"),
        ("ingest", "INGEST_WRAPPING_KEY_FILE", "/dev/null/key"),
        ("moderation", "MODERATION_PORT", "eighty"),
        ("redactor", "REDACTOR_PORT", "eighty"),
        ("redactor", "REDACTOR_WRAPPING_KEY_FILE", "/dev/null/key"),
    ],
)
def test_a_service_that_is_set_up_wrongly_says_one_sentence_and_fails(
    service: str, variable: str, value: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", f"services.{service}", "serve"]
    (tmp_path / "wrapping_key").write_text(base64.b64encode(bytes(32)).decode())
    right = {f"{service.upper()}_WRAPPING_KEY_FILE": str(tmp_path / "wrapping_key")}
    environment = {**os.environ, **right, variable: value}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 1, ended.stderr
    (sentence,) = ended.stderr.splitlines()
    assert variable in sentence or value in sentence
    assert ended.stdout == ""
