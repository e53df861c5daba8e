"""Moderation's store on a real MongoDB: claims, audit chain, races."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from typer.testing import CliRunner

from deploy.local import Platform
from services.moderation.__main__ import cli
from services.moderation.domain import (
    CaseGone,
    ClaimedByAnother,
    Review,
)
from services.moderation.store import Endings
from shared.erasures import Erasures
from shared.events import (
    CaseApproved,
    CaseRejected,
    CaseWithdrawn,
    ModerationErased,
    RedactionRequested,
)
from tests.moderation_service import LEASE, START, Moderation, moderation_service, published_by, queued, slug

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
async def moderation(platform: Platform) -> AsyncIterator[Moderation]:
    async with moderation_service(platform) as made:
        yield made


@pytest.fixture(autouse=True)
def start_of_day(moderation: Moderation) -> None:
    moderation.now = START


class TestClaims:
    async def test_of_two_moderators_who_claim_fifty_cases_at_once_one_gets_each(self, moderation: Moderation) -> None:
        cases = [str(uuid.uuid4()) for _ in range(50)]
        for case_id in cases:
            await moderation.tell(await moderation.submission(case_id))

        async def take(moderator: str, case_id: str) -> str | None:
            try:
                await moderation.reviews.change(
                    case_id, lambda review: review.take(moderator, f"{moderator}-{case_id}", moderation.now)
                )
            except ClaimedByAnother:
                return None
            return moderator

        tries = [take(moderator, case_id) for case_id in cases for moderator in ("ann", "bob")]
        results = await asyncio.gather(*tries)
        for number, case_id in enumerate(cases):
            winners = [result for result in results[2 * number : 2 * number + 2] if result]
            assert len(winners) == 1
            document = await moderation.mongo.db["reviews"].find_one({"_id": case_id})
            assert document is not None
            assert document["body"]["claim"]["moderator_id"] == winners[0]
            assert await moderation.acts(case_id) == ["claimed"]

    async def test_an_expired_lease_brings_the_case_back_into_the_queue(self, moderation: Moderation) -> None:
        case_id, _ = await moderation.case(0)
        async with moderation.client("ann") as ann, moderation.client("bob") as bob:
            assert (await ann.post(f"/cases/{case_id}/claim")).status_code == 200
            assert case_id not in await queued(bob)
            moderation.now += LEASE - timedelta(seconds=1)
            refused = await bob.post(f"/cases/{case_id}/claim")
            assert (refused.status_code, slug(refused)) == (409, "case-claimed")
            assert refused.json()["expires_at"] == "2026-03-01T09:15:00+00:00"
            moderation.now += timedelta(seconds=1)
            assert case_id in await queued(bob)
            assert (await bob.post(f"/cases/{case_id}/claim")).status_code == 200
            lost = await ann.get(f"/cases/{case_id}")
            assert (lost.status_code, slug(lost)) == (409, "case-claimed")
        assert await moderation.acts(case_id) == ["claimed", "lease_expired", "claimed"]

    async def test_reading_renews_the_lease_but_is_not_a_write_each_time(self, moderation: Moderation) -> None:
        case_id, (picture_id,) = await moderation.case()
        async with moderation.client("ann") as ann:
            await ann.post(f"/cases/{case_id}/claim")
            await ann.get(f"/cases/{case_id}")
            before = await moderation.mongo.db["reviews"].find_one({"_id": case_id})
            moderation.now += timedelta(seconds=30)
            await ann.get(f"/cases/{case_id}/pictures/{picture_id}/frames/0/small")
            assert await moderation.mongo.db["reviews"].find_one({"_id": case_id}) == before
            moderation.now += timedelta(minutes=10)
            await ann.get(f"/cases/{case_id}/pictures/{picture_id}/frames/0/small")
            moderation.now += timedelta(minutes=10)
            assert (await ann.get(f"/cases/{case_id}")).status_code == 200


class TestAudit:
    async def test_acts_at_the_same_moment_make_one_whole_chain(self, moderation: Moderation) -> None:
        case_id, picture_ids = await moderation.case(6)
        async with moderation.client("ann") as ann:
            claim = (await ann.post(f"/cases/{case_id}/claim")).json()

            def mark(picture_id: str) -> Any:
                return lambda review: review.served("ann", moderation.now, claim["claim_id"], picture_id, 1, 0)

            await asyncio.gather(*(moderation.reviews.change(case_id, mark(each)) for each in picture_ids))
        assert await moderation.acts(case_id) == ["claimed"] + ["served"] * 6

    @pytest.mark.parametrize("how", ["altered", "removed", "cut off", "forged"])
    async def test_a_tampered_record_is_found(
        self, moderation: Moderation, platform: Platform, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        case_id, _ = await moderation.case(0)
        for number in range(3):
            act = f"claim-{number}"
            await moderation.reviews.change(case_id, lambda review, act=act: review.take("ann", act, moderation.now))  # type: ignore[misc]
            await moderation.reviews.change(case_id, lambda review: review.release("ann", moderation.now))
        monkeypatch.setenv("MODERATION_MONGO_URI", platform.admin_mongo_uri)
        monkeypatch.setenv("MODERATION_MONGO_DATABASE", moderation.mongo.db.name)
        whole = await asyncio.to_thread(CliRunner().invoke, cli, ["audit", case_id])
        assert whole.exit_code == 0, whole.output
        assert whole.output.count("claimed") == 3

        audit = moderation.mongo.db["audit"]
        match how:
            case "altered":
                await audit.update_one({"case_id": case_id, "sequence": 2}, {"$set": {"actor": "bob"}})
            case "removed":
                await audit.delete_one({"case_id": case_id, "sequence": 3})
            case "cut off":
                await audit.delete_one({"case_id": case_id, "sequence": 6})
            case "forged":
                last = await audit.find_one({"case_id": case_id, "sequence": 6}, {"_id": 0})
                assert last is not None
                await audit.insert_one({**last, "sequence": 7, "previous": last["hash"]})
        broken = await asyncio.to_thread(CliRunner().invoke, cli, ["audit", case_id])
        assert broken.exit_code == 1
        assert "broken" in broken.output
        async with moderation.client("ann") as ann:
            shown = (await ann.get(f"/cases/{case_id}/audit")).json()
        assert shown["whole"] is False
        assert shown["flaws"]

    async def test_no_text_and_no_name_stands_in_the_chain(self, moderation: Moderation) -> None:
        case_id, _ = await published_by(moderation, "ann")
        async with moderation.client("bob") as bob:
            shown = await bob.get(f"/cases/{case_id}/audit")
        assert shown.json()["whole"] is True
        kinds = [record["act"] for record in shown.json()["items"]]
        assert kinds == ["claimed", "served", "served", "decided", "approved"]
        assert "wrist" not in shown.text.lower()
        assert "broken?" not in shown.text


class TestEvents:
    async def test_the_first_facts_of_a_case_at_the_same_moment_all_count(self, moderation: Moderation) -> None:
        case_id, picture_ids = str(uuid.uuid4()), [f"p{number}" for number in range(8)]
        facts = [await moderation.rendered(case_id, each) for each in picture_ids]
        submission = await moderation.submission(case_id, *picture_ids)
        await asyncio.gather(moderation.tell(submission), *(moderation.tell(fact) for fact in facts))
        document = await moderation.mongo.db["reviews"].find_one({"_id": case_id})
        assert document is not None
        assert document["summary"]["pictures"] == 8
        assert document["summary"]["pictures_outstanding"] == 0

    async def test_an_event_delivered_twice_has_one_effect(self, moderation: Moderation) -> None:
        case_id, _ = await moderation.case(0)
        gone = CaseWithdrawn(case_id=case_id, version=3, picture_ids=("p1",), withdrawn_at=START)
        await asyncio.gather(*(moderation.tell(gone, ce_id=f"gone-{case_id}") for _ in range(4)))
        assert await moderation.sent(CaseApproved, case_id) == [None]
        assert await moderation.sent(RedactionRequested, "p1") == [None]
        assert await moderation.acts(case_id) == ["withdrawn"]
        assert await moderation.sent(ModerationErased, case_id) == [], "the log has not been told to forget it yet"
        await moderation.relayed()
        assert (case_id, "p1") in moderation.letters_forgotten
        assert await moderation.mongo.db["inbox"].count_documents({"_id": f"moderation:gone-{case_id}"}) == 1
        (told,) = await moderation.sent(ModerationErased, case_id)
        assert (told.case_id, told.cases) == (case_id, 1)
        living, _ = await moderation.case(0)
        assert await moderation.reviews.any_withdrawn([living, case_id])
        assert not await moderation.reviews.any_withdrawn([living, "never-heard-of"])

    async def test_each_withdrawal_is_answered_also_of_a_case_that_was_never_seen(self, moderation: Moderation) -> None:
        case_id = str(uuid.uuid4())
        for _ in range(2):  # the second time because somebody asks again
            await moderation.tell(CaseWithdrawn(case_id=case_id, version=3, withdrawn_at=START))
            await moderation.relayed()
        told = await moderation.sent(ModerationErased, case_id)
        assert [(each.cases, each.comments, each.letters) for each in told] == [(0, 0, 0)] * 2
        assert await moderation.mongo.db["erasures"].count_documents({}) == 0

    async def test_what_was_erased_before_a_crash_is_told_after_it(self, moderation: Moderation) -> None:
        case_id, _ = await moderation.case(0)

        async def crash(_: object) -> dict[str, int]:
            raise KafkaConnectionError

        async def forget(cases: Mapping[str, object]) -> dict[str, int]:
            return dict.fromkeys(cases, 2)

        broken = Erasures(moderation.mongo, ModerationErased, crash)
        endings = Endings(moderation.mongo, moderation.reviews, moderation.comments, broken)
        await endings.withdraw("crashed", CaseWithdrawn(case_id=case_id, version=3, withdrawn_at=START))
        await moderation.mongo.db["outbox"].delete_many({"value": None})
        with pytest.raises(KafkaConnectionError):
            await broken.report()
        assert await moderation.sent(ModerationErased, case_id) == [], "letters may be left"
        assert await Erasures(moderation.mongo, ModerationErased, forget).report() >= 1
        (told,) = await moderation.sent(ModerationErased, case_id)
        assert (told.cases, told.letters) == (1, 2)

    async def test_a_withdrawal_leaves_ids_only_and_closes_every_route(self, moderation: Moderation) -> None:
        case_id, picture_ids = await moderation.case(2)
        async with moderation.client("ann") as ann:
            await ann.post(f"/cases/{case_id}/claim")
            await moderation.tell(CaseWithdrawn(case_id=case_id, version=3, withdrawn_at=START))
            look = f"/cases/{case_id}/pictures/{picture_ids[0]}/frames/0/full"
            for answer in (
                await ann.get(f"/cases/{case_id}"),
                await ann.get(look),
                await ann.post(f"/cases/{case_id}/claim"),
                await ann.post(f"/cases/{case_id}/approval"),
            ):
                assert (answer.status_code, slug(answer)) == (410, "case-withdrawn")
            assert case_id not in await queued(ann)
        document = await moderation.mongo.db["reviews"].find_one({"_id": case_id})
        assert document is not None
        assert "author" not in json.dumps(document["body"])
        assert not document["summary"]
        for event, key in (
            (CaseApproved, case_id),
            (CaseRejected, case_id),
            (RedactionRequested, picture_ids[0]),
            (RedactionRequested, picture_ids[1]),
        ):
            assert await moderation.sent(event, key) == [None]

    async def test_of_an_approval_and_a_withdrawal_at_the_same_moment_withdrawn_wins(
        self, moderation: Moderation
    ) -> None:
        for number in range(12):
            case_id, _ = await moderation.case(0)
            async with moderation.client("ann") as ann:
                await ann.post(f"/cases/{case_id}/claim")
                await ann.get(f"/cases/{case_id}")
                gone = moderation.tell(CaseWithdrawn(case_id=case_id, version=3, withdrawn_at=START))
                yes = ann.post(f"/cases/{case_id}/approval")
                answers = await asyncio.gather(*((gone, yes) if number % 2 else (yes, gone)))
            answer = next(each for each in answers if each is not None)
            assert answer.status_code in (200, 410)
            events = await moderation.sent(CaseApproved, case_id)
            assert events[-1] is None
            assert len(events) == (2 if answer.status_code == 200 else 1)
            with pytest.raises(CaseGone):
                await moderation.reviews.change(case_id, lambda review: review.take("bob", "c", START))


def test_a_review_that_was_stored_reads_back_the_same() -> None:
    review = Review(case_id="c")
    assert Review.model_validate(review.model_dump(mode="json")) == review
