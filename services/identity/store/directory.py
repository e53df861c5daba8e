"""The directory in MongoDB: one entry a listed member, written in the transaction of whatever changed the member.

One index, on the terms of entries and their order (`domain.directory`). A search takes from it whoever has the rarest
thing that is asked for, already in order, and looks at the rest in each entry, at most `MOST_EXAMINED` of them.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection as Ids
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.identity.domain.account import Account
from services.identity.domain.directory import Entry, Need, entry_of
from services.identity.domain.profile import Diploma, DiplomaKind, OwnSkill, Part, Place, Post, Profile, Visibility
from shared.events import Specialty
from shared.mongo import Database, Document, Session

MOST_EXAMINED = 2_000
"""Entries that one page may look at. Where they do not fill it, the page is short and the cursor leads on. Of things
that more members have, it is no matter which is rarer: no more are counted."""
RECOUNT = "recount"
"""The mark of a profile whose entry is to be written anew: peers' confirmations count no more, or again."""
COUNTS_KEPT_S = 60.0
COUNTS_KEPT = 10_000
_INDEX = "terms"


@dataclass(frozen=True, slots=True)
class Page:
    """Cards of members, and the order after which the next page begins; None: this is the last."""

    items: list[Document]
    after: int | None


class Directory:
    """Keeps and searches the entries."""

    def __init__(self, db: Database) -> None:
        self._entries = db["directory"]
        self._profiles = db["profiles"]
        self._confirmations = db["confirmations"]
        self._counted: OrderedDict[tuple[str, ...], tuple[float, int]] = OrderedDict()

    async def prepare(self) -> None:
        """Make the index; may be repeated."""
        await self._entries.create_index([("terms", 1), ("order", 1)], name=_INDEX)

    async def follow(self, account: Account, session: Session) -> None:
        """Write the member's entry anew, or take it away, as account, profile and confirmations are now."""
        found = await self._profiles.find_one({"_id": account.member_id}, session=session)
        entry = None
        if found is not None:
            confirmed = await self.confirmed(account.member_id, session)
            entry = entry_of(account, profile_of(found), confirmed)
        if entry is None:
            await self._entries.delete_one({"_id": account.member_id}, session=session)
        else:
            await self._entries.replace_one(
                {"_id": account.member_id}, document_of(entry, account), upsert=True, session=session
            )

    async def count_by(self, peer_id: str, counts: bool, session: Session) -> None:
        """From now on the peer's confirmations count, or do not. Entries of their owners follow soon (`recount`)."""
        given = {"by": peer_id}
        await self._confirmations.update_many(given, {"$set": {"idle": not counts}}, session=session)
        owners = await self._confirmations.distinct("owner", given, session=session)
        if owners:
            await self._profiles.update_many({"_id": {"$in": owners}}, {"$set": {RECOUNT: True}}, session=session)

    async def confirmed(self, owner_id: str, session: Session | None = None) -> dict[str, int]:
        """How many peers have confirmed each skill of a member; those who are not met just now do not count."""
        pipeline: list[Document] = [
            {"$match": {"owner": owner_id, "idle": {"$ne": True}}},
            {"$group": {"_id": "$skill", "peers": {"$sum": 1}}},
        ]
        found = self._confirmations.aggregate(pipeline, session=session)
        return {group["_id"]: group["peers"] async for group in found}

    async def search(self, needs: Sequence[Need], hidden: Ids[str], limit: int, after: int | None = None) -> Page:
        """Members who have everything that is needed, in the directory's order, from behind the place `after`.

        `hidden`: members who are left out. Without a need nobody is found.
        """
        if not needs:
            return Page([], None)
        rarest, so_many = await self._rarest(needs)
        places: Document = {} if after is None else {"$gt": after}
        wanted: Document = {"terms": {"$in": needs[rarest].terms}}
        rest: list[Document] = [_condition(need) for n, need in enumerate(needs) if n != rarest or not need.whole]
        end = None
        if rest and so_many >= MOST_EXAMINED:
            end = await self._end_of_look(wanted | ({"order": places} if places else {}))
            places |= {} if end is None else {"$lte": end}
        if hidden:
            rest.append({"_id": {"$nin": list(hidden)}})
        wanted |= ({"order": places} if places else {}) | ({"$and": rest} if rest else {})
        found = await self._entries.find(
            wanted, {"card": 1, "order": 1}, sort=[("order", 1)], limit=limit + 1, batch_size=limit + 2, hint=_INDEX
        ).to_list(limit + 1)
        if len(found) > limit:
            return Page(found[:limit], found[limit - 1]["order"])
        return Page(found, end)

    async def _end_of_look(self, wanted: Document) -> int | None:
        """The place behind which one page does not look; None: there are not so many."""
        found = await self._entries.find(
            wanted, {"order": 1, "_id": 0}, sort=[("order", 1)], skip=MOST_EXAMINED - 1, limit=2, hint=_INDEX
        ).to_list(2)
        return found[0]["order"] if len(found) == 2 else None

    async def _rarest(self, needs: Sequence[Need]) -> tuple[int, int]:
        """The number of the need that fewest members can have, and how many can, as far as they are counted."""
        if len(needs) == 1 and needs[0].whole:
            return 0, 0
        counts = await asyncio.gather(*(self._count(need) for need in needs))
        fewest = min(counts)
        return counts.index(fewest), fewest

    async def _count(self, need: Need) -> int:
        terms = tuple(need.terms)
        known = self._counted.get(terms)
        now = time.monotonic()
        if known is not None and known[0] > now:
            return known[1]
        found = await self._entries.count_documents({"terms": {"$in": list(terms)}}, limit=MOST_EXAMINED, hint=_INDEX)
        self._counted[terms] = (now + COUNTS_KEPT_S, found)
        self._counted.move_to_end(terms)
        if len(self._counted) > COUNTS_KEPT:
            self._counted.popitem(last=False)
        return found


def _condition(need: Need) -> Document:
    # On fields that no index knows, so that the plan is ours and not the optimiser's guess.
    codes: Document = {"codes": {"$in": list(need.codes)}}
    if need.beginning is None:
        return codes
    word: Document = {"words": {"$regex": f"^{need.beginning}"}}
    return {"$or": [word, codes]} if need.codes else word


def document_of(entry: Entry, account: Account) -> Document:
    """An entry as it is kept, with the badge that its card shows."""
    badge = {
        "pseudonym": account.pseudonym,
        "profession": account.profession.value if account.profession else None,
        "specialty": account.specialty.value if account.specialty else None,
        "country": account.country,
        "registry": account.registry,
        "verified_at": account.verified_at,
        "checked_at": account.checked_at,
    }
    return {
        "_id": entry.member_id,
        "order": entry.order,
        "card": badge | entry.card,
        "words": list(entry.words),
        "codes": list(entry.codes),
        "terms": entry.terms,
    }


def kept(profile: Profile) -> Document:
    """A profile as MongoDB keeps it."""
    return {
        "_id": profile.member_id,
        "specialties": [specialty.value for specialty in profile.specialties],
        "skills": [{"code": skill.code, "referrals": skill.referrals} for skill in profile.skills],
        "languages": list(profile.languages),
        "place": {"town": profile.place.town, "country": profile.place.country} if profile.place else None,
        "faculty": profile.faculty,
        "residency": profile.residency,
        "diplomas": [
            {"kind": d.kind.value, "title": d.title, "year": d.year, "institution": d.institution}
            for d in profile.diplomas
        ],
        "posts": [
            {"title": p.title, "begins": p.begins, "ends": p.ends, "institution": p.institution} for p in profile.posts
        ],
        "reach": profile.reach,
        "visibility": {part.value: wanted.value for part, wanted in profile.visibility.items()},
        "shown_name": profile.shown_name,
        "updated_at": profile.updated_at,
    }


def profile_of(found: dict[str, Any]) -> Profile:
    """What `kept` made of a profile, read again."""
    return Profile(
        member_id=found["_id"],
        specialties=tuple(Specialty(value) for value in found["specialties"]),
        skills=tuple(OwnSkill(skill["code"], skill["referrals"]) for skill in found["skills"]),
        languages=tuple(found["languages"]),
        place=Place(found["place"]["town"], found["place"]["country"]) if found["place"] else None,
        faculty=found["faculty"],
        residency=found["residency"],
        diplomas=tuple(
            Diploma(DiplomaKind(d["kind"]), d["title"], d["year"], d["institution"]) for d in found["diplomas"]
        ),
        posts=tuple(Post(p["title"], p["begins"], p["ends"], p["institution"]) for p in found["posts"]),
        reach=found["reach"],
        visibility={Part(part): Visibility(wanted) for part, wanted in found["visibility"].items()},
        shown_name=found["shown_name"],
        updated_at=found["updated_at"],
    )
