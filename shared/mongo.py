"""MongoDB access. The only file that imports motor, so that its successor costs one change here.

Majority reads and writes, a bounded pool and short waits: a request would rather hear "not now" than hang. What
the driver raises while the database cannot be reached, `shared.errors` counts as a dependency's absence.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo import ReadPreference
from pymongo.errors import ConnectionFailure, DuplicateKeyError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from shared.errors import NotNow

Document = dict[str, Any]
if TYPE_CHECKING:
    Database = AsyncIOMotorDatabase[Document]
    Collection = AsyncIOMotorCollection[Document]
else:  # motor's classes cannot be subscripted at run time
    Database = AsyncIOMotorDatabase
    Collection = AsyncIOMotorCollection
Session = AsyncIOMotorClientSession

__all__ = [
    "Collection",
    "Database",
    "Document",
    "DuplicateKeyError",
    "Mongo",
    "MongoBusy",
    "Session",
]

T = TypeVar("T")


class MongoBusy(NotNow):
    """A transaction kept colliding with others for longer than a caller should wait. Nothing was written."""


class Mongo:
    """One service's database.

    `uri` holds user, password and authSource; `pool_size` bounds the connections of this process. Nothing is
    sent before the first operation. Whoever makes it calls `close`.
    """

    def __init__(self, uri: str, database: str, *, pool_size: int = 30, transaction_limit_s: float = 20.0) -> None:
        self._client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
            uri,
            tz_aware=True,
            w="majority",
            readConcernLevel="majority",
            retryWrites=True,
            retryReads=True,
            maxPoolSize=pool_size,
            waitQueueTimeoutMS=5_000,
            serverSelectionTimeoutMS=5_000,
            connectTimeoutMS=3_000,
            socketTimeoutMS=60_000,  # above the longest change-stream wait
        )
        self.db: Database = self._client[database]
        self._transaction_limit_s = transaction_limit_s

    async def transaction(self, fn: Callable[[Session], Awaitable[T]]) -> T:
        """Run `fn` in one transaction (snapshot reads, majority commit) and return what it returns.

        `fn` passes the session to every operation and has no other effect: it runs again when the transaction
        collides with another one, after a short random wait. Any exception from `fn` undoes everything.
        Raises MongoBusy when collisions last longer than the limit, and what the driver raises.
        """
        started = time.monotonic()
        tries = 0

        async def attempt(session: Session) -> T:
            nonlocal tries
            if tries:
                if time.monotonic() - started > self._transaction_limit_s:
                    raise MongoBusy(f"the transaction collided {tries} times in a row")
                # Jitter before the first statement, so before the server holds a snapshot or a lock.
                await asyncio.sleep(random.uniform(0, min(0.5, 0.01 * 2**tries)))  # noqa: S311 - no secret
            tries += 1
            return await fn(session)

        async with await self._client.start_session() as session:
            return await session.with_transaction(
                attempt,
                read_concern=ReadConcern("snapshot"),
                write_concern=WriteConcern("majority", wtimeout=10_000),
                read_preference=ReadPreference.PRIMARY,
            )

    async def ping(self) -> None:
        """Return when a primary answers; raise a PyMongoError when none does."""
        reply = await self.db.command("hello")
        if not reply.get("isWritablePrimary"):
            raise ConnectionFailure("the server we reach is no writable primary")

    def close(self) -> None:
        self._client.close()
