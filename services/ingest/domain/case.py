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
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from services.ingest.domain.boxes import complete_boxes
from services.ingest.domain.consent import PROMISED_COVERED, Consent
from services.ingest.domain.refusals import (
    CaseNotPublished,
    CaseWithdrawnForGood,
    ConsentMissing,
    ConsentTextOutdated,
    MarksUnanswered,
    NotRenderedYet,
    PictureUnknown,
    TooManyPictures,
    WrongState,
)
from shared.events import (
    SKIN_KINDS,
    CaseApproved,
    CaseRedacted,
    CaseRejected,
    CaseSubmitted,
    CaseUploaded,
    CaseWithdrawn,
    Frame,
    FrameBoxes,
    Language,
    Marks,
    Note,
    PictureKind,
    QuestionKind,
    RedactionOutcome,
    RejectOutcome,
    Specialty,
    SubmittedPicture,
    UploadedPicture,
)
from shared.openings import shows_part_of_a_face

MAX_PICTURES = 10
# Moderation counts up from the submitted revision. After a case came back, the author's revisions start beyond
# what moderation can have used, so that two different paintings never share a name.
REVISIONS_PER_REVIEW = 1000

ConsentTextHashes = Mapping[Language, Collection[str]]


class CaseState(StrEnum):
    DRAFT = "draft"
    UPLOADED = "uploaded"
    REDACTED = "redacted"
    SUBMITTED = "submitted"
    PUBLISHED = "published"
    REJECTED = "rejected"
    CHANGES = "changes"
    WITHDRAWN = "withdrawn"


EDITABLE = frozenset({CaseState.DRAFT, CaseState.UPLOADED, CaseState.REDACTED, CaseState.CHANGES})
NO_PATIENT = frozenset({QuestionKind.ADMINISTRATIVE, QuestionKind.POSOLOGY, QuestionKind.PRACTICE})
"""Kinds of question that are about no patient: without a picture they need no consent."""


class Stored(BaseModel):
    """What lies in the database. Where it cannot be read, the error that reaches a log says so without its words."""

    model_config = ConfigDict(hide_input_in_errors=True)


class Rendering(Stored):
    """The redactor's answer for one revision of a picture. `reason` is set where it could not be read."""

    revision: int
    outcome: RedactionOutcome
    reason: str | None = None
    frames: tuple[Frame, ...] = ()
    notes: tuple[Note, ...] = ()


class Picture(Stored):
    """An uploaded picture. Sizes in pixels as the file's header says; `frames` is 1 where it says nothing.

    `boxes` None: the machine decides what to cover; else the complete list. `marks`: what the author last answered
    about marks on the skin.
    """

    picture_id: str
    kind: PictureKind
    media_type: str
    size_bytes: int
    width: int
    height: int
    frames: int = 1
    revision: int = 1
    # The author's next revision is above this as well; see REVISIONS_PER_REVIEW.
    revision_floor: int = 0
    boxes: tuple[FrameBoxes, ...] | None = None
    rendering: Rendering | None = None
    marks: Marks | None = None

    @property
    def current(self) -> Rendering | None:
        """The rendering of the current revision, if the redactor has answered."""
        return self.rendering if self.rendering and self.rendering.revision == self.revision else None

    @property
    def marks_asked(self) -> bool:
        """Whether the author has to say what marks it shows: it may show skin, and there is something to see."""
        unreadable = self.current is not None and self.current.outcome is RedactionOutcome.UNREADABLE
        return self.kind in SKIN_KINDS and not unreadable

    @property
    def part_of_a_face(self) -> bool:
        """Whether the current rendering leaves a clinical region open in a face."""
        return self.current is not None and any(shows_part_of_a_face(frame) for frame in self.current.frames)

    def complete_boxes(self, frames: Sequence[FrameBoxes]) -> tuple[FrameBoxes, ...]:
        """The list for all frames; see `boxes.complete_boxes`. Raises NotRenderedYet, BoxOutside."""
        shown = self.current
        if shown is None or shown.outcome is not RedactionOutcome.REDACTED:
            raise NotRenderedYet(picture_id=self.picture_id)
        return complete_boxes(shown.frames, frames)


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
    created_at: datetime
    updated_at: datetime
    state: CaseState = CaseState.DRAFT
    version: int = 1
    text_version: int = 1
    pictures: list[Picture] = Field(default_factory=list)
    removed_picture_ids: list[str] = Field(default_factory=list)
    consent: Consent | None = None
    submitted_version: int | None = None
    decision: Decision | None = None
    comments: int = 0

    # -- what the author does ------------------------------------------------------------------------------------

    def edit(self, now: datetime, changes: Mapping[str, Any]) -> None:
        """Change `specialty`, `kind`, `language`, `title` or `body`. Pictures and consent stay as they are."""
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

    def record_consent(self, consent: Consent, texts: ConsentTextHashes, now: datetime) -> None:
        """Keep the patient's consent to the pictures as they are rendered now. Raises ConsentRefused."""
        self._must_be({CaseState.REDACTED, CaseState.CHANGES})
        self._all_rendered()
        consent.check(texts, now)
        self.consent = consent.model_copy(update={"covers": self.picture_revisions(), "recorded_at": now})
        self._changed(now)

    def submit(
        self, texts: ConsentTextHashes, now: datetime, marks: Mapping[str, Marks] | None = None
    ) -> CaseSubmitted:
        """Ask for publication. `marks`: the answer about each picture that may show skin, by id.

        Raises ConsentMissing without a consent that covers exactly these pictures, ConsentTextOutdated where the text
        that was signed says that faces are covered and a picture shows part of one, MarksUnanswered where an answer
        is missing, PictureUnknown where one is about no picture of this case.
        """
        self._must_be({CaseState.REDACTED, CaseState.CHANGES})
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
            pictures=tuple(
                SubmittedPicture(picture_id=p.picture_id, revision=p.revision, kind=p.kind, marks=p.marks)
                for p in self.pictures
            ),
            consent=self.consent.facts() if self.consent and self.needs_consent else None,
        )

    def withdraw(self, now: datetime) -> CaseWithdrawn:
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
            news = event.revision > picture.revision or (event.revision == picture.revision and picture.current is None)
            if news:
                self._keep_rendering(picture, event)
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

    def consent_problem(self, texts: ConsentTextHashes, now: datetime) -> str | None:
        """Why this case may not be submitted for want of consent, as a code; None where it may."""
        if not self.needs_consent:
            return None
        if self.consent is None:
            return "none-recorded"
        part_of_a_face = any(picture.part_of_a_face for picture in self.pictures)
        return self.consent.problem(self.picture_revisions(), texts, now, part_of_a_face=part_of_a_face)

    def picture(self, picture_id: str) -> Picture:
        """Raises PictureUnknown."""
        for picture in self.pictures:
            if picture.picture_id == picture_id:
                return picture
        raise PictureUnknown(picture_id=picture_id)

    def picture_revisions(self) -> dict[str, int]:
        return {picture.picture_id: picture.revision for picture in self.pictures}

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
            pictures=tuple(
                UploadedPicture(
                    picture_id=p.picture_id,
                    revision=p.revision,
                    kind=p.kind,
                    media_type=p.media_type,
                    size_bytes=p.size_bytes,
                    boxes=p.boxes,
                )
                for p in self.pictures
            ),
        )

    def _keep_rendering(self, picture: Picture, event: CaseRedacted) -> None:
        if event.revision > picture.revision:
            # Moderation had it painted again: its boxes are the picture's boxes from now on.
            picture.revision = event.revision
            painted = (FrameBoxes(frame=f.index, boxes=f.regions, clinical=f.clinical) for f in event.frames)
            picture.boxes = tuple(painted) or picture.boxes
        picture.rendering = Rendering(
            revision=event.revision,
            outcome=event.outcome,
            reason=event.reason,
            frames=event.frames,
            notes=event.notes,
        )

    def _changed(self, now: datetime) -> None:
        self.version += 1
        self.updated_at = now
