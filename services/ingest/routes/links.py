"""Signing links: 256 random bits that are told once and stored as a hash."""

import io
import secrets
from dataclasses import dataclass

import segno

from services.ingest.domain.consent_request import Slot
from services.ingest.routes.consent_views import LinkView
from services.ingest.store.consents import link_hash
from shared.events import Language

TOKEN_BYTES = 32


@dataclass(frozen=True)
class NewLink:
    token: str
    hash: str


def new_link() -> NewLink:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    return NewLink(token, link_hash(token))


def withdrawal_url(public_url: str) -> str:
    """The page on which a code ends its case; it stands beside every code."""
    return f"{public_url.rstrip('/')}/withdrawal"


def link_view(link: NewLink, public_url: str, language: Language, slot: Slot) -> LinkView:
    """What the author hands over. The page opens in the request's language, and has a switch."""
    assert slot.link_expires_at is not None
    url = f"{public_url.rstrip('/')}/consent/{link.token}?language={language}"
    out = io.BytesIO()
    # Dark on white with the usual margin: telephones read it off a screen and off paper.
    segno.make(url, error="m", micro=False).save(
        out, kind="svg", scale=4, border=4, light="#ffffff", xmldecl=False, title="QR"
    )
    return LinkView(url=url, qr_svg=out.getvalue().decode(), expires_at=slot.link_expires_at)
