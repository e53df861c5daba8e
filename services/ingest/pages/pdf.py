"""Forms, receipts and leaflets as PDF: A4, text that can be selected and read aloud, fonts embedded.

The font is Bitstream Vera, which comes with reportlab under its own free licence and has every French letter. The
documents carry language, title and structure (headings, paragraphs, figures with a text), so that a screen reader finds
its way: see `tagged`.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

import reportlab
from reportlab.lib import colors
from reportlab.lib.enums import TA_LEFT
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, KeepTogether, PageBreak, Spacer

from services.ingest.consent_texts.reading import Block, Kind, Span, blocks, without_signature
from services.ingest.domain.consent import Purpose, Signature, years_after
from services.ingest.domain.consent_request import ConsentRequest
from services.ingest.domain.signers import Capacity
from services.ingest.pages.offer import Offer, Responsible, audience_of, capacity_of, offer_of, purposes_of, text_of
from services.ingest.pages.tagged import Document, Figure, LinesToWriteOn, Tagged, TickBox
from services.ingest.pages.words import LABELS, Label, day, said
from shared.events import Audience, Language, Specialty

_FONT = "Vera"
_BODY = 9.5
_PICTURE = 78 * mm


@dataclass(frozen=True)
class Part:
    """What only a form for paper has: who signs on it, and the code that each of them cuts off and keeps."""

    codes: Sequence[tuple[Capacity, str]]
    withdrawal_url: str


@dataclass(frozen=True)
class Receipt:
    """What was agreed with one signature."""

    text_version: str
    patient_code: str
    purposes: tuple[Purpose, ...]
    audience: Audience
    specialty: Specialty | None
    signed_on: date
    last_day: date
    contact: str

    @classmethod
    def of(cls, request: ConsentRequest, signature: Signature) -> "Receipt":
        return cls(
            text_version=request.text_version,
            patient_code=request.patient_code,
            purposes=signature.purposes,
            audience=request.audience,
            specialty=request.specialty,
            signed_on=signature.signed_on,
            last_day=request.last_day or years_after(signature.signed_on, request.duration_years),
            contact=request.contact,
        )


def form_pdf(
    request: ConsentRequest,
    language: Language,
    responsible: Responsible,
    today: date,
    pictures: Sequence[bytes],
    part: Part | None,
) -> bytes:
    """The consent form: the text, the fields, the painted pictures, boxes to tick, lines to sign, and the code.

    Without `part` it is for reading: nobody has a code before they sign.
    """
    offer = offer_of(request, language, responsible, today)
    story = _text(blocks(offer.text.text))
    heading = _heading(said(LABELS[Label.FORM], language))
    story += [heading, *_rows(offer.rows), *_hash(offer)]
    story += _pictures(pictures, language)
    if part:
        # The photograph outlives the case by years: no picture is on these sheets, and they say what they belong to.
        told = _paragraph(escape(said(LABELS[Label.PHOTOGRAPH], language)), "small")
        story += [PageBreak(), told, *_rows(offer.rows[:1]), *_hash(offer)]
    story += [_heading(said(LABELS[Label.PURPOSES], language))]
    for one in offer.purposes:
        needed = f" ({said(LABELS[Label.NEEDED], language)})" if one.code is Purpose.PUBLICATION else ""
        words = f"<b>{escape(one.label)}</b>{escape(needed)}. {escape(_capital(one.text))}"
        story.append(TickBox(words, _styles()["ticked"]))
    for capacity in [one for one, _ in part.codes] if part else [slot.capacity for slot in request.signers]:
        story.append(KeepTogether(_signature(capacity_of(request, capacity, language), language)))
    story.append(_paragraph(escape(said(LABELS[Label.NO_NAME], language)), "small"))
    for _, code in part.codes if part else ():
        story += _code(language, code, part.withdrawal_url if part else "")
    if part is None:
        story += _code(language, None, "")
    return _build(said(LABELS[Label.FORM], language), language, story)


def leaflet_pdf(version: str, language: Language, responsible: Responsible) -> bytes:
    """The text without what the signer says, and who answers for it: to be handed over before anything is signed."""
    text = text_of(version, language)
    story: list[Flowable] = [_paragraph(escape(said(LABELS[Label.LEAFLET], language)), "kicker")]
    story += _text(without_signature(blocks(text.text)))
    story += _rows(
        (
            (said(LABELS[Label.CONTROLLER], language), responsible.controller),
            (said(LABELS[Label.OFFICER], language), responsible.data_officer),
        )
    )
    return _build(said(LABELS[Label.LEAFLET], language), language, story)


def receipt_pdf(receipt: Receipt, language: Language, responsible: Responsible, code: str, url: str) -> bytes:
    """What the signer takes home: what was agreed, until when, and the code. No picture, no signature, no name."""
    text = text_of(receipt.text_version, language)
    rows = [
        (said(LABELS[Label.PATIENT_CODE], language), receipt.patient_code),
        (said(LABELS[Label.SIGNED_ON], language), day(receipt.signed_on, language)),
        (said(LABELS[Label.AUDIENCE], language), audience_of(receipt.audience, receipt.specialty, language)),
        (said(LABELS[Label.PURPOSES], language), ", ".join(p.label for p in purposes_of(text, receipt.purposes))),
        (said(LABELS[Label.UNTIL], language), day(receipt.last_day, language)),
        (said(LABELS[Label.CONTACT], language), receipt.contact),
        (said(LABELS[Label.CONTROLLER], language), responsible.controller),
        (said(LABELS[Label.OFFICER], language), responsible.data_officer),
    ]
    story: list[Flowable] = [_paragraph(escape(said(LABELS[Label.RECEIPT], language)), "kicker")]
    story += [*_code(language, code, url, cut=False), *_rows(rows)]
    story += [Spacer(0, 6 * mm), *_text(without_signature(blocks(text.text)))]
    return _build(said(LABELS[Label.RECEIPT], language), language, story)


# -- parts -----------------------------------------------------------------------------------------------------------


def _text(found: Sequence[Block]) -> list[Flowable]:
    styles = {Kind.TITLE: "title", Kind.HEADING: "heading", Kind.PARAGRAPH: "body", Kind.ITEM: "item"}
    return [_paragraph(_marked(block.spans), styles[block.kind]) for block in found]


def _rows(rows: Sequence[tuple[str, str]]) -> list[Flowable]:
    # Lines of text, not a table: a screen reader says label and value one after the other.
    return [_paragraph(f"<b>{escape(label)}</b><br/>{escape(value)}", "row") for label, value in rows]


def _hash(offer: Offer) -> list[Flowable]:
    label = {"en": "Text", "fr": "Texte"}[offer.language]
    words = f"{label} {offer.text.version}. {said(LABELS[Label.TEXT_HASH], offer.language)}: {offer.text.sha256}"
    return [_paragraph(escape(words), "tiny")]


def _pictures(pictures: Sequence[bytes], language: Language) -> list[Flowable]:
    if not pictures:
        return []
    label = {"en": "Picture {n} of {all}, covered", "fr": "Image {n} sur {all}, recouverte"}[language]
    found: list[Flowable] = [_heading(said(LABELS[Label.PICTURES], language))]
    for number, data in enumerate(pictures, 1):
        words = label.format(n=number, all=len(pictures))
        found.append(KeepTogether([Figure(data, _PICTURE, words), _paragraph(escape(words), "small")]))
    return found


def _signature(capacity: str, language: Language) -> list[Flowable]:
    return [
        Spacer(0, 4 * mm),
        _paragraph(escape(capacity), "body"),
        LinesToWriteOn(
            _FONT,
            (said(LABELS[Label.PLACE_AND_DATE], language), 0.35),
            (said(LABELS[Label.SIGNATURE], language), 0.65),
        ),
    ]


def _code(language: Language, code: str | None, url: str, *, cut: bool = True) -> list[Flowable]:
    words = said(LABELS[Label.CODE_HOW], language, url=url) if code else said(LABELS[Label.CODE_LATER], language)
    story: list[Flowable] = [Spacer(0, 5 * mm)]
    if code and cut:
        story.append(_paragraph(escape(said(LABELS[Label.KEEP], language)), "small"))
    story.append(_heading(said(LABELS[Label.CODE], language)))
    if code:
        story.append(_paragraph(escape(code), "code"))
    story.append(_paragraph(escape(words), "body"))
    return [KeepTogether(story)]


def _heading(words: str) -> Flowable:
    return _paragraph(escape(words), "heading")


def _paragraph(markup: str, style: str) -> Flowable:
    made = Tagged(markup, _styles()[style], "\u2022" if style == "item" else None)
    made.role = {"title": "H1", "heading": "H2", "item": "LI"}.get(style, "P")
    return made


def _marked(spans: Sequence[Span]) -> str:
    found = []
    for span in spans:
        words = escape(span.words)
        found.append(f"<b>{words}</b>" if span.strong else f"<i>{words}</i>" if span.emphasis else words)
    return "".join(found)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


@cache
def _fonts() -> None:
    folder = Path(reportlab.__file__).parent / "fonts"
    names = {_FONT: "Vera.ttf", "VeraBold": "VeraBd.ttf", "VeraItalic": "VeraIt.ttf", "VeraBoldItalic": "VeraBI.ttf"}
    for name, file in names.items():
        pdfmetrics.registerFont(TTFont(name, str(folder / file)))
    pdfmetrics.registerFontFamily(
        _FONT, normal=_FONT, bold="VeraBold", italic="VeraItalic", boldItalic="VeraBoldItalic"
    )


@cache
def _styles() -> dict[str, ParagraphStyle]:
    _fonts()
    body = ParagraphStyle("body", fontName=_FONT, fontSize=_BODY, leading=13.5, alignment=TA_LEFT, spaceAfter=4)
    return {
        "body": body,
        "title": ParagraphStyle("title", body, fontName="VeraBold", fontSize=15, leading=20, spaceAfter=6),
        "heading": ParagraphStyle(
            "heading", body, fontName="VeraBold", fontSize=11, leading=15, spaceBefore=8, spaceAfter=3, keepWithNext=1
        ),
        "item": ParagraphStyle("item", body, leftIndent=12, bulletIndent=2, spaceAfter=2),
        "row": ParagraphStyle("row", body, spaceAfter=4),
        "ticked": ParagraphStyle("ticked", body, leftIndent=8 * mm, spaceBefore=3, spaceAfter=5),
        "small": ParagraphStyle("small", body, fontSize=8, leading=11),
        "tiny": ParagraphStyle("tiny", body, fontSize=6.5, leading=9, textColor=colors.HexColor("#444444")),
        "kicker": ParagraphStyle("kicker", body, fontName="VeraBold", textColor=colors.HexColor("#1d4f7c")),
        "code": ParagraphStyle("code", body, fontName="VeraBold", fontSize=17, leading=24, spaceBefore=3, spaceAfter=5),
    }


def _build(title: str, language: Language, story: list[Flowable]) -> bytes:
    _fonts()
    out = io.BytesIO()
    colon = "\u00a0:" if language == "fr" else ":"
    Document(out, f"Consilium{colon} {title}", language, _FONT).write(story)
    return out.getvalue()
