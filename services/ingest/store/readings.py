"""Who read a proof of consent, when and why: append-only, each record sealed with the hash of the one before it.

One chain for the service, in the collection `proof_readings` (`_id` is the place in the chain), its head in
`proof_readings_head`. A reading is written down before anything is opened.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from shared.chain import Flaw, Head, Record, extended, flaws_of
from shared.mongo import Mongo, Session

_HEAD = "head"


class ReadingReason(StrEnum):
    """Why a privacy officer opens a proof."""

    PERSON_ASKS = "person_asks"
    COMPLAINT = "complaint"
    AUTHORITY = "authority"
    COURT = "court"
    CONTROL = "control"


@dataclass(frozen=True)
class Reading:
    """`reference`: a file number of the officer's, no name."""

    consent_id: str
    case_id: str
    proof_id: str
    officer_id: str
    reason: ReadingReason
    reference: str


class Readings:
    """The chain of readings. Nothing in it is ever changed or removed."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._readings = mongo.db["proof_readings"]
        self._heads = mongo.db["proof_readings_head"]

    async def note(self, reading: Reading, now: datetime) -> None:
        """Write a reading down. Two at once collide on the head, and one is tried again after the other."""

        async def attempt(session: Session) -> None:
            head = await self._head(session)
            content = {**vars(reading), "at": now.astimezone(UTC).isoformat(timespec="milliseconds")}
            records, head = extended(head, [content])
            for record in records:
                await self._readings.insert_one({**record, "_id": record["sequence"]}, session=session)
            await self._heads.replace_one({"_id": _HEAD}, head.model_dump(), upsert=True, session=session)

        await self._mongo.transaction(attempt)

    async def all(self) -> tuple[list[Record], list[Flaw]]:
        """Every reading, oldest first, and where the chain is broken (nowhere, unless somebody altered it)."""

        async def attempt(session: Session) -> tuple[list[Record], list[Flaw]]:
            found: list[dict[str, Any]] = await self._readings.find(
                {}, {"_id": 0}, sort=[("_id", 1)], session=session
            ).to_list(None)
            return list(found), flaws_of(found, await self._head(session), {})

        return await self._mongo.transaction(attempt)

    async def _head(self, session: Session) -> Head:
        found = await self._heads.find_one({"_id": _HEAD}, {"_id": 0}, session=session)
        return Head() if found is None else Head.model_validate(found)
