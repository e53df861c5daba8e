"""Routes about comments that may identify somebody: the list of them, and the decision about one."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query
from prometheus_client import Counter
from pydantic import BaseModel, Field, model_validator

from services.moderation.domain import ReasonCode
from services.moderation.domain.comments import COMMENT_REASONS, CommentState, PointedComment
from services.moderation.routes.problems import refusals_told
from services.moderation.routes.shapes import Asked
from services.moderation.store import Comments
from shared.auth import Guard, Principal
from shared.events import CommentKind, Role
from shared.findings import FindingShown, shown
from shared.web import Text, field_error

# How many comments moderators decide, and how; many kept ones say that the finder points out too much.
COMMENTS_DECIDED = Counter(
    "consilium_comments_decided_total", "Decisions on comments (a repeated request counts too)", ["outcome"]
)
_WHICH = ", ".join(COMMENT_REASONS)
_REASON_MISSING = Text(
    en=f"Say why, with one of these reasons: {_WHICH}.", fr=f"Dites pourquoi, par l'une de ces raisons\u00a0: {_WHICH}."
)
_REASON_NOT_WANTED = Text(en="A reason belongs to a rejection only.", fr="Une raison ne va qu'avec un rejet.")

CommentId = Annotated[str, Path(min_length=1, max_length=64)]


class CommentDecisionAsked(Asked):
    """`reason`: to reject, one of identifier_in_text, patient_recognisable and not_professional (see GET /reasons)."""

    decision: Literal["keep", "reject"]
    reason: ReasonCode | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "CommentDecisionAsked":
        if self.decision == "reject" and self.reason not in COMMENT_REASONS:
            raise field_error("reason-missing", _REASON_MISSING)
        if self.decision == "keep" and self.reason is not None:
            raise field_error("reason-not-wanted", _REASON_NOT_WANTED)
        return self


class CommentShown(BaseModel):
    """A published comment with what was pointed out in it. Who wrote it is not part of it."""

    comment_id: str
    case_id: str
    kind: CommentKind
    text: str
    findings: list[FindingShown]
    created_at: datetime

    @classmethod
    def of(cls, comment: PointedComment) -> "CommentShown":
        own = {name: getattr(comment, name) for name in ("comment_id", "case_id", "kind", "text", "created_at")}
        return cls(**own, findings=shown(comment.findings))


class CommentPage(BaseModel):
    items: list[CommentShown]
    next_cursor: str | None


class CommentDecisionShown(BaseModel):
    comment_id: str
    case_id: str
    outcome: CommentState
    reason: ReasonCode | None = Field(description="In words at GET /reasons.")
    decided_at: datetime | None


def comment_routes(comments: Comments, guard: Guard) -> APIRouter:
    router = APIRouter(tags=["comments"])
    Moderator = Annotated[Principal, Depends(guard.role(Role.MODERATOR))]

    @router.get("/comments")
    async def list_comments(
        moderator: Moderator,
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
        cursor: Annotated[str | None, Query(max_length=300)] = None,
    ) -> CommentPage:
        """Published comments with words that may identify somebody, oldest first; yours are left to colleagues."""
        with refusals_told(""):
            found, next_cursor = await comments.waiting(moderator.member_id, limit, cursor)
        return CommentPage(items=[CommentShown.of(comment) for comment in found], next_cursor=next_cursor)

    @router.post("/comments/{comment_id}/decision")
    async def decide(comment_id: CommentId, asked: CommentDecisionAsked, moderator: Moderator) -> CommentDecisionShown:
        """Keep a comment, or reject it: then it disappears for everyone."""
        with refusals_told(""):
            said = await comments.decide(comment_id, moderator.member_id, asked.reason)
        COMMENTS_DECIDED.labels(said.state.value).inc()
        return CommentDecisionShown(
            comment_id=said.comment_id,
            case_id=said.case_id,
            outcome=said.state,
            reason=said.reason,
            decided_at=said.decided_at,
        )

    return router
