"""Kafka in: the four topics, in batches. services/feed/rebuild.py reads the same topics from offset zero."""

from collections.abc import Sequence

from services.feed.store import Projector
from shared.bus import Bus, Received
from shared.erasures import Erasures
from shared.events import CaseApproved, CaseWithdrawn, CommentAdded, MemberChanged


class Handlers:
    """Each handler applies its batch in one transaction, or raises and leaves nothing."""

    def __init__(self, projector: Projector, erasures: Erasures) -> None:
        self._projector = projector
        self._erasures = erasures

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
        """Remove cases, their comments and dead letters for good, note them in the ledger, and tell of it."""
        await self._projector.project(CaseWithdrawn, batch)
        await self._erasures.report()

    async def on_comment_added(self, batch: Sequence[Received[CommentAdded]]) -> None:
        """Show comments, also of cases that have not arrived yet; a tombstone takes its comment away."""
        await self._projector.project(CommentAdded, batch)

    async def on_member_changed(self, batch: Sequence[Received[MemberChanged]]) -> None:
        """Keep what authorisation and authors' cards need to know of members."""
        await self._projector.project(MemberChanged, batch)
