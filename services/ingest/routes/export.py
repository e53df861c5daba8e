"""Everything that ingest holds about the caller, as a ZIP file."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from services.ingest.domain.case import Case
from services.ingest.domain.picture import Picture
from services.ingest.routes.caller import Open, Resources, resources
from shared.archive import zipped
from shared.auth import Credentials, Principal
from shared.blobs import REDACTED, BlobMissing
from shared.events import RenditionSize
from shared.rights import Access, needs

router = APIRouter(tags=["leaving"])

ABOUT = """\
Consilium: what the service ingest holds about one member.

In this archive: your cases with their texts and painted pictures, the consents that you recorded, with the code that
you gave the patient, and your comments. Of withdrawn cases only the id and the dates are left.

Not in it: the original pictures and the signatures, which are the patient's, encrypted, and open to nobody but the
machine that paints and a privacy officer whose every look is noted; and what others wrote. Your account and profile
are in the archive of the service identity (GET /api/identity/me/export).

--

Consilium : ce que le service ingest détient au sujet d'un membre.

Dans cette archive : vos cas, avec leurs textes et leurs images recouvertes, les consentements que vous avez
enregistrés, avec le code que vous avez donné au patient, et vos commentaires. Des cas retirés, il ne reste que
l'identifiant et les dates.

N'y figurent pas : les images d'origine et les signatures, qui sont celles du patient, chiffrées, et accessibles
seulement à la machine qui recouvre les images et à un responsable de la protection des données, dont chaque
consultation est consignée ; ni ce que d'autres ont écrit. Votre compte et votre profil sont dans l'archive du service
identity (GET /api/identity/me/export).
"""
_OF_CASE = {
    "case_id", "specialty", "kind", "language", "title", "body", "created_at", "updated_at", "state", "version",
    "decision",
}  # fmt: skip
_OF_CONSENT = {
    "patient_code", "subject", "relation", "purposes", "audience", "specialty", "language", "text_version",
    "text_sha256", "signed_on", "expires_on", "recorded_at",
}  # fmt: skip
_OF_PICTURE = {"picture_id", "kind", "media_type", "size_bytes", "width", "height", "frames", "revision", "marks"}


@needs(Access.SIGNED_IN)
async def just_signed_in(request: Request, credentials: Credentials) -> Principal:
    """Anyone who has signed in within the last minutes, whatever the account's status."""
    return await resources(request).guard.just_signed_in(request, credentials)


@router.get(
    "/me/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {}}, "description": "A ZIP file, sent while it is made"}},
)
async def export(open_: Open, me: Annotated[Principal, Depends(just_signed_in)]) -> StreamingResponse:
    """Your cases, consents and comments, as a ZIP file of JSON and painted pictures."""
    name = f"consilium-ingest-{date.today().isoformat()}.zip"
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "private, no-store"}
    return StreamingResponse(zipped(_files(open_, me.member_id)), media_type="application/zip", headers=headers)


async def _files(open_: Resources, member_id: str) -> AsyncIterator[tuple[str, bytes]]:
    yield "README.txt", ABOUT.encode()
    async for case in open_.store.all_cases_of(member_id):
        if not isinstance(case, Case):
            yield f"cases/{case['case_id']}/withdrawn.json", _json(case)
            continue
        yield f"cases/{case.case_id}/case.json", _json(_shown(case))
        for picture in case.pictures:
            async for name, data in _painted(open_, picture):
                yield f"cases/{case.case_id}/{name}", data
    comments = [comment.model_dump() async for comment in open_.store.all_comments_of(member_id)]
    yield "comments.json", await asyncio.to_thread(_json, comments)


def _shown(case: Case) -> dict[str, Any]:
    shown = case.model_dump(include=_OF_CASE)
    shown["pictures"] = [picture.model_dump(include=_OF_PICTURE) for picture in case.pictures]
    shown["information"] = case.information.model_dump() if case.information else None
    shown["consent"] = case.consent.model_dump(include=_OF_CONSENT) if case.consent else None
    return shown


async def _painted(open_: Resources, picture: Picture) -> AsyncIterator[tuple[str, bytes]]:
    for frame in picture.current.frames if picture.current else ():
        for rendition in frame.renditions:
            if rendition.size is RenditionSize.FULL:
                try:
                    data = await open_.blobs.get(REDACTED, rendition.object_key)
                except BlobMissing:
                    continue  # withdrawn while the archive is made
                suffix = "png" if rendition.media_type == "image/png" else "jpg"
                yield f"{picture.picture_id}-{frame.index}.{suffix}", data


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2, default=_plain) + "\n").encode()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    assert isinstance(value, date | Enum), f"{type(value)} has no form in JSON"
    return str(value)
