"""HTTP in: taking along everything that is held about oneself, and leaving."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from services.identity.domain.account import AccountUnknown
from services.identity.domain.contacts import Standing
from services.identity.domain.leaving import Departure, NotLeaving
from services.identity.routes.profile import People
from services.identity.store.leaving import Departures
from services.identity.store.verifications import Verifications
from shared.archive import zipped
from shared.auth import Guard, Principal
from shared.auth_problems import TOKEN_REFUSED
from shared.events import Contributions
from shared.web import ProblemKind, Text

NOT_LEAVING = ProblemKind(
    "not-leaving",
    409,
    Text(en="You are not about to leave", fr="Aucun départ n'est en cours"),
    Text(
        en="There is no wish to leave that could be taken back.",
        fr="Il n'y a pas de demande de départ à laquelle renoncer.",
    ),
)

FilesOf = Callable[[str], AsyncIterator[tuple[str, bytes]]]
"""The files that identity keeps of a member, as name and content."""

ABOUT = """\
Consilium: what the service identity holds about one member.

In this archive: account, profile, confirmations of skills, contacts, blocked members, sessions, second factors (without
their secrets), how the profession was verified, the proofs that still wait for a decision, and which letters wait or go
out once only. Of other people there are only the ids of those you are in contact with, have confirmed or have blocked.

Not in it: your password, of which only a hash is kept. Your cases, consents and comments are in the archive of the
service ingest (GET /api/ingest/me/export). The services feed and moderation keep copies of what these two say of you,
and nothing else about you; moderators' decisions are kept as the law asks for.

--

Consilium : ce que le service identity détient au sujet d'un membre.

Dans cette archive : compte, profil, confirmations de compétences, contacts, membres bloqués, sessions, seconds facteurs
(sans leurs secrets), vérification de la profession, justificatifs encore en attente d'une décision, et courriers en
attente ou envoyés une seule fois. Des autres personnes ne figurent que les identifiants de celles avec qui vous êtes en
contact, dont vous avez confirmé une compétence ou que vous avez bloquées.

N'y figure pas : votre mot de passe, dont seule une empreinte est conservée. Vos cas, consentements et commentaires sont
dans l'archive du service ingest (GET /api/ingest/me/export). Les services feed et moderation conservent des copies de
ce que ces deux services disent de vous, et rien d'autre à votre sujet ; les décisions des modérateurs sont conservées
comme la loi le demande.
"""


class Leaving(BaseModel):
    """`contributions`: whether what you wrote stays under "former member" (`kept`) or goes (`erased`)."""

    model_config = ConfigDict(extra="forbid")

    contributions: Contributions


class LeavingView(BaseModel):
    """`leaves_at`: when the account is erased for good, unless you take it back before."""

    asked_at: datetime
    leaves_at: datetime
    contributions: Contributions

    @classmethod
    def of(cls, departure: Departure) -> "LeavingView":
        return cls(asked_at=departure.asked_at, leaves_at=departure.due_at, contributions=departure.contributions)


@dataclass(frozen=True, slots=True)
class Doorway:
    """What these routes work with."""

    people: People
    departures: Departures
    verifications: Verifications
    files_of: FilesOf | None = None


def leaving_routes(doorway: Doorway, guard: Guard) -> APIRouter:
    """The routes of export and leaving. They want a sign-in that is no older than a few minutes."""
    router = APIRouter(tags=["leaving"])
    JustMe = Annotated[Principal, Depends(guard.just_signed_in)]

    @router.get(
        "/me/export",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/zip": {}}, "description": "A ZIP file, sent while it is made"}},
    )
    async def export(me: JustMe) -> StreamingResponse:
        """Everything that identity holds about you, as a ZIP file of JSON and files."""
        if await doorway.people.accounts.by_id(me.member_id) is None:
            raise TOKEN_REFUSED()
        name = f"consilium-identity-{date.today().isoformat()}.zip"
        headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "private, no-store"}
        return StreamingResponse(zipped(_files(doorway, me.member_id)), media_type="application/zip", headers=headers)

    @router.post("/me/deletion", status_code=202)
    async def leave(asked: Leaving, me: JustMe) -> LeavingView:
        """Ask for your account to be erased. Until `leaves_at` you can take it back; other members do not see you."""
        try:
            return LeavingView.of(await doorway.departures.ask(me.member_id, asked.contributions))
        except AccountUnknown as error:
            raise TOKEN_REFUSED() from error

    @router.delete("/me/deletion", status_code=204)
    async def stay(me: Annotated[Principal, Depends(guard.signed_in)]) -> Response:
        """Take the wish to leave back."""
        try:
            await doorway.departures.take_back(me.member_id)
        except NotLeaving as error:
            raise NOT_LEAVING() from error
        except AccountUnknown as error:
            raise TOKEN_REFUSED() from error
        return Response(status_code=204)

    return router


async def _files(doorway: Doorway, member_id: str) -> AsyncIterator[tuple[str, bytes]]:
    people = doorway.people
    yield "README.txt", ABOUT.encode()
    async for name, documents in doorway.departures.held(member_id):
        found: Any = documents
        if name == "verifications" and documents:
            number = await doorway.verifications.number_of(member_id)
            verified_as = await doorway.verifications.civil_name_of(member_id)
            opened = {
                "number": number.value if number else None,
                "civil_name": verified_as.in_one_line if verified_as else None,
                "other_family_names": verified_as.on_record if verified_as else (),
            }
            found = documents[0] | opened
        elif name in ("accounts", "profiles", "factors", "blocks"):
            found = documents[0] if documents else None
        yield f"{name}.json", await asyncio.to_thread(_json, found)
    contacts = [
        {"member_id": tie.other(member_id), "standing": standing.value, "since": tie.since(member_id)}
        for standing in Standing
        for tie in await people.contacts.ties(member_id, standing)
    ]
    yield "contacts.json", _json(contacts)
    if doorway.files_of is not None:
        async for name, data in doorway.files_of(member_id):
            yield f"documents/{name}", data


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2, default=_plain) + "\n").encode()


def _plain(value: object) -> str:
    assert isinstance(value, datetime), f"{type(value)} has no form in JSON"
    return value.astimezone(UTC).isoformat()
