"""The public keys that tokens are verified with: asked of identity every few seconds, so that a key taken back is soon
believed by nobody.

A key that leaked is taken out of the set that identity publishes. How long others go on believing it is how old a
known set may get, so sets are asked for again after ten seconds (304 where nothing has changed), by the next request
that needs one. That is the one reason to ask often, and nothing in a token makes it more: a key id that is not known
may ask after two seconds, whoever sends it and however often.

While identity does not answer, the known keys stay in use and nobody waits for it; for a quarter of an hour, which is
longer than any honest token lives (ten minutes) when nobody can get a new one. Then nothing is believed any more.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import jwt
from prometheus_client import Gauge

log = logging.getLogger("auth")

# What an operator learns: a service that is cut off from identity, and would believe a leaked key for longer.
CONFIRMED = Gauge("consilium_token_keys_confirmed_timestamp_seconds", "When identity last gave the keys of tokens")

ALGORITHM = "EdDSA"
MAX_AGE_S = 10.0
"""How old a known set may be where it is used, as long as identity answers."""
LEARN_AFTER_S = 2.0
"""How soon after an answer an unknown key id makes us ask again."""
FORGET_AFTER_S = 900.0
"""How long keys serve that nobody confirms."""
PATIENCE_S = 1.0
"""How long a request waits for an answer where it could go on with known keys."""
TIMEOUT_S = 5.0

FetchKeys = Callable[[], Awaitable[Mapping[str, Any]]]
"""Gives a JSON Web Key Set (RFC 7517)."""


class KeysAway(Exception):
    """No public key is known, or none was confirmed for long: nothing can be said about any token."""


class PublishedKeys:
    """Identity's keys by their ids. `fetch` replaces the HTTP call to `url`."""

    def __init__(
        self,
        url: str,
        *,
        fetch: FetchKeys | None = None,
        max_age_s: float = MAX_AGE_S,
        learn_after_s: float = LEARN_AFTER_S,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._fetch = fetch or _Jwks(url)
        self._max_age_s = max_age_s
        self._learn_after_s = learn_after_s
        self._now = now
        self._keys: dict[str, jwt.PyJWK] = {}
        self._tried_at = float("-inf")
        self._confirmed_at = float("-inf")
        self._answers = True
        self._asking: asyncio.Task[None] | None = None

    async def confirmed(self) -> Mapping[str, jwt.PyJWK]:
        """The keys as identity published them a few seconds ago: another object where they have changed.

        Raises KeysAway.
        """
        if self._older(self._tried_at, self._max_age_s if self._keys else 1.0):
            self._ask()
        if self._asking is not None and (self._answers or not self._keys):
            await self._wait()
        if not self._keys or self._older(self._confirmed_at, FORGET_AFTER_S):
            raise KeysAway(self._url)
        return self._keys

    async def learn(self, key_id: str) -> jwt.PyJWK | None:
        """That key, which is not among the confirmed ones: it may be new. None where it is not."""
        if self._older(self._tried_at, self._learn_after_s):
            self._ask()
        if self._asking is not None:
            await self._wait()
        return self._keys.get(key_id)

    def _older(self, moment: float, age_s: float) -> bool:
        """Whether that was longer ago, or is as far ahead: a clock set back must not make keys young for hours."""
        return abs(self._now() - moment) > age_s

    def _ask(self) -> None:
        """Begin to ask, unless somebody does already."""
        if self._asking is None:
            self._tried_at = self._now()
            self._asking = asyncio.create_task(self._ask_once(), name="keys of tokens")

    async def _wait(self) -> None:
        """Until identity has answered; no longer than a moment where there are keys to go on with."""
        assert self._asking is not None
        _, unfinished = await asyncio.wait({self._asking}, timeout=PATIENCE_S if self._keys else None)
        if unfinished:
            self._answers = False  # nobody else waits for that answer

    async def _ask_once(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                found = _public_keys(await self._fetch())
        except (httpx.HTTPError, TimeoutError, ValueError, KeyError, TypeError) as error:
            self._answers = False
            log.warning("cannot fetch the keys of tokens: %s: %s", type(error).__name__, error)
        else:
            self._answers = True
            self._confirmed_at = self._now()
            CONFIRMED.set(self._confirmed_at)
            if found.keys() != self._keys.keys():
                self._keys = found
        finally:
            self._asking = None


class _Jwks:
    """Asks over HTTP, and names what it has (ETag, RFC 9110): an unchanged set costs a 304."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._document: Mapping[str, Any] = {}
        self._etag = ""
        self._tls: ssl.SSLContext | None = None

    async def __call__(self) -> Mapping[str, Any]:
        # Made once: reading the certificates of authorities takes longer than the question.
        self._tls = self._tls or httpx.create_ssl_context()
        headers = {"if-none-match": self._etag} if self._etag else {}
        async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, verify=self._tls) as client:
            answer = await client.get(self._url, headers=headers)
        if answer.status_code == httpx.codes.NOT_MODIFIED and self._etag:
            return self._document
        answer.raise_for_status()
        self._document = answer.json()
        self._etag = answer.headers.get("etag", "")
        return self._document


def _public_keys(document: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """The Ed25519 signature keys of a key set; keys of other kinds are not ours and are left out."""
    found = {}
    for key in document["keys"]:
        if key.get("kty") == "OKP" and key.get("crv") == "Ed25519" and key.get("use", "sig") == "sig":
            public = {name: key[name] for name in ("kty", "crv", "x", "kid")}
            found[str(key["kid"])] = jwt.PyJWK(public, algorithm=ALGORITHM)
    return found
