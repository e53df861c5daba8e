"""Comments that may identify somebody: published already, kept or rejected by a moderator.

Only comments with findings come here, and only until they are decided: then their words are forgotten, and the decision
stays, in the audit chain of the case and here so that a repeated request gets the same answer.
"""

from datetime import datetime
from enum import StrEnum

from services.moderation.domain.audit import ActKind, Detail
from services.moderation.domain.facts import Facts
from services.moderation.domain.reasons import ReasonCode
from services.moderation.domain.refusals import CaseGone, CommentDecided, OwnComment
from services.moderation.domain.values import Value
from shared.events import CommentAdded, CommentKind, CommentRejected, TextFinding

COMMENT_REASONS = (ReasonCode.IDENTIFIER_IN_TEXT, ReasonCode.PATIENT_RECOGNISABLE, ReasonCode.NOT_PROFESSIONAL)
"""Why a comment may be rejected."""


class CommentState(StrEnum):
    WAITING = "waiting"
    KEPT = "kept"
    REJECTED = "rejected"


class PointedComment(Value):
    """A comment with findings; `text` and `findings` are empty once it is decided."""

    comment_id: str
    case_id: str
    version: int
    author_id: str
    kind: CommentKind
    text: str
    findings: tuple[TextFinding, ...]
    created_at: datetime
    state: CommentState = CommentState.WAITING
    moderator_id: str | None = None
    reason: ReasonCode | None = None
    decided_at: datetime | None = None

    @classmethod
    def of(cls, event: CommentAdded) -> "PointedComment":
        names = ("comment_id", "case_id", "version", "author_id", "kind", "text", "findings", "created_at")
        return cls(**{name: getattr(event, name) for name in names})


def decide(
    case: Facts, comment: PointedComment, moderator_id: str, reason: ReasonCode | None, now: datetime
) -> PointedComment:
    """Keep the comment (`reason` None) or reject it. The same decision again changes nothing.

    Raises OwnComment, CaseGone, and CommentDecided where it was decided otherwise or by somebody else.
    """
    if case.withdrawn:
        raise CaseGone
    if comment.author_id == moderator_id:
        raise OwnComment
    wanted = CommentState.KEPT if reason is None else CommentState.REJECTED
    if comment.state is not CommentState.WAITING:
        if (comment.state, comment.moderator_id, comment.reason) == (wanted, moderator_id, reason):
            return comment
        raise CommentDecided(comment.state.value)
    detail: Detail = {"comment_id": comment.comment_id}
    if reason is None:
        case.note(ActKind.COMMENT_KEPT, moderator_id, detail)
    else:
        case.note(ActKind.COMMENT_REJECTED, moderator_id, {**detail, "reason": reason.value})
        case.outgoing.append(
            CommentRejected(
                comment_id=comment.comment_id,
                case_id=comment.case_id,
                version=comment.version,
                reason=reason.value,
                decided_at=now,
            )
        )
    return comment.model_copy(
        update={
            "state": wanted,
            "moderator_id": moderator_id,
            "reason": reason,
            "decided_at": now,
            "text": "",
            "findings": (),
        }
    )
