"""Who looked at what, for ever: an audit trail in MongoDB, one sealed chain (`shared.chain`) for each subject."""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from shared.chain import Flaw, Head, Record, extended, flaws_of
from shared.mongo import Database, Mongo, Session

Detail = dict[str, str | int | list[str]]
"""Codes, counts, ids and hashes that belong to an act, and reasons that staff wrote; no name of anybody."""


class Entry(BaseModel):
    """One thing that somebody did. `actor`: a member id, or `system`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    subject: str
    act: str
    actor: str
    detail: Detail = {}


class Trail:
    """The trail `name` of a service's database: collections `<name>` (records) and `<name>_heads`.

    Writing needs a transaction, so that an act and its record are kept together or not at all; concurrent writers of
    one subject collide on its head and are tried again by `Mongo.transaction`.
    """

    def __init__(self, db: Database, name: str) -> None:
        self._records = db[name]
        self._heads = db[f"{name}_heads"]

    async def prepare(self) -> None:
        """Make the index; may be repeated."""
        await self._records.create_index([("subject", 1), ("sequence", 1)], unique=True, name="chain")

    async def append(self, entry: Entry, at: datetime, session: Session) -> None:
        """Seal one more record onto the subject's chain, in the caller's transaction."""
        found = await self._heads.find_one({"_id": entry.subject}, {"_id": 0}, session=session)
        head = Head.model_validate(found) if found else Head()
        content = {"at": at.astimezone(UTC).isoformat(timespec="milliseconds"), **entry.model_dump(mode="json")}
        records, head = extended(head, (content,))
        await self._records.insert_many([dict(record) for record in records], session=session)
        await self._heads.replace_one({"_id": entry.subject}, head.model_dump(), upsert=True, session=session)

    async def read(self, mongo: Mongo, subject: str) -> tuple[list[Record], list[Flaw]]:
        """The subject's records in their order, and what is wrong with them (nothing, where nobody tampered)."""

        async def look(session: Session) -> tuple[list[Record], list[Flaw]]:
            records = (
                await self._records.find({"subject": subject}, {"_id": 0}, session=session)
                .sort("sequence", 1)
                .to_list(None)
            )
            found = await self._heads.find_one({"_id": subject}, {"_id": 0}, session=session)
            head = Head.model_validate(found) if found else Head()
            return records, flaws_of(records, head, {"subject": subject})

        return await mongo.transaction(look)
