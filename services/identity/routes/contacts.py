"""HTTP in: contacts and blocks. What the other side did not answer, refused or blocked looks the same: it waits."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from services.identity.domain.account import Account
from services.identity.domain.contacts import Standing, Tie, TooMany
from services.identity.domain.directory import Need, Wanted
from services.identity.domain.profile import is_peer
from services.identity.routes.directory import MemberCard
from services.identity.routes.profile import Badge, MemberId, People
from services.identity.routes.reveals import MEMBER_UNKNOWN
from services.identity.store.contacts import Blocked
from services.identity.store.directory import Directory
from shared.auth import Guard, Principal
from shared.web import ProblemKind, Text

MAX_SUGGESTIONS = 20

NOT_YOURSELF = ProblemKind(
    "not-yourself",
    409,
    Text(en="This is you", fr="C'est vous"),
    Text(en="Name another member.", fr="Indiquez un autre membre."),
)
UNBLOCK_FIRST = ProblemKind(
    "unblock-first",
    409,
    Text(en="You have blocked this member", fr="Vous avez bloqué ce membre"),
    Text(
        en="Take the member off your list (DELETE /me/blocks/…) before you ask for contact.",
        fr="Retirez ce membre de votre liste (DELETE /me/blocks/…) avant de demander le contact.",
    ),
)
LIST_FULL = ProblemKind(
    "list-full",
    409,
    Text(en="Your list is full", fr="Votre liste est pleine"),
    Text(
        en="This list takes at most {limit} members. Remove one before you add another.",
        fr="Cette liste accepte au plus {limit} membres. Retirez-en un avant d'en ajouter un autre.",
    ),
)


class Contact(BaseModel):
    """`standing`: `asked` (you wait for an answer), `received` (you were asked), `contact`. `since`: from when."""

    member_id: str
    badge: Badge
    standing: Standing
    since: datetime


class ContactList(BaseModel):
    items: list[Contact]


class BlockedMember(BaseModel):
    """`badge` is null where the account is no longer active."""

    member_id: str
    badge: Badge | None


class BlockList(BaseModel):
    items: list[BlockedMember]


class Suggestions(BaseModel):
    items: list[MemberCard]


def contact_routes(people: People, directory: Directory, guard: Guard) -> APIRouter:
    """The routes of contacts and blocks."""
    router = APIRouter(tags=["contacts"])
    Me = Annotated[Principal, Depends(guard.verified)]

    @router.get("/me/contacts")
    async def contacts(me: Me, standing: Annotated[Standing, Query()] = Standing.CONTACT) -> ContactList:
        """Your contacts, or the requests that you made or got, newest first."""
        ties = await people.contacts.ties(me.member_id, standing)
        accounts = await people.accounts.several(tie.other(me.member_id) for tie in ties)
        found = ((tie, accounts.get(tie.other(me.member_id))) for tie in ties)
        return ContactList(
            items=[_contact(tie, other, me.member_id) for tie, other in found if is_peer(other) and other]
        )

    @router.get("/me/contacts/suggestions")
    async def suggestions(me: Me) -> Suggestions:
        """Members of your specialties, those in your town first, whom you are not in contact with."""
        left_out = await people.contacts.hidden_from(me.member_id) | {me.member_id}
        for standing in Standing:
            left_out |= {tie.other(me.member_id) for tie in await people.contacts.ties(me.member_id, standing)}
        items: list[MemberCard] = []
        for needs in await _alike(people, me):
            page = await directory.search(needs, left_out, MAX_SUGGESTIONS - len(items))
            items += [MemberCard.of(found) for found in page.items]
            left_out |= {found["_id"] for found in page.items}
            if len(items) >= MAX_SUGGESTIONS:
                break
        return Suggestions(items=items)

    @router.put("/me/contacts/{member_id}")
    async def ask(member_id: MemberId, me: Me) -> Contact:
        """Ask for contact, or agree where they have asked you. May be repeated."""
        other = await _other(people, me, member_id)
        try:
            tie = await people.contacts.ask(me.member_id, member_id, _now())
        except Blocked as error:
            raise UNBLOCK_FIRST() from error
        except TooMany as error:
            raise LIST_FULL(limit=error.limit) from error
        return _contact(tie, other, me.member_id)

    @router.delete("/me/contacts/{member_id}", status_code=204)
    async def end(member_id: MemberId, me: Me) -> Response:
        """Take your request back, refuse theirs, or end the contact. The other is not told."""
        await people.contacts.end(me.member_id, member_id, _now())
        return Response(status_code=204)

    @router.get("/me/blocks")
    async def blocks(me: Me) -> BlockList:
        """Whom you have blocked, the latest first."""
        blocked = await people.contacts.blocked(me.member_id)
        accounts = await people.accounts.several(blocked)
        return BlockList(
            items=[
                BlockedMember(member_id=one, badge=Badge.of(accounts[one]) if one in accounts else None)
                for one in reversed(blocked)
            ]
        )

    @router.put("/me/blocks/{member_id}", status_code=204)
    async def block(member_id: MemberId, me: Me) -> Response:
        """Block a member: a contact ends, and they can no longer see your profile, find you, reach you or comment on
        your cases. They are not told."""
        if member_id == me.member_id:
            raise NOT_YOURSELF()
        if await people.accounts.by_id(member_id) is None:
            raise MEMBER_UNKNOWN()
        try:
            await people.contacts.block(me.member_id, member_id)
        except TooMany as error:
            raise LIST_FULL(limit=error.limit) from error
        return Response(status_code=204)

    @router.delete("/me/blocks/{member_id}", status_code=204)
    async def unblock(member_id: MemberId, me: Me) -> Response:
        """End a block. A contact that it ended stays ended."""
        await people.contacts.unblock(me.member_id, member_id)
        return Response(status_code=204)

    return router


async def _other(people: People, me: Principal, member_id: str) -> Account:
    if member_id == me.member_id:
        raise NOT_YOURSELF()
    return await people.peer(member_id)


async def _alike(people: People, me: Principal) -> list[list[Need]]:
    """What members like this one have, the most alike first. From one's own profile, shown or not."""
    profile = await people.profiles.of(me.member_id)
    own = {me.specialty} if me.specialty else set()
    own |= set(profile.specialties) if profile else set()
    alike = [Need(None, tuple(sorted(f"s:{specialty}" for specialty in own)))] if own else []
    if profile is None or profile.place is None:
        return [alike] if alike else []
    town = Wanted(town=profile.place.town).needs()
    return [alike + town, alike] if alike else [town]


def _contact(tie: Tie, other: Account, me: str) -> Contact:
    standing = tie.standing(me)
    assert standing is not None, "a tie that is nothing to me is not shown to me"
    return Contact(member_id=other.member_id, badge=Badge.of(other), standing=standing, since=tie.since(me))


def _now() -> datetime:
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)  # what MongoDB keeps
