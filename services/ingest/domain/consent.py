"""A patient's consent: what it must say to be worth anything, and which pictures it covers."""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from services.ingest.domain.refusals import ConsentRefused
from shared.events import ConsentFacts, Language

# An older signature says nothing about pictures and a platform that the patient has seen since.
MAX_AGE_DAYS = 365
# The signer's calendar may be ahead of UTC, by 14 hours at most (Line Islands).
_LATEST_CLOCK = timedelta(hours=14)
FACES_COVERED = frozenset(
    {
        "8a66a3c4e15090449059f572a96c3c766946b9a883ec78ac8503e4b623108984",
        "077d951c2ede35d04cc5a5569646b5705b903322d8d6d3320c3b29b76da03b10",
    }
)
"""SHA-256 of the texts, of version 2026-11, that tell the patient that faces are covered and name no exception."""

PROMISED_COVERED = "text-says-faces-are-covered"
"""The problem of a consent to such a text where a picture shows part of a face."""


class Purpose(StrEnum):
    """What the patient may agree to, each by itself. `PUBLICATION` (discussion among verified members) is needed."""

    PUBLICATION = "publication"
    TEACHING = "teaching"
    SIMILAR_CASES = "similar_cases"
    MODEL_TRAINING = "model_training"


class Consent(BaseModel):
    """A consent as recorded. `covers`: the revision of each picture that the patient has seen redacted.

    `patient_code` is the carer's own opaque code; it never leaves ingest and is in no event.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    patient_code: str
    purposes: tuple[Purpose, ...]
    language: Language
    text_sha256: str
    signed_on: date
    covers: dict[str, int]
    recorded_at: datetime

    def facts(self) -> ConsentFacts:
        """What may leave ingest: scope and text, nothing of the patient."""
        return ConsentFacts(
            purposes=tuple(self.purposes),
            language=self.language,
            text_sha256=self.text_sha256,
            signed_on=self.signed_on,
        )

    def check(self, texts: Mapping[Language, Collection[str]], now: datetime) -> None:
        """Raise ConsentRefused unless this could be a real, current consent to publication.

        `texts`: the SHA-256 of every published consent text, by language.
        """
        if Purpose.PUBLICATION not in self.purposes:
            raise ConsentRefused(reason="purpose-missing")
        if self.text_sha256 not in texts.get(self.language, ()):
            raise ConsentRefused(reason="text-unknown")
        if self.signed_on > (now.astimezone(UTC) + _LATEST_CLOCK).date():
            raise ConsentRefused(reason="signed-in-the-future")
        if self.signed_on < now.astimezone(UTC).date() - timedelta(days=MAX_AGE_DAYS):
            raise ConsentRefused(reason="signed-too-long-ago")

    def problem(
        self,
        pictures: Mapping[str, int],
        texts: Mapping[Language, Collection[str]],
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
        if part_of_a_face and self.text_sha256 in FACES_COVERED:
            return PROMISED_COVERED
        return None if self.covers == dict(pictures) else "pictures-changed"
