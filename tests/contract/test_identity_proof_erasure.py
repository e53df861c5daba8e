"""How proofs go: with the decision, after a crash, by the sweep, with their member."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from deploy.local import Platform
from services.identity.domain.documents import ProofKind
from shared.blobs import CREDENTIALS, BlobMissing, BlobsAway
from shared.events import MemberStatus
from tests.review_desk import ACCEPTED, PNG, Review, open_review, problem

pytestmark = pytest.mark.platform


@pytest.fixture
async def review(platform: Platform) -> AsyncIterator[Review]:
    async with open_review(platform) as made:
        yield made


async def test_what_is_taken_back_is_erased(review: Review) -> None:
    applicant, reviewer = await review.house.member(), await review.reviewer()
    application_id = await review.applied(applicant)
    await review.act(reviewer, "POST", f"/{application_id}/claim")
    async with review.client(applicant) as client:
        assert (await client.delete("/verifications/documents")).status_code == 204
        assert (await client.delete("/verifications/documents")).status_code == 404
    assert await review.objects(application_id) == 0
    answer = await review.act(reviewer, "PUT", f"/{application_id}/decision", **ACCEPTED)
    assert (answer.status_code, problem(answer)) == (409, "application-ended")
    assert await review.acts(application_id) == ["handed_in", "claimed", "withdrawn", "erased"]


async def test_a_crash_between_decision_and_erasure_is_made_good(
    review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    applicant, reviewer = await review.house.member(), await review.reviewer()
    application_id = await review.applied(applicant)
    await review.seen(reviewer, application_id)

    async def away(owner_id: str) -> None:
        raise BlobsAway("the store plays dead")

    with monkeypatch.context() as broken:
        broken.setattr(review.room, "forget", away)
        answer = await review.act(reviewer, "PUT", f"/{application_id}/decision", **ACCEPTED)
    assert answer.status_code == 200
    assert answer.json()["erased_at"] is None
    assert await review.objects(application_id) == 2
    assert await review.house.status(applicant.member_id) is MemberStatus.VERIFIED
    # Meanwhile the applicant has handed in another proof: erasing the first leaves it.
    await review.house.accounts.change(applicant.member_id, lambda found: found.lapse())
    second = await review.applied(applicant)
    assert await review.eraser.erase_ended() == 1
    assert await review.eraser.erase_ended() == 0
    assert await review.objects(application_id) == 0
    assert await review.objects(second) == 2
    assert (await review.applications.get(application_id)).erased_at is not None


async def test_the_key_goes_first(review: Review, monkeypatch: pytest.MonkeyPatch) -> None:
    applicant = await review.house.member()
    application_id = await review.applied(applicant)
    application = await review.applications.get(application_id)

    async def away(bucket: str, prefix: str) -> int:
        raise BlobsAway("the store dies after the key")

    with monkeypatch.context() as broken:
        broken.setattr(review.blobs, "delete_prefix", away)
        async with review.client(applicant) as client:
            assert (await client.delete("/verifications/documents")).status_code == 204
    assert await review.objects(application_id) == 1
    with pytest.raises(BlobMissing):
        await review.applications.open(application, application.documents[0].document_id)
    assert await review.eraser.erase_ended() == 1
    assert await review.objects(application_id) == 0


async def test_an_upload_cut_off_by_a_crash_is_swept_up_later(review: Review) -> None:
    applicant = await review.house.member()
    application_id = await review.applied(applicant)
    await review.room.store("no-application", "d1", PNG, "image/png")
    await review.room.store(application_id, "no-document", PNG, "image/png")
    await review.eraser.sweep()
    assert (await review.objects("no-application"), await review.objects(application_id)) == (2, 3)
    review.house.now += timedelta(hours=2)
    await review.eraser.sweep()
    assert (await review.objects("no-application"), await review.objects(application_id)) == (0, 2)


async def test_a_members_leaving_erases_proofs_and_applications(review: Review) -> None:
    applicant = await review.house.member()
    application_id = await review.applied(applicant)
    (held,) = await review.applications.all_of(applicant.member_id)
    assert (await review.applications.open(held, held.documents[0].document_id))[0] == PNG
    assert held.documents[0].kind is ProofKind.STUDENT_CARD
    await review.applications.forget(applicant.member_id)
    assert await review.objects(application_id) == 0
    assert await review.applications.all_of(applicant.member_id) == []


async def test_an_upload_whose_commit_nobody_answers_keeps_its_object(
    review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database may have kept what it could not confirm; what no record knows goes with the sweep."""
    applicant, loser = await review.house.member(), await review.house.member()
    transaction = review.house.mongo.transaction

    async def unanswered(fn: Any) -> Any:
        await transaction(fn)
        raise AutoReconnect("the answer to the commit is lost")

    async def undone(fn: Any) -> Any:
        raise AutoReconnect("the answer is lost, and the commit with it")

    for member, broken in ((applicant, unanswered), (loser, undone)):
        with monkeypatch.context() as away:
            away.setattr(review.house.mongo, "transaction", broken)
            with pytest.raises(AutoReconnect):
                await review.applications.hand_in(member.member_id, ProofKind.DIPLOMA, PNG, "image/png")
    application = await review.applications.latest_of(applicant.member_id)
    assert application is not None
    assert (await review.applications.open(application, application.documents[0].document_id))[0] == PNG
    assert await review.applications.latest_of(loser.member_id) is None
    before = len(await review.blobs.list_prefix(CREDENTIALS))
    review.house.now += timedelta(hours=2)
    assert await review.eraser.sweep() >= 2
    assert len(await review.blobs.list_prefix(CREDENTIALS)) <= before - 2
    assert await review.objects(application.application_id) == 2
