"""The end of a case in moderation: review and comments in one transaction, then dead letters; then it is told."""

from services.moderation.domain import ReviewState
from services.moderation.store.comments import Comments
from services.moderation.store.reviews import Reviews
from shared.erasures import Erasures, Gone
from shared.events import CaseWithdrawn
from shared.mongo import Mongo, Session


class Endings:
    """Erases withdrawn cases and reports it (`ModerationErased`). May be repeated."""

    def __init__(self, mongo: Mongo, reviews: Reviews, comments: Comments, erasures: Erasures) -> None:
        self._mongo = mongo
        self._reviews = reviews
        self._comments = comments
        self._erasures = erasures

    async def withdraw(self, ce_id: str, event: CaseWithdrawn) -> None:
        """Leave of a case but its ids and the audit chain; each event is answered, also where nothing was known."""

        async def write(session: Session) -> None:
            before = await self._reviews.absorb_within(
                session, ce_id, event.case_id, lambda review: review.on_withdrawn(event)
            )
            if before is None:
                return
            comments = await self._comments.forget_case(event.case_id, session)
            known = before not in ("unknown", ReviewState.WITHDRAWN)
            await self._erasures.note([Gone(event.case_id, event.picture_ids, int(known), comments)], session)

        await self._mongo.transaction(write)
        await self._erasures.report()
