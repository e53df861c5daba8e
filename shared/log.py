"""Structured logs, and the ids that tie a line to a request and a trace (W3C Trace Context)."""

import logging
import re
import secrets
import sys
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

request_id: ContextVar[str] = ContextVar("request_id", default="")
traceparent: ContextVar[str] = ContextVar("traceparent", default="")

_TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$")


def continue_trace(incoming: str | None) -> str:
    """Enter the trace of `incoming` (a `traceparent` header) with a new span, or start a trace. Returns it.

    A malformed or all-zero header starts a new trace, as the W3C recommendation asks.
    """
    found = _TRACEPARENT.match(incoming or "")
    if found and int(found[1], 16) and int(found[2], 16):
        trace_id, flags = found[1], found[3]
    else:
        trace_id, flags = secrets.token_hex(16), "01"
    value = f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"
    traceparent.set(value)
    return value


class _Ids(logging.Filter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def filter(self, record: logging.LogRecord) -> bool:
        record.service = self.service
        record.request_id = request_id.get()
        record.trace_id = traceparent.get()[3:35]
        return True


def configure(service: str, level: str = "INFO", form: str = "json") -> None:
    """Send every log record of this process to standard output: one JSON object a line, or plain text."""
    handler = logging.StreamHandler(sys.stdout)
    if form == "json":
        names = {"asctime": "time", "levelname": "level", "name": "logger"}
        handler.setFormatter(
            JsonFormatter(
                "%(asctime)s %(levelname)s %(service)s %(name)s %(message)s %(request_id)s %(trace_id)s",
                rename_fields=names,
                datefmt="%Y-%m-%dT%H:%M:%S%z",
            )
        )
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    handler.addFilter(_Ids(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "pymongo", "urllib3", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("faststream").setLevel(logging.ERROR)  # warns that topics are not created: so we want it
    # aiokafka reports every rebalance and reconnect at INFO; what matters is in /readyz and the metrics.
    logging.getLogger("aiokafka").setLevel(logging.ERROR if level != "DEBUG" else logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
