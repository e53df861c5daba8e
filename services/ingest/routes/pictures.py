"""Pictures: streaming upload, the painted preview, and boxes. No route gives an original back."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from prometheus_client import Counter

from services.ingest.domain.case import Case
from services.ingest.domain.picture import Picture
from services.ingest.domain.refusals import Refused
from services.ingest.routes.bodies import whole_body
from services.ingest.routes.caller import Key, Member, Open, Repeatable, now, resources, respond, route_of
from services.ingest.routes.inspection import Limits, PictureFacts, inspect
from services.ingest.routes.problems import PICTURE_UNKNOWN
from services.ingest.routes.renditions import load, rendition_of
from services.ingest.routes.views import NewBoxes, PictureView, PreviewPicture, PreviewView
from services.ingest.store import Answer, Asked
from shared.events import CaseUploaded, PictureKind, RenditionSize
from shared.web import Problem, max_body

router = APIRouter(prefix="/cases/{case_id}", tags=["pictures"])

# What an operator learns: how much comes in, by type; refusals are counted by route and status.
RECEIVED_BYTES = Counter("consilium_ingest_received_bytes_total", "Bytes of accepted pictures", ["media_type"])


async def _own_limit(request: Request) -> None:
    await max_body(resources(request).settings.max_upload_bytes)(request)


@router.post(
    "/pictures",
    status_code=201,
    response_model=PictureView,
    dependencies=[Depends(_own_limit)],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def upload(
    request: Request,
    case_id: str,
    kind: Annotated[PictureKind, Query(description="What the picture shows")],
    member: Member,
    key: Key,
    open_: Open,
) -> Response:
    """Add a picture; the body is the file's bytes. JPEG, PNG, HEIC, WebP, TIFF, BMP, GIF or DICOM, told by content."""
    settings = open_.settings
    async with AsyncExitStack() as held:
        async with _refusal_is_heard(request, settings.upload_time_limit_s):
            case = await open_.store.case_of(member.member_id, case_id)
            if key is None:
                case.check_can_add_picture()  # before a byte is kept; with a key the answer may be there already
            await held.enter_async_context(open_.uploads.one(member.member_id))
        data = await whole_body(request, settings.upload_time_limit_s)
        asked = None
        if key is not None:
            digest = await asyncio.to_thread(hashlib.sha256, data)
            asked = Asked.of(member.member_id, key, route_of(request), digest.digest())
            if (known := await open_.store.known_answer(asked)) is not None:
                return respond(known)
            case.check_can_add_picture()
        limits = Limits(settings.max_picture_pixels, settings.max_picture_side_px, settings.max_picture_frames)
        facts = await asyncio.to_thread(inspect, data, limits)
        picture = _picture(kind, facts, len(data))
        answer = await open_.store.add_picture(
            member.member_id,
            case_id,
            picture,
            data,
            now(),
            asked,
            lambda _, picture: Answer(201, PictureView.of(picture).model_dump(mode="json")),
        )
    RECEIVED_BYTES.labels(facts.media_type).inc(len(data))
    return respond(answer)


@router.delete("/pictures/{picture_id}", status_code=204)
async def remove_picture(case_id: str, picture_id: str, member: Member, open_: Open) -> None:
    """Remove a picture; its original is erased. The case goes back to draft."""
    await open_.store.remove_picture(member.member_id, case_id, picture_id, now())


@router.get("/preview")
async def preview(request: Request, case_id: str, member: Member, open_: Open) -> PreviewView:
    """The painted pictures with their boxes: what the patient looks at, and exactly what would be published."""
    case = await open_.store.case_of(member.member_id, case_id)
    address = f"{request.scope.get('root_path', '')}/cases/{case_id}"
    return PreviewView(
        case_id=case_id,
        state=case.state,
        pictures=[PreviewPicture.of(picture, address) for picture in case.pictures],
    )


@router.get(
    "/pictures/{picture_id}/frames/{frame}/{size}",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}, "image/png": {}}, "description": "The painted picture"}},
)
async def painted(
    case_id: str, picture_id: str, frame: int, size: RenditionSize, member: Member, open_: Open
) -> Response:
    """A painted frame of the current revision, to the case's author only."""
    case = await open_.store.case_of(member.member_id, case_id)
    shown = case.picture(picture_id).current
    drawn = next((entry for entry in (shown.frames if shown else ()) if entry.index == frame), None)
    wanted = rendition_of(drawn, size) if drawn else None
    if wanted is None:
        raise PICTURE_UNKNOWN()
    data = await load(open_.blobs, wanted)
    return Response(data, media_type=wanted.media_type, headers={"ETag": f'"{wanted.sha256}"'})


@router.put("/pictures/{picture_id}/boxes", status_code=202, response_model=PictureView)
async def change_boxes(
    case_id: str, picture_id: str, new: NewBoxes, member: Member, repeatable: Repeatable, open_: Open
) -> Response:
    """Have exactly these boxes painted, as a new revision. A consent to the earlier revision no longer counts."""
    at = now()

    def act(case: Case) -> CaseUploaded | None:
        return case.change_boxes(at, picture_id, new.frames)

    def show(case: Case) -> Answer:
        return Answer(202, PictureView.of(case.picture(picture_id)).model_dump(mode="json"))

    return respond(await open_.store.change(member.member_id, case_id, repeatable, act, show))


@asynccontextmanager
async def _refusal_is_heard(request: Request, limit_s: float) -> AsyncIterator[None]:
    """Throw away the body of a request that is refused before it is read.

    A client, and a gateway even more, that is still sending when we answer may never see the answer.
    """
    try:
        yield
    except (Refused, Problem):
        with suppress(Problem, TimeoutError):
            async with asyncio.timeout(limit_s):
                async for _ in request.stream():
                    pass
        raise


def _picture(kind: PictureKind, facts: PictureFacts, size_bytes: int) -> Picture:
    return Picture(
        picture_id=str(uuid.uuid4()),
        kind=kind,
        media_type=facts.media_type,
        size_bytes=size_bytes,
        width=facts.width,
        height=facts.height,
        frames=facts.frames,
    )
