"""Finding a member by a professional's number without keeping the number in the clear: an HMAC of it.

A plain hash would not do, since eleven digits are tried in minutes. The key is made here once and kept sealed in the
database: rotating the wrapping key wraps it again, and every number keeps its place.
"""

import hashlib
import hmac
import os
from typing import Final

from services.identity.domain.verification import Number
from shared.mongo import Database, DuplicateKeyError
from shared.sealed import SealedField

COLLECTION: Final = "secrets"
OWNER: Final = "number-index"
FIELD: Final = "hmac"


class NumberIndex:
    """Gives each number its place in the index."""

    def __init__(self, db: Database, sealed: SealedField) -> None:
        self._secrets = db[COLLECTION]
        self._sealed = sealed
        self._secret: bytes | None = None

    async def place_of(self, number: Number) -> str:
        """64 hexadecimal digits, always the same for a number of an issuer. May raise WrongWrappingKey."""
        if self._secret is None:
            self._secret = await self._load_or_make()
        return hmac.new(self._secret, f"{number.issuer}:{number.value}".encode(), hashlib.sha256).hexdigest()

    async def _load_or_make(self) -> bytes:
        found = await self._secrets.find_one({"_id": OWNER})
        if found is None:
            made = os.urandom(32)
            try:
                await self._secrets.insert_one({"_id": OWNER, FIELD: await self._sealed.seal(OWNER, FIELD, made)})
            except DuplicateKeyError:
                found = await self._secrets.find_one({"_id": OWNER})  # another process was faster
            else:
                return made
        if found is None:
            raise RuntimeError("the key of the index of numbers was there and is gone")
        return await self._sealed.open(OWNER, FIELD, found[FIELD])
