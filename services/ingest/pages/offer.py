"""What a signer is shown, in words: the same for the page, the printed form and the receipt."""

from dataclasses import dataclass
from datetime import date

from services.ingest import consent_texts
from services.ingest.consent_texts import ConsentText
from services.ingest.consent_texts.reading import items
from services.ingest.domain.consent import Purpose, years_after
from services.ingest.domain.consent_request import ConsentRequest
from services.ingest.domain.signers import Capacity
from services.ingest.pages.words import (
    AUDIENCES,
    CAPACITIES,
    GROUNDS,
    LABELS,
    NOTES,
    RELATIONS,
    SPECIALTIES,
    SUBJECTS,
    VIEWS,
    Label,
    day,
    said,
    years,
)
from shared.events import Audience, Language, Specialty


@dataclass(frozen=True)
class Responsible:
    """Who answers for the data, and whom to ask about it; both from the service's settings."""

    controller: str
    data_officer: str


@dataclass(frozen=True)
class PurposeInWords:
    code: Purpose
    label: str
    text: str


@dataclass(frozen=True)
class Offer:
    """`rows`: label and value of each field. `last_day`: if it is signed today."""

    language: Language
    text: ConsentText
    rows: tuple[tuple[str, str], ...]
    purposes: tuple[PurposeInWords, ...]
    audience: str
    last_day: date


def offer_of(request: ConsentRequest, language: Language, responsible: Responsible, today: date) -> Offer:
    """The request in words. `today`: from when the duration would count."""
    last_day = years_after(today, request.duration_years)
    audience = audience_of(request.audience, request.specialty, language)
    until = {"en": "until {last} at the latest", "fr": "au plus tard jusqu’au {last}"}[language]
    fields: list[tuple[Label, str | None]] = [
        (Label.PATIENT_CODE, request.patient_code),
        (Label.SUBJECT, said(SUBJECTS[request.subject], language)),
        (Label.OWN_VIEW, _own_view(request, language)),
        (Label.AUDIENCE, audience),
        (
            Label.DURATION,
            f"{years(request.duration_years, language)}, {until.format(last=day(last_day, language))}",
        ),
        (Label.INFORMED, day(request.information.informed_on, language)),
        (Label.CONTACT, request.contact),
        (Label.CONTROLLER, responsible.controller),
        (Label.OFFICER, responsible.data_officer),
    ]
    text = text_of(request.text_version, language)
    return Offer(
        language=language,
        text=text,
        rows=tuple((said(LABELS[label], language), value) for label, value in fields if value),
        purposes=purposes_of(text, request.purposes),
        audience=audience,
        last_day=last_day,
    )


def audience_of(audience: Audience, specialty: Specialty | None, language: Language) -> str:
    """Who sees the case, in words."""
    return said(AUDIENCES[audience], language, specialty=said(SPECIALTIES[specialty], language) if specialty else "")


def text_of(version: str, language: Language) -> ConsentText:
    """The published text of this version; there is one in each language."""
    return next(one for one in consent_texts.published() if (one.version, one.language) == (version, language))


def purposes_of(text: ConsentText, wanted: tuple[Purpose, ...]) -> tuple[PurposeInWords, ...]:
    """The purposes as the text itself words them: its items are in the order of `Purpose`."""
    worded = dict(zip(Purpose, items(text.text), strict=True))
    return tuple(PurposeInWords(one, *worded[one]) for one in Purpose if one in wanted)


def capacity_of(request: ConsentRequest, capacity: Capacity, language: Language) -> str:
    """As what somebody signs, as a sentence that they confirm."""
    return said(
        CAPACITIES[capacity],
        language,
        ground=said(GROUNDS[request.legal_ground], language) if request.legal_ground else "",
        relation=said(RELATIONS[request.relation], language) if request.relation else "",
    )


def _own_view(request: ConsentRequest, language: Language) -> str | None:
    own = request.own_view
    if own is None:
        return None
    told = said(VIEWS[own.view], language, note=said(NOTES[own.note], language) if own.note else "")
    asked = {"en": "asked on {day}", "fr": "interrogée le {day}"}[language]
    return f"{told}, {asked.format(day=day(own.asked_on, language))}" if own.asked_on else told
