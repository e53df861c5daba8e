"""Tagged PDF (ISO 32000-1, 14.8): reportlab writes the words, this writes down what they are.

Each flowable wraps what it draws in marked content (`/P <</MCID 3>> BDC … EMC`), and the document ends with a structure
tree that lists these in reading order, so that a screen reader can tell headings, paragraphs, lists and pictures apart.
Lines, boxes and page numbers are artifacts: decoration that is not read out.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from PIL import Image
from reportlab import rl_config
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfdoc
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Paragraph

from shared.events import Language

_MARGIN = 18 * mm
_DOTS_PER_INCH = 250
# Pictures as bytes, not as text: written out in base 85, a page of pictures took seconds.
rl_config.useA85 = 0
_LOCALES = {"fr": "fr-FR", "en": "en-GB"}


@dataclass(frozen=True)
class _Marked:
    """A piece of a page: `role` is its standard structure type, `number` its place among the page's pieces."""

    page: int
    number: int
    role: str
    words_for: str


class TaggedCanvas(Canvas):
    """A canvas that knows the role of what is drawn on it."""

    _code: list[str]
    _doc: Any

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._pieces: list[_Marked] = []
        self._on_page = 0
        self._pages = 0

    def begin(self, role: str, words_for: str = "") -> None:
        """Everything drawn until `end` is one piece. `words_for`: what a picture is called."""
        self._pieces.append(_Marked(self._pages, self._on_page, role, words_for))
        self._code.append(f"/{role if role != 'LI' else 'LBody'} <</MCID {self._on_page}>> BDC")
        self._on_page += 1

    def begin_artifact(self) -> None:
        """Everything drawn until `end` is decoration."""
        self._code.append("/Artifact BMC")

    def end(self) -> None:
        self._code.append("EMC")

    def showPage(self) -> None:
        """As the base class; the page is told its place in the tree, and to be walked in the tree's order."""
        super().showPage()
        page = self._doc.Pages.pages[-1]
        page.__NoDefault__ = [*page.__NoDefault__, "StructParents", "Tabs"]
        page.StructParents = self._pages
        page.Tabs = pdfdoc.PDFName("S")
        self._pages += 1
        self._on_page = 0

    def save(self) -> None:
        """As the base class, with the structure tree."""
        if len(self._code):
            self.showPage()
        self._grow_tree()
        super().save()

    def _grow_tree(self) -> None:
        doc = self._doc
        root, whole = _dictionary(Type="StructTreeRoot"), _dictionary(Type="StructElem", S="Document")
        root_at, whole_at = doc.Reference(root), doc.Reference(whole)
        children: list[Any] = []
        by_page: dict[int, list[Any]] = {}
        for role, pieces in groupby(self._pieces, key=lambda piece: piece.role):
            parent, siblings = whole_at, children
            if role == "LI":
                items = _dictionary(Type="StructElem", S="L")
                parent = doc.Reference(items)
                items.dict["P"], siblings = whole_at, []
                children.append(parent)
                for piece in pieces:
                    item = _dictionary(Type="StructElem", S="LI")
                    item_at = doc.Reference(item)
                    item.dict["P"], item.dict["K"] = parent, self._element(piece, "LBody", item_at, by_page)
                    siblings.append(item_at)
                items.dict["K"] = pdfdoc.PDFArray(siblings)
                continue
            siblings += [self._element(piece, role, parent, by_page) for piece in pieces]
        whole.dict["P"], whole.dict["K"] = root_at, pdfdoc.PDFArray(children)
        numbers: list[Any] = []
        for page, found in sorted(by_page.items()):
            numbers += [page, pdfdoc.PDFArray(found)]
        parents = pdfdoc.PDFDictionary({"Nums": pdfdoc.PDFArray(numbers)})
        root.dict["K"], root.dict["ParentTree"] = whole_at, doc.Reference(parents)
        root.dict["ParentTreeNextKey"] = self._pages
        catalog = doc.Catalog
        catalog.StructTreeRoot = root
        catalog.MarkInfo = pdfdoc.PDFDictionary({"Marked": pdfdoc.PDFtrue})
        catalog.ViewerPreferences = pdfdoc.PDFDictionary({"DisplayDocTitle": pdfdoc.PDFtrue})

    def _element(self, piece: _Marked, role: str, parent: Any, by_page: dict[int, list[Any]]) -> Any:
        element = _dictionary(Type="StructElem", S=role)
        element.dict["P"] = parent
        element.dict["Pg"] = self._doc.Reference(self._doc.Pages.pages[piece.page])
        element.dict["K"] = piece.number
        if piece.words_for:
            element.dict["Alt"] = pdfdoc.PDFString(piece.words_for)
        at = self._doc.Reference(element)
        by_page.setdefault(piece.page, []).append(at)
        return at


class Tagged(Paragraph):
    """A paragraph with a role: `P`, `H1`, `H2` or `LI`. The signature is reportlab's, which splits it over pages."""

    canv: Any
    role = "P"

    def __init__(self, text: Any, style: ParagraphStyle, bulletText: str | None = None, **named: Any) -> None:
        super().__init__(text, style, bulletText, **named)

    def split(self, *sizes: Any) -> list[Any]:
        parts: list[Any] = super().split(*sizes)
        for part in parts:
            part.role = self.role
        return parts

    def draw(self) -> None:
        self.canv.begin(self.role)
        super().draw()
        self.canv.end()


class TickBox(Tagged):
    """A box to tick with a pen, and what it means. It does not break over pages."""

    def split(self, *_: Any) -> list[Any]:
        return []

    def draw(self) -> None:
        super().draw()
        side = self.style.leading - 1.5
        self.canv.begin_artifact()
        self.canv.setLineWidth(0.8)
        self.canv.rect(0, self.height - side - 0.5, side, side)
        self.canv.end()


class Figure(Flowable):
    """A picture, as wide or as high as `side` (points), which is read out as `words`."""

    canv: Any

    def __init__(self, data: bytes, side: float, words: str) -> None:
        super().__init__()
        self._picture = ImageReader(io.BytesIO(_for_print(data, side)))
        wide, high = self._picture.getSize()
        scale = side / max(wide, high)
        self.width, self.height, self._words = wide * scale, high * scale, words

    def wrap(self, *_: float) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
        self.canv.begin("Figure", self._words)
        self.canv.drawImage(self._picture, 0, 0, self.width, self.height)
        self.canv.end()


class LinesToWriteOn(Flowable):
    """Lines to write on, side by side: what stands under each, and the part of the width that it has."""

    canv: Any
    _HEIGHT = 24 * mm

    def __init__(self, font: str, *lines: tuple[str, float]) -> None:
        super().__init__()
        self._font, self._lines = font, lines

    def wrap(self, width: float, _: float) -> tuple[float, float]:
        self.width, self.height = width, self._HEIGHT
        return self.width, self.height

    def draw(self) -> None:
        start = 0.0
        for words, part in self._lines:
            end = start + part * self.width
            self.canv.begin_artifact()
            self.canv.line(start, 6 * mm, end - 5 * mm, 6 * mm)
            self.canv.end()
            self.canv.begin("P")
            self.canv.setFont(self._font, 7.5)
            self.canv.drawString(start, 2.5 * mm, words)
            self.canv.end()
            start = end


class Document(BaseDocTemplate):
    """A4 with page numbers, a title and a language. `build` may be called once."""

    def __init__(self, out: io.BytesIO, title: str, language: Language, font: str) -> None:
        super().__init__(
            out,
            pagesize=A4,
            leftMargin=_MARGIN,
            rightMargin=_MARGIN,
            topMargin=_MARGIN,
            bottomMargin=_MARGIN,
            title=title,
            author="Consilium",
            creator="Consilium",
            producer="Consilium",
            lang=_LOCALES[language],
            invariant=False,
        )
        frame = Frame(_MARGIN, _MARGIN, A4[0] - 2 * _MARGIN, A4[1] - 2 * _MARGIN, 0, 0, 0, 0)
        self.addPageTemplates(PageTemplate(frames=[frame], onPage=self._number))
        self._words, self._font = title, font

    def write(self, story: Sequence[Flowable]) -> None:
        self.build(list(story), canvasmaker=TaggedCanvas)

    def _number(self, canvas: Any, document: Any) -> None:
        canvas.begin_artifact()
        canvas.saveState()
        canvas.setFont(self._font, 7)
        canvas.drawString(_MARGIN, 9 * mm, self._words)
        canvas.drawRightString(A4[0] - _MARGIN, 9 * mm, str(document.page))
        canvas.restoreState()
        canvas.end()


def _for_print(data: bytes, side: float) -> bytes:
    """The picture at the size that is printed, as JPEG: embedding it takes milliseconds, and memory stays small."""
    pixels = round(side / 72 * _DOTS_PER_INCH)
    with Image.open(io.BytesIO(data)) as picture:
        picture.draft(None, (pixels, pixels))
        picture.thumbnail((pixels, pixels))
        out = io.BytesIO()
        picture.convert("L" if picture.mode in ("1", "L") else "RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


def _dictionary(**names: str) -> Any:
    return pdfdoc.PDFDictionary({key: pdfdoc.PDFName(name) for key, name in names.items()})
