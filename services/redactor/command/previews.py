"""Small upright copies of original pictures for the review page, made in a process of their own.

A decoder that a hostile picture crashes must not take the batch with it, and the pixel workers never hand an original
out. The process is told pictures and answers on its pipes; when they close it ends.
"""

import asyncio
import contextlib
import os
import resource
import struct
import sys
import warnings
from typing import BinaryIO

from services.redactor.domain import Unreadable

SIDE_PX = 1280
QUALITY = 85
TIME_LIMIT_S = 120.0
MEMORY_BYTES = 3 * 2**30
_LENGTH = struct.Struct(">Q")


class Previews:
    """Asks the process, starts it when it is first needed or has died. One picture at a time."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def of(self, data: bytes) -> list[bytes]:
        """A JPEG of every frame, longest side at most `SIDE_PX`; fewer, or none, where a frame cannot be shown."""
        async with self._turn:
            try:
                return await asyncio.wait_for(self._asked(data), TIME_LIMIT_S)
            except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
                await self._end()
                return []

    async def close(self) -> None:
        """End the process."""
        async with self._turn:
            await self._end()

    async def _asked(self, data: bytes) -> list[bytes]:
        if self._process is None:
            command = [sys.executable, "-m", __name__, str(self._max_pixels)]
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        into.write(_LENGTH.pack(len(data)) + data)
        await into.drain()
        shots: list[bytes] = []
        while length := _LENGTH.unpack(await out.readexactly(_LENGTH.size))[0]:
            shots.append(await out.readexactly(length))
        return shots

    async def _end(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None


def answer(pictures: BinaryIO, shots: BinaryIO, max_pixels: int) -> None:
    """For each picture read (length, bytes) write a JPEG of each frame (length, bytes) and a length of zero."""
    while header := pictures.read(_LENGTH.size):
        data = pictures.read(_LENGTH.unpack(header)[0])
        with contextlib.suppress(Unreadable):  # the page says that there is no picture, and the report why
            for shot in _shots(data, max_pixels):
                shots.write(_LENGTH.pack(len(shot)) + shot)
        shots.write(_LENGTH.pack(0))
        shots.flush()


def _shots(data: bytes, max_pixels: int) -> "list[bytes]":
    import numpy as np
    import simplejpeg

    from services.redactor.detectors import scaled
    from services.redactor.pixels.decode import open_picture

    made = []
    for frame in open_picture(data, max_pixels=max_pixels).frames:
        small, _ = scaled(frame.shown(), SIDE_PX)
        made.append(bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(small), quality=QUALITY)))
    return made


def main() -> None:
    """The process: as little memory and as few words as the pixel workers have."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold a patient's picture
    warnings.simplefilter("ignore")
    replies = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)  # decoders quote what they stumble over, and that may be a name
    answer(sys.stdin.buffer, replies, int(sys.argv[1]))


if __name__ == "__main__":
    main()
