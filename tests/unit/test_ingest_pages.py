"""Words, pages and forms for patients: complete in both languages, and documents that can be read aloud."""

import io
import re
from datetime import UTC, date, datetime
from typing import Any

import pypdf
import pytest
from PIL import Image

from services.ingest import consent_texts
from services.ingest.consent_texts.reading import Kind, blocks, items, without_signature
from services.ingest.domain.consent import Purpose, SeenPicture
from services.ingest.domain.consent_request import ConsentRequest
from services.ingest.domain.signers import (
    Capacity,
    LegalGround,
    OwnView,
    Relation,
    Subject,
    View,
    ViewNote,
    capacities,
)
from services.ingest.pages import sentences, words
from services.ingest.pages.offer import Responsible, capacity_of, offer_of
from services.ingest.pages.pdf import Part, Receipt, form_pdf, leaflet_pdf, receipt_pdf
from shared.events import Audience, Language, Specialty
from shared.web import Text
from tests.consents import information

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
WHO = Responsible("Hôpital d’essai, 33000 Bordeaux", "dpo@hopital.example")
CODES = [(Capacity.SELF, "7QK2M-0XV4P-9TRB3-H6WSD")]
LANGUAGES: tuple[Language, ...] = ("fr", "en")
SETS: list[tuple[Any, Any]] = [
    (words.AUDIENCES, Audience),
    (words.CAPACITIES, Capacity),
    (words.SUBJECTS, Subject),
    (words.GROUNDS, LegalGround),
    (words.RELATIONS, Relation),
    (words.VIEWS, View),
    (words.NOTES, ViewNote),
    (words.SPECIALTIES, Specialty),
    (words.LABELS, words.Label),
]


def request(language: Language = "fr", **changes: Any) -> ConsentRequest:
    version = consent_texts.current()
    fields: dict[str, Any] = {
        "request_id": "r",
        "created_at": NOW,
        "language": language,
        "text_version": version,
        "texts": {one.language: one.sha256 for one in consent_texts.published() if one.version == version},
        "patient_code": "P-4711",
        "subject": Subject.ADULT,
        "purposes": tuple(Purpose),
        "audience": Audience.SPECIALTY,
        "specialty": Specialty.DERMATOLOGY,
        "duration_years": 1,
        "contact": "Service d’essai & Cie <bât. B>",
        "information": information(NOW),
        "pictures": (SeenPicture(picture_id="p", revision=1),),
    }
    made = ConsentRequest(**fields | changes)
    made.lay_out({capacity: str(capacity) for capacity in Capacity})
    return made


def jpeg(colour: str = "brown") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 200), colour).save(out, "JPEG")
    return out.getvalue()


def texts_of(reader: pypdf.PdfReader) -> str:
    return "\n".join(page.extract_text() for page in reader.pages)


class TestWords:
    @pytest.mark.parametrize(("found", "kind"), SETS)
    def test_everything_has_words(self, found: dict[Any, Text], kind: Any) -> None:
        assert set(found) == set(kind)

    @pytest.mark.parametrize(
        "text",
        [
            *(text for found, _ in SETS for text in found.values()),
            *sentences.SIGNING.values(),
            *sentences.PROBLEMS.values(),
            *sentences.SIGNED.values(),
            *sentences.SAID_NO,
            *sentences.IN_CHANGE,
            *sentences.NO_RECEIPT,
        ],
    )
    def test_french_and_english_say_the_same_places_and_french_is_set_properly(self, text: Text) -> None:
        assert set(re.findall(r"\{\w+\}", text.fr)) == set(re.findall(r"\{\w+\}", text.en))
        assert not re.search(r" [;:!?»]|« |\w'\w", text.fr), "a space that breaks, or a straight apostrophe"

    def test_days_and_years_in_both_languages(self) -> None:
        assert words.day(date(2026, 3, 1), "fr") == "1er\u00a0mars\u00a02026"
        assert words.day(date(2026, 8, 22), "fr") == "22\u00a0août\u00a02026"
        assert words.day(date(2026, 3, 1), "en") == "1\u00a0March\u00a02026"
        assert [words.years(1, "fr"), words.years(2, "fr"), words.years(1, "en")] == [
            "1\u00a0an",
            "2\u00a0ans",
            "1\u00a0year",
        ]

    @pytest.mark.parametrize("language", LANGUAGES)
    @pytest.mark.parametrize("subject", list(Subject))
    def test_who_signs_is_a_sentence_without_open_places(self, subject: Subject, language: Language) -> None:
        grounds = {Subject.PROTECTED_ADULT: LegalGround.GUARDIAN}
        asked = request(
            subject=subject,
            legal_ground=grounds.get(subject),
            relation=Relation.CHILD if subject is Subject.DECEASED else None,
        )
        for capacity in capacities(subject, grounds.get(subject)):
            said = capacity_of(asked, capacity, language)
            assert "{" not in said
            assert ": ." not in said


class TestTexts:
    @pytest.mark.parametrize("text", [one for one in consent_texts.published() if one.version >= "2026-12"])
    def test_the_text_can_be_laid_out_whole(self, text: consent_texts.ConsentText) -> None:
        found = blocks(text.text)
        assert found[0].kind is Kind.TITLE
        assert [block.kind for block in found].count(Kind.TITLE) == 1
        assert len(items(text.text)) == len(Purpose)
        assert "*" not in "".join(block.words for block in found)
        plain = re.sub(r"[*#]|^- ", "", text.text, flags=re.MULTILINE)
        assert "".join(plain.split()) == "".join("".join(block.words for block in found).split())
        assert without_signature(found)[-1].words not in found[-1].words
        assert found[-1] not in without_signature(found)

    def test_french_is_set_properly(self) -> None:
        for text in (one.text for one in consent_texts.published() if (one.language, one.version) >= ("fr", "2026-12")):
            assert not re.search(r" [;:!?»]|« |'", text)

    @pytest.mark.parametrize("text", [one for one in consent_texts.published() if one.version == "2026-12"])
    def test_it_says_what_the_law_wants_said(self, text: consent_texts.ConsentText) -> None:
        said = {
            "en": [
                "your care does not change",
                "Nobody pays you",
                "Complete anonymity cannot be promised",
                "for how many years",
                "ends by itself",
                "withdrawal code",
                "without giving a reason",
                "five more years",
                "data protection officer",
                "complain",
                "9.2.a",
                "explicit consent",
                "No program decides",
            ],
            "fr": [
                "vos soins ne changent pas",
                "Personne ne vous paie",
                "anonymat complet ne peut pas être promis",
                "combien d’années",
                "prend fin tout seul",
                "code de retrait",
                "sans donner de raison",
                "ans de plus",
                "délégué à la protection des données",
                "réclamation",
                "9.2.a",
                "consentement explicite",
                "Aucun programme ne décide",
            ],
        }
        assert [words_ for words_ in said[text.language] if words_ not in text.text] == []


class TestForms:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_a_form_has_the_text_the_fields_boxes_pictures_lines_and_code(self, language: Language) -> None:
        asked = request(language)
        data = form_pdf(
            asked, language, WHO, NOW.date(), [jpeg(), jpeg("green")], Part(CODES, "https://x.example/withdrawal")
        )
        reader = pypdf.PdfReader(io.BytesIO(data))
        found = " ".join(texts_of(reader).split())
        for block in blocks(offer_of(asked, language, WHO, NOW.date()).text.text):
            assert " ".join(block.words.split()) in found
        for said in (
            "P-4711",
            "Service d’essai & Cie <bât. B>",
            WHO.controller,
            WHO.data_officer,
            CODES[0][1],
            "https://x.example/withdrawal",
            asked.texts[language],
            {"fr": "1er décembre 2027", "en": "1 December 2027"}[language],
            {"fr": "dermatologie", "en": "dermatology"}[language],
        ):
            assert said in found
        assert len([image for page in reader.pages for image in page.images]) == 2

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_documents_tell_their_language_title_and_structure(self, language: Language) -> None:
        today = NOW.date()
        agreed = (Purpose.PUBLICATION,)
        receipt = Receipt("2026-12", "P-1", agreed, Audience.PROFESSIONALS, None, today, today, "x")
        for data, figures in (
            (form_pdf(request(), language, WHO, NOW.date(), [jpeg()], Part(CODES, "https://x.example")), 1),
            (leaflet_pdf("2026-12", language, WHO), 0),
            (receipt_pdf(receipt, language, WHO, CODES[0][1], "https://x.example"), 0),
        ):
            reader = pypdf.PdfReader(io.BytesIO(data))
            root: Any = reader.trailer["/Root"]
            assert str(root["/Lang"]).startswith(language)
            assert root["/MarkInfo"]["/Marked"]
            assert reader.metadata is not None
            assert reader.metadata.title
            roles = roles_of(root["/StructTreeRoot"]["/K"])
            assert roles.count("/H1") == 1
            assert roles.count("/H2") > 5
            assert (roles.count("/L"), roles.count("/LI")) == (1, len(Purpose))
            assert roles.count("/Figure") == figures
            for number, page in enumerate(reader.pages):
                marked = re.findall(rb"/MCID (\d+)>> BDC", page.get_contents().get_data())  # type: ignore[union-attr]
                told = root["/StructTreeRoot"]["/ParentTree"]["/Nums"]
                assert page["/StructParents"] == told[2 * number] == number
                assert [int(one) for one in marked] == list(range(len(told[2 * number + 1])))
            for font in fonts_of(reader):
                assert "/FontFile2" in font, "embedded"

    def test_a_leaflet_is_nothing_to_sign(self) -> None:
        for language in LANGUAGES:
            found = texts_of(pypdf.PdfReader(io.BytesIO(leaflet_pdf("2026-12", language, WHO))))
            assert {"fr": "En signant", "en": "By signing"}[language] not in found
            assert WHO.data_officer in found

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_what_is_photographed_and_kept_has_no_picture_on_it(self, language: Language) -> None:
        asked = request(language)
        data = form_pdf(asked, language, WHO, NOW.date(), [jpeg()], Part(CODES, "https://x.example"))
        pages = pypdf.PdfReader(io.BytesIO(data)).pages
        to_photograph = {"fr": "À photographier", "en": "To be photographed"}[language]
        start = next((number for number, page in enumerate(pages) if to_photograph in page.extract_text()), 0)
        kept = pages[start:]
        assert start
        assert [image for page in kept for image in page.images] == []
        found = " ".join("".join(page.extract_text() for page in kept).split())
        boxes_ = [one.label for one in offer_of(asked, language, WHO, NOW.date()).purposes]
        assert [said for said in ("P-4711", asked.texts[language], *boxes_) if said not in found] == []

    def test_a_form_of_two_parents_has_a_line_and_a_code_for_each(self) -> None:
        own = OwnView(view=View.AGREED, note=ViewNote.SPOKEN, asked_on=NOW.date())
        asked = request(subject=Subject.MINOR, own_view=own)
        codes = [(Capacity.PARENT_A, "AAAAA-00000-00000-00000"), (Capacity.PARENT_B, "BBBBB-00000-00000-00000")]
        data = form_pdf(asked, "fr", WHO, NOW.date(), [], Part(codes, "https://x.example"))
        found = texts_of(pypdf.PdfReader(io.BytesIO(data)))
        assert found.count("J’exerce l’autorité parentale") == 2
        assert all(code in found for _, code in codes)
        assert "d’accord (l’a dit)" in found


def roles_of(element: Any) -> list[str]:
    found = element.get_object()
    children = found.get("/K")
    inner = children if isinstance(children, list) else []
    more = [role for child in inner for role in roles_of(child)]
    return [str(found["/S"]), *more]


def fonts_of(reader: pypdf.PdfReader) -> list[Any]:
    found = []
    for page in reader.pages:
        resources: Any = page["/Resources"]
        for font in resources["/Font"].values():
            made = font.get_object()
            if "/FontDescriptor" in made:
                found.append(made["/FontDescriptor"].get_object())
    assert found
    return found
