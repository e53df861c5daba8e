"""Runs networks: one small interface, three engines behind it, chosen by a setting.

`openvino`: the processor, in bfloat16 where it calculates in that (twice the pictures per CPU-second of single
precision, score maps equal within 0.02). `onnxruntime`: the processor, single precision. `cuda`: a graphics card by
ONNX Runtime. All on one thread: processes, not threads, share the cores, and each has its own memory limit.
"""

import importlib.util
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shared.errors import WrongSetting

Tensor = npt.NDArray[np.float32]
"""Pictures or maps: n x channels x height x width, single precision, contiguous."""

PACKAGED_MODELS = Path(__file__).parents[1] / "models"
"""Models that are part of this package; all others are fetched (see `services.redactor.weights`)."""


class Network(Protocol):
    """One model, ready to run."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the model's makers wrote into its file, for example the letters of a reader."""
        ...

    def run(self, batch: Tensor) -> Sequence[Tensor]:
        """The model's outputs, in the order of its file, for its only input. What comes back is the caller's own:
        the next run does not change it. Pictures of one batch do not change each other's result."""
        ...


class Engine(Protocol):
    """Holds the models of one process."""

    @property
    def name(self) -> str:
        """For reports and benchmarks, for example `openvino bf16`."""
        ...

    def path(self, name: str) -> Path:
        """Where the file of this model lies: for the few that a finder runs by itself."""
        ...

    def network(self, name: str) -> Network:
        """The ONNX model of this file name."""
        ...

    def rest(self) -> Counter[int]:
        """The picture is done: give back what was needed for it only. How many of its requests ran in batches of each
        size with those of others; empty where nothing is shared."""
        ...


class EngineKind(StrEnum):
    """What REDACTOR_ENGINE may say."""

    AUTO = "auto"
    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"
    CUDA = "cuda"


def chosen(kind: EngineKind) -> EngineKind:
    """The engine that `kind` means here. Raises WrongSetting where this installation has none of that kind.

    Loads nothing for the processor's engines, so that a parent process may ask without paying for it.
    """
    if kind is EngineKind.AUTO:
        return EngineKind.OPENVINO if importlib.util.find_spec("openvino") else EngineKind.ONNXRUNTIME
    if kind is EngineKind.OPENVINO and not importlib.util.find_spec("openvino"):
        raise WrongSetting("REDACTOR_ENGINE is openvino, and the package openvino is not installed")
    if kind is EngineKind.CUDA:
        from services.redactor.inference.on_onnxruntime import require_cuda

        require_cuda()
    return kind


def make_engine(kind: EngineKind, weights: Path) -> Engine:
    """An engine with the models of `weights` (complete: see `weights.require`). Raises WrongSetting."""
    kind = chosen(kind)
    if kind is EngineKind.OPENVINO:
        from services.redactor.inference.on_openvino import OpenVino

        return OpenVino(weights)
    from services.redactor.inference.on_onnxruntime import OnnxRuntime

    return OnnxRuntime(weights, cuda=kind is EngineKind.CUDA)


def model_path(weights: Path, name: str) -> Path:
    """The fetched file of that name, or the one that is part of this package."""
    packaged = PACKAGED_MODELS / name
    return packaged if packaged.is_file() else weights / name
