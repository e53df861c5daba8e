"""Ingest over HTTP on the real database and object store: the author's way, who may go it, and what others answer."""

import hashlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local import Platform
from shared.blobs import RAW, REDACTED, TEXTS, raw_key
from shared.events import (
    CaseSubmitted,
    CaseUploaded,
    CommentAdded,
    MemberChanged,
    MemberStatus,
    Profession,
    RedactionOutcome,
    Role,
)
from tests.ingest_service import COLLEAGUE, IngestService, ingest_service, picture_bytes

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
async def ingest(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestService]:
    folder: Path = tmp_path_factory.mktemp("ingest")
    async with ingest_service(platform, folder) as service:
        yield service


async def test_a_case_goes_from_draft_to_published_and_is_discussed(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    picture = (await ingest.upload(case_id)).json()
    assert (picture["media_type"], picture["width"], picture["height"]) == ("image/jpeg", 64, 48)
    assert (picture["revision"], picture["outcome"]) == (1, "pending")

    started = await ingest.call("POST", f"/cases/{case_id}/redaction")
    assert (started.status_code, started.json()["state"]) == (202, "uploaded")
    await ingest.paint(case_id)
    preview = (await ingest.call("GET", f"/cases/{case_id}/preview")).json()
    assert preview["state"] == "redacted"
    rendition = preview["pictures"][0]["frames"][0]["renditions"][0]
    assert rendition["url"].startswith("/api/ingest/cases/")
    painted = await ingest.call("GET", rendition["url"].removeprefix("/api/ingest"))
    assert painted.headers["content-type"] == "image/png"
    assert hashlib.sha256(painted.content).hexdigest() == rendition["sha256"]

    assert (await ingest.consent(case_id)).json()["complete"] is True
    assert (await ingest.case(case_id))["consent"]["valid"] is True
    sent = await ingest.submit(case_id)
    assert (sent.status_code, sent.json()["state"]) == (202, "submitted")

    await ingest.take(ingest.approval(case_id, sent.json()["version"]))
    assert (await ingest.case(case_id))["state"] == "published"
    said = {"kind": "diagnosis", "text": "An ulcer."}
    comment = await ingest.call("POST", f"/cases/{case_id}/comments", said, member=COLLEAGUE)
    assert comment.status_code == 201

    uploaded, submitted, added = await ingest.events(case_id)
    assert isinstance(uploaded, CaseUploaded)
    assert isinstance(submitted, CaseSubmitted)
    assert isinstance(added, CommentAdded)
    assert (added.text, added.author_id) == ("An ulcer.", COLLEAGUE)
    for event in (uploaded, submitted):
        told = event.to_json().decode()
        assert "A wound" not in told
        assert "P-4711" not in told
    text = await ingest.blobs.get(TEXTS, f"{case_id}/{submitted.text_version}.json")
    assert text == b'{"title":"A wound","body":"What would you do?"}'


async def test_the_original_lies_encrypted_under_a_name_that_tells_nothing(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    data = picture_bytes()
    named = {"content-disposition": 'attachment; filename="Jane Doe.jpg"'}
    picture_id = (await ingest.upload(case_id, data, headers=named)).json()["picture_id"]
    listed = [entry.key for entry in await ingest.blobs.list_prefix(RAW, f"{case_id}/")]
    assert sorted(listed) == sorted([f"{case_id}/{picture_id}", f"{case_id}/key"])
    assert data[:200] not in await ingest.redactor_blobs.get(RAW, raw_key(case_id, picture_id))
    assert await ingest.redactor_room.load(case_id, picture_id) == data
    for collection in await ingest.mongo.db.list_collection_names():
        async for document in ingest.mongo.db[collection].find({}):
            assert "Jane" not in str(document)


# -- who may --------------------------------------------------------------------------------------------------------


async def test_somebody_elses_draft_is_as_absent_as_none_at_all(ingest: IngestService) -> None:
    case_id = await ingest.ready_case()
    picture_id = (await ingest.case(case_id))["pictures"][0]["picture_id"]
    boxes: dict[str, object] = {"frames": []}
    told = {"informed_on": "2026-01-01", "language": "en", "means": "oral"}
    consent = {
        "language": "en",
        "patient_code": "P1",
        "subject": "adult",
        "purposes": ["publication"],
        "audience": "professionals",
        "contact": "x",
    }
    asking = (await ingest.case(case_id))["consent_request"]["request_id"]
    sheet = "signed_on=2026-01-01&language=en&purpose=publication"
    asked = [
        ("GET", "", None),
        ("PATCH", "", {"title": "x"}),
        ("POST", "/pictures?kind=photo", None),
        ("DELETE", f"/pictures/{picture_id}", None),
        ("POST", "/redaction", None),
        ("GET", "/preview", None),
        ("GET", f"/pictures/{picture_id}/frames/0/full", None),
        ("PUT", f"/pictures/{picture_id}/boxes", boxes),
        ("PUT", "/information", told),
        ("POST", "/consent-requests", consent),
        ("DELETE", f"/consent-requests/{asking}", None),
        ("POST", f"/consent-requests/{asking}/signers/x/link", None),
        ("POST", f"/consent-requests/{asking}/form", None),
        ("PUT", f"/consent-requests/{asking}/paper?{sheet}", None),
        ("POST", "/submission", None),
        ("POST", "/withdrawal", None),
        ("POST", "/comments", {"kind": "remark", "text": "x"}),
    ]
    for method, path, body in asked:
        answers = []
        for one in (case_id, str(uuid.uuid4())):
            answer = await ingest.call(method, f"/cases/{one}{path}", body, member=COLLEAGUE)
            document = answer.json()
            document.pop("request_id")
            answers.append((answer.status_code, document))
        assert answers[0] == answers[1], (method, path)
        assert answers[0][0] == 404, (method, path)
    assert (await ingest.case(case_id))["state"] == "redacted"


@pytest.mark.parametrize(
    ("status", "problem"),
    [(MemberStatus.UNVERIFIED, "account-unverified"), (MemberStatus.SUSPENDED, "account-suspended")],
)
async def test_only_verified_members_come_in(ingest: IngestService, status: MemberStatus, problem: str) -> None:
    member = str(uuid.uuid4())
    await ingest.take(
        MemberChanged(
            member_id=member,
            version=9,
            pseudonym="x",
            profession=Profession.NURSE,
            roles=(Role.MEMBER,),
            status=status,
        )
    )
    case_id = str(uuid.uuid4())
    for method, path in (
        ("POST", "/cases"),
        ("GET", "/cases"),
        ("GET", f"/cases/{case_id}"),
        ("POST", f"/cases/{case_id}/pictures?kind=photo"),
        ("GET", f"/cases/{case_id}/pictures/x/frames/0/full"),
        ("POST", f"/cases/{case_id}/comments"),
    ):
        refused = await ingest.call(method, path, {} if method == "POST" else None, member=member)
        assert refused.status_code == 403, (method, path)
        assert refused.json()["type"] == f"urn:consilium:problem:{problem}"
    anonymous = await ingest.http.get("/cases")
    assert anonymous.status_code == 401


async def test_consent_texts_are_open_and_prove_themselves(ingest: IngestService) -> None:
    texts = (await ingest.http.get("/consent-texts")).json()["items"]
    assert {text["language"] for text in texts} == {"fr", "en"}
    for text in texts:
        assert hashlib.sha256(text["text"].encode()).hexdigest() == text["sha256"]
    assert [(text["version"], text["language"]) for text in texts if text["current"]] == [
        ("2026-12", "en"),
        ("2026-12", "fr"),
    ]


# -- what others answer ---------------------------------------------------------------------------------------------


async def test_an_unreadable_picture_is_shown_with_its_reason_and_can_be_removed(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    await ingest.upload(case_id)
    bad = (await ingest.upload(case_id)).json()["picture_id"]
    await ingest.call("POST", f"/cases/{case_id}/redaction")
    await ingest.paint(case_id)
    await ingest.take(
        await ingest.rendering(case_id, bad, 2, outcome=RedactionOutcome.UNREADABLE, reason="truncated", frames=())
    )
    preview = (await ingest.call("GET", f"/cases/{case_id}/preview")).json()
    assert preview["state"] == "redacted"
    assert [(p["outcome"], p["reason"]) for p in preview["pictures"]] == [
        ("redacted", None),
        ("unreadable", "truncated"),
    ]
    assert (await ingest.call("DELETE", f"/cases/{case_id}/pictures/{bad}")).status_code == 204
    case = await ingest.case(case_id)
    assert (case["state"], len(case["pictures"])) == ("draft", 1)
    assert not await ingest.redactor_room.exists(case_id, bad)


async def test_a_case_sent_back_can_be_changed_and_submitted_again(ingest: IngestService) -> None:
    case_id, version = await ingest.submitted_case()
    await ingest.take(ingest.rejection(case_id, version, "changes"))
    case = await ingest.case(case_id)
    assert (case["state"], case["decision"]["reasons"]) == ("changes", ["face_visible"])
    edited = await ingest.call("PATCH", f"/cases/{case_id}", {"body": "Better now?"})
    assert edited.json()["body"] == "Better now?"
    again = await ingest.submit(case_id)
    assert again.status_code == 202
    assert b"Better now?" in await ingest.blobs.get(TEXTS, f"{case_id}/2.json")
    await ingest.take(ingest.approval(case_id, version))
    assert (await ingest.case(case_id))["state"] == "submitted", "that approval was for the first submission"


async def test_a_rejected_case_stays_readable_for_its_author_only(ingest: IngestService) -> None:
    case_id, version = await ingest.submitted_case()
    await ingest.take(ingest.rejection(case_id, version, "rejected"))
    assert (await ingest.case(case_id))["state"] == "rejected"
    refused = await ingest.call("PATCH", f"/cases/{case_id}", {"title": "x"})
    assert (refused.status_code, refused.json()["state"]) == (409, "rejected")


async def test_other_bytes_than_announced_are_never_shown(ingest: IngestService) -> None:
    case_id = await ingest.ready_case()
    preview = (await ingest.call("GET", f"/cases/{case_id}/preview")).json()
    picture_id = preview["pictures"][0]["picture_id"]
    path = f"/cases/{case_id}/pictures/{picture_id}/frames/0/full"
    for stored in await ingest.redactor_blobs.list_prefix(REDACTED, f"{case_id}/{picture_id}/1/0000-full"):
        await ingest.redactor_blobs.put(REDACTED, stored.key, picture_bytes("green", "PNG"))
    assert (await ingest.call("GET", path)).status_code == 500
    for absent in ("frames/1/full", "frames/0/small", "frames/-1/full"):
        missing = await ingest.call("GET", f"/cases/{case_id}/pictures/{picture_id}/{absent}")
        assert missing.status_code == 404
    assert (await ingest.call("GET", path.replace("/full", "/raw"))).status_code == 422


async def test_my_cases_come_in_pages_newest_first(ingest: IngestService) -> None:
    member = str(uuid.uuid4())
    fields = {"specialty": "surgery", "kind": "opinion", "language": "fr", "body": "b"}
    for number in range(5):
        await ingest.call("POST", "/cases", fields | {"title": f"t{number}"}, member=member)
    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        page = (await ingest.call("GET", f"/cases?limit=2{cursor}", member=member)).json()
        seen += [case["title"] for case in page["items"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ["t4", "t3", "t2", "t1", "t0"]
    assert page["next_cursor"] is None
    for wrong in ("x", "eA==", "%00"):
        assert (await ingest.call("GET", f"/cases?cursor={wrong}", member=member)).status_code == 400


async def test_a_store_that_is_away_is_a_503_and_no_half_state(platform: Platform, tmp_path: Path) -> None:
    async with ingest_service(platform, tmp_path, s3_endpoint="127.0.0.1:9") as ingest:
        case_id = await ingest.new_case()
        refused = await ingest.upload(case_id)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert (await ingest.case(case_id))["pictures"] == []
        not_ready = await ingest.http.get("/readyz")
        assert not_ready.status_code == 503
        assert not_ready.json()["checks"][RAW]["ok"] is False
