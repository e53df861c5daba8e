"""Painted pictures out of the store: what the author, the patient and the printed form show."""

import asyncio
import hashlib
from dataclasses import dataclass

from services.ingest.domain.case import Case
from services.ingest.routes.problems import PICTURE_UNKNOWN
from shared.blobs import REDACTED, BlobMissing, ObjectStore
from shared.events import Frame, Rendition, RenditionSize

MANY_FRAMES = 30
_PREFERRED = (RenditionSize.LARGE, RenditionSize.FULL, RenditionSize.SMALL)


@dataclass(frozen=True)
class Painted:
    """A painted frame. `data` is exactly what the redactor announced."""

    rendition: Rendition
    data: bytes


def rendition_of(frame: Frame, size: RenditionSize) -> Rendition | None:
    return next((one for one in frame.renditions if one.size is size), None)


def shown_on_a_page(frame: Frame) -> Rendition | None:
    """The size that a screen or a sheet shows: the large one, else what there is."""
    found = (rendition_of(frame, size) for size in _PREFERRED)
    return next((one for one in found if one is not None), None)


async def load(blobs: ObjectStore, rendition: Rendition) -> bytes:
    """The bytes that the redactor vouched for. Raises the problem `picture-unknown` where they are gone."""
    try:
        data = await blobs.get(REDACTED, rendition.object_key)
    except BlobMissing as error:
        raise PICTURE_UNKNOWN() from error
    if await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest()) != rendition.sha256:
        # Never show what the redactor did not vouch for. A crash line tells the operator.
        raise RuntimeError(f"the object of a painted picture has other bytes than announced: {rendition.object_key}")
    return data


async def painted_for(blobs: ObjectStore, case: Case) -> list[Painted]:
    """Every frame of every picture of the case as it is painted now, for a printed form.

    At the size of a page; where there are many (films), at the smallest: a form of 500 frames stays at some 20 MB.
    """
    return [Painted(rendition, await load(blobs, rendition)) for rendition in wanted_for(case)]


def wanted_for(case: Case) -> list[Rendition]:
    """What `painted_for` loads."""
    frames = [frame for picture in case.pictures for frame in (picture.current.frames if picture.current else ())]
    small = [rendition_of(frame, RenditionSize.SMALL) if len(frames) > MANY_FRAMES else None for frame in frames]
    found = (one or shown_on_a_page(frame) for one, frame in zip(small, frames, strict=True))
    return [one for one in found if one is not None]
