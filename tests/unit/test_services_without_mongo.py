"""A service whose database is away lives, says that it is not ready, and stops when it is told to."""

import asyncio
import base64
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pymongo.errors import AutoReconnect

from services.identity import app as identity
from services.identity.settings import Settings as IdentitySettings
from services.ingest import app as ingest
from services.ingest.settings import Settings as IngestSettings
from services.moderation import app as moderation
from services.moderation.settings import Settings as ModerationSettings
from shared.mongo import prepare_when_possible

NOBODY = "127.0.0.1:9"
AWAY: dict[str, Any] = {
    "mongo_uri": f"mongodb://{NOBODY}/?replicaSet=rs0",
    "kafka_bootstrap_servers": NOBODY,
    "s3_endpoint": NOBODY,
    "shutdown_grace_s": 1.0,
}


def make_identity(folder: Path, **more: Any) -> FastAPI:
    (folder / "identity_key").write_text(base64.b64encode(b"i" * 32).decode())
    files: dict[str, Any] = {"signing_key_file": folder / "key.pem", "wrapping_key_file": folder / "identity_key"}
    return identity.create_app(IdentitySettings(**AWAY, **more, **files))


def make_ingest(folder: Path, **more: Any) -> FastAPI:
    (folder / "wrapping_key").write_text(base64.b64encode(b"w" * 32).decode())
    return ingest.create_app(IngestSettings(**AWAY, **more, wrapping_key_file=folder / "wrapping_key"))


def make_moderation(_: Path, **more: Any) -> FastAPI:
    return moderation.create_app(ModerationSettings(**AWAY, **more))


@pytest.mark.parametrize("role", ["all", "api"])
@pytest.mark.parametrize(
    ("make", "others"),
    [
        (make_identity, {"keys", "ledger"}),
        (make_ingest, {"cases-raw", "cases-redacted", "keys", "leavers", "ledger", "proofs", "texts"}),
        (make_moderation, {"cases-redacted", "ledger", "texts"}),
    ],
)
async def test_a_service_without_its_database_lives_and_is_not_ready(
    make: Callable[..., FastAPI], others: set[str], role: str, tmp_path: Path
) -> None:
    app = make(tmp_path, role=role)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")
    async with asyncio.timeout(30), app.router.lifespan_context(app), client:
        assert (await client.get("/healthz")).status_code == 200
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert checks["mongo"]["ok"] is False
    assert set(checks) == {"mongo"} | others | ({"kafka", "outbox"} if role == "all" else set())


async def test_steps_are_done_once_each_and_in_order_however_often_the_database_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures: list[Exception] = [AutoReconnect("gone"), RuntimeError("an index that cannot be")]
    done: list[str] = []

    async def first() -> None:
        done.append("first")

    async def second() -> None:
        if failures:
            raise failures.pop(0)
        done.append("second")

    with caplog.at_level(logging.WARNING, logger="shared.mongo"):
        await prepare_when_possible(first, second, retry_s=0)
    assert done == ["first", "second"]
    assert [record.exc_info is not None for record in caplog.records] == [False, True], "an absence has no traceback"
