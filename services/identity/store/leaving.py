"""Leaving, in MongoDB: what is kept of a member, to be given out whole, and to be erased when the time has come.

`HELD` lists where identity keeps something of a member. A test lets a member leave who has something of everything,
and looks through every collection of the database for what the list has forgotten.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prometheus_client import Counter, Gauge

from services.identity.domain.leaving import Departure, FormerMember
from services.identity.domain.letters import Letter, Mailer
from services.identity.store.accounts import Accounts
from services.identity.store.contacts import Contacts
from services.identity.store.profiles import Profiles
from services.identity.store.returns import Returns
from shared.bus import Received
from shared.errors import dependency_is_away
from shared.events import BlocksChanged, Contributions, MemberChanged
from shared.mongo import Document, Mongo, Session
from shared.outbox import Outbox
from shared.rounds import in_rounds

logger = logging.getLogger("identity")

# How many members leave, and by what they want done with what they wrote.
LEFT = Counter("consilium_members_left_total", "Accounts erased at their member's wish", ["contributions"])
# What an operator learns: accounts whose time has come and that are not erased yet.
DEPARTURES_WAITING = Gauge("consilium_departures_waiting", "Accounts due to be erased, at the last look")

LOOK_AGAIN = timedelta(hours=1)
"""A request that was under way when the account went may still write something: so long it is looked for."""


@dataclass(frozen=True, slots=True)
class Held:
    """A collection that keeps something of members: by which field, and what of it an export shows.

    `with_files`: it says where files of the member lie, and goes with these (`ForgetFiles`).
    """

    collection: str
    field: str
    shown: tuple[str, ...] = ()
    with_files: bool = False


HELD: tuple[Held, ...] = (
    Held(
        "accounts",
        "_id",
        ("email", "pseudonym", "profession", "specialty", "country", "roles", "status", "language", "registry",
         "created_at", "verified_at", "checked_at", "suspended_for", "departure"),
    ),
    Held(
        "profiles",
        "_id",
        ("specialties", "skills", "languages", "place", "faculty", "residency", "diplomas", "posts", "reach",
         "visibility", "shown_name", "updated_at"),
    ),
    # Who confirmed is another person's data: their owner sees it in the profile, the archive counts it.
    Held("confirmations", "owner", ("skill", "at")),
    Held("confirmations", "by", ("owner", "skill", "at")),
    Held("directory", "_id"),
    Held("contacts", "members"),
    Held("blocks", "_id", ("blocked",)),
    Held(
        "sessions",
        "member_id",
        ("created_at", "last_used_at", "expires_at", "authenticated_at", "amr", "device", "network"),
    ),
    Held("tickets", "member_id", ("purpose", "expires_at")),
    Held("factors", "_id", ("passkeys.name", "passkeys.added_at", "passkeys.last_used_at", "totp.added_at")),
    Held(
        "verifications",
        "_id",
        ("method", "registry", "source", "professions", "skills", "confirmed_at", "checked_at", "next_check_at",
         "valid_until"),
    ),
    Held("verification_requests", "_id", ("registry", "state", "asked_at")),
    Held(
        "credential_applications",
        "member_id",
        ("state", "submitted_at", "decided_at", "reason", "documents.kind", "documents.received_at"),
        with_files=True,
    ),
    Held("psc_logins", "member_id"),
    # Not shown: whoever typed a colleague's number would read in the archive that the colleague was suspended.
    Held("returning_members", "_id"),
    Held("mails", "member_id", ("letter", "written_at")),
    Held("mails_once", "member_id", ("letter", "at")),
)  # fmt: skip

ForgetFiles = Callable[[str], Awaitable[None]]
"""Erases the files kept of a member, their key first. May be repeated. May raise NotNow."""


class Departures:
    """Members' wishes to leave, and what has to be done when their time has come."""

    def __init__(
        self,
        mongo: Mongo,
        accounts: Accounts,
        profiles: Profiles,
        contacts: Contacts,
        mailer: Mailer,
        *,
        grace: timedelta,
        forget_files: ForgetFiles,
        return_review: timedelta = timedelta(days=1095),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._mongo = mongo
        self._db = mongo.db
        self._accounts = accounts
        self._profiles = profiles
        self._contacts = contacts
        self._mailer = mailer
        self._outbox = Outbox(mongo.db)
        self._former = mongo.db["former_members"]
        self._returns = Returns(mongo.db)
        self._return_review = return_review
        self._grace = grace
        self._forget_files = forget_files
        self._now = now

    async def prepare(self) -> None:
        """Make the indexes; may be repeated."""
        await self._db["accounts"].create_index(
            "departure.due_at", name="departure", partialFilterExpression={"departure.due_at": {"$exists": True}}
        )
        await self._former.create_index("left_at", name="left")

    async def ask(self, member_id: str, contributions: Contributions) -> Departure:
        """Note that the member wants to leave, and write to them. Asking again begins the grace period anew.

        Raises AccountUnknown.
        """
        now = self._now()
        departure = Departure(now, now + self._grace, contributions)

        async def write(session: Session) -> None:
            await self._accounts.change_within(session, member_id, lambda account: account.leave(departure))
            facts = {"leaves_on": departure.due_at.date().isoformat()}
            await self._mailer.enqueue(member_id, Letter.LEAVING_ASKED, facts, session=session)

        await self._mongo.transaction(write)
        return departure

    async def take_back(self, member_id: str) -> None:
        """The member stays. Raises NotLeaving, AccountUnknown."""
        await self._accounts.change(member_id, lambda account: account.stay())

    # -- everything that is held --------------------------------------------------------------------------------

    async def held(self, member_id: str) -> AsyncIterator[tuple[str, list[Document]]]:
        """What is kept of a member, as (name, documents), without other people's data and without secrets."""
        for held in HELD:
            if held.shown:
                found = self._db[held.collection].find(
                    {held.field: member_id}, {"_id": 0, **dict.fromkeys(held.shown, 1)}
                )
                name = held.collection if held.field in ("_id", "member_id") else f"{held.collection}_{held.field}"
                yield name, await found.to_list(None)

    # -- when the time has come ---------------------------------------------------------------------------------

    async def run(self, every_s: float) -> None:
        """Erase who is due until cancelled. What fails is tried again at the next round."""
        await in_rounds(self.finish_due, self.look_again, every_s=every_s, what="erasing who leaves", log=logger)

    async def finish_due(self) -> int:
        """Erase every account whose time has come; returns how many. One that fails holds up no other."""
        due = self._db["accounts"].find({"departure.due_at": {"$lte": self._now()}}, {"_id": 1})
        waiting = [document["_id"] async for document in due]
        DEPARTURES_WAITING.set(len(waiting))
        done = 0
        for member_id in waiting:
            try:
                done += await self.finish(member_id)
            except Exception as error:
                about = {"member_id": member_id}
                logger.warning(
                    "an account is erased later: %s", error, extra=about, exc_info=not dependency_is_away(error)
                )
        DEPARTURES_WAITING.set(len(waiting) - done)
        return done

    async def finish(self, member_id: str) -> bool:
        """Erase one account whose time has come; False where it has not, or it is gone already."""
        await self._leave_others(member_id)

        async def write(session: Session) -> FormerMember | None:
            account = await self._accounts.hold(member_id, session)
            now = self._now()
            if account is None or account.departure is None or account.departure.due_at > now:
                return None
            former = FormerMember(member_id, account.version + 1, account.departure.contributions, now)
            await self._former.insert_one(_document(former), session=session)
            await self._returns.bar(account, now, self._return_review, session)
            await self._outbox.add(former.changed(), session)
            await self._forget_blocks(member_id, session)
            await self._erase(member_id, session)
            return former

        former = await self._mongo.transaction(write)
        if former is None:
            return False
        LEFT.labels(former.contributions.value).inc()
        logger.info("erased an account at its member's wish", extra={"member_id": member_id})
        await self._finish_files(member_id)
        return True

    # -- after a restore ------------------------------------------------------------------------------------------

    async def come_back(self, member_ids: Collection[str]) -> set[str]:
        """Of these, who has an account here. Of people who have left, these are out of an old backup."""
        found = self._db["accounts"].find({"_id": {"$in": list(member_ids)}}, {"_id": 1})
        return {document["_id"] async for document in found}

    async def erase_again(self, lines: Sequence[Received[MemberChanged]]) -> None:
        """Erase whom an old backup brought back though they had left. May be repeated."""
        for line in lines:
            if line.event is not None:
                await self._erase_again(line.event)

    async def _erase_again(self, left: MemberChanged) -> None:
        member_id = left.member_id
        await self._leave_others(member_id)

        async def write(session: Session) -> None:
            account = await self._accounts.hold(member_id, session)
            if account is None:
                return
            version = max(left.version, account.version + 1)
            now = self._now()
            former = FormerMember(member_id, version, left.contributions or Contributions.KEPT, now)
            await self._returns.bar(account, now, self._return_review, session)
            # What the backup had still to say of the member would come after their end and, by compaction, replace it.
            mine = {"key": member_id, "topic": {"$in": [MemberChanged.topic, BlocksChanged.topic]}}
            await self._db["outbox"].delete_many(mine, session=session)
            await self._former.replace_one({"_id": member_id}, _document(former), upsert=True, session=session)
            await self._outbox.add(former.changed(), session)
            await self._forget_blocks(member_id, session)
            await self._erase(member_id, session)

        await self._mongo.transaction(write)
        logger.warning("erased again an account that an old backup brought back", extra={"member_id": member_id})
        try:
            await self._finish_files(member_id)
        except Exception as error:
            if not dependency_is_away(error):
                raise
            logger.warning("its files are erased later: %s", error, extra={"member_id": member_id})

    async def look_again(self) -> None:
        """Erase what requests that were under way have written after all, and files that could not be erased."""
        recent = {"$or": [{"left_at": {"$gt": self._now() - LOOK_AGAIN}}, {"files_pending": True}]}
        async for document in self._former.find(recent):
            await self._leave_others(document["_id"])
            await self._erase(document["_id"], None)
            # Whether or not they were erased: an upload that was under way adds files after that.
            await self._finish_files(document["_id"])

    async def _leave_others(self, member_id: str) -> None:
        """Take the member out of what others keep: confirmations given, and lists of the blocked."""
        given = self._db["confirmations"].find({"by": member_id}, {"owner": 1, "skill": 1})
        for one in await given.to_list(None):
            await self._profiles.unconfirm(one["owner"], one["skill"], member_id)
        async for document in self._db["blocks"].find({"blocked": member_id}, {"_id": 1}):
            await self._contacts.unblock(document["_id"], member_id)

    async def _forget_blocks(self, member_id: str, session: Session) -> None:
        if await self._db["blocks"].find_one({"_id": member_id}, {"_id": 1}, session=session):
            await self._outbox.add_tombstone(BlocksChanged, member_id, member_id, session)

    async def _erase(self, member_id: str, session: Session | None) -> None:
        for held in HELD:
            if not held.with_files:
                await self._db[held.collection].delete_many({held.field: member_id}, session=session)

    async def _finish_files(self, member_id: str) -> None:
        await self._forget_files(member_id)
        await self._former.update_one({"_id": member_id}, {"$unset": {"files_pending": ""}})


def _document(former: FormerMember) -> Document:
    return {
        "_id": former.member_id,
        "version": former.version,
        "contributions": former.contributions.value,
        "left_at": former.left_at,
        "files_pending": True,
    }
