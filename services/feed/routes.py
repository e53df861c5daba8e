"""HTTP in: reading, for verified members only.

`GET /cases` answers with text that is ready in the store. It has no response model, because pydantic would parse
and write again what was rendered once; the models below document it for OpenAPI.
"""

import asyncio
import logging
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from prometheus_client import Counter
from pydantic import BaseModel

from services.feed import domain
from services.feed.domain import FIRST_PAGE, BadCursor
from services.feed.store import Pages, Reader
from shared.audiences import tags_of_reader
from shared.auth import Guard, Principal
from shared.blobs import REDACTED, BlobMissing, ObjectStore
from shared.events import (
    CommentKind,
    Language,
    PatientFacts,
    PictureKind,
    Profession,
    QuestionKind,
    RenditionSize,
    Specialty,
)
from shared.web import ProblemKind, Text

logger = logging.getLogger(__name__)

# What an operator learns: any number but zero means that the bucket holds bytes which nobody approved.
DAMAGED = Counter("consilium_feed_damaged_pictures_total", "Pictures not served: their bytes are not the approved ones")

CASE_UNKNOWN = ProblemKind(
    "case-unknown",
    404,
    Text(en="No such case", fr="Cas inconnu"),
    Text(
        en="There is no such case in the feed. It may have been withdrawn; go back to the list.",
        fr="Ce cas n'est pas dans le fil. Il a peut-être été retiré\u00a0; revenez à la liste.",
    ),
)
PICTURE_UNKNOWN = ProblemKind(
    "picture-unknown",
    404,
    Text(en="No such picture", fr="Image inconnue"),
    Text(
        en="There is no such picture in the feed. Take its address from the case.",
        fr="Cette image n'est pas dans le fil. Prenez son adresse dans le cas.",
    ),
)
PICTURE_DAMAGED = ProblemKind(
    "picture-damaged",
    500,
    Text(en="This picture is not shown", fr="Cette image n'est pas affichée"),
    Text(
        en="The stored picture is not the one that was approved, so it is not shown. Please tell us the request id.",
        fr="L'image conservée n'est pas celle qui a été approuvée\u00a0; elle n'est donc pas affichée. "
        "Communiquez-nous "
        "l'identifiant de la demande (request_id).",
    ),
)
CURSOR_INVALID = ProblemKind(
    "cursor-invalid",
    400,
    Text(en="This cursor is not valid", fr="Ce curseur n'est pas valable"),
    Text(
        en="Send the next_cursor of an earlier page as it was, or leave the cursor out to start from the beginning.",
        fr="Envoyez tel quel le next_cursor d'une page précédente, ou omettez le curseur pour repartir du début.",
    ),
)


class Author(BaseModel):
    """What members may know of each other: the verified badge and a pseudonym.

    `registry`: where the profession was found, at `verified_at`, and looked up again at `checked_at`. `left`: a former
    member, of whom nothing else is kept. Fields are null until the member's own event has arrived."""

    member_id: str
    pseudonym: str | None
    profession: Profession | None
    specialty: Specialty | None
    country: str | None
    verified: bool
    registry: str | None
    verified_at: str | None
    checked_at: str | None
    left: bool


class Cover(BaseModel):
    """A small picture for a list. `url` is relative to the feed's prefix."""

    url: str
    media_type: str
    width: int
    height: int


class CaseCard(BaseModel):
    """A case in a list. `cover` is null where it has no picture."""

    case_id: str
    specialty: Specialty
    kind: QuestionKind
    language: Language
    title: str
    approved_at: str
    author_id: str
    author: Author
    comment_count: int
    excerpt: str
    picture_count: int
    cover: Cover | None


class CasePage(BaseModel):
    """`next_cursor` null: this is the last page."""

    items: list[CaseCard]
    next_cursor: str | None


class PublishedRendition(BaseModel):
    """One size of a frame, pixels and bytes. `url` is relative to the feed's prefix."""

    size: RenditionSize
    url: str
    media_type: str
    width: int
    height: int
    size_bytes: int
    sha256: str


class PublishedFrame(BaseModel):
    index: int
    width: int
    height: int
    renditions: list[PublishedRendition]


class PublishedPicture(BaseModel):
    picture_id: str
    kind: PictureKind
    revision: int
    frames: list[PublishedFrame]


class PublishedCase(CaseCard):
    """`patient`: what the author tells of the patient, generalised; null where nothing is told."""

    version: int
    text: str
    patient: PatientFacts | None
    pictures: list[PublishedPicture]


class Comment(BaseModel):
    comment_id: str
    case_id: str
    kind: CommentKind
    text: str
    parent_id: str | None
    created_at: str
    author_id: str
    author: Author


class CommentPage(BaseModel):
    items: list[Comment]
    next_cursor: str | None


Limit = Annotated[int, Query(ge=1, le=100, description="Items on the page")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the page before")]


def make_router(guard: Guard, pages: Pages, blobs: ObjectStore) -> APIRouter:
    """The feed's routes. Every one of them asks for a verified member."""
    router = APIRouter(default_response_class=Response)

    async def reader(caller: Annotated[Principal, Depends(guard.verified)]) -> Reader:
        return Reader(caller.member_id, tags_of_reader(caller.profession, caller.specialty))

    Reading = Annotated[Reader, Depends(reader)]

    @router.get("/cases", responses=_documented(CasePage), summary="Published cases, newest first")
    async def list_cases(
        reader: Reading,
        specialty: Specialty | None = None,
        kind: QuestionKind | None = None,
        language: Language | None = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> Response:
        filters = {
            name: str(value)
            for name, value in (("specialty", specialty), ("kind", kind), ("language", language))
            if value is not None
        }
        return _json(await pages.cases(reader, filters, limit, _position(cursor, FIRST_PAGE)))

    @router.get("/cases/{case_id}", responses=_documented(PublishedCase), summary="A case with its pictures")
    async def get_case(case_id: str, reader: Reading) -> Response:
        return _json(_found(await pages.case(reader, case_id)))

    @router.get(
        "/cases/{case_id}/comments", responses=_documented(CommentPage), summary="A case's comments, oldest first"
    )
    async def list_comments(case_id: str, reader: Reading, limit: Limit = 50, cursor: Cursor = None) -> Response:
        return _json(_found(await pages.comments(reader, case_id, limit, _position(cursor, ""))))

    @router.get(
        "/cases/{case_id}/pictures/{picture_id}/frames/{frame}/{size}",
        summary="A picture as it was approved",
        responses={
            200: {"content": {"image/jpeg": {}, "image/png": {}}, "description": "Exactly the approved bytes"},
            304: {"description": "The caller has these bytes already"},
            404: {"description": "No such picture in the feed"},
        },
    )
    async def get_picture(
        reader: Reading,
        case_id: str,
        picture_id: str,
        frame: Annotated[int, Path(ge=0, le=10_000)],
        size: RenditionSize,
        if_none_match: Annotated[str | None, Header(max_length=1_000)] = None,
    ) -> Response:
        file = await pages.file(reader, case_id, picture_id, frame, size.value)
        if file is None:
            raise PICTURE_UNKNOWN()
        # `no-cache`: a copy is kept but asked about each time, so that a withdrawal is noticed.
        headers = {"ETag": f'"{file.sha256}"', "Cache-Control": "private, no-cache"}
        if _matches(if_none_match, file.sha256):
            return Response(status_code=304, headers=headers)
        try:
            data = await blobs.get(REDACTED, file.object_key)
        except BlobMissing as missing:
            # A withdrawal removes the object before its event reaches us.
            raise PICTURE_UNKNOWN() from missing
        if await asyncio.to_thread(domain.digest, data) != file.sha256:
            DAMAGED.inc()
            logger.error("the bytes of %s are not the approved ones", file.object_key)
            raise PICTURE_DAMAGED()
        return Response(data, headers=headers, media_type=file.media_type)

    return router


def _found(body: bytes | None) -> bytes:
    if body is None:
        raise CASE_UNKNOWN()
    return body


def _position(cursor: str | None, start: str) -> str:
    if cursor is None:
        return start
    try:
        return domain.read_cursor(cursor)
    except BadCursor as error:
        raise CURSOR_INVALID() from error


def _matches(if_none_match: str | None, sha256: str) -> bool:
    """Weak comparison, as RFC 9110 (13.1.2) asks for."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in if_none_match.split(",")}
    return "*" in tags or sha256 in tags


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _documented(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model}, 404: {"description": "Not in the feed"}}
