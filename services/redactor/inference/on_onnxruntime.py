"""ONNX Runtime (MIT): the processor in single precision, or a graphics card by its CUDA provider."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from services.redactor.inference import Tensor, model_path, onnx_file
from shared.errors import WrongSetting

# It sends usage data to its maker unless this is set before it is imported; pictures stay, and so do counts.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

CUDA = "CUDAExecutionProvider"


def require_cuda() -> None:
    """Raises WrongSetting where the installed build cannot use a graphics card at all."""
    if CUDA not in onnxruntime.get_available_providers():
        raise WrongSetting(
            "REDACTOR_ENGINE is cuda, and the installed onnxruntime has no CUDA provider: "
            "the image must be built with onnxruntime-gpu (see docs/operations.md)"
        )


class OnnxRuntime:
    """See `Engine`."""

    def __init__(self, weights: Path, *, cuda: bool = False) -> None:
        if cuda:
            require_cuda()
            onnxruntime.preload_dlls()  # CUDA's libraries, where they were installed as packages
        self._weights = weights
        self._cuda = cuda
        self.name = "onnxruntime cuda" if cuda else "onnxruntime cpu f32"

    def path(self, name: str) -> Path:
        return model_path(self._weights, name)

    def network(self, name: str) -> "OnnxNetwork":
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # The arena never gives memory back; with pictures of all sizes it would grow to the sum of them.
        options.enable_cpu_mem_arena = False
        path = self.path(name)
        # No processor behind the card: a card that is missing must be told, not make everything thirty times slower.
        providers = [CUDA] if self._cuda else ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        if self._cuda and CUDA not in session.get_providers():
            raise WrongSetting("REDACTOR_ENGINE is cuda, and no graphics card answers (driver, CUDA, device plugin?)")
        return OnnxNetwork(session, path)

    def rest(self) -> Counter[int]:
        return Counter()  # without an arena it has given everything back


class OnnxNetwork:
    """See `Network`."""

    def __init__(self, session: Any, path: Path) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        self._path = path

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        return onnx_file.metadata(self._path)

    def run(self, batch: Tensor) -> Sequence[Tensor]:
        outputs: Sequence[Tensor] = self._session.run(None, {self._input: batch})
        return outputs
