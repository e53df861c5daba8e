"""Signed forms on paper, proofs and who may read them, on the real database and object store."""

import asyncio
import base64
import hashlib
import io
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pypdf
import pytest
from PIL import Image

from deploy.local import Platform
from services.ingest import consent_texts
from services.ingest.domain.withdrawal_code import hash_of
from services.ingest.store import ProofEraser
from shared.blobs import PROOFS, BlobEntry
from shared.events import MemberChanged, MemberStatus, Profession, Role
from shared.sealed import SealedRoom
from tests.contract.test_ingest_consents import CHILD, asked, painted_case, slug
from tests.ingest_service import AUTHOR, COLLEAGUE, IngestService, ingest_service, tokens_of

pytestmark = pytest.mark.platform

OFFICER = "33333333-3333-4333-8333-333333333333"
SHEET = b"%PDF-1.7 a signed form"
MUCH_LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
async def ingest(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestService]:
    folder: Path = tmp_path_factory.mktemp("ingest")
    async with ingest_service(platform, folder) as service:
        await service.take(officer(OFFICER, (Role.MEMBER, Role.PRIVACY_OFFICER)))
        yield service


def officer(member_id: str, roles: tuple[Role, ...], version: int = 9) -> MemberChanged:
    return MemberChanged(
        member_id=member_id,
        version=version,
        pseudonym="x",
        profession=Profession.PHYSICIAN,
        roles=roles,
        status=MemberStatus.VERIFIED,
    )


async def as_officer(ingest: IngestService, path: str, member: str = OFFICER) -> httpx.Response:
    """Read as a privacy officer, who has signed in with two factors."""
    return await ingest.call("GET", path, member=member, claims={"roles": ["member", "privacy_officer"]})


# -- paper ----------------------------------------------------------------------------------------------------------


async def test_the_form_on_paper_carries_a_code_and_its_photograph_is_the_signature(ingest: IngestService) -> None:
    case_id = await painted_case(ingest)
    request = await asked(ingest, case_id, language="fr", **CHILD)
    address = f"/cases/{case_id}/consent-requests/{request['request_id']}"
    today = datetime.now(UTC).date().isoformat()
    said = f"signed_on={today}&language=fr&purpose=publication&purpose=teaching"
    early = await ingest.call("PUT", f"{address}/paper?{said}", content=SHEET)
    assert slug(early) == (409, "consent-form-not-printed")

    printed = await ingest.call("POST", f"{address}/form")
    assert printed.headers["content-type"] == "application/pdf"
    words = "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(printed.content)).pages)
    codes = [line for line in words.splitlines() if hash_of(line)]
    assert len(codes) == 2, "one for each parent"
    for code in codes:
        owner = await ingest.resources.consents.code_owner(hash_of(code) or "")
        assert owner is not None
        assert owner.case_id == case_id

    assert slug(await ingest.call("PUT", f"{address}/paper?{said}", content=b"GIF89a")) == (
        415,
        "sheet-type-unsupported",
    )
    large = await ingest.call("PUT", f"{address}/paper?{said}", content=SHEET + b"\0" * (11 * 1024 * 1024))
    assert slug(large) == (413, "body-too-large")
    one = request["signers"][0]["signer_id"]
    half = await ingest.call("PUT", f"{address}/paper?{said}&signer={one}", content=SHEET)
    assert half.json()["consent_problem"] == "signatures-awaited"
    whole = await ingest.call("PUT", f"{address}/paper?{said}", content=SHEET)
    assert whole.status_code == 200, whole.text
    consent = whole.json()["consent"]
    assert [each["means"] for each in consent["signatures"]] == ["paper", "paper"]
    assert consent["purposes"] == ["publication", "teaching"]
    assert (await ingest.submit(case_id)).status_code == 202


async def test_nobody_gets_the_sheet_back_but_a_privacy_officer(ingest: IngestService) -> None:
    case_id = await painted_case(ingest)
    request = await asked(ingest, case_id)
    address = f"/cases/{case_id}/consent-requests/{request['request_id']}"
    await ingest.call("POST", f"{address}/form")
    today = datetime.now(UTC).date().isoformat()
    kept = await ingest.call("PUT", f"{address}/paper?signed_on={today}&language=en&purpose=publication", content=SHEET)
    consent_id = kept.json()["consent"]["consent_id"]
    path = f"/consents/{consent_id}/proof?reason=complaint&reference=2026/17"
    for member in (AUTHOR, COLLEAGUE):
        assert slug(await ingest.call("GET", path, member=member)) == (403, "role-missing")
    for entry in await ingest.blobs.list_prefix(PROOFS, f"{case_id}/"):
        assert SHEET not in await ingest.blobs.get(PROOFS, entry.key)
    proof = (await as_officer(ingest, path)).json()
    assert base64.b64decode(proof["proofs"][0]["sheet_base64"]) == SHEET


async def test_what_the_camera_wrote_beside_the_sheet_is_not_sealed_and_the_hash_is_of_what_is(
    ingest: IngestService,
) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (44.0, 50.0, 16.0)})
    exif[0x010F] = "Camera of Jane Doe"
    out = io.BytesIO()
    Image.linear_gradient("L").save(out, "JPEG", exif=exif)
    case_id = await painted_case(ingest)
    address = f"/cases/{case_id}/consent-requests/{(await asked(ingest, case_id))['request_id']}"
    await ingest.call("POST", f"{address}/form")
    said = f"signed_on={datetime.now(UTC).date().isoformat()}&language=en&purpose=publication"
    broken = await ingest.call("PUT", f"{address}/paper?{said}", content=out.getvalue()[:-9])
    assert slug(broken) == (422, "sheet-unreadable")
    kept = await ingest.call("PUT", f"{address}/paper?{said}", content=out.getvalue())
    path = f"/consents/{kept.json()['consent']['consent_id']}/proof?reason=complaint"
    (proof,) = (await as_officer(ingest, path)).json()["proofs"]
    sheet = base64.b64decode(proof["sheet_base64"])
    assert b"Jane" not in sheet
    assert (proof["sheet_type"], proof["record"]["sheet_metadata"]) == ("image/jpeg", "removed")
    assert proof["record"]["sheet_sha256"] == hashlib.sha256(sheet).hexdigest()
    with Image.open(io.BytesIO(sheet)) as picture:
        assert not picture.getexif()


# -- proofs ---------------------------------------------------------------------------------------------------------


async def test_a_proof_stands_for_itself_and_every_reading_is_chained(ingest: IngestService) -> None:
    case_id = await painted_case(ingest)
    (token,) = tokens_of(await asked(ingest, case_id))
    await ingest.sign(token)
    consent_id = (await ingest.case(case_id))["consent"]["consent_id"]
    before = (await as_officer(ingest, "/consent-readings")).json()["items"]

    assert slug(await as_officer(ingest, f"/consents/{consent_id}/proof")) == (422, "validation-failed")
    named = f"/consents/{consent_id}/proof?reason=complaint&reference=Jane Doe"
    assert (await as_officer(ingest, named)).status_code == 422
    answer = await as_officer(ingest, f"/consents/{consent_id}/proof?reason=person_asks")
    assert answer.status_code == 200
    (proof,) = answer.json()["proofs"]
    record = proof["record"]
    painted = (await ingest.call("GET", f"/cases/{case_id}/preview")).json()["pictures"][0]
    assert record["pictures"][0]["frames"][0]["sha256"]["full"] == painted["frames"][0]["renditions"][0]["sha256"]
    (text,) = [one for one in consent_texts.published() if (one.version, one.language) == ("2026-12", "en")]
    assert (record["text_version"], record["text_sha256"]) == (text.version, text.sha256)
    assert record["signers"][0]["capacity"] == "self"
    assert record["information"]["informed_by"] == AUTHOR
    assert (record["patient_code"], record["data_officer"]) == ("P-4711", "dpo@hopital.example")
    sheet = base64.b64decode(proof["sheet_base64"])
    assert hashlib.sha256(sheet).hexdigest() == record["sheet_sha256"]
    assert proof["sheet_type"] == "image/png"

    readings = (await as_officer(ingest, "/consent-readings")).json()
    (new,) = readings["items"][len(before) :]
    assert (new["officer_id"], new["reason"], new["consent_id"]) == (OFFICER, "person_asks", consent_id)
    assert readings["flaws"] == []
    await ingest.mongo.db["proof_readings"].update_one({"_id": new["sequence"]}, {"$set": {"reason": "control"}})
    assert (await as_officer(ingest, "/consent-readings")).json()["flaws"]
    await ingest.mongo.db["proof_readings"].update_one({"_id": new["sequence"]}, {"$set": {"reason": "person_asks"}})


async def test_readings_at_one_moment_follow_one_another(ingest: IngestService) -> None:
    case_id = await painted_case(ingest)
    (token,) = tokens_of(await asked(ingest, case_id))
    await ingest.sign(token)
    consent_id = (await ingest.case(case_id))["consent"]["consent_id"]
    path = f"/consents/{consent_id}/proof?reason=control"
    answers = await asyncio.gather(*(as_officer(ingest, path) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    readings = (await as_officer(ingest, "/consent-readings")).json()
    assert readings["flaws"] == []
    assert [each["sequence"] for each in readings["items"]] == list(range(1, len(readings["items"]) + 1))


async def test_an_author_who_is_a_privacy_officer_does_not_read_their_own(ingest: IngestService) -> None:
    author = str(uuid.uuid4())
    await ingest.take(officer(author, (Role.MEMBER, Role.PRIVACY_OFFICER)))
    case_id = await painted_case(ingest)
    (token,) = tokens_of(await asked(ingest, case_id))
    await ingest.sign(token)
    consent_id = (await ingest.case(case_id))["consent"]["consent_id"]
    await ingest.mongo.db["cases"].update_one({"_id": case_id}, {"$set": {"author_id": author}})
    path = f"/consents/{consent_id}/proof?reason=control"
    assert slug(await as_officer(ingest, path, author)) == (403, "own-case")


@pytest.mark.parametrize("path", ["/consents?case_id=x", "/consents/x/proof?reason=control", "/consent-readings"])
async def test_the_privacy_officers_routes_are_for_nobody_else(ingest: IngestService, path: str) -> None:
    assert slug(await ingest.call("GET", path, member=COLLEAGUE)) == (403, "role-missing")
    assert (await ingest.http.get(path)).status_code == 401


async def test_the_proof_outlives_the_case_for_five_years_and_nothing_else_does(ingest: IngestService) -> None:
    case_id = await painted_case(ingest)
    code = (await ingest.sign(tokens_of(await asked(ingest, case_id))[0])).json()["withdrawal_code"]
    consent_id = (await ingest.case(case_id))["consent"]["consent_id"]
    eraser = proof_eraser(ingest)
    await eraser.sweep(MUCH_LATER)
    assert await objects(ingest, case_id) == 3, "the case lives"
    await ingest.call("POST", f"/cases/{case_id}/withdrawal")
    (kept,) = (await as_officer(ingest, f"/consents?case_id={case_id}")).json()["items"]
    ended, erased = (datetime.fromisoformat(kept[name]) for name in ("ended_at", "erase_after"))
    assert (erased.year - ended.year, erased.month) == (5, ended.month)
    owner = await ingest.resources.consents.code_owner(hash_of(code) or "")
    assert owner is not None, "a second use of the code can be told that it was used"
    path = f"/consents/{consent_id}/proof?reason=court"
    await eraser.sweep(erased - timedelta(seconds=1))
    assert (await as_officer(ingest, path)).status_code == 200
    await eraser.sweep(erased)
    assert await objects(ingest, case_id) == 0
    assert slug(await as_officer(ingest, path)) == (404, "consent-unknown")


async def test_withdrawal_codes_have_no_end_while_the_case_lives_and_go_with_its_proofs(ingest: IngestService) -> None:
    case_id = await painted_case(ingest)
    request = await asked(ingest, case_id)
    await ingest.call("POST", f"/cases/{case_id}/consent-requests/{request['request_id']}/form")
    (token,) = tokens_of(request)
    await ingest.sign(token)
    codes = ingest.mongo.db["withdrawal_codes"]
    living = await codes.find({"case_id": case_id}).to_list(None)
    assert [("erase_after" in code) for code in living] == [False, False], "one printed, one signed with"
    await ingest.call("POST", f"/cases/{case_id}/withdrawal")
    (consent,) = await ingest.mongo.db["consents"].find({"case_id": case_id}).to_list(None)
    ended = await codes.find({"case_id": case_id}).to_list(None)
    assert [code["erase_after"] for code in ended] == [consent["erase_after"]] * 2
    index = (await codes.index_information())["erase_after_1"]
    assert index["expireAfterSeconds"] == 0, "the database forgets them then"


async def test_signatures_that_became_no_consent_are_swept_up(ingest: IngestService) -> None:
    case_id = await painted_case(ingest)
    request = await asked(ingest, case_id, **CHILD)
    await ingest.sign(tokens_of(request)[0])
    await proof_eraser(ingest).sweep(MUCH_LATER)
    assert await objects(ingest, case_id) == 3, "the other parent may still sign"
    await ingest.call("DELETE", f"/cases/{case_id}/consent-requests/{request['request_id']}")
    await proof_eraser(ingest).sweep(datetime.now(UTC))
    assert await objects(ingest, case_id) == 3, "young: a record may be on its way"
    await proof_eraser(ingest).sweep(MUCH_LATER)
    assert await objects(ingest, case_id) == 0


async def test_a_signature_that_comes_during_the_sweep_keeps_its_proof(
    ingest: IngestService, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = await painted_case(ingest)
    request = await asked(ingest, case_id, **CHILD)
    await ingest.sign(tokens_of(request)[0])
    await ingest.call("DELETE", f"/cases/{case_id}/consent-requests/{request['request_id']}")
    (token,) = tokens_of(await asked(ingest, case_id))
    listed = ingest.blobs.list_prefix

    async def signed_meanwhile(bucket: str, prefix: str = "") -> list[BlobEntry]:
        found = await listed(bucket, prefix)
        if not prefix:
            assert (await ingest.sign(token)).status_code == 201
        return found

    monkeypatch.setattr(ingest.blobs, "list_prefix", signed_meanwhile)
    await proof_eraser(ingest).sweep(MUCH_LATER)
    monkeypatch.undo()
    consent_id = (await ingest.case(case_id))["consent"]["consent_id"]
    assert (await as_officer(ingest, f"/consents/{consent_id}/proof?reason=control")).status_code == 200
    await proof_eraser(ingest).sweep(MUCH_LATER)
    assert await objects(ingest, case_id) == 3, "the signature without a consent went"


def proof_eraser(ingest: IngestService) -> ProofEraser:
    room = SealedRoom(ingest.blobs, PROOFS, ingest.keyring)
    return ProofEraser(ingest.mongo, ingest.blobs, room, timedelta(hours=1))


async def objects(ingest: IngestService, case_id: str) -> int:
    return len(await ingest.blobs.list_prefix(PROOFS, f"{case_id}/"))
