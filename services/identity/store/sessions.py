"""Sessions in MongoDB. An ended session leaves nothing but the notes of its spent tokens, which expire."""

from services.identity.domain.sessions import Session, Spent
from shared.mongo import Database, Document, DuplicateKeyError
from shared.mongo import Session as Transaction


class Sessions:
    """See `domain.sessions.KeepsSessions`."""

    def __init__(self, db: Database) -> None:
        self._sessions = db["sessions"]
        self._spent = db["spent_refresh_tokens"]

    async def prepare(self) -> None:
        """Make the indexes; may be repeated."""
        await self._sessions.create_index("current", unique=True, name="token")
        await self._sessions.create_index("member_id", name="member")
        await self._sessions.create_index("expires_at", expireAfterSeconds=0, name="forget")
        await self._spent.create_index("expires_at", expireAfterSeconds=0, name="forget")

    async def add(self, session: Session) -> None:
        await self._sessions.insert_one(_document(session))

    async def get(self, session_id: str) -> Session | None:
        return _session(await self._sessions.find_one({"_id": session_id}))

    async def by_token(self, token_hash: str) -> Session | None:
        return _session(await self._sessions.find_one({"current": token_hash}))

    async def spend(self, spent: Spent) -> Spent:
        note = {
            "_id": spent.token_hash,
            "session_id": spent.session_id,
            "at": spent.at,
            "handover": spent.handover,
            "expires_at": spent.expires_at,
        }
        try:
            await self._spent.insert_one(note)
        except DuplicateKeyError:
            return await self.spent(spent.token_hash) or spent
        return spent

    async def spent(self, token_hash: str) -> Spent | None:
        found = await self._spent.find_one({"_id": token_hash})
        if found is None:
            return None
        return Spent(found["_id"], found["session_id"], found["at"], bytes(found["handover"]), found["expires_at"])

    async def advance(self, session: Session, token_hash: str) -> bool:
        moved = {"current": session.current, "last_used_at": session.last_used_at, "amr": list(session.amr)}
        result = await self._sessions.update_one({"_id": session.session_id, "current": token_hash}, {"$set": moved})
        return bool(result.modified_count)

    async def of_member(self, member_id: str) -> list[Session]:
        found = self._sessions.find({"member_id": member_id}, sort=[("last_used_at", -1)])
        return [session async for document in found if (session := _session(document)) is not None]

    async def end(self, member_id: str, session_id: str) -> bool:
        result = await self._sessions.delete_one({"_id": session_id, "member_id": member_id})
        return bool(result.deleted_count)

    async def end_all(self, member_id: str, *, but: str | None = None, transaction: Transaction | None = None) -> int:
        """Within `transaction`, sessions end if and only if what they end for is committed."""
        result = await self._sessions.delete_many({"member_id": member_id, "_id": {"$ne": but}}, session=transaction)
        return int(result.deleted_count)


def _document(session: Session) -> Document:
    return {
        "_id": session.session_id,
        "member_id": session.member_id,
        "created_at": session.created_at,
        "last_used_at": session.last_used_at,
        "idle_s": session.idle_s,
        "expires_at": session.expires_at,
        "amr": list(session.amr),
        "authenticated_at": session.authenticated_at,
        "device": session.device,
        "network": session.network,
        "delivery": session.delivery,
        "current": session.current,
    }


def _session(document: Document | None) -> Session | None:
    if document is None:
        return None
    known = {name: document[name] for name in Session.__slots__ if name not in ("session_id", "amr")}
    return Session(session_id=document["_id"], amr=tuple(document["amr"]), **known)
