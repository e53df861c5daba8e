"""Words that may identify somebody, over HTTP on the real database: pointed out before, asked about when sent."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local import Platform
from shared.events import CaseSubmitted, CommentAdded, CommentRejected
from tests.ingest_service import COLLEAGUE, IngestService, ingest_service

pytestmark = pytest.mark.platform
WORDS = "🩺 Vue avec Mme Lambert à Bordeaux le 12/03/2024. Maladie de Crohn, TA 12/8."
PROBLEM = "urn:consilium:problem:text-may-identify"


@pytest.fixture(scope="module")
async def ingest(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestService]:
    folder: Path = tmp_path_factory.mktemp("ingest")
    async with ingest_service(platform, folder) as service:
        yield service


def named(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a client sends back of findings that it was shown."""
    return [{name: one[name] for name in ("field", "kind", "start", "end")} for one in findings]


async def submit(
    ingest: IngestService,
    case_id: str,
    acknowledged: Sequence[dict[str, Any]] = (),
    combinations: Sequence[str] = (),
) -> httpx.Response:
    pictures = (await ingest.call("GET", f"/cases/{case_id}/preview")).json()["pictures"]
    marks = [{"picture_id": each["picture_id"], "answer": "none"} for each in pictures if each["marks_asked"]]
    asked = {
        "marks": marks,
        "acknowledged_findings": list(acknowledged),
        "acknowledged_combinations": list(combinations),
    }
    return await ingest.call("POST", f"/cases/{case_id}/submission", asked)


async def test_a_text_is_checked_with_spans_sentences_and_suggestions_and_not_kept(ingest: IngestService) -> None:
    answer = await ingest.call("POST", "/text-checks", {"language": "fr", "text": WORDS})
    assert answer.status_code == 200
    found = {one["kind"]: one for one in answer.json()["findings"]}
    assert {kind: WORDS[one["start"] : one["end"]] for kind, one in found.items()} == {
        "name": "Lambert",
        "place": "Bordeaux",
        "date": "12/03/2024",
    }
    assert "Nouvelle-Aquitaine" in found["place"]["suggestion"]["fr"]
    assert all(one["fr"] != one["en"] for one in found.values())
    for collection in await ingest.mongo.db.list_collection_names():
        async for document in ingest.mongo.db[collection].find({}):
            assert "Lambert" not in str(document)


async def test_ages_and_combinations_are_pointed_out(ingest: IngestService) -> None:
    text = "Un homme de 87 ans, atteint d'une maladie de Fabry, vu à Vierzon."
    said = (await ingest.call("POST", "/text-checks", {"language": "fr", "text": text})).json()
    (age,) = said["ages"]
    assert (text[age["start"] : age["end"]], age["band"]) == ("87 ans", "years_85_89")
    (together,) = said["combinations"]
    assert together["code"] == "rare_condition+place"
    assert [(part["part"], text[part["start"] : part["end"]]) for part in together["seen"]] == [
        ("rare_condition", "maladie de Fabry"),
        ("place", "Vierzon"),
    ]
    assert together["seen"][1]["offered"] == {"field": "region", "value": "FR-24"}
    assert all(part["suggestion"]["fr"] != part["suggestion"]["en"] for part in together["seen"])


async def test_a_title_counts_too(ingest: IngestService) -> None:
    asked = {"language": "fr", "title": "Maladie de Fabry", "text": "Vu à Vierzon."}
    said = (await ingest.call("POST", "/text-checks", asked)).json()
    assert [one["code"] for one in said["combinations"]] == ["rare_condition+place"]


async def test_a_region_told_beside_the_text_counts_for_combinations(ingest: IngestService) -> None:
    asked = {"language": "en", "text": "A man aged 45 with Fabry disease, seen in 2019."}
    alone = (await ingest.call("POST", "/text-checks", asked)).json()
    beside = (await ingest.call("POST", "/text-checks", asked | {"patient": {"region": "FR-94"}})).json()
    assert alone["combinations"] == []
    assert beside["combinations"][0]["parts"] == ["rare_condition", "region", "exact_age"]


async def test_a_case_with_findings_is_submitted_only_when_each_is_acknowledged(ingest: IngestService) -> None:
    case_id = await ingest.ready_case()
    await ingest.call("PATCH", f"/cases/{case_id}", {"title": "Avis pour Mme Lambert", "body": WORDS, "language": "fr"})
    refused = await submit(ingest, case_id)
    assert (refused.status_code, refused.json()["type"]) == (409, PROBLEM)
    findings = refused.json()["findings"]
    assert [(one["field"], one["kind"]) for one in findings][:2] == [("title", "name"), ("body", "name")]
    assert (await ingest.case(case_id))["state"] != "submitted"

    part = await submit(ingest, case_id, named(findings[:1]))
    assert named(part.json()["findings"]) == named(findings[1:])
    sent = await submit(ingest, case_id, named(findings))
    assert sent.status_code == 202
    (submitted,) = [event for event in await ingest.events(case_id) if isinstance(event, CaseSubmitted)]
    assert [one.model_dump() for one in submitted.findings] == named(findings)
    assert "Lambert" not in submitted.to_json().decode()


async def test_whoever_writes_a_case_is_warned_of_combinations_in_the_answer(ingest: IngestService) -> None:
    fields = {"specialty": "surgery", "kind": "opinion", "language": "fr", "title": "Porphyrie", "body": "Que faire ?"}
    told = {"region": "FR-94", "age_band": "years_90_up", "timing": "weeks"}
    made = await ingest.call("POST", "/cases", fields | {"patient": told}, key="warned-once")
    assert made.status_code == 201
    codes = [one["code"] for one in made.json()["warnings"]["combinations"]]
    assert codes == ["rare_condition+region+weeks_ago", "rare_condition+region+very_old"]
    again = await ingest.call("POST", "/cases", fields | {"patient": told}, key="warned-once")
    assert again.json() == made.json()
    address = f"/cases/{made.json()['case_id']}"
    (region,) = {
        (part["offered"]["field"], part["offered"]["value"])
        for one in made.json()["warnings"]["combinations"]
        for part in one["seen"]
        if part["part"] == "region"
    }
    assert region == ("region", "FR")
    wider = await ingest.call("PATCH", address, {"patient": told | dict([region])})
    assert wider.json()["warnings"] == {"findings": [], "ages": [], "combinations": []}
    named = await ingest.call("PATCH", address, {"body": "Vue par Mme Lambert à 45 ans, âgée de 45 ans."})
    warned = named.json()["warnings"]
    assert [(one["field"], one["kind"]) for one in warned["findings"]] == [("body", "name")]
    assert [(one["field"], one["band"]) for one in warned["ages"]] == [("body", "years_45_49")]


async def test_a_combination_is_submitted_only_when_it_is_acknowledged_by_its_code(ingest: IngestService) -> None:
    case_id = await ingest.ready_case()
    changes = {"body": "A woman with porphyria.", "patient": {"region": "FR-94", "age_band": "years_40_44"}}
    await ingest.call("PATCH", f"/cases/{case_id}", changes)
    refused = await submit(ingest, case_id)
    assert (refused.status_code, refused.json()["type"], refused.json()["findings"]) == (409, PROBLEM, [])
    (together,) = refused.json()["combinations"]
    assert {part["field"] for part in together["seen"]} == {"body", "region", "age_band"}
    other = await submit(ingest, case_id, combinations=["rare_condition+place"])
    assert [one["code"] for one in other.json()["combinations"]] == [together["code"]]
    sent = await submit(ingest, case_id, combinations=[together["code"]])
    assert sent.status_code == 202
    assert [one["code"] for one in sent.json()["warnings"]["combinations"]] == [together["code"]]
    (submitted,) = [event for event in await ingest.events(case_id) if isinstance(event, CaseSubmitted)]
    assert [one.code for one in submitted.combinations] == [together["code"]]
    assert "porphyria" not in submitted.to_json().decode()


async def test_words_added_after_the_acknowledgement_are_asked_about_alone(ingest: IngestService) -> None:
    case_id = await ingest.ready_case()
    await ingest.call("PATCH", f"/cases/{case_id}", {"body": "Seen with Mr Lambert."})
    first = (await submit(ingest, case_id)).json()["findings"]
    await ingest.call("PATCH", f"/cases/{case_id}", {"body": "Seen with Mr Lambert. Call 07700 900123."})
    again = await submit(ingest, case_id, named(first))
    assert [one["kind"] for one in again.json()["findings"]] == ["phone"]


async def test_a_comment_with_findings_is_asked_about_and_carries_them(ingest: IngestService) -> None:
    case_id = await ingest.published_case()
    address, said = f"/cases/{case_id}/comments", {"kind": "remark", "text": "Ask Dr Kerguelen."}
    refused = await ingest.call("POST", address, said, member=COLLEAGUE)
    assert (refused.status_code, refused.json()["type"]) == (409, PROBLEM)
    kept = said | {"acknowledged_findings": named(refused.json()["findings"])}
    sent = await ingest.call("POST", address, kept, member=COLLEAGUE)
    assert sent.status_code == 201
    (added,) = [event for event in await ingest.events(case_id) if isinstance(event, CommentAdded)]
    assert [(one.field, one.kind, one.start, one.end) for one in added.findings] == [("comment", "name", 7, 16)]


async def test_a_rejected_comment_is_erased_everywhere_and_only_once(ingest: IngestService) -> None:
    case_id = await ingest.published_case()
    said = {"kind": "remark", "text": "Words to be taken back."}
    sent = await ingest.call("POST", f"/cases/{case_id}/comments", said, member=COLLEAGUE, key="the-very-one")
    comment_id = sent.json()["comment_id"]
    rejection = CommentRejected(
        comment_id=comment_id,
        case_id=case_id,
        version=1,
        reason="identifier_in_text",
        decided_at=sent.json()["created_at"],
    )
    await ingest.take(rejection)
    await ingest.take(rejection)
    assert (CommentAdded.topic, comment_id) in await ingest.tombstones()
    assert await ingest.mongo.db["comments"].find_one({"_id": comment_id}) is None
    case = await ingest.mongo.db["cases"].find_one({"_id": case_id})
    assert case is not None
    assert case["comments"] == 0
    again = await ingest.call("POST", f"/cases/{case_id}/comments", said, member=COLLEAGUE, key="the-very-one")
    assert (again.json()["comment_id"], again.json()["text"]) == (comment_id, "")


async def test_what_is_told_of_a_patient_is_chosen_from_what_is_offered(ingest: IngestService) -> None:
    offered = (await ingest.call("GET", "/patient-facts")).json()
    assert {"years_85_89", "years_90_up", "months_0_2"} <= {one["code"] for one in offered["age_bands"]}
    assert all(one["fr"] and one["en"] for choices in offered.values() for one in choices)
    case_id = await ingest.ready_case()
    told = {"age_band": "years_85_89", "sex": "withheld", "region": "FR-75", "timing": "months"}
    changed = await ingest.call("PATCH", f"/cases/{case_id}", {"patient": told})
    assert changed.json()["patient"] == told
    refused = await ingest.call("PATCH", f"/cases/{case_id}", {"patient": {"region": "FR-33"}})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "region-unknown"
    assert (await submit(ingest, case_id)).status_code == 202
    (submitted,) = [event for event in await ingest.events(case_id) if isinstance(event, CaseSubmitted)]
    assert submitted.patient is not None
    assert submitted.patient.model_dump() == told


async def test_only_professionals_check_texts(ingest: IngestService) -> None:
    answer = await ingest.http.post("/text-checks", json={"language": "fr", "text": "x"})
    assert answer.status_code == 401
