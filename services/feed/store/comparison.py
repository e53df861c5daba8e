"""Compares two builds document by document, as of one moment."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from services.feed.domain import canonical, is_visible
from services.feed.store.builds import COLLECTIONS, Builds
from shared.mongo import Collection, Database, Session

DIFFERENCES_LISTED = 20


@dataclass
class CollectionComparison:
    """One collection in two builds. Hashes: SHA-256 over the canonical documents in the order of their ids."""

    documents_live: int = 0
    documents_candidate: int = 0
    hash_live: str = ""
    hash_candidate: str = ""
    differing: int = 0
    differing_ids: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return self.hash_live == self.hash_candidate


@dataclass
class Comparison:
    collections: dict[str, CollectionComparison]

    @property
    def equal(self) -> bool:
        return all(found.equal for found in self.collections.values())


async def compare(db: Database, builds: Builds, live: int | None, candidate: int) -> Comparison:
    """Compare what members can see of two builds, in one snapshot, while both are being written.

    `live` None compares with nothing at all. Takes less than the server's snapshot window (5 minutes by default).
    """
    results = {}
    async with await db.client.start_session(snapshot=True) as session:
        for name in COLLECTIONS:
            mine = None if live is None else getattr(builds.rooms(live), name)
            results[name] = await _compare(mine, getattr(builds.rooms(candidate), name), session)
    return Comparison(results)


async def _compare(live: Collection | None, candidate: Collection, session: Session) -> CollectionComparison:
    result = CollectionComparison()
    hashes = hashlib.sha256(), hashlib.sha256()
    left, right = _documents(live, session), _documents(candidate, session)
    one, other = await anext(left, None), await anext(right, None)
    while one is not None or other is not None:
        key = min(document[0] for document in (one, other) if document is not None)
        mine = one if one is not None and one[0] == key else None
        theirs = other if other is not None and other[0] == key else None
        if mine is not None:
            hashes[0].update(mine[1])
            result.documents_live += 1
            one = await anext(left, None)
        if theirs is not None:
            hashes[1].update(theirs[1])
            result.documents_candidate += 1
            other = await anext(right, None)
        if mine != theirs:
            result.differing += 1
            if len(result.differing_ids) < DIFFERENCES_LISTED:
                result.differing_ids.append(key)
    result.hash_live, result.hash_candidate = (found.hexdigest() for found in hashes)
    return result


async def _documents(collection: Collection | None, session: Session) -> AsyncIterator[tuple[str, bytes]]:
    """Id and canonical bytes of each document that says something, in the (binary) order of the ids."""
    if collection is None:
        return
    async for document in collection.find({}, sort=[("_id", 1)], session=session, batch_size=2_000):
        if is_visible(document):
            yield document["_id"], canonical(document)
