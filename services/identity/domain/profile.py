"""The rules of profiles: what a member may say of themselves, and which part of it who sees.

Every part is seen by nobody until its owner says otherwise. Of a place no more than the town is kept, of a patient
nothing: there is no field for it.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from services.identity.domain.account import Account
from services.identity.specialties import skills
from shared.events import MemberStatus, Profession, Role, Specialty

MAX_SPECIALTIES = 4
MAX_SKILLS = 20
MAX_LANGUAGES = 12
MAX_DIPLOMAS = 30
MAX_POSTS = 30
TOWN_MAX_CHARACTERS = 60

# Words that make an address of what should be a town; alone they may be one (Rue is a town in Picardy).
_STREET = (
    "rue avenue av boulevard bd allee impasse chemin quai route square residence batiment etage appartement "
    "lotissement street st road rd lane drive building floor flat apartment suite strasse via calle"
)
_SAINT = "st"  # before a name it is a saint, after it a street
_LANGUAGE = re.compile(r"^([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|\d{3}))?$")
_ISO_639_1 = (
    "aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo "
    "es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka "
    "kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng "
    "nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su "
    "sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)


class TownMalformed(ValueError):
    """This is no town: it has digits, a street, or other signs than letters, spaces, hyphens and apostrophes."""


class LanguageUnknown(ValueError):
    """This is no language tag: say `fr`, `en-CA` or `zh-Hant` (BCP 47)."""


class Visibility(StrEnum):
    """Who sees a part: nobody but its owner, the owner's contacts, or every verified member."""

    NOBODY = "nobody"
    CONTACTS = "contacts"
    MEMBERS = "members"


class Part(StrEnum):
    """What has a visibility of its own. `referrals`: for which skills patients may be referred, and how to reach one.

    `name` is the civil name, which is not typed in here: it is the one that was verified.
    """

    NAME = "name"
    SPECIALTIES = "specialties"
    SKILLS = "skills"
    LANGUAGES = "languages"
    PLACE = "place"
    FACULTY = "faculty"
    RESIDENCY = "residency"
    DIPLOMAS = "diplomas"
    POSTS = "posts"
    REFERRALS = "referrals"


class Relation(StrEnum):
    """What a reader of a profile is to its owner. `stranger`: a member whom the owner has blocked."""

    OWNER = "owner"
    CONTACT = "contact"
    MEMBER = "member"
    STRANGER = "stranger"


class DiplomaKind(StrEnum):
    """DES, DESC, DU and DIU are French specialist and university diplomas."""

    STATE_DIPLOMA = "state_diploma"
    DES = "des"
    DESC = "desc"
    DU = "du"
    DIU = "diu"
    BOARD = "board"
    MASTER = "master"
    DOCTORATE = "doctorate"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Place:
    """No finer than a town. `country`: ISO 3166-1 alpha-2."""

    town: str
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Diploma:
    kind: DiplomaKind
    title: str
    year: int
    institution: str | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """A position. `begins` and `ends` are a year or a month (`2019`, `2019-09`); `ends` None: held today."""

    title: str
    begins: str
    ends: str | None = None
    institution: str | None = None


@dataclass(frozen=True, slots=True)
class OwnSkill:
    """A skill that a member declares. `referrals`: whether patients may be referred for it."""

    code: str
    referrals: bool = False


@dataclass(frozen=True, slots=True)
class Profile:
    """What a member says of themselves. A part that `visibility` does not name is seen by nobody.

    `shown_name`: the verified civil name, kept in clear exactly while its owner shows it to every member.
    """

    member_id: str
    specialties: tuple[Specialty, ...] = ()
    skills: tuple[OwnSkill, ...] = ()
    languages: tuple[str, ...] = ()
    place: Place | None = None
    faculty: str | None = None
    residency: str | None = None
    diplomas: tuple[Diploma, ...] = ()
    posts: tuple[Post, ...] = ()
    reach: str | None = None
    visibility: dict[Part, Visibility] = field(default_factory=dict)
    shown_name: str | None = None
    updated_at: datetime | None = None

    def visible(self, part: Part, relation: Relation) -> bool:
        """Whether a reader who is this to the owner sees the part."""
        if relation is Relation.OWNER:
            return True
        wanted = self.visibility.get(part, Visibility.NOBODY)
        return {
            Visibility.NOBODY: False,
            Visibility.CONTACTS: relation is Relation.CONTACT,
            Visibility.MEMBERS: relation in (Relation.CONTACT, Relation.MEMBER),
        }[wanted]

    def skill(self, code: str) -> OwnSkill | None:
        """The declared skill of that code."""
        return next((skill for skill in self.skills if skill.code == code), None)

    @property
    def shows_anything(self) -> bool:
        """Whether every member sees a part of it: only such a profile is found in the directory."""
        return Visibility.MEMBERS in self.visibility.values()


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A peer says that a member has a skill indeed."""

    owner_id: str
    skill: str
    by_id: str
    at: datetime


class OpensCivilNames(Protocol):
    """Where verified civil names are kept sealed."""

    async def civil_name(self, member_id: str) -> str | None:
        """The civil name that a verification found, None where there is none. May raise NotNow."""


def is_peer(account: Account | None) -> bool:
    """Whether members meet this account: a verified professional (or student), and not about to leave."""
    return (
        account is not None
        and account.status is MemberStatus.VERIFIED
        and Role.MEMBER in account.roles
        and account.departure is None
    )


def may_confirm(profession: Profession | None, member_id: str, owner_id: str) -> bool:
    """Whether a verified member may confirm somebody's skill: not their own, and not while a student."""
    return member_id != owner_id and profession is not None and profession is not Profession.STUDENT


def known_skill(code: str) -> bool:
    return code in skills()


def normalise_town(text: str) -> str:
    """A town as shown: composed characters, single spaces, at most 60 characters. Raises TownMalformed."""
    town = " ".join(unicodedata.normalize("NFC", text).split())
    letters = [character for character in town if unicodedata.category(character)[0] in "LM"]
    if not letters or len(town) > TOWN_MAX_CHARACTERS or set(town) - set(letters) - set(" .'’()-"):
        raise TownMalformed(text)
    plain = "".join(c for c in unicodedata.normalize("NFKD", town.casefold()) if not unicodedata.combining(c))
    words = [word.strip(".()") for word in plain.split()]
    street = [
        word for n, word in enumerate(words) if word in _STREET.split() and not (word == _SAINT and n < len(words) - 1)
    ]
    if street and len(words) > 1:
        raise TownMalformed(text)
    return town


def normalise_language(text: str) -> str:
    """A language tag in its usual case: `fr`, `en-CA`, `zh-Hant-TW` (BCP 47). Raises LanguageUnknown.

    Two-letter codes are those of ISO 639-1. Of three-letter codes, scripts and regions only the form is looked at.
    """
    found = _LANGUAGE.match(text.strip().lower())
    if not found or (len(found[1]) == 2 and found[1] not in _ISO_639_1.split()):
        raise LanguageUnknown(text)
    language, script, region = found.groups()
    return "-".join(part for part in (language, script and script.title(), region and region.upper()) if part)
