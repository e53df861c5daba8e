"""The two rooms: originals in (never out), painted pictures out. Everything here may be done twice without harm."""

import asyncio
from collections.abc import Sequence

from pydantic import ValidationError

from services.redactor.domain import Reason, Unreadable
from services.redactor.pixels.redact import Redacted, RedactedFrame
from shared.blobs import (
    RAW,
    REDACTED,
    BlobBroken,
    BlobMissing,
    ObjectStore,
    manifest_key,
    raw_data_key,
    redacted_key,
    redacted_prefix,
)
from shared.events import CaseRedacted, Frame, Rendition
from shared.originals import RawRoom


class Gone(Exception):
    """The original was erased: a withdrawal is under way, or the author removed it. Leave nothing behind."""


class Rooms:
    """The redactor's view of the object store."""

    def __init__(self, blobs: ObjectStore, raw: RawRoom) -> None:
        self._blobs = blobs
        self._raw = raw

    async def original(self, case_id: str, picture_id: str) -> bytes:
        """The original's bytes, in memory only. Raises Gone, or Unreadable where this one original is lost."""
        try:
            return await self._raw.load(case_id, picture_id)
        except BlobMissing:
            if not await self._blobs.exists(RAW, raw_data_key(case_id)):
                raise Gone from None
            raise Unreadable(Reason.ORIGINAL_MISSING) from None
        except BlobBroken as error:
            raise Unreadable(Reason.DECODER_FAILED, "the stored original is damaged") from error

    async def check_original(self, case_id: str, picture_id: str) -> None:
        """Return if the original can still be read. Raises Gone."""
        if not await self._raw.exists(case_id, picture_id):
            raise Gone

    async def originals_left(self, case_id: str) -> int:
        """Objects of the case that ingest has still to remove from the raw room."""
        return len(await self._blobs.list_prefix(RAW, f"{case_id}/"))

    async def finished(self, case_id: str, picture_id: str, revision: int) -> CaseRedacted | None:
        """The answer given for this revision before, if its work was finished."""
        try:
            return CaseRedacted.parse(await self._blobs.get(REDACTED, manifest_key(case_id, picture_id, revision)))
        except (BlobMissing, ValidationError):
            return None

    async def keep_frames(self, case_id: str, picture_id: str, revision: int, done: Redacted) -> tuple[Frame, ...]:
        """Store all sizes of all frames; the manifest, which makes them count, is not written here."""

        keys = {
            (frame.index, each.size): redacted_key(case_id, picture_id, revision, frame.index, each.size, each.sha256)
            for frame in done.frames
            for each in frame.renditions
        }
        await asyncio.gather(
            *(
                self._blobs.put(REDACTED, keys[frame.index, each.size], each.data, each.media_type)
                for frame in done.frames
                for each in frame.renditions
            )
        )
        return tuple(
            _frame(frame, [keys[frame.index, each.size] for each in frame.renditions]) for frame in done.frames
        )

    async def keep_answer(self, answer: CaseRedacted) -> None:
        """Write the manifest: from now on a repeat finds the work done."""
        assert answer.picture_id is not None
        where = manifest_key(answer.case_id, answer.picture_id, answer.revision)
        await self._blobs.put(REDACTED, where, answer.to_json(), "application/json")

    async def erase(self, case_id: str, picture_id: str | None = None) -> int:
        """Remove everything painted of a case, or of one picture; returns how many objects there were."""
        return await self._blobs.delete_prefix(REDACTED, redacted_prefix(case_id, picture_id))


def _frame(frame: RedactedFrame, keys: Sequence[str]) -> Frame:
    renditions = tuple(
        Rendition(
            size=each.size,
            object_key=key,
            media_type=each.media_type,
            width=each.width,
            height=each.height,
            size_bytes=len(each.data),
            sha256=each.sha256,
        )
        for key, each in zip(keys, frame.renditions, strict=True)
    )
    return Frame(
        index=frame.index,
        width=frame.width,
        height=frame.height,
        regions=frame.regions,
        residual=frame.residual,
        proposals=frame.proposals,
        clinical=frame.clinical,
        renditions=renditions,
    )
