"""Ingest over HTTP on the real database and object store: the author's way, and every refusal on it."""

import asyncio
import hashlib
import io
import tracemalloc
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from PIL import Image

from deploy.local import Platform
from services.ingest.domain.refusals import Refused
from services.ingest.routes.problems import problem_of
from shared.blobs import RAW, REDACTED, TEXTS, raw_key
from shared.events import (
    CaseSubmitted,
    CaseUploaded,
    CommentAdded,
    FrameBoxes,
    LeftReason,
    MarkAnswer,
    Marks,
    MemberChanged,
    MemberStatus,
    Profession,
    RedactionOutcome,
    Region,
    RegionKind,
    Role,
)
from tests.ingest_service import COLLEAGUE, IngestService, ingest_service, picture_bytes

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
async def ingest(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestService]:
    folder: Path = tmp_path_factory.mktemp("ingest")
    async with ingest_service(platform, folder, max_upload_bytes=300_000, concurrent_uploads=3) as service:
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


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"title": ""},
        {"title": "   "},
        {"body": "\n"},
        {"title": "x" * 201},
        {"body": "x" * 20_001},
        {"title": "a\0b"},
        {"language": "de"},
        {"kind": "gossip"},
        {"author_id": COLLEAGUE},
    ],
)
async def test_an_empty_or_malformed_case_is_refused(ingest: IngestService, changes: dict[str, str]) -> None:
    fields = {"specialty": "surgery", "kind": "opinion", "language": "fr", "title": "t", "body": "b"}
    refused = await ingest.call("POST", "/cases", fields | changes, headers={"accept-language": "fr"})
    assert refused.status_code == 422
    document = refused.json()
    assert document["type"] == "urn:consilium:problem:validation-failed"
    assert document["errors"][0]["pointer"] == f"#/{next(iter(changes))}"


@pytest.mark.parametrize(
    ("data", "status", "problem"),
    [
        (b"a text named .jpg", 415, "picture-type-unsupported"),
        (picture_bytes()[:40], 422, "picture-unreadable"),
        (b"\xff\xd8\xff" + b"x" * 300_000, 413, "body-too-large"),
    ],
)
async def test_a_file_that_is_no_usable_picture_leaves_nothing_behind(
    ingest: IngestService, data: bytes, status: int, problem: str
) -> None:
    case_id = await ingest.new_case()
    refused = await ingest.upload(case_id, data)
    assert (refused.status_code, refused.json()["type"]) == (status, f"urn:consilium:problem:{problem}")
    assert (await ingest.case(case_id))["pictures"] == []
    assert await ingest.blobs.list_prefix(RAW, f"{case_id}/") == []


async def test_an_empty_upload_is_refused(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    refused = await ingest.call("POST", f"/cases/{case_id}/pictures?kind=photo")
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:consilium:problem:picture-empty")


async def test_a_decompression_bomb_is_refused(ingest: IngestService) -> None:
    out = io.BytesIO()
    Image.new("1", (13_300, 13_300)).save(out, "PNG")
    refused = await ingest.upload(await ingest.new_case(), out.getvalue())
    assert refused.status_code == 413
    assert refused.json()["type"] == "urn:consilium:problem:picture-too-many-pixels"


async def test_a_body_without_a_length_is_counted_while_it_comes(ingest: IngestService) -> None:
    chunk = b"\xff\xd8\xff" + b"x" * 49_997

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield chunk

    case_id = await ingest.new_case()
    tracemalloc.start()
    try:
        refused = await ingest.call("POST", f"/cases/{case_id}/pictures?kind=photo", content=endless())
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.status_code == 413
    assert peak_bytes < 3_000_000


async def test_a_refusal_before_the_body_is_read_still_lets_the_sender_finish(ingest: IngestService) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(5):
            sent += 1
            yield b"x" * 10_000

    refused = await ingest.call("POST", f"/cases/{uuid.uuid4()}/pictures?kind=photo", content=body())
    assert (refused.status_code, sent) == (404, 5)


async def test_the_eleventh_picture_is_refused(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    answers = await asyncio.gather(*(ingest.upload(case_id) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 2
    assert len((await ingest.case(case_id))["pictures"]) == 10
    stored = await ingest.blobs.list_prefix(RAW, f"{case_id}/")
    assert len(stored) == 11, "ten originals and the key: what was refused was taken away"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "diagnosis", "text": ""}, 422),
        ({"kind": "diagnosis", "text": "x" * 10_001}, 422),
        ({"kind": "praise", "text": "x"}, 422),
        ({"kind": "remark", "text": "x" * 1_000_000}, 413),
        ({"kind": "remark", "text": "x", "parent_id": "nobody"}, 422),
    ],
)
async def test_a_comment_that_is_empty_huge_or_lost_is_refused(
    ingest: IngestService, body: dict[str, str], status: int
) -> None:
    case_id = await ingest.published_case()
    assert (await ingest.call("POST", f"/cases/{case_id}/comments", body)).status_code == status
    assert not [event for event in await ingest.events(case_id) if isinstance(event, CommentAdded)]


async def test_an_answer_belongs_to_a_comment_of_the_same_case(ingest: IngestService) -> None:
    first, second = await ingest.published_case(), await ingest.published_case()
    said = {"kind": "remark", "text": "x" * 10_000}
    parent = (await ingest.call("POST", f"/cases/{first}/comments", said)).json()["comment_id"]
    answer = {"kind": "question", "text": "Why?", "parent_id": parent}
    assert (await ingest.call("POST", f"/cases/{first}/comments", answer)).status_code == 201
    refused = await ingest.call("POST", f"/cases/{second}/comments", answer)
    assert refused.json()["type"] == "urn:consilium:problem:parent-comment-unknown"


async def test_the_author_is_told_that_an_unpublished_case_takes_no_comments(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    refused = await ingest.call("POST", f"/cases/{case_id}/comments", {"kind": "remark", "text": "x"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:consilium:problem:case-not-published")


# -- consent --------------------------------------------------------------------------------------------------------


async def test_no_submission_without_a_valid_consent(ingest: IngestService) -> None:
    case_id = await ingest.new_case()
    await ingest.upload(case_id)
    await ingest.call("POST", f"/cases/{case_id}/redaction")
    early = await ingest.consent(case_id)
    assert (early.status_code, early.json()["type"]) == (409, "urn:consilium:problem:case-state")
    await ingest.paint(case_id)
    refused = await ingest.call("POST", f"/cases/{case_id}/submission")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:consilium:problem:consent-needed")
    assert (refused.json()["reason"], await ingest.blobs.list_prefix(TEXTS, f"{case_id}/")) == ("none-recorded", [])
    assert (await ingest.call("PUT", f"/cases/{case_id}/consent", {})).status_code == 404, "nobody types a consent in"


async def test_a_question_about_no_patient_needs_no_consent(ingest: IngestService) -> None:
    case_id = await ingest.new_case(kind="administrative")
    await ingest.call("POST", f"/cases/{case_id}/redaction")
    await ingest.paint(case_id)
    assert (await ingest.case(case_id))["needs_consent"] is False
    assert (await ingest.call("POST", f"/cases/{case_id}/submission")).status_code == 202
    (submitted,) = [event for event in await ingest.events(case_id) if isinstance(event, CaseSubmitted)]
    assert submitted.consent is None


async def test_boxes_make_a_new_revision_that_needs_a_new_consent(ingest: IngestService) -> None:
    case_id = await ingest.ready_case()
    picture_id = (await ingest.case(case_id))["pictures"][0]["picture_id"]
    path = f"/cases/{case_id}/pictures/{picture_id}/boxes"
    box = {"kind": "manual", "box": [1, 2, 30, 20]}
    outside = await ingest.call(
        "PUT", path, {"frames": [{"frame": 0, "boxes": [{"kind": "manual", "box": [60, 0, 9, 9]}]}]}
    )
    assert outside.json()["type"] == "urn:consilium:problem:box-outside"
    changed = await ingest.call("PUT", path, {"frames": [{"frame": 0, "boxes": [box]}]})
    assert (changed.status_code, changed.json()["revision"]) == (202, 2)
    (*_, asked) = [event for event in await ingest.events(case_id) if isinstance(event, CaseUploaded)]
    boxes = asked.pictures[0].boxes
    assert boxes is not None
    assert isinstance(boxes[0], FrameBoxes)
    assert (boxes[0].boxes[0].kind, boxes[0].boxes[0].box) == (RegionKind.MANUAL, (1, 2, 30, 20))
    preview = (await ingest.call("GET", f"/cases/{case_id}/preview")).json()
    assert (preview["state"], preview["pictures"][0]["outcome"]) == ("uploaded", "pending")
    await ingest.paint(case_id)
    refused = await ingest.call("POST", f"/cases/{case_id}/submission")
    assert refused.json()["reason"] == "pictures-changed"
    await ingest.consent(case_id)
    assert (await ingest.submit(case_id)).status_code == 202


async def test_the_question_about_marks_is_put_and_must_be_answered(ingest: IngestService) -> None:
    asked = (await ingest.call("GET", "/questions")).json()["marks"]
    assert asked["kinds"] == ["photo", "wound"]
    assert {each["code"] for each in asked["answers"]} == {"none", "covered", "left"}
    assert "scar" in {each["code"] for each in asked["reasons"]}
    for said in (asked, *asked["answers"], *asked["reasons"]):
        assert said["fr"] != said["en"]

    case_id = await ingest.ready_case()
    (picture_id,) = [picture["picture_id"] for picture in (await ingest.case(case_id))["pictures"]]
    path = f"/cases/{case_id}/submission"
    for body in cast(list[object], [None, {}, {"marks": []}]):
        open_ = await ingest.call("POST", path, body)
        assert (open_.status_code, open_.json()["type"]) == (409, "urn:consilium:problem:marks-unanswered")
        assert open_.json()["picture_ids"] == [picture_id]
    french = await ingest.call("POST", path, headers={"accept-language": "fr"})
    assert "tatouage" in french.json()["detail"]
    unsaid = await ingest.call("POST", path, {"marks": [{"picture_id": picture_id, "answer": "left"}]})
    assert (unsaid.status_code, unsaid.json()["errors"][0]["code"]) == (422, "reason-missing")
    assert await ingest.blobs.list_prefix(TEXTS, f"{case_id}/") == []
    answer = {"picture_id": picture_id, "answer": "left", "reasons": ["scar"]}
    sent = await ingest.call("POST", path, {"marks": [answer]})
    assert sent.status_code == 202
    assert sent.json()["pictures"][0]["marks"] == {"answer": "left", "reasons": ["scar"]}
    (submitted,) = [event for event in await ingest.events(case_id) if isinstance(event, CaseSubmitted)]
    assert submitted.pictures[0].marks == Marks(answer=MarkAnswer.LEFT, reasons=(LeftReason.SCAR,))


async def test_the_preview_shows_what_is_suspected_what_stays_and_what_became_of_the_file(
    ingest: IngestService,
) -> None:
    case_id = await ingest.ready_case()
    picture_id = (await ingest.case(case_id))["pictures"][0]["picture_id"]
    tattoo = Region(kind=RegionKind.TATTOO, box=(4, 4, 20, 20), score=0.4, detector="tattoos")
    code = Region(kind=RegionKind.CODE, box=(40, 4, 9, 9), score=0.5, detector="codes")
    drawn = {"frame": 0, "boxes": [{"kind": "face", "box": [8, 8, 40, 40]}], "clinical": [[16, 16, 8, 8]]}
    path = f"/cases/{case_id}/pictures/{picture_id}/boxes"
    assert (await ingest.call("PUT", path, {"frames": [drawn]})).status_code == 202
    (*_, asked) = [event for event in await ingest.events(case_id) if isinstance(event, CaseUploaded)]
    (frame,) = asked.pictures[0].boxes or ()
    assert frame.clinical == ((16, 16, 8, 8),)
    painted = await ingest.rendering(case_id, picture_id, 2, notes=("first_frame_of:12",))
    found = {"regions": frame.boxes, "residual": (code,), "proposals": (tattoo,), "clinical": frame.clinical}
    frames = tuple(each.model_copy(update=found) for each in painted.frames)
    await ingest.take(painted.model_copy(update={"frames": frames}))

    (shown,) = (await ingest.call("GET", f"/cases/{case_id}/preview")).json()["pictures"]
    (view,) = shown["frames"]
    assert [each["box"] for each in view["proposals"]] == [[4, 4, 20, 20]]
    assert [each["box"] for each in view["residual"]] == [[40, 4, 9, 9]]
    assert view["clinical"] == [[16, 16, 8, 8]]
    assert shown["marks_asked"] is True
    assert [note["code"] for note in shown["notes"]] == ["first_frame_of:12"]
    assert "première" in shown["notes"][0]["fr"]

    cover = {"frame": 0, "boxes": [*view["regions"], view["proposals"][0]], "clinical": view["clinical"]}
    assert (await ingest.call("PUT", path, {"frames": [cover]})).json()["revision"] == 3
    (*_, asked) = [event for event in await ingest.events(case_id) if isinstance(event, CaseUploaded)]
    assert tattoo in (asked.pictures[0].boxes or ())[0].boxes


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


def test_every_refusal_of_the_rules_has_a_problem_in_both_languages() -> None:
    def leaves(kind: type[Refused]) -> list[type[Refused]]:
        return [kind, *(leaf for sub in kind.__subclasses__() for leaf in leaves(sub))]

    facts = {"state": "draft", "limit": 1, "reason": "x", "frame": 0}
    for kind in leaves(Refused)[1:]:
        problem = problem_of(kind(**facts))
        assert problem.slug == kind.code
        english, french = problem.document("en"), problem.document("fr")
        assert english["detail"] != french["detail"]
        assert "{" not in english["detail"] + french["detail"]
