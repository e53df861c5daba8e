"""A patient ends a case with the code alone: in two steps on the page, in one over the API, and gets a receipt."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from deploy.local import Platform
from services.ingest.domain.withdrawal import REPORTED, Step
from services.ingest.domain.withdrawal_code import code_from
from services.ingest.store import Receipts
from services.ingest.store.receipts import ASK_AT_ONCE
from shared.blobs import RAW, REDACTED, TEXTS
from shared.bus import Received
from shared.events import (
    CaseSubmitted,
    CaseUploaded,
    CaseWithdrawn,
    CommentAdded,
    Erased,
    Event,
    FeedErased,
    ModerationErased,
    RedactorErased,
    WithdrawalCause,
)
from tests.ingest_service import COLLEAGUE, IngestService, ingest_service, picture_bytes, tokens_of
from tests.waiting import until

pytestmark = pytest.mark.platform
UNKNOWN = code_from(b"\x07" * 12)
PROBLEM = "urn:consilium:problem:"


@pytest.fixture(scope="module")
async def ingest(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestService]:
    folder: Path = tmp_path_factory.mktemp("ingest")
    async with ingest_service(platform, folder, withdrawal_tries=3) as service:
        yield service


@pytest.fixture(autouse=True)
async def patient_callers(ingest: IngestService) -> None:
    await ingest.mongo.db["withdrawal_tries"].delete_many({})


async def signed_case(ingest: IngestService, *, published: bool = True) -> tuple[str, str]:
    """A case and the code of the patient who signed for it."""
    case_id = await ingest.new_case()
    await ingest.upload(case_id)
    await ingest.call("POST", f"/cases/{case_id}/redaction")
    await ingest.paint(case_id)
    code = ingest.code_of(await ingest.consent(case_id))
    if published:
        sent = await ingest.submit(case_id)
        await ingest.take(ingest.approval(case_id, sent.json()["version"]))
    return case_id, code


async def objects(ingest: IngestService, case_id: str) -> list[str]:
    return [e.key for bucket in (RAW, TEXTS) for e in await ingest.blobs.list_prefix(bucket, f"{case_id}/")]


async def by_api(ingest: IngestService, code: str) -> httpx.Response:
    return await ingest.http.post("/withdrawals", json={"code": code})


def slug(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).removeprefix(PROBLEM)


async def test_one_step_over_the_api_ends_the_case_for_good(ingest: IngestService) -> None:
    case_id, code = await signed_case(ingest)
    said = {"kind": "remark", "text": "It goes too."}
    comment = (await ingest.call("POST", f"/cases/{case_id}/comments", said, member=COLLEAGUE)).json()["comment_id"]
    answer = await by_api(ingest, code.lower().replace("-", " "))  # as people type
    assert answer.status_code == 200, answer.text
    assert answer.json()["again"] is False
    assert await objects(ingest, case_id) == []
    assert (await ingest.call("GET", f"/cases/{case_id}")).status_code == 410
    (event,) = [one for one in await ingest.events(case_id) if isinstance(one, CaseWithdrawn)]
    assert event.cause is WithdrawalCause.PATIENT
    expected = {(CaseUploaded.topic, case_id), (CaseSubmitted.topic, case_id), (CommentAdded.topic, comment)}
    assert expected <= await ingest.tombstones()


async def test_a_second_use_says_so_and_gives_the_same_receipt(ingest: IngestService) -> None:
    case_id, code = await signed_case(ingest)
    answers = await asyncio.gather(*(by_api(ingest, code) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["receipt_id"] for answer in answers}) == 1
    assert sorted(answer.json()["again"] for answer in answers) == [False, True, True, True]
    later = await by_api(ingest, code)
    assert (later.json()["again"], later.json()["receipt_id"]) == (True, answers[0].json()["receipt_id"])
    assert len([one for one in await ingest.events(case_id) if isinstance(one, CaseWithdrawn)]) == 1


async def test_every_code_of_the_case_ends_it_whatever_its_state(ingest: IngestService) -> None:
    case_id, first = await signed_case(ingest, published=False)
    asked = (await ingest.ask_consent(case_id)).json()
    second = ingest.code_of(await ingest.sign(tokens_of(asked)[0]))
    assert (await by_api(ingest, first)).json()["again"] is False
    assert (await by_api(ingest, second)).json()["again"] is True
    stub = await ingest.mongo.db["cases"].find_one({"_id": case_id})
    assert stub is not None
    assert stub["state"] == "withdrawn"


async def test_a_slip_is_told_and_a_strange_code_is_not_looked_for_for_ever(ingest: IngestService) -> None:
    _, code = await signed_case(ingest)
    slipped = code[:-1] + ("A" if code[-1] != "A" else "B")
    for _ in range(5):  # never counted: nothing is looked up
        assert slug(await by_api(ingest, slipped)) == "withdrawal-code-mistyped"
    for _ in range(3):
        assert slug(await by_api(ingest, UNKNOWN)) == "withdrawal-code-unknown"
    braked = await by_api(ingest, UNKNOWN)
    assert (braked.status_code, slug(braked)) == (429, "too-many-tries")
    assert 0 < int(braked.headers["retry-after"]) <= 600
    tries = await ingest.mongo.db["withdrawal_tries"].find({}).to_list(None)
    assert "127.0.0.1" not in str(tries)
    # Who has a code is let through, however often others behind the same address have guessed.
    assert (await by_api(ingest, code)).status_code == 200
    await ingest.mongo.db["withdrawal_tries"].update_many({}, {"$set": {"until": datetime(2020, 1, 1, tzinfo=UTC)}})
    assert slug(await by_api(ingest, UNKNOWN)) == "withdrawal-code-unknown"


def reports_of(case_id: str, at: datetime) -> list[Erased]:
    """What the three other services answer."""
    return [
        FeedErased(case_id=case_id, erased_at=at, cases=2, comments=3, letters=1),
        ModerationErased(case_id=case_id, erased_at=at, cases=1),
        RedactorErased(case_id=case_id, erased_at=at, objects=8),
    ]


async def test_the_page_takes_two_steps_and_no_script(ingest: IngestService) -> None:
    case_id, code = await signed_case(ingest)
    first = await ingest.http.get("/withdrawal", headers={"accept-language": "fr"})
    policy = first.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert first.headers["cache-control"] == "no-store"
    assert "noindex" in first.headers["x-robots-tag"]
    assert "<script" not in first.text
    assert 'method="post" action="/withdrawal"' in first.text
    assert "Code de retrait" in first.text

    sure = await ingest.http.post("/withdrawal", data={"code": code, "language": "fr"})
    assert sure.status_code == 200
    assert "1\u00a0image" in sure.text
    assert "Ce qui reste" in sure.text
    assert (await ingest.call("GET", f"/cases/{case_id}")).json()["state"] == "published"  # nothing has happened yet

    (other,) = re.findall(
        r'<form [^>]*>\n<input type="hidden" name="language" value="en">.*?</form>', sure.text, re.DOTALL
    )
    assert f'name="code" value="{code}"' in other, "the other language keeps the code, and out of the address"
    assert "confirmed" not in other
    done = await ingest.http.post("/withdrawal", data={"code": code, "language": "fr", "confirmed": "yes"})
    assert done.status_code == 303
    assert code not in done.headers["location"]
    receipt = await ingest.http.get(done.headers["location"])
    assert receipt.status_code == 200
    assert "Reçu de retrait" in receipt.text
    assert await objects(ingest, case_id) == []

    again = await ingest.http.post("/withdrawal", data={"code": code, "language": "en"})
    assert again.status_code == 303
    assert "used already" in (await ingest.http.get(again.headers["location"])).text


async def test_the_page_says_what_is_wrong_and_keeps_what_was_typed(ingest: IngestService) -> None:
    for language, words in (("fr", "faute de frappe"), ("en", "a slip")):
        wrong = await ingest.http.post("/withdrawal", data={"code": "<b>ABC</b>", "language": language})
        assert wrong.status_code == 422
        assert words in wrong.text
        assert "<b>ABC" not in wrong.text
        assert "&lt;b&gt;ABC" in wrong.text
    pasted = await ingest.http.post("/withdrawal", data={"code": "7" * 5000, "language": "fr"})
    assert (pasted.status_code, pasted.headers["content-language"]) == (422, "fr")
    assert "Il y a une faute de frappe dans le code" in pasted.text
    assert "7" * 101 not in pasted.text
    unknown = await ingest.http.post("/withdrawal", data={"code": UNKNOWN, "confirmed": "yes"})
    assert unknown.status_code == 404


async def test_a_receipt_says_what_was_seen_to_be_gone_and_nothing_else(ingest: IngestService) -> None:
    case_id, code = await signed_case(ingest)
    picture_id = (await ingest.case(case_id))["pictures"][0]["picture_id"]
    receipt_id = (await by_api(ingest, code)).json()["receipt_id"]
    address = f"/receipts/{receipt_id}"
    begun = (await ingest.http.get(address)).json()
    assert (begun["cause"], begun["complete"], begun["confirmed"]) == ("patient", False, {})

    await ingest.eraser().purge_all()
    at = datetime.now(UTC)
    assert await ingest.resources.receipts.confirm_all(at) == 0
    part = (await ingest.http.get(address)).json()
    # Here is no redactor to erase what it painted, and no relay to hand anything to Kafka.
    assert set(part["confirmed"]) == {Step.ORIGINALS, Step.TEXTS, Step.LETTERS}
    assert set(part["awaited"]) == {Step.ANNOUNCED, Step.PAINTED, Step.LOG_ORDERS, *REPORTED}

    await ingest.redactor_blobs.delete_prefix(REDACTED, f"{case_id}/")
    await ingest.mongo.db["outbox"].delete_many({})
    for event in reports_of(case_id, at):
        assert (await ingest.http.get(address)).json()["complete"] is False
        await ingest.take(event)
    assert await ingest.resources.receipts.confirm_all(at) >= 1
    whole = (await ingest.http.get(address)).json()
    assert whole["complete"] is True
    assert whole["confirmed"]["originals"] == part["confirmed"]["originals"]
    assert int(whole["proofs_until"][:4]) == at.year + 5
    assert whole["reports"]["feed"]["comments"] == 3
    assert whole["reports"]["redactor"]["objects"] == 8
    page = await ingest.http.get(f"/withdrawal/receipts/{receipt_id}?language=en")
    for hidden in (case_id, picture_id, "P-4711", "A wound", code):
        assert hidden not in page.text
        assert hidden not in str(whole)
    assert "not confirmed" not in page.text
    assert re.search(r"\d\d:\d\d:\d\d\u00a0UTC", page.text)
    kept = await ingest.mongo.db["withdrawals"].find_one({"_id": case_id})
    assert kept is not None
    assert "comment_ids" not in kept
    assert (await ingest.http.get("/receipts/nothing")).status_code == 404
    assert (await ingest.http.get("/withdrawal/receipts/nothing")).status_code == 404


async def test_a_report_counts_once_however_often_and_in_whatever_order_it_comes(ingest: IngestService) -> None:
    case_id, code = await signed_case(ingest)
    address = f"/receipts/{(await by_api(ingest, code)).json()['receipt_id']}"
    at = datetime.now(UTC).replace(microsecond=0)
    first, *_ = reports_of(case_id, at)
    again = FeedErased(case_id=case_id, erased_at=at + timedelta(hours=1))  # asked again: there was nothing left
    for event in (again, first, again, first):
        await ingest.take(event)
    said = (await ingest.http.get(address)).json()
    assert list(said["confirmed"]) == ["feed"]
    assert said["reports"] == {
        "feed": {"erased_at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "cases": 2, "comments": 3, "objects": 0, "letters": 1}
    }


async def test_a_report_about_a_case_that_is_not_withdrawn_changes_nothing(ingest: IngestService) -> None:
    case_id, _ = await signed_case(ingest)
    for event in (*reports_of(case_id, datetime.now(UTC)), *reports_of("never-heard-of", datetime.now(UTC))):
        await ingest.take(event)
    assert await ingest.mongo.db["withdrawals"].count_documents({"_id": {"$in": [case_id, "never-heard-of"]}}) == 0
    assert (await ingest.case(case_id))["state"] == "published"


async def test_who_does_not_answer_is_asked_again_once_a_day(ingest: IngestService) -> None:
    case_id, code = await signed_case(ingest)
    await by_api(ingest, code)
    receipts, now = ingest.resources.receipts, datetime.now(UTC)

    async def asked() -> list[Event]:
        return [one for one in await ingest.events(case_id) if isinstance(one, CaseWithdrawn)]

    (first,) = await asked()
    await receipts.confirm_all(now + timedelta(hours=23))
    assert len(await asked()) == 1
    for _ in range(3):
        await receipts.confirm_all(now + timedelta(hours=25))
    assert await asked() == [first, first], "the same line of the ledger, once"
    for event in reports_of(case_id, now):
        await ingest.take(event)
    await receipts.confirm_all(now + timedelta(days=9))
    assert len(await asked()) == 2, "who has answered is left in peace"


async def test_a_receipt_from_before_there_were_reports_is_completed(ingest: IngestService) -> None:
    case_id, code = await signed_case(ingest)
    await by_api(ingest, code)
    old = {
        "$unset": {"open": "", "asked_at": "", "comment_ids": ""},
        "$set": {"confirmed.announced": datetime.now(UTC)},
    }
    await ingest.mongo.db["withdrawals"].update_one({"_id": case_id}, old)
    await ingest.mongo.db["outbox"].delete_many({})
    await ingest.resources.receipts.prepare()
    await ingest.resources.receipts.confirm_all(datetime.now(UTC))
    (asked,) = [one for one in await ingest.events(case_id) if isinstance(one, CaseWithdrawn)]
    assert asked.cause is WithdrawalCause.PATIENT
    assert len(asked.picture_ids) == 1


async def test_however_many_are_due_only_some_are_asked_in_a_round(
    ingest: IngestService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an upgrade: every receipt that was closed before there were reports is open again at one moment."""
    db, at = ingest.mongo.db, datetime.now(UTC).replace(microsecond=0)
    await db["withdrawals"].update_many({}, {"$unset": {"open": ""}})
    ended = [f"old-{number}" for number in range(ASK_AT_ONCE + 7)]
    await db["cases"].insert_many(
        [{"_id": one, "state": "withdrawn", "version": 2, "picture_ids": [], "author_id": "a"} for one in ended]
    )
    told = {"cause": "patient", "withdrawn_at": at, "open": True}
    seen = {step: at for step in Step if step not in REPORTED}
    await db["withdrawals"].insert_many([{"_id": one, "receipt_id": one, **told, "confirmed": seen} for one in ended])

    async def asked() -> int:
        return await db["outbox"].count_documents({"topic": CaseWithdrawn.topic, "key": {"$in": ended}})

    receipts, transactions = ingest.resources.receipts, 0
    await receipts.confirm_all(at)
    assert await asked() == ASK_AT_ONCE
    await receipts.confirm_all(at)
    assert await asked() == len(ended), "who waits longest comes first: nobody is asked twice, and nobody forgotten"

    async def counted(*_: object) -> None:
        nonlocal transactions
        transactions += 1

    monkeypatch.setattr(ingest.mongo, "transaction", counted)
    await receipts.confirm_all(at)
    assert transactions == 0, "nobody is due"
    await db["cases"].delete_many({"_id": {"$in": ended}})
    await db["withdrawals"].delete_many({"_id": {"$in": ended}})


async def test_a_withdrawal_is_erased_however_long_receipts_take(ingest: IngestService) -> None:
    case_id, code = await signed_case(ingest)
    await by_api(ingest, code)
    await ingest.room.store(case_id, "came-back", picture_bytes(), "image/jpeg")

    class Slow(Receipts):
        began = asyncio.Event()

        async def confirm_all(self, now: datetime) -> int:
            self.began.set()
            await asyncio.Event().wait()
            return 0

    slow = Slow(ingest.mongo, ingest.blobs)
    at_work = asyncio.create_task(ingest.eraser(receipts=slow, retry_s=0.05).run())
    await slow.began.wait()
    await ingest.mongo.db["cases"].update_one({"_id": case_id}, {"$set": {"purge_pending": True}})

    async def erased() -> bool:
        stub = await ingest.mongo.db["cases"].find_one({"_id": case_id})
        return stub is not None and "purge_pending" not in stub and not await objects(ingest, case_id)

    try:
        await until(erased)
    finally:
        at_work.cancel()
        await asyncio.gather(at_work, return_exceptions=True)


async def test_codes_from_before_codes_had_an_end_get_one(ingest: IngestService) -> None:
    (ended, code), (lives, other) = await signed_case(ingest), await signed_case(ingest)
    await by_api(ingest, code)
    codes = ingest.mongo.db["withdrawal_codes"]

    async def ends(case_id: str) -> list[datetime | None]:
        return [one.get("erase_after") async for one in codes.find({"case_id": case_id})]

    (once,) = await ends(ended)
    assert once is not None
    await codes.update_many({"case_id": ended}, {"$unset": {"erase_after": ""}})
    for _ in range(2):
        await ingest.resources.consents.prepare()
        assert await ends(ended) == [once]
    assert await ends(lives) == [None]
    assert (await by_api(ingest, other)).json()["again"] is False


async def test_an_approval_at_the_same_moment_loses(ingest: IngestService) -> None:
    for first in (True, False) * 4:
        case_id, code = await signed_case(ingest, published=False)
        version = (await ingest.submit(case_id)).json()["version"]
        both = [ingest.take(ingest.approval(case_id, version)), by_api(ingest, code)]
        await asyncio.gather(*(both if first else reversed(both)))
        stub = await ingest.mongo.db["cases"].find_one({"_id": case_id})
        assert stub is not None
        assert stub["state"] == "withdrawn"
        (event,) = [one for one in await ingest.events(case_id) if isinstance(one, CaseWithdrawn)]
        assert event.version > version, "whoever takes the higher version lets the withdrawal win"


async def test_a_restored_database_is_brought_up_to_the_ledger(ingest: IngestService) -> None:
    case_id, code = await signed_case(ingest)
    said = {"kind": "remark", "text": "from the backup"}
    comment = (await ingest.call("POST", f"/cases/{case_id}/comments", said, member=COLLEAGUE)).json()["comment_id"]
    db, names = ingest.mongo.db, ("cases", "comments", "consents", "outbox", "answers")
    backup = {name: await db[name].find({}).to_list(None) for name in names}
    originals = {e.key: await ingest.redactor_blobs.get(RAW, e.key) for e in await ingest.blobs.list_prefix(RAW)}
    await by_api(ingest, code)
    (event,) = [one for one in await ingest.events(case_id) if isinstance(one, CaseWithdrawn)]
    for name, documents in backup.items():
        await db[name].delete_many({})
        if documents:
            await db[name].insert_many(documents)
    for key, data in originals.items():
        if key.startswith(case_id):
            await ingest.blobs.put(RAW, key, data)
    withdrawals = ingest.resources.withdrawals
    assert await withdrawals.still_known([case_id, "never-heard-of"]) == {case_id}

    line = Received(event, case_id, "ledger:1", CaseWithdrawn.topic, 0, 0)
    await withdrawals.by_ledger([line, line])

    assert await withdrawals.still_known([case_id]) == set()
    stub = await db["cases"].find_one({"_id": case_id})
    assert stub is not None
    assert (stub["version"], stub["withdrawn_at"], stub["purge_pending"]) == (event.version, event.withdrawn_at, True)
    assert await db["comments"].count_documents({"case_id": case_id}) == 0
    unsent = await db["outbox"].find({"key": {"$in": [case_id, comment]}}).to_list(None)
    assert {row["value"] for row in unsent} == {None}
    assert {CaseUploaded.topic, CaseSubmitted.topic, CommentAdded.topic} <= {row["topic"] for row in unsent}
    assert not [one for one in await ingest.events(case_id) if isinstance(one, CaseWithdrawn)]
    await ingest.resources.receipts.confirm_all(datetime.now(UTC))
    assert [one for one in await ingest.events(case_id) if isinstance(one, CaseWithdrawn)] == [event], "asked again"
    await ingest.eraser().purge_all()
    assert await objects(ingest, case_id) == []
    assert (await by_api(ingest, code)).json()["again"] is True
    consent = await db["consents"].find_one({"case_id": case_id})
    assert consent is not None
    assert consent["ended_at"] == event.withdrawn_at
