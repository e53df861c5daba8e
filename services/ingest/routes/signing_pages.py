"""The signing page: what `signing` does, for a person with a browser, with or without scripts."""

import asyncio
import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import FormData, UploadFile

from services.ingest.consent_texts.reading import blocks, without_signature
from services.ingest.domain.consent import Purpose
from services.ingest.domain.refusals import Refused
from services.ingest.domain.withdrawal_code import hash_of
from services.ingest.pages.html import in_language, rendered
from services.ingest.pages.offer import Offer, capacity_of, offer_of, purposes_of
from services.ingest.pages.pdf import Receipt, form_pdf, receipt_pdf
from services.ingest.pages.sentences import IN_CHANGE, NO_RECEIPT, PROBLEMS, SAID_NO, SIGNED, SIGNING
from services.ingest.pages.withdrawal_words import WITHDRAWAL
from services.ingest.pages.words import LABELS, Label, day, said
from services.ingest.routes.bodies import in_time
from services.ingest.routes.caller import Open, Resources, now, resources
from services.ingest.routes.consent_problems import (
    LINK_UNKNOWN,
    LINK_USED,
    PICTURES_CHANGED,
    REQUEST_CLOSED,
    SIGNATURE_EMPTY,
    SIGNATURE_LARGE,
    SIGNATURE_UNREADABLE,
)
from services.ingest.routes.consents import pdf_of, responsible
from services.ingest.routes.links import withdrawal_url
from services.ingest.routes.problems import CASE_STATE, NOT_REDACTED, problem_of
from services.ingest.routes.renditions import painted_for, wanted_for
from services.ingest.routes.signing import Answered, frames_of, hashed, sign, to_sign
from services.ingest.store import Linked
from shared.events import Language
from shared.web import Problem, max_body
from shared.web import language as spoken

router = APIRouter(prefix="/consent", tags=["signing"], default_response_class=HTMLResponse)

_FOR_CARERS = frozenset({CASE_STATE.slug, NOT_REDACTED.slug, PICTURES_CHANGED.slug, REQUEST_CLOSED.slug})
_MAY_HAVE_SIGNED = _FOR_CARERS | {LINK_UNKNOWN.slug, LINK_USED.slug}
_OF_THE_DRAWING = frozenset({SIGNATURE_EMPTY.slug, SIGNATURE_UNREADABLE.slug, SIGNATURE_LARGE.slug})
_DATA_URL = "data:image/png;base64,"
_FORM_BYTES = 512 * 1024
"""What a form has besides a file: a drawing of `max_signature_bytes` in base64, and a few words."""


async def _form_limit(request: Request) -> None:
    await max_body(resources(request).settings.max_signature_file_bytes + _FORM_BYTES)(request)


Wanted = Annotated[Language | None, Query(description="Else what the browser says")]


@router.post("/receipt")
async def receipt(
    open_: Open, code: Annotated[str, Form(max_length=60)] = "", language: Annotated[Language, Form()] = "fr"
) -> Response:
    """The receipt for a withdrawal code (PDF): what was agreed, until when, and the code itself."""
    code_hash = hash_of(code)
    owner = await open_.consents.code_owner(code_hash) if code_hash else None
    signed = await open_.consents.signed_with(owner) if owner else None
    if signed is None:
        heading, words = (said(text, language) for text in NO_RECEIPT)
        return _page("told.html", language, 404, heading=heading, words=words, **_to_withdrawal(language))
    data = await asyncio.to_thread(
        receipt_pdf,
        Receipt.of(signed.request, signed.signature),
        language,
        responsible(open_),
        code,
        withdrawal_url(open_.settings.public_url),
    )
    return pdf_of(data, "consilium-receipt.pdf")


@router.get("/{token}")
async def signing_page(request: Request, token: str, open_: Open, language: Wanted = None) -> Response:
    """The page on which a patient, or who decides for them, reads, looks, chooses and signs."""
    chosen = language or spoken(request)
    try:
        return _signing_page(await to_sign(open_, token), token, chosen, open_, {}, [])
    except (Refused, Problem) as refusal:
        return _refused(refusal, chosen, switch=True)


@router.get("/{token}/form")
async def form_to_read(request: Request, token: str, open_: Open, language: Wanted = None) -> Response:
    """The form as a PDF, to read or keep: without a code, which only a signature or a printed form gets."""
    chosen = language or spoken(request)
    try:
        found = await to_sign(open_, token)
        who, today = responsible(open_), now().date()

        async def make() -> bytes:
            pictures = [one.data for one in await painted_for(open_.blobs, found.case)]
            return await asyncio.to_thread(form_pdf, found.request, chosen, who, today, pictures, None)

        shown = tuple(one.sha256 for one in wanted_for(found.case))
        key = (found.request.request_id, found.request.text_version, chosen, who, today, shown)
        return pdf_of(await open_.forms.form(key, make), "consilium-form.pdf")
    except (Refused, Problem) as refusal:
        return _refused(refusal, chosen)


@router.post("/{token}", dependencies=[Depends(_form_limit)])
async def sign_on_page(request: Request, token: str, open_: Open) -> Response:
    """The form of the page: a signature, or a no."""
    chosen = spoken(request)
    try:
        found = await open_.consents.linked(hashed(token))
        async with in_time(open_.settings.upload_time_limit_s):
            form = await request.form(max_files=1, max_fields=20)
        try:
            given = form.get("language")
            chosen = "fr" if given == "fr" else "en" if given == "en" else chosen
            return await _answer(form, found, token, chosen, open_)
        finally:
            await form.close()
    except (Refused, Problem) as refusal:
        return _refused(refusal, chosen)


async def _answer(form: FormData, found: Linked, token: str, language: Language, open_: Resources) -> Response:
    if form.get("answer") == "no":
        await open_.consents.decline(hashed(token), now())
        heading, words = (said(text, language) for text in SAID_NO)
        return _page("told.html", language, 200, heading=heading, words=words)
    missing = _missing(form)
    if not missing:
        try:
            drawn = await _drawn(form, open_)
            given = await sign(open_, token, language, str(form.get("text_sha256", "")), _purposes(form), drawn)
            return _signed_page(given, found, language, open_)
        except Problem as problem:
            if problem.slug not in _OF_THE_DRAWING:
                raise
            missing = ["sign"]
    return _signing_page(await to_sign(open_, token), token, language, open_, _ticked(form), missing)


def _missing(form: FormData) -> list[str]:
    """What of the form is not filled in, by the place on the page."""
    said_yes = {"capacity": form.get("capacity") == "yes", "seen": form.get("pictures_seen") == "yes"}
    found = [] if Purpose.PUBLICATION in _purposes(form) else ["purpose-publication"]
    return found + [place for place, yes in said_yes.items() if not yes]


def _purposes(form: FormData) -> list[Purpose]:
    return [one for one in Purpose if one.value in form.getlist("purpose")]


def _ticked(form: FormData) -> dict[str, Any]:
    return {
        "ticked": _purposes(form),
        "capacity_ticked": form.get("capacity") == "yes",
        "seen_ticked": form.get("pictures_seen") == "yes",
    }


async def _drawn(form: FormData, open_: Resources) -> bytes:
    """The drawing, else the file. Raises `signature-empty`, `signature-unreadable`, `signature-too-large`."""
    drawing = form.get("signature")
    if isinstance(drawing, str) and drawing.startswith(_DATA_URL):
        try:
            data = base64.b64decode(drawing.removeprefix(_DATA_URL), validate=True)
        except binascii.Error as error:
            raise SIGNATURE_UNREADABLE() from error
        limit = open_.settings.max_signature_bytes
    else:
        file = form.get("signature_file")
        data = await file.read() if isinstance(file, UploadFile) else b""
        limit = open_.settings.max_signature_file_bytes
    if not data:
        raise SIGNATURE_EMPTY()
    if len(data) > limit:
        raise SIGNATURE_LARGE(limit_bytes=limit)
    return data


def _signing_page(
    found: Linked, token: str, language: Language, open_: Resources, ticked: dict[str, Any], missing: list[str]
) -> Response:
    offer = offer_of(found.request, language, responsible(open_), now().date())
    return _page(
        "signing.html",
        language,
        422 if missing else 200,
        switch=True,
        w=_words(found, offer, language),
        text=without_signature(blocks(offer.text.text)),
        signing_words=blocks(offer.text.text)[-1].words,
        offer=offer,
        frames=frames_of(found, token),
        capacity=capacity_of(found.request, found.slot.capacity, language),
        token=token,
        problems=[{"field": place, "words": said(PROBLEMS[place], language)} for place in missing],
        **({"ticked": [], "capacity_ticked": False, "seen_ticked": False} | ticked),
    )


def _words(found: Linked, offer: Offer, language: Language) -> dict[str, str]:
    words = in_language(SIGNING, language)
    ends = found.slot.link_expires_at
    assert ends is not None
    words["steps"] = words["steps"].format(until=day(ends.date(), language))
    words["text_proof"] = words["text_proof"].format(version=offer.text.version, sha256=offer.text.sha256)
    return words


def _signed_page(answered: Answered, found: Linked, language: Language, open_: Resources) -> Response:
    offer = offer_of(found.request, language, responsible(open_), answered.signed_on)
    rows = [
        (
            said(LABELS[Label.PURPOSES], language),
            ", ".join(one.label for one in purposes_of(offer.text, answered.purposes)),
        ),
        (said(LABELS[Label.AUDIENCE], language), offer.audience),
        (said(LABELS[Label.SIGNED_ON], language), day(answered.signed_on, language)),
        (said(LABELS[Label.UNTIL], language), day(answered.expires_on, language)),
    ]
    return _page(
        "signed.html",
        language,
        200,
        w=in_language(SIGNED, language),
        answered=answered,
        halves=(answered.code[:12], answered.code[12:]),  # on a narrow screen it breaks in the middle
        rows=rows,
        withdrawal_url=withdrawal_url(open_.settings.public_url),
    )


def _refused(refusal: Refused | Problem, language: Language, *, switch: bool = False) -> Response:
    problem = problem_of(refusal) if isinstance(refusal, Refused) else refusal
    if problem.slug in _FOR_CARERS:
        heading, words = (said(text, language) for text in IN_CHANGE)
    else:
        document = problem.document(language)
        heading, words = str(document["title"]), str(document["detail"])
    # Whoever comes back to a link may be looking for the way out, and not for something to sign.
    further = _to_withdrawal(language) if problem.slug in _MAY_HAVE_SIGNED else {}
    return _page("told.html", language, problem.status, switch=switch, heading=heading, words=words, **further)


def _to_withdrawal(language: Language) -> dict[str, Any]:
    """For `told.html`: on to the page on which a code ends a consent."""
    words = said(WITHDRAWAL["title"], language)
    return {"next": {"address": f"/withdrawal?language={language}", "words": words}}


def _page(template: str, language: Language, status: int, *, switch: bool = False, **values: Any) -> Response:
    other = "en" if language == "fr" else "fr"
    html, headers = rendered(template, language, switch=f"?language={other}" if switch else None, **values)
    return Response(html, status, headers)
