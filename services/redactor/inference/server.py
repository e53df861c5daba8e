"""The process that owns the engine when all pixel workers share one, and how the service keeps it running.

Pictures are decoded and painted in the workers, behind their limits; this process sees prepared tensors only.
"""

import contextlib
import logging
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import tempfile
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from services.redactor.inference import EngineKind, make_engine, wire
from services.redactor.inference.batching import Batcher
from services.redactor.pixels.memory import tame_heap
from shared.errors import NotNow, WrongSetting

log = logging.getLogger(__name__)

WAITING_CALLERS = 128


@dataclass(frozen=True)
class Sharing:
    """How workers share one engine: at most `most` pictures in a batch, which waits at most `wait_s` for them.

    `grid_px`: sides of tensors are rounded up to it, so that pictures of nearly the same size run together; 32 is what
    the networks need anyway, larger makes fewer shapes and more pixels.
    """

    most: int = 8
    wait_s: float = 0.01
    grid_px: int = 32


class InferenceProcess:
    """Starts the process, says where it listens, and starts another when it has ended. Safe to call from any thread.

    The socket is the parent's and outlives the process behind it: who connects in between waits for the next one.
    """

    def __init__(self, weights: Path, engine: EngineKind, sharing: Sharing) -> None:
        self._weights, self._engine, self._sharing = weights, engine, sharing
        self._directory = Path(tempfile.mkdtemp(prefix="consilium-inference-"))  # for this user alone
        self.address = str(self._directory / "socket")
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listening.bind(self.address)
        self._listening.listen(WAITING_CALLERS)
        self._process: BaseProcess | None = None
        self._starting = threading.Lock()
        self._closed = False
        self.generation = 0
        """How many have been started."""

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._process.pid if self._process is not None and self._process.is_alive() else None

    def ensure(self) -> int:
        """The generation that runs, started here if none does. Raises WrongSetting where its engine cannot be had,
        NotNow where it ended while it started."""
        with self._starting:
            if self.pid is None:
                self._start()
            return self.generation

    def replace(self, generation: int) -> None:
        """Somebody got no answer from that one: end it, unless another has taken its place already."""
        with self._starting:
            if generation == self.generation:
                self._end()
                self._start()

    def close(self) -> None:
        """End the process and take the socket away."""
        with self._starting:
            self._closed = True
            self._end()
            self._listening.close()
            shutil.rmtree(self._directory, ignore_errors=True)

    def _start(self) -> None:
        if self._closed:
            raise NotNow("the inference process is closed")
        if self.generation:
            log.warning("the inference process is started again")
        context = multiprocessing.get_context("forkserver")
        ours, theirs = context.Pipe(duplex=False)
        arguments = (self._listening, self._weights, self._engine, self._sharing, theirs)
        process = context.Process(target=_serve, args=arguments, daemon=True)
        process.start()
        theirs.close()
        self._process = process
        self.generation += 1
        try:
            trouble = ours.recv()
        except EOFError as error:
            raise NotNow("the inference process ended while it started") from error
        finally:
            ours.close()
        if trouble:
            raise WrongSetting(trouble)

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()


def _serve(listening: socket.socket, weights: Path, kind: EngineKind, sharing: Sharing, ready: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold patients' pictures
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    tame_heap()  # else a great picture's maps lie between small blocks, and what `rest` gives back stays claimed
    try:
        engine = make_engine(kind, weights)
    except WrongSetting as error:
        ready.send(str(error))
        return
    batcher = Batcher(engine, most=sharing.most, wait_s=sharing.wait_s)
    threading.Thread(target=_accept, args=(listening, batcher), daemon=True).start()
    ready.send("")
    ready.close()
    batcher.serve()


def _accept(listening: socket.socket, batcher: Batcher) -> None:
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=_converse, args=(connection, batcher), daemon=True).start()


def _converse(connection: socket.socket, batcher: Batcher) -> None:
    """Serve one worker for as long as it is at one picture. A worker that breaks the rules is left alone."""
    batcher.enter()
    try:
        with connection, contextlib.suppress(EOFError, OSError, wire.BadRequest):
            while True:
                message, areas = wire.receive(connection)
                try:
                    wire.send(connection, _answer(message, areas, batcher))
                finally:
                    for area in areas:
                        os.close(area)
    finally:
        batcher.leave()


def _answer(message: dict[str, object], areas: list[int], batcher: Batcher) -> dict[str, object]:
    name, shape = message.get("network"), message.get("shape")
    if not isinstance(name, str) or Path(name).name != name or len(areas) != 1:
        raise wire.BadRequest("no network of that name")
    if not isinstance(shape, list) or len(shape) != 4 or not all(isinstance(side, int) for side in shape):
        raise wire.BadRequest("no shape of a batch")
    (area,) = areas
    try:
        wire.fix_size(area)
        (batch,) = wire.take(area, [tuple(shape)])
    except wire.BadRequest as error:  # a tensor too large for this process: nobody else's trouble, and no lost process
        return {"error": str(error)}
    try:
        answer = batcher.run(name, batch)
    except Exception as error:  # of whatever kind: it is the worker's picture, and the worker says what comes of it
        return {"error": " ".join(f"{type(error).__name__}: {error}".split())[:500]}
    wire.put(area, answer.outputs)
    return {"shapes": [each.shape for each in answer.outputs], "batch_size": answer.batch_size}


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
