"""A patient's consent as it was given: who signed, what they saw, what they agreed to, and until when."""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from pydantic import Field

from services.ingest.domain.refusals import ConsentRefused
from services.ingest.domain.signers import Capacity, LegalGround, OwnView, Relation, Subject, View, capacities
from services.ingest.domain.stored import Kept
from shared.events import Audience, ConsentFacts, Language, Specialty

# The signer's calendar may be ahead of UTC, by 14 hours at most (Line Islands).
LATEST_CLOCK = timedelta(hours=14)
A_DAY = timedelta(days=1)
"""Between two dates of which one may be the writer's own calendar and the other is UTC."""
PROOF_YEARS = 5
"""How long the sealed proof of a consent is kept once it has ended (limitation of claims); the consent text says so."""

FACES_COVERED = frozenset(
    {
        "8a66a3c4e15090449059f572a96c3c766946b9a883ec78ac8503e4b623108984",
        "077d951c2ede35d04cc5a5569646b5705b903322d8d6d3320c3b29b76da03b10",
    }
)
"""SHA-256 of the texts, of version 2026-11, that tell the patient that faces are covered and name no exception."""

PROMISED_COVERED = "text-says-faces-are-covered"
"""The problem of a consent to such a text where a picture shows part of a face."""

TextHashes = Mapping[Language, Collection[str]]
"""The SHA-256 of every published consent text, by language."""


class Purpose(StrEnum):
    """What the patient may agree to, each by itself. `PUBLICATION` (discussion among verified members) is needed."""

    PUBLICATION = "publication"
    TEACHING = "teaching"
    SIMILAR_CASES = "similar_cases"
    MODEL_TRAINING = "model_training"


class InformedBy(StrEnum):
    """How the patient was told what is asked of them, before any signature."""

    ORAL = "oral"
    LEAFLET = "leaflet"
    BOTH = "both"


class Means(StrEnum):
    """How somebody signed: with a finger or a mouse on the page, or with a pen on the printed form."""

    DRAWN = "drawn"
    PAPER = "paper"


class Information(Kept):
    """That the patient was informed: an act of its own, before and apart from the signature."""

    informed_on: date
    language: Language
    means: InformedBy
    informed_by: str
    """The member who says so."""
    recorded_at: datetime


class SeenFrame(Kept):
    """A painted frame: SHA-256 of each size, as the redactor announced it."""

    index: int
    sha256: dict[str, str]


class SeenPicture(Kept):
    """A painted picture as it was laid before the signer."""

    picture_id: str
    revision: int
    frames: tuple[SeenFrame, ...] = ()


class Signature(Kept):
    """One signature. The drawing or the photographed sheet is in the room of proofs, never here."""

    capacity: Capacity
    means: Means
    language: Language
    text_sha256: str
    purposes: tuple[Purpose, ...]
    signed_on: date
    signed_at: datetime
    """When it reached us."""
    proof_id: str
    record_sha256: str
    """Of the sealed record that lies with the drawing or the sheet."""


class Consent(Kept):
    """A consent that everybody who has to has signed.

    `patient_code` is the carer's own opaque code; it never leaves ingest and is in no event. `covers`: the revision
    of each picture that was seen; `pictures`: the bytes of these, by their hashes. `purposes`: what every signer
    agreed to. `signed_on`: the earliest signature; `expires_on`: the last day on which the case may be shown. Records
    from before there were signing pages have no signature, and allow nothing any more.
    """

    consent_id: str = ""
    request_id: str = ""
    patient_code: str
    subject: Subject = Subject.ADULT
    legal_ground: LegalGround | None = None
    relation: Relation | None = None
    own_view: OwnView | None = None
    signatures: tuple[Signature, ...] = ()
    information: Information | None = None
    purposes: tuple[Purpose, ...]
    audience: Audience = Audience.PROFESSIONALS_AND_STUDENTS
    specialty: Specialty | None = None
    """Whose professionals are meant where the audience is `specialty`."""
    language: Language
    text_version: str = ""
    text_sha256: str
    signed_on: date
    expires_on: date | None = None
    covers: dict[str, int]
    pictures: tuple[SeenPicture, ...] = Field(default=())
    recorded_at: datetime

    def facts(self) -> ConsentFacts:
        """What may leave ingest: scope, end and text, nothing of the patient."""
        return ConsentFacts(
            purposes=tuple(self.purposes),
            language=self.language,
            text_sha256=self.text_sha256,
            signed_on=self.signed_on,
            audience=self.audience,
            expires_on=self.expires_on,
        )

    def check(self, texts: TextHashes, now: datetime) -> None:
        """Raise ConsentRefused unless this is a proved and current consent to publication."""
        if not self.signatures or self.expires_on is None:
            raise ConsentRefused(reason="unproved")
        if sorted(one.capacity for one in self.signatures) != sorted(capacities(self.subject, self.legal_ground)):
            raise ConsentRefused(reason="signers-incomplete")
        if self.own_view is not None and self.own_view.view is View.OBJECTED:
            raise ConsentRefused(reason="patient-objected")
        if self.information is None or self.information.informed_on > self.signed_on + A_DAY:
            raise ConsentRefused(reason="not-informed")
        for one in self.signatures:
            check_signature(one, texts, now)
        if is_over(self.expires_on, now):
            raise ConsentRefused(reason="expired")

    def problem(
        self,
        pictures: Mapping[str, int],
        specialty: Specialty,
        texts: TextHashes,
        now: datetime,
        *,
        part_of_a_face: bool,
    ) -> str | None:
        """Why this consent does not cover `pictures` (id to revision) today, as a code; None where it does.

        `part_of_a_face`: whether one of them leaves a clinical region open in a face. That the text says otherwise
        is told before `pictures-changed`, so that nobody is asked to sign the same text once more in vain.
        """
        try:
            self.check(texts, now)
        except ConsentRefused as refusal:
            return str(refusal.facts["reason"])
        if part_of_a_face and any(one.text_sha256 in FACES_COVERED for one in self.signatures):
            return PROMISED_COVERED
        if self.audience is Audience.SPECIALTY and self.specialty is not specialty:
            return "audience-changed"
        return None if self.covers == dict(pictures) else "pictures-changed"


def check_signature(signature: Signature, texts: TextHashes, now: datetime) -> None:
    """Raise ConsentRefused unless it agrees to publication, under a published text, on a day that has begun."""
    if Purpose.PUBLICATION not in signature.purposes:
        raise ConsentRefused(reason="purpose-missing")
    if signature.text_sha256 not in texts.get(signature.language, ()):
        raise ConsentRefused(reason="text-unknown")
    if signature.signed_on > latest_today(now):
        raise ConsentRefused(reason="signed-in-the-future")


def latest_today(now: datetime) -> date:
    """The date where the day begins first: no signature can be of a later one."""
    return (now.astimezone(UTC) + LATEST_CLOCK).date()


def is_over(last_day: date, now: datetime) -> bool:
    """Whether `last_day` has ended in UTC."""
    return now.astimezone(UTC).date() > last_day


def years_after(day: date, years: int) -> date:
    """The same day of a later year; 28 February where it has no 29th."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)
