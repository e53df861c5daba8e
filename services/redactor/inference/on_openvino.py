"""The processor, by OpenVINO (Apache-2.0): in bfloat16 where the processor has instructions for it.

Measured on one thread of an AMD EPYC (Zen 5), CPU-seconds, ONNX Runtime / OpenVINO in single precision / in bfloat16:
CenterFace 960 x 960: 0.129 / 0.124 / 0.064; PP-OCRv6 detection 960 x 960: 0.246 / 0.200 / 0.089.
"""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from services.redactor.inference import Tensor, model_path, onnx_file

# OpenVINO's converter, which its import brings along, reports its use to its maker by this package when it is there.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402 - after what is blocked above

from services.redactor.inference.rewrites import rewritten  # noqa: E402

KERNELS_KEPT = 150
"""Prepared kernels that a network keeps: one for each of its layers (about a hundred) and size of picture, so that the
usual sizes stay. With the library's own bound of 5,000 a worker that sees every size grows by a megabyte with each."""


class OpenVino:
    """Every model compiled once, for batches and pictures of any size. See `Engine`."""

    def __init__(self, weights: Path) -> None:
        self._weights = weights
        self._networks: list[OpenVinoNetwork] = []
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
            # Pinned, the workers of one machine would all calculate on its first core.
            "ENABLE_CPU_PINNING": False,
            "NUM_STREAMS": 1,
            "CPU_RUNTIME_CACHE_CAPACITY": KERNELS_KEPT,
        }
        path = self.path(name)
        model = rewritten(self._core.read_model(str(path)))
        network = OpenVinoNetwork(self._core.compile_model(model, "CPU", settings), path)
        self._networks.append(network)
        return network

    def rest(self) -> Counter[int]:
        for network in self._networks:
            network.release()
        return Counter()


class OpenVinoNetwork:
    """See `Network`."""

    def __init__(self, compiled: Any, path: Path) -> None:
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._path = path

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        return onnx_file.metadata(self._path)

    def run(self, batch: Tensor) -> Sequence[Tensor]:
        found = self._request.infer([np.ascontiguousarray(batch)], share_inputs=True)
        outputs = [np.array(each) for each in found.values()]
        # Where a worker's address space is used up, OpenVINO may give an empty map and no error.
        if not outputs or any(len(each) != len(batch) or not each.size for each in outputs):
            raise MemoryError("insufficient memory: the engine gave an empty map")
        return outputs

    def release(self) -> None:
        """Give back the memory of maps between layers, up to 200 MB after a radiograph; the next run claims it anew."""
        self._compiled.release_memory()
