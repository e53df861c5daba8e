"""The credential reviewers' routes: take an application, look at its documents, decide."""

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.identity.domain.account import Account, AccountUnknown, MoveRefused
from services.identity.domain.documents import (
    REASONS,
    SUFFIXES,
    Application,
    ApplicationState,
    RefusalReason,
    ReviewRefused,
    check_end,
)
from services.identity.domain.pseudonyms import PseudonymTellsName
from services.identity.domain.verification import CivilName, Method, Verification, end_of_school_year
from services.identity.registries.matching import VERIFICATIONS
from services.identity.routes.verifications import Name, VerificationDesk
from services.identity.routes.verifications_documents import DOCUMENT_UNKNOWN, DocumentView, documents_of, told
from services.identity.store.applications import Applications
from shared.auth import Guard, Principal
from shared.blobs import BlobMissing
from shared.events import MemberStatus, Profession, Role, Specialty
from shared.web import ProblemKind, Text

log = logging.getLogger("identity")

APPLICANT_GONE = ProblemKind(
    "applicant-not-open",
    409,
    Text(en="This account cannot be verified", fr="Ce compte ne peut pas être vérifié"),
    Text(
        en="The applicant is suspended or has left. Refuse the application, or leave it.",
        fr="Le demandeur est suspendu ou parti. Refusez la demande, ou laissez-la.",
    ),
)

APPLICANT_PSEUDONYM = ProblemKind(
    "applicant-pseudonym",
    409,
    Text(en="The applicant's pseudonym tells their name", fr="Le pseudonyme du demandeur révèle son nom"),
    Text(
        en="Nobody is verified under a pseudonym that contains their name. The applicant has been asked to choose "
        "another one; give the application back, and accept it when that is done.",
        fr="Personne n'est vérifié sous un pseudonyme qui contient son nom. Le demandeur a été prié d'en choisir un "
        "autre\u00a0; rendez la demande, et acceptez-la quand ce sera fait.",
    ),
)


class WaitingView(BaseModel):
    """An application in the queue."""

    application_id: str
    submitted_at: datetime
    waiting_hours: float
    profession: Profession | None = Field(description="What the applicant says to be.")
    country: str | None
    documents: int
    mine: bool = Field(description="Claimed by you.")


class QueueView(BaseModel):
    """What you may claim, oldest first."""

    items: list[WaitingView]


class ReviewView(BaseModel):
    """An application, as shown to a reviewer."""

    application_id: str
    member_id: str
    pseudonym: str
    profession: Profession | None
    specialty: Specialty | None
    country: str | None
    state: ApplicationState
    submitted_at: datetime
    claimed_by_me: bool
    claimed_until: datetime | None
    documents: list[DocumentView]
    seen: list[str]
    returning: bool = Field(
        description="The applicant gave a number with which somebody left while suspended for what they did. Speak to "
        "the administrators before you accept."
    )


class Acceptance(BaseModel):
    """The proofs convince. What they say replaces what the applicant said."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    outcome: Literal["accepted"]
    profession: Profession
    specialty: Specialty | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
    family_name: Name
    given_name: Name
    valid_until: date | None = Field(
        default=None, description="The last day. A student's ends with the school year where none is given."
    )


class Refusal(BaseModel):
    """The proofs do not convince; the applicant reads the reason in their language."""

    model_config = ConfigDict(extra="forbid")

    outcome: Literal["refused"]
    reason: RefusalReason


Decision = Annotated[Acceptance | Refusal, Field(discriminator="outcome")]


class DecisionView(BaseModel):
    """How an application ended."""

    application_id: str
    state: ApplicationState
    decided_at: datetime | None
    erased_at: datetime | None


class TrailView(BaseModel):
    """Who did what with an application. `flaws` names places where the trail was altered."""

    records: list[dict[str, object]]
    flaws: list[dict[str, object]]


def review_routes(
    desk: VerificationDesk,
    applications: Applications,
    guard: Guard,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> APIRouter:
    """The reviewers' routes."""
    router = APIRouter(prefix="/verifications/applications", tags=["credential review"])
    Reviewer = Annotated[Principal, Depends(guard.role(Role.CREDENTIAL_REVIEWER))]

    async def view(application: Application, reviewer_id: str) -> ReviewView:
        account = await _applicant(desk, application)
        mine = application.held_by(now()) == reviewer_id
        return ReviewView(
            application_id=application.application_id,
            member_id=account.member_id,
            pseudonym=account.pseudonym,
            profession=account.profession,
            specialty=account.specialty,
            country=account.country,
            state=application.state,
            submitted_at=application.submitted_at,
            claimed_by_me=mine,
            claimed_until=application.claimed_until if mine else None,
            documents=documents_of(application),
            seen=sorted(application.seen) if mine else [],
            returning=await desk.verifications.is_returning(account.member_id),
        )

    @router.get("")
    async def queue(reviewer: Reviewer, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> QueueView:
        """What I may claim, oldest first; never my own, nor what another reviewer has."""
        at, items = now(), []
        for one in await applications.queue(reviewer.member_id, limit):
            account = await desk.accounts.by_id(one.member_id)
            items.append(
                WaitingView(
                    application_id=one.application_id,
                    submitted_at=one.submitted_at,
                    waiting_hours=round((at - one.submitted_at).total_seconds() / 3600, 1),
                    profession=account.profession if account else None,
                    country=account.country if account else None,
                    documents=len(one.documents),
                    mine=one.held_by(at) == reviewer.member_id,
                )
            )
        return QueueView(items=items)

    @router.post("/{application_id}/claim")
    async def claim(application_id: str, reviewer: Reviewer) -> ReviewView:
        """Take an application for a quarter of an hour from my last act on it."""
        me = reviewer.member_id
        try:
            taken = await applications.change(application_id, "claimed", me, lambda one, at: one.claim(me, at))
        except ReviewRefused as refusal:
            raise told(refusal) from refusal
        return await view(taken, me)

    @router.delete("/{application_id}/claim", status_code=204)
    async def release(application_id: str, reviewer: Reviewer) -> Response:
        """Give it back undecided."""
        me = reviewer.member_id
        try:
            await applications.change(application_id, "released", me, lambda one, at: one.release(me, at))
        except ReviewRefused as refusal:
            raise told(refusal) from refusal
        return Response(status_code=204)

    @router.get(
        "/{application_id}/documents/{document_id}",
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {}}, "description": "The document, as an attachment"}},
    )
    async def look(application_id: str, document_id: str, reviewer: Reviewer) -> Response:
        """A document of an application that I have claimed. Noted before a byte leaves."""
        me = reviewer.member_id
        try:
            seen = await applications.change(
                application_id, "viewed", me, lambda one, at: one.view(me, document_id, at), {"document": document_id}
            )
            data, media_type = await applications.open(seen, document_id)
        except ReviewRefused as refusal:
            raise told(refusal) from refusal
        except BlobMissing as error:
            raise DOCUMENT_UNKNOWN() from error
        # What a stranger sent: never run, never shown inside our pages, never kept by a cache.
        headers = {
            "Content-Disposition": f'attachment; filename="proof.{SUFFIXES[media_type]}"',
            "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        return Response(data, media_type=media_type, headers=headers)

    @router.put("/{application_id}/decision")
    async def decide(application_id: str, given: Annotated[Decision, Body()], reviewer: Reviewer) -> DecisionView:
        """Accept or refuse, having opened every document. The documents are erased by it."""
        me = reviewer.member_id
        try:
            if isinstance(given, Refusal):
                application = await applications.get(application_id)
                account = await _applicant(desk, application)
                said = REASONS[given.reason][account.language]
                await applications.refuse(application_id, me, given.reason, said)
            else:
                await accept(application_id, given, me)
        except ReviewRefused as refusal:
            raise told(refusal) from refusal
        except (MoveRefused, AccountUnknown) as error:
            raise APPLICANT_GONE() from error
        except PseudonymTellsName as error:
            VERIFICATIONS.labels(Method.DOCUMENTS.value, type(error).__name__).inc()
            raise APPLICANT_PSEUDONYM() from error
        VERIFICATIONS.labels(Method.DOCUMENTS.value, given.outcome).inc()
        log.info("an application was decided", extra={"application_id": application_id, "outcome": given.outcome})
        ended = await applications.get(application_id)
        return DecisionView(
            application_id=application_id,
            state=ended.state,
            decided_at=ended.decided_at,
            erased_at=ended.erased_at,
        )

    async def accept(application_id: str, given: Acceptance, reviewer_id: str) -> None:
        at = now()
        application = await applications.get(application_id)
        ends = given.valid_until
        if ends is not None:
            check_end(ends, at.date())
        elif given.profession is Profession.STUDENT:
            ends = end_of_school_year(at.date())
        verification = Verification(
            member_id=application.member_id,
            method=Method.DOCUMENTS,
            professions=(given.profession,),
            confirmed_at=at,
            checked_at=at,
            valid_until=ends,
        )

        def confirmed(account: Account) -> Account:
            return account.confirm(
                at, None, profession=given.profession, specialty=given.specialty, country=given.country
            )

        name = CivilName(given.family_name, given.given_name)
        await applications.accept(application_id, reviewer_id, verification, name, confirmed)

    @router.get("/{application_id}/trail")
    async def trail(application_id: str, reviewer: Reviewer) -> TrailView:
        """Who handed in, claimed, opened, decided and erased: every record, in order."""
        records, flaws = await applications.trail_of(application_id)
        return TrailView(records=records, flaws=[flaw.model_dump() for flaw in flaws])

    return router


async def _applicant(desk: VerificationDesk, application: Application) -> Account:
    account = await desk.accounts.by_id(application.member_id)
    if account is None or account.status is MemberStatus.LEFT:
        raise APPLICANT_GONE()
    return account
