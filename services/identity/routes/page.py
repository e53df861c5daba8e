"""How identity's few pages look: one column, light or dark, no script, nothing loaded; values are escaped here.

They are for whoever comes by a link in a letter, or back from Pro Santé Connect, where no front end stands in between.
"""

import base64
import hashlib
from html import escape

from fastapi.responses import HTMLResponse

from shared.web import Language, Text

STYLE = (
    ":root{color-scheme:light dark;--ground:#fff;--ink:#17212b;--line:#8a97a5;--accent:#0b5c8f;--on-accent:#fff;"
    "--alert:#a3161b;--alert-ground:#fdeeee}"
    "@media(prefers-color-scheme:dark){:root{--ground:#12171c;--ink:#e8edf2;--line:#6f7d8a;--accent:#7cc0ea;"
    "--on-accent:#0b1620;--alert:#ff9b98;--alert-ground:#331516}}"
    "*{box-sizing:border-box}html{font-size:112.5%}"
    "body{margin:0;background:var(--ground);color:var(--ink);font-family:system-ui,sans-serif;line-height:1.55;"
    "overflow-wrap:break-word}"
    "header{border-bottom:1px solid var(--line)}"
    "header div,main{max-width:32rem;margin:0 auto;padding:0 1rem}"
    "header div{display:flex;justify-content:space-between;align-items:center;min-height:3.25rem}"
    "header a{display:inline-flex;align-items:center;min-height:2.75rem;padding:0 .5rem;margin-right:-.5rem}"
    "a{color:var(--accent)}main{padding-bottom:3rem}"
    "h1{font-size:1.45rem;line-height:1.25;margin:1.4rem 0 .6rem;text-wrap:balance}"
    "label,input,button{display:block;width:100%;font:inherit}label{font-weight:600}"
    "input{min-height:3rem;padding:.6rem;margin:.3rem 0 1.2rem;border:1px solid var(--line);border-radius:.5rem;"
    "background:var(--ground);color:var(--ink)}"
    "button{min-height:3rem;padding:.6rem 1.2rem;border:0;border-radius:.5rem;font-weight:600;cursor:pointer;"
    "background:var(--accent);color:var(--on-accent)}"
    ":focus-visible{outline:3px solid var(--accent);outline-offset:2px}"
    "[role=alert]{border:2px solid var(--alert);background:var(--alert-ground);border-radius:.5rem;padding:.8rem 1rem;"
    "margin:0 0 1.2rem}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "x-robots-tag": "noindex, nofollow, noarchive",
}
_NAMES: dict[Language, str] = {"fr": "Français", "en": "English"}


def page(language: Language, title: Text | str, body: str, status: int = 200, switch: str = "") -> HTMLResponse:
    """A page around `body`, which is markup. `switch`: the address of the same page in the other language, if any."""
    head = escape(title if isinstance(title, str) else title.said_in(language, {}))
    other: Language = "en" if language == "fr" else "fr"
    link = f'<a href="{escape(switch)}" lang="{other}" hreflang="{other}">{_NAMES[other]}</a>' if switch else ""
    return HTMLResponse(
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{head} · Consilium</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><header><div><strong>Consilium</strong>{link}</div></header>"
        f"<main><h1>{head}</h1>{body}</main></body></html>",
        status,
        headers={**_HEADERS, "content-language": language},
    )


def paragraph(words: str, *, alert: bool = False) -> str:
    """Words as markup; an alert is read out by screen readers."""
    return f'<p role="alert">{escape(words)}</p>' if alert else f"<p>{escape(words)}</p>"
