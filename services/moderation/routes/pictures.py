"""Routes of a claimed case's pictures: look, repaint, decide."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from services.moderation.domain import PictureUnknown
from services.moderation.routes.problems import refusals_told
from services.moderation.routes.shapes import (
    BoxesAsked,
    BoxesTaken,
    CaseId,
    DecisionAsked,
    DecisionShown,
    PictureId,
)
from services.moderation.store import Contents, Reviews
from shared.auth import Guard, Principal
from shared.events import RenditionSize, Role

CHUNK_BYTES = 64 * 1024


def picture_routes(reviews: Reviews, contents: Contents, guard: Guard) -> APIRouter:
    router = APIRouter(prefix="/cases/{case_id}/pictures/{picture_id}", tags=["pictures"])
    Moderator = Annotated[Principal, Depends(guard.role(Role.MODERATOR))]

    @router.get("/frames/{index}/{size}", response_class=StreamingResponse)
    async def look(
        request: Request,
        case_id: CaseId,
        picture_id: PictureId,
        index: Annotated[int, Path(ge=0)],
        size: RenditionSize,
        moderator: Moderator,
    ) -> StreamingResponse:
        """A frame of the current revision, exactly as the redactor wrote it (its hash is checked before).

        Only a full-size frame that was sent whole counts as seen: the mark is written before the last part leaves,
        so a broken download does not count, and a decision right after the download finds the mark.
        """
        me = moderator.member_id
        with refusals_told(case_id):
            claim, picture, frame = await reviews.change(
                case_id, lambda review: review.frame(me, reviews.clock(), picture_id, index)
            )
            rendition = next((each for each in frame.renditions if each.size is size), None)
            if rendition is None:
                raise PictureUnknown
            data = await contents.rendition(rendition)

        async def body() -> AsyncIterator[bytes]:
            last = max(len(data) - 1, 0) // CHUNK_BYTES * CHUNK_BYTES
            for start in range(0, last, CHUNK_BYTES):
                yield data[start : start + CHUNK_BYTES]
            if size is RenditionSize.FULL:
                if await request.is_disconnected():
                    raise ClientDisconnect
                # A refusal here (claim lost, picture repainted meanwhile) breaks the download: what was sent is
                # no longer what would be decided.
                await reviews.change(
                    case_id,
                    lambda review: review.served(
                        me, reviews.clock(), claim.claim_id, picture_id, picture.revision, index
                    ),
                )
            yield data[last:]

        headers = {"Content-Length": str(len(data)), "Content-Disposition": "inline"}
        return StreamingResponse(body(), media_type=rendition.media_type, headers=headers)

    @router.put("/boxes", status_code=202)
    async def change_boxes(
        case_id: CaseId, picture_id: PictureId, asked: BoxesAsked, moderator: Moderator
    ) -> BoxesTaken:
        """Have the picture painted again with exactly these boxes; the new revision must be looked at anew."""
        with refusals_told(case_id):
            revision = await reviews.change(
                case_id,
                lambda review: review.request_boxes(
                    moderator.member_id, reviews.clock(), picture_id, asked.revision, asked.frames
                ),
            )
        return BoxesTaken(picture_id=picture_id, revision=revision)

    @router.put("/decision")
    async def decide(
        case_id: CaseId, picture_id: PictureId, asked: DecisionAsked, moderator: Moderator
    ) -> DecisionShown:
        """Publish or withhold this revision of the picture. 409 until every frame was sent to you at full size.

        To publish, answer each proposal (`covered` by boxes, or `left` with a reason), and `marks` where asked.
        """
        with refusals_told(case_id):
            said = await reviews.change(
                case_id,
                lambda review: review.decide(
                    moderator.member_id,
                    reviews.clock(),
                    picture_id,
                    asked.revision,
                    asked.decision,
                    asked.reason,
                    asked.answers(),
                ),
            )
        return DecisionShown.of(picture_id, said)

    return router
