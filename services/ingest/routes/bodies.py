"""Bodies that come as bytes: whole, and within a time, so that nobody keeps a connection by sending slowly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request

from services.ingest.routes.problems import UPLOAD_SLOW


@asynccontextmanager
async def in_time(limit_s: float) -> AsyncIterator[None]:
    """What is read inside has to be there within `limit_s`. Raises the problem `upload-too-slow`."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError as error:
        raise UPLOAD_SLOW(limit_s=round(limit_s), headers={"Connection": "close"}) from error


async def whole_body(request: Request, limit_s: float) -> bytes:
    """The whole body, counted as it comes (the limit is the middleware's), within a time."""
    async with in_time(limit_s):
        return b"".join([chunk async for chunk in request.stream()])
