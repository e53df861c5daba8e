"""HTTP in: finding colleagues by name, place, specialty and skill."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from services.identity.domain.directory import BadCursor, Wanted, cursor_after, read_cursor
from services.identity.routes.profile import People, PlaceShown
from services.identity.store.directory import Directory
from shared.auth import Guard, Principal
from shared.events import Profession, Specialty
from shared.web import ProblemKind, Text

MAX_PAGE = 50

CURSOR_INVALID = ProblemKind(
    "cursor-invalid",
    400,
    Text(en="This cursor is not valid", fr="Ce curseur n'est pas valable"),
    Text(
        en="Send the next_cursor of an earlier page as it was, or leave the cursor out to start from the beginning.",
        fr="Envoyez tel quel le next_cursor d'une page précédente, ou omettez le curseur pour repartir du début.",
    ),
)
NOTHING_ASKED = ProblemKind(
    "nothing-asked",
    400,
    Text(en="Say whom you look for", fr="Dites qui vous cherchez"),
    Text(
        en="The directory is searched, not read from end to end: give words of two letters or more, or a specialty, "
        "skill, town, language or profession.",
        fr="L'annuaire se consulte par recherche, non d'un bout à l'autre\u00a0: donnez des mots d'au moins "
        "deux lettres, "
        "ou une spécialité, une compétence, une ville, une langue ou une profession.",
    ),
)


class SkillInCard(BaseModel):
    """`confirmations`: how many peers say so too. `referrals`: patients may be sent for it."""

    code: str
    confirmations: int
    referrals: bool


class MemberCard(BaseModel):
    """A member in the directory: the badge, and what they show to every member. See GET /members/{member_id}."""

    member_id: str
    pseudonym: str
    name: str | None = None
    profession: Profession | None
    specialty: Specialty | None
    country: str | None
    registry: str | None
    verified_at: datetime | None
    checked_at: datetime | None
    specialties: list[Specialty] = []
    skills: list[SkillInCard] = []
    languages: list[str] = []
    place: PlaceShown | None = None

    @classmethod
    def of(cls, found: dict[str, Any]) -> "MemberCard":
        return cls(member_id=found["_id"], **found["card"])


class Found(BaseModel):
    """`next_cursor` null: nobody else is found. A page may have fewer members than asked for, even none, and still
    lead on: one page looks at no more than 2,000 members."""

    items: list[MemberCard]
    next_cursor: str | None


def directory_routes(people: People, directory: Directory, guard: Guard) -> APIRouter:
    """The directory's route."""
    router = APIRouter(tags=["directory"])

    @router.get("/directory")
    async def search(
        response: Response,
        me: Annotated[Principal, Depends(guard.verified)],
        q: Annotated[str, Query(max_length=200, description="Beginnings of words; accents and case do not count")] = "",
        specialty: Specialty | None = None,
        skill: Annotated[str | None, Query(max_length=64)] = None,
        town: Annotated[str | None, Query(max_length=60, description="The whole name of a town")] = None,
        language: Annotated[str | None, Query(max_length=20, description="BCP 47; only the language counts")] = None,
        profession: Profession | None = None,
        accepts_referrals: Annotated[bool, Query(description="For the skill given, else for any")] = False,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
        cursor: Annotated[str | None, Query(max_length=20)] = None,
    ) -> Found:
        """Verified members who show something to every member, and who have all that is asked for.

        Each word of `q` is the beginning of a word of the pseudonym, the name (where shown), the town, the faculty, or
        a name of the profession, a specialty or a skill, in French or English. Who has more skills confirmed by peers
        comes first; equals come in an order that nobody chose.
        """
        response.headers["cache-control"] = "private, no-store"
        wanted = Wanted(q, profession, specialty, skill, town, language, accepts_referrals)
        needs = wanted.needs()
        if not needs:
            raise NOTHING_ASKED()
        try:
            after = read_cursor(cursor) if cursor is not None else None
        except BadCursor as error:
            raise CURSOR_INVALID() from error
        hidden = await people.contacts.hidden_from(me.member_id)
        page = await directory.search(needs, hidden, limit, after)
        return Found(
            items=[MemberCard.of(found) for found in page.items],
            next_cursor=cursor_after(page.after) if page.after is not None else None,
        )

    return router
