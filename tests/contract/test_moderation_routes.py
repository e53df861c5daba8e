"""Moderation over HTTP, on a real MongoDB and a real object store."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from deploy.local import Platform
from services.moderation.domain import (
    Refusal,
)
from shared.blobs import REDACTED, TEXTS, redacted_prefix, text_key
from shared.events import (
    CaseApproved,
    CaseRejected,
    MemberChanged,
    MemberStatus,
    Profession,
    RedactionRequested,
    RenditionSize,
    Role,
)
from tests.moderation_service import SIZES, START, Moderation, moderation_service, published_by, queued, slug

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
async def moderation(platform: Platform) -> AsyncIterator[Moderation]:
    async with moderation_service(platform) as made:
        yield made


@pytest.fixture(autouse=True)
def start_of_day(moderation: Moderation) -> None:
    moderation.now = START


class TestRoutes:
    async def test_a_case_goes_from_the_queue_to_its_approval(self, moderation: Moderation) -> None:
        case_id, event = await published_by(moderation, "ann")
        assert (event.title, event.text) == ("A wrist", "Is it broken? Version 2.")
        rendered = await moderation.rendered(case_id, event.pictures[0].picture_id)
        assert event.pictures[0].frames == rendered.frames
        async with moderation.client("ann") as ann:
            again = await ann.post(f"/cases/{case_id}/approval")
            assert (again.status_code, again.json()["outcome"]) == (200, "approved")
            assert len(await moderation.sent(CaseApproved, case_id)) == 1
            over = await ann.post(f"/cases/{case_id}/claim")
            assert (over.status_code, slug(over)) == (409, "case-not-waiting")

    async def test_a_box_drawn_by_hand_asks_for_a_revision_that_must_be_seen_anew(self, moderation: Moderation) -> None:
        case_id, (picture_id,) = await moderation.case()
        picture = f"/cases/{case_id}/pictures/{picture_id}"
        async with moderation.client("ann") as ann:
            await ann.post(f"/cases/{case_id}/claim")
            await ann.get(f"/cases/{case_id}")
            await ann.get(f"{picture}/frames/0/full")
            decision = {"revision": 1, "decision": "publish"}
            assert (await ann.put(f"{picture}/decision", json=decision)).status_code == 200
            boxes = {"revision": 1, "frames": [{"frame": 0, "boxes": [{"kind": "manual", "box": [1, 2, 30, 40]}]}]}
            outside = {"revision": 1, "frames": [{"frame": 0, "boxes": [{"kind": "manual", "box": [640, 0, 9, 9]}]}]}
            french = {"accept-language": "fr"}
            refused = await ann.put(f"{picture}/boxes", json=outside, headers=french)
            assert refused.status_code == 422
            assert refused.json()["errors"][0]["pointer"] == "#/frames/0/boxes/0/box"
            assert "hors de sa vue" in refused.json()["errors"][0]["detail"]
            asked = await ann.put(f"{picture}/boxes", json=boxes)
            assert (asked.status_code, asked.json()["revision"]) == (202, 2)
            (request,) = await moderation.sent(RedactionRequested, picture_id)
            assert request.boxes[0].boxes[0].box == (1, 2, 30, 40)
            waiting = await ann.post(f"/cases/{case_id}/approval")
            assert (waiting.status_code, slug(waiting)) == (409, "redaction-outstanding")
            shown = (await ann.get(f"/cases/{case_id}")).json()["pictures"][0]
            assert (shown["revision"], shown["awaited_revision"]) == (1, 2)

            await moderation.tell(await moderation.rendered(case_id, picture_id, 2))
            stale = await ann.put(f"{picture}/boxes", json=boxes)
            assert (stale.status_code, slug(stale)) == (409, "revision-stale")
            assert stale.json()["current_revision"] == 2
            decision = {"revision": 2, "decision": "publish"}
            unseen = await ann.put(f"{picture}/decision", json=decision)
            assert (unseen.status_code, slug(unseen), unseen.json()["frames"]) == (409, "picture-not-seen", [0])
            for size in ("small", "large"):
                assert (await ann.get(f"{picture}/frames/0/{size}")).status_code == 200
            assert slug(await ann.put(f"{picture}/decision", json=decision)) == "picture-not-seen"
            await ann.get(f"{picture}/frames/0/full")
            assert (await ann.put(f"{picture}/decision", json=decision)).status_code == 200
            assert (await ann.post(f"/cases/{case_id}/approval")).status_code == 200

    async def test_a_case_sent_back_returns_with_its_thread(self, moderation: Moderation) -> None:
        case_id, picture_ids = await moderation.case()
        async with moderation.client("ann") as ann, moderation.client("bob") as bob:
            await ann.post(f"/cases/{case_id}/claim")
            wrong = await ann.post(f"/cases/{case_id}/rejection", json={"outcome": "changes", "reasons": ["ugly"]})
            assert wrong.status_code == 422
            back = {"outcome": "changes", "reasons": ["question_unclear", "picture_quality"]}
            assert (await ann.post(f"/cases/{case_id}/rejection", json=back)).status_code == 200
            (event,) = await moderation.sent(CaseRejected, case_id)
            assert event.reasons == ("picture_quality", "question_unclear")
            await moderation.tell(await moderation.submission(case_id, *picture_ids, version=4))
            assert case_id in await queued(bob)
            await bob.post(f"/cases/{case_id}/claim")
            shown = (await bob.get(f"/cases/{case_id}")).json()
        assert shown["body"] == "Is it broken? Version 4."
        assert [(each["version"], each["outcome"]) for each in shown["thread"]] == [(2, "changes")]

    async def test_the_queue_pages_from_the_oldest_with_neutral_facts_only(self, moderation: Moderation) -> None:
        made = []
        for number in range(6):
            moderation.now = START - timedelta(days=30) + timedelta(minutes=number // 2)  # some at the same moment
            made.append((await moderation.case(number % 2))[0])
        moderation.now = START
        found: list[dict[str, Any]] = []
        async with moderation.client("ann") as ann, moderation.client("author") as author:
            cursor = None
            while len(found) < 6:
                page = (await ann.get("/queue", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
                assert len(page["items"]) == 2
                found += page["items"]
                cursor = page["next_cursor"]
            assert {item["case_id"] for item in found[:6]} == set(made)
            assert [item["submitted_at"] for item in found] == sorted(item["submitted_at"] for item in found)
            facts = {"case_id", "submitted_at", "version", "specialty", "kind", "language", "rounds"}
            facts |= {"pictures", "pictures_outstanding", "needs_second_moderator", "first_approved_at"}
            facts |= {"findings", "combinations"}
            assert set(found[0]) == facts
            assert not set(made) & set(await queued(author))
            refused = await author.post(f"/cases/{made[0]}/claim")
            assert (refused.status_code, slug(refused)) == (403, "own-case")
            bad = await ann.get("/queue", params={"cursor": "bm9wZQ"})
            assert (bad.status_code, slug(bad)) == (422, "cursor-malformed")

    async def test_only_moderators_come_in_and_a_suspended_one_no_longer(self, moderation: Moderation) -> None:
        async with moderation.client("member", roles=("member",)) as member:
            for method, path in (
                ("GET", "/queue"),
                ("GET", "/reasons"),
                ("GET", "/questions"),
                ("POST", "/cases/x/claim"),
                ("DELETE", "/cases/x/claim"),
                ("GET", "/cases/x"),
                ("GET", "/cases/x/pictures/y/frames/0/full"),
                ("PUT", "/cases/x/pictures/y/boxes"),
                ("PUT", "/cases/x/pictures/y/decision"),
                ("POST", "/cases/x/approval"),
                ("DELETE", "/cases/x/approval"),
                ("POST", "/cases/x/rejection"),
                ("GET", "/cases/x/audit"),
            ):
                answer = await member.request(method, path)
                assert (answer.status_code, slug(answer)) == (403, "role-missing"), path
        async with moderation.client("eve") as eve:
            assert (await eve.get("/queue")).status_code == 200
            suspended = MemberChanged(
                member_id="eve",
                version=9,
                pseudonym="Eve",
                profession=Profession.PHYSICIAN,
                roles=(Role.MEMBER, Role.MODERATOR),
                status=MemberStatus.SUSPENDED,
            )
            await moderation.tell(suspended)
            answer = await eve.get("/queue")
            assert (answer.status_code, slug(answer)) == (403, "account-suspended")

    async def test_reasons_are_given_in_both_languages(self, moderation: Moderation) -> None:
        async with moderation.client("ann") as ann:
            items = (await ann.get("/reasons")).json()["items"]
        assert all(item["code"] and item["fr"] and item["en"] for item in items)

    async def test_an_unknown_case_and_one_not_yet_submitted_look_alike(self, moderation: Moderation) -> None:
        case_id = str(uuid.uuid4())
        async with moderation.client("ann") as ann:
            never = await ann.post(f"/cases/{case_id}/claim")
            await moderation.tell(await moderation.rendered(case_id, "p1"))
            early = await ann.post(f"/cases/{case_id}/claim")
            assert [never.status_code, early.status_code] == [404, 404]
            assert slug(never) == slug(early) == "case-unknown"


class TestContent:
    async def test_bytes_that_are_not_the_redactors_are_never_served(self, moderation: Moderation) -> None:
        case_id, (picture_id,) = await moderation.case()
        path = f"/cases/{case_id}/pictures/{picture_id}/frames/0/full"
        async with moderation.client("ann") as ann:
            await ann.post(f"/cases/{case_id}/claim")
            stored = await moderation.redactor.list_prefix(REDACTED, redacted_prefix(case_id, picture_id, 1))
            (key,) = [found.key for found in stored if "-full-" in found.key]
            await moderation.redactor.put(REDACTED, key, b"something else", "image/png")
            broken = await ann.get(path)
            assert (broken.status_code, slug(broken)) == (502, "content-broken")
            await moderation.redactor.delete(REDACTED, key)
            gone = await ann.get(path)
            assert (gone.status_code, slug(gone)) == (404, "content-gone")
        assert await moderation.acts(case_id) == ["claimed"]

    async def test_a_text_that_changed_after_it_was_read_is_not_published(self, moderation: Moderation) -> None:
        case_id, _ = await moderation.case(0)
        async with moderation.client("ann") as ann:
            await ann.post(f"/cases/{case_id}/claim")
            unread = await ann.post(f"/cases/{case_id}/approval")
            assert (unread.status_code, slug(unread)) == (409, "text-not-seen")
            await ann.get(f"/cases/{case_id}")
            await moderation.ingest.put(TEXTS, text_key(case_id, 2), b'{"title": "t", "body": "Mr Smith"}')
            changed = await ann.post(f"/cases/{case_id}/approval")
            assert (changed.status_code, slug(changed)) == (409, "text-not-seen")

    @pytest.mark.parametrize("spec_version", ["2.3", "2.4"])  # servers tell of a client who left in two ways
    async def test_a_broken_download_does_not_count(self, moderation: Moderation, spec_version: str) -> None:
        case_id, (picture_id,) = await moderation.case()
        async with moderation.client("ann") as ann:
            await ann.post(f"/cases/{case_id}/claim")
        path = f"/cases/{case_id}/pictures/{picture_id}/frames/0/full"
        sent = await download(moderation, "ann", path, leave_after=1, spec_version=spec_version)
        assert 0 < len(sent) < SIZES[RenditionSize.FULL]
        assert "served" not in await moderation.acts(case_id)

    async def test_the_mark_is_there_before_the_last_bytes_are(self, moderation: Moderation) -> None:
        case_id, (picture_id,) = await moderation.case()
        async with moderation.client("ann") as ann:
            await ann.post(f"/cases/{case_id}/claim")
        marks: list[bool] = []

        async def look_into_the_chain() -> None:
            marks.append("served" in await moderation.acts(case_id))

        path = f"/cases/{case_id}/pictures/{picture_id}/frames/0/full"
        data = await download(moderation, "ann", path, at_each_part=look_into_the_chain)
        event = await moderation.rendered(case_id, picture_id)
        assert hashlib.sha256(data).hexdigest() == event.frames[0].renditions[0].sha256
        assert marks == [False] * (len(marks) - 1) + [True]
        assert len(marks) > 2

    async def test_a_picture_repainted_during_the_download_does_not_count(self, moderation: Moderation) -> None:
        case_id, (picture_id,) = await moderation.case()
        newer = await moderation.rendered(case_id, picture_id, 2)
        async with moderation.client("ann") as ann:
            await ann.post(f"/cases/{case_id}/claim")

        async def repaint() -> None:
            await moderation.tell(newer, ce_id=f"newer-{picture_id}")

        path = f"/cases/{case_id}/pictures/{picture_id}/frames/0/full"
        with pytest.raises(Refusal):
            await download(moderation, "ann", path, at_each_part=repaint)
        assert "served" not in await moderation.acts(case_id)


async def download(
    moderation: Moderation,
    moderator: str,
    path: str,
    *,
    leave_after: int | None = None,
    at_each_part: Any = None,
    spec_version: str = "2.3",
) -> bytes:
    """A download as a server sees it: part by part, with a client who may leave after some parts."""
    token = moderation.tokens.token(moderator, roles=["member", "moderator"])
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": spec_version},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"authorization", f"Bearer {token}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("moderation.test", 80),
    }
    parts: list[bytes] = []
    left, told = asyncio.Event(), asyncio.Event()
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked and not left.is_set():
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await left.wait()
        told.set()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        elif message.get("body"):
            parts.append(message["body"])
            if at_each_part:
                await at_each_part()
            if leave_after and len(parts) >= leave_after:
                left.set()
                await asyncio.wait_for(told.wait(), 30)

    await moderation.app(scope, receive, send)
    assert parts
    return b"".join(parts)
