"""Runs the requests of many callers in batches, on one engine, in one thread.

The callers are threads; in the service each of them serves one pixel worker (see `server`). The same code drives the
processor's engines and a graphics card's.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from services.redactor.inference import Engine, Network, Tensor
from services.redactor.inference.gathering import Gathering


@dataclass(frozen=True)
class Answer:
    """What a network said about one request, and how many pictures it was run with."""

    outputs: Sequence[Tensor]
    batch_size: int


@dataclass(frozen=True, eq=False)
class _Request:
    network: str
    batch: Tensor
    answer: "Future[Answer]" = field(default_factory=Future)


class Batcher:
    """Call `serve` in a thread of its own, and `run` from as many others as there are callers.

    `most`: pictures in a batch. `wait_s`: how long a request waits for others at most; while a batch runs, those that
    come meanwhile gather anyway. `clock`: seconds, for tests.
    """

    def __init__(
        self, engine: Engine, *, most: int, wait_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._networks: dict[str, Network] = {}
        self._clock = clock
        self._gathering: Gathering[_Request] = Gathering(most, wait_s)
        self._changed = threading.Condition()
        self._callers = 0
        self._rested = True
        self._open = True

    def enter(self) -> None:
        """One more caller, who may ask at any moment."""
        with self._changed:
            self._callers += 1

    def leave(self) -> None:
        """One caller less: those who wait for nobody else are served."""
        with self._changed:
            self._callers -= 1
            self._changed.notify()

    def run(self, network: str, batch: Tensor) -> Answer:
        """What `network` says about `batch`, as if it had been run alone. Raises what the engine raises."""
        request = _Request(network, batch)
        with self._changed:
            if not self._open:
                raise ConnectionError("the batches are closed")
            self._gathering.add((network, batch.shape[1:]), request, len(batch), self._clock())
            self._changed.notify()
        return request.answer.result()

    def serve(self) -> None:
        """Run batches until `close`. Once nobody is at a picture, the engine gives back what it needed for them: the
        maps of a large one would else stay claimed as long as the process lives."""
        while (requests := self._next()) is not None:
            if requests:
                self._run(requests)
            else:
                self._engine.rest()
            self._rested = not requests

    def close(self) -> None:
        """End `serve` once nothing waits any more."""
        with self._changed:
            self._open = False
            self._changed.notify()

    def look(self) -> None:
        """The clock has moved: for tests, whose clock wakes nobody."""
        with self._changed:
            self._changed.notify()

    def _next(self) -> list[_Request] | None:
        """What to run now; nothing when it is time to rest; None at the end."""
        with self._changed:
            while True:
                now = self._clock()
                requests = self._gathering.due(now, self._callers if self._open else 0)
                if requests:
                    return requests
                if not self._open:
                    return None
                if not self._callers and not self._rested:
                    return []
                until = self._gathering.next_due()
                self._changed.wait(None if until is None else max(0.0, until - now))

    def _run(self, requests: Sequence[_Request]) -> None:
        try:
            network = self._network(requests[0].network)
            sizes = [len(request.batch) for request in requests]
            together = requests[0].batch if len(requests) == 1 else np.concatenate([each.batch for each in requests])
            outputs = network.run(together)
        except Exception as error:  # of whatever kind: it is told to whoever asked
            if len(requests) == 1:
                requests[0].answer.set_exception(error)
                return
            for request in requests:  # one picture's trouble (or a batch too large for the card) is not the others'
                self._run([request])
            return
        start = 0
        for request, size in zip(requests, sizes, strict=True):
            own = [np.ascontiguousarray(each[start : start + size]) for each in outputs]
            request.answer.set_result(Answer(own, sum(sizes)))
            start += size

    def _network(self, name: str) -> Network:
        if name not in self._networks:
            self._networks[name] = self._engine.network(name)
        return self._networks[name]
