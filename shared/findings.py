"""What the finder of identifying words says, in words: its kinds, and the shape in which findings are shown.

Two services use it: ingest, which points them out before anything is sent, and moderation, which shows them to whoever
decides. Findings travel as kinds and spans only; the words themselves stay where the text is.
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel

from shared.events import IdentifierKind, TextFinding
from shared.web import Text

KINDS: dict[IdentifierKind, Text] = {
    IdentifierKind.NAME: Text(
        en="Perhaps a person's name or initials.", fr="Peut-être le nom ou les initiales d'une personne."
    ),
    IdentifierKind.DATE: Text(en="A date more exact than the year.", fr="Une date plus précise que l'année."),
    IdentifierKind.AGE: Text(en="An age above 89 years.", fr="Un âge supérieur à 89 ans."),
    IdentifierKind.PLACE: Text(
        en="A place smaller than a region, or an institution.",
        fr="Un lieu plus petit qu'une région, ou une institution.",
    ),
    IdentifierKind.PHONE: Text(en="A telephone number.", fr="Un numéro de téléphone."),
    IdentifierKind.EMAIL: Text(en="An e-mail address.", fr="Une adresse électronique."),
    IdentifierKind.NIR: Text(
        en="A French social security number (NIR).", fr="Un numéro de sécurité sociale français (NIR)."
    ),
    IdentifierKind.RPPS: Text(en="A French carer's number (RPPS, ADELI).", fr="Un numéro de soignant (RPPS, ADELI)."),
    IdentifierKind.RECORD_NUMBER: Text(
        en="A record, stay or file number.", fr="Un numéro de dossier, de séjour ou d'identification (IPP)."
    ),
    IdentifierKind.SSN: Text(en="A US social security number.", fr="Un numéro de sécurité sociale des États-Unis."),
    IdentifierKind.NHS: Text(en="A British NHS number.", fr="Un numéro de santé britannique (NHS)."),
    IdentifierKind.NPI: Text(en="A US carer's number (NPI).", fr="Un numéro de soignant des États-Unis (NPI)."),
    IdentifierKind.URL: Text(
        en="A web address or the name of an account.", fr="Une adresse web ou le nom d'un compte."
    ),
    IdentifierKind.IP: Text(en="A computer's address.", fr="L'adresse d'un ordinateur."),
    IdentifierKind.PLATE: Text(en="A vehicle's number plate.", fr="La plaque d'un véhicule."),
}
UNKNOWN_KIND = Text(en="Words that may identify somebody.", fr="Des mots qui peuvent identifier quelqu'un.")


class FindingShown(BaseModel):
    """`start` and `end`: where in the field, in Unicode code points. `fr`, `en`: what it may be."""

    field: Literal["title", "body", "comment"]
    kind: str
    start: int
    end: int
    fr: str
    en: str


def shown(findings: Iterable[TextFinding]) -> list[FindingShown]:
    """Findings with what they may be in both languages, in the order of the text."""
    return [
        FindingShown(**finding.model_dump(), fr=said.fr, en=said.en)
        for finding in sorted(findings, key=lambda one: (one.field != "title", one.start))
        for said in (in_words(finding.kind),)
    ]


def in_words(kind: str) -> Text:
    """What a kind is. An unknown one (from a newer version of the platform) has words of its own."""
    return KINDS[IdentifierKind(kind)] if kind in set(IdentifierKind) else UNKNOWN_KIND
