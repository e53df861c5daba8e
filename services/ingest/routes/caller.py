"""What routes take from a request: who asks, with which key, and the resources that the app opened."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated
from weakref import WeakValueDictionary

from fastapi import Depends, Header, Request
from fastapi.responses import JSONResponse, Response

from services.ingest.routes.forms import Forms
from services.ingest.routes.problems import KEY_INVALID, UPLOADS_BUSY
from services.ingest.settings import Settings
from services.ingest.store import Answer, Asked, Consents, Eraser, Readings, Receipts, Store, Tries, Withdrawals
from shared.auth import Credentials, Guard, Principal
from shared.blobs import ObjectStore
from shared.events import Role
from shared.rights import Access, needs

_KEY = re.compile(r'^"?([A-Za-z0-9._:-]{1,128})"?$')
PER_MEMBER = 2


class UploadSlots:
    """Bounds the uploads that are in memory at once, in all and for one member."""

    def __init__(self, slots: int, wait_s: float) -> None:
        self._all = asyncio.Semaphore(slots)
        self._members: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._wait_s = wait_s

    @asynccontextmanager
    async def one(self, member_id: str) -> AsyncIterator[None]:
        """Hold a slot. Raises the problem `uploads-busy` when none comes free in time."""
        mine = self._members.setdefault(member_id, asyncio.Semaphore(PER_MEMBER))
        try:
            async with asyncio.timeout(self._wait_s):
                await mine.acquire()
                try:
                    await self._all.acquire()
                except BaseException:
                    mine.release()
                    raise
        except TimeoutError as error:
            raise UPLOADS_BUSY(headers={"Retry-After": "5"}) from error
        try:
            yield
        finally:
            self._all.release()
            mine.release()


@dataclass(frozen=True)
class Resources:
    """What the app opened and the routes use; `app.state.resources`."""

    settings: Settings
    store: Store
    consents: Consents
    readings: Readings
    withdrawals: Withdrawals
    receipts: Receipts
    tries: Tries
    eraser: Eraser
    blobs: ObjectStore
    guard: Guard
    uploads: UploadSlots
    forms: Forms = field(default_factory=Forms)


def resources(request: Request) -> Resources:
    found = request.app.state.resources
    assert isinstance(found, Resources)
    return found


@needs(Access.PROFESSIONAL)
async def verified(request: Request, credentials: Credentials) -> Principal:
    """A verified member, or 401/403."""
    return await resources(request).guard.verified(request, credentials)


@needs(Access.PRIVACY_OFFICER)
async def privacy_officer(request: Request, credentials: Credentials) -> Principal:
    """A verified member with the role of a privacy officer, or 401/403."""
    return await resources(request).guard.role(Role.PRIVACY_OFFICER)(request, credentials)


def idempotency_key(
    idempotency_key: Annotated[
        str | None,
        Header(description="A key of your own: the same request with the same key has one effect and one answer."),
    ] = None,
) -> str | None:
    if idempotency_key is None:
        return None
    found = _KEY.match(idempotency_key)
    if found is None:
        raise KEY_INVALID()
    return found[1]


Open = Annotated[Resources, Depends(resources)]
Member = Annotated[Principal, Depends(verified)]
PrivacyOfficer = Annotated[Principal, Depends(privacy_officer)]
Key = Annotated[str | None, Depends(idempotency_key)]


def route_of(request: Request) -> str:
    """Method, path and query: the part of a request's identity that is not its body."""
    return f"{request.method} {request.url.path}?{request.url.query}"


async def asked(request: Request, member: Member, key: Key) -> Asked | None:
    """The repeatable request, where it has a key. For routes with a JSON body, which is in memory already."""
    return None if key is None else Asked.of(member.member_id, key, route_of(request), await request.body())


Repeatable = Annotated[Asked | None, Depends(asked)]


def respond(answer: Answer) -> Response:
    """Send an answer, new or repeated."""
    if answer.body is None:
        return Response(status_code=answer.status)
    return JSONResponse(answer.body, answer.status)


def now() -> datetime:
    # MongoDB keeps milliseconds; with the same precision here, what is read back equals what was written.
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
