"""Sealed fields of a MongoDB collection, as a place whose wrapped keys can be wrapped again."""

from typing import Any

from shared.mongo import Mongo
from shared.sealed import Rewrap, SealedField


class SealedFields:
    """The fields at `path` ("totp.seed") that were sealed under `name` for the owner who is the document's `_id`."""

    def __init__(self, mongo: Mongo, collection: str, path: str, name: str, sealed: SealedField) -> None:
        self._documents = mongo.db[collection]
        self._path = path
        self._name = name
        self._sealed = sealed

    async def owners(self) -> list[str]:
        """The ids of the documents that have the field."""
        found = self._documents.find({f"{self._path}.wrapped_key": {"$exists": True}}, {"_id": 1}, sort=[("_id", 1)])
        return [str(document["_id"]) async for document in found]

    async def rewrap(self, owner_id: str) -> Rewrap:
        """Wrap one field's key again, in place, only while it is the one that was read. Raises as `SealedField`."""
        field = await self._field(owner_id)
        if field is None:
            return Rewrap.GONE
        newer = await self._sealed.rewrap(owner_id, self._name, field)
        if newer is None:
            return Rewrap.CURRENT
        replaced = await self._documents.update_one(
            {"_id": owner_id, f"{self._path}.wrapped_key": field["wrapped_key"]},
            {"$set": {f"{self._path}.{part}": newer[part] for part in ("key_id", "wrapped_key")}},
        )
        # Sealed anew or removed meanwhile: the next pass sees what there is.
        return Rewrap.DONE if replaced.matched_count else Rewrap.GONE

    async def _field(self, owner_id: str) -> dict[str, Any] | None:
        document: Any = await self._documents.find_one({"_id": owner_id}, {self._path: 1})
        for step in self._path.split("."):
            document = document.get(step) if isinstance(document, dict) else None
        return document if isinstance(document, dict) and "wrapped_key" in document else None
