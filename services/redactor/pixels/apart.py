"""Work of a native decoder that cannot be trusted to survive broken data, in a forked copy of the process.

GDCM ends its process over some broken JPEG streams (an exception that nobody catches, or worse), and so does pi-heif
over some broken HEIC files. The copy dies in its stead: no models to load again, and the picture is refused like any
other. The copy inherits the limit on memory, and ends with the process that made it, which waits meanwhile.
"""

import contextlib
import ctypes
import json
import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


Work = Callable[[], tuple[bytes | memoryview, dict[str, Any]]]


def apart(work: Work) -> tuple[bytearray, dict[str, Any]]:
    """What `work` gives: bytes, and a few facts as JSON knows them.

    It must not need another thread of this process; what it changes is changed in the copy alone.

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
            start = answers.read(12)
            head = answers.read(int.from_bytes(start[:4], "big"))
            data = bytearray(int.from_bytes(start[4:], "big"))
            whole = answers.readinto(data) == len(data) and len(start) == 12
    finally:
        _, status = os.waitpid(copy, 0)
    if status != 0 or not whole:
        raise ValueError("the decoder crashed")
    facts = json.loads(head)
    if "memory" in facts:
        raise MemoryError
    if "error" in facts:
        raise RuntimeError(facts["error"])
    return data, facts


def _in_the_copy(work: Work, writer: int) -> NoReturn:
    status = 1
    try:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        nowhere = os.open(os.devnull, os.O_WRONLY)  # native decoders remark on what they read
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        data: bytes | memoryview = b""
        facts: dict[str, Any]
        try:
            data, facts = work()
        except MemoryError:
            facts = {"memory": 1}
        except Exception as error:  # told to the parent, which decides
            facts = {"error": str(error)[:500]}
        head = json.dumps(facts).encode()
        for part in (len(head).to_bytes(4, "big") + len(data).to_bytes(8, "big") + head, data):
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(writer, rest) :]
        status = 0
    finally:
        os._exit(status)  # no exit handlers: they are the parent's
