"""Problem documents: what a person who is refused gets to read, in which language, and never a stack trace."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from shared.errors import NotNow
from shared.settings import ServiceSettings
from shared.web import Problem, ProblemKind, Text, create_app, field_error, language_of

GONE = ProblemKind(
    "thing-gone",
    410,
    Text(en="Gone", fr="Disparu"),
    Text(en="{thing} is gone. Take another.", fr="{thing} a disparu. Prenez-en un autre."),
)


def not_odd(number: int) -> int:
    if number % 2:
        raise field_error("odd", Text(en="{given} is odd.", fr="{given} est impair."), given=number)
    return number


class Item(BaseModel):
    kind: str = Field(min_length=3)
    count: Annotated[int, AfterValidator(not_odd)] = 0


class Basket(BaseModel):
    model_config = ConfigDict(extra="forbid")
    items: list[Item]


router = APIRouter()


@router.post("/baskets")
async def take(basket: Basket) -> int:
    return len(basket.items)


@router.get("/list")
async def listing(limit: Annotated[int, Query(ge=1, le=100)] = 20) -> int:
    return limit


@router.get("/gone/{thing}")
async def gone(thing: str) -> None:
    raise GONE(thing=thing, hint=[1, 2])


@router.get("/plain")
async def plain() -> None:
    raise Problem("plain", 409, "A title", "Braces {stay} as they are.")


@router.get("/crash")
async def crash() -> None:
    raise RuntimeError("the password is hunter2")


@router.get("/away")
async def away() -> None:
    try:
        raise NotNow("mongo at 10.0.0.7 is away")
    except NotNow as error:
        raise RuntimeError("wrapped") from error


@router.get("/half")
async def half() -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        raise RuntimeError("in the middle")

    return StreamingResponse(body())


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(ServiceSettings(), "Test", service="test", routers=[router])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as made:
        yield made


def document(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    assert found["request_id"] == answer.headers["x-request-id"]
    assert found["detail"].endswith(".")
    assert found["type"].startswith("urn:consilium:problem:")
    assert "Accept-Language" in answer.headers["vary"]
    return found


async def test_a_wrong_body_is_answered_with_json_pointers(client: httpx.AsyncClient) -> None:
    answer = await client.post("/baskets", json={"items": [{"kind": "ok", "count": 2}, {"count": "many"}], "a/b~": 1})
    assert answer.status_code == 422
    errors = {error["pointer"]: error["code"] for error in document(answer)["errors"]}
    assert errors == {
        "#/items/0/kind": "string_too_short",
        "#/items/1/kind": "missing",
        "#/items/1/count": "int_parsing",
        "#/a~1b~0": "extra_forbidden",
    }


async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient) -> None:
    (error,) = document(await client.get("/list?limit=1000"))["errors"]
    assert (error["in"], error["parameter"], error["code"]) == ("query", "limit", "less_than_equal")
    assert error["detail"] == "This must be 100 or less."


async def test_field_errors_speak_french(client: httpx.AsyncClient) -> None:
    french = {"accept-language": "fr-FR,fr;q=0.9,en;q=0.5"}
    found = document(await client.post("/baskets", json={"items": [{"kind": "ok", "count": 3}]}, headers=french))
    assert found["title"] == "Certaines valeurs ne sont pas valables"
    assert [error["detail"] for error in found["errors"]] == ["Il faut au moins 3 caractères.", "3 est impair."]


async def test_the_refused_value_is_never_repeated(client: httpx.AsyncClient) -> None:
    answer = await client.post("/baskets", json={"items": [{"kind": 12345678901234567890}], "secret": "hunter2"})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text
    assert "12345678901234567890" not in answer.text


@pytest.mark.parametrize("body", [b"{", b'{"items": [', b"\xff\xfe", b"[1,]"])
async def test_a_body_that_is_no_json_is_a_bad_request(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/baskets", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    document(answer)


async def test_a_deeply_nested_body_does_not_crash(client: httpx.AsyncClient) -> None:
    answer = await client.post("/baskets", content=b"[" * 100_000, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    document(answer)


async def test_a_declared_problem_carries_its_members_in_both_languages(client: httpx.AsyncClient) -> None:
    english = document(await client.get("/gone/Tea"))
    french = document(await client.get("/gone/Tea", headers={"accept-language": "fr"}))
    assert english["detail"] == "Tea is gone. Take another."
    assert french["detail"] == "Tea a disparu. Prenez-en un autre."
    assert english["type"] == french["type"] == "urn:consilium:problem:thing-gone"
    assert english["thing"] == "Tea"
    assert english["hint"] == [1, 2]


async def test_a_member_with_braces_is_not_a_format(client: httpx.AsyncClient) -> None:
    found = document(await client.get("/gone/{0.__class__}"))
    assert found["detail"] == "{0.__class__} is gone. Take another."
    assert document(await client.get("/plain"))["detail"] == "Braces {stay} as they are."


async def test_unknown_addresses_and_methods_are_problems(client: httpx.AsyncClient) -> None:
    assert document(await client.get("/nowhere"))["type"].endswith(":not-found")
    refused = await client.delete("/list")
    assert document(refused)["type"].endswith(":method-not-allowed")
    assert refused.headers["allow"] == "GET"


async def test_a_crash_shows_no_trace_and_is_logged_with_its_request(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.get("/crash", headers={"x-request-id": "from-the-gateway"})
    assert answer.status_code == 500
    assert document(answer)["request_id"] == "from-the-gateway"
    for secret in ("hunter2", "RuntimeError", "Traceback", ".py"):
        assert secret not in answer.text
    (crashed,) = [record for record in caplog.records if record.message == "request crashed"]
    assert crashed.exc_info is not None


async def test_an_absent_dependency_is_a_503_that_says_when_to_retry(client: httpx.AsyncClient) -> None:
    answer = await client.get("/away")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert document(answer)["type"].endswith(":temporarily-unavailable")
    assert "10.0.0.7" not in answer.text


async def test_an_answer_that_breaks_in_the_middle_breaks_the_connection(client: httpx.AsyncClient) -> None:
    with pytest.raises(RuntimeError, match="in the middle"):
        await client.get("/half")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("fr", "fr"),
        ("FR-ca", "fr"),
        ("de, fr;q=0.5, en;q=0.4", "fr"),
        ("en;q=0.4, fr;q=0.9", "fr"),
        ("fr;q=0", "en"),
        ("de", "en"),
        ("*", "en"),
        ("fr;q=nonsense", "en"),
        ("fra", "en"),
        (",;,=;" * 2000, "en"),
    ],
)
def test_the_language_follows_accept_language(header: str | None, language: str) -> None:
    assert language_of(header) == language


async def test_the_documentation_describes_problems_without_traces(client: httpx.AsyncClient) -> None:
    assert json.loads((await client.get("/openapi.json")).text)["info"]["title"] == "Test"
