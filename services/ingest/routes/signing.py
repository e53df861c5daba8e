"""Signing over a link: no account, the link is the permission. As a page for people, and as JSON for other clients.

A link is used once: the very same signing sent again gets the same answer (its withdrawal code is derived from the link
and the signature, and only a hash is kept), anything else with a used link is refused.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from fastapi import APIRouter
from fastapi.responses import Response

from services.ingest import consent_texts
from services.ingest.domain.case import Case
from services.ingest.domain.consent import Means, Purpose, Signature
from services.ingest.domain.refusals import ConsentRefused, LinkUnknown
from services.ingest.domain.withdrawal_code import DATA_BYTES, code_from, hash_of
from services.ingest.pages.offer import capacity_of, offer_of
from services.ingest.routes.caller import Open, Resources, now
from services.ingest.routes.consent_problems import SIGNATURE_LARGE, SIGNATURE_UNREADABLE
from services.ingest.routes.consent_views import (
    FrameToSee,
    NewSignature,
    PurposeOffered,
    SignedView,
    SigningView,
)
from services.ingest.routes.consents import responsible
from services.ingest.routes.drawing import strokes
from services.ingest.routes.links import withdrawal_url
from services.ingest.routes.problems import PICTURE_UNKNOWN
from services.ingest.routes.proofs import drawn_record
from services.ingest.routes.renditions import load, rendition_of, shown_on_a_page
from services.ingest.store import Linked, Proof
from services.ingest.store.consents import canonical, link_hash
from shared.events import Language, RenditionSize

router = APIRouter(prefix="/consent/{token}", tags=["signing"])

_TOKEN_CHARACTERS = 43


@dataclass(frozen=True)
class Answered:
    """What the signer is given after signing. `code` is known here and to the signer only."""

    code: str
    purposes: tuple[Purpose, ...]
    signed_on: date
    expires_on: date
    complete: bool


async def to_sign(open_: Resources, token: str) -> Linked:
    """What the link leads to, if it can be signed now. Raises the refusals of links, and that pictures changed."""
    found = await open_.consents.linked(hashed(token))
    found.request.check_link(found.slot.signer_id, now())
    found.case.check_can_be_signed(found.request)
    return found


def hashed(token: str) -> str:
    """The hash of a link's token. Raises LinkUnknown for what cannot be one."""
    if len(token) != _TOKEN_CHARACTERS:
        raise LinkUnknown()
    return link_hash(token)


async def sign(
    open_: Resources, token: str, language: Language, text_sha256: str, purposes: Sequence[Purpose], drawn: bytes
) -> Answered:
    """Take a signature. `drawn`: PNG or JPEG. Raises the refusals of links and consents, and of the drawing."""
    who = responsible(open_)
    at = now()
    link = hashed(token)
    await open_.consents.linked(link)  # a small file may unfold to 24 megapixels: nobody without a link has it decoded
    async with open_.uploads.one(link):
        drawing = await asyncio.to_thread(strokes, drawn)
    agreed = tuple(one for one in Purpose if one in purposes)
    proof_id = str(uuid.uuid4())

    def signature(found: Linked) -> tuple[Signature, Proof]:
        if text_sha256 != found.request.texts[language]:
            raise ConsentRefused(reason="text-unknown")
        record = drawn_record(found.case, found.request, found.slot, agreed, language, at, drawing, who)
        proof = Proof(proof_id, canonical(record), drawing, "image/png")
        signed = Signature(
            capacity=found.slot.capacity,
            means=Means.DRAWN,
            language=language,
            text_sha256=text_sha256,
            purposes=agreed,
            signed_on=at.date(),
            signed_at=at,
            proof_id=proof_id,
            record_sha256=proof.record_sha256,
        )
        return signed, proof

    code = _code(token, language, agreed, drawing)
    code_hash = hash_of(code)
    assert code_hash is not None
    given = await open_.consents.sign_by_link(link, signature, code_hash, str(uuid.uuid4()), consent_texts.hashes(), at)
    return _answered(given.case, link, code)


def _code(token: str, language: Language, purposes: Sequence[Purpose], drawing: bytes) -> str:
    """95 bits that nobody can tell without both the link and the strokes."""
    said = "\n".join([language, *purposes, hashlib.sha256(drawing).hexdigest()])
    secret = hmac.new(token.encode(), b"consilium withdrawal code\n" + said.encode(), hashlib.sha256).digest()
    return code_from(secret[:DATA_BYTES])


def _answered(case: Case, link: str, code: str) -> Answered:
    request = case.consent_request
    assert request is not None
    signature = next(slot.signature for slot in request.signers if slot.link_hash == link)
    assert signature is not None
    assert request.last_day is not None
    return Answered(
        code=code,
        purposes=signature.purposes,
        signed_on=signature.signed_on,
        expires_on=request.last_day,
        complete=all(slot.signature for slot in request.signers),
    )


@router.get("/request")
async def read_request(token: str, open_: Open, language: Language = "fr") -> SigningView:
    """What is to be signed, in one language, with the painted pictures as they would be published."""
    found = await to_sign(open_, token)
    offer = offer_of(found.request, language, who := responsible(open_), now().date())
    assert found.slot.link_expires_at is not None
    return SigningView(
        language=language,
        text_version=offer.text.version,
        text_sha256=offer.text.sha256,
        text=offer.text.text,
        capacity=found.slot.capacity,
        capacity_text=capacity_of(found.request, found.slot.capacity, language),
        subject=found.request.subject,
        patient_code=found.request.patient_code,
        purposes=[PurposeOffered(code=one.code, label=one.label, text=one.text) for one in offer.purposes],
        audience=found.request.audience,
        audience_text=offer.audience,
        duration_years=found.request.duration_years,
        last_day=offer.last_day,
        contact=found.request.contact,
        controller=who.controller,
        data_officer=who.data_officer,
        frames=frames_of(found, token),
        link_expires_at=found.slot.link_expires_at,
    )


@router.get(
    "/pictures/{picture_id}/{frame}/{size}",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}, "image/png": {}}, "description": "The painted picture"}},
)
async def painted(token: str, picture_id: str, frame: int, size: RenditionSize, open_: Open) -> Response:
    """A painted frame, byte for byte as it would be published; only while the link can be signed."""
    found = await to_sign(open_, token)
    shown = found.case.picture(picture_id).current
    drawn = next((entry for entry in (shown.frames if shown else ()) if entry.index == frame), None)
    wanted = rendition_of(drawn, size) if drawn else None
    if wanted is None:
        raise PICTURE_UNKNOWN()
    return Response(await load(open_.blobs, wanted), media_type=wanted.media_type)


@router.post("/signature", status_code=201)
async def sign_here(token: str, new: NewSignature, open_: Open) -> SignedView:
    """Sign: the answer has the withdrawal code, which is told here only. The very same request again is harmless."""
    try:
        drawn = base64.b64decode(new.signature, validate=True)
    except binascii.Error as error:
        raise SIGNATURE_UNREADABLE() from error
    if len(drawn) > open_.settings.max_signature_bytes:
        raise SIGNATURE_LARGE(limit_bytes=open_.settings.max_signature_bytes)
    given = await sign(open_, token, new.language, new.text_sha256, new.purposes, drawn)
    return SignedView(
        withdrawal_code=given.code,
        withdrawal_url=withdrawal_url(open_.settings.public_url),
        purposes=given.purposes,
        signed_on=given.signed_on,
        expires_on=given.expires_on,
        complete=given.complete,
    )


@router.post("/refusal", status_code=204)
async def say_no(token: str, open_: Open) -> None:
    """Say no: the request is closed, and its author sees that it was declined. No reason is asked for."""
    await open_.consents.decline(hashed(token), now())


def frames_of(found: Linked, token: str) -> list[FrameToSee]:
    """Every painted frame, with the address of the size that a screen shows, from the folder of the page on."""
    shown = []
    for picture in found.case.pictures:
        for frame in picture.current.frames if picture.current else ():
            rendition = shown_on_a_page(frame)
            if rendition is not None:
                address = f"{token}/pictures/{picture.picture_id}/{frame.index}/{rendition.size}"
                size = {"width": rendition.width, "height": rendition.height}
                shown.append(FrameToSee(address=f"/consent/{address}", sha256=rendition.sha256, **size))
    return shown
