"""Profiles and their confirmations by peers in MongoDB, each change together with the directory's entry."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from services.identity.domain.account import AccountUnknown
from services.identity.domain.profile import Confirmation, Part, Profile, Visibility, is_peer
from services.identity.store.accounts import Accounts
from services.identity.store.directory import RECOUNT, Directory, kept, profile_of
from shared.errors import dependency_is_away
from shared.mongo import Mongo, Session
from shared.rounds import in_rounds

log = logging.getLogger("identity")


class SkillNotShown(Exception):
    """The member does not declare this skill, or not to the one who asks."""


class Profiles:
    """The profiles of all members."""

    def __init__(self, mongo: Mongo, accounts: Accounts, directory: Directory) -> None:
        self._mongo = mongo
        self._accounts = accounts
        self._directory = directory
        self._profiles = mongo.db["profiles"]
        self._confirmations = mongo.db["confirmations"]

    async def prepare(self) -> None:
        """Make the indexes; may be repeated."""
        await self._directory.prepare()
        await self._confirmations.create_index("owner", name="owner")
        await self._confirmations.create_index("by", name="by")
        await self._profiles.create_index(RECOUNT, name=RECOUNT, partialFilterExpression={RECOUNT: True})
        # Confirmations from before they said whether they count: as their peers are met or not, now.
        for peer_id in await self._confirmations.distinct("by", {"idle": {"$exists": False}}):
            await self._mongo.transaction(partial(self._count_by, peer_id))

    async def of(self, member_id: str) -> Profile | None:
        """The member's profile, None where they have written none."""
        found = await self._profiles.find_one({"_id": member_id})
        return profile_of(found) if found else None

    async def save(self, profile: Profile) -> None:
        """Put the profile in place of the one before. Confirmations of skills that it lacks are gone with them.

        Raises AccountUnknown.
        """

        async def write(session: Session) -> None:
            await self._profiles.replace_one({"_id": profile.member_id}, kept(profile), upsert=True, session=session)
            kept_skills = [skill.code for skill in profile.skills]
            await self._confirmations.delete_many(
                {"owner": profile.member_id, "skill": {"$nin": kept_skills}}, session=session
            )
            await self._follow(profile.member_id, session)

        await self._mongo.transaction(write)

    async def rename(self, member_id: str, name: str | None) -> None:
        """The verified civil name is another one now: show that, where the profile shows it."""

        async def write(session: Session) -> None:
            shows = {"_id": member_id, f"visibility.{Part.NAME}": Visibility.MEMBERS.value}
            changed = await self._profiles.update_one(shows, {"$set": {"shown_name": name}}, session=session)
            if changed.modified_count:
                await self._follow(member_id, session)

        await self._mongo.transaction(write)

    async def confirm(self, confirmation: Confirmation, may_see: Callable[[Profile], bool]) -> None:
        """Note that a peer confirms a skill; once is enough. Raises SkillNotShown."""
        key = _key(confirmation.owner_id, confirmation.skill, confirmation.by_id)

        async def write(session: Session) -> None:
            found = await self._profiles.find_one({"_id": confirmation.owner_id}, session=session)
            profile = profile_of(found) if found else None
            if profile is None or profile.skill(confirmation.skill) is None or not may_see(profile):
                raise SkillNotShown
            # Written too: a suspension of the peer at the same moment collides with us, and sees what we wrote.
            peer = await self._accounts.hold(confirmation.by_id, session)
            document: dict[str, Any] = {
                "owner": confirmation.owner_id,
                "skill": confirmation.skill,
                "by": confirmation.by_id,
                "at": confirmation.at,
                "idle": not is_peer(peer),
            }
            added = await self._confirmations.update_one(
                {"_id": key}, {"$setOnInsert": document}, upsert=True, session=session
            )
            if added.upserted_id is not None:
                # Written, so that a save at the same moment that drops the skill collides with us.
                await self._profiles.update_one(
                    {"_id": confirmation.owner_id}, {"$inc": {"touched": 1}}, session=session
                )
                await self._follow(confirmation.owner_id, session)

        await self._mongo.transaction(write)

    async def unconfirm(self, owner_id: str, skill: str, by_id: str) -> None:
        """Take one's own confirmation back, if there is one."""

        async def write(session: Session) -> None:
            gone = await self._confirmations.delete_one({"_id": _key(owner_id, skill, by_id)}, session=session)
            if gone.deleted_count:
                await self._follow(owner_id, session)

        await self._mongo.transaction(write)

    async def confirmed(self, owner_id: str) -> dict[str, int]:
        """How many peers have confirmed each skill of a member."""
        return await self._directory.confirmed(owner_id)

    async def confirmed_by(self, owner_id: str, by_id: str) -> set[str]:
        """Which skills of a member that peer has confirmed."""
        found = self._confirmations.find({"owner": owner_id, "by": by_id}, {"skill": 1})
        return {document["skill"] async for document in found}

    async def confirmations(self, owner_id: str) -> list[Confirmation]:
        """Who has confirmed what of a member, newest first, as far as it counts: for the member only."""
        found = self._confirmations.find({"owner": owner_id, "idle": {"$ne": True}}, sort=[("at", -1), ("_id", 1)])
        return [Confirmation(d["owner"], d["skill"], d["by"], d["at"]) async for d in found]

    async def run(self) -> None:
        """Bring entries up to their confirmations until cancelled."""
        await in_rounds(self.recount, every_s=2.0, what="counting confirmations", log=log)

    async def recount(self) -> int:
        """Write the entries anew of those whose confirmations count no more or again; returns how many.

        One that fails holds up no other, and is tried again at the next round.
        """
        done = 0
        for found in await self._profiles.find({RECOUNT: True}, {"_id": 1}).to_list(None):
            try:
                await self._mongo.transaction(partial(self._recount, found["_id"]))
                done += 1
            except Exception as error:
                about = {"member_id": found["_id"]}
                why = not dependency_is_away(error)
                log.warning("confirmations are counted later: %s", error, extra=about, exc_info=why)
        return done

    async def _count_by(self, peer_id: str, session: Session) -> None:
        await self._directory.count_by(peer_id, is_peer(await self._accounts.hold(peer_id, session)), session)

    async def _recount(self, member_id: str, session: Session) -> None:
        await self._profiles.update_one({"_id": member_id}, {"$unset": {RECOUNT: ""}}, session=session)
        account = await self._accounts.hold(member_id, session)
        if account is not None:
            await self._directory.follow(account, session)

    async def _follow(self, member_id: str, session: Session) -> None:
        account = await self._accounts.hold(member_id, session)
        if account is None:
            raise AccountUnknown(member_id)
        await self._directory.follow(account, session)


def _key(owner_id: str, skill: str, by_id: str) -> str:
    return f"{owner_id}|{skill}|{by_id}"
