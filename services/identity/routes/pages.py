"""The pages behind the links in letters, for whoever has no front end that shows them: plain forms, no script.

A link is only looked at when its form is sent: mail scanners open links too.
"""

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from html import escape
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from services.identity.domain.account import Account
from services.identity.routes.desk import MAX_TOKEN, Desk, address_of, remember_browser
from services.identity.routes.membership import confirm_address
from services.identity.routes.recovery import reset_password
from shared.web import Language, Problem, Text, language

_STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem;color:#1b1b1b}"
    "h1{font-size:1.5rem}label,input,button{display:block;font:inherit}"
    "input{width:100%;box-sizing:border-box;padding:.6rem;margin:.3rem 0 1rem;border:1px solid #555}"
    "button{padding:.6rem 1.4rem;border:0;border-radius:.3rem;background:#0b5394;color:#fff}"
    "[role=alert]{border-left:.3rem solid #b00020;padding-left:.8rem}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
}

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


def make_router(desk: Desk) -> APIRouter:
    """The pages. They stand at the names that `links_url` is completed with."""
    router = APIRouter(include_in_schema=False)

    async def confirm(token: str, password: str, address: str) -> Account:
        return await confirm_address(desk, token, password, address)

    async def reset(token: str, password: str, address: str) -> Account:
        return await reset_password(desk, token, password, address)

    @router.get("/confirm-address")
    async def confirm_page(request: Request) -> HTMLResponse:
        return _form(request, _CONFIRM, request.query_params.get("token", ""), "current-password")

    @router.post("/confirm-address")
    async def confirm_sent(request: Request) -> HTMLResponse:
        return await _sent(desk, request, _CONFIRM, confirm, "current-password")

    @router.get("/reset-password")
    async def reset_page(request: Request) -> HTMLResponse:
        return _form(request, _RESET, request.query_params.get("token", ""), "new-password")

    @router.post("/reset-password")
    async def reset_sent(request: Request) -> HTMLResponse:
        return await _sent(desk, request, _RESET, reset, "new-password")

    return router


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
    token, password = (fields.get(name, [""])[0] for name in ("token", "password"))
    try:
        account = await act(token[:MAX_TOKEN], password[:1024], address_of(request))
    except Problem as problem:
        said = str(problem.document(language(request))["detail"])
        return _form(request, texts, token[:MAX_TOKEN], autocomplete, said, problem.status)
    spoken = language(request)
    page = _page(spoken, texts["title"], f"<p>{escape(texts['done'].said_in(spoken, {}))}</p>", 200)
    await remember_browser(desk, page, account)
    return page


def _form(
    request: Request,
    texts: Mapping[str, Text],
    token: str,
    autocomplete: str,
    problem: str = "",
    status: int = 200,
) -> HTMLResponse:
    spoken = language(request)
    alert = f'<p role="alert">{escape(problem)}</p>' if problem else ""
    # No action: the form goes to the page's own path, wherever the gateway shows it; the query is not repeated.
    body = (
        f'{alert}<form method="post" action="?">'
        f'<input type="hidden" name="token" value="{escape(token, quote=True)}">'
        f'<label for="password">{escape(texts["label"].said_in(spoken, {}))}</label>'
        f'<input id="password" name="password" type="password" autocomplete="{autocomplete}" required>'
        f"<button>{escape(texts['button'].said_in(spoken, {}))}</button></form>"
    )
    return _page(spoken, texts["title"], body, status)


def _page(spoken: Language, title: Text, body: str, status: int) -> HTMLResponse:
    head = escape(title.said_in(spoken, {}))
    return HTMLResponse(
        f'<!doctype html><html lang="{spoken}"><head><meta charset="utf-8"><title>{head} — Consilium</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><h1>{head}</h1>{body}</body></html>",
        status,
        headers={**_HEADERS, "content-language": spoken},
    )
