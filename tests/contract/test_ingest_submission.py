"""What a submission needs: consent, painted pictures, answers about marks; over HTTP on the real stores."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from deploy.local import Platform
from shared.blobs import TEXTS
from shared.events import CaseSubmitted, CaseUploaded, FrameBoxes, LeftReason, MarkAnswer, Marks, Region, RegionKind
from tests.ingest_service import IngestService, ingest_service

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
async def ingest(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestService]:
    folder: Path = tmp_path_factory.mktemp("ingest")
    async with ingest_service(platform, folder) as service:
        yield service


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
