"""What a case holds, and what every rule about it needs."""

from collections.abc import Collection
from datetime import datetime

from pydantic import Field

from services.ingest.domain.consent import Consent, Information, SeenPicture
from services.ingest.domain.consent_request import ConsentRequest
from services.ingest.domain.picture import Picture
from services.ingest.domain.refusals import CaseWithdrawnForGood, NotRenderedYet, PictureUnknown, WrongState
from services.ingest.domain.states import CaseState
from services.ingest.domain.stored import Stored
from shared.events import Language, PatientFacts, QuestionKind, Specialty


class Decision(Stored):
    """What moderation last said of this case."""

    outcome: str
    reasons: tuple[str, ...] = ()
    decided_at: datetime


class CaseRecord(Stored):
    """`version` grows with every change; `text_version` with every change of title or body."""

    case_id: str
    author_id: str
    specialty: Specialty
    kind: QuestionKind
    language: Language
    title: str
    body: str
    patient: PatientFacts | None = None
    created_at: datetime
    updated_at: datetime
    state: CaseState = CaseState.DRAFT
    version: int = 1
    text_version: int = 1
    pictures: list[Picture] = Field(default_factory=list)
    removed_picture_ids: list[str] = Field(default_factory=list)
    information: Information | None = None
    consent_request: ConsentRequest | None = None
    consent: Consent | None = None
    submitted_version: int | None = None
    decision: Decision | None = None
    comments: int = 0

    def picture(self, picture_id: str) -> Picture:
        """Raises PictureUnknown."""
        for picture in self.pictures:
            if picture.picture_id == picture_id:
                return picture
        raise PictureUnknown(picture_id=picture_id)

    def picture_revisions(self) -> dict[str, int]:
        return {picture.picture_id: picture.revision for picture in self.pictures}

    def seen_pictures(self) -> tuple[SeenPicture, ...]:
        """The painted pictures as a signer sees them now: the hashes of all their bytes."""
        return tuple(picture.seen() for picture in self.pictures)

    def _must_be(self, states: Collection[CaseState]) -> None:
        if self.state is CaseState.WITHDRAWN:
            raise CaseWithdrawnForGood()
        if self.state not in states:
            raise WrongState(state=self.state.value, allowed=sorted(state.value for state in states))

    def _all_rendered(self) -> None:
        for picture in self.pictures:
            if picture.current is None:
                raise NotRenderedYet(picture_id=picture.picture_id)

    def _changed(self, now: datetime) -> None:
        self.version += 1
        self.updated_at = now
