"""How a refusal of the domain is told to a client: one kind of problem each, in both languages."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi.exceptions import RequestValidationError
from prometheus_client import Counter

from services.moderation.domain import (
    BadAnswers,
    BadBoxes,
    CaseGone,
    CaseUnknown,
    ClaimedByAnother,
    ClaimNeeded,
    CommentDecided,
    CommentUnknown,
    ConsentEnded,
    ConsentMissing,
    MarksUnanswered,
    NoFirstApproval,
    NotWaiting,
    OwnCase,
    OwnComment,
    PictureNotSeen,
    PictureUnknown,
    PictureUnreadable,
    ProposalNotCovered,
    ProposalsUnanswered,
    RedactionOutstanding,
    Refusal,
    SecondModeratorNeeded,
    ShowsMore,
    StaleRevision,
    TextMissing,
    TextNotSeen,
    Undecided,
)
from services.moderation.routes.problem_kinds import (
    ANSWER_FAULTS,
    BOX_FAULTS,
    CASE_CLAIMED,
    CASE_NOT_WAITING,
    CASE_UNKNOWN,
    CASE_WITHDRAWN,
    CLAIM_NEEDED,
    COMMENT_DECIDED,
    COMMENT_UNKNOWN,
    CONSENT_ENDED,
    CONSENT_MISSING,
    CONTENT_BROKEN,
    CONTENT_GONE,
    CURSOR_MALFORMED,
    MARKS_UNANSWERED,
    NO_FIRST_APPROVAL,
    OWN_CASE,
    OWN_COMMENT,
    PICTURE_NOT_SEEN,
    PICTURE_UNKNOWN,
    PICTURE_UNREADABLE,
    PICTURES_UNDECIDED,
    PROPOSAL_NOT_COVERED,
    PROPOSALS_UNANSWERED,
    REDACTION_OUTSTANDING,
    REVISION_STALE,
    SECOND_MODERATOR_NEEDED,
    SHOWS_MORE,
    TEXT_MISSING,
    TEXT_NOT_SEEN,
)
from services.moderation.store import ContentBroken, CursorMalformed
from shared.blobs import BlobMissing
from shared.web import Problem, ProblemKind, Text

log = logging.getLogger("moderation")

# Anything above zero: an object in the store was exchanged or damaged after the redactor or the author wrote it.
CONTENT_REFUSED = Counter("consilium_content_refused_total", "Objects not shown to moderators because they are wrong")

_SIMPLE: dict[type[Refusal], ProblemKind] = {
    CaseUnknown: CASE_UNKNOWN,
    CaseGone: CASE_WITHDRAWN,
    OwnCase: OWN_CASE,
    OwnComment: OWN_COMMENT,
    CommentUnknown: COMMENT_UNKNOWN,
    ClaimNeeded: CLAIM_NEEDED,
    PictureUnknown: PICTURE_UNKNOWN,
    PictureUnreadable: PICTURE_UNREADABLE,
    TextMissing: TEXT_MISSING,
    ConsentEnded: CONSENT_ENDED,
    ShowsMore: SHOWS_MORE,
    ConsentMissing: CONSENT_MISSING,
    MarksUnanswered: MARKS_UNANSWERED,
    NoFirstApproval: NO_FIRST_APPROVAL,
}


def problem_of(refusal: Refusal, case_id: str) -> Problem | RequestValidationError:
    """What answers a refusal: a problem document whose extra members say what a client needs to go on."""
    match refusal:
        case ClaimedByAnother(expires_at=expires_at):
            return CASE_CLAIMED(expires_at=expires_at.isoformat(timespec="seconds"))
        case NotWaiting(state=state):
            return CASE_NOT_WAITING(state=state)
        case CommentDecided(state=state):
            return COMMENT_DECIDED(state=state)
        case StaleRevision(current=current):
            return REVISION_STALE(current_revision=current)
        case RedactionOutstanding(picture_ids=picture_ids):
            return REDACTION_OUTSTANDING(picture_ids=picture_ids)
        case PictureNotSeen(frames=frames):
            return PICTURE_NOT_SEEN(frames=frames)
        case Undecided(picture_ids=picture_ids):
            return PICTURES_UNDECIDED(picture_ids=picture_ids)
        case ProposalsUnanswered(proposals=proposals):
            return PROPOSALS_UNANSWERED(
                proposals=[{"frame": frame, "proposal": proposal} for frame, proposal in proposals]
            )
        case ProposalNotCovered(frame=frame, proposal=proposal):
            return PROPOSAL_NOT_COVERED(frame=frame, proposal=proposal)
        case BadBoxes(fault=box_fault, place=place):
            return _wrong_at(place, box_fault, BOX_FAULTS[box_fault])
        case BadAnswers(fault=answer_fault, place=place):
            return _wrong_at(place, answer_fault, ANSWER_FAULTS[answer_fault])
        case SecondModeratorNeeded():
            return SECOND_MODERATOR_NEEDED(case_id=case_id)
        case TextNotSeen():
            return TEXT_NOT_SEEN(case_id=case_id)
    return _SIMPLE[type(refusal)]()


def _wrong_at(place: tuple[str | int, ...], code: str, said: Text) -> RequestValidationError:
    return RequestValidationError(
        [{"type": str(code), "loc": ("body", *place), "msg": said.en, "ctx": {"fr": said.fr}}]
    )


@contextmanager
def refusals_told(case_id: str) -> Iterator[None]:
    """Turn what the domain or the store refuses inside into the problem document for it."""
    try:
        yield
    except Refusal as refusal:
        raise problem_of(refusal, case_id) from refusal
    except CursorMalformed as error:
        raise CURSOR_MALFORMED() from error
    except BlobMissing as error:
        log.warning("an object of case %s is not in the store", case_id)
        raise CONTENT_GONE() from error
    except ContentBroken as error:
        CONTENT_REFUSED.inc()
        log.error("content refused: %s", error)
        raise CONTENT_BROKEN() from error
