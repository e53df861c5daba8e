"""A ZIP file that is sent while it is made: no more of it is in memory than the file that is being added."""

import asyncio
import zipfile
from collections.abc import AsyncIterator


class _Out:
    """What `zipfile` writes into; it cannot seek, so that sizes follow the data (ZIP, 4.4.4, bit 3)."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nobody else holds it."""

    def take(self) -> bytes:
        """What was written since the last call."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


async def zipped(files: AsyncIterator[tuple[str, bytes]]) -> AsyncIterator[bytes]:
    """The bytes of a ZIP file with these files (name and content), as they come.

    Where `files` fails the archive ends without its directory, and no reader takes it for whole.
    """
    out = _Out()
    archive = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED)
    async for name, data in files:
        await asyncio.to_thread(archive.writestr, name, data)
        yield out.take()
    archive.close()
    yield out.take()
