"""A comment: a published answer to a published case."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from shared.events import CommentAdded, CommentKind, TextFinding

MAX_COMMENT_CHARACTERS = 10_000


class Comment(BaseModel):
    """Written once; `parent_id` names the comment of the same case that it answers.

    `findings`: words that may identify somebody and that the author keeps.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    comment_id: str
    case_id: str
    author_id: str
    kind: CommentKind
    text: str
    parent_id: str | None = None
    created_at: datetime
    findings: tuple[TextFinding, ...] = ()

    def added(self) -> CommentAdded:
        """The event that publishes it."""
        return CommentAdded(version=1, **dict(self))
