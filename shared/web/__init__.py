"""HTTP, the same in every service: problem documents, body limits, ids in logs, probes and metrics.

    app = create_app(settings, service="feed", title="…", lifespan=lifespan, routers=[routes.router])
    add_check(app, "mongo", mongo.ping)      # in the lifespan, once the client exists
    serve(app, settings)                     # uvicorn until SIGTERM

Rules are refused with `Problem` or a declared `ProblemKind` (shared/web/problems.py); uploads raise their body
limit with `Depends(max_body(...))`.
"""

from collections.abc import Callable, Iterable, Mapping

import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Lifespan

from shared.settings import ServiceSettings
from shared.web import probes
from shared.web.middleware import AroundRequest, BodyLimit, ClosedUntil, max_body
from shared.web.probes import Check, add_check
from shared.web.problems import (
    Language,
    Problem,
    ProblemKind,
    Text,
    field_error,
    from_status,
    from_validation,
    language_of,
)

__all__ = [
    "MAX_BODY_BYTES",
    "Check",
    "Language",
    "Problem",
    "ProblemKind",
    "Text",
    "add_check",
    "create_app",
    "field_error",
    "language",
    "language_of",
    "max_body",
    "serve",
]

MAX_BODY_BYTES = 256 * 1024


def create_app(
    settings: ServiceSettings,
    title: str,
    lifespan: Lifespan[FastAPI] | None = None,
    *,
    service: str,
    routers: Iterable[APIRouter] = (),
    checks: Mapping[str, Check] | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
    opened: Callable[[], bool] | None = None,
) -> FastAPI:
    """A service's application. `routers` are left out where `settings.role` is `worker`; probes never are.

    `service` gives the path under which the gateway shows it (`/api/<service>`), for the documentation pages.
    `opened`: nothing but the probes is answered before it is true.
    """
    # FastAPI's own documentation page loads its scripts from somewhere else; ours works without the internet.
    app = FastAPIOffline(
        title=title,
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.checks = dict(checks or {})
    app.include_router(probes.router)
    if settings.runs_api:
        for router in routers:
            app.include_router(router)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes)
    if opened is not None:
        app.add_middleware(ClosedUntil, opened=opened)
    app.add_middleware(AroundRequest, root_path=f"/api/{service}")
    return app


def serve(app: FastAPI, settings: ServiceSettings) -> None:
    """Answer on `settings.host:port` until SIGTERM or SIGINT, then finish open requests within the grace period.

    Addresses of callers behind the gateway come from X-Forwarded-For, believed only from FORWARDED_ALLOW_IPS
    (default: this machine).
    """
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=round(settings.shutdown_grace_s),
    )


def language(request: Request) -> Language:
    """Dependency: the caller's language."""
    return language_of(request.headers.get("accept-language"))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = error if isinstance(error, Problem) else from_status(error.status_code, error.headers)
    return problem.response(language(request))


async def _not_valid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    spoken = language(request)
    return from_validation(error.errors(), spoken).response(spoken)
