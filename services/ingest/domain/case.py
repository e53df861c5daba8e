"""A case from draft to publication or withdrawal: every state moves through a guarded method.

    draft -> uploaded -> redacted -> submitted -> published
      ^         ^           |           |-> rejected
      |         |-- boxes --|           `-> changes -> (edited) ... -> submitted
      `-- a picture added or removed --'            any state -> withdrawn, final

`submitted` lasts while moderation works (it says nothing about who looks when). A method that other services must
hear of returns the event; the caller stores case and event in one transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import Field

from services.ingest.domain.consent import (
    PROMISED_COVERED,
    Consent,
    Information,
    SeenPicture,
    Signature,
    TextHashes,
    latest_today,
)
from services.ingest.domain.consent_request import ConsentRequest, RequestState
from services.ingest.domain.picture import Picture
from services.ingest.domain.refusals import (
    CaseNotPublished,
    CaseWithdrawnForGood,
    ConsentMissing,
    ConsentPicturesChanged,
    ConsentRefused,
    ConsentTextOutdated,
    MarksUnanswered,
    NotInformed,
    NotRenderedYet,
    PictureUnknown,
    RequestSigned,
    RequestUnknown,
    TooManyPictures,
    WrongState,
)
from services.ingest.domain.signers import Capacity
from services.ingest.domain.states import EDITABLE, NO_PATIENT, WITH_PAINTED_PICTURES, CaseState
from services.ingest.domain.stored import Stored
from shared.events import (
    CaseApproved,
    CaseRedacted,
    CaseRejected,
    CaseSubmitted,
    CaseUploaded,
    CaseWithdrawn,
    FrameBoxes,
    Language,
    Marks,
    PatientFacts,
    QuestionKind,
    RejectOutcome,
    Specialty,
    TextFinding,
    WithdrawalCause,
)

MAX_PICTURES = 10
# Moderation counts up from the submitted revision. After a case came back, the author's revisions start beyond
# what moderation can have used, so that two different paintings never share a name.
REVISIONS_PER_REVIEW = 1000


class Decision(Stored):
    """What moderation last said of this case."""

    outcome: str
    reasons: tuple[str, ...] = ()
    decided_at: datetime


class Case(Stored):
    """The aggregate. `version` grows with every change; `text_version` with every change of title or body."""

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

    def inform(self, now: datetime, information: Information) -> None:
        """Keep that the patient was told, which comes before any signature. Raises ConsentRefused."""
        self._must_be(EDITABLE)
        if information.informed_on > latest_today(now):
            raise ConsentRefused(reason="informed-in-the-future")
        self.information = information
        self._changed(now)

    def request_consent(
        self,
        request: ConsentRequest,
        signer_ids: Mapping[Capacity, str],
        texts: TextHashes,
        now: datetime,
        *,
        replace: bool = False,
    ) -> ConsentRequest:
        """Ask for the consent to the pictures as they are painted now. Takes the place of the request before it.

        Raises NotInformed, SubjectRefused, ConsentRefused, and RequestSigned where somebody has signed the request
        before it, which is still open, unless `replace`.
        """
        self._must_be(WITH_PAINTED_PICTURES)
        self._all_rendered()
        before = self.consent_request
        if before and before.state is RequestState.OPEN and before.signed_by_somebody and not replace:
            raise RequestSigned()
        request = request.model_copy(update={"covers": self.picture_revisions(), "pictures": self.seen_pictures()})
        request.check(texts, now)
        request.lay_out(signer_ids)
        self.consent_request = request
        self._changed(now)
        return request

    def told(self) -> Information:
        """That the patient was informed. Raises NotInformed."""
        if self.information is None:
            raise NotInformed()
        return self.information

    def request_of(self, request_id: str) -> ConsentRequest:
        """The current request. Raises RequestUnknown for every other."""
        if self.consent_request is None or self.consent_request.request_id != request_id:
            raise RequestUnknown()
        return self.consent_request

    def check_can_be_signed(self, request: ConsentRequest) -> None:
        """Raise unless the pictures are still those that the request shows, and the case awaits a consent."""
        self._must_be(WITH_PAINTED_PICTURES)
        self._all_rendered()
        if request.covers != self.picture_revisions() or request.pictures != self.seen_pictures():
            raise ConsentPicturesChanged()

    def give_link(self, request_id: str, signer_id: str, link_hash: str, now: datetime) -> datetime:
        """Let a new link stand for a signer; returns when it ends. Raises what `check_can_be_signed` does."""
        request = self.request_of(request_id)
        self.check_can_be_signed(request)
        ends = request.give_link(signer_id, link_hash, now)
        self._changed(now)
        return ends

    def print_form(self, request_id: str, now: datetime) -> None:
        """Note that a form to be signed on paper was made."""
        request = self.request_of(request_id)
        self.check_can_be_signed(request)
        request.must_be_open()
        request.printed += 1
        self._changed(now)

    def sign(
        self,
        request_id: str,
        signatures: Mapping[str, Signature],
        consent_id: str,
        texts: TextHashes,
        now: datetime,
    ) -> Consent | None:
        """Keep signatures, by signer; the consent, if these were the last that it needs."""
        request = self.request_of(request_id).model_copy(deep=True)
        self.check_can_be_signed(request)
        for signer_id, signature in signatures.items():
            request.sign(signer_id, signature, texts, now)
        given = request.consent(consent_id, now)
        self.consent_request = request
        if given is not None:
            given.check(texts, now)
            self.consent = given
        self._changed(now)
        return given

    def close_request(self, request_id: str, state: RequestState, now: datetime) -> None:
        """The signer said no, or the author takes the request back."""
        request = self.request_of(request_id)
        request.close(state, now)
        self._changed(now)

    def submit(
        self,
        texts: TextHashes,
        now: datetime,
        marks: Mapping[str, Marks] | None = None,
        findings: Sequence[TextFinding] = (),
    ) -> CaseSubmitted:
        """Ask for publication. `marks`: the answer about each picture that may show skin, by id. `findings`: words
        of the text that may identify somebody and that the author keeps; moderators see them pointed out.

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
            findings=tuple(findings),
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

    @property
    def needs_consent(self) -> bool:
        return bool(self.pictures) or self.kind not in NO_PATIENT

    def consent_problem(self, texts: TextHashes, now: datetime) -> str | None:
        """Why this case may not be submitted for want of consent, as a code; None where it may."""
        if not self.needs_consent:
            return None
        asked = self.consent_request.state if self.consent_request else None
        if asked is RequestState.OBJECTED:
            return "patient-objected"
        if asked is RequestState.DECLINED:
            return "declined"
        if self.consent is None:
            return "signatures-awaited" if asked is RequestState.OPEN else "none-recorded"
        return self.consent_standing(texts, now)

    def consent_standing(self, texts: TextHashes, now: datetime) -> str | None:
        """Why the consent that was given does not cover the case as it is, as a code; None where it does."""
        if self.consent is None:
            return "none-recorded"
        part_of_a_face = any(picture.part_of_a_face for picture in self.pictures)
        return self.consent.problem(self.picture_revisions(), self.specialty, texts, now, part_of_a_face=part_of_a_face)

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

    def check_can_be_commented(self) -> None:
        """Raise unless members can see this case."""
        if self.state is CaseState.WITHDRAWN:
            raise CaseWithdrawnForGood()
        if self.state is not CaseState.PUBLISHED:
            raise CaseNotPublished(state=self.state.value)

    # -- inside --------------------------------------------------------------------------------------------------

    def _must_be(self, states: Collection[CaseState]) -> None:
        if self.state is CaseState.WITHDRAWN:
            raise CaseWithdrawnForGood()
        if self.state not in states:
            raise WrongState(state=self.state.value, allowed=sorted(state.value for state in states))

    def _all_rendered(self) -> None:
        for picture in self.pictures:
            if picture.current is None:
                raise NotRenderedYet(picture_id=picture.picture_id)

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

    def _changed(self, now: datetime) -> None:
        self.version += 1
        self.updated_at = now
