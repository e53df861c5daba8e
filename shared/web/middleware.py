"""What happens around every request, as plain ASGI: ids, headers, metrics, the access line, body limits.

Plain ASGI because Starlette's BaseHTTPMiddleware runs every request in a task of its own, with a queue between.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from prometheus_client import Gauge, Histogram
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import dependency_is_away
from shared.log import continue_trace, request_id
from shared.web.problems import BODY_TOO_LARGE, INTERNAL, NOT_OPEN_YET, UNAVAILABLE, language_of

log = logging.getLogger("http")

# How long answers take and how they end, by route template: the service's latency and its rate of errors.
REQUEST_SECONDS = Histogram(
    "consilium_http_request_seconds",
    "Seconds from the request's first byte to the answer's last, by route template",
    ["method", "route", "status"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60),
)
# Requests being answered now: a number that only grows is a dependency that hangs.
REQUESTS_OPEN = Gauge("consilium_http_requests_open", "Requests being answered now")

RETRY_AFTER_S = 5
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
CLIENT_LEFT = 499
"""Recorded, never sent: the caller went away before the answer (nginx's convention)."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# 256 random bits in base64url: such a part of a path is a key (a signing link), and no line may show it.
_KEY_IN_PATH = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
# Raw bytes, since every answer gets them. A route's own value of the same header stands.
_SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_API_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class AroundRequest:
    """The outermost layer: gives the request its ids, turns a crash into a 500 problem, measures and logs.

    A crash because MongoDB, Kafka or the object store is away answers 503 with Retry-After.

    An incoming `X-Request-Id` is kept if it looks like one (the gateway sets it), else a new one is made; it goes
    back in the answer and into every log line and problem document of this request.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app = app
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        incoming = headers.get("x-request-id", "")
        this_request = incoming if _REQUEST_ID.match(incoming) else uuid.uuid4().hex
        request_id.set(this_request)
        continue_trace(headers.get("traceparent"))
        path: str = scope["path"]
        # Where the gateway shows this service (it strips the prefix): documentation pages link to it. As ASGI has it,
        # `path` holds the root path too.
        scope["root_path"] = self.root_path
        scope["path"] = self.root_path + path
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
                names = dict(given)
                given.append((b"x-request-id", this_request.encode()))
                given.extend(header for header in _SECURITY_HEADERS if header[0] not in names)
                # The documentation pages load scripts and styles; nothing else that we send may.
                if not names.get(b"content-type", b"").startswith(b"text/html") and _API_POLICY[0] not in names:
                    given.append(_API_POLICY)
                message["headers"] = given
            await send(message)

        REQUESTS_OPEN.inc()
        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = CLIENT_LEFT
        except Exception as error:
            about = {"method": scope["method"], "path": _without_keys(path)}
            if dependency_is_away(error):
                log.warning("a dependency is away: %s: %s", type(error).__name__, error, extra=about)
                problem = UNAVAILABLE(headers={"Retry-After": str(RETRY_AFTER_S)})
            else:
                log.exception("request crashed", extra=about)
                problem = INTERNAL()
            if status:  # The answer has begun: breaking the connection is the only honest end.
                raise
            await problem.response(language_of(headers.get("accept-language")))(scope, receive, send_with_headers)
        finally:
            REQUESTS_OPEN.dec()
            seconds = time.perf_counter() - started
            if path not in QUIET:
                self._record(scope, status or CLIENT_LEFT, seconds)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        # The template, never the path: an address made up by a caller must not make a new time series.
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        REQUEST_SECONDS.labels(method, route, status).observe(seconds)
        fields: dict[str, Any] = {
            "method": method,
            "route": route,
            "path": _without_keys(scope["path"]),
            "status": status,
            "milliseconds": round(seconds * 1000, 1),
        }
        member_id = scope.get("state", {}).get("member_id")
        if member_id:
            fields["member_id"] = member_id
        log.info("%s %s %d", method, route, status, extra=fields)


class ClosedUntil:
    """Answers 503 to everything but probes until `opened` says so; then it is out of the way."""

    def __init__(self, app: ASGIApp, opened: Callable[[], bool]) -> None:
        self.app = app
        self.opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root: str = scope.get("root_path", "")
        if scope["type"] != "http" or self.opened() or str(scope["path"]).removeprefix(root) in QUIET:
            await self.app(scope, receive, send)
            return
        problem = NOT_OPEN_YET(headers={"Retry-After": str(RETRY_AFTER_S)})
        language = language_of(Headers(scope=scope).get("accept-language"))
        await problem.response(language)(scope, receive, send)


def _without_keys(path: str) -> str:
    return _KEY_IN_PATH.sub("[key]", path)


class BodyLimit:
    """Refuses bodies that are too large, by what the header says and by the bytes that really come.

    The default holds for every route. A route that reads the stream itself raises it with `max_body`. What is
    still to come of any refused request is read and thrown away, within bounds: a client, and a gateway even more,
    that is still sending when the connection closes never sees the answer.
    """

    SCOPE_KEY = "consilium.max_body_bytes"
    DRAIN_BYTES = 64 * 1024 * 1024
    DRAIN_SECONDS = 15.0

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope[self.SCOPE_KEY] = self.max_bytes
        declared = Headers(scope=scope).get("content-length", "")
        announced = int(declared) if declared.isascii() and declared.isdigit() else 0
        came, ended = 0, False

        async def counted() -> Message:
            # Looked up at each call: the route raises its limit after routing, before it reads.
            nonlocal came, ended
            limit = scope[self.SCOPE_KEY]
            if announced > limit:
                raise BODY_TOO_LARGE(limit_bytes=limit)
            message = await receive()
            ended = message["type"] != "http.request" or not message.get("more_body")
            came += len(message.get("body", b""))
            if came > limit:
                raise BODY_TOO_LARGE(limit_bytes=limit)
            return message

        async def answered(message: Message) -> None:
            refused = message["type"] == "http.response.start" and message["status"] >= 400
            if refused and not ended and not await self._drained(receive):
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            await send(message)

        await self.app(scope, counted, answered)

    async def _drained(self, receive: Receive) -> bool:
        """Throw the rest of the body away. False where there was too much of it, or it took too long."""
        thrown = 0
        try:
            async with asyncio.timeout(self.DRAIN_SECONDS):
                while thrown <= self.DRAIN_BYTES:
                    message = await receive()
                    thrown += len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body"):
                        return True
        except TimeoutError:
            log.info("a refused body did not end in time")
        return False


def max_body(limit_bytes: int) -> Callable[[Request], Awaitable[None]]:
    """Dependency that gives a route its own body limit: `Depends(max_body(25 * MIB))`.

    For routes that read `request.stream()` themselves: FastAPI reads a declared JSON body before it looks at
    dependencies, so such a body stays under the service's default.
    """

    async def set_limit(request: Request) -> None:
        request.scope[BodyLimit.SCOPE_KEY] = limit_bytes

    return set_limit
