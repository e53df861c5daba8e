"""Verification by Pro Santé Connect: begin, and take the answer.

The answer comes through the person's browser, without our access token. A cookie that only the browser which began has
ties it to the member: else somebody could send a colleague an address, and become verified by the colleague's card.
"""

import hmac
import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from services.identity.domain.account import MoveRefused
from services.identity.domain.brakes import Brake
from services.identity.domain.pseudonyms import PseudonymTellsName
from services.identity.domain.verification import AnotherPerson, Method, NumberTaken, ReviewFirst
from services.identity.registries import RegistryAway
from services.identity.registries.matching import VERIFICATIONS
from services.identity.registries.pro_sante_connect import LoginRefused, LoginTooWeak, NotAProfessional, ProSanteConnect
from services.identity.routes.desk import too_many
from services.identity.routes.page import page, paragraph
from services.identity.routes.verifications import (
    NUMBER_IN_USE,
    PSEUDONYM_TELLS_NAME,
    VERIFIED_AS_ANOTHER,
    VerificationDesk,
    VerificationView,
)
from services.identity.store.psc_logins import LOGIN_S, Login, PscLogins, secret_hash
from shared.auth import Guard, Principal
from shared.auth_problems import ACCOUNT_SUSPENDED
from shared.web import Language, Problem, ProblemKind, Text, language

log = logging.getLogger("identity")

PSC_LOGIN_UNKNOWN = ProblemKind(
    "psc-login-unknown",
    400,
    Text(en="This sign-in is not under way", fr="Cette connexion n'est pas en cours"),
    Text(
        en="It was begun in another browser, more than ten minutes ago, or was used already. Begin again.",
        fr="Elle a été commencée dans un autre navigateur, il y a plus de dix minutes, ou a déjà servi. Recommencez.",
    ),
)
PSC_LOGIN_FAILED = ProblemKind(
    "psc-login-failed",
    403,
    Text(en="Pro Santé Connect did not confirm you", fr="Pro Santé Connect ne vous a pas confirmé"),
    Text(
        en="The sign-in was cancelled or its answer could not be accepted. Begin again, or choose another way.",
        fr="La connexion a été annulée, ou sa réponse n'a pas pu être acceptée. Recommencez, ou choisissez un autre "
        "moyen.",
    ),
)
PSC_LOGIN_TOO_WEAK = ProblemKind(
    "psc-login-too-weak",
    403,
    Text(en="Sign in with your card or the e-CPS app", fr="Connectez-vous avec votre carte ou l'application e-CPS"),
    Text(
        en="Pro Santé Connect knows you, but does not state that you signed in as strongly as is asked for here. Begin "
        "again with your CPS card or the e-CPS app, or choose another way.",
        fr="Pro Santé Connect vous connaît, mais n'atteste pas d'une connexion aussi forte que celle demandée ici. "
        "Recommencez avec votre carte CPS ou l'application e-CPS, ou choisissez un autre moyen.",
    ),
)
NOT_A_PROFESSIONAL = ProblemKind(
    "not-a-professional",
    403,
    Text(en="No profession that takes part", fr="Aucune profession qui participe"),
    Text(
        en="Pro Santé Connect knows you, but names no health profession that takes part here. If you have one, hand in "
        "a proof.",
        fr="Pro Santé Connect vous connaît, mais n'indique aucune profession de santé qui participe ici. Si vous en "
        "exercez une, déposez un justificatif.",
    ),
)
REVIEW_FIRST = ProblemKind(
    "review-first",
    409,
    # Said here only, where whose number it is has been proved: see NUMBER_IN_USE.
    Text(en="A person has to look at this first", fr="Une personne doit d'abord examiner votre demande"),
    Text(
        en="This number does not verify you by itself. Hand in a proof (POST /verifications/documents): a reviewer "
        "decides.",
        fr="Ce numéro ne suffit pas à vous vérifier. Déposez un justificatif (POST /verifications/documents)\u00a0: un "
        "examinateur décidera.",
    ),
)
PSC_NOT_OFFERED = ProblemKind(
    "psc-not-offered",
    404,
    Text(en="Pro Santé Connect is not offered here", fr="Pro Santé Connect n'est pas proposé ici"),
    Text(
        en="Have your number looked up in a registry, or hand in a proof.",
        fr="Faites vérifier votre numéro dans un répertoire, ou déposez un justificatif.",
    ),
)
PSC_AWAY = ProblemKind(
    "psc-unavailable",
    503,
    Text(en="Pro Santé Connect does not answer", fr="Pro Santé Connect ne répond pas"),
    Text(en="Nothing was changed. Try again in a minute.", fr="Rien n'a changé. Réessayez dans une minute."),
)


class PscStart(BaseModel):
    """Where to send the browser, in this tab: the cookie that came with this answer has to go with it."""

    address: str
    expires_in: int


def psc_routes(
    desk: VerificationDesk,
    psc: ProSanteConnect | None,
    logins: PscLogins,
    guard: Guard,
    *,
    redirect_url: str,
    done_url: str = "",
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> APIRouter:
    """Begin and end of a sign-in. With `done_url` the browser is sent there at the end, `#verified` or `#<problem>`.

    Without it a browser gets a page, and a program JSON. Without `psc` both say that it is not offered.
    """
    router = APIRouter(prefix="/verifications/psc", tags=["verification"])
    secure = urlsplit(redirect_url).scheme == "https"
    cookie = "__Host-consilium-psc" if secure else "consilium-psc"

    @router.get("/start")
    async def start(response: Response, caller: Annotated[Principal, Depends(guard.signed_in)]) -> PscStart:
        """Begin: an address at Pro Santé Connect, and a cookie for this browser."""
        if psc is None:
            raise PSC_NOT_OFFERED()
        account = await desk.applicant(caller)
        wait_s = await desk.attempts.begin([Brake(f"psc:{account.member_id}", free=20, max_wait_s=600)])
        if wait_s:
            raise too_many(wait_s)
        state, nonce, verifier, browser = (secrets.token_urlsafe(32) for _ in range(4))
        try:
            address = await psc.address(state=state, nonce=nonce, code_verifier=verifier)
        except RegistryAway as error:
            raise PSC_AWAY(headers={"Retry-After": "60"}) from error
        await logins.begin(state, Login(account.member_id, nonce, verifier, secret_hash(browser)), now())
        response.set_cookie(cookie, browser, max_age=LOGIN_S, path="/", secure=secure, httponly=True, samesite="lax")
        return PscStart(address=address, expires_in=LOGIN_S)

    @router.get("/callback", response_model=VerificationView, responses={303: {"description": "To `done_url`."}})
    async def callback(
        request: Request,
        state: Annotated[str, Query(min_length=20, max_length=200)],
        code: Annotated[str, Query(max_length=4096)] = "",
        iss: Annotated[str | None, Query(max_length=500)] = None,
    ) -> Response:
        """The end: Pro Santé Connect sends the browser here. The state serves once, in the browser that began."""
        try:
            shown = await finish(state, code, iss, request.cookies.get(cookie, ""))
        except Problem as problem:
            if done_url:
                answer: Response = RedirectResponse(f"{done_url}#{problem.slug}", 303)
            elif _is_read_by_a_person(request):
                answer = _told(problem, language(request))
            else:
                raise
        else:
            if done_url:
                answer = RedirectResponse(f"{done_url}#verified", 303)
            elif _is_read_by_a_person(request):
                spoken = language(request)
                answer = page(spoken, _VERIFIED, paragraph(_CLOSE.said_in(spoken, {})))
            else:
                answer = Response(shown.model_dump_json(), media_type="application/json")
        answer.delete_cookie(cookie, path="/", secure=secure, httponly=True, samesite="lax")
        return answer

    async def finish(state: str, code: str, issuer: str | None, browser: str) -> VerificationView:
        if psc is None:
            raise PSC_NOT_OFFERED()
        login = await logins.take(state, now())
        if login is None or not hmac.compare_digest(login.browser_hash, secret_hash(browser)):
            raise PSC_LOGIN_UNKNOWN()
        account = await desk.accounts.by_id(login.member_id)
        if account is None:
            raise PSC_LOGIN_UNKNOWN()
        about = {"member_id": login.member_id}
        try:
            if not code:  # cancelled, or refused over there: `error` says which, to nobody's use
                raise LoginRefused("no code")
            found = await psc.finish(code=code, nonce=login.nonce, code_verifier=login.code_verifier, issuer=issuer)
            professions = found.practitioner.professions
            mine = account.profession if account.profession in professions else min(professions)
            account = await desk.matching.take(
                account.member_id, found.practitioner, found.name, Method.PRO_SANTE_CONNECT, mine
            )
        except tuple(_REFUSALS) as refusal:
            VERIFICATIONS.labels(Method.PRO_SANTE_CONNECT.value, type(refusal).__name__).inc()
            log.info("not verified by Pro Santé Connect: %s", str(refusal) or type(refusal).__name__, extra=about)
            raise _REFUSALS[type(refusal)]() from refusal
        except RegistryAway as away:
            raise PSC_AWAY(headers={"Retry-After": "60"}) from away
        VERIFICATIONS.labels(Method.PRO_SANTE_CONNECT.value, "verified").inc()
        log.info("verified by Pro Santé Connect", extra=about)
        return await desk.shown(account)

    return router


_VERIFIED = Text(en="Your profession is verified", fr="Votre profession est vérifiée")
_CLOSE = Text(
    en="You can close this page and go back to Consilium.",
    fr="Vous pouvez fermer cette page et revenir à Consilium.",
)


def _is_read_by_a_person(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _told(problem: Problem, spoken: Language) -> Response:
    document = problem.document(spoken)
    return page(spoken, str(document["title"]), paragraph(str(document["detail"]), alert=True), problem.status)


_REFUSALS: dict[type[Exception], ProblemKind] = {
    LoginRefused: PSC_LOGIN_FAILED,
    LoginTooWeak: PSC_LOGIN_TOO_WEAK,
    NotAProfessional: NOT_A_PROFESSIONAL,
    NumberTaken: NUMBER_IN_USE,
    AnotherPerson: VERIFIED_AS_ANOTHER,
    ReviewFirst: REVIEW_FIRST,
    PseudonymTellsName: PSEUDONYM_TELLS_NAME,
    MoveRefused: ACCOUNT_SUSPENDED,
}
