"""Calling a registry politely: at most so many calls a second, and again when it asks for patience."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

import httpx
from prometheus_client import Counter

from services.identity.registries import RegistryAway, RegistryRefused

log = logging.getLogger("identity")

# How registries answer: a rise of `away` delays verifications, `refused` is a key that is wrong or has expired.
CALLS = Counter("consilium_registry_calls_total", "Calls to registries of professionals", ["registry", "outcome"])

SLACK: Final = 1.01
"""Calls keep this much more distance than the limit asks, since clocks and networks differ."""

Sleep = Callable[[float], Awaitable[None]]


class Pace(Protocol):
    """Whose turn it is. `take` returns when the next call may go out."""

    async def take(self) -> None: ...


class OwnPace:
    """At most `per_s` calls a second from this process, evenly spaced: no burst is ever above the limit. For several
    processes that share one limit there is `store.turns`."""

    def __init__(
        self, per_s: float, *, clock: Callable[[], float] = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._gap_s = SLACK / per_s
        self._clock = clock
        self._sleep = sleep
        self._next = float("-inf")

    async def take(self) -> None:
        now = self._clock()
        mine = max(now, self._next)
        self._next = mine + self._gap_s
        if mine > now:
            await self._sleep(mine - now)


class Calls:
    """JSON from one registry. Nothing that it sends redirects us, and no error quotes an address: it holds a number.

    429 and 5xx are tried again, at most `tries` times and `patience_s` seconds in all, after what Retry-After says or
    a growing wait; then RegistryAway. 401 and 403 are RegistryRefused at once.
    """

    def __init__(
        self,
        registry: str,
        pace: Pace,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 5.0,
        tries: int = 3,
        patience_s: float = 8.0,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._registry = registry
        self._pace = pace
        self._tries = tries
        self._patience_s = patience_s
        self._sleep = sleep
        self._client = httpx.AsyncClient(timeout=timeout_s, follow_redirects=False, headers=dict(headers or {}))

    async def get(self, url: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at `url`. Raises RegistryAway and RegistryRefused."""
        waited_s = 0.0
        for attempt in range(1, self._tries + 1):
            await self._pace.take()
            try:
                answer = await self._client.get(url, params=params)
            except httpx.HTTPError as error:
                reason, asked_s = type(error).__name__, None
            else:
                if answer.status_code == 200:
                    return self._read(answer)
                if answer.status_code in (401, 403):
                    CALLS.labels(self._registry, "refused").inc()
                    log.error("the registry %s refuses our key: %d", self._registry, answer.status_code)
                    raise RegistryRefused(f"{self._registry} answers {answer.status_code}")
                reason, asked_s = f"status {answer.status_code}", _retry_after_s(answer.headers.get("retry-after"))
                if answer.status_code != 429 and answer.status_code < 500:
                    raise self._away(reason, None)
            wait_s = asked_s if asked_s is not None else 0.25 * 2**attempt
            if attempt == self._tries or waited_s + wait_s > self._patience_s:
                raise self._away(reason, asked_s)
            waited_s += wait_s
            await self._sleep(wait_s)
        raise AssertionError("the loop ends by returning or raising")

    async def close(self) -> None:
        await self._client.aclose()

    def _read(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            document = answer.json()
        except ValueError as error:
            raise self._away("an answer that is no JSON", None) from error
        if not isinstance(document, dict):
            raise self._away("an answer that is no object", None)
        CALLS.labels(self._registry, "answered").inc()
        return document

    def _away(self, reason: str, retry_after_s: float | None) -> RegistryAway:
        CALLS.labels(self._registry, "away").inc()
        log.warning("the registry %s is away: %s", self._registry, reason)
        return RegistryAway(
            f"{self._registry}: {reason}", None if retry_after_s is None else max(1, int(retry_after_s))
        )


def _retry_after_s(header: str | None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110, 10.2.3), None where there is none that can be read."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
