"""Alive, ready, measured: `/healthz`, `/readyz`, `/metrics`, on every service's own port, never routed outside."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from shared.web.problems import NOT_READY, language_of

Check = Callable[[], Awaitable[str | None]]
"""Can this part do its work now? Returns None, or a reason that an operator understands; may also raise."""

CHECK_TIMEOUT_S = 3.0
log = logging.getLogger("ready")
router = APIRouter(include_in_schema=False)


def add_check(app: FastAPI, name: str, check: Callable[[], Awaitable[Any]]) -> None:
    """Make `/readyz` ask `check` under that name. A check fails by raising or by returning a text (the reason)."""
    checks: dict[str, Callable[[], Awaitable[Any]]] = app.state.checks
    checks[name] = check


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers: its event loop turns. Asks nothing of others, so that their fault restarts nobody."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """200 where every check passes, else a 503 problem; both list each check with its seconds and reason."""
    checks: dict[str, Callable[[], Awaitable[Any]]] = request.app.state.checks
    answers = await asyncio.gather(*(_ask(check) for check in checks.values()))
    report = dict(zip(checks, answers, strict=True))
    if all(answer["ok"] for answer in answers):
        return Response(orjson.dumps({"status": "ready", "checks": report}), media_type="application/json")
    failing = {name: answer["reason"] for name, answer in report.items() if not answer["ok"]}
    log.warning("not ready: %s", failing)
    return NOT_READY(checks=report).response(language_of(request.headers.get("accept-language")))


@router.get("/metrics")
async def metrics() -> Response:
    """Everything measured in this process, in Prometheus' text format."""
    return Response(generate_latest(REGISTRY), headers={"content-type": CONTENT_TYPE_LATEST})


async def _ask(check: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        answer = await asyncio.wait_for(check(), CHECK_TIMEOUT_S)
        reason = answer if isinstance(answer, str) and answer else None
    except TimeoutError:
        reason = f"no answer within {CHECK_TIMEOUT_S:g} s"
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"[:300]
    seconds = round(time.perf_counter() - started, 4)
    return {"ok": reason is None, "seconds": seconds, **({"reason": reason} if reason else {})}
