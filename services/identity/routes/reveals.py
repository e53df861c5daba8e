"""HTTP in: two privacy officers learn who is behind a pseudonym, and everybody later sees that they did."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from services.identity.domain.reveals import (
    REASON_MAX_CHARACTERS,
    REASON_MIN_CHARACTERS,
    NotOpen,
    NotYourRequest,
    Reveal,
    RevealState,
    RevealUnknown,
    SamePerson,
    ask,
)
from services.identity.store.reveals import Reveals
from shared.auth import Guard, Principal
from shared.chain import Flaw, Record
from shared.events import Role
from shared.web import Problem, ProblemKind, Text

REVEAL_UNKNOWN = ProblemKind(
    "reveal-unknown",
    404,
    Text(en="No such request", fr="Demande inconnue"),
    Text(
        en="There is no such request to learn a name. See GET /reveals.",
        fr="Il n'existe pas de telle demande de levée de pseudonyme. Voyez GET /reveals.",
    ),
)
MEMBER_UNKNOWN = ProblemKind(
    "member-unknown",
    404,
    Text(en="No such member", fr="Membre inconnu"),
    Text(en="There is no member with this id.", fr="Il n'y a pas de membre avec cet identifiant."),
)
SECOND_PERSON_NEEDED = ProblemKind(
    "second-person-needed",
    403,
    Text(en="Another person has to do this", fr="Une autre personne doit le faire"),
    Text(
        en="Who asks for a name cannot agree as well, and nobody decides about themselves.",
        fr="La personne qui demande un nom ne peut pas donner aussi l'accord, et nul ne décide pour soi-même.",
    ),
)
REVEAL_NOT_OPEN = ProblemKind(
    "reveal-not-open",
    409,
    Text(en="This request is closed", fr="Cette demande est close"),
    Text(
        en="The request is in the state '{state}'. A name can be read for 24 hours after a second officer has agreed.",
        fr="La demande est dans l'état «\u00a0{state}\u00a0». Un nom peut être lu pendant 24 heures après "
        "l'accord d'une seconde "
        "personne.",
    ),
)
NAME_NOT_HELD = ProblemKind(
    "name-not-held",
    404,
    Text(en="No name is held", fr="Aucun nom n'est détenu"),
    Text(
        en="Identity holds no verified civil name of this member.",
        fr="Aucun état civil vérifié n'est détenu pour ce membre.",
    ),
)

CivilNameOf = Callable[[str], Awaitable[tuple[str, str] | None]]
"""Opens a member's sealed civil name: family and given name; None where none is held."""
IsMember = Callable[[str], Awaitable[bool]]


class NewReveal(BaseModel):
    """`reason`: why the name must be known, in words that an inspector will read later."""

    model_config = ConfigDict(extra="forbid")

    member_id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    reason: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=REASON_MIN_CHARACTERS, max_length=REASON_MAX_CHARACTERS),
    ]


class RevealAnswer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    agreed: bool


class RevealView(BaseModel):
    """A request. The name itself is read at GET /reveals/{reveal_id}/name."""

    reveal_id: str
    member_id: str
    reason: str
    state: RevealState
    asked_by: str
    asked_at: datetime
    answered_by: str | None
    answered_at: datetime | None
    readable_until: datetime | None

    @classmethod
    def of(cls, reveal: Reveal, now: datetime) -> "RevealView":
        return cls(
            reveal_id=reveal.reveal_id,
            member_id=reveal.member_id,
            reason=reveal.reason,
            state=reveal.state(now),
            asked_by=reveal.asked_by,
            asked_at=reveal.asked_at,
            answered_by=reveal.answered_by,
            answered_at=reveal.answered_at,
            readable_until=reveal.readable_until(),
        )


class RevealList(BaseModel):
    items: list[RevealView]


class CivilName(BaseModel):
    family_name: str
    given_name: str


class RevealTrail(BaseModel):
    """Every record about a member, and what is wrong with the chain: nothing, where nobody tampered."""

    records: list[Record]
    flaws: list[Flaw]


def reveal_routes(reveals: Reveals, guard: Guard, civil_name_of: CivilNameOf, is_member: IsMember) -> APIRouter:
    """The privacy officers' routes."""
    router = APIRouter(tags=["reveals"])
    Officer = Annotated[Principal, Depends(guard.role(Role.PRIVACY_OFFICER))]
    # What leads to a name wants a proof of the last minutes, by both: a session left open on a desk opens none.
    JustOfficer = Annotated[Principal, Depends(guard.role(Role.PRIVACY_OFFICER, fresh=True))]

    @router.post("/reveals", status_code=201)
    async def ask_for_a_name(asked: NewReveal, officer: JustOfficer) -> RevealView:
        """Ask to learn a member's civil name. A second officer has to agree within a week."""
        if not await is_member(asked.member_id):
            raise MEMBER_UNKNOWN()
        now = _now()
        try:
            reveal = ask(str(uuid.uuid4()), asked.member_id, asked.reason, officer.member_id, now)
        except SamePerson as error:
            raise SECOND_PERSON_NEEDED() from error
        await reveals.add(reveal)
        return RevealView.of(reveal, now)

    @router.get("/reveals")
    async def list_reveals(officer: Officer) -> RevealList:
        """The latest requests, newest first."""
        now = _now()
        return RevealList(items=[RevealView.of(one, now) for one in await reveals.newest()])

    @router.put("/reveals/{reveal_id}/answer")
    async def answer(reveal_id: str, given: RevealAnswer, officer: JustOfficer) -> RevealView:
        """Agree or refuse, as the second officer. After an agreement the two may read the name for 24 hours."""
        now = _now()
        try:
            moved = await reveals.answer(reveal_id, lambda one: one.answer(officer.member_id, given.agreed, now))
        except (RevealUnknown, SamePerson, NotOpen) as error:
            raise _problem(error) from error
        return RevealView.of(moved, now)

    @router.get("/reveals/{reveal_id}/name")
    async def read_name(reveal_id: str, officer: JustOfficer, response: Response) -> CivilName:
        """The civil name. The reading is recorded before the name is opened."""
        now = _now()
        try:
            reveal = await reveals.read(
                reveal_id, officer.member_id, lambda one: one.check_readable(officer.member_id, now), now
            )
        except (RevealUnknown, NotYourRequest, NotOpen) as error:
            raise _problem(error) from error
        name = await civil_name_of(reveal.member_id)
        if name is None:
            raise NAME_NOT_HELD()
        response.headers["cache-control"] = "no-store"
        return CivilName(family_name=name[0], given_name=name[1])

    @router.get("/members/{member_id}/reveals")
    async def trail_of(member_id: str, officer: Officer) -> RevealTrail:
        """Who asked for this member's name, who agreed, who read it: every record, in order."""
        records, flaws = await reveals.trail(member_id)
        return RevealTrail(records=records, flaws=flaws)

    return router


def _problem(error: Exception) -> Problem:
    if isinstance(error, NotOpen):
        return REVEAL_NOT_OPEN(state=error.state.value)
    if isinstance(error, (SamePerson, NotYourRequest)):
        return SECOND_PERSON_NEEDED()
    return REVEAL_UNKNOWN()


def _now() -> datetime:
    # MongoDB keeps milliseconds: what is read back equals what was written.
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
