"""Pointing out words that may identify somebody: before anything is sent, and again when it is.

The sender acknowledges each finding by naming it (field, kind, start, end), not the text by its hash: a hash can be
sent without ever having looked, a list of findings cannot, and words that were added since are asked about alone.
Nothing of a checked text is stored or logged.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from fastapi import APIRouter

from services.ingest.domain.case import Case
from services.ingest.domain.refusals import TextMayIdentify
from services.ingest.routes.caller import Member
from services.ingest.routes.text_shapes import (
    AcknowledgedFinding,
    AgeShown,
    CombinationShown,
    InWords,
    PatientChoices,
    Suggested,
    TextChecked,
    TextToCheck,
    choices,
)
from shared.deid import Finding, find, find_in_both_languages
from shared.deid.combinations import combinations
from shared.deid.generalise import band_in_words, exact_ages, suggestion
from shared.events import PatientFacts, TextFinding
from shared.findings import in_words

router = APIRouter(tags=["text"])

Found = list[tuple[str, str, Sequence[Finding]]]
"""Each field with its text and what was found in it."""


@router.post("/text-checks")
async def check_text(asked: TextToCheck, member: Member) -> TextChecked:
    """Point out names, dates, places and numbers that may identify somebody, with a more general way to say them.

    A help, not a guarantee: it misses some, and points at words that identify nobody. Nothing is stored.
    """
    patient = asked.patient.facts() if asked.patient else None
    return await asyncio.to_thread(_checked, asked.text, asked.language, patient)


@router.get("/patient-facts")
async def list_patient_facts(member: Member) -> PatientChoices:
    """What you may tell of a patient beside the text, in both languages: never more exactly than this."""
    return choices()


def look_in_case(
    acknowledged: Sequence[AcknowledgedFinding],
) -> Callable[[Case], Awaitable[Sequence[TextFinding]]]:
    """What looks at a case's title and body when it is submitted; raises TextMayIdentify."""

    async def look(case: Case) -> Sequence[TextFinding]:
        found: Found = []
        for field, text in (("title", case.title), ("body", case.body)):
            found.append((field, text, await asyncio.to_thread(find, text, case.language)))
        return _kept(found, acknowledged)

    return look


async def look_in_comment(text: str, acknowledged: Sequence[AcknowledgedFinding]) -> tuple[TextFinding, ...]:
    """What of a comment its author keeps. Comments carry no language: both are searched. Raises TextMayIdentify."""
    found = await asyncio.to_thread(partial(find_in_both_languages, text))
    return _kept([("comment", text, found)], acknowledged)


def _kept(found: Found, acknowledged: Sequence[AcknowledgedFinding]) -> tuple[TextFinding, ...]:
    said = {one.finding() for one in acknowledged}
    kept = [(_told(field, one), field, text, one) for field, text, ones in found for one in ones]
    open_ = [_suggested(field, text, one) for told, field, text, one in kept if told not in said]
    if open_:
        raise TextMayIdentify(findings=[each.model_dump(mode="json") for each in open_])
    return tuple(told for told, *_ in kept)


def _told(field: str, one: Finding) -> TextFinding:
    return TextFinding.model_validate({"field": field, "kind": one.kind.value, "start": one.start, "end": one.end})


def _suggested(field: str, text: str, one: Finding) -> Suggested:
    said = in_words(one.kind.value)
    told = _told(field, one).model_dump()
    return Suggested(**told, fr=said.fr, en=said.en, score=one.score, suggestion=InWords.of(suggestion(one, text)))


def _checked(text: str, language: str, patient: PatientFacts | None) -> TextChecked:
    found = find(text, language)
    ages = [(age, band_in_words(age.band)) for age in exact_ages(text)]
    return TextChecked(
        findings=[_suggested("body", text, one) for one in found],
        ages=[AgeShown(start=age.start, end=age.end, band=age.band, fr=said.fr, en=said.en) for age, said in ages],
        combinations=[
            CombinationShown(parts=[part.value for part in one.parts], fr=one.said.fr, en=one.said.en)
            for one in combinations(text, found, patient)
        ],
    )
