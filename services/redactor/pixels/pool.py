"""Pixel work in processes of their own: the event loop is never blocked, and a hostile picture costs only its worker.

Each worker is a pool of one, so that a worker's death is the fault of exactly the picture it was given. Address space
and time are limited by the kernel, since a decoder stuck in C hears nothing else.
"""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import resource
import signal
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from prometheus_client import Histogram

from services.redactor.domain import Reason, Thresholds, Unreadable
from services.redactor.inference import EngineKind, chosen
from services.redactor.inference.server import InferenceProcess, Sharing
from services.redactor.inference.shared import InferenceFailed, InferenceLost, SharedEngine
from services.redactor.pixels.memory import out_of_memory, tame_heap, trim
from services.redactor.pixels.redact import Redacted, Redactor
from services.redactor.weights import require
from shared.errors import NotNow
from shared.events import Box, PictureKind, Region

log = logging.getLogger(__name__)

TRIES = 2
"""A picture that kills its worker this often is unreadable; once may be the machine's fault (the OOM killer's)."""

PICTURES_PER_WORKER = 500
"""Then the worker is replaced: whatever a native library leaked goes with it."""

FRAME_TIME = 0.1
"""What each further frame of a file adds to its time limit: 50 frames get six times as long as one."""

Boxes = Mapping[int, Sequence[Region]]
Clinical = Mapping[int, Sequence[Box]]
T = TypeVar("T")
Allow = Callable[[int], None]
"""Told the number of frames, gives that much time."""
Work = Callable[[Redactor, Allow], T]
"""What a worker can be given: to be pickled, as is what comes back."""


@dataclass(frozen=True)
class Limits:
    """What one picture may cost. `memory_bytes` is address space of a worker.

    Measured in bfloat16: 0.9 GB of it idle (290 MB resident), 2.3 GB with a colour picture of 60 megapixels (1.4 GB
    resident), 2.8 GB with a 16-bit one (1.8 GB resident); afterwards 1.4 GB (0.44 GB resident). Single precision needs
    0.3 GB more.
    """

    time_s: float = 120.0  # a photo takes about 2 s of a quiet core
    memory_bytes: int = 3584 * 2**20
    max_pixels: int = 60_000_000


BATCH_SIZE = Histogram(
    "redactor_batch_pictures",
    "Pictures in the batch that a network's run had, one count for each request (shared inference only).",
    buckets=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32),
)


@dataclass(frozen=True)
class _SharedAt:
    """What a worker must know of the process that runs the networks."""

    address: str
    grid_px: int


class PixelPool:
    """Redacts in `workers` processes. Open it before use, close it at the end; a broken worker is replaced.

    Each worker runs the networks itself, or, with `sharing`, all send their tensors to one process that runs them in
    batches; one that ends is replaced as well.

    Raises at once, not in the worker where nobody would see it: WeightsMissing where the weights are not there,
    WrongSetting where this installation has no such engine.
    """

    def __init__(
        self,
        weights_dir: Path,
        *,
        workers: int,
        limits: Limits | None = None,
        thresholds: Thresholds | None = None,
        engine: EngineKind = EngineKind.AUTO,
        sharing: Sharing | None = None,
    ) -> None:
        self._weights_dir = require(weights_dir)
        self._engine = chosen(engine)
        self._sharing = sharing
        self._inference = InferenceProcess(self._weights_dir, self._engine, sharing) if sharing else None
        self._limits = limits or Limits()
        self._thresholds = thresholds or Thresholds()
        self.workers = workers
        self._idle: asyncio.LifoQueue[ProcessPoolExecutor] = asyncio.LifoQueue()  # the warm one first
        self._all: set[ProcessPoolExecutor] = set()
        for _ in range(workers):
            self._idle.put_nowait(self._new_worker())

    async def redact(
        self,
        data: bytes,
        boxes: Boxes | None = None,
        kind: PictureKind | None = None,
        *,
        clinical: Clinical | None = None,
    ) -> Redacted:
        """`Redactor.redact` in a worker, when one is free. Raises Unreadable, for a bad picture nothing else; NotNow
        where the process that all workers share is away."""
        return await self.run(partial(_redact, data=data, boxes=boxes, kind=kind, clinical=clinical))

    async def run(self, work: Work[T]) -> T:
        """`work` in a worker, when one is free, behind the limits of a picture. Raises what `redact` raises."""
        reason = Reason.DECODER_FAILED
        lost: Exception | None = None
        for _ in range(TRIES):
            generation = await asyncio.to_thread(self._inference.ensure) if self._inference else 0
            worker = await self._idle.get()
            began = time.monotonic()
            try:
                call = worker.submit(_limited, work, self._limits.time_s)
                result, batch_sizes = await asyncio.wrap_future(call)
            except BrokenProcessPool:
                late = time.monotonic() - began >= self._limits.time_s
                reason = Reason.TIME_LIMIT if late else Reason.DECODER_FAILED
                log.warning("a picture ended its worker process: %s", "time limit" if late else "killed or crashed")
                self._discard(worker)
                worker = self._new_worker()
            except (InferenceLost, InferenceFailed) as error:
                log.warning("the inference process gave no answer: %s", error)
                lost = error
                assert self._inference is not None
                await asyncio.to_thread(self._inference.replace, generation)
            else:
                for size, requests in batch_sizes.items():
                    for _ in range(requests):
                        BATCH_SIZE.observe(size)
                return result
            finally:
                self._idle.put_nowait(worker)
        if lost is not None:
            # Not the picture's fault as far as anybody can tell: nobody is told that it cannot be read.
            raise NotNow(f"no answer from {TRIES} inference processes") from lost
        raise Unreadable(reason, f"ended {TRIES} worker processes")

    async def warm_up(self) -> None:
        """Start every worker and let it load its models: the first picture should not wait for that. Raises
        WrongSetting where the shared engine cannot be had, for example for want of a graphics card."""
        if self._inference:
            await asyncio.to_thread(self._inference.ensure)
        await asyncio.gather(*(asyncio.wrap_future(worker.submit(os.getpid)) for worker in self._all))

    async def check(self) -> None:
        """For readiness. A broken worker is replaced when the next picture meets it, so only none at all is trouble."""
        if not self._all:
            raise NotNow("the pixel workers are closed")

    @property
    def pids(self) -> list[int]:
        """Of the workers' processes, as far as they are started."""
        return [process for worker in self._all for process in (worker._processes or {})]

    def close(self) -> None:
        """End all workers, also one that is at work: a half-done picture has left nothing behind."""
        for worker in list(self._all):
            self._discard(worker)
        if self._inference:
            self._inference.close()

    @property
    def _at(self) -> "_SharedAt | None":
        if self._inference is None or self._sharing is None:
            return None
        return _SharedAt(self._inference.address, self._sharing.grid_px)

    def _new_worker(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        worker = ProcessPoolExecutor(
            max_workers=1,
            mp_context=context,
            initializer=_start,
            initargs=(self._weights_dir, self._thresholds, self._limits, self._engine, self._at),
            max_tasks_per_child=PICTURES_PER_WORKER,
        )
        self._all.add(worker)
        return worker

    def _discard(self, worker: ProcessPoolExecutor) -> None:
        self._all.discard(worker)
        for process in list((worker._processes or {}).values()):
            with contextlib.suppress(ProcessLookupError, ValueError):
                process.kill()
        worker.shutdown(wait=True, cancel_futures=True)  # short, now that the process is gone; frees its pipes


_redactor: Redactor | None = None


def _start(
    weights_dir: Path, thresholds: Thresholds, limits: Limits, kind: EngineKind, shared: _SharedAt | None
) -> None:
    global _redactor
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    # Decoders quote what they stumble over, and that may be a name out of a header.
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    tame_heap()
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold a patient's picture
    engine = SharedEngine(weights_dir, shared.address, shared.grid_px) if shared else kind
    with _native_chatter_hushed():
        _redactor = Redactor(weights_dir, thresholds, max_pixels=limits.max_pixels, engine=engine)


@contextlib.contextmanager
def _native_chatter_hushed() -> Iterator[None]:
    """LiteRT greets on standard error from native code, in the middle of structured logs or a progress bar."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


def _leave_with_parent() -> None:
    """A parent that is killed cannot close its pool; without this its workers would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _redact(
    redactor: Redactor,
    allow: Allow,
    *,
    data: bytes,
    boxes: Boxes | None,
    kind: PictureKind | None,
    clinical: Clinical | None,
) -> Redacted:
    return redactor.redact(data, boxes, kind, allow, clinical)


def _limited(work: Work[T], time_limit_s: float) -> tuple[T, Counter[int]]:
    """What `work` gives, and how many of its requests ran in batches of each size."""
    assert _redactor is not None

    def allow(frame_count: int) -> None:
        # The default action of SIGALRM ends the process, wherever in native code it is.
        signal.setitimer(signal.ITIMER_REAL, time_limit_s * (1 + FRAME_TIME * (frame_count - 1)))

    allow(1)
    try:
        return work(_redactor, allow), _redactor.engine.rest()
    # The pool sends an error's history along, as text, and a decoder's words may be a name: none leaves the worker.
    except MemoryError:
        raise Unreadable(Reason.MEMORY_LIMIT) from None
    except Unreadable as error:
        raise Unreadable(error.reason, error.detail) from None
    except InferenceLost:
        raise
    except InferenceFailed as error:
        if out_of_memory(error):
            raise Unreadable(Reason.MEMORY_LIMIT) from None
        raise
    except Exception as error:
        if out_of_memory(error):
            raise Unreadable(Reason.MEMORY_LIMIT) from None
        raise Unreadable(Reason.DECODER_FAILED, type(error).__name__) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _redactor.engine.rest()
        trim()
