"""One file at a time through the decoders, in a process of its own with the limits of a real worker.

As a module it is the parent's side. Run as a program it is the process: length and bytes on standard input, one line
of JSON out. It decodes every frame as the redactor does, but searches nothing.
"""

import json
import logging
import os
import resource
import signal
import subprocess
import sys
import warnings
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any

MEMORY_BYTES = 2 * 2**30
"""Of address space: two thirds of a real worker's, which holds the models as well."""

MAX_PIXELS = 60_000_000
SECONDS = 20.0
"""For one file: a third of the real limit, and hundreds of times what a whole picture of this size takes."""


@dataclass(frozen=True)
class Outcome:
    """`kind`: picture, unreadable, or bug. `what`: the shapes, the reason, or what went wrong."""

    kind: str
    what: str

    @property
    def allowed(self) -> bool:
        return self.kind != "bug"


class Target:
    """The process, started when it is needed and again when it has died. Use as a context."""

    def __init__(self, *, seconds: float = SECONDS, memory_bytes: int = MEMORY_BYTES) -> None:
        self._limits = json.dumps([seconds, memory_bytes])
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Target":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def run(self, data: bytes) -> Outcome:
        """What becomes of `data`. A process that dies over it is a bug, whatever killed it."""
        process = self._running()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(len(data).to_bytes(8, "big") + data)
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if line:
            return Outcome(*json.loads(line))
        status = process.wait()
        self._process = None
        name = signal.Signals(-status).name if status < 0 else f"status {status}"
        return Outcome("bug", "hangs" if name == "SIGALRM" else f"the process died: {name}")

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.target", self._limits],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # the native decoders' remarks
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        return self._process


def _decoded(data: bytes) -> Outcome:
    import numpy as np

    from services.redactor.domain import MAX_FRAMES, Unreadable
    from services.redactor.pixels.decode import open_picture

    shapes = []
    try:
        picture = open_picture(data, max_pixels=MAX_PIXELS)
        for frame in picture.frames:
            pixels = frame.shown()
            if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
                return Outcome("bug", f"pixels of {pixels.dtype} {pixels.shape}")
            if pixels.shape[0] * pixels.shape[1] > MAX_PIXELS:
                return Outcome("bug", f"too large: {pixels.shape}")
            shapes.append("x".join(map(str, pixels.shape[1::-1])))
    except Unreadable as refused:
        return Outcome("unreadable", refused.reason.value)
    except BaseException as error:
        import traceback

        return Outcome("bug", "".join(traceback.format_exception(error))[-2000:])
    if len(shapes) != picture.frame_count or len(shapes) > MAX_FRAMES:
        return Outcome("bug", f"{len(shapes)} frames, {picture.frame_count} promised")
    return Outcome("picture", " ".join(shapes))


def _serve(seconds: float, memory_bytes: int) -> None:
    answers: IO[Any] = os.fdopen(os.dup(1), "w")  # decoders that print to standard output are not to be mistaken for us
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    _decoded(b"")  # all imports, before memory is limited
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while head := sys.stdin.buffer.read(8):
        data = sys.stdin.buffer.read(int.from_bytes(head, "big"))
        signal.setitimer(signal.ITIMER_REAL, seconds)
        outcome = _decoded(data)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps([outcome.kind, outcome.what]), file=answers, flush=True)


if __name__ == "__main__":
    _serve(*json.loads(sys.argv[1]))
