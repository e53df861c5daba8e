"""Engines: the same networks give the same maps whatever runs them, and what is not installed is told."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import onnxruntime
import pytest

from services.redactor.inference import Engine, EngineKind, Tensor, chosen, make_engine, onnx_file
from services.redactor.inference.on_openvino import OpenVino, OpenVinoNetwork
from services.redactor.weights import (
    CENTERFACE,
    DEFAULT_DIRECTORY,
    TEXT_BOTH_WAYS,
    TEXT_DETECTION,
    TEXT_RECOGNITION,
    missing,
)
from shared.errors import WrongSetting
from tests import pictures

needs_weights = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)
KINDS = (EngineKind.OPENVINO, EngineKind.ONNXRUNTIME)


@pytest.fixture(scope="module")
def engines() -> dict[EngineKind, Engine]:
    return {kind: make_engine(kind, DEFAULT_DIRECTORY) for kind in KINDS}


def some_pictures(count: int, height: int, width: int) -> Tensor:
    generator = np.random.default_rng(7)
    rough = generator.uniform(-1, 1, (count, 3, height // 32, width // 32))
    return np.ascontiguousarray(rough.repeat(32, axis=2).repeat(32, axis=3), np.float32)


@needs_weights
@pytest.mark.parametrize("name", [CENTERFACE, TEXT_BOTH_WAYS])
def test_score_maps_of_the_engines_agree(engines: dict[EngineKind, Engine], name: str) -> None:
    batch = some_pictures(1, 160, 224) * (100 if name == CENTERFACE else 1)
    one, other = (engines[kind].network(name).run(batch)[0] for kind in KINDS)
    assert one.shape == other.shape
    assert np.abs(one - other).max() < 0.02


@needs_weights
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_gives_what_its_pictures_give_one_by_one(engines: dict[EngineKind, Engine], kind: EngineKind) -> None:
    network = engines[kind].network(TEXT_BOTH_WAYS)
    batch = some_pictures(3, 96, 128)
    together = network.run(batch)[0]
    alone = np.concatenate([network.run(batch[index : index + 1])[0] for index in range(3)])
    assert np.abs(together - alone).max() < 0.02


@needs_weights
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_run_gave_is_not_changed_by_the_next(engines: dict[EngineKind, Engine], kind: EngineKind) -> None:
    network = engines[kind].network(TEXT_BOTH_WAYS)
    first = network.run(some_pictures(1, 96, 128))[0]
    kept = first.copy()
    network.run(some_pictures(1, 96, 128)[:, ::-1] * 0.5)
    assert np.array_equal(first, kept)


@needs_weights
@pytest.mark.parametrize("kind", KINDS)
def test_the_letters_of_the_reader_are_told_by_its_file(engines: dict[EngineKind, Engine], kind: EngineKind) -> None:
    path = engines[kind].path(TEXT_RECOGNITION)
    told = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).get_modelmeta()
    assert dict(engines[kind].network(TEXT_RECOGNITION).metadata) == told.custom_metadata_map


def test_a_file_that_is_no_model_has_no_letters(tmp_path: Path) -> None:
    path = tmp_path / "letters.onnx"
    path.write_bytes(pictures.text_named_jpg() * 3)
    with pytest.raises(ValueError, match="field"):
        onnx_file.metadata(path)


def test_an_engine_that_is_not_installed_is_told_by_the_name_of_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WrongSetting, match="REDACTOR_ENGINE is openvino"):
        chosen(EngineKind.OPENVINO)
    assert chosen(EngineKind.AUTO) is EngineKind.ONNXRUNTIME


def test_a_build_without_cuda_is_told_before_any_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(WrongSetting, match="onnxruntime-gpu"):
        chosen(EngineKind.CUDA)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this build can use a graphics card"
)
@needs_weights
def test_the_pool_refuses_an_engine_that_is_not_there() -> None:
    from services.redactor.pixels.pool import PixelPool

    with pytest.raises(WrongSetting, match="CUDA"):
        PixelPool(DEFAULT_DIRECTORY, workers=1, engine=EngineKind.CUDA)


def test_what_openvino_would_report_with_is_never_loaded() -> None:
    """In a process of its own: nothing else has loaded it there."""
    script = (
        "import sys, services.redactor.inference.on_openvino\n"
        "sys.exit(any(name.startswith('openvino_telemetry') and module for name, module in sys.modules.items()))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@needs_weights
def test_a_rest_gives_back_the_memory_of_a_great_picture() -> None:
    """In a process of its own, whose memory nothing else moves."""
    script = (
        "import sys, numpy, psutil\n"
        "from pathlib import Path\n"
        "from services.redactor.inference import EngineKind, make_engine\n"
        "engine = make_engine(EngineKind.OPENVINO, Path(sys.argv[1]))\n"
        "network = engine.network(sys.argv[2])\n"
        "network.run(numpy.zeros((1, 3, 1600, 1600), numpy.float32))\n"
        "used = psutil.Process().memory_info().rss\n"
        "engine.rest()\n"
        "print((used - psutil.Process().memory_info().rss) // 2**20)\n"
        "network.run(numpy.zeros((1, 3, 64, 64), numpy.float32))\n"
    )
    command = [sys.executable, "-c", script, str(DEFAULT_DIRECTORY), TEXT_DETECTION]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(done.stdout) > 40


@pytest.mark.parametrize("given", [[], [np.empty((0, 1, 0, 0), np.float32)], [np.empty((1, 1, 0, 7), np.float32)]])
def test_an_empty_map_is_want_of_memory_and_not_a_picture_without_findings(given: list[Tensor]) -> None:
    """OpenVINO gives one, and no error, where it may claim no more memory."""
    network = OpenVinoNetwork(mock.Mock(), Path("none"))
    network._request.infer.return_value = dict(enumerate(given))
    with pytest.raises(MemoryError, match="insufficient memory"):
        network.run(some_pictures(1, 32, 32))


@needs_weights
def test_no_worker_is_tied_to_one_core() -> None:
    """Else the workers of one machine all calculate on its first core, and two are no faster than one."""
    network = OpenVino(DEFAULT_DIRECTORY).network(CENTERFACE)
    network.run(some_pictures(1, 64, 64))
    assert network._request.get_compiled_model().get_property("ENABLE_CPU_PINNING") is False
