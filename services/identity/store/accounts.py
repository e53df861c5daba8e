"""Accounts in MongoDB, each change together with its `member.changed` in the outbox."""

from collections.abc import AsyncIterator, Callable, Iterable
from datetime import datetime
from typing import Any

from services.identity.domain.account import Account, AccountUnknown, AlreadyTaken, pseudonym_key
from services.identity.domain.leaving import Departure
from services.identity.domain.profile import is_peer
from services.identity.store.directory import Directory
from services.identity.store.sessions import Sessions
from shared.auth import MemberState
from shared.events import Contributions, MemberStatus, Profession, Role, Specialty
from shared.mongo import Document, DuplicateKeyError, Mongo, Session
from shared.outbox import Outbox

_ANY_VERSION = 2**53
"""Above every version: nothing overrules that an account is gone."""

_SHUT = frozenset({MemberStatus.SUSPENDED, MemberStatus.LEFT})
"""Who comes to one of these is signed out everywhere, in the same transaction."""


class Accounts:
    """The accounts of all members. E-mail and pseudonym are unique (indexes that `prepare` makes)."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._accounts = mongo.db["accounts"]
        self._outbox = Outbox(mongo.db)
        self._directory = Directory(mongo.db)
        self._sessions = Sessions(mongo.db)
        self._prepared = False

    async def prepare(self) -> None:
        """Make the indexes; may be repeated. Nothing is added before: they are what makes e-mails unique."""
        await self._accounts.create_index("email", unique=True, name="email")
        await self._accounts.create_index("pseudonym_key", unique=True, name="pseudonym")
        await self._outbox.prepare()
        self._prepared = True

    async def add(self, account: Account) -> None:
        """Write a new account and its event in one transaction. Raises AlreadyTaken."""
        if not self._prepared:
            await self.prepare()

        async def write(session: Session) -> None:
            await self._accounts.insert_one(_document(account), session=session)
            await self._outbox.add(account.changed(), session)

        try:
            await self._mongo.transaction(write)
        except DuplicateKeyError as error:
            taken = (error.details or {}).get("keyPattern", {})
            raise AlreadyTaken("e-mail address" if "email" in taken else "pseudonym") from error

    async def change(self, member_id: str, move: Callable[[Account], Account]) -> Account:
        """Move an account and write its event in one transaction; returns the account as it is now.

        Raises AccountUnknown, and whatever `move` raises (then nothing has changed).
        """

        return await self._mongo.transaction(lambda session: self.change_within(session, member_id, move))

    async def change_within(self, session: Session, member_id: str, move: Callable[[Account], Account]) -> Account:
        """As `change`, in the caller's transaction: what else he writes happens with it or not at all. A move that
        gives the very account it was given writes nothing."""
        found = await self._accounts.find_one({"_id": member_id}, session=session)
        if found is None:
            raise AccountUnknown(member_id)
        account = _account(found)
        moved = move(account)
        if moved is not account:
            await self._accounts.replace_one({"_id": member_id}, _document(moved), session=session)
            await self._outbox.add(moved.changed(), session)
            await self._directory.follow(moved, session)
            if is_peer(moved) is not is_peer(account):
                await self._directory.count_by(member_id, is_peer(moved), session)
            if moved.status in _SHUT and account.status not in _SHUT:
                await self._sessions.end_all(member_id, transaction=session)
        return moved

    async def hold(self, member_id: str, session: Session) -> Account | None:
        """The account, and a write to it: a change of it at the same moment collides with this transaction."""
        found = await self._accounts.find_one_and_update({"_id": member_id}, {"$inc": {"held": 1}}, session=session)
        return _account(found) if found else None

    async def replace_hash(self, member_id: str, old: str, new: str) -> None:
        """Put a stronger hash of the same password in place, unless the password was changed meanwhile."""
        await self._accounts.update_one({"_id": member_id, "password_hash": old}, {"$set": {"password_hash": new}})

    async def set_password(self, member_id: str, password_hash: str, *, but_session: str | None) -> None:
        """Put another password in place and end the member's sessions, but for that one, in one transaction."""

        async def write(session: Session) -> None:
            changed = {"$set": {"password_hash": password_hash}}
            await self._accounts.update_one({"_id": member_id}, changed, session=session)
            await self._sessions.end_all(member_id, but=but_session, transaction=session)

        await self._mongo.transaction(write)

    async def pseudonym_taken(self, pseudonym: str) -> bool:
        """Whether a reader would confuse the pseudonym with that of an account."""
        return await self._accounts.find_one({"pseudonym_key": pseudonym_key(pseudonym)}) is not None

    async def by_email(self, email: str) -> Account | None:
        """The account with that normalised address."""
        found = await self._accounts.find_one({"email": email})
        return _account(found) if found else None

    async def by_id(self, member_id: str) -> Account | None:
        found = await self._accounts.find_one({"_id": member_id})
        return _account(found) if found else None

    async def state(self, member_id: str) -> MemberState:
        """For `Guard`: what the account says now. Who has none any more has left, whatever their token says."""
        account = await self.by_id(member_id)
        return MemberState.of(account.changed()) if account else _gone(member_id)

    async def several(self, member_ids: Iterable[str]) -> dict[str, Account]:
        """The accounts of those ids that there are."""
        found = self._accounts.find({"_id": {"$in": list(member_ids)}})
        return {document["_id"]: _account(document) async for document in found}

    async def all(self) -> AsyncIterator[Account]:
        """Every account, oldest first."""
        async for found in self._accounts.find({}, sort=[("created_at", 1), ("_id", 1)]):
            yield _account(found)


def _gone(member_id: str) -> MemberState:
    return MemberState(member_id, _ANY_VERSION, MemberStatus.LEFT, frozenset(), None, "")


def _document(account: Account) -> Document:
    return {
        "_id": account.member_id,
        "email": account.email,
        "password_hash": account.password_hash,
        "pseudonym": account.pseudonym,
        "pseudonym_key": pseudonym_key(account.pseudonym),
        "profession": account.profession.value if account.profession else None,
        "specialty": account.specialty.value if account.specialty else None,
        "country": account.country,
        "roles": sorted(role.value for role in account.roles),
        "status": account.status.value,
        "version": account.version,
        "registry": account.registry,
        "created_at": account.created_at,
        "verified_at": account.verified_at,
        "checked_at": account.checked_at,
        "contributions": account.contributions.value if account.contributions else None,
        "suspended_for": account.suspended_for,
        "language": account.language,
        **({"departure": _departure(account.departure)} if account.departure else {}),
    }


def _departure(departure: Departure) -> Document:
    return {
        "asked_at": departure.asked_at,
        "due_at": departure.due_at,
        "contributions": departure.contributions.value,
    }


def _departure_of(found: Document | None) -> Departure | None:
    return Departure(found["asked_at"], found["due_at"], Contributions(found["contributions"])) if found else None


def _account(document: dict[str, Any]) -> Account:
    specialty: str | None = document["specialty"]
    verified_at: datetime | None = document["verified_at"]
    return Account(
        member_id=document["_id"],
        email=document["email"],
        password_hash=document["password_hash"],
        pseudonym=document["pseudonym"],
        profession=Profession(document["profession"]) if document["profession"] else None,
        specialty=Specialty(specialty) if specialty else None,
        country=document["country"],
        roles=frozenset(Role(role) for role in document["roles"]),
        status=MemberStatus(document["status"]),
        version=document["version"],
        registry=document["registry"],
        created_at=document["created_at"],
        verified_at=verified_at,
        checked_at=document.get("checked_at"),
        contributions=Contributions(document["contributions"]) if document.get("contributions") else None,
        suspended_for=document["suspended_for"],
        language=document.get("language", "fr"),
        departure=_departure_of(document.get("departure")),
    )
