"""Pointing out what may identify somebody: words, and parts that together single a patient out.

Before anything is sent, with every answer about a case that is being written, and again when it is submitted.

The sender acknowledges each finding by naming it (field, kind, start, end), not the text by its hash: a hash can be
sent without ever having looked, a list of findings cannot, and words that were added since are asked about alone. A
combination is acknowledged by its code: its words may be reworded without becoming less telling.
Nothing of a checked text is stored or logged.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter

from services.ingest.domain.case import Case, KeptWords
from services.ingest.domain.refusals import TextMayIdentify
from services.ingest.routes.caller import Member
from services.ingest.routes.text_shapes import (
    AcknowledgedFinding,
    AgeShown,
    CombinationSuggested,
    InWords,
    OfferedFact,
    PartSuggested,
    PatientChoices,
    Suggested,
    TextChecked,
    TextToCheck,
    choices,
)
from shared.deid import Finding, find, find_in_both_languages
from shared.deid.combinations import Combination, Searched, combinations
from shared.deid.generalise import band_in_words, exact_ages, suggestion
from shared.events import Language, PatientFacts, TextFinding
from shared.findings import in_words
from shared.singling import part_shown, parts_of_code

router = APIRouter(tags=["text"])

Found = Iterable[tuple[str, str, Sequence[Finding]]]
"""Each field with its text and what was found in it."""


@router.post("/text-checks")
async def check_text(asked: TextToCheck, member: Member) -> TextChecked:
    """Point out names, dates, places and numbers that may identify somebody, and combinations that single a person out
    (a rare disease and a place), with a more general way to say them.

    A help, not a guarantee: it misses some, and points at words that identify nobody. Nothing is stored.
    """
    patient = asked.patient.facts() if asked.patient else None
    return await asyncio.to_thread(_checked, asked.title or "", asked.text, asked.language, patient)


@router.get("/patient-facts")
async def list_patient_facts(member: Member) -> PatientChoices:
    """What you may tell of a patient beside the text, in both languages: never more exactly than this."""
    return choices()


async def warnings_of(case: Mapping[str, Any]) -> dict[str, Any]:
    """What may tell who the patient is, of a case as its author is shown it (`CaseView` as JSON)."""
    patient = PatientFacts.model_validate(case["patient"]) if case["patient"] else None
    checked = await asyncio.to_thread(_checked, case["title"], case["body"], case["language"], patient)
    return checked.model_dump(mode="json")


def look_in_case(
    acknowledged: Sequence[AcknowledgedFinding] = (), acknowledged_combinations: Sequence[str] = ()
) -> Callable[[Case], Awaitable[KeptWords]]:
    """What looks at a case when it is submitted; raises TextMayIdentify."""

    async def look(case: Case) -> KeptWords:
        texts = await asyncio.to_thread(_search, case.title, case.body, case.language)
        kept, open_ = _answered([(one.field, one.text, one.findings) for one in texts], acknowledged)
        together = await asyncio.to_thread(combinations, texts, case.patient)
        asked = [_combined(one) for one in together if one.code not in acknowledged_combinations]
        _ask_about(open_, asked)
        return KeptWords(findings=kept, combinations=tuple(one.told() for one in together))

    return look


async def look_in_comment(text: str, acknowledged: Sequence[AcknowledgedFinding]) -> tuple[TextFinding, ...]:
    """What of a comment its author keeps. Comments carry no language: both are searched. Raises TextMayIdentify."""
    found = await asyncio.to_thread(partial(find_in_both_languages, text))
    kept, open_ = _answered([("comment", text, found)], acknowledged)
    _ask_about(open_, [])
    return kept


def _answered(
    found: Found, acknowledged: Sequence[AcknowledgedFinding]
) -> tuple[tuple[TextFinding, ...], list[Suggested]]:
    """All findings, and those that the sender has not answered for."""
    said = {one.finding() for one in acknowledged}
    told = [(_told(field, one), field, text, one) for field, text, ones in found for one in ones]
    open_ = [_suggested(field, text, one) for finding, field, text, one in told if finding not in said]
    return tuple(finding for finding, *_ in told), open_


def _ask_about(findings: Sequence[Suggested], together: Sequence[CombinationSuggested]) -> None:
    if findings or together:
        raise TextMayIdentify(
            findings=[each.model_dump(mode="json") for each in findings],
            combinations=[each.model_dump(mode="json") for each in together],
        )


def _told(field: str, one: Finding) -> TextFinding:
    return TextFinding.model_validate({"field": field, "kind": one.kind.value, "start": one.start, "end": one.end})


def _suggested(field: str, text: str, one: Finding) -> Suggested:
    said = in_words(one.kind.value)
    instead, offered = suggestion(one, text)
    return Suggested(
        **_told(field, one).model_dump(),
        fr=said.fr,
        en=said.en,
        score=one.score,
        suggestion=InWords.of(instead),
        offered=OfferedFact.of(offered),
    )


def _combined(one: Combination) -> CombinationSuggested:
    return CombinationSuggested(
        code=one.code,
        parts=parts_of_code(one.code),
        fr=one.said.fr,
        en=one.said.en,
        seen=[
            PartSuggested(
                **part_shown(each.told).model_dump(),
                suggestion=InWords.of(each.instead),
                offered=OfferedFact.of(each.offered),
            )
            for each in one.seen
        ],
    )


def _search(title: str, body: str, language: Language) -> list[Searched]:
    """May take a quarter of a second for the longest text: not for the event loop."""
    return [Searched("title", title, find(title, language)), Searched("body", body, find(body, language))]


def _checked(title: str, body: str, language: Language, patient: PatientFacts | None) -> TextChecked:
    texts = _search(title, body, language)
    return TextChecked(
        findings=[_suggested(one.field, one.text, each) for one in texts for each in one.findings],
        ages=[
            AgeShown(field=one.field, start=age.start, end=age.end, band=age.band, fr=said.fr, en=said.en)
            for one in texts
            for age in exact_ages(one.text)
            for said in (band_in_words(age.band),)
        ],
        combinations=[_combined(one) for one in combinations(texts, patient)],
    )
