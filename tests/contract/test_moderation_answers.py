"""Questions to the moderator and the second moderator, over HTTP on the real database."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from deploy.local import Platform
from shared.events import (
    CaseApproved,
    MemberChanged,
    MemberStatus,
    PictureKind,
    Profession,
    RedactionRequested,
    Region,
    RegionKind,
    Role,
)
from tests.moderation_service import START, Moderation, moderation_service, queued, slug

pytestmark = pytest.mark.platform

TATTOO = Region(kind=RegionKind.TATTOO, box=(60, 40, 64, 64), score=0.4, detector="tattoos")
FACE = Region(kind=RegionKind.FACE, box=(200, 200, 100, 100), score=0.9, detector="faces")
EYE = (220, 220, 32, 16)
NONE = {"answer": "none"}


@pytest.fixture(scope="module")
async def moderation(platform: Platform) -> AsyncIterator[Moderation]:
    async with moderation_service(platform) as made:
        yield made


@pytest.fixture(autouse=True)
def start_of_day(moderation: Moderation) -> None:
    moderation.now = START


async def photo(moderation: Moderation, **found: Any) -> tuple[str, str]:
    """A submitted case with one photo whose only frame has what was `found`: the ids of both."""
    case_id, picture_id = str(uuid.uuid4()), str(uuid.uuid4())
    await moderation.tell(await moderation.rendered(case_id, picture_id, **found))
    await moderation.tell(await moderation.submission(case_id, picture_id, kind=PictureKind.PHOTO))
    return case_id, picture_id


async def look(client: httpx.AsyncClient, case_id: str) -> dict[str, Any]:
    """Claim the case, read it and look at its picture at full size; what was shown of the picture."""
    assert (await client.post(f"/cases/{case_id}/claim")).status_code == 200
    (shown,) = (await client.get(f"/cases/{case_id}")).json()["pictures"]
    (full,) = [each for each in shown["frames"][0]["renditions"] if each["size"] == "full"]
    assert (await client.get(full["url"])).status_code == 200
    return dict(shown)


async def test_the_questions_are_given_in_both_languages(moderation: Moderation) -> None:
    async with moderation.client("ann") as ann:
        asked = (await ann.get("/questions")).json()["marks"]
    assert asked["kinds"] == ["photo", "wound"]
    assert "tatouage" in asked["fr"]
    assert "tattoo" in asked["en"]
    assert {each["code"] for each in asked["answers"]} == {"none", "covered", "left"}
    assert {"scar", "jewellery", "lesion", "not_identifying"} <= {each["code"] for each in asked["reasons"]}


async def test_a_picture_is_published_when_everything_is_answered(moderation: Moderation) -> None:
    case_id, picture_id = await photo(moderation, proposals=(TATTOO,))
    path = f"/cases/{case_id}/pictures/{picture_id}/decision"
    publish: dict[str, Any] = {"revision": 1, "decision": "publish"}
    left = {"frame": 0, "proposal": 0, "answer": "left", "reason": "scar"}
    async with moderation.client("ann") as ann:
        shown = await look(ann, case_id)
        assert shown["marks_asked"] is True
        assert [each["box"] for each in shown["frames"][0]["proposals"]] == [[60, 40, 64, 64]]
        refused = await ann.put(path, json=publish, headers={"accept-language": "fr"})
        assert (refused.status_code, slug(refused)) == (409, "proposals-unanswered")
        assert refused.json()["proposals"] == [{"frame": 0, "proposal": 0}]
        assert "recouvrez" in refused.json()["detail"]
        untrue = publish | {"proposals": [{"frame": 0, "proposal": 0, "answer": "covered"}], "marks": NONE}
        refused = await ann.put(path, json=untrue)
        assert (refused.status_code, slug(refused)) == (409, "proposal-not-covered")
        assert "PUT boxes" in refused.json()["detail"]
        refused = await ann.put(path, json=publish | {"proposals": [left]})
        assert (refused.status_code, slug(refused)) == (409, "marks-unanswered")
        for wrong, code, pointer in (
            (left | {"proposal": 1}, "proposal_unknown", "#/proposals/0"),
            (left | {"reason": None}, "reason-missing", "#/proposals/0"),
            (left | {"answer": "covered"}, "reason-not-wanted", "#/proposals/0"),
            (left | {"answer": "none"}, "literal_error", "#/proposals/0/answer"),
            (left | {"reason": "looks fine to me"}, "enum", "#/proposals/0/reason"),
        ):
            answer = await ann.put(path, json=publish | {"proposals": [wrong], "marks": NONE})
            assert answer.status_code == 422, wrong
            (error,) = answer.json()["errors"]
            assert (error["code"], error["pointer"]) == (code, pointer)
        approval = await ann.post(f"/cases/{case_id}/approval")
        assert (approval.status_code, slug(approval)) == (409, "pictures-undecided")
        said = await ann.put(path, json=publish | {"proposals": [left], "marks": NONE})
        assert said.status_code == 200
        assert said.json()["answers"]["proposals"] == [left]
        assert (await ann.post(f"/cases/{case_id}/approval")).status_code == 200
        audit = (await ann.get(f"/cases/{case_id}/audit")).json()
    (decided,) = [record["detail"] for record in audit["items"] if record["act"] == "decided"]
    assert decided == {"decision": "publish", "proposals": ["0/0 left scar"], "marks": "none"}
    assert audit["whole"] is True
    (event,) = await moderation.sent(CaseApproved, case_id)
    assert event.pictures[0].frames[0].proposals == ()


async def test_a_proposal_is_answered_by_covering_it(moderation: Moderation) -> None:
    case_id, picture_id = await photo(moderation, proposals=(TATTOO,))
    path = f"/cases/{case_id}/pictures/{picture_id}"
    async with moderation.client("ann") as ann:
        shown = await look(ann, case_id)
        cover = {"revision": 1, "frames": [{"frame": 0, "boxes": shown["frames"][0]["proposals"]}]}
        assert (await ann.put(f"{path}/boxes", json=cover)).json()["revision"] == 2
        (request,) = await moderation.sent(RedactionRequested, picture_id)
        assert request.boxes[0].boxes == (TATTOO,)
        await moderation.tell(await moderation.rendered(case_id, picture_id, 2, regions=(TATTOO,)))
        await look(ann, case_id)
        decision = {"revision": 2, "decision": "publish", "marks": {"answer": "covered"}}
        assert (await ann.put(f"{path}/decision", json=decision)).status_code == 200
        assert (await ann.post(f"/cases/{case_id}/approval")).status_code == 200
        audit = (await ann.get(f"/cases/{case_id}/audit")).json()
    (drawn,) = [record["detail"] for record in audit["items"] if record["act"] == "boxes_changed"]
    assert drawn["proposals_covered"] == ["0/0"]


async def test_part_of_a_face_is_published_by_two_different_moderators(moderation: Moderation) -> None:
    case_id, picture_id = await photo(moderation, regions=(FACE,), clinical=(EYE,))
    path = f"/cases/{case_id}/pictures/{picture_id}/decision"
    decision = {"revision": 1, "decision": "publish", "marks": NONE}
    approval, claim = f"/cases/{case_id}/approval", f"/cases/{case_id}/claim"
    async with moderation.client("ann") as ann, moderation.client("bob") as bob:
        item = await queue_item(bob, case_id)
        assert (item["needs_second_moderator"], item["first_approved_at"]) == (True, None)
        shown = await look(ann, case_id)
        assert shown["needs_second_moderator"] is True
        assert shown["frames"][0]["clinical"] == [list(EYE)]
        await ann.put(path, json=decision)
        first = await ann.post(approval)
        assert (first.status_code, first.json()["outcome"]) == (202, "first_approved")
        again = await ann.post(approval)
        assert (again.status_code, again.json()) == (202, first.json())
        assert await moderation.sent(CaseApproved, case_id) == []

        assert case_id not in await queued(ann)
        refused = await ann.post(claim, headers={"accept-language": "fr"})
        assert (refused.status_code, slug(refused)) == (403, "second-moderator-needed")
        assert "deuxième modérateur" in refused.json()["detail"]
        item = await queue_item(bob, case_id)
        assert (item["needs_second_moderator"], item["first_approved_at"]) == (True, "2026-03-01T09:00:00Z")

        await look(bob, case_id)
        assert (await bob.get(f"/cases/{case_id}")).json()["first_approved_at"] == "2026-03-01T09:00:00Z"
        undecided = await bob.post(approval)
        assert (undecided.status_code, slug(undecided)) == (409, "pictures-undecided")
        await bob.put(path, json=decision)
        second = await bob.post(approval)
        assert (second.status_code, second.json()["outcome"]) == (200, "approved")
        audit = (await bob.get(f"/cases/{case_id}/audit")).json()
    (event,) = await moderation.sent(CaseApproved, case_id)
    assert event.pictures[0].frames[0].clinical == ()
    acts = [(record["act"], record["actor"]) for record in audit["items"] if "approved" in record["act"]]
    assert acts == [("first_approved", "ann"), ("approved", "bob")]
    assert audit["items"][-1]["detail"]["first_moderator"] == "ann"
    assert audit["whole"] is True


async def first_approved(moderation: Moderation) -> str:
    """A case that Ann has approved and that waits for a second moderator."""
    case_id, picture_id = await photo(moderation, regions=(FACE,), clinical=(EYE,))
    async with moderation.client("ann") as ann:
        await look(ann, case_id)
        decision = {"revision": 1, "decision": "publish", "marks": NONE}
        await ann.put(f"/cases/{case_id}/pictures/{picture_id}/decision", json=decision)
        assert (await ann.post(f"/cases/{case_id}/approval")).status_code == 202
    return case_id


async def test_a_first_approval_is_taken_back(moderation: Moderation) -> None:
    case_id = await first_approved(moderation)
    approval = f"/cases/{case_id}/approval"
    async with moderation.client("ann") as ann, moderation.client("bob") as bob:
        refused = await bob.delete(approval, headers={"accept-language": "fr"})
        assert (refused.status_code, slug(refused)) == (409, "no-first-approval")
        assert "première approbation" in refused.json()["detail"]
        assert (await bob.delete(f"/cases/{uuid.uuid4()}/approval")).status_code == 404
        assert (await ann.delete(approval)).status_code == 204
        item = await queue_item(ann, case_id)
        assert (item["needs_second_moderator"], item["first_approved_at"]) == (True, None)
        again = await ann.delete(approval)
        assert (again.status_code, slug(again)) == (409, "no-first-approval")
    assert (await moderation.acts(case_id))[-2:] == ["first_approved", "approval_withdrawn"]


@pytest.mark.parametrize(
    ("status", "roles", "falls"),
    [
        (MemberStatus.SUSPENDED, (Role.MEMBER, Role.MODERATOR), True),
        (MemberStatus.VERIFIED, (Role.MEMBER,), True),
        (MemberStatus.VERIFIED, (Role.MEMBER, Role.MODERATOR), False),
    ],
)
async def test_a_first_approval_falls_with_its_moderator(
    moderation: Moderation, status: MemberStatus, roles: tuple[Role, ...], falls: bool
) -> None:
    case_id = await first_approved(moderation)
    left = MemberChanged(
        member_id="ann", version=9, status=status, roles=roles, profession=Profession.PHYSICIAN, pseudonym="Ann"
    )
    try:
        await moderation.tell(left)
        async with moderation.client("bob") as bob:
            assert ((await queue_item(bob, case_id))["first_approved_at"] is None) is falls
    finally:
        await moderation.mongo.db["members"].delete_one({"_id": "ann"})


async def test_only_the_author_marks_a_clinical_region(moderation: Moderation) -> None:
    case_id, picture_id = await photo(moderation, regions=(FACE,))
    asked = {"revision": 1, "frames": [{"frame": 0, "boxes": [], "clinical": [list(EYE)]}]}
    async with moderation.client("ann") as ann:
        await look(ann, case_id)
        refused = await ann.put(f"/cases/{case_id}/pictures/{picture_id}/boxes", json=asked)
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["code"], error["pointer"]) == ("clinical_new", "#/frames/0/clinical/0")


async def test_a_review_stored_before_the_second_moderator_is_still_in_the_queue(moderation: Moderation) -> None:
    case_id, _ = await photo(moderation)
    reviews = moderation.mongo.db["reviews"]
    old = {
        "first_approved_by": "",
        "body.first_approval": "",
        "summary.needs_second_moderator": "",
        "summary.first_approved_at": "",
    }
    await reviews.update_one({"_id": case_id}, {"$unset": old})
    async with moderation.client("ann") as ann:
        assert (await queue_item(ann, case_id))["needs_second_moderator"] is False
        assert (await look(ann, case_id))["revision"] == 1


async def queue_item(client: httpx.AsyncClient, case_id: str) -> dict[str, Any]:
    items = (await client.get("/queue", params={"limit": 100})).json()["items"]
    (item,) = [each for each in items if each["case_id"] == case_id]
    return dict(item)
