"""The sealed fields of a MongoDB database, found wherever they are, so that none is missed when keys are rotated."""

from collections.abc import Iterator
from typing import Any

from shared.blobs import BlobsAway
from shared.mongo import Mongo
from shared.sealed import Rewrap, SealedField

_PARTS = frozenset({"key_id", "wrapped_key", "sealed"})


class SealedFields:
    """Every sealed field of every collection, as a place that `shared.wrapping.rewrap_all` walks.

    A field is sealed for the `_id` of its document under its own name: `totp` in {_id: m, factor: {totp: …}} with
    `seal(m, "totp", …)`. One that was sealed otherwise does not open here, and is told as left.
    """

    def __init__(self, mongo: Mongo, sealed: SealedField) -> None:
        self._db = mongo.db
        self._sealed = sealed
        self._places: dict[str, tuple[str, Any, str]] = {}

    async def owners(self) -> list[str]:
        """Where sealed fields are: "collection id path". Reads the whole database."""
        self._places = {}
        for collection in sorted(await self._db.list_collection_names()):
            if collection.startswith("system."):
                continue
            async for document in self._db[collection].find({}):
                for path in _paths(document):
                    self._places[f"{collection} {document['_id']} {path}"] = collection, document["_id"], path
        return list(self._places)

    async def rewrap(self, owner_id: str) -> Rewrap:
        """Wrap one field's key again, in place, only while it is the one that was read. Raises as `SealedField`."""
        collection, document_id, path = self._places[owner_id]
        name = next(step for step in reversed(path.split(".")) if not step.isdigit())
        for _ in range(5):
            field = _at(await self._db[collection].find_one({"_id": document_id}), path)
            if field is None:
                return Rewrap.GONE
            newer = await self._sealed.rewrap(str(document_id), name, field)
            if newer is None:
                return Rewrap.CURRENT
            replaced = await self._db[collection].update_one(
                {"_id": document_id, f"{path}.wrapped_key": field["wrapped_key"]},
                {"$set": {f"{path}.{part}": newer[part] for part in ("key_id", "wrapped_key")}},
            )
            if replaced.matched_count:
                return Rewrap.DONE
        raise BlobsAway("a sealed field changes again and again")


def _paths(value: Any, before: str = "") -> Iterator[str]:
    """The dotted paths of all sealed fields in a document."""
    if isinstance(value, dict):
        if value.keys() >= _PARTS:
            yield before.removesuffix(".")
            return
        steps: Any = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    else:
        return
    for step, inner in steps:
        yield from _paths(inner, f"{before}{step}.")


def _at(document: Any, path: str) -> dict[str, Any] | None:
    for step in path.split("."):
        if isinstance(document, list):
            document = document[int(step)] if int(step) < len(document) else None
        else:
            document = document.get(step) if isinstance(document, dict) else None
    return document if isinstance(document, dict) and document.keys() >= _PARTS else None
