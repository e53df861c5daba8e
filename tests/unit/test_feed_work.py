"""What the feed does beside answering does not end in silence."""

import asyncio
from typing import Any

import pytest

from services.feed import app as feed
from services.feed.settings import Settings
from shared import log
from shared.bus import Bus
from shared.erasures import Erasures
from shared.ledger import Ledger
from shared.outbox import Relay
from shared.turnover import Turnover
from tests.waiting import until

NOBODY = "127.0.0.1:9"


async def test_work_that_ends_by_a_fault_is_told_and_takes_no_other_with_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    at_work: list[str] = []

    async def at_once(*_: Any) -> None:
        """There is a build, the ledger is applied, the bus has started."""

    async def breaks(_: Any) -> None:
        raise LookupError("a fault of ours")

    async def lasts(_: Any) -> None:
        at_work.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            at_work.append("ended")

    monkeypatch.setattr(feed, "_have_a_build", at_once)
    for done in (Ledger.wait, Bus.start, Bus.stop, Erasures.prepare):
        monkeypatch.setattr(f"{done.__module__}.{done.__qualname__}", at_once)
    for lasting in (Ledger.run, Relay.run, Turnover.run):
        monkeypatch.setattr(f"{lasting.__module__}.{lasting.__qualname__}", lasts)
    monkeypatch.setattr(Erasures, "run", breaks)
    monkeypatch.setattr(log, "configure", lambda *_: None)
    away: dict[str, Any] = {
        "mongo_uri": f"mongodb://{NOBODY}/?replicaSet=rs0",
        "kafka_bootstrap_servers": NOBODY,
        "s3_endpoint": NOBODY,
    }
    app = feed.create_app(Settings(**away, role="worker"))
    async with app.router.lifespan_context(app):
        await until(lambda: "a fault of ours" in caplog.text, within_s=10)
        await until(lambda: at_work.count("begun") == 3)  # the ledger, the relay, the turnover
        assert "ended" not in at_work
