"""HTTP in: one's own profile, other members' as far as they show it, confirming a peer's skill, the lists of words."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel

from services.identity.domain.account import Account
from services.identity.domain.profile import (
    Confirmation,
    Part,
    Profile,
    Relation,
    Visibility,
    is_peer,
    may_confirm,
)
from services.identity.routes.profile_forms import GivenDiploma, GivenPost, NewProfile
from services.identity.routes.reveals import MEMBER_UNKNOWN, CivilNameOf
from services.identity.specialties import skills, specialties
from services.identity.store.accounts import Accounts
from services.identity.store.contacts import Contacts
from services.identity.store.profiles import Profiles, SkillNotShown
from shared.auth import Guard, Principal
from shared.events import MemberStatus, Profession, Specialty
from shared.web import ProblemKind, Text

SKILL_NOT_SHOWN = ProblemKind(
    "skill-not-shown",
    404,
    Text(en="No such skill", fr="Compétence inconnue"),
    Text(
        en="This member does not show you this skill. Read the profile again.",
        fr="Ce membre ne vous montre pas cette compétence. Relisez son profil.",
    ),
)
CANNOT_CONFIRM = ProblemKind(
    "cannot-confirm",
    403,
    Text(en="You cannot confirm this skill", fr="Vous ne pouvez pas confirmer cette compétence"),
    Text(
        en="A skill is confirmed by peers: not by the member themselves, and not by students.",
        fr="Une compétence est confirmée par des pairs\u00a0: ni par le membre lui-même, ni par des étudiants.",
    ),
)

MemberId = Annotated[str, Path(max_length=64)]


class Badge(BaseModel):
    """What every member may know of each other, and what is verified of it: where, and when last."""

    pseudonym: str
    profession: Profession | None
    specialty: Specialty | None
    country: str | None
    verified: bool
    registry: str | None
    verified_at: datetime | None
    checked_at: datetime | None

    @classmethod
    def of(cls, account: Account) -> "Badge":
        return cls(
            pseudonym=account.pseudonym,
            profession=account.profession,
            specialty=account.specialty,
            country=account.country,
            verified=account.status is MemberStatus.VERIFIED,
            registry=account.registry,
            verified_at=account.verified_at,
            checked_at=account.checked_at,
        )


class SkillShown(BaseModel):
    """`confirmations`: how many peers say so too. `referrals`: patients may be sent for it; null: not shown."""

    code: str
    specialty: Specialty
    fr: str
    en: str
    confirmations: int
    referrals: bool | None
    confirmed_by_me: bool


class PlaceShown(BaseModel):
    town: str
    country: str | None


class ProfileShown(BaseModel):
    """A member as you may see them. What is null or empty is not there, or not shown to you: these look the same."""

    member_id: str
    badge: Badge
    name: str | None = None
    specialties: list[Specialty] = []
    skills: list[SkillShown] = []
    languages: list[str] = []
    place: PlaceShown | None = None
    faculty: str | None = None
    residency: str | None = None
    diplomas: list[GivenDiploma] = []
    posts: list[GivenPost] = []
    reach: str | None = None


class Confirmed(BaseModel):
    """A peer's confirmation, as its owner sees it. `pseudonym` is null where the peer is a member no more."""

    skill: str
    by_id: str
    pseudonym: str | None
    at: datetime


class OwnProfile(ProfileShown):
    """Your own profile. `name`: your civil name as it was verified; who sees it is `visibility.name`."""

    visibility: dict[Part, Visibility]
    confirmations: list[Confirmed]
    updated_at: datetime | None


class SkillInWords(BaseModel):
    code: str
    fr: str
    en: str


class SpecialtyInWords(SkillInWords):
    """`r38`: the codes of the French registry (TRE_R38) that mean it."""

    code: Specialty
    r38: list[str]
    skills: list[SkillInWords]


class Lists(BaseModel):
    items: list[SpecialtyInWords]


@dataclass(frozen=True, slots=True)
class People:
    """What the routes about members work with. `civil_name_of` opens a verified civil name."""

    accounts: Accounts
    profiles: Profiles
    contacts: Contacts
    civil_name_of: CivilNameOf

    async def peer(self, member_id: str) -> Account:
        """The account of a member whom others meet. Raises the problem `member-unknown`."""
        account = await self.accounts.by_id(member_id)
        if account is None or not is_peer(account):
            raise MEMBER_UNKNOWN()
        return account

    async def name(self, member_id: str) -> str | None:
        """The verified civil name in one line."""
        found = await self.civil_name_of(member_id)
        if found is None:
            return None
        family, given = found
        return f"{given} {family}"


def profile_routes(people: People, guard: Guard) -> APIRouter:
    """The routes of profiles."""
    router = APIRouter(tags=["profiles"])
    Me = Annotated[Principal, Depends(guard.verified)]

    @router.get("/me/profile")
    async def own_profile(me: Me) -> OwnProfile:
        """All of your own profile, and who has confirmed which skill."""
        account = await people.peer(me.member_id)
        profile = await people.profiles.of(me.member_id) or Profile(me.member_id)
        name = await people.name(me.member_id)
        if profile.visible(Part.NAME, Relation.MEMBER) and profile.shown_name != name:
            await people.profiles.rename(me.member_id, name)
        return await _own(people, account, profile, name)

    @router.put("/me/profile")
    async def write_profile(new: NewProfile, me: Me) -> OwnProfile:
        """Put this in place of the profile there was. Confirmations of a skill that it lacks are gone."""
        account = await people.peer(me.member_id)
        name = await people.name(me.member_id)
        profile = new.profile(me.member_id, name, _now())
        await people.profiles.save(profile)
        again = await people.name(me.member_id)
        if again != name:  # verified anew under another name meanwhile, and what was just saved says the old one
            await people.profiles.rename(me.member_id, again)
        return await _own(people, account, profile, again)

    @router.get("/members/{member_id}")
    async def member(member_id: MemberId, me: Me) -> ProfileShown:
        """A member: the badge, and what they show to you."""
        account = await people.peer(member_id)
        relation = await people.contacts.relation(member_id, me.member_id)
        profile = await people.profiles.of(member_id) or Profile(member_id)
        shows_name = profile.visible(Part.NAME, relation)
        name = await people.name(member_id) if shows_name else None
        counts = await people.profiles.confirmed(member_id)
        mine = await people.profiles.confirmed_by(member_id, me.member_id)
        return _shown(account, profile, relation, name, counts, mine)

    @router.put("/members/{member_id}/skills/{skill}/confirmation", status_code=204)
    async def confirm(member_id: MemberId, skill: Annotated[str, Path(max_length=64)], me: Me) -> Response:
        """Confirm that a colleague has this skill. The owner learns who did; others learn how many."""
        if not may_confirm(me.profession, me.member_id, member_id):
            raise CANNOT_CONFIRM()
        await people.peer(member_id)
        relation = await people.contacts.relation(member_id, me.member_id)
        try:
            await people.profiles.confirm(
                Confirmation(member_id, skill, me.member_id, _now()),
                lambda profile: profile.visible(Part.SKILLS, relation),
            )
        except SkillNotShown as error:
            raise SKILL_NOT_SHOWN() from error
        return Response(status_code=204)

    @router.delete("/members/{member_id}/skills/{skill}/confirmation", status_code=204)
    async def unconfirm(member_id: MemberId, skill: Annotated[str, Path(max_length=64)], me: Me) -> Response:
        """Take your confirmation back."""
        await people.profiles.unconfirm(member_id, skill, me.member_id)
        return Response(status_code=204)

    @router.get("/skills")
    async def list_skills(response: Response) -> Lists:
        """Every specialty and the skills below it, in French and English."""
        response.headers["cache-control"] = "public, max-age=3600"
        return _lists()

    return router


async def _own(people: People, account: Account, profile: Profile, name: str | None) -> OwnProfile:
    confirmations = await people.profiles.confirmations(account.member_id)
    peers = await people.accounts.several({one.by_id for one in confirmations})
    counts = await people.profiles.confirmed(account.member_id)
    shown = _shown(account, profile, Relation.OWNER, name, counts, set())
    return OwnProfile(
        **dict(shown),
        visibility={part: profile.visibility.get(part, Visibility.NOBODY) for part in Part},
        confirmations=[
            Confirmed(
                skill=one.skill,
                by_id=one.by_id,
                pseudonym=peers[one.by_id].pseudonym if one.by_id in peers else None,
                at=one.at,
            )
            for one in confirmations
        ],
        updated_at=profile.updated_at,
    )


def _shown(
    account: Account,
    profile: Profile,
    relation: Relation,
    name: str | None,
    counts: dict[str, int],
    mine: set[str],
) -> ProfileShown:
    shown = ProfileShown(member_id=account.member_id, badge=Badge.of(account), name=name)
    if profile.visible(Part.SPECIALTIES, relation):
        shown.specialties = list(profile.specialties)
    if profile.visible(Part.SKILLS, relation):
        refers = profile.visible(Part.REFERRALS, relation)
        shown.skills = [
            SkillShown(
                code=own.code,
                specialty=skills()[own.code].specialty,
                fr=skills()[own.code].fr,
                en=skills()[own.code].en,
                confirmations=counts.get(own.code, 0),
                referrals=own.referrals if refers else None,
                confirmed_by_me=own.code in mine,
            )
            for own in profile.skills
        ]
    if profile.visible(Part.LANGUAGES, relation):
        shown.languages = list(profile.languages)
    if profile.place is not None and profile.visible(Part.PLACE, relation):
        shown.place = PlaceShown(town=profile.place.town, country=profile.place.country)
    for part in (Part.FACULTY, Part.RESIDENCY):
        if profile.visible(part, relation):
            setattr(shown, part.value, getattr(profile, part.value))
    if profile.visible(Part.DIPLOMAS, relation):
        shown.diplomas = [
            GivenDiploma(kind=d.kind, title=d.title, year=d.year, institution=d.institution) for d in profile.diplomas
        ]
    if profile.visible(Part.POSTS, relation):
        shown.posts = [
            GivenPost(title=p.title, begins=p.begins, ends=p.ends, institution=p.institution) for p in profile.posts
        ]
    if profile.visible(Part.REFERRALS, relation):
        shown.reach = profile.reach
    return shown


def _lists() -> Lists:
    return Lists(
        items=[
            SpecialtyInWords(
                code=entry.specialty,
                fr=entry.fr,
                en=entry.en,
                r38=list(entry.r38),
                skills=[
                    SkillInWords(code=skill.code, fr=skill.fr, en=skill.en)
                    for skill in skills().values()
                    if skill.specialty is entry.specialty
                ],
            )
            for entry in specialties().values()
        ]
    )


def _now() -> datetime:
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)  # what MongoDB keeps
