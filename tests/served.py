"""A stand-in for an outside system: a real HTTP server on a free port of this machine, in a thread of the test."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from tests.waiting import until


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve `app` until the block ends; gives its address, without a slash at the end."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off"))
    up = threading.Event()

    async def run() -> None:
        serving = asyncio.create_task(server.serve())
        await until(lambda: server.started or serving.done())
        up.set()
        await serving

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="stand-in", daemon=True)
    thread.start()
    if not up.wait(20) or not server.servers:
        raise RuntimeError("the stand-in did not start")
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
