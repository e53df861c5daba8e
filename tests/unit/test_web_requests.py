"""Around every request: body limits, ids, headers, probes, metrics."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from shared.log import request_id, traceparent
from shared.settings import ServiceSettings
from shared.web import add_check, create_app, max_body
from shared.web.middleware import BodyLimit

router = APIRouter()


class Note(BaseModel):
    text: str


@router.post("/notes/{note_id}")
async def note(note_id: str, body: Note) -> int:
    return len(body.text)


@router.post("/files", dependencies=[Depends(max_body(5000))])
async def upload(request: Request) -> int:
    return sum([len(chunk) async for chunk in request.stream()])


@router.post("/unread")
async def unread() -> str:
    return "not looked at"


@router.get("/cached")
async def cached(response: Response) -> str:
    response.headers["Cache-Control"] = "public, max-age=60"
    return "the same for all"


@router.get("/ids")
async def ids() -> dict[str, str]:
    return {"request_id": request_id.get(), "traceparent": traceparent.get()}


def app(**options: Any) -> Any:
    return create_app(ServiceSettings(**options), "Test", service="test", routers=[router], max_body_bytes=1000)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app()), base_url="http://test") as made:
        yield made


async def chunks(total: int, size: int = 100) -> AsyncIterator[bytes]:
    for _ in range(total // size):
        yield b"x" * size


async def test_a_body_that_announces_too_much_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/notes/1", json={"text": "x" * 1000})
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:consilium:problem:body-too-large"
    assert answer.json()["limit_bytes"] == 1000


async def test_a_chunked_body_is_counted_as_it_comes(client: httpx.AsyncClient) -> None:
    json_type = {"content-type": "application/json"}
    answer = await client.post("/notes/1", content=chunks(2000), headers=json_type)
    assert "content-length" not in answer.request.headers
    assert answer.status_code == 413
    assert (await client.post("/notes/1", json={"text": "x" * 900})).json() == 900


async def test_a_route_may_take_more(client: httpx.AsyncClient) -> None:
    assert (await client.post("/files", content=chunks(5000))).json() == 5000
    assert (await client.post("/files", content=b"x" * 5000)).json() == 5000
    assert (await client.post("/files", content=chunks(5100))).status_code == 413
    assert (await client.post("/files", content=b"x" * 5001)).status_code == 413


@pytest.mark.parametrize("header", [(b"transfer-encoding", b"chunked"), (b"content-length", b"9000000")])
@pytest.mark.parametrize("ends_after", [20_000, None])
async def test_the_rest_of_a_refused_body_is_thrown_away_within_bounds(
    header: tuple[bytes, bytes], ends_after: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BodyLimit, "DRAIN_BYTES", 50_000)
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1000
        return {"type": "http.request", "body": b"x" * 1000, "more_body": taken != ends_after}

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/files",
        "raw_path": b"/files",
        "query_string": b"",
        "headers": [header],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
        "scheme": "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
    }
    await app()(scope, receive, send)
    assert sent[0]["status"] == 413
    closes = (b"connection", b"close") in sent[0]["headers"]
    if ends_after:
        assert (taken, closes) == (ends_after, False)
    else:
        assert 50_000 < taken <= 60_000
        assert closes, "a body without end must not keep the connection"


async def test_an_answer_has_ids_and_headers_that_protect(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ids")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "content-security-policy" not in (await client.get("/docs")).headers


async def test_a_route_may_set_its_own_value_of_a_header(client: httpx.AsyncClient) -> None:
    assert (await client.get("/cached")).headers.get_list("cache-control") == ["public, max-age=60"]


@pytest.mark.parametrize(("given", "kept"), [("gateway-12345678", True), ("a b\tc", False), ("x" * 65, False)])
async def test_a_request_id_is_kept_only_if_it_looks_like_one(
    client: httpx.AsyncClient, given: str, kept: bool
) -> None:
    answer = await client.get("/ids", headers={"x-request-id": given})
    assert (answer.headers["x-request-id"] == given) is kept


async def test_a_trace_goes_on_with_a_new_span(client: httpx.AsyncClient) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = await client.get("/ids", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    found = answer.json()["traceparent"]
    assert found.split("-")[1] == trace
    assert found.split("-")[2] != "00f067aa0ba902b7"


async def test_the_access_line_names_the_route_and_not_the_query(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="http")
    await client.post("/notes/7?name=Dupont", json={"text": "hello"})
    (line,) = [record for record in caplog.records if record.name == "http"]
    assert line.getMessage() == "POST /notes/{note_id} 200"
    assert "Dupont" not in json.dumps({**line.__dict__, "args": None}, default=str)


async def test_metrics_are_labelled_by_route_template(client: httpx.AsyncClient) -> None:
    await client.post("/notes/metric-test", json={"text": "hello"})
    await client.get("/made/up/by/a/caller")
    text = (await client.get("/metrics")).text
    assert 'consilium_http_request_seconds_count{method="POST",route="/notes/{note_id}",status="200"}' in text
    assert 'route="unmatched",status="404"' in text
    assert "metric-test" not in text
    assert "made/up" not in text


async def test_readiness_tells_each_check_and_fails_with_any() -> None:
    made = app()
    trouble: list[str] = []

    async def fine() -> None:
        return None

    async def fussy() -> str | None:
        return trouble[0] if trouble else None

    async def broken() -> None:
        raise ConnectionError("nobody there")

    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://test") as client:
        add_check(made, "fine", fine)
        add_check(made, "fussy", fussy)
        answer = await client.get("/readyz")
        assert answer.status_code == 200
        assert set(answer.json()["checks"]) == {"fine", "fussy"}
        trouble.append("lag of 900 events")
        add_check(made, "broken", broken)
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        checks = answer.json()["checks"]
        assert checks["fine"]["ok"]
        assert checks["fussy"]["reason"] == "lag of 900 events"
        assert checks["broken"]["reason"] == "ConnectionError: nobody there"
        assert (await client.get("/healthz")).status_code == 200


async def test_a_check_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.web.probes.CHECK_TIMEOUT_S", 0.05)
    made = app()
    add_check(made, "hung", asyncio.Event().wait)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://test") as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert "no answer within" in answer.json()["checks"]["hung"]["reason"]


async def test_a_worker_answers_probes_and_no_routes() -> None:
    made = app(role="worker")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://test") as client:
        assert (await client.get("/ids")).status_code == 404
        for probe in ("/healthz", "/readyz", "/metrics"):
            assert (await client.get(probe)).status_code == 200


async def test_documentation_links_go_through_the_gateway(client: httpx.AsyncClient) -> None:
    assert "/api/test/openapi.json" in (await client.get("/docs")).text


async def test_whoever_is_refused_while_sending_hears_why() -> None:
    """A missing route refuses without reading: what the sender still sends is taken off the line first."""
    taken, sent = 0, list[Any]()

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1000
        return {"type": "http.request", "body": b"x" * 1000, "more_body": taken != 30_000}

    async def send(message: Any) -> None:
        sent.append((message, taken))

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/nowhere",
        "raw_path": b"/nowhere",
        "query_string": b"",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
        "scheme": "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
    }
    await app()(scope, receive, send)
    start, taken_before_answer = sent[0]
    assert (start["status"], taken_before_answer) == (404, 30_000)
