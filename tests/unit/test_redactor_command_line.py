"""`python -m services.redactor paint`: the batch goes on, the report tells, the status is right."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from services.redactor.__main__ import app
from services.redactor.weights import DEFAULT_DIRECTORY, missing
from tests import pictures

SAMPLES = Path(__file__).parents[1] / "samples" / "pictures"
WITH_WEIGHTS = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)


@WITH_WEIGHTS
def test_a_batch_with_a_bad_file_paints_the_rest_and_ends_with_one(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "ward").mkdir(parents=True)
    (source / "ward" / "letter.jpg").write_bytes(pictures.text_named_jpg())
    (source / "ward" / "shot.png").write_bytes(pictures.sixteen_bit_png())
    (source / "shot.jpg").write_bytes(pictures.plain_jpeg(96, 64))
    (source / "shot.gif").write_bytes(pictures.animated_gif())
    command = [sys.executable, "-m", "services.redactor", "paint", str(source)]
    command += ["--out", str(tmp_path / "out"), "--report", str(tmp_path / "report.json")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert "[4/4]" in ended.stdout
    assert "\x1b" not in ended.stdout
    images = {image["file"]: image for image in json.loads((tmp_path / "report.json").read_text())["images"]}
    assert images["ward/letter.jpg"]["error"] == "not_a_picture"
    assert images["ward/shot.png"]["output"] == "ward/shot.jpg"
    assert images["shot.gif"]["notes"] == ["first_frame_of:5"]
    outputs = {image["output"] for image in images.values() if "output" in image}
    assert len(outputs) == 3, "two files of one stem must not overwrite each other"
    for image in images.values():
        if "output" in image:
            assert Image.open(tmp_path / "out" / image["output"]).size == (image["width"], image["height"])
            assert {"frame", "seconds", "regions", "residual"} <= image.keys()


@WITH_WEIGHTS
def test_each_frame_of_a_file_gets_a_picture_of_its_own(tmp_path: Path) -> None:
    from pydicom.data import get_testdata_file

    arguments = ["paint", str(get_testdata_file("SC_rgb_rle_2frame.dcm")), "--out", str(tmp_path / "out")]
    ended = subprocess.run(
        [sys.executable, "-m", "services.redactor", *arguments, "--report", str(tmp_path / "report.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["SC_rgb_rle_2frame-f0000.jpg", "SC_rgb_rle_2frame-f0001.jpg"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["paint"],
        ["paint", "nowhere.jpg", "--out", "o", "--report", "r.json"],
        ["paint", "README.md", "--out", "o"],
        ["paint", "README.md", "--out", "README.md", "--report", "r.json"],
        ["scrub"],
    ],
)
def test_wrong_arguments_get_the_usage_and_status_two(arguments: list[str]) -> None:
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 2
    assert "Usage" in ended.output


def test_missing_weights_get_a_sentence(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(pictures.plain_jpeg(32, 32))
    arguments = ["paint", str(picture), "--out", str(tmp_path / "o"), "--report", str(tmp_path / "r.json")]
    ended = CliRunner().invoke(app, [*arguments, "--weights-dir", str(tmp_path / "none")])
    assert ended.exit_code == 1
    assert "make weights" in ended.output
    assert "Traceback" not in ended.output
