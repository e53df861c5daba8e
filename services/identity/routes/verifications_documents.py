"""Proofs: hand them in, see how the review goes, take them back."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from services.identity.domain.brakes import Brake
from services.identity.domain.documents import (
    MAX_DOCUMENTS,
    REASONS,
    AlreadyDecided,
    Application,
    ApplicationState,
    ApplicationUnknown,
    ClaimedByAnother,
    DocumentUnknown,
    EndImpossible,
    NotAllSeen,
    NotClaimed,
    OwnApplication,
    ProofKind,
    RefusalReason,
    ReviewRefused,
    TooManyDocuments,
    UnderReview,
    media_type_of,
)
from services.identity.routes.desk import too_many
from services.identity.routes.verifications import VerificationDesk
from services.identity.store.applications import Applications
from shared.auth import Guard, Principal
from shared.events import MemberStatus
from shared.web import Problem, ProblemKind, Text, max_body

log = logging.getLogger("identity")

MIB = 1024 * 1024
UPLOAD_S = 60.0

PROOF_TYPE_UNKNOWN = ProblemKind(
    "proof-type-unknown",
    415,
    Text(en="Not a type of file that is taken", fr="Type de fichier non accepté"),
    Text(
        en="A proof is a PDF, JPEG, PNG or HEIC file. Save or photograph it as one of these.",
        fr="Un justificatif est un fichier PDF, JPEG, PNG ou HEIC. Enregistrez-le ou photographiez-le ainsi.",
    ),
)
UPLOAD_STOPPED = ProblemKind(
    "upload-stopped",
    408,
    Text(en="The upload took too long", fr="L'envoi a pris trop de temps"),
    Text(
        en="The file did not come whole in time. Try again with a better connection or a smaller file.",
        fr="Le fichier n'est pas arrivé en entier à temps. Réessayez avec une meilleure connexion ou un fichier plus "
        "petit.",
    ),
)
VERIFIED_ALREADY = ProblemKind(
    "verified-already",
    409,
    Text(en="You are verified already", fr="Vous êtes déjà vérifié"),
    Text(
        en="Your verification does not end, so no proof is needed.",
        fr="Votre vérification n'a pas de terme : aucun justificatif n'est nécessaire.",
    ),
)


def _refusal(slug: str, status: int, title: tuple[str, str], detail: tuple[str, str]) -> ProblemKind:
    """A kind of problem; title and detail in English and French."""
    return ProblemKind(slug, status, Text(en=title[0], fr=title[1]), Text(en=detail[0], fr=detail[1]))


NO_APPLICATION = _refusal(
    "application-unknown",
    404,
    ("No such application", "Demande inconnue"),
    ("There is no application here, or none any more.", "Il n'y a pas, ou plus, de demande ici."),
)
DOCUMENT_UNKNOWN = _refusal(
    "document-unknown",
    404,
    ("No such document", "Document inconnu"),
    (
        "The application has no such document, or it has been erased.",
        "La demande ne contient pas ce document, ou il a été effacé.",
    ),
)
_REFUSED: dict[type[ReviewRefused], ProblemKind] = {
    ApplicationUnknown: NO_APPLICATION,
    DocumentUnknown: DOCUMENT_UNKNOWN,
    TooManyDocuments: _refusal(
        "too-many-documents",
        409,
        ("Enough documents", "Assez de documents"),
        (
            f"An application takes {MAX_DOCUMENTS} documents. Wait for the review, or take it back and begin again.",
            f"Une demande comporte au plus {MAX_DOCUMENTS} documents. Attendez l'examen, ou retirez-la et recommencez.",
        ),
    ),
    UnderReview: _refusal(
        "under-review",
        409,
        ("Under review just now", "Examen en cours"),
        (
            "A reviewer is looking at your documents now. Wait for the answer.",
            "Vos documents sont en cours d'examen. Attendez la réponse.",
        ),
    ),
    OwnApplication: _refusal(
        "own-application",
        403,
        ("Your own application", "Votre propre demande"),
        ("Nobody reviews their own application.", "Personne n'examine sa propre demande."),
    ),
    ClaimedByAnother: _refusal(
        "claimed-by-another",
        409,
        ("Another reviewer has it", "Un autre examinateur l'a prise"),
        ("Take the next one from the queue.", "Prenez la suivante dans la file."),
    ),
    NotClaimed: _refusal(
        "not-claimed",
        409,
        ("Take it first", "Prenez-la d'abord"),
        (
            "You do not have this application (any more): claim it, then go on.",
            "Vous n'avez pas, ou plus, cette demande\u00a0: prenez-la, puis continuez.",
        ),
    ),
    AlreadyDecided: _refusal(
        "application-ended",
        409,
        ("This application has ended", "Cette demande est close"),
        (
            "It was decided or taken back, and its documents are erased.",
            "Elle a été tranchée ou retirée, et ses documents sont effacés.",
        ),
    ),
    NotAllSeen: _refusal(
        "documents-not-seen",
        409,
        ("Not every document was opened", "Des documents n'ont pas été ouverts"),
        ("Open every document, then decide.", "Ouvrez chaque document, puis tranchez."),
    ),
    EndImpossible: _refusal(
        "end-impossible",
        422,
        ("This last day cannot be", "Cette date de fin est impossible"),
        (
            "The last day must lie ahead, by 18 months at most.",
            "La date de fin doit être à venir, dans 18 mois au plus.",
        ),
    ),
}


def told(refusal: ReviewRefused) -> Problem:
    """A refused act as a problem."""
    return _REFUSED[type(refusal)]()


class DocumentView(BaseModel):
    """A document that was handed in, without its contents."""

    document_id: str
    kind: ProofKind
    media_type: str
    size_bytes: int
    received_at: datetime


class ReasonSaid(BaseModel):
    """Why an application was refused."""

    code: RefusalReason
    fr: str
    en: str


class ApplicationView(BaseModel):
    """An application, as shown to the applicant."""

    application_id: str
    state: ApplicationState
    submitted_at: datetime
    documents: list[DocumentView]
    ahead: int | None = Field(description="How many wait since longer.")
    estimated_wait_hours: float | None = Field(
        description="The median wait of those decided lately; null where they are too few to tell."
    )
    decided_at: datetime | None
    reason: ReasonSaid | None
    erased_at: datetime | None = Field(description="When the documents were erased.")


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """How much is taken at once."""

    max_bytes: int = 10 * MIB
    at_once: int = 4


def document_routes(
    desk: VerificationDesk, applications: Applications, guard: Guard, limits: UploadLimits
) -> APIRouter:
    """The applicant's routes."""
    router = APIRouter(prefix="/verifications/documents", tags=["verification"])
    Caller = Annotated[Principal, Depends(guard.signed_in)]
    slots = asyncio.Semaphore(limits.at_once)

    @router.post(
        "",
        status_code=201,
        dependencies=[Depends(max_body(limits.max_bytes))],
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def hand_in(
        request: Request, kind: Annotated[ProofKind, Query(description="What the document is")], caller: Caller
    ) -> ApplicationView:
        """Hand in a proof; the body is the file's bytes: PDF, JPEG, PNG or HEIC, told by content.

        It is kept encrypted until the decision, shown to a reviewer, and then erased.
        """
        account = await desk.applicant(caller)
        known = await desk.verifications.of(account.member_id)
        if account.status is MemberStatus.VERIFIED and (known is None or known.valid_until is None):
            raise VERIFIED_ALREADY()
        wait_s = await desk.attempts.begin([Brake(f"documents:{account.member_id}", 30, 3600, 86_400)])
        if wait_s:
            raise too_many(wait_s)
        async with slots:  # each holds the file and its sealed form in memory
            data = await _read(request)
            media_type = media_type_of(data)
            if media_type is None:
                raise PROOF_TYPE_UNKNOWN()
            try:
                application = await applications.hand_in(account.member_id, kind, data, media_type)
            except ReviewRefused as refusal:
                raise told(refusal) from refusal
        about = {"member_id": account.member_id, "application_id": application.application_id}
        log.info("a proof was handed in", extra=about)
        return await _shown(applications, application)

    @router.get("")
    async def my_application(caller: Caller) -> ApplicationView:
        """My newest application: its state, and about how long it will take."""
        application = await applications.latest_of(caller.member_id)
        if application is None:
            raise NO_APPLICATION()
        return await _shown(applications, application)

    @router.delete("", status_code=204)
    async def take_back(caller: Caller) -> Response:
        """Take my application back; its documents are erased."""
        try:
            if await applications.withdraw(caller.member_id) is None:
                raise NO_APPLICATION()
        except ReviewRefused as refusal:
            raise told(refusal) from refusal
        return Response(status_code=204)

    return router


def documents_of(application: Application) -> list[DocumentView]:
    """The documents without their contents."""
    return [
        DocumentView(
            document_id=each.document_id,
            kind=each.kind,
            media_type=each.media_type,
            size_bytes=each.size_bytes,
            received_at=each.received_at,
        )
        for each in application.documents
    ]


async def _shown(applications: Applications, application: Application) -> ApplicationView:
    waiting = application.state is ApplicationState.WAITING
    usual = await applications.usual_wait() if waiting else None
    reason = application.reason
    return ApplicationView(
        application_id=application.application_id,
        state=application.state,
        submitted_at=application.submitted_at,
        documents=documents_of(application),
        ahead=await applications.ahead_of(application) if waiting else None,
        estimated_wait_hours=round(usual.total_seconds() / 3600, 1) if usual else None,
        decided_at=application.decided_at,
        reason=ReasonSaid(code=reason, fr=REASONS[reason]["fr"], en=REASONS[reason]["en"]) if reason else None,
        erased_at=application.erased_at,
    )


async def _read(request: Request) -> bytes:
    """The whole body, counted as it comes (the limit is the middleware's), within a time."""
    try:
        async with asyncio.timeout(UPLOAD_S):
            chunks = [chunk async for chunk in request.stream()]
    except TimeoutError as error:
        raise UPLOAD_STOPPED(headers={"Connection": "close"}) from error
    return b"".join(chunks)
