"""The engine that a pixel worker has when all share one: it sends its tensors to the inference process.

A worker is connected while it is at a picture, and only then: who is connected is waited for when a batch forms.
"""

import math
import os
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from services.redactor.inference import Tensor, model_path, onnx_file, wire

ANSWER_WITHIN_S = 60.0
"""Longer, and the process is taken for stuck: far above the largest picture, below a picture's time limit."""

NETWORK_GRID_PX = 32


class InferenceLost(Exception):
    """The inference process ended or gives no answer: not the picture's fault, to be tried again with another."""


class InferenceFailed(Exception):
    """The engine could not run this tensor; the message is the engine's."""


class SharedEngine:
    """See `Engine`. `address`: the socket of `server.InferenceProcess`; `grid_px`: see `server.Sharing`."""

    name = "shared"

    def __init__(self, weights: Path, address: str, grid_px: int = 32) -> None:
        self._weights, self._address, self.grid_px = weights, address, grid_px
        self._connection: socket.socket | None = None
        self._area: int | None = None
        self.batch_sizes: Counter[int] = Counter()
        """How many requests ran in batches of each size, since `rest`."""

    def path(self, name: str) -> Path:
        return model_path(self._weights, name)

    def network(self, name: str) -> "SharedNetwork":
        return SharedNetwork(self, name)

    def ask(self, network: str, batch: Tensor) -> list[Tensor]:
        """Raises InferenceLost, InferenceFailed."""
        try:
            if self._connection is None:
                self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                self._connection.settimeout(ANSWER_WITHIN_S)
                self._connection.connect(self._address)
            if self._area is None:
                self._area = wire.new_area()
            wire.put(self._area, [batch])
            wire.send(self._connection, {"network": network, "shape": batch.shape}, self._area)
            answer, _ = wire.receive(self._connection)
            if "error" in answer:
                raise InferenceFailed(answer["error"])
            self.batch_sizes[answer["batch_size"]] += 1
            return wire.take(self._area, [tuple(shape) for shape in answer["shapes"]])
        except (OSError, EOFError) as error:
            self.rest()
            raise InferenceLost(type(error).__name__) from error
        except wire.BadRequest as error:
            self.rest()  # what else stands in the memory, or follows on the socket, is not known any more
            raise InferenceFailed(str(error)) from error

    def rest(self) -> Counter[int]:
        """Also: nobody waits for this worker any more when a batch forms."""
        if self._connection is not None:
            self._connection.close()
        if self._area is not None:
            os.close(self._area)
        self._connection = self._area = None
        sizes, self.batch_sizes = self.batch_sizes, Counter()
        return sizes


class SharedNetwork:
    """See `Network`."""

    def __init__(self, engine: SharedEngine, name: str) -> None:
        self._engine, self._name = engine, name

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        return onnx_file.metadata(self._engine.path(self._name))

    def run(self, batch: Tensor) -> Sequence[Tensor]:
        grown = on_coarse_grid(batch, self._engine.grid_px)
        return [cut_back(each, grown.shape, batch.shape) for each in self._engine.ask(self._name, grown)]


def on_coarse_grid(batch: Tensor, grid_px: int) -> Tensor:
    """The batch with pixels added right and below, as dark as its darkest, up to multiples of `grid_px`.

    Only pictures whose sides stand on the networks' own grid of 32: a reader's line of 48 pixels must stay one.
    """
    height, width = batch.shape[2:]
    down, across = -height % grid_px, -width % grid_px
    if height % NETWORK_GRID_PX or width % NETWORK_GRID_PX or not (down or across):
        return batch
    # Black is the lowest value that pixels have, whatever a network's scale; of a picture without black, its darkest.
    return np.pad(batch, ((0, 0), (0, 0), (0, down), (0, across)), constant_values=float(batch.min()))


def cut_back(output: Tensor, grown: Sequence[int], wanted: Sequence[int]) -> Tensor:
    """A map of the grown picture cut to the picture; outputs that are no maps of it stay as they are."""
    if output.ndim != 4 or tuple(grown) == tuple(wanted):
        return output
    stride = grown[2] // output.shape[2]
    if output.shape[2] * stride != grown[2] or output.shape[3] * stride != grown[3]:
        return output
    high, wide = math.ceil(wanted[2] / stride), math.ceil(wanted[3] / stride)
    return np.ascontiguousarray(output[:, :, :high, :wide])
