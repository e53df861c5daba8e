"""Pages of the feed: requests/s over HTTP against the bare database query and against an empty endpoint.

The feed runs as in production, a uvicorn process of its own. The bare find is the same query for the same page in
this process. All three have the same number of workers that never pause, and take turns in rounds.
"""

import asyncio
import itertools
import statistics
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from benchmarks import harness
from benchmarks.harness import KeepAlive, Result, Row, median_row
from benchmarks.past import member_of, publish, published_case
from deploy.local import Platform
from deploy.local.demo import create_member
from services.feed.domain import FIRST_PAGE, cursor_after, read_cursor
from services.feed.store.pages import PAGE_CACHE_S
from shared.mongo import Mongo

CASES = 2_000
MEMBERS = 200
PAGE = 20
STEP = 7  # cases between the places where a page may start
WORKERS = 16
ROUNDS = 7
ROUND_S = 2.0


async def run() -> Result:
    with harness.own_platform("identity", "feed") as platform:
        await publish(platform, [member_of(number) for number in range(MEMBERS)])
        await publish(platform, [published_case(number, author=number % MEMBERS) for number in range(CASES)])
        token = await _sign_in(platform)
        starts = await _all_positions(platform.addresses["feed"], token)
        mongo = Mongo(platform.admin_mongo_uri, "feed")
        address = urlsplit(platform.addresses["feed"])
        async with KeepAlive(address.hostname or "", address.port or 0, WORKERS) as client:

            def asked(query: str) -> bytes:
                return client.request(f"/cases?limit={PAGE}{query}", Authorization=f"Bearer {token}")

            first, empty = asked(""), client.request("/healthz")
            others = itertools.cycle([asked(f"&cursor={cursor_after(start)}") for start in starts])
            find, body = await _bare_find(mongo), await client.get(first)
            anywhere = itertools.cycle(starts)
            measured: dict[str, Callable[[], Awaitable[Any]]] = {
                "bare": lambda: find(FIRST_PAGE),
                "page": lambda: client.get(first),
                "bare, another": lambda: find(next(anywhere)),
                "page, another": lambda: client.get(next(others)),
                "empty": lambda: client.get(empty),
            }
            rates = await harness.in_turn(measured, ROUNDS, ROUND_S, WORKERS)
        mongo.close()
    same = harness.ratios(rates["page"], rates["bare"])
    another = harness.ratios(rates["page, another"], rates["bare, another"])
    return Result(
        "Feed: a page of 20 cases",
        "the first page at 0.6 of its bare find or more",
        statistics.median(same) >= 0.6,
        [
            median_row("first page: bare motor find", rates["bare"], "pages/s"),
            median_row("first page: GET /cases, signed in", rates["page"], "requests/s"),
            median_row("first page: GET / bare", same, ""),
            median_row("another page each time: bare motor find", rates["bare, another"], "pages/s"),
            median_row("another page each time: GET /cases", rates["page, another"], "requests/s"),
            median_row("another page each time: GET / bare", another, ""),
            median_row("empty endpoint of the same process", rates["empty"], "requests/s"),
            median_row("first page: GET / empty endpoint", harness.ratios(rates["page"], rates["empty"]), ""),
            Row("size of the answer", len(body) / 1000, "kB"),
        ],
        [
            f"{CASES:,} cases, {WORKERS} connections, {ROUNDS} rounds of {ROUND_S:g} s; all on the same cores",
            f"a page asked for again within {PAGE_CACHE_S:g} s is answered from memory (authorisation is not)",
        ],
    )


async def _sign_in(platform: Platform) -> str:
    email = f"{uuid.uuid4().hex}@bench.invalid"
    who = {"pseudonym": "Bench", "profession": "physician", "specialty": "surgery"}
    await asyncio.to_thread(create_member, platform, email, harness.PASSWORD, who)
    async with httpx.AsyncClient() as client:
        credentials = {"email": email, "password": harness.PASSWORD}
        answer = await client.post(f"{platform.addresses['identity']}/sessions", json=credentials)
        answer.raise_for_status()
        return str(answer.json()["access_token"])


async def _all_positions(feed: str, token: str) -> list[str]:
    """Where pages can start, once the feed has taken in every case."""
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        while True:
            positions: list[str] = []
            cursor: str | None = ""
            found = 0
            while cursor is not None:
                answer = await client.get(f"{feed}/cases?limit={STEP}" + (f"&cursor={cursor}" if cursor else ""))
                answer.raise_for_status()
                page = answer.json()
                found += len(page["items"])
                cursor = page["next_cursor"]
                if cursor is not None and found + PAGE <= CASES:  # else less than a page follows
                    positions.append(read_cursor(cursor))
            if found == CASES:
                return positions
            await asyncio.sleep(0.5)


async def _bare_find(mongo: Mongo) -> Callable[[str], Awaitable[None]]:
    pointer = await mongo.db["builds"].find_one({"_id": "pointer"})
    assert pointer is not None
    cases = mongo.db[f"cases_b{pointer['live']}"]
    fields = {"_id": 0, "position": 1, "author_id": 1, "card": 1, "comments": 1}

    async def find(after: str) -> None:
        query = {"position": {"$lt": after}}
        found = await cases.find(query, fields, sort=[("position", -1)], limit=PAGE).to_list(PAGE)
        assert len(found) == PAGE

    return find


if __name__ == "__main__":
    harness.main(run)
