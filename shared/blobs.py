"""Objects in the S3 store.

`Blobs` is a small asynchronous face of the minio client: bounded threads, bounded waits, three errors. The names
of buckets and objects are decided here, so that no service builds them by hand; ids in them tell nothing.
What is encrypted at rest goes through the rooms of `shared.sealed` and `shared.originals`.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from pydantic import SecretStr
from urllib3.exceptions import HTTPError

from shared.errors import NotNow, PoisonMessage, WrongSetting

RAW = "cases-raw"
REDACTED = "cases-redacted"
TEXTS = "texts"
PROOFS = "proofs"
CREDENTIALS = "credentials"

T = TypeVar("T")


def raw_key(case_id: str, picture_id: str) -> str:
    return f"{case_id}/{picture_id}"


def raw_data_key(case_id: str) -> str:
    """Where the wrapped data key of a case's originals lies, in the bucket of originals."""
    return f"{case_id}/key"


def redacted_prefix(case_id: str, picture_id: str | None = None, revision: int | None = None) -> str:
    parts = [case_id]
    if picture_id is not None:
        parts.append(picture_id)
        if revision is not None:
            parts.append(str(revision))
    return "/".join(parts) + "/"


def redacted_key(case_id: str, picture_id: str, revision: int, frame: int, size: str, sha256: str) -> str:
    """Where a rendition lies. Its hash is in the name: two workers that paint the same revision, during a rolling
    update, may differ in a byte, and neither may overwrite what the other's event has announced."""
    return f"{redacted_prefix(case_id, picture_id, revision)}{frame:04d}-{size}-{sha256[:16]}"


def manifest_key(case_id: str, picture_id: str, revision: int) -> str:
    return f"{redacted_prefix(case_id, picture_id, revision)}manifest.json"


def text_key(case_id: str, version: int) -> str:
    return f"{case_id}/{version}.json"


class BlobMissing(Exception):
    """There is no such object (any more)."""


class BlobsAway(NotNow):
    """The store does not answer, or answers that it cannot now. The same call may work later."""


class BlobsRefused(BlobsAway):
    """The store refuses our credentials or has no such bucket: the deployment is wrong, not the message."""


class BlobBroken(PoisonMessage):
    """An object of a sealed room is not what we wrote there: cut, altered, or moved from another place."""


@dataclass(frozen=True)
class BlobEntry:
    key: str
    size_bytes: int
    modified: datetime


class ObjectStore(Protocol):
    """What services ask of a store. `Blobs` is the real one; tests run the same suite on their fake."""

    async def put(self, bucket: str, key: str, data: bytes, media_type: str = "application/octet-stream") -> None: ...
    async def put_if_absent(self, bucket: str, key: str, data: bytes) -> bool: ...
    async def put_if_unchanged(self, bucket: str, key: str, data: bytes, tag: str) -> bool: ...
    async def get(self, bucket: str, key: str) -> bytes: ...
    async def get_with_tag(self, bucket: str, key: str) -> tuple[bytes, str]: ...
    def stream(self, bucket: str, key: str, chunk_bytes: int = 262_144) -> AsyncIterator[bytes]: ...
    async def exists(self, bucket: str, key: str) -> bool: ...
    async def list_prefix(self, bucket: str, prefix: str = "") -> list[BlobEntry]: ...
    async def delete(self, bucket: str, key: str) -> None: ...
    async def delete_prefix(self, bucket: str, prefix: str) -> int: ...
    async def ping(self, bucket: str = REDACTED) -> None: ...


class S3Settings(Protocol):
    """The part of `ServiceSettings` that `Blobs` reads."""

    @property
    def s3_endpoint(self) -> str: ...
    @property
    def s3_access_key(self) -> str: ...
    @property
    def s3_secret_key(self) -> SecretStr: ...
    @property
    def s3_secure(self) -> bool: ...


class Blobs:
    """The S3 store. Every call may raise BlobsAway; calls may be repeated without harm. Call `close` at the end.

    `threads` bounds both the threads and the connections of this process (the minio client is synchronous).
    """

    # One PUT up to this size: the object appears whole or not at all.
    _SINGLE_PUT_BYTES = 128 * 1024 * 1024

    def __init__(self, settings: S3Settings, *, threads: int = 12) -> None:
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=2.0, read=20.0),
            maxsize=threads,
            block=True,
            retries=urllib3.Retry(total=2, redirect=0, backoff_factor=0.1, status_forcelist=(500, 502, 503, 504)),
        )
        try:
            self._client = Minio(
                settings.s3_endpoint,
                access_key=settings.s3_access_key,
                secret_key=settings.s3_secret_key.get_secret_value(),
                secure=settings.s3_secure,
                region="us-east-1",  # given, so that the client need not ask for the bucket's location
                http_client=self._http,
            )
        except ValueError as error:
            raise WrongSetting(
                "The address of the object store (…_S3_ENDPOINT) cannot be used: write host:port, without http://."
            ) from error
        self._threads = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="blobs")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._http.clear()

    async def put(self, bucket: str, key: str, data: bytes, media_type: str = "application/octet-stream") -> None:
        """Store `data` whole, replacing what was there."""
        await self._call(
            self._client.put_object,
            bucket,
            key,
            io.BytesIO(data),
            len(data),
            content_type=media_type,
            part_size=self._SINGLE_PUT_BYTES,
        )

    async def put_if_absent(self, bucket: str, key: str, data: bytes) -> bool:
        """Store `data` if there is no such object; True if it was stored. Of several at once, one wins."""
        return await self._call(self._put_if, bucket, key, data, {"If-None-Match": "*"})

    async def put_if_unchanged(self, bucket: str, key: str, data: bytes, tag: str) -> bool:
        """Replace the object that `get_with_tag` gave with this tag; False if it is another now, or gone.

        Atomic against other writes and deletions, so that nothing deleted comes back.
        """
        return await self._call(self._put_if, bucket, key, data, {"If-Match": tag})

    def _put_if(self, bucket: str, key: str, data: bytes, condition: dict[str, str]) -> bool:
        # The client has no parameter for conditions; a presigned address lets us send them.
        url = self._client.presigned_put_object(bucket, key, expires=timedelta(minutes=5))
        # No retry here: after an answer lost on the way, a second try would find our own object and say False.
        response = self._http.request("PUT", url, body=data, headers=condition, retries=False, redirect=False)
        gone = response.status == 404 and b"NoSuchKey" in response.data
        if response.status in (409, 412) or gone:
            return False
        if response.status != 200:
            raise (BlobsRefused if response.status in (401, 403, 404) else BlobsAway)(
                f"the store answered {response.status} to a conditional write in {bucket}"
            )
        return True

    async def get(self, bucket: str, key: str) -> bytes:
        """The whole object. Raises BlobMissing."""
        data, _ = await self._call(self._read, bucket, key)
        return data

    async def get_with_tag(self, bucket: str, key: str) -> tuple[bytes, str]:
        """The whole object, and what names this very content to `put_if_unchanged`. Raises BlobMissing."""
        return await self._call(self._read, bucket, key)

    def _read(self, bucket: str, key: str) -> tuple[bytes, str]:
        response = self._client.get_object(bucket, key)
        try:
            return response.read(), str(response.headers["ETag"])
        finally:
            response.close()
            response.release_conn()

    async def stream(self, bucket: str, key: str, chunk_bytes: int = 262_144) -> AsyncIterator[bytes]:
        """The object in chunks, so that memory does not grow with it. Raises BlobMissing before the first."""
        response = await self._call(self._client.get_object, bucket, key)
        try:
            while chunk := await self._call(response.read, chunk_bytes):
                yield chunk
        finally:
            response.close()
            response.release_conn()

    async def exists(self, bucket: str, key: str) -> bool:
        try:
            await self._call(self._client.stat_object, bucket, key)
        except BlobMissing:
            return False
        return True

    async def list_prefix(self, bucket: str, prefix: str = "") -> list[BlobEntry]:
        """All objects whose key starts with `prefix`, in the order of their keys."""
        return await self._call(self._list, bucket, prefix)

    def _list(self, bucket: str, prefix: str) -> list[BlobEntry]:
        found = self._client.list_objects(bucket, prefix=prefix, recursive=True)
        entries = [
            BlobEntry(o.object_name or "", o.size or 0, o.last_modified or datetime.now(UTC))
            for o in found
            if not o.is_dir
        ]
        return sorted(entries, key=lambda entry: entry.key)

    async def delete(self, bucket: str, key: str) -> None:
        """Remove the object; nothing happens if there is none."""
        await self._call(self._client.remove_object, bucket, key)

    async def delete_prefix(self, bucket: str, prefix: str) -> int:
        """Remove every object under `prefix`, which ends with "/"; returns how many there were."""
        if not prefix.endswith("/"):
            raise ValueError("a prefix to delete ends with '/', so that it cannot match a neighbour")
        entries = await self.list_prefix(bucket, prefix)
        for entry in entries:
            await self.delete(bucket, entry.key)
        return len(entries)

    async def ping(self, bucket: str = REDACTED) -> None:
        """Return when the store lists this bucket for us. Asks for what every user of a bucket may do."""
        await self._call(self._list, bucket, "no-case/")

    async def _call(self, fn: Callable[..., T], *args: Any, **named: Any) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, partial(fn, *args, **named))
        except S3Error as error:
            if error.code in ("NoSuchKey", "NoSuchObject", "ResourceNotFound"):
                raise BlobMissing(str(error.object_name)) from error
            if error.code in (
                "AccessDenied",
                "InvalidAccessKeyId",
                "SignatureDoesNotMatch",
                "NoSuchBucket",
            ):
                raise BlobsRefused(f"{error.code}: {error.bucket_name}") from error
            raise BlobsAway(f"{error.code}: {error.message}") from error
        except (HTTPError, InvalidResponseError, ServerError, OSError) as error:
            raise BlobsAway(f"{type(error).__name__} from the object store") from error
