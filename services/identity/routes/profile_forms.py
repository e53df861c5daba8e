"""What a member may write into their profile, as JSON. Texts are stripped; unknown fields are refused."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.identity.domain.profile import (
    MAX_DIPLOMAS,
    MAX_LANGUAGES,
    MAX_POSTS,
    MAX_SKILLS,
    MAX_SPECIALTIES,
    TOWN_MAX_CHARACTERS,
    Diploma,
    DiplomaKind,
    LanguageUnknown,
    OwnSkill,
    Part,
    Place,
    Post,
    Profile,
    TownMalformed,
    Visibility,
    known_skill,
    normalise_language,
    normalise_town,
)
from shared.events import Specialty
from shared.web import Text, field_error

_NOT_A_TOWN = Text(
    en="Give a town only, without street, number or building.",
    fr="Indiquez seulement une ville, sans rue, numéro ni bâtiment.",
)
_NOT_A_LANGUAGE = Text(
    en="This is no language tag such as fr, en-CA or zh-Hant.",
    fr="Ceci n'est pas un code de langue comme fr, en-CA ou zh-Hant.",
)
_NOT_A_SKILL = Text(
    en="This skill is not in the list of GET /skills.", fr="Cette compétence n'est pas dans la liste de GET /skills."
)
_TWICE = Text(en="Name each skill only once.", fr="Ne nommez chaque compétence qu'une fois.")
_ENDS_BEFORE = Text(en="A post ends after it begins.", fr="Un poste se termine après avoir commencé.")


def _town(text: str) -> str:
    try:
        return normalise_town(text)
    except TownMalformed as error:
        raise field_error("town_malformed", _NOT_A_TOWN) from error


def _language(text: str) -> str:
    try:
        return normalise_language(text)
    except LanguageUnknown as error:
        raise field_error("language_unknown", _NOT_A_LANGUAGE) from error


def _skill(code: str) -> str:
    if not known_skill(code):
        raise field_error("skill_unknown", _NOT_A_SKILL)
    return code


Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")
]
Reach = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]*$")
]
Month = Annotated[str, StringConstraints(pattern=r"^(19|20)\d\d(-(0[1-9]|1[0-2]))?$")]
SkillCode = Annotated[str, Field(max_length=64), AfterValidator(_skill)]


class Given(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GivenPlace(Given):
    """No finer than a town."""

    town: Annotated[str, Field(max_length=TOWN_MAX_CHARACTERS), AfterValidator(_town)]
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = Field(
        default=None, description="ISO 3166-1 alpha-2"
    )


class GivenDiploma(Given):
    kind: DiplomaKind
    title: Line
    year: Annotated[int, Field(ge=1930, le=2100)]
    institution: Line | None = None


class GivenPost(Given):
    """`begins` and `ends`: a year or a month, `2019` or `2019-09`. Without `ends` it is held today."""

    title: Line
    begins: Month
    ends: Month | None = None
    institution: Line | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "GivenPost":
        # The year alone stands for all its months.
        length = min(len(self.begins), len(self.ends or self.begins))
        if self.ends is not None and self.ends[:length] < self.begins[:length]:
            raise field_error("ends_before_it_begins", _ENDS_BEFORE)
        return self


class GivenSkill(Given):
    """`referrals`: whether colleagues may send you patients for it."""

    code: SkillCode
    referrals: bool = False


class NewProfile(Given):
    """The whole profile: what is left out is gone. A part that `visibility` leaves out is seen by nobody.

    `reach` says how colleagues reach you about a referral; it is no place for anything of a patient. `visibility.name`
    shows your civil name, once it was verified; the pseudonym stays.
    """

    specialties: Annotated[list[Specialty], Field(max_length=MAX_SPECIALTIES)] = []
    skills: Annotated[list[GivenSkill], Field(max_length=MAX_SKILLS)] = []
    languages: Annotated[
        list[Annotated[str, Field(max_length=20), AfterValidator(_language)]], Field(max_length=MAX_LANGUAGES)
    ] = []
    place: GivenPlace | None = None
    faculty: Line | None = None
    residency: Line | None = None
    diplomas: Annotated[list[GivenDiploma], Field(max_length=MAX_DIPLOMAS)] = []
    posts: Annotated[list[GivenPost], Field(max_length=MAX_POSTS)] = []
    reach: Reach | None = None
    visibility: dict[Part, Visibility] = {}

    @model_validator(mode="after")
    def _once_each(self) -> "NewProfile":
        if len({skill.code for skill in self.skills}) < len(self.skills):
            raise field_error("skill_twice", _TWICE)
        return self

    def profile(self, member_id: str, name: str | None, now: datetime) -> Profile:
        """What is kept of it; `name`: the verified civil name."""
        shows_name = self.visibility.get(Part.NAME) is Visibility.MEMBERS
        return Profile(
            member_id=member_id,
            specialties=tuple(dict.fromkeys(self.specialties)),
            skills=tuple(OwnSkill(skill.code, skill.referrals) for skill in self.skills),
            languages=tuple(dict.fromkeys(self.languages)),
            place=Place(self.place.town, self.place.country) if self.place else None,
            faculty=self.faculty,
            residency=self.residency,
            diplomas=tuple(Diploma(**one.model_dump()) for one in self.diplomas),
            posts=tuple(Post(**one.model_dump()) for one in self.posts),
            reach=self.reach,
            visibility=dict(self.visibility),
            shown_name=name if shows_name else None,
            updated_at=now,
        )
