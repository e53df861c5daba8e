"""`python -m services.redactor paint`: the batch goes on, the report tells, the status is right."""

import contextlib
import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from services.redactor.__main__ import app
from services.redactor.command.jobs import jobs_of
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


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    (path := tmp_path / "in" / "a.jpg").parent.mkdir()
    path.write_bytes(pictures.plain_jpeg(32, 32))
    return path


def refused(*arguments: object) -> str:
    """What `paint` says, in one line, when it refuses the arguments; without weights no work can have begun."""
    words = ["paint", *map(str, arguments), "--weights-dir", "none"]
    ended = CliRunner().invoke(app, words, env={"COLUMNS": "2000"})
    assert ended.exit_code == 2, ended.output
    assert isinstance(ended.exception, SystemExit), "a sentence, not a traceback"
    assert "weights" not in ended.output
    return ended.output


def test_a_report_that_cannot_be_written_is_refused_before_any_work(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    for report, why in (
        ("folder", "is a folder"),
        ("file/r.json", f"cannot be written: {tmp_path / 'file'}: "),
        ("pipe", "not a file that can be replaced"),
        ("in/a.jpg", "is one of the pictures"),
    ):
        assert why in refused(picture, "--out", tmp_path / "o", "--report", tmp_path / report), report
    assert not list(tmp_path.rglob("*.part"))


def test_an_out_that_cannot_be_written_is_refused_before_any_work(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    report = tmp_path / "r.json"
    assert "is a file, not a folder" in refused(picture, "--out", tmp_path / "file", "--report", report)
    assert f"cannot be written: {tmp_path / 'file' / 'o'}: " in refused(
        picture, "--out", tmp_path / "file" / "o", "--report", report
    )
    assert "would replace" in refused(picture, "--out", picture.parent, "--report", report)

    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", no_space)
    assert "cannot be written: Read-only file system" in refused(picture, "--out", tmp_path / "o", "--report", report)
    assert not report.exists()


def test_an_input_that_cannot_be_read_is_refused_before_any_work(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = ("--out", tmp_path / "o", "--report", tmp_path / "r.json")
    os.mkfifo(tmp_path / "pipe")
    assert "neither a file nor a folder" in refused(tmp_path / "pipe", *rest)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)  # root may read everything
    assert "is not readable" in refused(picture, *rest)
    assert "is not readable" in refused(picture.parent, *rest)
    assert not (tmp_path / "o").exists()


def test_a_closed_folder_among_the_inputs_is_told_and_not_skipped(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.scandir
    (picture.parent / "closed").mkdir()

    def scandir(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    rest = ["--out", str(tmp_path / "o"), "--report", str(tmp_path / "r.json")]
    ended = CliRunner().invoke(app, ["paint", str(picture.parent), *rest])
    assert ended.exit_code == 1
    assert "closed: Permission denied" in ended.output


def test_no_two_inputs_share_an_output_whatever_their_frames(tmp_path: Path) -> None:
    names = ["a.dcm", "a.png", "a-f0001.png", "a-f0001-png.png", "a-png-f0002.jpg", "b-f0001.png", "a.f0003", "a"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    jobs = jobs_of([tmp_path], tmp_path / "out")
    chosen = {job.name: job.target.name for job in jobs}
    assert chosen.keys() == set(names)
    written = [
        f"{target}{suffix}.jpg"
        for target in chosen.values()
        for suffix in ("", *(f"-f{frame:04d}" for frame in range(4)))
    ]
    assert len(set(written)) == len(written), chosen
    assert chosen["b-f0001.png"] == "b-f0001", "a name that meets no other stays"


@WITH_WEIGHTS
def test_a_frame_and_a_picture_named_like_it_are_both_kept(tmp_path: Path) -> None:
    from pydicom.data import get_testdata_file

    source = tmp_path / "in"
    source.mkdir()
    shutil.copy(str(get_testdata_file("SC_rgb_rle_2frame.dcm")), source / "a.dcm")
    (source / "a-f0001.png").write_bytes(pictures.sixteen_bit_png())
    rest = ["--out", str(tmp_path / "out"), "--report", str(tmp_path / "r.json")]
    ended = CliRunner().invoke(app, ["paint", str(source), *rest])
    assert ended.exit_code == 0, ended.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"a-f0000.jpg", "a-f0001.jpg", "a-f0001-png.jpg"}


@WITH_WEIGHTS
def test_review_kind_and_thresholds_reach_the_pictures(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    shutil.copy(SAMPLES / "photo.jpg", source)
    (source / "letter.jpg").write_bytes(pictures.text_named_jpg())
    rest = ["--out", str(tmp_path / "out"), "--report", str(tmp_path / "r.json"), "--kind", "photo"]
    rest += ["--review", str(tmp_path / "page" / "look.html"), "--threshold", "face=1", "--threshold", "face_small=1"]
    ended = CliRunner().invoke(app, ["paint", str(source), *rest])
    assert ended.exit_code == 1, ended.output
    assert "holds unpainted pictures" in ended.output
    images = {image["file"]: image for image in json.loads((tmp_path / "r.json").read_text())["images"]}
    assert not [region for region in images["photo.jpg"]["regions"] if region["kind"] == "face"]
    assert {"proposals", "stages"} <= images["photo.jpg"].keys()
    page = tmp_path / "page" / "look.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert page.read_text().count("data:image/jpeg;base64,") == 2
    assert "this is not a picture" in page.read_text()
    assert [path.name for path in page.parent.iterdir()] == ["look.html"]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--threshold", "face", "write face= and a number from 0 to 1"),
        ("--threshold", "face=1.2", "write face= and a number from 0 to 1"),
        ("--threshold", "face=nan", "write face= and a number from 0 to 1"),
        ("--threshold", "nose=0.5", "there is no threshold 'nose'; there are face,"),
        ("--kind", "selfie", "'photo', 'wound', 'xray'"),
        ("--engine", "abacus", "'auto', 'openvino', 'onnxruntime', 'cuda'"),
        ("--workers", "0", "greater than or equal to 1"),
        ("--review", "in/a.jpg", "is one of the pictures"),
        ("--review", "r.json", "is asked for by --report too"),
        ("--review", "in", "is a folder, not a file"),
        ("--report", "in", "is a folder, not a file"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_with_a_sentence(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, value: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--out", "o", "--report", "r.json", "--review", "r.html", option, value]  # the last of one kind counts
    assert said in refused(picture, *words)
    assert not list(tmp_path.rglob("*.part"))


def test_missing_weights_get_a_sentence(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(pictures.plain_jpeg(32, 32))
    arguments = ["paint", str(picture), "--out", str(tmp_path / "o"), "--report", str(tmp_path / "r.json")]
    ended = CliRunner().invoke(app, [*arguments, "--weights-dir", str(tmp_path / "none")])
    assert ended.exit_code == 1
    assert "make weights" in ended.output
    assert "Traceback" not in ended.output


@WITH_WEIGHTS
def test_an_engine_that_is_not_installed_gets_a_sentence(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(pictures.plain_jpeg(32, 32))
    arguments = ["paint", str(picture), "--out", str(tmp_path / "o"), "--report", str(tmp_path / "r.json")]
    ended = CliRunner().invoke(app, [*arguments, "--engine", "cuda"])
    assert ended.exit_code == 1
    assert "cuda" in ended.output.lower()
    assert "Traceback" not in ended.output


@WITH_WEIGHTS
def test_a_terminal_gets_a_bar_and_the_name_of_each_file_that_failed(tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_bytes(pictures.text_named_jpg())
    (tmp_path / "a.jpg").write_bytes(pictures.plain_jpeg(64, 64))
    command = [
        sys.executable,
        "-m",
        "services.redactor",
        "paint",
        str(tmp_path / "letter.jpg"),
        str(tmp_path / "a.jpg"),
    ]
    command += ["--out", str(tmp_path / "out"), "--report", str(tmp_path / "r.json")]
    control, terminal = os.openpty()
    said: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(control, said))
    reader.start()
    try:
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=terminal, check=False)
    finally:
        os.close(terminal)
        reader.join()
        os.close(control)
    assert ended.returncode == 1
    shown = b"".join(said).decode()
    assert "2/2" in shown, shown
    assert "letter.jpg: error: not_a_picture" in shown, shown
    assert ended.stdout == b"", "no lines beside the bar"


def _drain(terminal: int, into: list[bytes]) -> None:
    """Read until the other end is closed: a full terminal would hold its writer for ever."""
    with contextlib.suppress(OSError):
        while data := os.read(terminal, 4096):
            into.append(data)
