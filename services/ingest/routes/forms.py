"""Forms to read (PDF), kept for a short time: whoever has a link may ask for the same one again and again.

Making one takes a second of a core and, with many pictures, some 20 MB. So one is made at a time, and the same is not
made twice while it is kept. A form shows painted pictures: it is forgotten by itself, and a caller that may not see it
any more must be refused before it is asked for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable

from services.ingest.routes.consent_problems import FORMS_BUSY

KEEP_S = 600.0
KEEP_BYTES = 64 * 1024 * 1024


class Forms:
    """`keep_s`: how long a form is kept; `keep_bytes`: how much in all, the oldest go first; `wait_s`: how long a
    request waits for its turn.
    """

    def __init__(self, keep_s: float = KEEP_S, keep_bytes: int = KEEP_BYTES, wait_s: float = 20.0) -> None:
        self._keep_s = keep_s
        self._keep_bytes = keep_bytes
        self._wait_s = wait_s
        self._making = asyncio.Lock()
        self._kept: dict[Hashable, bytes] = {}
        self._timers: dict[Hashable, asyncio.TimerHandle] = {}

    async def form(self, of: Hashable, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """The form of this key, made now if it is not kept. Raises the problem `forms-busy`, and what `make` raises."""
        if of in self._kept:
            return self._kept[of]
        try:
            async with asyncio.timeout(self._wait_s):
                await self._making.acquire()
        except TimeoutError as error:
            raise FORMS_BUSY(headers={"Retry-After": "5"}) from error
        try:
            if of not in self._kept:  # perhaps by the one before
                made = await make()
                self._keep(of, made)
                return made
            return self._kept[of]
        finally:
            self._making.release()

    def _keep(self, of: Hashable, made: bytes) -> None:
        self._kept[of] = made
        self._timers[of] = asyncio.get_running_loop().call_later(self._keep_s, self._forget, of)
        while sum(map(len, self._kept.values())) > self._keep_bytes:
            self._forget(next(iter(self._kept)))

    def _forget(self, of: Hashable) -> None:
        del self._kept[of]
        self._timers.pop(of).cancel()
