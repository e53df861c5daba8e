"""Review of proofs over HTTP: who hands in, who looks, who decides."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest

from deploy.local import Platform
from services.identity.domain.documents import LEASE
from services.identity.domain.letters import Letter
from services.identity.domain.verification import CivilName, Method
from services.identity.store.proof_eraser import AUDIT
from shared.blobs import CREDENTIALS
from shared.events import MemberStatus, Profession
from tests.review_desk import ACCEPTED, PDF, PNG, Review, open_review, problem

pytestmark = pytest.mark.platform


@pytest.fixture
async def review(platform: Platform) -> AsyncIterator[Review]:
    async with open_review(platform) as made:
        yield made


async def test_a_student_is_verified_by_a_card_and_the_card_is_erased(review: Review) -> None:
    student, reviewer = await review.house.member(Profession.STUDENT), await review.reviewer()
    application_id = await review.applied(student, PNG, PDF)
    raw = b"".join(
        [
            await review.blobs.get(CREDENTIALS, entry.key)
            for entry in await review.blobs.list_prefix(CREDENTIALS, f"{application_id}/")
        ]
    )
    assert b"Dupont" not in raw
    waiting = (await review.act(reviewer, "GET", "")).json()["items"]
    assert [(one["application_id"], one["documents"], one["mine"]) for one in waiting] == [(application_id, 2, False)]
    await review.seen(reviewer, application_id)
    answer = await review.act(reviewer, "PUT", f"/{application_id}/decision", **ACCEPTED)
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "accepted"
    assert answer.json()["erased_at"] is not None
    assert await review.objects(application_id) == 0
    account = await review.house.accounts.by_id(student.member_id)
    assert account is not None
    assert (account.status, account.profession, account.country) == (MemberStatus.VERIFIED, Profession.STUDENT, "FR")
    kept = await review.house.verifications.of(student.member_id)
    assert kept is not None
    assert kept.method is Method.DOCUMENTS
    assert kept.valid_until is not None
    assert (kept.valid_until.month, kept.valid_until.day) == (10, 31)
    assert await review.house.verifications.civil_name_of(student.member_id) == CivilName("Dupont", "Anne")
    assert review.house.letters.sent == [(student.member_id, Letter.ACCOUNT_VERIFIED, {})]
    assert await review.acts(application_id) == [
        "handed_in",
        "handed_in",
        "claimed",
        "viewed",
        "viewed",
        "accepted",
        "erased",
    ]
    assert "Dupont" not in str([one async for one in review.house.mongo.db[AUDIT].find({})])


async def test_a_refusal_tells_why_and_leaves_the_account(review: Review) -> None:
    applicant, reviewer = await review.house.member(Profession.NURSE), await review.reviewer()
    application_id = await review.applied(applicant)
    await review.seen(reviewer, application_id)
    answer = await review.act(reviewer, "PUT", f"/{application_id}/decision", outcome="refused", reason="out_of_date")
    assert answer.json()["state"] == "refused"
    assert await review.objects(application_id) == 0
    assert await review.house.status(applicant.member_id) is MemberStatus.UNVERIFIED
    ((to, letter, facts),) = review.house.letters.sent
    assert (to, letter) == (applicant.member_id, Letter.PROOF_REFUSED)
    assert facts["reason"].startswith("Le document n'est plus valable")
    async with review.client(applicant) as client:
        shown = (await client.get("/verifications/documents")).json()
    assert (shown["state"], shown["reason"]["code"]) == ("refused", "out_of_date")
    assert shown["reason"]["fr"] != shown["reason"]["en"]
    again = await review.applied(applicant)  # another one may follow
    assert again != application_id


async def test_a_document_is_shown_as_an_attachment_that_nothing_runs(review: Review) -> None:
    applicant, reviewer = await review.house.member(), await review.reviewer()
    application_id = await review.applied(applicant)
    document = (await review.act(reviewer, "POST", f"/{application_id}/claim")).json()["documents"][0]
    answer = await review.act(reviewer, "GET", f"/{application_id}/documents/{document['document_id']}")
    assert answer.content == PNG
    headers = answer.headers
    assert headers["content-type"] == "image/png"
    assert headers["content-disposition"] == 'attachment; filename="proof.png"'
    assert headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


async def test_of_two_reviewers_one_decides(review: Review) -> None:
    applicant = await review.house.member()
    first, second = await review.reviewer(), await review.reviewer()
    application_id = await review.applied(applicant)
    answers = await asyncio.gather(
        *(review.act(one, "POST", f"/{application_id}/claim") for one in (first, second, first, second))
    )
    assert sorted({answer.status_code for answer in answers}) == [200, 409]
    winner, loser = (first, second) if answers[0].status_code == 200 else (second, first)
    assert (await review.act(loser, "GET", "")).json() == {"items": []}
    await review.seen(winner, application_id)
    answer = await review.act(loser, "PUT", f"/{application_id}/decision", outcome="refused", reason="doubtful")
    assert (answer.status_code, problem(answer)) == (409, "claimed-by-another")
    decisions = await asyncio.gather(
        review.act(winner, "PUT", f"/{application_id}/decision", **ACCEPTED),
        review.act(winner, "PUT", f"/{application_id}/decision", outcome="refused", reason="doubtful"),
    )
    assert sorted(answer.status_code for answer in decisions) == [200, 409]
    assert len(review.house.letters.sent) == 1


async def test_a_lease_that_ran_out_goes_to_the_next_reviewer(review: Review) -> None:
    applicant = await review.house.member()
    first, second = await review.reviewer(), await review.reviewer()
    application_id = await review.applied(applicant)
    await review.seen(first, application_id)
    review.house.now += LEASE
    await review.seen(second, application_id)
    answer = await review.act(first, "PUT", f"/{application_id}/decision", **ACCEPTED)
    assert (answer.status_code, problem(answer)) == (409, "claimed-by-another")
    assert (await review.act(second, "DELETE", f"/{application_id}/claim")).status_code == 204
    assert (await review.act(first, "POST", f"/{application_id}/claim")).status_code == 200


async def test_nobody_reviews_himself_and_only_reviewers_review(review: Review) -> None:
    reviewer = await review.reviewer()
    await review.house.mongo.db["accounts"].update_one({"_id": reviewer.member_id}, {"$set": {"status": "unverified"}})
    application_id = await review.applied(reviewer)
    await review.house.mongo.db["accounts"].update_one({"_id": reviewer.member_id}, {"$set": {"status": "verified"}})
    assert (await review.act(reviewer, "GET", "")).json() == {"items": []}
    answer = await review.act(reviewer, "POST", f"/{application_id}/claim")
    assert (answer.status_code, problem(answer)) == (403, "own-application")
    nobody = await review.house.member()
    await review.house.accounts.change(nobody.member_id, lambda found: found.confirm(review.house.now, None))
    for method, path in (("GET", ""), ("POST", f"/{application_id}/claim"), ("GET", f"/{application_id}/trail")):
        answer = await review.act(nobody, method, path)
        assert (answer.status_code, problem(answer)) == (403, "role-missing")
    document = (await review.applications.get(application_id)).documents[0].document_id
    answer = await review.act(nobody, "GET", f"/{application_id}/documents/{document}")
    assert answer.status_code == 403
    assert await review.acts(application_id) == ["handed_in"]


async def test_a_document_is_opened_only_by_who_has_taken_it(review: Review) -> None:
    applicant, reviewer = await review.house.member(), await review.reviewer()
    application_id = await review.applied(applicant)
    document = (await review.applications.get(application_id)).documents[0].document_id
    answer = await review.act(reviewer, "GET", f"/{application_id}/documents/{document}")
    assert (answer.status_code, problem(answer)) == (409, "not-claimed")
    await review.act(reviewer, "POST", f"/{application_id}/claim")
    answer = await review.act(reviewer, "PUT", f"/{application_id}/decision", **ACCEPTED)
    assert (answer.status_code, problem(answer)) == (409, "documents-not-seen")
    answer = await review.act(reviewer, "GET", f"/{application_id}/documents/unknown")
    assert (answer.status_code, problem(answer)) == (404, "document-unknown")
    answer = await review.act(reviewer, "POST", "/unknown/claim")
    assert (answer.status_code, problem(answer)) == (404, "application-unknown")


@pytest.mark.parametrize(
    ("data", "status", "slug"),
    [
        (b"<html><script>alert(1)</script>", 415, "proof-type-unknown"),
        (b"", 415, "proof-type-unknown"),
        (PDF + bytes(1024 * 1024), 413, "body-too-large"),
    ],
)
async def test_what_is_no_proof_is_not_kept(review: Review, data: bytes, status: int, slug: str) -> None:
    applicant = await review.house.member()
    answer = await review.hand_in(applicant, data)
    assert (answer.status_code, problem(answer)) == (status, slug)
    assert await review.applications.latest_of(applicant.member_id) is None


async def test_documents_have_a_number_and_an_applicant_has_one_application(review: Review) -> None:
    applicant = await review.house.member()
    answers = await asyncio.gather(*(review.hand_in(applicant, PNG + b"%d" % n) for n in range(7)))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [409] * 2
    ids = {answer.json()["application_id"] for answer in answers if answer.status_code == 201}
    (application_id,) = ids
    assert await review.objects(application_id) == 6  # five and their key
    review.house.now += timedelta(hours=2)
    assert await review.eraser.sweep() >= 0
    assert await review.objects(application_id) == 6


async def test_waiting_time_is_told_by_those_decided_before(review: Review) -> None:
    reviewer, start = await review.reviewer(), review.house.now
    for hours in (2, 4, 6, 8, 10):
        review.house.now = start
        application_id = await review.applied(await review.house.member())
        review.house.now = start + timedelta(hours=hours)
        await review.seen(reviewer, application_id)
        await review.act(reviewer, "PUT", f"/{application_id}/decision", outcome="refused", reason="no_proof")
    first, second = await review.house.member(), await review.house.member()
    await review.applied(first)
    review.house.now += timedelta(minutes=1)
    shown = (await review.hand_in(second)).json()
    assert (shown["ahead"], shown["estimated_wait_hours"]) == (1, 6.0)


async def test_a_member_who_is_verified_for_good_hands_nothing_in(review: Review) -> None:
    account, _ = await review.house.verified()
    answer = await review.hand_in(account)
    assert (answer.status_code, problem(answer)) == (409, "verified-already")


async def test_an_end_that_cannot_be_and_a_suspended_applicant_are_refused(review: Review) -> None:
    applicant, reviewer = await review.house.member(Profession.STUDENT), await review.reviewer()
    application_id = await review.applied(applicant)
    await review.seen(reviewer, application_id)
    late = (review.house.now.date() + timedelta(days=900)).isoformat()
    answer = await review.act(reviewer, "PUT", f"/{application_id}/decision", **ACCEPTED, valid_until=late)
    assert (answer.status_code, problem(answer)) == (422, "end-impossible")
    await review.house.accounts.change(applicant.member_id, lambda found: found.suspend("insults"))
    answer = await review.act(reviewer, "PUT", f"/{application_id}/decision", **ACCEPTED)
    assert (answer.status_code, problem(answer)) == (409, "applicant-not-open")
    assert (await review.applications.get(application_id)).state.value == "waiting"
    assert await review.objects(application_id) == 2
    assert await review.house.status(applicant.member_id) is MemberStatus.SUSPENDED


async def test_a_student_renews_before_the_end(review: Review) -> None:
    student, reviewer = await review.house.member(Profession.STUDENT), await review.reviewer()
    for ends in ("soon", "later"):
        application_id = await review.applied(student)
        await review.seen(reviewer, application_id)
        day = review.house.now.date() + timedelta(days=10 if ends == "soon" else 300)
        answer = await review.act(
            reviewer, "PUT", f"/{application_id}/decision", **ACCEPTED, valid_until=day.isoformat()
        )
        assert answer.status_code == 200, answer.text
    kept = await review.house.verifications.of(student.member_id)
    assert kept is not None
    assert kept.valid_until == day
    assert isinstance(kept.valid_until, date)
