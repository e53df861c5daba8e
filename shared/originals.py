"""The room of encrypted original pictures. Only ingest and the redactor may import it; a test holds them to that."""

from shared.blobs import RAW, ObjectStore
from shared.keyring import KeyRing
from shared.sealed import Rewrap, SealedRoom


class RawRoom:
    """Original pictures, encrypted with a key per case that lies beside them, wrapped; lose the key, lose them.

    Their size and number in memory are bounded before they come here (`INGEST_MAX_UPLOAD_BYTES`, upload slots, the
    redactor's workers).
    """

    def __init__(self, blobs: ObjectStore, keyring: KeyRing) -> None:
        self.sealed = SealedRoom(blobs, RAW, keyring, max_bytes=None, bound="consilium data key ")

    async def store(self, case_id: str, picture_id: str, data: bytes, media_type: str) -> None:
        """Encrypt and keep one original. The first of a case makes the case's key."""
        await self.sealed.store(case_id, picture_id, data, media_type)

    async def load(self, case_id: str, picture_id: str) -> bytes:
        """The original's bytes. Raises BlobMissing (also when the case's key is forgotten) and BlobBroken."""
        data, _ = await self.sealed.load(case_id, picture_id)
        return data

    async def exists(self, case_id: str, picture_id: str) -> bool:
        """Whether the original can still be read: its object and its case's key are there."""
        return await self.sealed.exists(case_id, picture_id)

    async def remove(self, case_id: str, picture_id: str) -> None:
        """Remove one original; the case's key stays for the others."""
        await self.sealed.remove(case_id, picture_id)

    async def forget(self, case_id: str) -> None:
        """Remove the case's key, then everything of the case. May be repeated until it succeeds."""
        await self.sealed.forget(case_id)

    async def rewrap(self, case_id: str) -> Rewrap:
        """Wrap the case's key with the current wrapping key; see `SealedRoom.rewrap`."""
        return await self.sealed.rewrap(case_id)
