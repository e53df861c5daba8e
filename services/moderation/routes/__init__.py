"""HTTP in: the queue, one claimed case at a time, its pictures, the decision, and the audit chain.

Every route needs a verified member with the role `moderator`. What a rule of the domain refuses comes back as the
problem document that `problems` declares for it.
"""

from fastapi import APIRouter

from services.moderation.routes.cases import case_routes
from services.moderation.routes.pictures import picture_routes
from services.moderation.store import Contents, Reviews
from shared.auth import Guard

__all__ = ["make_router"]


def make_router(reviews: Reviews, contents: Contents, guard: Guard) -> APIRouter:
    router = APIRouter()
    router.include_router(case_routes(reviews, contents, guard))
    router.include_router(picture_routes(reviews, contents, guard))
    return router
