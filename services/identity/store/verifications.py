"""How each member was verified: one document a member, number and civil name sealed in it.

Written in the same transaction as the account and its `member.changed`, so that nobody is verified without a record
or the reverse. A number belongs to one member (a unique index on its HMAC).
"""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from services.identity.domain.account import Account, AccountUnknown, AlreadyTaken
from services.identity.domain.profile import Part, Visibility
from services.identity.domain.pseudonyms import PseudonymTellsName, tells_name
from services.identity.domain.verification import (
    AnotherPerson,
    CivilName,
    Method,
    Number,
    NumberTaken,
    ReviewFirst,
    Verification,
    same_name,
)
from services.identity.store.accounts import Accounts
from services.identity.store.number_index import NumberIndex
from services.identity.store.returns import Returns
from shared.events import MemberStatus, Profession
from shared.mongo import Document, DuplicateKeyError, Mongo, Session
from shared.sealed import SealedField

COLLECTION: Final = "verifications"
NUMBER: Final = "number"
CIVIL_NAME: Final = "civil_name"
SEALED_FIELDS: Final = (NUMBER, CIVIL_NAME)
LEASE = timedelta(minutes=2)
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Due:
    """A member whom the registry is to be asked about, leased to whoever got this."""

    member_id: str
    number: Number
    lease: str
    failures: int
    missing_since: datetime | None


class Verifications:
    """The verifications of all members."""

    def __init__(self, mongo: Mongo, accounts: Accounts, sealed: SealedField, index: NumberIndex) -> None:
        self._mongo = mongo
        self._accounts = accounts
        self._kept = mongo.db[COLLECTION]
        self._sealed = sealed
        self._index = index
        self._returns = Returns(mongo.db)

    async def prepare(self) -> None:
        """Make the indexes; may be repeated."""
        await self._kept.create_index(
            "number_place", unique=True, name="number", partialFilterExpression={"number_place": {"$type": "string"}}
        )
        await self._kept.create_index([("registry", 1), ("next_check_at", 1)], name="due")
        await self._returns.prepare()
        await self._kept.create_index("valid_until", name="ends", partialFilterExpression={"valid_until": {"$gt": ""}})

    async def confirm(
        self,
        verification: Verification,
        move: Callable[[Account], Account],
        *,
        number: Number | None = None,
        name: CivilName | None = None,
        within: Callable[[Session], Awaitable[object]] | None = None,
    ) -> Account:
        """Move the account and keep how it was verified, both or neither; returns the account.

        `within` writes more in the same transaction. Raises NumberTaken, AnotherPerson, ReviewFirst,
        PseudonymTellsName, AccountUnknown and whatever `move` raises.
        """
        member_id = verification.member_id
        document = _document(verification)
        if number is not None:
            document["number_place"] = await self._index.place_of(number)
            document[NUMBER] = await self._sealed.seal(member_id, NUMBER, number.value.encode())
        if name is not None:
            plain = json.dumps(asdict(name), ensure_ascii=False).encode()
            document[CIVIL_NAME] = await self._sealed.seal(member_id, CIVIL_NAME, plain)

        async def write(session: Session) -> Account:
            before = await self._kept.find_one({"_id": member_id}, session=session)
            if number is not None:
                await self._same_person(before, document, name)
                look_first = await self._returns.wants_a_look(document["number_place"], member_id, session)
                await self._make_room(document["number_place"], member_id, session)
                if look_first:
                    raise ReviewFirst
            elif verification.method is Method.DOCUMENTS:
                await self._returns.clear(member_id, verification.confirmed_at, session)
            await self._show(member_id, name, session)  # before the move, with which the directory follows
            moved = await self._accounts.change_within(session, member_id, move)
            if name is not None and tells_name(moved.pseudonym, name):
                raise PseudonymTellsName(moved.version - 1)
            new = document | _number_kept(before) if number is None and before else document
            await self._kept.replace_one({"_id": member_id}, new, upsert=True, session=session)
            if within is not None:
                await within(session)
            return moved

        try:
            return await self._mongo.transaction(write)
        except DuplicateKeyError as error:
            raise NumberTaken from error
        except (NumberTaken, ReviewFirst):  # with as many steps for either: see `Returns.note`
            await self._returns.note(member_id, document["number_place"], verification.confirmed_at)
            raise

    async def is_returning(self, member_id: str) -> bool:
        """Whether the member has given a number with which somebody left while suspended for what they did."""
        return await self._returns.is_returning(member_id)

    async def rename(self, member_id: str, pseudonym: str) -> Account:
        """Give the member another pseudonym, in its normalised form; returns the account.

        Raises PseudonymTellsName where it tells the civil name that was verified, AlreadyTaken, AccountUnknown and
        MoveRefused.
        """

        async def write(session: Session) -> Account:
            moved = await self._accounts.change_within(session, member_id, lambda found: found.rename(pseudonym))
            name = await self.civil_name_of(member_id, session)
            if name is not None and tells_name(pseudonym, name):
                raise PseudonymTellsName(moved.version - 1)
            return moved

        try:
            return await self._mongo.transaction(write)
        except DuplicateKeyError as error:
            raise AlreadyTaken("pseudonym") from error

    async def of(self, member_id: str) -> Verification | None:
        """How this member was verified, None where they were not (or by hand)."""
        found = await self._kept.find_one({"_id": member_id})
        return _verification(found) if found else None

    async def place_of(self, number: Number) -> str:
        """What stands for a number where it must not be kept: in brakes."""
        return await self._index.place_of(number)

    async def member_with(self, number: Number) -> str | None:
        """Whose account was verified with this number."""
        found = await self._kept.find_one({"number_place": await self._index.place_of(number)}, {"_id": 1})
        return str(found["_id"]) if found else None

    async def number_of(self, member_id: str) -> Number | None:
        """The number the member was verified with."""
        found = await self._kept.find_one({"_id": member_id}, {NUMBER: 1, "registry": 1})
        return await self._number(found) if found and NUMBER in found else None

    async def civil_name_of(self, member_id: str, session: Session | None = None) -> CivilName | None:
        """The member's civil name. For the re-identification that two people ask for, and the member's own export."""
        found = await self._kept.find_one({"_id": member_id}, {CIVIL_NAME: 1}, session=session)
        if not found or CIVIL_NAME not in found:
            return None
        plain = json.loads(await self._sealed.open(member_id, CIVIL_NAME, found[CIVIL_NAME]))
        # Names from before other names were kept have none.
        return CivilName(plain["family"], plain["given"], tuple(plain.get("on_record", ())))

    async def civil_name(self, member_id: str) -> str | None:
        """The same as one text, given name first."""
        name = await self.civil_name_of(member_id)
        return name.in_one_line if name else None

    async def forget(self, member_id: str, session: Session | None = None) -> None:
        """Remove number, name and everything else kept of the member: they leave. The number is free again."""
        await self._kept.delete_one({"_id": member_id}, session=session)

    async def take_due(self, registry: str, now: datetime, member_id: str | None = None) -> Due | None:
        """Lease the member of this registry who has waited longest for a check; `member_id`: this one, due or not."""
        wanted: Document = {"registry": registry, NUMBER: {"$exists": True}, "lease_until": {"$lte": now}}
        wanted |= {"_id": member_id} if member_id else {"next_check_at": {"$type": "date", "$lte": now}}
        lease = uuid.uuid4().hex
        found = await self._kept.find_one_and_update(
            wanted, {"$set": {"lease_until": now + LEASE, "lease": lease}}, sort=[("next_check_at", 1)]
        )
        if found is None:
            return None
        number = await self._number(found)
        return Due(found["_id"], number, lease, found.get("failures", 0), found.get("missing_since"))

    async def settle(
        self,
        due: Due,
        move: Callable[[Account], Account],
        *,
        next_check_at: datetime,
        checked_at: datetime,
        missing_since: datetime | None,
        within: Callable[[Session, Account, Account], Awaitable[object]] | None = None,
    ) -> tuple[Account, Account] | None:
        """Write the outcome of a check; the account before and after. None where the lease was lost to another
        worker, or the member is gone: then nothing was written."""

        async def write(session: Session) -> tuple[Account, Account] | None:
            changes = {"next_check_at": next_check_at, "checked_at": checked_at, "missing_since": missing_since}
            kept = await self._kept.update_one(
                {"_id": due.member_id, "lease": due.lease},
                {"$set": {**changes, "lease_until": _NEVER, "failures": 0}, "$unset": {"lease": ""}},
                session=session,
            )
            if not kept.matched_count:
                return None
            seen: list[Account] = []

            def noted(account: Account) -> Account:
                seen[:] = [account]
                return move(account)

            after = await self._accounts.change_within(session, due.member_id, noted)
            if within is not None:
                await within(session, seen[0], after)
            return seen[0], after

        try:
            return await self._mongo.transaction(write)
        except AccountUnknown:
            return None

    async def put_off(self, due: Due, until: datetime) -> None:
        """The registry gave no answer: ask again then. Nothing else changes."""
        await self._kept.update_one(
            {"_id": due.member_id, "lease": due.lease},
            {"$set": {"next_check_at": until, "lease_until": _NEVER}, "$unset": {"lease": ""}, "$inc": {"failures": 1}},
        )

    async def check_soon(self, number: Number, now: datetime) -> bool:
        """The registry tells of a change about this number: its member, if there is one, is due at once."""
        place = await self._index.place_of(number)
        changed = await self._kept.update_one({"number_place": place}, {"$min": {"next_check_at": now}})
        return changed.matched_count > 0

    async def waiting(self, registries: Iterable[str], now: datetime) -> int:
        """How many members of these registries are due for a check."""
        due = {"$type": "date", "$lte": now}
        return await self._kept.count_documents({"registry": {"$in": list(registries)}, "next_check_at": due})

    async def ending(self, before: date) -> AsyncIterator[tuple[str, date]]:
        """Members whose proof ends before that day: id, and the last day it holds."""
        wanted = {"valid_until": {"$gt": "", "$lt": before.isoformat()}}
        async for found in self._kept.find(wanted, {"valid_until": 1}):
            yield found["_id"], date.fromisoformat(found["valid_until"])

    async def end(
        self, member_id: str, valid_until: date, within: Callable[[Session], Awaitable[object]] | None = None
    ) -> Account | None:
        """The proof has ended: a verified member is unverified. None where it was renewed or ended meanwhile.

        The record stays, without its end, until there is a new one. `within` writes more in the same transaction.
        """

        async def write(session: Session) -> Account | None:
            ended = await self._kept.update_one(
                {"_id": member_id, "valid_until": valid_until.isoformat()},
                {"$unset": {"valid_until": ""}, "$set": {"ended_on": valid_until.isoformat()}},
                session=session,
            )
            if not ended.modified_count:
                return None

            def lapsed(account: Account) -> Account:
                return account.lapse() if account.status is MemberStatus.VERIFIED else account

            moved = await self._accounts.change_within(session, member_id, lapsed)
            if within is not None:
                await within(session)
            return moved

        try:
            return await self._mongo.transaction(write)
        except AccountUnknown:
            return None

    async def _same_person(self, before: Document | None, document: Document, name: CivilName | None) -> None:
        """Raise AnotherPerson where a number is to verify an account that was verified as somebody else.

        Registers are public: else a member could put a colleague's name under what they wrote. The same number is the
        same person, whatever their name is now.
        """
        if before is None or before.get("number_place") == document["number_place"]:
            return
        if "number_place" in before and before["registry"] == document["registry"]:
            raise AnotherPerson
        if CIVIL_NAME in before and name is not None:
            plain = json.loads(await self._sealed.open(before["_id"], CIVIL_NAME, before[CIVIL_NAME]))
            if not same_name(name, (plain["family"],), (plain["given"],)):
                raise AnotherPerson

    async def _show(self, member_id: str, name: CivilName | None, session: Session) -> None:
        """Where the profile shows every member a civil name, it shows this one from now on."""
        shows = {"_id": member_id, f"visibility.{Part.NAME}": Visibility.MEMBERS.value}
        shown = {"shown_name": name.in_one_line if name else None}
        await self._mongo.db["profiles"].update_one(shows, {"$set": shown}, session=session)

    async def _make_room(self, place: str, member_id: str, session: Session) -> None:
        """A number whose member has left is free; one in use is not."""
        holder = await self._kept.find_one({"number_place": place, "_id": {"$ne": member_id}}, session=session)
        if holder is None:
            return
        account = await self._mongo.db["accounts"].find_one({"_id": holder["_id"]}, {"status": 1}, session=session)
        if account is not None and account["status"] != MemberStatus.LEFT.value:
            raise NumberTaken
        await self._kept.delete_one({"_id": holder["_id"]}, session=session)

    async def _number(self, found: Document) -> Number:
        value = await self._sealed.open(found["_id"], NUMBER, found[NUMBER])
        return Number(found["registry"], value.decode())


def _number_kept(before: Document) -> Document:
    """What stays of a number when proofs verify its holder: it is still theirs, and no second account's. Its registry
    is asked on, unless what it vouched for had ended.
    """
    if NUMBER not in before:
        return {}
    ended = "ended_on" in before
    kept = {name: before[name] for name in ("number_place", NUMBER, "registry")}
    return kept | {"next_check_at": None if ended else before["next_check_at"]}


def _document(verification: Verification) -> Document:
    document: Document = {
        "_id": verification.member_id,
        "method": verification.method.value,
        "registry": verification.registry,
        "source": verification.source,
        "professions": [profession.value for profession in verification.professions],
        "skills": list(verification.skills),
        "confirmed_at": verification.confirmed_at,
        "checked_at": verification.checked_at,
        "next_check_at": verification.next_check_at,
        "missing_since": verification.missing_since,
        "lease_until": _NEVER,
    }
    if verification.valid_until is not None:
        document["valid_until"] = verification.valid_until.isoformat()
    return document


def _verification(found: Document) -> Verification:
    return Verification(
        member_id=found["_id"],
        method=Method(found["method"]),
        registry=found["registry"],
        source=found["source"],
        professions=tuple(Profession(profession) for profession in found["professions"]),
        skills=tuple(found["skills"]),
        confirmed_at=found["confirmed_at"],
        checked_at=found["checked_at"],
        next_check_at=found["next_check_at"],
        missing_since=found.get("missing_since"),
        valid_until=date.fromisoformat(found["valid_until"]) if "valid_until" in found else None,
    )
