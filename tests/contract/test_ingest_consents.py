"""Consents over HTTP on the real database and object store: links, signatures, paper, proofs, and who may read them."""

import asyncio
import base64
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.local import Platform
from services.ingest import consent_texts
from services.ingest.domain.withdrawal_code import hash_of
from shared.blobs import PROOFS
from shared.events import CaseSubmitted
from tests.ingest_service import AUTHOR, IngestService, ingest_service, signature_png, tokens_of

pytestmark = pytest.mark.platform

CHILD: dict[str, Any] = {
    "subject": "minor",
    "own_view": {"view": "agreed", "note": "spoken", "asked_on": "2026-11-01"},
}


@pytest.fixture(scope="module")
async def ingest(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestService]:
    folder: Path = tmp_path_factory.mktemp("ingest")
    async with ingest_service(platform, folder) as service:
        yield service


async def painted_case(ingest: IngestService, pictures: int = 1) -> str:
    case_id = await ingest.new_case()
    for _ in range(pictures):
        await ingest.upload(case_id)
    await ingest.call("POST", f"/cases/{case_id}/redaction")
    await ingest.paint(case_id)
    await ingest.inform(case_id)
    return case_id


async def asked(ingest: IngestService, case_id: str, **changes: Any) -> dict[str, Any]:
    answer = await ingest.ask_consent(case_id, **changes)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def slug(answer: Any) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["type"]).rpartition(":")[2]


async def everything_kept(ingest: IngestService) -> str:
    """Every document of the database, as text."""
    found = []
    for name in await ingest.mongo.db.list_collection_names():
        found += [document async for document in ingest.mongo.db[name].find({})]
    return json.dumps(found, default=str)


# -- signing --------------------------------------------------------------------------------------------------------


async def test_the_patient_sees_the_painted_bytes_signs_and_gets_a_code(ingest: IngestService) -> None:
    case_id = await painted_case(ingest, pictures=2)
    request = await asked(ingest, case_id, purposes=["publication", "teaching"], duration_years=5)
    (signer,) = request["signers"]
    assert signer["link"]["qr_svg"].startswith("<svg")
    ends = datetime.fromisoformat(signer["link"]["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=13, hours=23) < ends <= timedelta(days=14)
    (token,) = tokens_of(request)
    assert len(base64.urlsafe_b64decode(token + "=")) == 32

    shown = (await ingest.http.get(f"/consent/{token}/request?language=fr")).json()
    (text,) = [one for one in consent_texts.published() if (one.version, one.language) == ("2026-12", "fr")]
    assert (shown["text"], shown["text_sha256"]) == (text.text, text.sha256)
    assert [one["code"] for one in shown["purposes"]] == ["publication", "teaching"]
    assert shown["purposes"][1]["label"] == "Enseignement"
    assert (shown["contact"], shown["data_officer"]) == ("the ward, extension 12", "dpo@hopital.example")
    assert len(shown["frames"]) == 2
    for frame in shown["frames"]:
        picture = await ingest.http.get(frame["address"])
        assert hashlib.sha256(picture.content).hexdigest() == frame["sha256"]

    signed = await ingest.sign(token, purposes=["publication"])
    assert signed.status_code == 201, signed.text
    given = signed.json()
    assert given["withdrawal_url"] == "https://consilium.example/withdrawal"
    assert given["complete"] is True
    consent = (await ingest.case(case_id))["consent"]
    assert (consent["valid"], consent["purposes"]) == (True, ["publication"])
    today = datetime.now(UTC).date()
    assert consent["expires_on"] == given["expires_on"] == f"{today.year + 5}-{today:%m-%d}"
    owner = await ingest.resources.consents.code_owner(hash_of(given["withdrawal_code"]) or "")
    assert owner is not None
    assert owner.case_id == case_id

    assert (await ingest.submit(case_id)).status_code == 202
    (event,) = [one for one in await ingest.events(case_id) if isinstance(one, CaseSubmitted)]
    assert event.consent is not None
    assert event.consent.expires_on is not None
    assert event.consent.expires_on.isoformat() == given["expires_on"]
    assert "P-4711" not in event.to_json().decode()


async def test_neither_link_nor_code_nor_signature_is_stored_or_logged(
    ingest: IngestService, caplog: pytest.LogCaptureFixture
) -> None:
    case_id = await painted_case(ingest)
    with caplog.at_level(logging.DEBUG):
        (token,) = tokens_of(await asked(ingest, case_id))
        await ingest.http.get(f"/consent/{token}/nothing-here")
        code = (await ingest.sign(token)).json()["withdrawal_code"]
    kept = await everything_kept(ingest)
    logged = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records if record.name == "http")
    assert "[key]" in logged
    for secret in (token, code, code.replace("-", "")):
        assert secret not in kept
        assert secret not in logged
    for entry in await ingest.blobs.list_prefix(PROOFS, f"{case_id}/"):
        sealed = await ingest.blobs.get(PROOFS, entry.key)
        assert b"PNG" not in sealed
        assert b"patient_code" not in sealed


async def test_a_link_is_for_one_signing_and_the_very_same_signing_is_harmless(ingest: IngestService) -> None:
    case_id = await painted_case(ingest)
    (token,) = tokens_of(await asked(ingest, case_id))
    body = {
        "language": "en",
        "text_sha256": (await ingest.http.get(f"/consent/{token}/request?language=en")).json()["text_sha256"],
        "purposes": ["publication"],
        "pictures_seen": True,
        "capacity_confirmed": True,
        "signature": base64.b64encode(signature_png()).decode(),
    }
    both = await asyncio.gather(*(ingest.http.post(f"/consent/{token}/signature", json=body) for _ in range(2)))
    again = await ingest.http.post(f"/consent/{token}/signature", json=body)
    assert [answer.status_code for answer in (*both, again)] == [201] * 3
    assert len({answer.json()["withdrawal_code"] for answer in (*both, again)}) == 1
    other = body | {"signature": base64.b64encode(signature_png(40)).decode()}
    assert slug(await ingest.http.post(f"/consent/{token}/signature", json=other)) == (409, "consent-link-used")
    assert slug(await ingest.http.get(f"/consent/{token}/request")) == (409, "consent-link-used")
    assert slug(await ingest.http.post(f"/consent/{token}/refusal")) == (409, "consent-link-used")
    assert len(await ingest.blobs.list_prefix(PROOFS, f"{case_id}/")) == 3, "one proof, of two objects, and the key"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"purposes": ["teaching"]}, (422, "consent-not-acceptable")),
        ({"purposes": []}, (422, "consent-not-acceptable")),
        ({"purposes": ["publication", "model_training"]}, (422, "consent-not-acceptable")),
        ({"text_sha256": "0" * 64}, (422, "consent-not-acceptable")),
        ({"pictures_seen": False}, (422, "validation-failed")),
        ({"capacity_confirmed": False}, (422, "validation-failed")),
        ({"signature": base64.b64encode(b"no picture").decode()}, (422, "signature-unreadable")),
        ({"signature": "AAA"}, (422, "signature-unreadable")),
        ({"signature": base64.b64encode(b"\0" * 160_000).decode()}, (413, "signature-too-large")),
        ({"name": "Jane Doe"}, (422, "validation-failed")),
    ],
)
async def test_a_signature_that_proves_nothing_is_refused(
    ingest: IngestService, changes: dict[str, Any], expected: tuple[int, str]
) -> None:
    case_id = await painted_case(ingest)
    (token,) = tokens_of(await asked(ingest, case_id))
    assert slug(await ingest.sign(token, **changes)) == expected
    assert (await ingest.case(case_id))["consent"] is None
    assert await ingest.blobs.list_prefix(PROOFS, f"{case_id}/") == []
    assert (await ingest.sign(token)).status_code == 201, "the link was not used up"


async def test_both_parents_sign_each_over_a_link_of_their_own(ingest: IngestService) -> None:
    case_id = await painted_case(ingest)
    request = await asked(ingest, case_id, **CHILD)
    one, two = tokens_of(request)
    codes = [(await ingest.sign(one)).json()]
    assert codes[0]["complete"] is False
    half = await ingest.case(case_id)
    assert (half["consent"], half["consent_problem"]) == (None, "signatures-awaited")
    states = {each["capacity"]: each["signed_on"] for each in half["consent_request"]["signers"]}
    assert states["parent_a"]
    assert states["parent_b"] is None
    refused = await ingest.submit(case_id)
    assert (refused.status_code, refused.json()["reason"]) == (409, "signatures-awaited")
    codes.append((await ingest.sign(two)).json())
    assert codes[1]["complete"] is True
    assert codes[0]["withdrawal_code"] != codes[1]["withdrawal_code"], "two parents may draw alike"
    assert (await ingest.case(case_id))["consent_problem"] is None


async def test_parents_who_sign_at_one_moment_make_one_consent(ingest: IngestService) -> None:
    case_id = await painted_case(ingest)
    tokens = tokens_of(await asked(ingest, case_id, **CHILD))
    answers = await asyncio.gather(*(ingest.sign(token) for token in tokens))
    assert [answer.status_code for answer in answers] == [201, 201]
    consent = (await ingest.case(case_id))["consent"]
    assert [each["capacity"] for each in consent["signatures"]] == ["parent_a", "parent_b"]
    assert len(await ingest.resources.consents.kept_of(case_id)) == 1


async def test_a_child_who_objects_ends_it(ingest: IngestService) -> None:
    case_id = await painted_case(ingest)
    no = {"view": "objected", "note": "gesture", "asked_on": "2026-11-01"}
    request = await asked(ingest, case_id, subject="minor", own_view=no)
    assert (request["state"], request["signers"]) == ("objected", [])
    refused = await ingest.submit(case_id)
    assert (refused.status_code, refused.json()["reason"]) == (409, "patient-objected")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"subject": "minor"}, "own-view-missing"),
        ({"subject": "protected_adult", "own_view": CHILD["own_view"]}, "legal-ground-missing"),
        ({"subject": "deceased", "own_view": {"view": "not_known"}}, "relation-missing"),
        ({"legal_ground": "guardian"}, "legal-ground-not-of-this-subject"),
    ],
)
async def test_who_may_sign_must_be_clear(ingest: IngestService, changes: dict[str, Any], reason: str) -> None:
    case_id = await painted_case(ingest)
    refused = await ingest.ask_consent(case_id, **changes)
    assert (slug(refused), refused.json()["reason"]) == ((422, "consent-subject"), reason)
    french = await ingest.call(
        "POST",
        f"/cases/{case_id}/consent-requests",
        {"language": "fr", "patient_code": "P1", "purposes": ["publication"], "audience": "professionals"}
        | {"subject": "adult", "contact": "x"}
        | changes,
        headers={"accept-language": "fr"},
    )
    assert "titulaires" in french.json()["detail"]


@pytest.mark.parametrize(
    "changes",
    [
        {"patient_code": "Jane Doe"},
        {"patient_code": "Dupont"},
        {"duration_years": 0},
        {"duration_years": 11},
        {"audience": "everybody"},
        {"contact": " "},
        {"subject": "animal"},
        {"purposes": []},
    ],
)
async def test_what_cannot_be_asked_is_refused(ingest: IngestService, changes: dict[str, Any]) -> None:
    case_id = await painted_case(ingest)
    assert (await ingest.ask_consent(case_id, **changes)).status_code == 422
    assert (await ingest.case(case_id))["consent_request"] is None


# -- links ----------------------------------------------------------------------------------------------------------


async def test_information_comes_first(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    await ingest.call("POST", f"/cases/{case_id}/redaction")
    await ingest.paint(case_id)
    assert slug(await ingest.ask_consent(case_id)) == (409, "patient-not-informed")
    told = (await ingest.inform(case_id, means="leaflet")).json()["information"]
    assert (told["means"], told["informed_by"]) == ("leaflet", AUTHOR)
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    assert slug(await ingest.inform(case_id, informed_on=tomorrow)) == (422, "consent-not-acceptable")
    assert (await ingest.ask_consent(case_id)).status_code == 201


async def test_a_new_link_voids_the_one_before_it(ingest: IngestService) -> None:
    case_id = await painted_case(ingest)
    request = await asked(ingest, case_id)
    (old,) = tokens_of(request)
    address = f"/cases/{case_id}/consent-requests/{request['request_id']}/signers/{request['signers'][0]['signer_id']}"
    renewed = await ingest.call("POST", f"{address}/link")
    assert renewed.status_code == 201
    new = renewed.json()["url"].rpartition("/consent/")[2].partition("?")[0]
    assert slug(await ingest.http.get(f"/consent/{old}/request")) == (404, "consent-link-unknown")
    assert (await ingest.sign(new)).status_code == 201
    assert slug(await ingest.call("POST", f"{address}/link")) == (409, "consent-request-closed")


async def test_a_link_expires(ingest: IngestService) -> None:
    case_id = await painted_case(ingest)
    (token,) = tokens_of(await asked(ingest, case_id))
    past = {"consent_request.signers.0.link_expires_at": "2026-01-01T00:00:00Z"}
    await ingest.mongo.db["cases"].update_one({"_id": case_id}, {"$set": past})
    for answer in (await ingest.http.get(f"/consent/{token}/request"), await ingest.sign(token, text_sha256="0" * 64)):
        assert slug(answer) == (410, "consent-link-expired")


@pytest.mark.parametrize("token", ["x", "x" * 43, "x" * 400, "%2e%2e", "'; drop"])
async def test_a_link_that_nobody_made_leads_nowhere(ingest: IngestService, token: str) -> None:
    assert slug(await ingest.http.get(f"/consent/{token}/request")) == (404, "consent-link-unknown")


async def test_nothing_is_decoded_for_whoever_has_no_link(ingest: IngestService) -> None:
    no_picture = base64.b64encode(b"x" * 100).decode()
    assert slug(await ingest.sign("x" * 43, signature=no_picture)) == (404, "consent-link-unknown")
    (token,) = tokens_of(await asked(ingest, await painted_case(ingest)))
    assert slug(await ingest.sign(token, signature=no_picture)) == (422, "signature-unreadable")


async def test_a_refusal_closes_the_request_without_a_reason(ingest: IngestService) -> None:
    case_id = await painted_case(ingest)
    one, two = tokens_of(await asked(ingest, case_id, **CHILD))
    await ingest.sign(one)
    assert (await ingest.http.post(f"/consent/{two}/refusal")).status_code == 204
    case = await ingest.case(case_id)
    assert (case["consent_request"]["state"], case["consent_problem"]) == ("declined", "declined")
    assert slug(await ingest.http.get(f"/consent/{two}/request")) == (409, "consent-request-closed")


async def test_pictures_that_change_void_the_request(ingest: IngestService) -> None:
    case_id = await painted_case(ingest)
    (token,) = tokens_of(await asked(ingest, case_id))
    picture_id = (await ingest.case(case_id))["pictures"][0]["picture_id"]
    box = {"frames": [{"frame": 0, "boxes": [{"kind": "manual", "box": [1, 2, 30, 20]}]}]}
    await ingest.call("PUT", f"/cases/{case_id}/pictures/{picture_id}/boxes", box)
    assert slug(await ingest.http.get(f"/consent/{token}/request")) == (409, "case-state")
    await ingest.paint(case_id)
    assert slug(await ingest.sign(token)) == (409, "consent-pictures-changed")
    assert (await ingest.case(case_id))["consent_request"]["pictures_changed"] is True


async def test_a_link_shows_nothing_but_its_own_case_and_only_while_it_can_be_signed(ingest: IngestService) -> None:
    mine, other = await painted_case(ingest), await painted_case(ingest)
    (token,) = tokens_of(await asked(ingest, mine))
    theirs = (await ingest.case(other))["pictures"][0]["picture_id"]
    assert slug(await ingest.http.get(f"/consent/{token}/pictures/{theirs}/0/full")) == (404, "picture-unknown")
    own = (await ingest.case(mine))["pictures"][0]["picture_id"]
    assert slug(await ingest.http.get(f"/consent/{token}/pictures/{own}/7/full")) == (404, "picture-unknown")
    address = f"/consent/{token}/pictures/{own}/0/full"
    assert (await ingest.http.get(address)).headers["cache-control"] == "no-store"
    await ingest.sign(token)
    assert slug(await ingest.http.get(address)) == (409, "consent-link-used")
    await ingest.call("POST", f"/cases/{mine}/withdrawal")
    assert slug(await ingest.http.get(address)) == (404, "consent-link-unknown")


# -- without settings ------------------------------------------------------------------------------------------------


async def test_without_a_controller_nobody_is_asked(platform: Platform, tmp_path: Path) -> None:
    async with ingest_service(platform, tmp_path, controller="") as unset:
        case_id = await painted_case(unset)
        assert slug(await unset.ask_consent(case_id)) == (503, "consent-not-configured")
        assert slug(await unset.http.get("/consent-leaflets/fr")) == (503, "consent-not-configured")
