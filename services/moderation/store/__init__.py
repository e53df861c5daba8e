"""Where moderation keeps things: MongoDB for state, audit and outbox, S3 for what moderators look at."""

from services.moderation.store.comments import Comments
from services.moderation.store.contents import CaseText, ContentBroken, Contents
from services.moderation.store.endings import Endings
from services.moderation.store.reviews import GROUP, AuditTrail, CursorMalformed, Reviews, system_clock

__all__ = [
    "GROUP",
    "AuditTrail",
    "CaseText",
    "Comments",
    "ContentBroken",
    "Contents",
    "CursorMalformed",
    "Endings",
    "Reviews",
    "system_clock",
]
