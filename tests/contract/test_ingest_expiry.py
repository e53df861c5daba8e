"""Consents end by themselves, their authors are warned before, and only the audience may comment."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy.local import Platform
from services.ingest.store import Expiry
from shared.events import CaseWithdrawn, ConsentExpiring, WithdrawalCause
from tests.ingest_service import COLLEAGUE, IngestService, ingest_service

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
async def ingest(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestService]:
    folder: Path = tmp_path_factory.mktemp("ingest")
    async with ingest_service(platform, folder) as service:
        yield service


def expiry(ingest: IngestService) -> Expiry:
    return Expiry(ingest.mongo, ingest.resources.withdrawals)


async def last_day_of(ingest: IngestService, case_id: str) -> date:
    return date.fromisoformat((await ingest.case(case_id))["consent"]["expires_on"])


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


async def warnings(ingest: IngestService, case_id: str) -> list[int]:
    return [one.days_before for one in await ingest.events(case_id) if isinstance(one, ConsentExpiring)]


async def test_a_case_ends_after_its_last_day_and_not_on_it(ingest: IngestService) -> None:
    published, draft = await ingest.published_case(), await ingest.ready_case()
    last = await last_day_of(ingest, published)
    on_the_day = datetime.combine(last, time(23, 59), UTC)
    assert (await expiry(ingest).look(on_the_day))[0] == 0
    assert (await ingest.case(published))["state"] == "published"

    after = on_the_day + timedelta(minutes=1)
    both = await asyncio.gather(*(expiry(ingest).look(after) for _ in range(3)))  # several workers at once
    assert sum(ended for ended, _ in both) == 2
    for case_id in (published, draft):
        assert (await ingest.call("GET", f"/cases/{case_id}")).status_code == 410
        (event,) = [one for one in await ingest.events(case_id) if isinstance(one, CaseWithdrawn)]
        assert event.cause is WithdrawalCause.EXPIRED
    assert (await expiry(ingest).look(after))[0] == 0


async def test_a_draft_waits_for_the_patient_who_is_asked_anew(ingest: IngestService) -> None:
    draft = await ingest.ready_case()
    after = noon(await last_day_of(ingest, draft) + timedelta(days=1))
    assert (await ingest.ask_consent(draft)).status_code == 201
    assert (await expiry(ingest).look(after))[0] == 0
    assert (await ingest.case(draft))["state"] == "redacted"


async def test_a_question_about_no_patient_outlives_a_consent_that_it_does_not_need(ingest: IngestService) -> None:
    case_id = await ingest.ready_case()
    last = await last_day_of(ingest, case_id)
    for picture in (await ingest.case(case_id))["pictures"]:
        await ingest.call("DELETE", f"/cases/{case_id}/pictures/{picture['picture_id']}")
    await ingest.call("PATCH", f"/cases/{case_id}", {"kind": "posology"})
    assert (await ingest.case(case_id))["needs_consent"] is False
    assert (await expiry(ingest).look(noon(last + timedelta(days=1))))[0] == 0


async def test_the_author_is_warned_twice_and_never_more(ingest: IngestService) -> None:
    case_id = await ingest.published_case()
    last = await last_day_of(ingest, case_id)
    for days_left, so_far in ((31, []), (30, [30]), (29, [30]), (8, [30]), (7, [30, 7]), (0, [30, 7])):
        at = noon(last - timedelta(days=days_left))
        await asyncio.gather(*(expiry(ingest).look(at) for _ in range(2)))
        assert await warnings(ingest, case_id) == so_far, days_left
    event = next(one for one in await ingest.events(case_id) if isinstance(one, ConsentExpiring))
    assert event.expires_on == last
    await ingest.call("POST", f"/cases/{case_id}/withdrawal")
    assert (ConsentExpiring.topic, case_id) in await ingest.tombstones()
    await expiry(ingest).look(noon(last - timedelta(days=7)))
    assert await warnings(ingest, case_id) == [30, 7]


async def test_which_warnings_were_given_is_forgotten_with_the_case(ingest: IngestService) -> None:
    case_id = await ingest.published_case()
    await expiry(ingest).look(noon(await last_day_of(ingest, case_id) - timedelta(days=7)))
    given = ingest.mongo.db["expiry_warnings"]
    assert await given.count_documents({"case_id": case_id}) == 1
    await ingest.call("POST", f"/cases/{case_id}/withdrawal")
    assert await given.count_documents({"case_id": case_id}) == 0
    assert any("expireAfterSeconds" in index for index in (await given.index_information()).values())


async def test_a_warning_that_was_missed_is_given_late_and_once(ingest: IngestService) -> None:
    case_id = await ingest.published_case()
    last = await last_day_of(ingest, case_id)
    for days_left in (5, 4, 3):
        await expiry(ingest).look(noon(last - timedelta(days=days_left)))
    assert await warnings(ingest, case_id) == [7]


@pytest.mark.parametrize(
    ("audience", "who", "status"),
    [
        ("professionals", {"profession": "nurse"}, 201),
        ("professionals", {"profession": "student"}, 404),
        ("professionals_and_students", {"profession": "student"}, 201),
        ("specialty", {"profession": "physician", "specialty": "dermatology"}, 201),
        ("specialty", {"profession": "physician", "specialty": "cardiology"}, 404),
        ("specialty", {"profession": "nurse", "specialty": None}, 404),
    ],
)
async def test_only_the_audience_may_comment(
    ingest: IngestService, audience: str, who: dict[str, Any], status: int
) -> None:
    case_id = await ingest.new_case()
    await ingest.upload(case_id)
    await ingest.call("POST", f"/cases/{case_id}/redaction")
    await ingest.paint(case_id)
    await ingest.consent(case_id, audience=audience)
    version = (await ingest.submit(case_id)).json()["version"]
    await ingest.take(ingest.approval(case_id, version))
    token = ingest.tokens.token(COLLEAGUE, **who)
    said = {"kind": "remark", "text": "I have seen this before."}
    answer = await ingest.http.post(
        f"/cases/{case_id}/comments", json=said, headers={"authorization": f"Bearer {token}"}
    )
    assert answer.status_code == status, answer.text
    own = await ingest.call("POST", f"/cases/{case_id}/comments", said)
    assert own.status_code == 201, "its author always may"
