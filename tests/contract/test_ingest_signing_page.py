"""The signing page as a browser meets it: with a link and nothing else, with and without scripts."""

import asyncio
import base64
import hashlib
import io
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pypdf
import pytest
from PIL import Image

from deploy.local import Platform
from services.ingest import consent_texts
from services.ingest.consent_texts.reading import blocks
from services.ingest.domain.withdrawal_code import hash_of
from shared.blobs import REDACTED
from shared.web.middleware import BodyLimit
from tests.ingest_service import IngestService, ingest_service, signature_png, tokens_of

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
async def ingest(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestService]:
    folder: Path = tmp_path_factory.mktemp("ingest")
    async with ingest_service(platform, folder) as service:
        yield service


async def link(ingest: IngestService, **changes: Any) -> tuple[str, str]:
    """A case with a painted picture, and the token of its (last) signer's link."""
    case_id = await ingest.new_case()
    await ingest.upload(case_id)
    await ingest.call("POST", f"/cases/{case_id}/redaction")
    await ingest.paint(case_id)
    await ingest.inform(case_id)
    asked = await ingest.ask_consent(case_id, **changes)
    assert asked.status_code == 201, asked.text
    return case_id, tokens_of(asked.json())[-1]


class Read(HTMLParser):
    """What a browser finds on a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.tags if name == tag and wanted.items() <= found.items()]

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def form_of(page: str, language: str = "en", **changes: Any) -> dict[str, Any]:
    """The fields as the page's form has them, everything ticked."""
    fields: dict[str, Any] = {str(each["name"]): each["value"] for each in Read(page).all("input", type="hidden")}
    assert fields["language"] == language
    return {**fields, "purpose": ["publication"], "capacity": "yes", "pictures_seen": "yes", "answer": "yes"} | changes


async def send(ingest: IngestService, token: str, fields: dict[str, Any], file: bytes = b"") -> httpx.Response:
    return await ingest.http.post(f"/consent/{token}", data=fields, files={"signature_file": ("s.png", file)})


@pytest.mark.parametrize("language", ["fr", "en"])
async def test_it_shows_the_whole_text_the_form_and_the_pictures(ingest: IngestService, language: str) -> None:
    _, token = await link(ingest, purposes=["publication", "teaching", "similar_cases", "model_training"])
    answer = await ingest.http.get(f"/consent/{token}?language={language}")
    assert (answer.status_code, answer.headers["content-language"]) == (200, language)
    page = Read(answer.text)
    assert page.all("html")[0]["lang"] == language
    (text,) = [one for one in consent_texts.published() if (one.version, one.language) == ("2026-12", language)]
    for block in blocks(text.text):
        if block.words not in ("Signature",):
            assert " ".join(block.words.split()) in page.text
    for words in ("P-4711", "the ward, extension 12", "dpo@hopital.example", "Hôpital d'essai", text.sha256):
        assert words in page.text
    (picture,) = page.all("img")
    shown = await ingest.http.get(picture["src"] or "")
    frame = (await ingest.http.get(f"/consent/{token}/request")).json()["frames"][0]
    assert hashlib.sha256(shown.content).hexdigest() == frame["sha256"]
    assert picture["alt"]
    (larger,) = [each["href"] or "" for each in page.all("a") if (each["href"] or "").endswith("/full")]
    assert (await ingest.http.get(larger)).headers["content-type"] == "image/png"
    boxes = page.all("input", type="checkbox")
    assert [each["value"] for each in boxes if each["name"] == "purpose"] == [
        "publication",
        "teaching",
        "similar_cases",
        "model_training",
    ]
    assert not [each for each in boxes if "checked" in each], "nothing is ticked for the signer"
    (switch,) = page.all("a", hreflang="en" if language == "fr" else "fr")
    assert switch["href"] == f"?language={'en' if language == 'fr' else 'fr'}"


async def test_the_browsers_language_is_taken_where_the_address_names_none(ingest: IngestService) -> None:
    _, token = await link(ingest)
    for spoken in ("fr", "en"):
        answer = await ingest.http.get(f"/consent/{token}", headers={"accept-language": f"{spoken}-XX"})
        assert answer.headers["content-language"] == spoken


async def test_nothing_comes_from_elsewhere_and_nothing_is_kept(ingest: IngestService) -> None:
    _, token = await link(ingest)
    pages = [await ingest.http.get(f"/consent/{one}?language=fr") for one in (token, token, "x" * 43)]
    for answer in pages:
        headers = answer.headers
        assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")
        assert "noindex" in headers["x-robots-tag"]
        assert headers["x-content-type-options"] == "nosniff"
        policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
        assert (policy["default-src"], policy["img-src"], policy["form-action"]) == ("'none'", "'self'", "'self'")
        assert (policy["frame-ancestors"], policy["base-uri"]) == ("'none'", "'none'")
        nonce = policy["script-src"].removeprefix("'nonce-").removesuffix("'")
        page = Read(answer.text)
        for tag in ("script", "style"):
            assert [each.get("nonce") for each in page.all(tag)] == [nonce] * len(page.all(tag))
        assert not [name for name, found in page.tags if name in ("link", "iframe", "object", "embed")]
        for _, found in page.tags:
            assert not [name for name in found if name.startswith("on") or name == "style"], found
            for name in ("src", "href", "action"):
                assert not (found.get(name) or "").startswith(("http", "//")), found
        assert "set-cookie" not in headers
    nonces = {answer.headers["content-security-policy"] for answer in pages}
    assert len(nonces) == 3, "a nonce is used once"


@pytest.mark.parametrize("drawn", [True, False])
async def test_a_signature_by_hand_or_as_a_file_gives_a_code_and_a_receipt(ingest: IngestService, drawn: bool) -> None:
    case_id, token = await link(ingest)
    fields = form_of((await ingest.http.get(f"/consent/{token}?language=fr")).text, "fr")
    file = b""
    if drawn:
        fields["signature"] = "data:image/png;base64," + base64.b64encode(signature_png()).decode()
    else:
        photo = io.BytesIO()
        Image.open(io.BytesIO(signature_png())).convert("RGBA").resize((3000, 1000)).save(photo, "PNG")
        file = photo.getvalue()
    signed = await send(ingest, token, fields, file)
    assert signed.status_code == 200, signed.text
    page = Read(signed.text)
    (code,) = [str(each["value"]) for each in page.all("input", name="code")]
    assert hash_of(code)
    assert "C’est signé" in page.text
    assert (await ingest.case(case_id))["consent"]["valid"] is True

    again = await send(ingest, token, fields, file)
    assert code in again.text, "a page that is loaded anew says the same"
    receipt = await ingest.http.post("/consent/receipt", data={"code": code, "language": "fr"})
    assert receipt.headers["content-type"] == "application/pdf"
    words = "\n".join(each.extract_text() for each in pypdf.PdfReader(io.BytesIO(receipt.content)).pages)
    for said in (code, "https://consilium.example/withdrawal", "P-4711", "Publication", "dpo@hopital.example"):
        assert said in words


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({"purpose": ["teaching"]}, ["#purpose-publication"]),
        ({"purpose": []}, ["#purpose-publication"]),
        ({"capacity": ""}, ["#capacity"]),
        ({"pictures_seen": ""}, ["#seen"]),
        ({"purpose": [], "capacity": "", "pictures_seen": ""}, ["#purpose-publication", "#capacity", "#seen"]),
        ({"signature": ""}, ["#sign"]),
        ({"signature": "data:image/png;base64,@@@"}, ["#sign"]),
        ({"signature": "data:image/png;base64," + "A" * 250_000}, ["#sign"]),
    ],
)
async def test_what_is_missing_is_said_with_its_place_and_ticks_stay(
    ingest: IngestService, changes: dict[str, Any], places: list[str]
) -> None:
    case_id, token = await link(ingest, purposes=["publication", "teaching"])
    drawing = "data:image/png;base64," + base64.b64encode(signature_png()).decode()
    page = (await ingest.http.get(f"/consent/{token}?language=en")).text
    answer = await send(ingest, token, form_of(page, signature=drawing) | changes)
    assert answer.status_code == 422
    told = Read(answer.text)
    problems = [each["href"] for each in told.all("a") if (each["href"] or "").startswith("#")]
    assert problems == places
    ids = {found.get("id") for _, found in told.tags}
    assert {place[1:] for place in places} <= ids
    ticked = [each["value"] for each in told.all("input", type="checkbox", name="purpose") if "checked" in each]
    assert ticked == changes.get("purpose", ["publication"])
    assert (await ingest.case(case_id))["consent"] is None


async def test_no_is_as_easy_as_yes(ingest: IngestService) -> None:
    case_id, token = await link(ingest)
    answer = await send(ingest, token, {"language": "fr", "answer": "no"})
    assert (answer.status_code, "Vous avez dit non" in answer.text) == (200, True)
    assert (await ingest.case(case_id))["consent_problem"] == "declined"


async def test_a_text_that_was_not_shown_cannot_be_signed(ingest: IngestService) -> None:
    _, token = await link(ingest)
    drawing = "data:image/png;base64," + base64.b64encode(signature_png()).decode()
    page = (await ingest.http.get(f"/consent/{token}?language=en")).text
    answer = await send(ingest, token, form_of(page, signature=drawing, text_sha256="0" * 64))
    assert (answer.status_code, "text/html; charset=utf-8") == (422, answer.headers["content-type"])


async def test_a_form_that_is_too_large_is_refused_before_it_is_kept(ingest: IngestService) -> None:
    _, token = await link(ingest)
    answer = await send(ingest, token, {"language": "en", "answer": "yes"}, b"\0" * (7 * 1024 * 1024))
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("language", "words"), [("fr", "Ce lien ne fonctionne pas"), ("en", "This link does not work")]
)
async def test_a_dead_link_says_so_to_a_person(ingest: IngestService, language: str, words: str) -> None:
    for answer in (
        await ingest.http.get(f"/consent/{'x' * 43}?language={language}"),
        await ingest.http.get(f"/consent/{'x' * 43}/form?language={language}"),
        await ingest.http.post(f"/consent/{'x' * 43}", data={}, headers={"accept-language": language}),
    ):
        assert answer.status_code == 404
        assert words in answer.text
        assert answer.headers["content-type"].startswith("text/html")


async def test_while_the_pictures_change_a_person_is_told_to_ask(ingest: IngestService) -> None:
    case_id, token = await link(ingest)
    picture_id = (await ingest.case(case_id))["pictures"][0]["picture_id"]
    box = {"frames": [{"frame": 0, "boxes": [{"kind": "manual", "box": [1, 2, 30, 20]}]}]}
    await ingest.call("PUT", f"/cases/{case_id}/pictures/{picture_id}/boxes", box)
    being_painted = await ingest.http.get(f"/consent/{token}?language=en")
    await ingest.paint(case_id)
    changed = await ingest.http.get(f"/consent/{token}?language=en")
    for answer in (being_painted, changed):
        assert (answer.status_code, "nothing to sign now" in answer.text) == (409, True)


@pytest.mark.parametrize(("language", "words"), [("fr", "Mettre fin à un consentement"), ("en", "End a consent")])
async def test_who_may_have_signed_already_finds_the_way_out(ingest: IngestService, language: str, words: str) -> None:
    _, token = await link(ingest)
    assert (await ingest.sign(token)).status_code == 201
    _, closed = await link(ingest)
    await ingest.http.post(f"/consent/{closed}/refusal")
    receipt = await ingest.http.post("/consent/receipt", data={"code": "nothing", "language": language})
    pages = [await ingest.http.get(f"/consent/{one}?language={language}") for one in (token, closed, "x" * 43)]
    assert [page.status_code for page in (*pages, receipt)] == [409, 409, 404, 404]
    for page in (*pages, receipt):
        (further,) = [each for each in Read(page.text).all("a") if "withdrawal" in (each["href"] or "")]
        assert further["href"] == f"/withdrawal?language={language}"
        assert words in page.text
    assert (await ingest.http.get(f"/withdrawal?language={language}")).status_code == 200


async def test_the_form_to_read_has_no_code_yet(ingest: IngestService) -> None:
    _, token = await link(ingest, language="fr")
    answer = await ingest.http.get(f"/consent/{token}/form?language=fr")
    reader = pypdf.PdfReader(io.BytesIO(answer.content))
    words = "\n".join(page.extract_text() for page in reader.pages)
    assert "Vous recevez ce code une fois que vous avez signé" in words
    assert not [line for line in words.splitlines() if hash_of(line)]
    assert len([image for page in reader.pages for image in page.images]) == 1


async def test_the_same_form_is_made_once_and_nobody_gets_it_whose_link_is_void(ingest: IngestService) -> None:
    case_id, token = await link(ingest)
    address = f"/consent/{token}/form?language=en"
    first = await ingest.http.get(address)
    for entry in await ingest.redactor_blobs.list_prefix(REDACTED, f"{case_id}/"):
        await ingest.redactor_blobs.delete(REDACTED, entry.key)  # nothing is left that it could be made of again
    again = await ingest.http.get(address)
    assert (first.status_code, again.content) == (200, first.content)
    assert (await ingest.http.get(address.replace("=en", "=fr"))).status_code == 404, "that one was never made"
    assert (await ingest.http.post(f"/consent/{token}/refusal")).status_code == 204
    assert (await ingest.http.get(address)).status_code == 409


@pytest.mark.parametrize("code", ["", "nonsense", "00000-00000-00000-00000"])
async def test_no_receipt_for_a_code_that_was_not_given(ingest: IngestService, code: str) -> None:
    answer = await ingest.http.post("/consent/receipt", data={"code": code, "language": "en"})
    assert (answer.status_code, "There is no receipt" in answer.text) == (404, True)


async def test_what_the_author_wrote_is_shown_as_words_never_as_markup(ingest: IngestService) -> None:
    _, token = await link(ingest, contact='<script>alert("x")</script> & Co')
    answer = await ingest.http.get(f"/consent/{token}?language=en")
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;" in answer.text
    form = await ingest.http.get(f"/consent/{token}/form?language=en")
    words = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(form.content)).pages)
    assert '<script>alert("x")</script> & Co' in re.sub(r"\s+", " ", words)


async def test_nobody_keeps_a_connection_by_sending_slowly(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BodyLimit, "DRAIN_SECONDS", 0.1)

    async def stalls() -> AsyncIterator[bytes]:
        yield b"--x\r\n"
        await asyncio.Event().wait()

    async with ingest_service(platform, tmp_path, upload_time_limit_s=0.2) as slow:
        case_id, token = await link(slow)
        form = {"content-type": "multipart/form-data; boundary=x", "accept-language": "en"}
        page = await slow.http.post(f"/consent/{token}", content=stalls(), headers=form)
        assert (page.status_code, "took too long" in page.text) == (408, True)
        request_id = (await slow.case(case_id))["consent_request"]["request_id"]
        said = "signed_on=2026-11-22&language=en&purpose=publication"
        paper = f"/cases/{case_id}/consent-requests/{request_id}/paper?{said}"
        assert (await slow.call("PUT", paper, content=stalls())).status_code == 408
        assert (await slow.upload(case_id, stalls())).status_code == 408  # type: ignore[arg-type]
        assert (await slow.sign(token)).status_code == 201, "the link was not used up"
