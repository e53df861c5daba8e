"""HTTP in. Routes are for verified members but for what patients read and sign (consent texts, leaflets, and what is
under a signing link) and what only a privacy officer may see. Every POST whose answer may be kept takes an
Idempotency-Key.
"""

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

from services.ingest.domain.refusals import Refused
from services.ingest.routes import (
    cases,
    comments,
    consents,
    export,
    pictures,
    privacy,
    signing,
    signing_pages,
    text_checks,
    withdrawal_pages,
    withdrawals,
)
from services.ingest.routes.problems import CASE_WITHDRAWN, KEY_REUSED, problem_of
from services.ingest.store import AnswerGone, KeyReused
from shared.web import language

__all__ = ["answer_refusals", "routers"]


def routers() -> list[APIRouter]:
    return [
        cases.router,
        pictures.router,
        comments.router,
        text_checks.router,
        consents.router,
        signing.router,
        signing_pages.router,
        privacy.router,
        withdrawals.router,
        withdrawal_pages.router,
        export.router,
    ]


def answer_refusals(app: FastAPI) -> None:
    """Turn the domain's refusals and the store's answers about repeated requests into problem documents."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return problem_of(error).response(language(request))

    async def reused(request: Request, error: Exception) -> Response:
        return KEY_REUSED().response(language(request))

    async def gone(request: Request, error: Exception) -> Response:
        return CASE_WITHDRAWN().response(language(request))

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(KeyReused, reused)
    app.add_exception_handler(AnswerGone, gone)
