"""Pages for people without an account: rendered here, with nothing from anywhere else.

Every page forbids what it does not need (a policy with a nonce of its own), is not kept by any cache, not indexed, and
tells no other site where its reader comes from. Values are escaped by the templates.
"""

import secrets
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from services.ingest.pages.words import said
from shared.events import Language
from shared.web import Text

_NAMES: Mapping[Language, str] = {"fr": "Français", "en": "English"}


def rendered(
    template: str, language: Language, *, switch: str | None = None, **values: Any
) -> tuple[bytes, dict[str, str]]:
    """A page and its headers. `switch`: the address of the same page in the other language, if it has one."""
    nonce = secrets.token_urlsafe(16)
    other: Language = "en" if language == "fr" else "fr"
    page = _environment().get_template(template)
    html = page.render(
        language=language,
        other=other,
        other_name=_NAMES[other],
        switch=switch,
        nonce=nonce,
        css=_file("page.css"),
        js=_file("page.js"),
        **values,
    )
    policy = (
        "default-src 'none'; img-src 'self'; "
        f"style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Language": language,
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex, nofollow, noarchive",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }
    return html.encode(), headers


def in_language(texts: Mapping[str, Text], language: Language) -> dict[str, str]:
    """Each sentence in one language; places in them stay to be filled."""
    return {name: said(text, language) for name, text in texts.items()}


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("services.ingest", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _file(name: str) -> Markup:
    # Our own files; a nonce in the page lets exactly these work.
    return Markup((files("services.ingest.pages") / name).read_text())  # noqa: S704
