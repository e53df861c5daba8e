"""What moderators look at, as it lies in the object store."""

import hashlib

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.blobs import REDACTED, TEXTS, ObjectStore, text_key
from shared.events import Rendition


class CaseText(BaseModel):
    """The words of a case as its author wrote them."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    title: str
    body: str


class ContentBroken(Exception):
    """An object in the store is not the one that the event described; the message names it, without its content."""


class Contents:
    """What a moderator looks at, as it lies in the store. Raises BlobMissing, BlobsAway and ContentBroken."""

    def __init__(self, blobs: ObjectStore) -> None:
        self._blobs = blobs

    async def text(self, case_id: str, version: int) -> tuple[CaseText, str]:
        """A case's text in one version, and the SHA-256 (hex) of the object that holds it."""
        key = text_key(case_id, version)
        data = await self._blobs.get(TEXTS, key)
        try:
            return CaseText.model_validate_json(data), hashlib.sha256(data).hexdigest()
        except ValidationError as error:
            # `from None`: a validation error repeats its input, which is the case's text.
            raise ContentBroken(f"{TEXTS}/{key}: {error.error_count()} fields wrong") from None

    async def rendition(self, rendition: Rendition) -> bytes:
        """The bytes of a rendition, verified against the hash in the redactor's event."""
        data = await self._blobs.get(REDACTED, rendition.object_key)
        found = hashlib.sha256(data).hexdigest()
        if found != rendition.sha256:
            raise ContentBroken(f"{REDACTED}/{rendition.object_key}: SHA-256 {found}, expected {rendition.sha256}")
        return data
