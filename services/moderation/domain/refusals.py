"""What the aggregate answers when a rule forbids an act. A review that refused is thrown away, never stored."""

from datetime import datetime
from enum import StrEnum


class Refusal(Exception):
    """An act that a rule forbids; the subclass says which rule, its attributes what a client needs to go on."""


class CaseUnknown(Refusal):
    """No such case has been submitted."""


class CaseGone(Refusal):
    """The case was withdrawn: final."""


class NotWaiting(Refusal):
    """The case is not waiting for a decision (`state` says what became of it)."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the review is {state}")
        self.state = state


class OwnCase(Refusal):
    """Nobody moderates a case of their own."""


class CommentUnknown(Refusal):
    """No such comment waits for moderation or was decided by it."""


class OwnComment(Refusal):
    """Nobody decides about a comment of their own."""


class CommentDecided(Refusal):
    """The comment was decided before, otherwise or by somebody else (`state` says how)."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the comment is {state}")
        self.state = state


class ClaimedByAnother(Refusal):
    """Another moderator holds the case until `expires_at` at least."""

    def __init__(self, expires_at: datetime) -> None:
        super().__init__(f"claimed until {expires_at.isoformat()}")
        self.expires_at = expires_at


class ClaimNeeded(Refusal):
    """The act needs a live claim of this moderator: it was never taken, has run out, or was voided."""


class PictureUnknown(Refusal):
    """The case has no such picture, or the picture no such frame, in its current state."""


class StaleRevision(Refusal):
    """The act was made on a revision that is not the current one (`current`, 0 where there is none yet)."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the current revision is {current}")
        self.current = current


class RedactionOutstanding(Refusal):
    """The redactor has not yet answered for these pictures."""

    def __init__(self, picture_ids: tuple[str, ...]) -> None:
        super().__init__(f"{len(picture_ids)} pictures wait for the redactor")
        self.picture_ids = picture_ids


class PictureUnreadable(Refusal):
    """The picture could not be decoded: it can be withheld, nothing else."""


class PictureNotSeen(Refusal):
    """Full-size frames (`frames`, indexes) were not yet served to this moderator in this claim."""

    def __init__(self, frames: tuple[int, ...]) -> None:
        super().__init__(f"{len(frames)} frames not seen")
        self.frames = frames


class BoxFault(StrEnum):
    """What can be wrong with a list of boxes."""

    FRAME_UNKNOWN = "frame_unknown"
    FRAME_TWICE = "frame_twice"
    FRAMES_FORGOTTEN = "frames_forgotten"
    BOX_OUTSIDE = "box_outside"
    CLINICAL_NEW = "clinical_new"
    TOO_MANY = "too_many"


class BadBoxes(Refusal):
    """The box list is not complete, or a box lies outside its frame. `place`: the path into the request."""

    def __init__(self, fault: BoxFault, *place: str | int) -> None:
        super().__init__(f"{fault} at {place}")
        self.fault = fault
        self.place = place


class ProposalsUnanswered(Refusal):
    """The machine suspects something in these places (frame, number of the proposal) that nobody has answered."""

    def __init__(self, proposals: tuple[tuple[int, int], ...]) -> None:
        super().__init__(f"{len(proposals)} proposals unanswered")
        self.proposals = proposals


class ProposalNotCovered(Refusal):
    """The answer says covered, and this revision's paint does not hide the proposal."""

    def __init__(self, frame: int, proposal: int) -> None:
        super().__init__(f"proposal {proposal} of frame {frame} is not covered")
        self.frame = frame
        self.proposal = proposal


class MarksUnanswered(Refusal):
    """The picture may show skin, and nobody has said what marks it shows."""


class AnswerFault(StrEnum):
    """What can be wrong with a list of answers."""

    PROPOSAL_UNKNOWN = "proposal_unknown"
    PROPOSAL_TWICE = "proposal_twice"


class BadAnswers(Refusal):
    """An answer is about no proposal of this revision, or the second about one. `place`: the path in the request."""

    def __init__(self, fault: AnswerFault, *place: str | int) -> None:
        super().__init__(f"{fault} at {place}")
        self.fault = fault
        self.place = place


class SecondModeratorNeeded(Refusal):
    """This moderator has approved the case; a picture of it needs the approval of somebody else as well."""


class NoFirstApproval(Refusal):
    """This moderator has given no first approval that still waits for a second moderator."""


class Undecided(Refusal):
    """These pictures have no decision yet."""

    def __init__(self, picture_ids: tuple[str, ...]) -> None:
        super().__init__(f"{len(picture_ids)} pictures undecided")
        self.picture_ids = picture_ids


class TextNotSeen(Refusal):
    """The text that would be published is not the one that was shown to this moderator in this claim."""


class TextMissing(Refusal):
    """Every picture is withheld and there is no text: nothing would be published."""


class ConsentMissing(Refusal):
    """The case shows pictures of a patient and its submission names no consent."""


class ShowsMore(Refusal):
    """This revision shows something that was covered in the pictures to which the patient agreed."""


class ConsentEnded(Refusal):
    """The last day of the patient's consent is over: the case can only be sent back, or wait for its withdrawal."""
