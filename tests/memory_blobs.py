"""An object store in memory for unit tests; `tests/contract/test_blobs.py` holds it to the real one's behaviour."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from shared.blobs import (
    CREDENTIALS,
    PROOFS,
    RAW,
    REDACTED,
    TEXTS,
    BlobEntry,
    BlobMissing,
    BlobsAway,
    BlobsRefused,
)


class MemoryBlobs:
    """Answers as `shared.blobs.Blobs` does. Set `away` and every call raises BlobsAway."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, tuple[bytes, str, datetime]]] = {
            RAW: {},
            REDACTED: {},
            TEXTS: {},
            PROOFS: {},
            CREDENTIALS: {},
        }
        self.away = False

    def _bucket(self, name: str) -> dict[str, tuple[bytes, str, datetime]]:
        if self.away:
            raise BlobsAway("the store in memory plays dead")
        if name not in self.buckets:
            raise BlobsRefused(f"there is no bucket {name}")
        return self.buckets[name]

    async def put(self, bucket: str, key: str, data: bytes, media_type: str = "application/octet-stream") -> None:
        self._bucket(bucket)[key] = (bytes(data), media_type, datetime.now(UTC))

    async def put_if_absent(self, bucket: str, key: str, data: bytes) -> bool:
        if key in self._bucket(bucket):
            return False
        await self.put(bucket, key, data)
        return True

    async def put_if_unchanged(self, bucket: str, key: str, data: bytes, tag: str) -> bool:
        found = self._bucket(bucket).get(key)
        if found is None or _tag(found[0]) != tag:
            return False
        await self.put(bucket, key, data)
        return True

    async def get(self, bucket: str, key: str) -> bytes:
        try:
            return self._bucket(bucket)[key][0]
        except KeyError:
            raise BlobMissing(key) from None

    async def get_with_tag(self, bucket: str, key: str) -> tuple[bytes, str]:
        data = await self.get(bucket, key)
        return data, _tag(data)

    async def stream(self, bucket: str, key: str, chunk_bytes: int = 262_144) -> AsyncIterator[bytes]:
        data = await self.get(bucket, key)
        for start in range(0, len(data), chunk_bytes):
            yield data[start : start + chunk_bytes]

    async def exists(self, bucket: str, key: str) -> bool:
        return key in self._bucket(bucket)

    async def list_prefix(self, bucket: str, prefix: str = "") -> list[BlobEntry]:
        return [
            BlobEntry(key, len(data), modified)
            for key, (data, _, modified) in sorted(self._bucket(bucket).items())
            if key.startswith(prefix)
        ]

    async def delete(self, bucket: str, key: str) -> None:
        self._bucket(bucket).pop(key, None)

    async def delete_prefix(self, bucket: str, prefix: str) -> int:
        if not prefix.endswith("/"):
            raise ValueError("a prefix to delete ends with '/', so that it cannot match a neighbour")
        keys = [entry.key for entry in await self.list_prefix(bucket, prefix)]
        for key in keys:
            await self.delete(bucket, key)
        return len(keys)

    async def ping(self, bucket: str = REDACTED) -> None:
        self._bucket(bucket)

    def close(self) -> None:
        """Nothing to close; here so that it can stand in for the real one."""


def _tag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
