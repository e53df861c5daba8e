"""The table of rights is read off the routes; here the reading itself, and what must hold of every table."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI

from shared.auth import Guard, Principal
from shared.events import Role
from shared.rights import CALLERS, Access, Caller, Right, rights_of
from tests.tokens import TokenMaker

STAFF = (Access.MODERATOR, Access.CREDENTIAL_REVIEWER, Access.PRIVACY_OFFICER)


def test_a_route_asks_what_its_strictest_dependency_asks() -> None:
    guard = Guard(TokenMaker().verifier())
    router = APIRouter(dependencies=[Depends(guard.signed_in)])

    @router.get("/mine")
    async def mine() -> None: ...

    @router.put("/decision")
    async def decide(caller: Annotated[Principal, Depends(guard.role(Role.MODERATOR))]) -> None: ...

    async def nested(caller: Annotated[Principal, Depends(guard.verified)]) -> None: ...

    @router.post("/cases", dependencies=[Depends(nested)])
    async def create() -> None: ...

    app = FastAPI(openapi_url=None)
    app.include_router(router, prefix="/here")

    @app.get("/open")
    async def everyone() -> None: ...

    assert set(rights_of(app.routes)) == {
        Right("GET", "/here/mine", Access.SIGNED_IN),
        Right("PUT", "/here/decision", Access.MODERATOR),
        Right("POST", "/here/cases", Access.PROFESSIONAL),
        Right("GET", "/open", Access.OPEN),
    }


def named(name: str) -> Caller:
    return next(caller for caller in CALLERS if caller.name == name)


@pytest.mark.parametrize("name", ["stranger", "unverified", "suspended", "patient", "relative"])
def test_nobody_but_verified_professionals_and_staff_has_a_right(name: str) -> None:
    assert not [access for access in (Access.PROFESSIONAL, *STAFF) if named(name).may(access)]


def test_a_role_opens_its_own_doors_only() -> None:
    for access in STAFF:
        assert [other for other in STAFF if named(access.value).may(other)] == [access]
    assert not named("privacy_officer").may(Access.PROFESSIONAL)
    assert named("midwife").may(Access.PROFESSIONAL)
