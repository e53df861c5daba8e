"""The whole way on real parts: upload, machine, human, feed, answer."""

import hashlib
import io
import uuid

import httpx
import numpy as np
import pytest
from PIL import Image

from deploy.local.client import Json, Person, Refused, wait_until
from tests.e2e.conftest import MakePerson, approved, submitted

pytestmark = pytest.mark.platform


def test_a_case_goes_the_whole_way(
    author: Person, moderator: Person, colleague: Person, photo: bytes, radiograph: bytes, dicom: bytes
) -> None:
    case_id = author.create_case(specialty="radiology", kind="diagnosis", title="Wrist", body="A fracture?")["case_id"]
    for data, kind in ((photo, "photo"), (radiograph, "xray"), (dicom, "scan")):
        author.upload(case_id, data, kind)
    author.start_redaction(case_id)
    preview = author.preview_when_painted(case_id)
    assert [picture["outcome"] for picture in preview["pictures"]] == ["redacted"] * 3
    kinds = [{region["kind"] for frame in p["frames"] for region in frame["regions"]} for p in preview["pictures"]]
    assert "face" in kinds[0]
    assert "text" in kinds[1]
    author.consent(case_id)
    author.submit(case_id)

    moderator.claim_when_queued(case_id)
    review = moderator.review(case_id)
    first = review["pictures"][0]
    moderator.look_at(first, case_id)
    revision = moderator.change_boxes(case_id, first, [[0, 0, 64, 48]])["revision"]
    assert revision == first["revision"] + 1
    review = moderator.review_when_painted(case_id, first["picture_id"], revision)
    manual = [r for f in review["pictures"][0]["frames"] for r in f["regions"] if r["kind"] == "manual"]
    assert [region["box"] for region in manual] == [[0, 0, 64, 48]]
    seen: set[str] = set()
    for picture in review["pictures"]:
        seen |= {hashlib.sha256(data).hexdigest() for data in moderator.look_at(picture, case_id)}
        moderator.decide(case_id, picture)
    moderator.approve(case_id)

    case = colleague.read_when_published(case_id)
    served = set[str]()
    for picture in case["pictures"]:
        for frame in picture["frames"]:
            for rendition in frame["renditions"]:
                data = colleague.fetch(rendition["url"])
                assert hashlib.sha256(data).hexdigest() == rendition["sha256"]
                if rendition["size"] == "full":
                    served.add(rendition["sha256"])
    assert served == seen, "what members see is, byte for byte, what the moderator saw"

    said = colleague.comment(case_id, "Compare with an earlier film.", key=str(uuid.uuid4()))
    found = wait_until("the comment", lambda: author.comments(case_id))
    assert [one["comment_id"] for one in found] == [said["comment_id"]]
    assert found[0]["text"] == "Compare with an earlier film."
    assert author.case(case_id)["state"] == "published"


def test_a_question_about_no_patient_needs_no_consent(author: Person, moderator: Person) -> None:
    case_id = author.create_case(kind="posology", title="Dose", body="Which dose in renal failure?")["case_id"]
    author.start_redaction(case_id)
    author.preview_when_painted(case_id)
    author.submit(case_id)
    moderator.claim_when_queued(case_id)
    with pytest.raises(Refused) as unread:
        moderator.approve(case_id)
    assert unread.value.slug == "text-not-seen"
    assert moderator.review(case_id)["body"] == "Which dose in renal failure?"
    moderator.approve(case_id)
    assert author.read_when_published(case_id)["pictures"] == []


def test_without_a_consent_a_case_about_a_patient_is_refused(author: Person, photo: bytes) -> None:
    case_id = author.create_case()["case_id"]
    author.upload(case_id, photo)
    author.start_redaction(case_id)
    author.preview_when_painted(case_id)
    with pytest.raises(Refused) as refused:
        author.submit(case_id)
    assert refused.value.status in (409, 422)
    assert "consent" in refused.value.slug
    assert author.case(case_id)["state"] == "redacted"


def test_a_repeated_request_is_harmless(author: Person, photo: bytes) -> None:
    key = str(uuid.uuid4())
    headers = {"idempotency-key": key}
    given = {"specialty": "radiology", "kind": "opinion", "language": "en", "title": "Once", "body": "Once only."}
    one = author.call("POST", "ingest", "/cases", given, headers=headers)
    two = author.call("POST", "ingest", "/cases", given, headers=headers)
    assert one["case_id"] == two["case_id"]
    other = author.raw("POST", "ingest", "/cases", json=given | {"title": "Another"}, headers=headers)
    assert other.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    upload_key = str(uuid.uuid4())
    first = author.upload(one["case_id"], photo, key=upload_key)
    again = author.upload(one["case_id"], photo, key=upload_key)
    assert first["picture_id"] == again["picture_id"]
    assert len(author.case(one["case_id"])["pictures"]) == 1


def test_two_moderators_never_hold_one_case(
    author: Person, moderator: Person, make_person: MakePerson, radiograph: bytes
) -> None:
    case_id = submitted(author, radiograph)
    moderator.claim_when_queued(case_id)
    with pytest.raises(Refused) as refused:
        make_person("moderator").claim(case_id)
    assert refused.value.status == httpx.codes.CONFLICT


def test_nothing_is_approved_unseen_or_undecided(author: Person, moderator: Person, radiograph: bytes) -> None:
    case_id = submitted(author, radiograph)
    moderator.claim_when_queued(case_id)
    picture = moderator.review(case_id)["pictures"][0]
    with pytest.raises(Refused) as unseen:
        moderator.decide(case_id, picture)
    assert unseen.value.status == httpx.codes.CONFLICT
    with pytest.raises(Refused) as undecided:
        moderator.approve(case_id)
    assert undecided.value.status == httpx.codes.CONFLICT
    moderator.look_at(picture, case_id)
    moderator.decide(case_id, picture)
    moderator.approve(case_id)
    assert author.read_when_published(case_id)


def test_part_of_a_face_is_shown_when_two_moderators_agree(
    author: Person, moderator: Person, make_person: MakePerson, photo: bytes
) -> None:
    case_id = author.create_case(specialty="ophthalmology", title="Lid", body="What is this on the lid?")["case_id"]
    author.upload(case_id, photo)
    author.start_redaction(case_id)
    (picture,) = author.preview_when_painted(case_id)["pictures"]
    (frame,) = picture["frames"]
    face = max((r["box"] for r in frame["regions"] if r["kind"] == "face"), key=lambda box: box[2] * box[3])
    eye = [face[0] + face[2] // 4, face[1] + face[3] // 4, face[2] // 2, face[3] // 4]
    assert author.redraw(case_id, picture["picture_id"], [{**drawn(frame), "clinical": [eye]}])["revision"] == 2
    (picture,) = author.preview_when_painted(case_id)["pictures"]
    (frame,) = picture["frames"]
    assert frame["clinical"] == [eye]
    full = next(one for one in frame["renditions"] if one["size"] == "full")
    shown = Image.open(io.BytesIO(author.fetch(full["url"], "ingest"))).convert("L")
    assert spread(shown, eye) > 20, "the eye is to be seen"
    assert spread(shown, [face[0], eye[1] + eye[3] + 16, face[2], face[3] // 4]) < 5, "the mouth is not"
    author.consent(case_id)
    author.submit(case_id)

    assert approved(moderator, case_id)["outcome"] == "first_approved"
    with pytest.raises(Refused) as refused:
        moderator.claim(case_id)
    assert (refused.value.status, refused.value.slug) == (httpx.codes.FORBIDDEN, "second-moderator-needed")
    assert author.read(case_id) is None
    second = make_person("moderator")
    assert approved(second, case_id)["outcome"] == "approved"
    case = author.read_when_published(case_id)
    assert set(case["pictures"][0]["frames"][0]) == {"index", "width", "height", "renditions"}, "no box of any kind"
    acts = [one["act"] for one in second.call("GET", "moderation", f"/cases/{case_id}/audit")["items"]]
    assert (acts.count("first_approved"), acts.count("approved")) == (1, 1)


def drawn(frame: Json) -> Json:
    """A frame's boxes as they are painted, to be sent again."""
    return {"frame": frame["index"], "boxes": frame["regions"]}


def spread(image: Image.Image, box: list[int]) -> int:
    """How far the greys inside a box reach: next to nothing where it is painted."""
    left, top, width, height = box
    return int(np.ptp(np.asarray(image.crop((left, top, left + width, top + height)))))


def test_the_questions_about_marks_must_be_answered(author: Person, moderator: Person, photo: bytes) -> None:
    case_id = author.create_case()["case_id"]
    author.upload(case_id, photo)
    author.start_redaction(case_id)
    (picture,) = author.preview_when_painted(case_id)["pictures"]
    assert picture["marks_asked"]
    author.consent(case_id)
    with pytest.raises(Refused) as unanswered:
        author.call("POST", "ingest", f"/cases/{case_id}/submission")
    assert (unanswered.value.status, unanswered.value.slug) == (httpx.codes.CONFLICT, "marks-unanswered")
    marks = [{"picture_id": picture["picture_id"], "answer": "left", "reasons": ["birthmark"]}]
    author.call("POST", "ingest", f"/cases/{case_id}/submission", {"marks": marks})
    moderator.claim_when_queued(case_id)
    (seen,) = moderator.review(case_id)["pictures"]
    assert seen["author_marks"] == {"answer": "left", "reasons": ["birthmark"]}
    moderator.look_at(seen, case_id)
    path = f"/cases/{case_id}/pictures/{seen['picture_id']}/decision"
    with pytest.raises(Refused) as unanswered:
        moderator.call("PUT", "moderation", path, {"revision": seen["revision"], "decision": "publish"})
    assert unanswered.value.slug in ("marks-unanswered", "proposals-unanswered")
    moderator.decide(case_id, seen)
    assert moderator.approve(case_id)["outcome"] == "approved"


def test_no_route_of_any_service_gives_a_picture_before_approval(
    author: Person, colleague: Person, photo: bytes
) -> None:
    case_id = submitted(author, photo)
    picture = author.preview(case_id)["pictures"][0]
    path = f"/cases/{case_id}/pictures/{picture['picture_id']}/frames/0/full"
    assert author.raw("GET", "ingest", path).status_code == httpx.codes.OK
    for service in ("ingest", "feed", "moderation"):
        assert colleague.raw("GET", service, path).status_code in (403, 404), service
    assert colleague.raw("GET", "ingest", f"/cases/{case_id}").status_code == httpx.codes.NOT_FOUND
    assert colleague.read(case_id) is None


def test_a_rejected_case_can_be_mended_and_comes_back(author: Person, moderator: Person, radiograph: bytes) -> None:
    case_id = submitted(author, radiograph)
    moderator.claim_when_queued(case_id)
    reason = moderator.call("GET", "moderation", "/reasons")["items"][0]["code"]
    moderator.call("POST", "moderation", f"/cases/{case_id}/rejection", {"outcome": "changes", "reasons": [reason]})
    wait_until("the author's notice", lambda: author.case(case_id)["state"] == "changes")
    author.call("PATCH", "ingest", f"/cases/{case_id}", {"body": "Said more carefully."})
    author.submit(case_id)
    approved(moderator, case_id)
    case = author.read_when_published(case_id)
    assert "Said more carefully." in str(case)
