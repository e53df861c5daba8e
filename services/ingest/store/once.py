"""Requests that may be repeated: the answer to an Idempotency-Key is stored with the change it answers.

After the IETF draft "The Idempotency-Key HTTP Header Field": the same key with the same request gives the same
answer and no second effect; with another request it is refused.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.mongo import Database, Document, DuplicateKeyError, Mongo, Session


@dataclass(frozen=True)
class Asked:
    """A request with a key. `fingerprint`: SHA-256 of route and body; the same request has the same one."""

    member_id: str
    key: str
    fingerprint: str

    @classmethod
    def of(cls, member_id: str, key: str, route: str, body: bytes | bytearray) -> "Asked":
        digest = hashlib.sha256(route.encode() + b"\0")
        digest.update(body)
        return cls(member_id, key, digest.hexdigest())

    @property
    def id(self) -> str:
        return f"{self.member_id}:{self.key}"


@dataclass(frozen=True)
class Answer:
    """What the route answers: a status and a JSON body."""

    status: int
    body: Any


class KeyReused(Exception):
    """The key was used before for a different request."""


class AnswerGone(Exception):
    """The answer was erased with the withdrawn case that it belonged to."""


class Once:
    """Runs a change in a transaction, at most once for each key."""

    def __init__(self, mongo: Mongo, hours: int) -> None:
        self._mongo = mongo
        self._answers = mongo.db["answers"]
        self._hours = hours

    async def prepare(self) -> None:
        """Create the indexes: expiry, and all answers about a case."""
        await self._answers.create_index("expires_at", expireAfterSeconds=0)
        await self._answers.create_index("case_id")

    async def run(self, asked: Asked | None, case_id: str, act: Callable[[Session], Awaitable[Answer]]) -> Answer:
        """The answer of `act`, run in one transaction; or the stored one if this request was answered before.

        Raises KeyReused, AnswerGone, and what `act` raises (then nothing is stored, and a repeat tries again).
        """

        async def attempt(session: Session) -> Answer:
            if asked is not None and (known := await self.known(asked, session)) is not None:
                return known
            answer = await act(session)
            if asked is not None:
                await self._answers.insert_one(self._document(asked, case_id, answer), session=session)
            return answer

        try:
            return await self._mongo.transaction(attempt)
        except DuplicateKeyError:
            # The same request at the same moment won: now its answer is there.
            return await self._mongo.transaction(attempt)

    async def known(self, asked: Asked, session: Session | None = None) -> Answer | None:
        """The stored answer, if this request was answered before. Raises KeyReused, AnswerGone."""
        found = await self._answers.find_one({"_id": asked.id}, session=session)
        if found is None:
            return None
        if found["fingerprint"] != asked.fingerprint:
            raise KeyReused(asked.key)
        if "body" not in found:
            raise AnswerGone(asked.key)
        return Answer(found["status"], found["body"])

    @staticmethod
    async def erase(db: Database, case_id: str, session: Session) -> None:
        """Forget what was answered about a case; that the requests were made stays, so that none runs again."""
        await db["answers"].update_many({"case_id": case_id}, {"$unset": {"body": ""}}, session=session)

    @staticmethod
    async def erase_comment(db: Database, case_id: str, comment_id: str, session: Session) -> None:
        """Forget a comment's words in the answer to whoever sent it; a repeat gets that answer without them."""
        about = {"case_id": case_id, "body.comment_id": comment_id}
        await db["answers"].update_many(about, {"$set": {"body.text": ""}}, session=session)

    def _document(self, asked: Asked, case_id: str, answer: Answer) -> Document:
        return {
            "_id": asked.id,
            "fingerprint": asked.fingerprint,
            "case_id": case_id,
            "status": answer.status,
            "body": answer.body,
            "expires_at": datetime.now(UTC) + timedelta(hours=self._hours),
        }
