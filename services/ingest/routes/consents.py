"""Asking for consents: the author records that the patient was informed, makes a request, and hands out its links.

A link is told once and stored as a hash, so the routes that make one take no Idempotency-Key: a repeat makes a new
link, and the one before it is void.
"""

import asyncio
import secrets
import uuid
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from services.ingest import consent_texts
from services.ingest.domain.case import Case
from services.ingest.domain.consent import Information, Means, Purpose, Signature
from services.ingest.domain.consent_request import ConsentRequest, RequestState
from services.ingest.domain.signers import Capacity
from services.ingest.domain.withdrawal_code import DATA_BYTES, code_from, hash_of
from services.ingest.pages.offer import Responsible
from services.ingest.pages.pdf import Part, form_pdf, leaflet_pdf
from services.ingest.routes.bodies import whole_body
from services.ingest.routes.caller import Member, Open, Resources, now, resources, respond
from services.ingest.routes.consent_problems import NOT_CONFIGURED
from services.ingest.routes.consent_views import (
    ConsentRequestView,
    LinkView,
    NewConsentRequest,
    NewInformation,
)
from services.ingest.routes.links import NewLink, link_view, new_link, withdrawal_url
from services.ingest.routes.proofs import paper_record
from services.ingest.routes.renditions import painted_for
from services.ingest.routes.sheets import sheet_of
from services.ingest.routes.views import CaseView
from services.ingest.store import Answer, Proof
from services.ingest.store.consents import canonical
from shared.events import Audience, Language
from shared.web import max_body

router = APIRouter(tags=["consent"])
"""Routes under a case are its author's; the leaflet is open to everyone."""


def responsible(open_: Resources) -> Responsible:
    """Who answers for the data. Raises the problem `consent-not-configured`."""
    if not open_.settings.controller or not open_.settings.data_officer:
        raise NOT_CONFIGURED()
    return Responsible(open_.settings.controller, open_.settings.data_officer)


_IS_PDF: dict[int | str, dict[str, Any]] = {200: {"content": {"application/pdf": {}}, "description": "A PDF"}}


async def _paper_limit(request: Request) -> None:
    await max_body(resources(request).settings.max_paper_bytes)(request)


# Open to everyone, and the same for all: made once.
_leaflet = lru_cache(maxsize=8)(leaflet_pdf)


@router.get("/consent-leaflets/{language}", response_class=Response, responses=_IS_PDF)
async def leaflet(language: Language, open_: Open) -> Response:
    """The information leaflet for patients, to print and hand over (PDF): the current text, without a signature."""
    data = await asyncio.to_thread(_leaflet, consent_texts.current(), language, responsible(open_))
    return pdf_of(data, f"consilium-{language}.pdf")


@router.put("/cases/{case_id}/information", response_model=CaseView)
async def record_information(case_id: str, new: NewInformation, member: Member, open_: Open) -> Response:
    """Record that you informed the patient: an act of its own, which comes before any signature."""
    at = now()
    information = Information(**new.model_dump(), informed_by=member.member_id, recorded_at=at)

    def act(case: Case) -> None:
        case.inform(at, information)

    def show(case: Case) -> Answer:
        return Answer(200, CaseView.of(case, at).model_dump(mode="json"))

    return respond(await open_.store.change(member.member_id, case_id, None, act, show))


@router.post("/cases/{case_id}/consent-requests", status_code=201)
async def request_consent(case_id: str, new: NewConsentRequest, member: Member, open_: Open) -> ConsentRequestView:
    """Ask for the consent to the pictures as they are painted now: one link for each signer, told here only.

    Give each link to its signer, or show it on your own device. A repeat of this request makes a new one in its place.
    """
    responsible(open_)
    at = now()
    version = consent_texts.current()
    texts = {one.language: one.sha256 for one in consent_texts.published() if one.version == version}
    links: dict[str, NewLink] = {}
    signer_ids = {capacity: str(uuid.uuid4()) for capacity in Capacity}

    def act(case: Case) -> None:
        links.clear()  # it may run again
        request = ConsentRequest(
            request_id=str(uuid.uuid4()),
            created_at=at,
            language=new.language,
            text_version=version,
            texts=texts,
            patient_code=new.patient_code,
            subject=new.subject,
            legal_ground=new.legal_ground,
            relation=new.relation,
            own_view=new.own_view.kept() if new.own_view else None,
            purposes=tuple(one for one in Purpose if one in new.purposes),
            audience=new.audience,
            specialty=case.specialty if new.audience is Audience.SPECIALTY else None,
            duration_years=new.duration_years,
            contact=new.contact,
            information=case.told(),
        )
        made = case.request_consent(request, signer_ids, consent_texts.hashes(), at, replace=new.replace)
        for slot in made.signers:
            link = new_link()
            made.give_link(slot.signer_id, link.hash, at)
            links[slot.signer_id] = link

    def show(case: Case) -> Answer:
        assert case.consent_request is not None
        shown = {
            slot.signer_id: link_view(links[slot.signer_id], open_.settings.public_url, new.language, slot)
            for slot in case.consent_request.signers
        }
        return Answer(201, ConsentRequestView.of(case.consent_request, case, shown))

    view = (await open_.store.change(member.member_id, case_id, None, act, show)).body
    assert isinstance(view, ConsentRequestView)
    return view


@router.post("/cases/{case_id}/consent-requests/{request_id}/signers/{signer_id}/link", status_code=201)
async def renew_link(case_id: str, request_id: str, signer_id: str, member: Member, open_: Open) -> LinkView:
    """A new link for a signer, for 14 days. The link before it is void."""
    at = now()
    link = new_link()

    def act(case: Case) -> None:
        case.give_link(request_id, signer_id, link.hash, at)

    def show(case: Case) -> Answer:
        request = case.request_of(request_id)
        return Answer(201, link_view(link, open_.settings.public_url, request.language, request.slot(signer_id)))

    view = (await open_.store.change(member.member_id, case_id, None, act, show)).body
    assert isinstance(view, LinkView)
    return view


@router.delete("/cases/{case_id}/consent-requests/{request_id}", response_model=CaseView)
async def cancel_request(case_id: str, request_id: str, member: Member, open_: Open) -> Response:
    """Take back an open request: its links are void, and signatures that it has are thrown away."""
    at = now()

    def act(case: Case) -> None:
        case.close_request(request_id, RequestState.CANCELLED, at)

    def show(case: Case) -> Answer:
        return Answer(200, CaseView.of(case, at).model_dump(mode="json"))

    return respond(await open_.store.change(member.member_id, case_id, None, act, show))


@router.post(
    "/cases/{case_id}/consent-requests/{request_id}/form",
    response_class=Response,
    responses=_IS_PDF,
)
async def print_form(
    case_id: str, request_id: str, member: Member, open_: Open, language: Language | None = None
) -> Response:
    """The form to be signed on paper (PDF), with a withdrawal code for each who has not signed; each form has new ones.

    The last part, with the codes, is cut off and stays with the signers.
    """
    who = responsible(open_)
    at = now()
    before = (await open_.store.case_of(member.member_id, case_id)).request_of(request_id)
    codes = [
        (slot.capacity, code_from(secrets.token_bytes(DATA_BYTES))) for slot in before.signers if not slot.signature
    ]
    hashes = [hashed for _, code in codes if (hashed := hash_of(code)) is not None]
    case = await open_.consents.print_form(member.member_id, case_id, request_id, hashes, at)
    request = case.request_of(request_id)
    pictures = await painted_for(open_.blobs, case)
    part = Part(codes, withdrawal_url(open_.settings.public_url))
    data = await asyncio.to_thread(
        form_pdf, request, language or request.language, who, at.date(), [one.data for one in pictures], part
    )
    return pdf_of(data, "consent-form.pdf")


@router.put(
    "/cases/{case_id}/consent-requests/{request_id}/paper",
    response_model=CaseView,
    dependencies=[Depends(_paper_limit)],
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                one: {"schema": {"type": "string", "format": "binary"}}
                for one in ("application/pdf", "image/jpeg", "image/png")
            },
        }
    },
)
async def keep_paper(
    request: Request,
    case_id: str,
    request_id: str,
    signed_on: Annotated[date, Query(description="The date beside the signature")],
    language: Annotated[Language, Query(description="The language of the form that was signed")],
    purpose: Annotated[list[Purpose], Query(description="Each box that is ticked")],
    member: Member,
    open_: Open,
    signer: Annotated[list[str] | None, Query(description="Whose signature it is; if left out, all missing")] = None,
) -> Response:
    """Keep the photographed or scanned form as the signature; the body is the file: JPEG, PNG or PDF.

    Of a JPEG or PNG the picture alone is kept, not a bit of it changed: place, time and device are left behind; a PDF
    is kept as it is. It is sealed, and nobody but a privacy officer can open it again. Say what is ticked and signed
    on it.
    """
    who = responsible(open_)
    at = now()
    await open_.store.case_of(member.member_id, case_id)  # before a byte is read
    async with open_.uploads.one(member.member_id):
        sheet = await asyncio.to_thread(sheet_of, await whole_body(request, open_.settings.upload_time_limit_s))
    proof_id, consent_id = str(uuid.uuid4()), str(uuid.uuid4())

    def signatures(case: Case) -> tuple[Mapping[str, Signature], Proof]:
        asked = case.request_of(request_id)
        wanted = signer or [slot.signer_id for slot in asked.signers if slot.signature is None]
        signers = {signer_id: asked.slot(signer_id) for signer_id in wanted}
        purposes = tuple(one for one in Purpose if one in purpose)
        record = paper_record(case, asked, list(signers.values()), purposes, language, signed_on, at, sheet, who)
        proof = Proof(proof_id, canonical(record), sheet.data, sheet.media_type)
        signed = {
            signer_id: Signature(
                capacity=slot.capacity,
                means=Means.PAPER,
                language=language,
                text_sha256=asked.texts[language],
                purposes=purposes,
                signed_on=signed_on,
                signed_at=at,
                proof_id=proof_id,
                record_sha256=proof.record_sha256,
            )
            for signer_id, slot in signers.items()
        }
        return signed, proof

    given = await open_.consents.sign_on_paper(
        member.member_id, case_id, request_id, signatures, consent_id, consent_texts.hashes(), at
    )
    return respond(Answer(200, CaseView.of(given.case, at).model_dump(mode="json")))


def pdf_of(data: bytes, name: str) -> Response:
    """A PDF that the browser shows."""
    return Response(data, media_type="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'})
