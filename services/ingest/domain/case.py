"""A case from draft to publication or withdrawal: every state moves through a guarded method.

    draft -> uploaded -> redacted -> submitted -> published
      ^         ^           |           |-> rejected
      |         |-- boxes --|           `-> changes -> (edited) ... -> submitted
      `-- a picture added or removed --'            any state -> withdrawn, final

`submitted` lasts while moderation works (it says nothing about who looks when). A method that other services must
hear of returns the event; the caller stores case and event in one transaction.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.ingest.domain.consent import PROMISED_COVERED, TextHashes
from services.ingest.domain.consenting import CaseWithConsent
from services.ingest.domain.picture import Picture
from services.ingest.domain.record import Decision
from services.ingest.domain.refusals import (
    CaseNotPublished,
    CaseWithdrawnForGood,
    ConsentMissing,
    ConsentTextOutdated,
    MarksUnanswered,
    TooManyPictures,
)
from services.ingest.domain.states import EDITABLE, WITH_PAINTED_PICTURES, CaseState
from services.ingest.domain.stored import Kept
from shared.events import (
    CaseApproved,
    CaseRedacted,
    CaseRejected,
    CaseSubmitted,
    CaseUploaded,
    CaseWithdrawn,
    FrameBoxes,
    Marks,
    RejectOutcome,
    TextCombination,
    TextFinding,
    WithdrawalCause,
)

MAX_PICTURES = 10
# Moderation counts up from the submitted revision. After a case came back, the author's revisions start beyond
# what moderation can have used, so that two different paintings never share a name.
REVISIONS_PER_REVIEW = 1000


class KeptWords(Kept):
    """What of a case may identify somebody, and its author has looked at and keeps."""

    findings: tuple[TextFinding, ...] = ()
    combinations: tuple[TextCombination, ...] = ()


NOTHING_KEPT = KeptWords()


class Case(CaseWithConsent):
    """The aggregate; see `record.CaseRecord` for what it holds and `consenting` for how consents come into it."""

    # -- what the author does ------------------------------------------------------------------------------------

    def edit(self, now: datetime, changes: Mapping[str, Any]) -> None:
        """Change `specialty`, `kind`, `language`, `title`, `body` or `patient`. Pictures and consent stay."""
        self._must_be(EDITABLE)
        different = {name: value for name, value in changes.items() if getattr(self, name) != value}
        for name, value in different.items():
            setattr(self, name, value)
        if different:
            self.text_version += 1 if {"title", "body"} & different.keys() else 0
            self._changed(now)

    def check_can_add_picture(self) -> None:
        """Raise what `add_picture` would, before anything is stored."""
        self._must_be(EDITABLE)
        if len(self.pictures) >= MAX_PICTURES:
            raise TooManyPictures(limit=MAX_PICTURES)

    def add_picture(self, now: datetime, picture: Picture) -> None:
        """The case goes back to draft: the new picture has to be redacted, and the patient asked about it."""
        self.check_can_add_picture()
        self.pictures.append(picture)
        self.state = CaseState.DRAFT
        self._changed(now)

    def remove_picture(self, now: datetime, picture_id: str) -> None:
        self._must_be(EDITABLE)
        self.pictures.remove(self.picture(picture_id))
        self.removed_picture_ids.append(picture_id)
        self.state = CaseState.DRAFT
        self._changed(now)

    def start_redaction(self, now: datetime) -> CaseUploaded:
        self._must_be({CaseState.DRAFT})
        return self._hand_to_redactor(now)

    def change_boxes(self, now: datetime, picture_id: str, frames: Sequence[FrameBoxes]) -> CaseUploaded | None:
        """Have exactly these boxes painted, as a new revision. None where nothing has to be redacted now:

        the boxes are what they were, or the case is a draft whose redaction the author starts later.
        """
        self._must_be(EDITABLE)
        picture = self.picture(picture_id)
        boxes = picture.complete_boxes(frames)
        if boxes == picture.boxes:
            return None
        picture.boxes = boxes
        picture.revision = max(picture.revision, picture.revision_floor) + 1
        if self.state is CaseState.DRAFT:
            self._changed(now)
            return None
        return self._hand_to_redactor(now)

    def submit(
        self,
        texts: TextHashes,
        now: datetime,
        marks: Mapping[str, Marks] | None = None,
        kept: KeptWords = NOTHING_KEPT,
    ) -> CaseSubmitted:
        """Ask for publication. `marks`: the answer about each picture that may show skin, by id. `kept`: what may
        identify somebody and the author keeps; moderators see it pointed out.

        Raises ConsentMissing without a consent that covers exactly these pictures, ConsentTextOutdated where the text
        that was signed says that faces are covered and a picture shows part of one, MarksUnanswered where an answer
        is missing, PictureUnknown where one is about no picture of this case.
        """
        self._must_be(WITH_PAINTED_PICTURES)
        self._all_rendered()
        problem = self.consent_problem(texts, now)
        if problem == PROMISED_COVERED:
            raise ConsentTextOutdated(picture_ids=[p.picture_id for p in self.pictures if p.part_of_a_face])
        if problem is not None:
            raise ConsentMissing(reason=problem)
        self._take_marks(marks or {})
        self.state = CaseState.SUBMITTED
        self._changed(now)
        self.submitted_version = self.version
        return CaseSubmitted(
            case_id=self.case_id,
            version=self.version,
            author_id=self.author_id,
            specialty=self.specialty,
            kind=self.kind,
            language=self.language,
            text_version=self.text_version,
            pictures=tuple(picture.submitted() for picture in self.pictures),
            consent=self.consent.facts() if self.consent and self.needs_consent else None,
            findings=kept.findings,
            combinations=kept.combinations,
            patient=self.patient,
        )

    def withdraw(self, now: datetime, cause: WithdrawalCause = WithdrawalCause.AUTHOR) -> CaseWithdrawn:
        """End the case, from any state, for good."""
        if self.state is CaseState.WITHDRAWN:
            raise CaseWithdrawnForGood()
        self.state = CaseState.WITHDRAWN
        self._changed(now)
        return CaseWithdrawn(
            case_id=self.case_id,
            version=self.version,
            picture_ids=tuple(p.picture_id for p in self.pictures) + tuple(self.removed_picture_ids),
            withdrawn_at=now,
            cause=cause,
        )

    # -- what others answer --------------------------------------------------------------------------------------

    def take_rendering(self, event: CaseRedacted, now: datetime) -> bool:
        """Take in the redactor's answer. False where it says nothing new: stale, double, removed, withdrawn."""
        if self.state is CaseState.WITHDRAWN:
            return False
        news = False
        if event.picture_id is not None:
            picture = next((p for p in self.pictures if p.picture_id == event.picture_id), None)
            if picture is None:
                return False
            news = picture.take_rendering(event)
        if self.state is CaseState.UPLOADED and all(p.current for p in self.pictures):
            self.state = CaseState.REDACTED
            news = True
        if news:
            self._changed(now)
        return news

    def take_approval(self, event: CaseApproved, now: datetime) -> bool:
        """Published. False where the decision answers another submission, or the case was withdrawn."""
        if self.state is not CaseState.SUBMITTED or event.version != self.submitted_version:
            return False
        self.state = CaseState.PUBLISHED
        self.decision = Decision(outcome="published", decided_at=event.approved_at)
        self._changed(now)
        return True

    def take_rejection(self, event: CaseRejected, now: datetime) -> bool:
        """Rejected, or sent back for changes. False as for `take_approval`."""
        if self.state is not CaseState.SUBMITTED or event.version != self.submitted_version:
            return False
        back = event.outcome is RejectOutcome.CHANGES
        self.state = CaseState.CHANGES if back else CaseState.REJECTED
        for picture in self.pictures if back else ():
            picture.revision_floor = picture.revision + REVISIONS_PER_REVIEW
        self.decision = Decision(outcome=event.outcome, reasons=event.reasons, decided_at=event.decided_at)
        self._changed(now)
        return True

    # -- what can be asked ---------------------------------------------------------------------------------------

    def check_can_be_commented(self) -> None:
        """Raise unless members can see this case."""
        if self.state is CaseState.WITHDRAWN:
            raise CaseWithdrawnForGood()
        if self.state is not CaseState.PUBLISHED:
            raise CaseNotPublished(state=self.state.value)

    # -- inside --------------------------------------------------------------------------------------------------

    def _take_marks(self, marks: Mapping[str, Marks]) -> None:
        """Keep the answers to what was asked; every submission gives them anew, since pictures may have changed."""
        for picture_id in marks:
            self.picture(picture_id)
        missing = [p.picture_id for p in self.pictures if p.marks_asked and p.picture_id not in marks]
        if missing:
            raise MarksUnanswered(picture_ids=missing)
        for picture in self.pictures:
            picture.marks = marks.get(picture.picture_id) if picture.marks_asked else None

    def _hand_to_redactor(self, now: datetime) -> CaseUploaded:
        self.state = CaseState.UPLOADED
        self._changed(now)
        return CaseUploaded(
            case_id=self.case_id,
            version=self.version,
            author_id=self.author_id,
            specialty=self.specialty,
            kind=self.kind,
            language=self.language,
            pictures=tuple(picture.uploaded() for picture in self.pictures),
        )
