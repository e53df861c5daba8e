"""An address of MongoDB or of the object store that is none ends a command with a sentence, and shows no password."""

import pytest
import typer
from typer.testing import CliRunner

from deploy.local.__main__ import cli as platform
from deploy.local.__main__ import main
from services.feed.__main__ import cli as feed
from services.moderation.__main__ import cli as moderation

PASSWORD = "p@ss:word"


@pytest.mark.parametrize(
    ("cli", "words", "variable", "value"),
    [
        (moderation, ["serve"], "MODERATION_MONGO_URI", f"mongodb://moderation:{PASSWORD}@mongo:27017"),
        (moderation, ["audit", "c"], "MODERATION_MONGO_URI", f"mongodb://moderation:{PASSWORD}@mongo:27017"),
        (moderation, ["serve"], "MODERATION_S3_ENDPOINT", "http://store:8333"),
        (feed, ["serve"], "FEED_MONGO_URI", f"mongodb://feed:{PASSWORD}@mongo:x"),
        (feed, ["rebuild"], "FEED_MONGO_URI", f"mongodb://feed:{PASSWORD}@mongo:x"),
        (feed, ["serve"], "FEED_S3_ENDPOINT", "store/bucket"),
    ],
)
def test_a_wrong_address_is_told_in_a_sentence(
    cli: typer.Typer, words: list[str], variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    ended = CliRunner().invoke(cli, words)
    assert ended.exit_code == 1
    assert isinstance(ended.exception, SystemExit), "not a traceback"
    assert variable.partition("_")[2] in ended.stderr
    assert PASSWORD not in ended.stderr


def test_a_folder_that_cannot_be_one_is_told_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := tmp_path_factory.mktemp("data") / "file").write_text("no folder")
    with pytest.raises(SystemExit) as ended:
        main(lambda: platform(["clean-data", "--data-dir", str(file)], standalone_mode=False))
    assert ended.value.code == 1
    assert capsys.readouterr().err.strip().endswith("Not a directory.")
