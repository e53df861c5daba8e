"""A review of a case with one picture, as far as its decision."""

from typing import Any

from services.moderation.domain import (
    FirstApproval,
    ProposalAnswer,
    Review,
    Round,
)
from shared.events import (
    CaseRedacted,
    LeftReason,
    MarkAnswer,
    Marks,
    PictureKind,
    Region,
    RegionKind,
)
from tests.reviews import (
    NOW,
    PUBLISH,
    SEEN,
    look,
    redacted,
    submitted,
)

TATTOO = Region(kind=RegionKind.TATTOO, box=(60, 40, 20, 20), score=0.4, detector="tattoos")
OTHER = Region(kind=RegionKind.TATTOO, box=(0, 60, 10, 10), score=0.3, detector="tattoos")
NONE = Marks(answer=MarkAnswer.NONE)
HAND = Region(kind=RegionKind.MANUAL, box=(60, 40, 20, 12))


def painted(revision: int = 1, **found: Any) -> CaseRedacted:
    """A rendering of p1 with one frame; `found`: fields of the frame."""
    event = redacted("p1", revision)
    return event.model_copy(update={"frames": tuple(frame.model_copy(update=found) for frame in event.frames)})


def review_with(event: CaseRedacted, kind: PictureKind = PictureKind.PHOTO) -> Review:
    """A submitted case with this one picture, claimed by `mod`, its text read and its frame looked at."""
    review = Review(case_id="c1")
    asked = submitted("p1", revision=event.revision)
    review.on_submitted(
        asked.model_copy(update={"pictures": tuple(p.model_copy(update={"kind": kind}) for p in asked.pictures)})
    )
    review.on_redacted(event)
    claim(review, "mod")
    return review


def drawn_by_the_author(review: Review, event: CaseRedacted) -> None:
    """A rendering that the author submitted, and that the patient has seen."""
    review.on_redacted(event)
    assert review.submission is not None
    pictures = tuple(p.model_copy(update={"revision": event.revision}) for p in review.submission.pictures)
    review.submission = review.submission.model_copy(update={"pictures": pictures})


def claim(review: Review, moderator: str) -> None:
    review.take(moderator, f"claim of {moderator} {len(review.acts)}", NOW)
    review.read(moderator, NOW, 3, "text-hash")
    look(review, "p1", moderator=moderator)


def claim_again(review: Review, moderator: str) -> None:
    """Look anew, since a new revision has arrived."""
    review.release(moderator, NOW)
    claim(review, moderator)


def left(proposal: int, reason: LeftReason = LeftReason.SCAR) -> ProposalAnswer:
    return ProposalAnswer(frame=0, proposal=proposal, answer=MarkAnswer.LEFT, reason=reason)


def covered(proposal: int) -> ProposalAnswer:
    return ProposalAnswer(frame=0, proposal=proposal, answer=MarkAnswer.COVERED)


def approve(review: Review, moderator: str = "mod") -> Round | FirstApproval:
    return review.approve(moderator, NOW, "text-hash", "A title", "What is this?")


def decide_and_approve(review: Review, moderator: str) -> Round | FirstApproval:
    revision = review.pictures["p1"].revision
    review.decide(moderator, NOW, "p1", revision, PUBLISH, answers=SEEN)
    return approve(review, moderator)
