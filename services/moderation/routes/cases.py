"""Routes of the queue and of one case: claim, read, approve, reject, audit."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from prometheus_client import Counter

from services.moderation.domain import REASONS, FirstApproval, Review, Round, Submission
from services.moderation.routes.problems import refusals_told
from services.moderation.routes.shapes import (
    AnswerShown,
    AuditShown,
    CaseId,
    CaseShown,
    ClaimShown,
    FlawShown,
    QueueItem,
    QueuePage,
    ReasonList,
    ReasonShown,
    RejectionAsked,
)
from services.moderation.store import Contents, Reviews
from shared.auth import Guard, Principal
from shared.events import Role
from shared.questions import Questions, questions

# How many cases moderators decide, and how: the pace of the team, and of authors who need help with their cases.
CASES_DECIDED = Counter(
    "consilium_cases_decided_total", "Decisions on cases (a repeated request counts too)", ["outcome"]
)


def case_routes(reviews: Reviews, contents: Contents, guard: Guard) -> APIRouter:
    router = APIRouter(tags=["cases"])
    Moderator = Annotated[Principal, Depends(guard.role(Role.MODERATOR))]

    @router.get("/reasons")
    async def list_reasons(moderator: Moderator) -> ReasonList:
        """The codes that a rejection or a decision may give, with their sentences for the author."""
        return ReasonList(items=[ReasonShown(code=code, **said) for code, said in REASONS.items()])

    @router.get("/questions")
    async def list_questions(moderator: Moderator) -> Questions:
        """What you are asked of a picture that may show skin, and why a mark or a proposal may be left."""
        return questions()

    @router.get("/queue")
    async def list_queue(
        moderator: Moderator,
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
        cursor: Annotated[str | None, Query(max_length=300)] = None,
    ) -> QueuePage:
        """The cases that you can claim now, oldest submission first."""
        with refusals_told(""):
            items, next_cursor = await reviews.queue(moderator.member_id, limit, cursor)
        return QueuePage(items=[QueueItem(**item) for item in items], next_cursor=next_cursor)

    @router.post("/cases/{case_id}/claim")
    async def claim(case_id: CaseId, moderator: Moderator) -> ClaimShown:
        """Take a case out of the queue; again, by its holder, renews the lease. 409 while a colleague holds it."""
        claim_id = str(uuid.uuid4())
        with refusals_told(case_id):
            taken = await reviews.change(
                case_id, lambda review: review.take(moderator.member_id, claim_id, reviews.clock())
            )
        return ClaimShown.of(case_id, taken)

    @router.delete("/cases/{case_id}/claim", status_code=204)
    async def release(case_id: CaseId, moderator: Moderator) -> Response:
        """Give a case back. What you have seen and decided in this claim is forgotten."""
        with refusals_told(case_id):
            await reviews.change(case_id, lambda review: review.release(moderator.member_id, reviews.clock()))
        return Response(status_code=204)

    @router.get("/cases/{case_id}")
    async def read_case(case_id: CaseId, moderator: Moderator) -> CaseShown:
        """The text, the pictures with their current renderings, and how far you are. Needs your claim."""
        with refusals_told(case_id):
            held = await reviews.change(case_id, lambda review: review.held(moderator.member_id, reviews.clock()))
            version = held.text_version
            text, sha256 = await contents.text(case_id, version)

            def read(review: Review) -> Review:
                review.read(moderator.member_id, reviews.clock(), version, sha256)
                return review

            review = await reviews.change(case_id, read)
        return CaseShown.of(review, text.title, text.body)

    @router.post("/cases/{case_id}/approval")
    async def approve(case_id: CaseId, moderator: Moderator, response: Response) -> AnswerShown:
        """Publish the case: the text that you have read and the pictures that you decided to publish.

        202 with the outcome `first_approved` where a picture needs a second moderator and you are the first. You can
        take such an approval back until the second has approved (DELETE).
        """
        with refusals_told(case_id):
            before = await reviews.change(case_id, lambda review: answered_or_held(review, moderator))
            if isinstance(before, Round | FirstApproval):
                response.status_code = 202 if isinstance(before, FirstApproval) else 200
                return AnswerShown.of(case_id, before)
            text, sha256 = await contents.text(case_id, before.text_version)
            said = await reviews.change(
                case_id,
                lambda review: review.approve(moderator.member_id, reviews.clock(), sha256, text.title, text.body),
            )
        response.status_code = 202 if isinstance(said, FirstApproval) else 200
        shown = AnswerShown.of(case_id, said)
        CASES_DECIDED.labels(shown.outcome).inc()
        return shown

    @router.delete("/cases/{case_id}/approval", status_code=204)
    async def withdraw_approval(case_id: CaseId, moderator: Moderator) -> Response:
        """Take your first approval back while the second moderator has not approved: the case is in the queue again,
        for you too. 409 where no first approval of yours is waiting."""
        with refusals_told(case_id):
            await reviews.change(case_id, lambda review: review.withdraw_approval(moderator.member_id))
        return Response(status_code=204)

    @router.post("/cases/{case_id}/rejection")
    async def reject(case_id: CaseId, asked: RejectionAsked, moderator: Moderator) -> AnswerShown:
        """Decline the case, or send it back to its author for changes."""
        with refusals_told(case_id):
            said = await reviews.change(
                case_id,
                lambda review: review.reject(moderator.member_id, reviews.clock(), asked.outcome, asked.reasons),
            )
        CASES_DECIDED.labels(said.outcome.value).inc()
        return AnswerShown.of(case_id, said)

    @router.get("/cases/{case_id}/audit")
    async def read_audit(case_id: CaseId, moderator: Moderator) -> AuditShown:
        """Every act on this case, oldest first, and whether the chain of records is whole."""
        with refusals_told(case_id):
            trail = await reviews.audit(case_id)
        flaws = [FlawShown(**flaw.model_dump()) for flaw in trail.flaws]
        return AuditShown(case_id=case_id, whole=not flaws, flaws=flaws, items=trail.records)

    def answered_or_held(review: Review, moderator: Principal) -> Round | FirstApproval | Submission:
        return review.approved_by(moderator.member_id) or review.held(moderator.member_id, reviews.clock())

    return router
