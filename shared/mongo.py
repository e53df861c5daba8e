"""MongoDB access. The only file that imports motor, so that its successor costs one change here.

Majority reads and writes, a bounded pool and short waits: a request would rather hear "not now" than hang. What
the driver raises while the database cannot be reached, `shared.errors` counts as a dependency's absence.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo import ReadPreference
from pymongo.errors import ConfigurationError, ConnectionFailure, DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from shared.errors import NotNow, WrongSetting, dependency_is_away

logger = logging.getLogger(__name__)

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
    "prepare_when_possible",
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
        """Raises WrongSetting for a connection string that is none."""
        try:
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
        except (ConfigurationError, ValueError) as error:  # whose words may quote part of a password
            raise WrongSetting(
                "The connection string of MongoDB (…_MONGO_URI) cannot be used: it is "
                "mongodb://USER:PASSWORD@HOST:PORT/?replicaSet=NAME, the password escaped as in any URL."
            ) from error
        self.db: Database = self._client[database]
        self._transaction_limit_s = transaction_limit_s

    async def transaction(self, fn: Callable[[Session], Awaitable[T]]) -> T:
        """Run `fn` in one transaction (snapshot reads, majority commit) and return what it returns.

        `fn` passes the session to every operation and has no other effect: it runs again when the transaction
        collides with another one, after a short random wait. Any exception from `fn` undoes everything.
        Raises MongoBusy when collisions last longer than the limit, and what the driver raises.
        """
        give_up = time.monotonic() + self._transaction_limit_s
        async with await self._client.start_session() as session:
            tries = 0
            while True:
                # Not session.with_transaction: in motor 3.7 its commit runs where it does not retry a collision.
                session.start_transaction(
                    read_concern=ReadConcern("snapshot"),
                    write_concern=WriteConcern("majority", wtimeout=10_000),
                    read_preference=ReadPreference.PRIMARY,
                )
                try:
                    result = await fn(session)
                    await self._commit(session, give_up)
                except BaseException as error:
                    if cast(bool, session.in_transaction):  # a property; motor's type stub says method
                        await session.abort_transaction()
                    if not _labelled(error, "TransientTransactionError"):
                        raise
                    tries += 1
                    if time.monotonic() > give_up:
                        raise MongoBusy(f"the transaction collided {tries} times in a row") from error
                    await _pause(tries)
                else:
                    return result

    @staticmethod
    async def _commit(session: Session, give_up: float) -> None:
        tries = 0
        while True:
            try:
                await session.commit_transaction()
            except PyMongoError as error:
                # The connection broke before the answer came; committing again finds out, and is harmless.
                if not _labelled(error, "UnknownTransactionCommitResult") or time.monotonic() > give_up:
                    raise
                tries += 1
                await _pause(tries)
            else:
                return

    async def ping(self) -> None:
        """Return when a primary answers; raise a PyMongoError when none does."""
        reply = await self.db.command("hello")
        if not reply.get("isWritablePrimary"):
            raise ConnectionFailure("the server we reach is no writable primary")

    async def ready(self, preparing: "asyncio.Task[None]") -> None:
        """For readiness: `ping`, and what `prepare_when_possible` does in that task is done. Else raises NotNow too."""
        await self.ping()
        if not preparing.done():
            raise NotNow("the indexes are not made yet")

    def close(self) -> None:
        self._client.close()


async def prepare_when_possible(*steps: Callable[[], Awaitable[None]], retry_s: float = 1.0) -> None:
    """Do each step once (indexes to make), in order, as soon as the database lets us; return when all are done.

    For a background task, so that the service answers its probes meanwhile. A database that is away is waited for;
    whatever else goes wrong is logged with its traceback, and tried again too: nobody awaits this task.
    """
    for step in steps:
        while True:
            try:
                await step()
            except Exception as error:
                if dependency_is_away(error):
                    logger.warning("the indexes have to wait for MongoDB: %s", error)
                else:
                    logger.exception("the indexes could not be made, trying again")
                await asyncio.sleep(retry_s)
            else:
                break


def _labelled(error: BaseException, label: str) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label(label)


async def _pause(tries: int) -> None:
    # Random, and between transactions: nobody waits with a lock in his hands.
    await asyncio.sleep(random.uniform(0, min(0.5, 0.01 * 2**tries)))  # noqa: S311 - no secret
