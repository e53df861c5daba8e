"""Review of proofs over HTTP, on the real database and the real object store."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from deploy.local import Platform
from services.identity.domain.account import Account
from services.identity.domain.documents import LEASE, ProofKind
from services.identity.domain.letters import Letter
from services.identity.domain.verification import CivilName, Method
from services.identity.routes.verifications_documents import UploadLimits, document_routes
from services.identity.routes.verifications_review import review_routes
from services.identity.store.applications import Applications
from services.identity.store.proof_eraser import AUDIT, COLLECTION, ProofEraser
from shared.blobs import CREDENTIALS, BlobMissing, Blobs, BlobsAway
from shared.events import MemberStatus, Profession, Role
from shared.keyring import HeldKeys
from shared.mongo import Mongo
from shared.sealed import SealedRoom
from tests.stores import access
from tests.verification_house import VerificationHouse

pytestmark = pytest.mark.platform

PNG = b"\x89PNG\r\n\x1a\n" + b"a student card of Anne Dupont" * 20
PDF = b"%PDF-1.7 a certificate"


class Review:
    """The routes of both sides, and what lies behind them."""

    def __init__(self, house: VerificationHouse, blobs: Blobs) -> None:
        self.house = house
        self.blobs = blobs
        self.room = SealedRoom(blobs, CREDENTIALS, HeldKeys([bytes(32)]))
        self.eraser = ProofEraser(house.mongo, blobs, self.room, now=lambda: house.now)
        self.applications = Applications(
            house.mongo, self.room, house.verifications, house.letters, self.eraser, now=lambda: house.now
        )

    async def prepare(self) -> None:
        for name in (COLLECTION, AUDIT, f"{AUDIT}_heads"):
            await self.house.mongo.db[name].delete_many({})
        await self.applications.prepare()

    def client(self, account: Account) -> httpx.AsyncClient:
        limits = UploadLimits(max_bytes=1024 * 1024)
        return self.house.client(
            document_routes(self.house.desk, self.applications, self.house.guard, limits),
            review_routes(self.house.desk, self.applications, self.house.guard, now=lambda: self.house.now),
            member_id=account.member_id,
        )

    async def reviewer(self) -> Account:
        made = await self.house.member(Profession.PHYSICIAN, Role.CREDENTIAL_REVIEWER)
        return await self.house.accounts.change(made.member_id, lambda found: found.confirm(self.house.now, None))

    async def hand_in(self, account: Account, data: bytes = PNG, kind: str = "student_card") -> httpx.Response:
        async with self.client(account) as client:
            return await client.post("/verifications/documents", params={"kind": kind}, content=data)

    async def applied(self, account: Account, *proofs: bytes) -> str:
        for data in proofs or (PNG,):
            answer = await self.hand_in(account, data)
            assert answer.status_code == 201, answer.text
        return str(answer.json()["application_id"])

    async def act(self, account: Account, method: str, path: str, **json: Any) -> httpx.Response:
        async with self.client(account) as client:
            return await client.request(method, f"/verifications/applications{path}", json=json or None)

    async def seen(self, reviewer: Account, application_id: str) -> None:
        taken = await self.act(reviewer, "POST", f"/{application_id}/claim")
        assert taken.status_code == 200, taken.text
        for document in taken.json()["documents"]:
            answer = await self.act(reviewer, "GET", f"/{application_id}/documents/{document['document_id']}")
            assert answer.status_code == 200, answer.text

    async def objects(self, application_id: str) -> int:
        return len(await self.blobs.list_prefix(CREDENTIALS, f"{application_id}/"))

    async def acts(self, application_id: str) -> list[str]:
        records, flaws = await self.applications.trail_of(application_id)
        assert flaws == []
        return [str(record["act"]) for record in records]


ACCEPTED: dict[str, Any] = {
    "outcome": "accepted",
    "profession": "student",
    "country": "FR",
    "family_name": "Dupont",
    "given_name": "Anne",
}


@pytest.fixture
async def review(platform: Platform) -> AsyncIterator[Review]:
    env = platform.service_env("identity")
    mongo = Mongo(env["IDENTITY_MONGO_URI"], env["IDENTITY_MONGO_DATABASE"])
    house = VerificationHouse(mongo)
    await house.prepare()
    house.now = datetime.now(UTC).replace(microsecond=0)  # as the object store's clock, which ages objects
    blobs = Blobs(access(platform, "identity"))
    made = Review(house, blobs)
    await made.prepare()
    yield made
    blobs.close()
    mongo.close()


def problem(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return str(answer.json()["type"].rpartition(":")[2])


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
