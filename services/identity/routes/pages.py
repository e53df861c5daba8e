"""The pages behind the links in letters, for whoever has no front end that shows them: plain forms, no script.

A link is only looked at when its form is sent: mail scanners open links too.
"""

from collections.abc import Awaitable, Callable, Mapping
from html import escape
from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from services.identity.domain.account import Account
from services.identity.routes.desk import MAX_TOKEN, Desk, address_of, remember_browser
from services.identity.routes.membership import ALREADY_TAKEN, LINK_REFUSED, confirm_address
from services.identity.routes.page import page, paragraph
from services.identity.routes.proofs import PROOF_REFUSED
from services.identity.routes.recovery import reset_password
from shared.web import Language, Problem, Text
from shared.web import language as spoken

_CONFIRM = {
    "title": Text(en="Confirm your address", fr="Confirmez votre adresse"),
    "label": Text(en="The password that you chose", fr="Le mot de passe que vous avez choisi"),
    "button": Text(en="Confirm", fr="Confirmer"),
    "done": Text(
        en="Your address is confirmed and your account is there. You can sign in now.",
        fr="Votre adresse est confirmée et votre compte est créé. Vous pouvez maintenant vous connecter.",
    ),
}
_RESET = {
    "title": Text(en="Choose a new password", fr="Choisissez un nouveau mot de passe"),
    "label": Text(en="New password (12 characters or more)", fr="Nouveau mot de passe (12 caractères ou plus)"),
    "button": Text(en="Save", fr="Enregistrer"),
    "done": Text(
        en="Your password is changed and all your sessions have ended. You can sign in now.",
        fr="Votre mot de passe est changé et toutes vos sessions sont fermées. Vous pouvez maintenant vous connecter.",
    ),
}
# What a problem says to programs, said to who stands before the form.
_HERE: Mapping[str, Text] = {
    PROOF_REFUSED.slug: Text(
        en="This is not the password that you chose when you registered. Try again.",
        fr="Ce n'est pas le mot de passe que vous avez choisi à l'inscription. Réessayez.",
    ),
    ALREADY_TAKEN.slug: Text(
        en="Another member has taken this pseudonym meanwhile. Register again, with another one.",
        fr="Un autre membre a pris ce pseudonyme entre-temps. Inscrivez-vous de nouveau, avec un autre.",
    ),
}
_FOR_GOOD = frozenset({LINK_REFUSED.slug, ALREADY_TAKEN.slug})
"""After these the form is of no use any more."""


def make_router(desk: Desk) -> APIRouter:
    """The pages. They stand at the names that `links_url` is completed with."""
    router = APIRouter(include_in_schema=False)

    async def confirm(token: str, password: str, address: str) -> Account:
        return await confirm_address(desk, token, password, address)

    async def reset(token: str, password: str, address: str) -> Account:
        return await reset_password(desk, token, password, address)

    @router.get("/confirm-address")
    async def confirm_page(request: Request) -> HTMLResponse:
        return _opened(request, _CONFIRM, "current-password")

    @router.post("/confirm-address")
    async def confirm_sent(request: Request) -> HTMLResponse:
        return await _sent(desk, request, _CONFIRM, confirm, "current-password")

    @router.get("/reset-password")
    async def reset_page(request: Request) -> HTMLResponse:
        return _opened(request, _RESET, "new-password")

    @router.post("/reset-password")
    async def reset_sent(request: Request) -> HTMLResponse:
        return await _sent(desk, request, _RESET, reset, "new-password")

    return router


def _opened(request: Request, texts: Mapping[str, Text], autocomplete: str) -> HTMLResponse:
    token = request.query_params.get("token", "")
    language = _chosen(request, request.query_params.get("language", ""))
    if not token:
        return _refused(LINK_REFUSED(), language)
    other = urlencode({"language": "en" if language == "fr" else "fr", "token": token})
    return _form(language, texts, token, autocomplete, switch=f"?{other}")


async def _sent(
    desk: Desk,
    request: Request,
    texts: Mapping[str, Text],
    act: Callable[[str, str, str], Awaitable[Account]],
    autocomplete: str,
) -> HTMLResponse:
    try:
        fields = parse_qs((await request.body()).decode(errors="replace"), max_num_fields=8)
    except ValueError:  # more fields than any form of ours has
        fields = {}
    token, password, wanted = (fields.get(name, [""])[0] for name in ("token", "password", "language"))
    language = _chosen(request, wanted)
    try:
        account = await act(token[:MAX_TOKEN], password[:1024], address_of(request))
    except Problem as problem:
        if problem.slug in _FOR_GOOD:
            return _refused(problem, language)
        return _form(language, texts, token[:MAX_TOKEN], autocomplete, problem)
    done = page(language, texts["title"], paragraph(texts["done"].said_in(language, {})))
    await remember_browser(desk, done, account)
    return done


def _chosen(request: Request, wanted: str) -> Language:
    return "fr" if wanted == "fr" else "en" if wanted == "en" else spoken(request)


def _words(problem: Problem, language: Language) -> str:
    here = _HERE.get(problem.slug)
    return here.said_in(language, {}) if here else str(problem.document(language)["detail"])


def _refused(problem: Problem, language: Language) -> HTMLResponse:
    title = str(problem.document(language)["title"])
    return page(language, title, paragraph(_words(problem, language), alert=True), problem.status)


def _form(
    language: Language,
    texts: Mapping[str, Text],
    token: str,
    autocomplete: str,
    problem: Problem | None = None,
    switch: str = "",
) -> HTMLResponse:
    alert = paragraph(_words(problem, language), alert=True) if problem else ""
    # The form goes to the page's own path, wherever the gateway shows it; the query is not repeated.
    body = (
        f'{alert}<form method="post" action="?">'
        f'<input type="hidden" name="token" value="{escape(token, quote=True)}">'
        f'<input type="hidden" name="language" value="{language}">'
        f'<label for="password">{escape(texts["label"].said_in(language, {}))}</label>'
        f'<input id="password" name="password" type="password" autocomplete="{autocomplete}" required>'
        f"<button>{escape(texts['button'].said_in(language, {}))}</button></form>"
    )
    return page(language, texts["title"], body, problem.status if problem else 200, switch)
