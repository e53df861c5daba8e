"""Shapes of what is pointed out in a text, and of what is told of a patient beside it."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints, field_validator

from services.ingest.routes.asking import Asking, Line, Prose
from shared.deid.generalise import TIMINGS, Offered, band_in_words, offered_regions
from shared.events import AgeBand, Language, PatientFacts, Sex, TextFinding, Timing
from shared.findings import FindingShown
from shared.singling import CombinationShown, PartShown
from shared.web import Text, field_error

_REGION_UNKNOWN = Text(
    en="Choose one of the regions of GET /patient-facts.",
    fr="Choisissez l'une des régions de GET /patient-facts.",
)
SEXES: dict[Sex, Text] = {
    Sex.FEMALE: Text(en="female", fr="féminin"),
    Sex.MALE: Text(en="male", fr="masculin"),
    Sex.OTHER: Text(en="other", fr="autre"),
    Sex.WITHHELD: Text(en="withheld", fr="non communiqué"),
}


class AcknowledgedFinding(Asking):
    """A finding that the sender has looked at and keeps, exactly as it was pointed out."""

    field: Literal["title", "body", "comment"]
    kind: Annotated[str, StringConstraints(max_length=40, pattern=r"^[a-z_]+$")]
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]

    def finding(self) -> TextFinding:
        return TextFinding(**self.model_dump())


Acknowledged = Annotated[list[AcknowledgedFinding], Field(max_length=2_000, default_factory=list)]
AcknowledgedCombinations = Annotated[
    list[Annotated[str, StringConstraints(max_length=200, pattern=r"^[a-z_]+([+][a-z_]+)*$")]],
    Field(max_length=100, default_factory=list),
]
"""Codes of combinations that the sender has looked at and keeps."""


class PatientAsked(Asking):
    """What is told of the patient, generalised: an age band, the sex or that it is withheld, a region, how long ago."""

    age_band: AgeBand | None = None
    sex: Sex | None = None
    region: Annotated[str, StringConstraints(max_length=8)] | None = None
    timing: Timing | None = None

    @field_validator("region")
    @classmethod
    def _offered(cls, region: str | None) -> str | None:
        if region is not None and region not in offered_regions():
            raise field_error("region-unknown", _REGION_UNKNOWN)
        return region

    def facts(self) -> PatientFacts:
        return PatientFacts(**self.model_dump())


class TextToCheck(Asking):
    """`title`, `patient`: what will be told beside the text; combinations count them in."""

    language: Language
    title: Line | None = None
    text: Prose
    patient: PatientAsked | None = None


class InWords(BaseModel):
    fr: str
    en: str

    @classmethod
    def of(cls, said: Text) -> "InWords":
        return cls(fr=said.fr, en=said.en)


class OfferedFact(BaseModel):
    """What `patient` may say instead of the words: a code of GET /patient-facts; null for leaving the field out."""

    field: Literal["age_band", "sex", "region", "timing"]
    value: str | None

    @classmethod
    def of(cls, offered: Offered | None) -> "OfferedFact | None":
        return cls(field=offered.field, value=offered.value) if offered else None


class Suggested(FindingShown):
    """`suggestion`: what to write instead, more generally. `score` from 0 to 1: how sure the finder is."""

    score: float
    suggestion: InWords
    offered: OfferedFact | None


class AgeShown(BaseModel):
    """An exact age that may stay, and the band that would say as much."""

    field: Literal["title", "body"]
    start: int
    end: int
    band: AgeBand
    fr: str
    en: str


class PartSuggested(PartShown):
    """`suggestion`: what to say instead, more generally."""

    suggestion: InWords
    offered: OfferedFact | None


class CombinationSuggested(CombinationShown):
    seen: list[PartSuggested]  # type: ignore[assignment]


class TextChecked(BaseModel):
    """Offsets count Unicode code points. `findings` and `combinations` have to be acknowledged when a case is
    submitted; `ages` are advice.
    """

    findings: list[Suggested]
    ages: list[AgeShown]
    combinations: list[CombinationSuggested]


class Choice(BaseModel):
    code: str
    fr: str
    en: str


class PatientChoices(BaseModel):
    """What may be told of a patient, in both languages."""

    age_bands: list[Choice]
    sexes: list[Choice]
    regions: list[Choice]
    timings: list[Choice]


def choices() -> PatientChoices:
    return PatientChoices(
        age_bands=[_choice(band, band_in_words(band)) for band in AgeBand],
        sexes=[_choice(sex, said) for sex, said in SEXES.items()],
        regions=[Choice(code=code, en=english, fr=french) for code, (english, french) in offered_regions().items()],
        timings=[_choice(timing, said) for timing, said in TIMINGS.items()],
    )


def _choice(code: str, said: Text) -> Choice:
    return Choice(code=code, fr=said.fr, en=said.en)
