"""From upload to `case.redacted`, against the redactor's own seconds for the same pictures.

What the platform adds to the pixel work: the outbox, Kafka, decryption, writing three sizes, and hearing the answer.
Measured from the request that hands the pictures to the redactor until the last `case.redacted` lies in Kafka; the
redactor's own seconds are those that the events carry, summed (one worker process, so that they cannot overlap).
"""

import asyncio
import time
import uuid
from typing import Any

from aiokafka import AIOKafkaConsumer

from benchmarks import harness
from benchmarks.harness import PASSWORD, Result, Row, median_row, own_platform
from deploy.local import Platform
from deploy.local.client import Account, Person
from deploy.local.demo import create_member, sample_pictures
from shared.events import CaseRedacted

AIM = 1.3
ROUNDS = 5


async def run() -> Result:
    """Ratio of the two times, median over rounds; the first round warms up and is left out."""
    with own_platform("identity", "ingest", "redactor", redactor={"REDACTOR_WORKERS": "1"}) as platform:
        account = Account("bench@bench.invalid", PASSWORD, "bench")
        who = {"pseudonym": "bench", "profession": "nurse", "specialty": "nursing"}
        create_member(platform, account.email, account.password, who)
        with Person(platform.addresses["ingest"]) as author:
            author.use(_session(platform, account))
            heard = _Listener(platform)
            await heard.start()
            try:
                found = [await _round(author, heard) for _ in range(ROUNDS + 1)][1:]
            finally:
                await heard.stop()
    ratios = [waited / own for waited, own in found]
    median = median_row("upload to case.redacted / redactor's own seconds", ratios, "×")
    return Result(
        "Overhead of the platform around the redactor",
        f"under {AIM}",
        median.value < AIM,
        [
            median_row("upload to the last case.redacted", [waited for waited, _ in found], "s"),
            median_row("the redactor's own seconds", [own for _, own in found], "s"),
            median,
            Row("pictures a round", len(sample_pictures()), ""),
        ],
    )


async def _round(author: Person, heard: "_Listener") -> tuple[float, float]:
    def upload() -> str:
        case_id: str = _call(author, "POST", "/cases", {**_CASE, "title": uuid.uuid4().hex})["case_id"]
        for picture in sample_pictures():
            path = f"/cases/{case_id}/pictures?kind={picture.kind}"
            _call(author, "POST", path, content=picture.path.read_bytes())
        return case_id

    case_id = await asyncio.to_thread(upload)
    started = time.monotonic()
    await asyncio.to_thread(_call, author, "POST", f"/cases/{case_id}/redaction")
    events = await heard.all_of(case_id)
    return time.monotonic() - started, sum(event.seconds for event in events)


_CASE = {"specialty": "radiology", "kind": "diagnosis", "language": "en", "body": "A benchmark."}


def _call(author: Person, method: str, path: str, json: Any = None, content: bytes | None = None) -> Any:
    """Straight to the service: there is no gateway in this benchmark."""
    response = author._http.request(method, path, json=json, content=content)
    response.raise_for_status()
    return response.json()


def _session(platform: Platform, account: Account) -> dict[str, Any]:
    with Person(platform.addresses["identity"]) as stranger:
        session: dict[str, Any] = _call(
            stranger, "POST", "/sessions", {"email": account.email, "password": account.password}
        )
    return session


class _Listener:
    """Hears `case.redacted` as any foreign consumer would."""

    def __init__(self, platform: Platform) -> None:
        self._consumer = AIOKafkaConsumer(CaseRedacted.topic, auto_offset_reset="latest", **platform.admin_kafka())

    async def start(self) -> None:
        await self._consumer.start()
        await self._consumer.seek_to_end()

    async def stop(self) -> None:
        await self._consumer.stop()

    async def all_of(self, case_id: str) -> list[CaseRedacted]:
        found: dict[str, CaseRedacted] = {}
        async for record in self._consumer:
            event = CaseRedacted.parse(record.value)
            if event.case_id == case_id:
                found[event.key] = event
                if len(found) == event.pictures_total:
                    break
        return list(found.values())


if __name__ == "__main__":
    harness.main(run)
