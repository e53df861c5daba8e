"""The processor, by OpenVINO (Apache-2.0): in bfloat16 where the processor has instructions for it.

Measured on one thread of an AMD EPYC (Zen 5), CPU-seconds, ONNX Runtime / OpenVINO in single precision / in bfloat16:
CenterFace 960 x 960: 0.129 / 0.124 / 0.064; PP-OCRv6 detection 960 x 960: 0.246 / 0.200 / 0.089.
"""

import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from services.redactor.inference import Tensor, model_path, onnx_file

# OpenVINO's converter, which its import brings along, reports its use to its maker by this package when it is there.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402 - after what is blocked above

SHAPES_KEPT = 500
"""Prepared kernels that the process keeps (a network has about a hundred layers, and each new size of picture asks for
its own): the library's own bound of 5,000 would let a worker that sees every size grow by hundreds of megabytes."""


class OpenVino:
    """Every model compiled once, for batches and pictures of any size. See `Engine`."""

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        self._core = openvino.Core()
        offers: Any = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precision = "bf16" if "BF16" in offers else "f32"
        self.name = f"openvino {self.precision}"

    def path(self, name: str) -> Path:
        return model_path(self._weights, name)

    def network(self, name: str) -> "OpenVinoNetwork":
        settings = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "CPU_RUNTIME_CACHE_CAPACITY": SHAPES_KEPT,
        }
        path = self.path(name)
        return OpenVinoNetwork(self._core.compile_model(str(path), "CPU", settings), path)


class OpenVinoNetwork:
    """See `Network`."""

    def __init__(self, compiled: Any, path: Path) -> None:
        self._request = compiled.create_infer_request()
        self._path = path

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        return onnx_file.metadata(self._path)

    def run(self, batch: Tensor) -> Sequence[Tensor]:
        found = self._request.infer([np.ascontiguousarray(batch)], share_inputs=True)
        return [np.array(each) for each in found.values()]
