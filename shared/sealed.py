"""Encryption at rest: rooms of sealed objects in the store, and sealed fields of documents.

In a room every owner (a case, a member) has a data key of its own, which lies beside its objects, wrapped. Deleting
that one record erases everything of the owner, copies and backups of the objects included.
"""

import asyncio
import base64
import contextlib
import json
import os
from enum import StrEnum
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.blobs import BlobBroken, BlobMissing, BlobsAway, ObjectStore
from shared.keyring import KeyRing, Wrapped, WrappedKeyBroken

MIB: Final = 1024 * 1024
KEY_ITEM: Final = "key"
_MAGIC: Final = b"CR1"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_CHUNK_BYTES: Final = 4 * MIB


class Rewrap(StrEnum):
    """What became of one record when it was to be wrapped with the current key."""

    DONE = "done"
    CURRENT = "current"
    """It was so already."""
    GONE = "gone"
    """It was forgotten, perhaps just now."""


class TooLarge(ValueError):
    """More bytes than the room takes."""


class SealedRoom:
    """Objects of one bucket, each sealed with its owner's key. Plaintext is in memory only, never in a file.

    An object is `CR1`, the length of the media type (1 byte), the media type, a 12-byte nonce, and AES-256-GCM
    ciphertext bound to owner, item and media type. A wrapped key is bound to bucket and owner. Ids hold no "/", and no
    item is called "key".

    `max_bytes` is the largest object taken or given back, and `at_once` how many are in work: memory stays below about
    three times their product. Where `max_bytes` is None the caller bounds both.
    """

    def __init__(
        self,
        blobs: ObjectStore,
        bucket: str,
        keyring: KeyRing,
        *,
        max_bytes: int | None = 32 * MIB,
        at_once: int = 4,
        bound: str | None = None,
    ) -> None:
        self._blobs = blobs
        self._bucket = bucket
        self._keyring = keyring
        self._max_bytes = max_bytes
        self._slots = contextlib.nullcontext() if max_bytes is None else asyncio.Semaphore(at_once)
        # What a wrapped key is bound to begins with this; the room of originals has its own, older than this class.
        self._bound = f"consilium data key {bucket}/" if bound is None else bound

    async def store(self, owner_id: str, item_id: str, data: bytes, media_type: str) -> None:
        """Encrypt and keep one object. The first of an owner makes the owner's key. Raises TooLarge."""
        place = _place(owner_id, item_id)
        if self._max_bytes is not None and len(data) > self._max_bytes:
            raise TooLarge(f"{len(data)} bytes; the room takes {self._max_bytes}")
        async with self._slots:
            key = await self._data_key(owner_id, create=True)
            sealed = await asyncio.to_thread(_seal, key, place, data, media_type)
            await self._blobs.put(self._bucket, place, sealed)

    async def load(self, owner_id: str, item_id: str) -> tuple[bytes, str]:
        """Bytes and media type. Raises BlobMissing (also when the owner's key is forgotten) and BlobBroken."""
        place = _place(owner_id, item_id)
        async with self._slots:
            key = await self._data_key(owner_id, create=False)
            return await asyncio.to_thread(_open, key, place, await self._get(place))

    async def exists(self, owner_id: str, item_id: str) -> bool:
        """Whether the object can still be read: it and its owner's key are there."""
        return await self._blobs.exists(self._bucket, _key_place(owner_id)) and await self._blobs.exists(
            self._bucket, _place(owner_id, item_id)
        )

    async def remove(self, owner_id: str, item_id: str) -> None:
        """Remove one object; the owner's key stays for the others."""
        await self._blobs.delete(self._bucket, _place(owner_id, item_id))

    async def forget(self, owner_id: str) -> None:
        """Remove the owner's key, then everything of the owner. May be repeated until it succeeds."""
        await self._blobs.delete(self._bucket, _key_place(owner_id))
        await self._blobs.delete_prefix(self._bucket, f"{owner_id}/")

    async def owners(self) -> list[str]:
        """Everybody who has a key here, in the order of their ids."""
        entries = await self._blobs.list_prefix(self._bucket)
        split = (entry.key.rpartition("/") for entry in entries)
        return [owner for owner, _, item in split if item == KEY_ITEM and "/" not in owner]

    async def rewrap(self, owner_id: str) -> Rewrap:
        """Wrap the owner's key with the current wrapping key; the objects stay as they are.

        The record is replaced only if it is still the one that was read: a key that is forgotten meanwhile stays
        forgotten. Raises WrongWrappingKey where no key of the ring opens the record, and BlobBroken.
        """
        place = _key_place(owner_id)
        for _ in range(5):
            try:
                record, tag = await self._blobs.get_with_tag(self._bucket, place)
            except BlobMissing:
                return Rewrap.GONE
            try:
                newer = await self._keyring.rewrap(_wrapped(record), self._key_bound(owner_id))
            except WrappedKeyBroken as error:
                raise BlobBroken("a key record was altered or belongs to another owner") from error
            if newer is None:
                return Rewrap.CURRENT
            if await self._blobs.put_if_unchanged(self._bucket, place, _record(newer), tag):
                return Rewrap.DONE
        raise BlobsAway("the owner's key record changes again and again")

    async def _data_key(self, owner_id: str, *, create: bool) -> bytes:
        place, bound = _key_place(owner_id), self._key_bound(owner_id)
        for _ in range(5):
            try:
                wrapped = _wrapped(await self._blobs.get(self._bucket, place))
                return await self._keyring.unwrap(wrapped, bound)
            except WrappedKeyBroken as error:
                raise BlobBroken("a key record was altered or belongs to another owner") from error
            except BlobMissing:
                if not create:
                    raise
            # Two first objects at once: one key wins, and the other reads it (unless forgetting is faster).
            fresh = AESGCM.generate_key(bit_length=256)
            record = _record(await self._keyring.wrap(fresh, bound))
            if await self._blobs.put_if_absent(self._bucket, place, record):
                return fresh
        raise BlobsAway("the owner's key is taken away again and again")

    async def _get(self, place: str) -> bytes:
        if self._max_bytes is None:
            return await self._blobs.get(self._bucket, place)
        most = self._max_bytes + len(_MAGIC) + 1 + 255 + _NONCE_BYTES + _TAG_BYTES
        sealed = bytearray()
        stream = self._blobs.stream(self._bucket, place, _CHUNK_BYTES)
        async for chunk in stream:
            sealed += chunk
            if len(sealed) > most:
                raise BlobBroken(f"an object of the room {self._bucket} is larger than any that was stored there")
        return bytes(sealed)

    def _key_bound(self, owner_id: str) -> bytes:
        return f"{self._bound}{owner_id}".encode()


class SealedField:
    """Small secrets inside documents (a TOTP seed, a civil name), each with a data key of its own.

    What `seal` returns is stored as it is, in the document whose `_id` is the owner, in a field called `name` at any
    depth: so `shared.sealed_fields` finds it when wrapping keys are rotated. Who replaces a document that holds one
    does so only while it is as it was read, or puts back a key that is on its way out.

    Key and secret lie together here: removing the field erases it from the database, and a backup of the database
    opens for whoever has the wrapping key, until the backup expires.
    """

    def __init__(self, keyring: KeyRing) -> None:
        self._keyring = keyring

    async def seal(self, owner_id: str, name: str, secret: bytes) -> dict[str, Any]:
        """The secret as a field of a document: `key_id` (text), `wrapped_key` and `sealed` (bytes)."""
        place = _place(owner_id, name)
        key, nonce = AESGCM.generate_key(bit_length=256), os.urandom(_NONCE_BYTES)
        wrapped = await self._keyring.wrap(key, _field_bound(place))
        sealed = nonce + AESGCM(key).encrypt(nonce, secret, place.encode())
        return {"key_id": wrapped.key_id, "wrapped_key": wrapped.ciphertext, "sealed": sealed}

    async def open(self, owner_id: str, name: str, field: dict[str, Any]) -> bytes:
        """The secret. Raises WrongWrappingKey and BlobBroken (altered, or moved from another owner or field)."""
        place = _place(owner_id, name)
        try:
            key = await self._keyring.unwrap(_field_wrapped(field), _field_bound(place))
            sealed = bytes(field["sealed"])
            return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except (WrappedKeyBroken, InvalidTag, KeyError, TypeError, ValueError) as error:
            raise BlobBroken("a sealed field does not open: cut, altered, or moved from another place") from error

    async def rewrap(self, owner_id: str, name: str, field: dict[str, Any]) -> dict[str, Any] | None:
        """The same secret under the current wrapping key, None where it is so already; put it where `field` was only
        if it still is there. Raises as `open`."""
        try:
            newer = await self._keyring.rewrap(_field_wrapped(field), _field_bound(_place(owner_id, name)))
        except (WrappedKeyBroken, KeyError, TypeError, ValueError) as error:
            raise BlobBroken("a sealed field cannot be wrapped again: cut, altered or moved") from error
        return None if newer is None else {**field, "key_id": newer.key_id, "wrapped_key": newer.ciphertext}


def _field_wrapped(field: dict[str, Any]) -> Wrapped:
    return Wrapped(str(field["key_id"]), bytes(field["wrapped_key"]))


def _field_bound(place: str) -> bytes:
    return f"consilium field key {place}".encode()


def _key_place(owner_id: str) -> str:
    return f"{_one_step(owner_id)}/{KEY_ITEM}"


def _place(owner_id: str, item_id: str) -> str:
    if item_id == KEY_ITEM:
        raise ValueError('nothing but the key is called "key"')
    return f"{_one_step(owner_id)}/{_one_step(item_id)}"


def _one_step(name: str) -> str:
    if not name or "/" in name:
        raise ValueError('an id in a room is not empty and holds no "/"')
    return name


def _record(wrapped: Wrapped) -> bytes:
    # "nonce" is the first 12 bytes of the ciphertext: so records were written from the start, and every version of a
    # service reads them while two versions run side by side.
    fields = {
        "version": 1,
        "wrapping_key_id": wrapped.key_id,
        "nonce": base64.b64encode(wrapped.ciphertext[:_NONCE_BYTES]).decode(),
        "wrapped_key": base64.b64encode(wrapped.ciphertext[_NONCE_BYTES:]).decode(),
    }
    return json.dumps(fields).encode()


def _wrapped(record: bytes) -> Wrapped:
    try:
        fields = json.loads(record)
        nonce, rest = (base64.b64decode(fields[name], validate=True) for name in ("nonce", "wrapped_key"))
        return Wrapped(str(fields["wrapping_key_id"]), nonce + rest)
    except (ValueError, KeyError, TypeError) as error:
        raise BlobBroken("a key record cannot be read") from error


def _seal(key: bytes, place: str, data: bytes, media_type: str) -> bytes:
    kind, nonce = media_type.encode("ascii"), os.urandom(_NONCE_BYTES)
    header = _MAGIC + bytes([len(kind)]) + kind
    return b"".join((header, nonce, AESGCM(key).encrypt(nonce, data, header + place.encode())))


def _open(key: bytes, place: str, sealed: bytes) -> tuple[bytes, str]:
    if len(sealed) < 4 or not sealed.startswith(_MAGIC):
        raise BlobBroken("an object of a sealed room has no header of ours")
    end = 4 + sealed[3]
    try:
        view = memoryview(sealed)
        data = AESGCM(key).decrypt(
            sealed[end : end + _NONCE_BYTES], view[end + _NONCE_BYTES :], sealed[:end] + place.encode()
        )
        return data, sealed[4:end].decode("ascii")
    except (InvalidTag, ValueError) as error:
        raise BlobBroken("an object does not decrypt: cut, altered, or moved from another place") from error
