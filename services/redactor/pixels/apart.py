"""Work of a native decoder that cannot be trusted to survive broken data, in a forked copy of the process.

GDCM ends its process over some broken JPEG streams (an exception that nobody catches, or worse). The copy dies in its
stead: no models to load again, and the picture is refused like any other. The copy inherits the limit on memory, and
ends with the process that made it.
"""

import contextlib
import ctypes
import json
import os
import signal
from collections.abc import Callable
from typing import NoReturn

PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


def apart(work: Callable[[], tuple[bytes, dict[str, int | str]]]) -> tuple[bytes, dict[str, int | str]]:
    """What `work` gives: bytes, and a few facts. It must not need a thread of this process, nor change anything in it.

    Raises MemoryError if the copy met one, RuntimeError with the copy's words for every other error, ValueError if it
    died.
    """
    reader, writer = os.pipe()
    copy = os.fork()
    if copy == 0:
        os.close(reader)
        _in_the_copy(work, writer)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as answers:
            length = int.from_bytes(answers.read(4), "big")
            head = answers.read(length)
            data = answers.read()
    finally:
        _, status = os.waitpid(copy, 0)
    if status != 0 or not length or len(head) != length:
        raise ValueError("the decoder crashed")
    facts = json.loads(head)
    if "memory" in facts:
        raise MemoryError
    if "error" in facts:
        raise RuntimeError(facts["error"])
    return data, facts


def _in_the_copy(work: Callable[[], tuple[bytes, dict[str, int | str]]], writer: int) -> NoReturn:
    status = 1
    try:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        nowhere = os.open(os.devnull, os.O_WRONLY)  # native decoders remark on what they read
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        data = b""
        facts: dict[str, int | str]
        try:
            data, facts = work()
        except MemoryError:
            facts = {"memory": 1}
        except Exception as error:  # told to the parent, which decides
            facts = {"error": str(error)[:500]}
        head = json.dumps(facts).encode()
        for part in (len(head).to_bytes(4, "big") + head, data):
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(writer, rest) :]
        status = 0
    finally:
        os._exit(status)  # no exit handlers: they are the parent's
