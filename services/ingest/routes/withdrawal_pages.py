"""The withdrawal page: the code, what it will erase, the receipt. Two steps, without scripts, account or cookie.

The code is typed into a form and handed on in the next one, never in an address. Whoever has it needs nothing else, so
there is nothing that a forged request from another site could borrow.
"""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.ingest.pages.html import in_language, rendered
from services.ingest.pages.withdrawal_words import (
    CAUSES,
    RECEIPT,
    WITHDRAWAL,
    erased,
    moment,
    out_of_sight,
    what_goes,
    what_stayed,
    what_stays,
)
from services.ingest.pages.words import said
from services.ingest.routes.caller import Open
from services.ingest.routes.withdrawals import caller_of, end_by_code, receipt_of, standing_of_code
from shared.events import Language
from shared.web import Problem
from shared.web import language as spoken

router = APIRouter(prefix="/withdrawal", tags=["withdrawal"], default_response_class=HTMLResponse)

LONGEST = 100
"""So much of what was typed is looked at and shown again; a code has 23 characters."""

Wanted = Annotated[Language | None, Query(description="Else what the browser says")]


@router.get("")
async def withdrawal_page(request: Request, language: Wanted = None) -> Response:
    """Where a patient types the withdrawal code."""
    return _first_step(language or spoken(request), 200)


@router.post("")
async def withdraw_on_page(
    request: Request,
    open_: Open,
    code: Annotated[str, Form()] = "",
    confirmed: Annotated[str, Form(max_length=10)] = "",
    language: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """The first step's form shows what will go; the second one's ends the case and leads to the receipt."""
    chosen: Language = "fr" if language == "fr" else "en" if language == "en" else spoken(request)
    code = code[:LONGEST]  # whatever was pasted gets this page's own words, not a document for programs
    try:
        if confirmed == "yes":
            ended = await end_by_code(open_, code, caller_of(request))
            return _to_receipt(ended.receipt_id, chosen, again=ended.again)
        standing = await standing_of_code(open_, code, caller_of(request))
    except Problem as problem:
        return _first_step(chosen, problem.status, code, problem)
    if standing.ended is not None:
        return _to_receipt(standing.ended.receipt_id, chosen, again=True)
    html, headers = rendered(
        "withdrawal_sure.html",
        chosen,
        w=in_language(WITHDRAWAL, chosen),
        published=standing.published,
        goes=what_goes(standing, chosen),
        stays=what_stays(chosen),
        typed=code,
    )
    return Response(html, 200, headers)


@router.get("/receipts/{receipt_id}")
async def receipt_page(
    request: Request, receipt_id: str, open_: Open, language: Wanted = None, again: bool = False
) -> Response:
    """The receipt: what was erased and when, what is awaited, and what stays."""
    chosen = language or spoken(request)
    other = "en" if chosen == "fr" else "fr"
    try:
        receipt = await receipt_of(open_, receipt_id)
    except Problem as problem:
        document = problem.document(chosen)
        html, headers = rendered(
            "told.html",
            chosen,
            switch=f"?language={other}",
            heading=document["title"],
            words=document["detail"],
            next={"address": f"/withdrawal?language={chosen}", "words": said(WITHDRAWAL["title"], chosen)},
        )
        return Response(html, problem.status, headers)
    html, headers = rendered(
        "withdrawal_receipt.html",
        chosen,
        switch=f"?language={other}",
        w=in_language(RECEIPT, chosen),
        again=again,
        withdrawn=moment(receipt.withdrawn_at, chosen),
        cause=said(CAUSES[receipt.cause], chosen),
        number=receipt.receipt_id,
        hidden=out_of_sight(receipt, chosen),
        rows=erased(receipt, chosen),
        complete=receipt.complete,
        stays=what_stayed(receipt, chosen),
    )
    return Response(html, 200, headers)


def _first_step(language: Language, status: int, typed: str = "", problem: Problem | None = None) -> Response:
    other = "en" if language == "fr" else "fr"
    html, headers = rendered(
        "withdrawal.html",
        language,
        switch=f"/withdrawal?language={other}",
        w=in_language(WITHDRAWAL, language),
        typed=typed,
        problem=problem.document(language) if problem else None,
    )
    return Response(html, status, headers | dict(problem.headers or {}) if problem else headers)


def _to_receipt(receipt_id: str, language: Language, *, again: bool) -> Response:
    more = "&again=true" if again else ""
    return RedirectResponse(f"/withdrawal/receipts/{receipt_id}?language={language}{more}", 303)
