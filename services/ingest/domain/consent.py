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
        self, pictures: Mapping[str, int], texts: Mapping[Language, Collection[str]], now: datetime
    ) -> str | None:
        """Why this consent does not cover `pictures` (id to revision) today, as a code; None where it does."""
        try:
            self.check(texts, now)
        except ConsentRefused as refusal:
            return str(refusal.facts["reason"])
        return None if self.covers == dict(pictures) else "pictures-changed"
