"""The narrower text network begins where the taught one is: each change on PP-OCRv6's own file, without PyTorch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import openvino
import pytest

from services.redactor.inference import EngineKind, make_engine
from services.redactor.weights import CENTERFACE, DEFAULT_DIRECTORY, TEXT_DETECTION, missing
from training.text import narrow

pytestmark = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)

Map = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def picture() -> Map:
    """Lettering of several sizes on a shaded ground: 1 x 3 x 256 x 320."""
    ground = np.add.outer(np.linspace(20, 90, 256), np.linspace(0, 60, 320))
    pixels = np.repeat(ground.astype(np.uint8)[..., np.newaxis], 3, axis=2)
    for row, (words, size) in enumerate((("MARIE DUPONT", 0.9), ("12.03.1961", 0.7), ("4711 0815", 0.5))):
        cv2.putText(pixels, words, (20, 60 + 80 * row), cv2.FONT_HERSHEY_SIMPLEX, size, (230, 230, 230), 2)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[np.newaxis], np.float32) / 127.5 - 1


@pytest.fixture(scope="module")
def before(picture: Map) -> Map:
    return seen(DEFAULT_DIRECTORY / TEXT_DETECTION, picture)


def seen(network: Path, picture: Map) -> Map:
    compiled = openvino.Core().compile_model(str(network), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled([picture])[0])


def changed(change: Callable[[narrow.Graph], None], target: Path) -> Path:
    graph = narrow.Graph(DEFAULT_DIRECTORY / TEXT_DETECTION)
    change(graph)
    graph.write(target)
    return target


def agreement(one: Map, other: Map) -> float:
    """Of the pixels that either takes for lettering, the part that both do."""
    here, there = one > 0.3, other > 0.3
    assert here.any()
    return float((here & there).sum() / (here | there).sum())


def test_the_lettering_of_the_picture_is_seen(before: Map) -> None:
    assert (before > 0.3).mean() > 0.02


@pytest.mark.parametrize(("width", "all_of_it", "change"), [("STEM", 24, "_stem"), ("FINEST", 96, "_finest")])
def test_with_every_channel_kept_the_map_is_the_same(
    width: str, all_of_it: int, change: str, before: Map, picture: Map, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrow, width, all_of_it)

    after = seen(changed(getattr(narrow, change), tmp_path / "same.onnx"), picture)

    assert np.abs(after - before).max() < 1e-3


@pytest.mark.parametrize("change", ["_swish", "_head"])
def test_what_is_calculated_otherwise_gives_nearly_the_same_map(
    change: str, before: Map, picture: Map, tmp_path: Path
) -> None:
    after = seen(changed(getattr(narrow, change), tmp_path / "near.onnx"), picture)

    assert np.abs(after - before).max() > 0
    assert agreement(after, before) > 0.8


@pytest.mark.parametrize("growth", [1, 2, 4, 8])
def test_a_kernel_for_the_small_map_gives_the_mean_of_what_it_gave_on_the_enlarged_one(growth: int) -> None:
    rng = np.random.default_rng(growth)
    kernel = rng.normal(size=(1, 1, 3, 3)).astype(np.float32)
    small = rng.normal(size=(9, 11)).astype(np.float32)
    large = np.kron(small, np.ones((growth, growth), np.float32))

    on_large = cv2.filter2D(large, -1, kernel[0, 0], borderType=cv2.BORDER_CONSTANT)
    on_small = cv2.filter2D(small, -1, narrow._of_enlarged(kernel, growth)[0, 0], borderType=cv2.BORDER_CONSTANT)

    mean = on_large.reshape(9, growth, 11, growth).mean(axis=(1, 3))
    assert np.allclose(on_small, mean, atol=1e-4)


def test_the_narrower_file_runs_on_both_engines_and_is_narrower(picture: Map, tmp_path: Path) -> None:
    narrow.narrow(DEFAULT_DIRECTORY / TEXT_DETECTION, tmp_path / "narrower.onnx")

    sides = {each.name: tuple(each.dims) for each in onnx.load(str(tmp_path / "narrower.onnx")).graph.initializer}
    assert sides["stem.pooled.w_0"] == sides["stem.last.w_0"] == (24, narrow.STEM, 3, 3)
    assert sides["neck.narrower.w_0"] == (narrow.FINEST, 96, 1, 1)
    assert not any(node.op_type == "Erf" for node in onnx.load(str(tmp_path / "narrower.onnx")).graph.node)
    by_onnxruntime: Any = make_engine(EngineKind.ONNXRUNTIME, tmp_path).network("narrower.onnx").run(picture)[0]
    assert by_onnxruntime.shape == (1, 1, 256, 320)
    assert np.abs(by_onnxruntime - seen(tmp_path / "narrower.onnx", picture)).max() < 1e-3


def test_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the graph has no"):
        narrow.narrow(DEFAULT_DIRECTORY / CENTERFACE, tmp_path / "narrower.onnx")
