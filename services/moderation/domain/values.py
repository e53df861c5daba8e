"""The parts of a review: immutable values, replaced and never edited."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from services.moderation.domain.reasons import ReasonCode
from shared.events import (
    Box,
    CaseRedacted,
    CaseSubmitted,
    ConsentFacts,
    Event,
    Frame,
    FrameBoxes,
    Language,
    LeftReason,
    MarkAnswer,
    Marks,
    Note,
    PatientFacts,
    QuestionKind,
    RedactionOutcome,
    RegionKind,
    RejectOutcome,
    Rendition,
    RenditionSize,
    Specialty,
    SubmittedPicture,
    TextCombination,
    TextFinding,
)

BY_HAND = "human"
"""The detector of a region that a person drew."""


class Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ReviewState(StrEnum):
    """Where a review stands. `gathering`: only renderings have arrived, the author has not submitted yet."""

    GATHERING = "gathering"
    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    CHANGES = "changes"
    WITHDRAWN = "withdrawn"


class PictureDecision(StrEnum):
    PUBLISH = "publish"
    WITHHOLD = "withhold"


class RoundOutcome(StrEnum):
    APPROVED = "approved"
    REJECTED = RejectOutcome.REJECTED.value
    CHANGES = RejectOutcome.CHANGES.value


class Submission(Value):
    """What the author asks to publish. `pictures` hold the lowest revision that the author has agreed to."""

    version: int
    author_id: str
    specialty: Specialty
    kind: QuestionKind
    language: Language
    text_version: int
    pictures: tuple[SubmittedPicture, ...]
    consent: ConsentFacts | None
    findings: tuple[TextFinding, ...] = ()
    combinations: tuple[TextCombination, ...] = ()
    patient: PatientFacts | None = None

    @classmethod
    def of(cls, event: CaseSubmitted) -> "Submission":
        return cls(**{name: getattr(event, name) for name in cls.model_fields})


class FaceSeen(Value):
    """A face that the machine saw in some revision of a picture."""

    frame: int
    box: Box


class Picture(Value):
    """The latest rendering of a picture, and what was asked for after it.

    `revision` 0: the redactor has not answered yet. `requested` is the highest revision that a moderator asked for
    (`requested_boxes`: exactly which boxes, so that a repeated request is recognised). `faces`: every face that
    the machine saw in any revision, in order of frame and box: who takes a face's box away does not make it forgotten.
    `agreed`: the frames of the revision that was submitted, once a moderator had it painted again.
    """

    picture_id: str
    revision: int = 0
    position: int = 0
    outcome: RedactionOutcome | None = None
    reason: str | None = None
    frames: tuple[Frame, ...] = ()
    notes: tuple[Note, ...] = ()
    requested: int = 0
    requested_boxes: tuple[FrameBoxes, ...] = ()
    faces: tuple[FaceSeen, ...] = ()
    agreed: tuple[Frame, ...] = ()

    def rendered(self, event: CaseRedacted, agreed_revision: int | None = None) -> "Picture":
        """This picture as `event` describes it; what was requested stays on record until it is answered.

        `agreed_revision`: the one that was submitted, which the patient has seen; its frames are kept.
        """
        agreed = self.frames if agreed_revision is not None and self.revision == agreed_revision else self.agreed
        answered = event.revision >= self.requested
        return Picture(
            picture_id=self.picture_id,
            revision=event.revision,
            position=event.position,
            outcome=event.outcome,
            reason=event.reason,
            frames=event.frames,
            notes=event.notes,
            requested=0 if answered else self.requested,
            requested_boxes=() if answered else self.requested_boxes,
            faces=self._faces_with(event.frames),
            agreed=agreed,
        )

    def remembering(self, event: CaseRedacted) -> "Picture":
        """This picture after a rendering that is not the latest: all that it adds are faces."""
        return self.model_copy(update={"faces": self._faces_with(event.frames)})

    def _faces_with(self, frames: tuple[Frame, ...]) -> tuple[FaceSeen, ...]:
        """`frames` and our own: a picture that was stored before faces were remembered still has those it shows."""
        seen = {(each.frame, each.box) for each in self.faces}
        seen |= {
            (frame.index, region.box)
            for frame in (*self.frames, *frames)
            for region in (*frame.regions, *frame.residual)
            if region.kind is RegionKind.FACE and region.detector != BY_HAND
        }
        return tuple(FaceSeen(frame=frame, box=box) for frame, box in sorted(seen))

    @property
    def unreadable(self) -> bool:
        """Nothing of it can be shown: it could not be decoded, or was rendered to no frame at all."""
        return self.outcome is not RedactionOutcome.REDACTED or not self.frames

    def frame(self, index: int) -> Frame | None:
        return next((frame for frame in self.frames if frame.index == index), None)


class ProposalAnswer(Value):
    """A moderator's word on one proposal: the one in place `proposal` (from 0) of the frame with index `frame`."""

    frame: int
    proposal: int
    answer: Literal[MarkAnswer.COVERED, MarkAnswer.LEFT]
    reason: LeftReason | None = None


class Answers(Value):
    """What a moderator answers with the decision to publish; see `answers.check_answers`."""

    proposals: tuple[ProposalAnswer, ...] = ()
    marks: Marks | None = None


class Decision(Value):
    """A moderator's word on one picture in one revision."""

    revision: int
    decision: PictureDecision
    reason: ReasonCode | None
    decided_at: datetime
    answers: Answers = Answers()


class Claim(Value):
    """A moderator's lease on a case. `claim_id` fences: acts of an older claim of the same person do not count.

    Everything that the moderator has seen and decided hangs on the claim and goes with it: whoever approves has
    seen and decided everything, in one claim.
    """

    claim_id: str
    moderator_id: str
    claimed_at: datetime
    expires_at: datetime
    text_sha256: str | None = None
    served: dict[str, tuple[int, ...]] = {}
    decisions: dict[str, Decision] = {}

    def live(self, now: datetime) -> bool:
        return now < self.expires_at

    def without(self, picture_id: str) -> "Claim":
        """The claim as if this picture had never been looked at: its rendering has changed."""
        return self.model_copy(
            update={
                "served": {key: seen for key, seen in self.served.items() if key != picture_id},
                "decisions": {key: said for key, said in self.decisions.items() if key != picture_id},
            }
        )


class FirstApproval(Value):
    """The first of two approvals. `pictures`: id and revision of each picture that needs a second moderator."""

    version: int
    moderator_id: str
    decided_at: datetime
    pictures: dict[str, int]


class Round(Value):
    """One answered submission: the thread of a case is the tuple of its rounds.

    `first_moderator_id`: who approved before `moderator_id` where a picture needed two.
    """

    version: int
    outcome: RoundOutcome
    reasons: tuple[ReasonCode, ...] = ()
    moderator_id: str
    decided_at: datetime
    first_moderator_id: str | None = None


def full_size(frame: Frame) -> Rendition | None:
    """The rendition on which a decision rests."""
    return next((each for each in frame.renditions if each.size is RenditionSize.FULL), None)


class Tombstone(Value):
    """An order to erase one key of one of moderation's own topics."""

    event: type[Event]
    key: str
