"""Comments on published cases."""

import uuid

from fastapi import APIRouter
from fastapi.responses import Response

from services.ingest.domain.comment import Comment
from services.ingest.routes.caller import Member, Open, Repeatable, now, respond
from services.ingest.routes.text_checks import look_in_comment
from services.ingest.routes.views import CommentView, NewComment
from services.ingest.store import Answer
from shared.audiences import tags_of_reader

router = APIRouter(tags=["comments"])


@router.post("/cases/{case_id}/comments", status_code=201, response_model=CommentView)
async def add_comment(case_id: str, new: NewComment, member: Member, repeatable: Repeatable, open_: Open) -> Response:
    """Answer a published case, or a comment on it. It is published at once; read it in the feed.

    Where it has words that may identify somebody, name each in `acknowledged_findings` or change them (409
    `text-may-identify` lists them). A moderator will look at a comment that keeps some.
    """
    findings = await look_in_comment(new.text, new.acknowledged_findings)
    comment = Comment(
        comment_id=str(uuid.uuid4()),
        case_id=case_id,
        author_id=member.member_id,
        created_at=now(),
        findings=findings,
        **new.model_dump(exclude={"acknowledged_findings"}),
    )
    tags = tags_of_reader(member.profession, member.specialty)
    answer = Answer(201, CommentView.of(comment).model_dump(mode="json"))
    return respond(await open_.store.add_comment(comment, tags, repeatable, answer))
