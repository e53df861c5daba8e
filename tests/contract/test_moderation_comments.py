"""Comments that may identify somebody, on a real MongoDB: who sees them, who decides, and what is kept of them."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from deploy.local import Platform
from services.moderation.domain import Refusal
from services.moderation.domain.reasons import ReasonCode
from shared.bus import Received
from shared.events import (
    AgeBand,
    CaseWithdrawn,
    CommentAdded,
    CommentKind,
    CommentRejected,
    ModerationErased,
    PartSeen,
    PatientFacts,
    Sex,
    TextCombination,
    TextFinding,
)
from tests.moderation_service import START, Moderation, moderation_service, slug

pytestmark = pytest.mark.platform
NAME = TextFinding(field="comment", kind="name", start=9, end=16)
WORDS = "Vue avec Lambert hier."


@pytest.fixture(scope="module")
async def moderation(platform: Platform) -> AsyncIterator[Moderation]:
    async with moderation_service(platform) as made:
        yield made


@pytest.fixture(autouse=True)
async def start_of_day(moderation: Moderation) -> None:
    moderation.now = START
    await moderation.mongo.db["comments"].delete_many({})


def comment(
    case_id: str, findings: tuple[TextFinding, ...] = (NAME,), author: str = "writer", minutes: int = 0
) -> CommentAdded:
    return CommentAdded(
        comment_id=str(uuid.uuid4()),
        case_id=case_id,
        version=1,
        author_id=author,
        kind=CommentKind.REMARK,
        text=WORDS,
        created_at=START + timedelta(minutes=minutes),
        findings=findings,
    )


async def told(moderation: Moderation, **given: Any) -> CommentAdded:
    """A comment on a submitted case, as moderation hears of it."""
    case_id, _ = await moderation.case()
    event = comment(case_id, **given)
    await moderation.tell(event)
    return event


async def listed(moderation: Moderation, moderator: str = "moderator") -> list[str]:
    async with moderation.client(moderator) as client:
        answer = await client.get("/comments")
    return [item["comment_id"] for item in answer.json()["items"]]


async def test_only_comments_with_findings_are_listed_oldest_first_and_ones_own_are_not(moderation: Moderation) -> None:
    late = await told(moderation, minutes=5)
    early = await told(moderation, minutes=1)
    await told(moderation, findings=())
    own = await told(moderation, author="moderator")
    assert await listed(moderation) == [early.comment_id, late.comment_id]
    assert own.comment_id in await listed(moderation, "another")


async def test_a_moderator_sees_the_words_with_what_was_pointed_out(moderation: Moderation) -> None:
    event = await told(moderation)
    async with moderation.client("moderator") as client:
        (item,) = (await client.get("/comments")).json()["items"]
    assert item["text"] == WORDS
    assert "author_id" not in item
    (finding,) = item["findings"]
    assert WORDS[finding["start"] : finding["end"]] == "Lambert"
    assert finding["fr"] != finding["en"]
    assert item["case_id"] == event.case_id


async def test_pages_follow_each_other_without_gap_or_double(moderation: Moderation) -> None:
    events = [await told(moderation, minutes=minute) for minute in range(3)]
    async with moderation.client("moderator") as client:
        first = (await client.get("/comments", params={"limit": 2})).json()
        second = (await client.get("/comments", params={"limit": 2, "cursor": first["next_cursor"]})).json()
        wrong = await client.get("/comments", params={"cursor": "nonsense"})
    found = [item["comment_id"] for item in first["items"] + second["items"]]
    assert found == [event.comment_id for event in events]
    assert second["next_cursor"] is None
    assert wrong.status_code == 422


async def test_a_rejection_is_told_audited_and_forgets_the_words(moderation: Moderation) -> None:
    event = await told(moderation)
    address = f"/comments/{event.comment_id}/decision"
    asked = {"decision": "reject", "reason": "identifier_in_text"}
    async with moderation.client("moderator") as client:
        first, again = await client.post(address, json=asked), await client.post(address, json=asked)
    assert first.status_code == 200
    assert again.json() == first.json()
    (sent,) = await moderation.sent(CommentRejected, event.comment_id)
    assert (sent.case_id, sent.reason) == (event.case_id, "identifier_in_text")
    assert (await moderation.acts(event.case_id))[-1] == "comment_rejected"
    kept = await moderation.mongo.db["comments"].find_one({"_id": event.comment_id})
    assert kept is not None
    assert "Lambert" not in str(kept)
    assert await listed(moderation) == []


async def test_a_kept_comment_leaves_the_list_and_tells_nobody(moderation: Moderation) -> None:
    event = await told(moderation)
    async with moderation.client("moderator") as client:
        answer = await client.post(f"/comments/{event.comment_id}/decision", json={"decision": "keep"})
    assert answer.json()["outcome"] == "kept"
    assert await moderation.sent(CommentRejected, event.comment_id) == []
    assert await listed(moderation) == []
    assert (await moderation.acts(event.case_id))[-1] == "comment_kept"


async def test_another_decision_an_own_comment_and_an_unknown_one_are_refused(moderation: Moderation) -> None:
    event = await told(moderation)
    address = f"/comments/{event.comment_id}/decision"
    async with moderation.client("writer") as client:
        own = await client.post(address, json={"decision": "keep"})
    async with moderation.client("moderator") as client:
        await client.post(address, json={"decision": "keep"})
        other = await client.post(address, json={"decision": "reject", "reason": "identifier_in_text"})
        unknown = await client.post("/comments/nobody/decision", json={"decision": "keep"})
        no_reason = await client.post(address, json={"decision": "reject"})
        wrong_reason = await client.post(address, json={"decision": "reject", "reason": "duplicate"})
    assert (slug(own), own.status_code) == ("own-comment", 403)
    assert (slug(other), other.status_code) == ("comment-decided", 409)
    assert (slug(unknown), unknown.status_code) == ("comment-unknown", 404)
    assert no_reason.status_code == wrong_reason.status_code == 422


async def test_of_two_who_decide_at_once_one_is_told_that_it_is_decided(moderation: Moderation) -> None:
    event = await told(moderation)

    async def decide(moderator: str, reason: ReasonCode | None) -> str:
        try:
            return (await moderation.comments.decide(event.comment_id, moderator, reason)).state.value
        except Refusal as refusal:
            return type(refusal).__name__

    said = await asyncio.gather(decide("one", None), decide("two", ReasonCode.IDENTIFIER_IN_TEXT))
    assert "CommentDecided" in said
    assert len(set(said)) == 2


async def test_only_moderators_see_and_decide(moderation: Moderation) -> None:
    async with moderation.client("member", roles=("member",)) as client:
        assert (await client.get("/comments")).status_code == 403
        assert (await client.post("/comments/x/decision", json={"decision": "keep"})).status_code == 403


async def test_a_tombstone_forgets_a_waiting_comment_and_a_second_message_changes_nothing(
    moderation: Moderation,
) -> None:
    event = await told(moderation)
    await moderation.tell(event)
    assert await listed(moderation) == [event.comment_id]
    await moderation.handlers.on_comment_added(Received(None, event.comment_id, "t", event.topic, 0, 0))
    assert await listed(moderation) == []


async def test_a_withdrawn_case_takes_its_comments_and_their_records_along(moderation: Moderation) -> None:
    case_id, _ = await moderation.case()
    waiting, rejected, late = comment(case_id), comment(case_id), comment(case_id)
    await moderation.tell(waiting)
    await moderation.tell(rejected)
    await moderation.comments.decide(rejected.comment_id, "moderator", ReasonCode.IDENTIFIER_IN_TEXT)
    await moderation.tell(CaseWithdrawn(case_id=case_id, version=9, withdrawn_at=START))
    await moderation.tell(late)
    assert await moderation.mongo.db["comments"].count_documents({"case_id": case_id}) == 0
    assert (await moderation.sent(CommentRejected, rejected.comment_id))[-1] is None
    await moderation.relayed()
    (told,) = await moderation.sent(ModerationErased, case_id)
    assert (told.cases, told.comments, told.letters) == (1, 2, 0)


async def test_a_case_shows_its_findings_combinations_and_what_is_told_of_the_patient(moderation: Moderation) -> None:
    case_id = str(uuid.uuid4())
    patient = PatientFacts(age_band=AgeBand.YEARS_85_89, sex=Sex.WITHHELD, region="FR-75")
    title = TextFinding(field="title", kind="name", start=2, end=7)
    body = TextFinding(field="body", kind="a_newer_kind", start=0, end=2)
    together = TextCombination(
        code="rare_condition+region+age_band",
        seen=(
            PartSeen(part="rare_condition", field="body", start=0, end=9),
            PartSeen(part="region", field="region"),
            PartSeen(part="age_band", field="age_band"),
        ),
    )
    event = await moderation.submission(case_id)
    told = {"findings": (body, title), "combinations": (together,), "patient": patient}
    await moderation.tell(event.model_copy(update=told))
    async with moderation.client("moderator") as client:
        (queued,) = [item for item in (await client.get("/queue")).json()["items"] if item["case_id"] == case_id]
        await client.post(f"/cases/{case_id}/claim")
        case = (await client.get(f"/cases/{case_id}")).json()
    assert (queued["findings"], queued["combinations"]) == (2, 1)
    (shown,) = case["combinations"]
    assert shown["code"] == together.code
    assert "maladie" in shown["fr"]
    assert "region" in shown["en"]
    assert [(part["part"], part["field"], part["start"]) for part in shown["seen"]] == [
        ("rare_condition", "body", 0),
        ("region", "region", None),
        ("age_band", "age_band", None),
    ]
    assert [finding["field"] for finding in case["findings"]] == ["title", "body"]
    assert all(finding["fr"] and finding["en"] for finding in case["findings"])
    assert case["patient"]["age_band"] == "years_85_89"
