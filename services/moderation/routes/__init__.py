"""HTTP in: the queue, one claimed case at a time, its pictures, the decision, the audit chain, and
comments that may identify somebody.

Every route needs a verified member with the role `moderator`. What a rule of the domain refuses comes back as the
problem document that `problems` declares for it.
"""

from fastapi import APIRouter

from services.moderation.routes.cases import case_routes
from services.moderation.routes.comments import comment_routes
from services.moderation.routes.pictures import picture_routes
from services.moderation.store import Comments, Contents, Reviews
from shared.auth import Guard

__all__ = ["make_router"]


def make_router(reviews: Reviews, contents: Contents, comments: Comments, guard: Guard) -> APIRouter:
    router = APIRouter()
    router.include_router(case_routes(reviews, contents, guard))
    router.include_router(picture_routes(reviews, contents, guard))
    router.include_router(comment_routes(comments, guard))
    return router
