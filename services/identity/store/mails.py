"""Letters that wait to be sent: an outbox in MongoDB, so that none is lost while the mail server is away.

A row is written together with what it tells of, and deleted once a mail server has accepted the letter. Its facts are
sealed (a link in them opens an account); who may read the database reads neither them nor the address. Of a letter that
goes once only, a note of member and kind stays for 400 days (`mails_once`), or until the member leaves.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import Gauge
from pymongo import ReturnDocument

from services.identity.domain.letters import Letter
from shared.mongo import Document, Mongo, Session
from shared.sealed import SealedField

# What an operator learns: letters that members wait for; a number that grows is a mail server that is away.
WAITING = Gauge("consilium_mails_waiting", "Letters not yet accepted by the mail server, at the last look")

LEASE_S = 120
ONCE_DAYS = 400
_FIELD = "facts"


@dataclass(frozen=True, slots=True)
class Mail:
    """A letter in the outbox. Either `member_id` or, in `facts`, an `address`."""

    mail_id: str
    letter: Letter
    member_id: str | None
    facts: Mapping[str, str]
    written_at: datetime
    tries: int


class Mails:
    """The outbox of letters (`domain.letters.Mailer`), and what the postman needs of it."""

    def __init__(
        self, mongo: Mongo, sealed: SealedField, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._mongo = mongo
        self._mails = mongo.db["mails"]
        self._once = mongo.db["mails_once"]
        self._former = mongo.db["former_members"]
        self._sealed = sealed
        self._now = now

    async def prepare(self) -> None:
        """Make the indexes; may be repeated."""
        await self._mails.create_index("due_at", name="due")
        # Notes from before they named their member: no leaving would erase them. A letter may go a second time for it.
        await self._once.delete_many({"member_id": {"$exists": False}})
        await self._once.create_index("member_id", name="member")
        await self._once.create_index("at", expireAfterSeconds=ONCE_DAYS * 86_400, name="forget")

    async def enqueue(
        self,
        member_id: str,
        letter: Letter,
        facts: Mapping[str, str] | None = None,
        *,
        once: str | None = None,
        session: Session | None = None,
    ) -> bool:

        async def write(within: Session | None) -> bool:
            if once is not None and not await self._first(once, member_id, letter, within):
                return False
            await self._add(member_id, letter, facts or {}, within)
            return True

        # The note that it has gone and the letter itself: both or neither.
        return await (write(session) if session is not None or once is None else self._mongo.transaction(write))

    async def enqueue_to(self, address: str, letter: Letter, facts: Mapping[str, str] | None = None) -> None:
        await self._add(None, letter, {**(facts or {}), "address": address}, None)

    async def take(self) -> Mail | None:
        """The letter that has waited longest, held for two minutes; None where none is due."""
        WAITING.set(await self._mails.estimated_document_count())
        now = self._now()
        row: dict[str, Any] | None = await self._mails.find_one_and_update(
            {"due_at": {"$lte": now}},
            {"$set": {"due_at": now + timedelta(seconds=LEASE_S)}, "$inc": {"tries": 1}},
            sort=[("due_at", 1)],
            return_document=ReturnDocument.AFTER,
        )
        if row is None:
            return None
        facts = json.loads(await self._sealed.open(row["_id"], _FIELD, row[_FIELD]))
        return Mail(row["_id"], Letter(row["letter"]), row["member_id"], facts, row["written_at"], row["tries"])

    async def done(self, mail_id: str) -> None:
        """The letter has gone, or need not go any more."""
        await self._mails.delete_one({"_id": mail_id})

    async def later(self, mail_id: str, delay_s: float) -> None:
        """Try it again after that time."""
        due_at = self._now() + timedelta(seconds=delay_s)
        await self._mails.update_one({"_id": mail_id}, {"$set": {"due_at": due_at}})

    async def _first(self, once: str, member_id: str, letter: Letter, session: Session | None) -> bool:
        # Looked for first: a duplicate key would abort the caller's transaction.
        if await self._once.find_one({"_id": once}, session=session):
            return False
        # Who has left is written to no more: a note of it would be a trace that nobody erases.
        if await self._former.find_one({"_id": member_id}, {"_id": 1}, session=session):
            return False
        note: Document = {"_id": once, "member_id": member_id, "letter": letter.value, "at": self._now()}
        await self._once.insert_one(note, session=session)
        return True

    async def _add(
        self, member_id: str | None, letter: Letter, facts: Mapping[str, str], session: Session | None
    ) -> None:
        mail_id, now = str(uuid.uuid4()), self._now()
        row: Document = {
            "_id": mail_id,
            "letter": letter.value,
            "member_id": member_id,
            _FIELD: await self._sealed.seal(mail_id, _FIELD, json.dumps(dict(facts)).encode()),
            "written_at": now,
            "due_at": now,
            "tries": 0,
        }
        await self._mails.insert_one(row, session=session)
