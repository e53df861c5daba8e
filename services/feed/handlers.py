"""Kafka in: the four topics, in batches. services/feed/rebuild.py reads the same topics from offset zero."""

from collections.abc import Awaitable, Callable, Sequence

from services.feed.store import Projector
from shared.bus import Bus, Received
from shared.events import CaseApproved, CaseWithdrawn, CommentAdded, MemberChanged


class Handlers:
    """Each handler applies its batch in one transaction, or raises and leaves nothing."""

    def __init__(self, projector: Projector, forget_letters: Callable[..., Awaitable[int]]) -> None:
        """`forget_letters` erases the feed's dead letters that mention one of the ids given to it."""
        self._projector = projector
        self._forget_letters = forget_letters

    def listen(self, bus: Bus, batch_records: int) -> None:
        """Subscribe to everything that the feed consumes."""
        bus.on_batch(CaseApproved, self.on_case_approved, max_records=batch_records)
        bus.on_batch(CaseWithdrawn, self.on_case_withdrawn, max_records=batch_records)
        bus.on_batch(CommentAdded, self.on_comment_added, max_records=batch_records)
        bus.on_batch(MemberChanged, self.on_member_changed, max_records=batch_records)

    async def on_case_approved(self, batch: Sequence[Received[CaseApproved]]) -> None:
        """Publish cases; a tombstone takes its case away."""
        await self._projector.project(CaseApproved, batch)

    async def on_case_withdrawn(self, batch: Sequence[Received[CaseWithdrawn]]) -> None:
        """Remove cases and their comments for good, and note them in the ledger."""
        await self._projector.project(CaseWithdrawn, batch)
        gone = [received.event for received in batch if received.event is not None]
        if gone:
            await self._forget_letters(*(each for event in gone for each in (event.case_id, *event.picture_ids)))

    async def on_comment_added(self, batch: Sequence[Received[CommentAdded]]) -> None:
        """Show comments, also of cases that have not arrived yet; a tombstone takes its comment away."""
        await self._projector.project(CommentAdded, batch)

    async def on_member_changed(self, batch: Sequence[Received[MemberChanged]]) -> None:
        """Keep what authorisation and authors' cards need to know of members."""
        await self._projector.project(MemberChanged, batch)
