"""Guards: who is let through, who is told what, and why the local record of a member overrules the token."""

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends

from shared.auth import RECENT_S, Guard, MemberState, Principal, TokenVerifier
from shared.events import MemberStatus, Profession, Role
from shared.settings import ServiceSettings
from shared.web import create_app
from tests.tokens import AUDIENCE, ISSUER, TokenMaker


class House:
    """A service with four doors, and the local record of members that its guard reads."""

    def __init__(self) -> None:
        self.maker = TokenMaker()
        self.local: dict[str, MemberState] = {}

    async def state(self, member_id: str) -> MemberState | None:
        return self.local.get(member_id)

    def knows(self, version: int, status: MemberStatus, *roles: Role) -> None:
        self.local["member-1"] = MemberState(
            "member-1", version, status, frozenset(roles), Profession.NURSE, "Local name"
        )

    def app(self, guard: Guard | None = None) -> Any:
        guard = guard or Guard(self.maker.verifier(), self.state)
        router = APIRouter()

        @router.get("/hall")
        async def hall(caller: Annotated[Principal, Depends(guard.signed_in)]) -> str:
            return caller.pseudonym

        @router.get("/ward")
        async def ward(caller: Annotated[Principal, Depends(guard.verified)]) -> str:
            return caller.pseudonym

        @router.get("/desk")
        async def desk(caller: Annotated[Principal, Depends(guard.role(Role.MODERATOR))]) -> str:
            return caller.pseudonym

        @router.get("/safe")
        async def safe(caller: Annotated[Principal, Depends(guard.just_signed_in)]) -> str:
            return caller.pseudonym

        return create_app(ServiceSettings(), "House", service="house", routers=[router])


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(house.app()), base_url="http://test") as made:
        yield made


def bearer(token: str, language: str = "en") -> dict[str, str]:
    return {"authorization": f"Bearer {token}", "accept-language": language}


def slug(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["type"]).removeprefix("urn:consilium:problem:")


@pytest.mark.parametrize("door", ["/hall", "/ward", "/desk"])
@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer"}])
async def test_without_a_token_one_is_asked_to_sign_in(
    client: httpx.AsyncClient, door: str, headers: dict[str, str]
) -> None:
    answer = await client.get(door, headers=headers)
    assert answer.status_code == 401
    assert slug(answer) == "sign-in-needed"
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_refused_token_is_a_401_that_does_not_tell_why(client: httpx.AsyncClient) -> None:
    answer = await client.get("/hall", headers=bearer(TokenMaker().token()))
    assert answer.status_code == 401
    assert slug(answer) == "token-refused"
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert "key" not in answer.json()["detail"]


@pytest.mark.parametrize(
    ("status", "problem"), [("unverified", "account-unverified"), ("suspended", "account-suspended")]
)
async def test_an_unverified_or_suspended_member_passes_no_further_than_the_hall(
    house: House, client: httpx.AsyncClient, status: str, problem: str
) -> None:
    token = house.maker.token(status=status, roles=["member", "moderator"])
    assert (await client.get("/hall", headers=bearer(token))).status_code == 200
    for door in ("/ward", "/desk"):
        answer = await client.get(door, headers=bearer(token))
        assert answer.status_code == 403
        assert slug(answer) == problem


async def test_a_role_is_needed_where_one_is_asked_for(house: House, client: httpx.AsyncClient) -> None:
    refused = await client.get("/desk", headers=bearer(house.maker.token(), "fr"))
    assert refused.status_code == 403
    assert slug(refused) == "role-missing"
    assert "le rôle moderator" in refused.json()["detail"]
    token = house.maker.token(roles=["member", "moderator"])
    assert (await client.get("/desk", headers=bearer(token))).status_code == 200


@pytest.mark.parametrize("amr", [["pwd"], [], "mfa", ["pwd", 1], None, ["mfa-like"]])
async def test_who_decides_about_others_has_signed_in_with_two_factors(
    house: House, client: httpx.AsyncClient, amr: Any
) -> None:
    token = house.maker.token(roles=["member", "moderator"], amr=amr)
    refused = await client.get("/desk", headers=bearer(token, "fr"))
    assert refused.status_code == 401
    malformed = amr is not None and (isinstance(amr, str) or 1 in amr)
    assert slug(refused) == ("token-refused" if malformed else "second-factor-needed")
    if not malformed:
        assert 'error="insufficient_user_authentication"' in refused.headers["www-authenticate"]
        assert (await client.get("/ward", headers=bearer(token))).status_code == 200


async def test_a_record_that_is_newer_does_not_change_how_its_member_signed_in(
    house: House, client: httpx.AsyncClient
) -> None:
    house.knows(3, MemberStatus.VERIFIED, Role.MEMBER, Role.MODERATOR)
    assert slug(await client.get("/desk", headers=bearer(house.maker.token(amr=["pwd"])))) == "second-factor-needed"
    strong = house.maker.token(amr=["hwk", "mfa"])
    assert (await client.get("/desk", headers=bearer(strong))).status_code == 200


async def test_what_opens_an_account_wants_the_second_factor_of_those_who_have_one(house: House) -> None:
    asked: list[str] = []

    async def has_second_factor(member_id: str) -> bool:
        asked.append(member_id)
        return member_id == "strong"

    guard = Guard(house.maker.verifier(), has_second_factor=has_second_factor)
    transport = httpx.ASGITransport(house.app(guard))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for member, amr, status in (
            ("strong", ["pwd"], 401),
            ("strong", ["pwd", "otp", "mfa"], 200),
            ("plain", ["pwd"], 200),
        ):
            answer = await client.get("/safe", headers=bearer(house.maker.token(member, amr=amr)))
            assert answer.status_code == status
        weak = await client.get("/safe", headers=bearer(house.maker.token("strong", amr=["pwd"])))
        assert slug(weak) == "second-factor-needed"
        assert 'acr_values="mfa"' in weak.headers["www-authenticate"]
    assert set(asked) == {"strong", "plain"}


async def test_what_opens_an_account_wants_a_sign_in_of_the_last_minutes(
    house: House, client: httpx.AsyncClient
) -> None:
    assert (await client.get("/safe", headers=bearer(house.maker.token()))).status_code == 200
    for old in (int(time.time()) - RECENT_S - 5, None):
        refused = await client.get("/safe", headers=bearer(house.maker.token(auth_time=old)))
        assert (refused.status_code, slug(refused)) == (401, "sign-in-again")
        assert f'max_age="{RECENT_S}"' in refused.headers["www-authenticate"]


async def test_where_ended_sessions_are_known_their_tokens_are_refused(house: House) -> None:
    async def is_open(session_id: str) -> bool:
        return session_id == "open"

    transport = httpx.ASGITransport(house.app(Guard(house.maker.verifier(), session_open=is_open)))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/hall", headers=bearer(house.maker.token(sid="open")))).status_code == 200
        refused = await client.get("/hall", headers=bearer(house.maker.token(sid="ended")))
        assert (refused.status_code, slug(refused)) == (401, "token-refused")


async def test_the_local_record_wins_over_a_token_that_is_not_newer(house: House, client: httpx.AsyncClient) -> None:
    token = house.maker.token(member_version=2, amr=["pwd", "otp", "mfa"])
    house.knows(3, MemberStatus.SUSPENDED, Role.MEMBER)
    assert slug(await client.get("/ward", headers=bearer(token))) == "account-suspended"
    house.knows(2, MemberStatus.VERIFIED, Role.MEMBER, Role.MODERATOR)
    assert (await client.get("/desk", headers=bearer(token))).json() == "Local name"


async def test_a_token_newer_than_the_local_record_wins(house: House, client: httpx.AsyncClient) -> None:
    house.knows(1, MemberStatus.UNVERIFIED, Role.MEMBER)
    token = house.maker.token(member_version=2)
    assert (await client.get("/ward", headers=bearer(token))).json() == "Dr Test"


async def test_a_role_that_was_taken_back_is_gone_with_open_sessions_too(
    house: House, client: httpx.AsyncClient
) -> None:
    token = house.maker.token(roles=["member", "moderator"])
    assert (await client.get("/desk", headers=bearer(token))).status_code == 200
    house.knows(3, MemberStatus.VERIFIED, Role.MEMBER)
    assert slug(await client.get("/desk", headers=bearer(token))) == "role-missing"


async def test_while_no_key_can_be_had_the_answer_is_try_again(house: House) -> None:
    async def fetch() -> dict[str, Any]:
        raise httpx.ConnectError("identity is away")

    guard = Guard(TokenVerifier("http://identity.test", ISSUER, AUDIENCE, fetch=fetch))
    transport = httpx.ASGITransport(house.app(guard))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/hall", headers=bearer(house.maker.token()))
    assert answer.status_code == 503
    assert slug(answer) == "identity-unavailable"
    assert answer.headers["retry-after"]
