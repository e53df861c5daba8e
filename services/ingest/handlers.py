"""Kafka in. Each handler may see an event more than once, late, or out of order: the case's own rules (state,
revision, the version that a decision answers) say whether it still means something, and withdrawn always wins.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from services.ingest.store import Receipts, Store
from shared.auth import Members
from shared.bus import Bus, Received
from shared.events import (
    BlocksChanged,
    CaseApproved,
    CaseRedacted,
    CaseRejected,
    CommentRejected,
    Contributions,
    Erased,
    FeedErased,
    MemberChanged,
    MemberStatus,
    ModerationErased,
    RedactorErased,
)

logger = logging.getLogger(__name__)


class Handlers:
    """What ingest does with what others tell. Tombstones mean nothing here: ingest owns the cases."""

    def __init__(self, store: Store, members: Members, receipts: Receipts) -> None:
        self._store = store
        self._members = members
        self._receipts = receipts

    def subscribe(self, bus: Bus) -> None:
        bus.on(CaseRedacted, self.on_case_redacted)
        bus.on(CaseApproved, self.on_case_approved)
        bus.on(CaseRejected, self.on_case_rejected)
        bus.on(CommentRejected, self.on_comment_rejected)
        bus.on(MemberChanged, self.on_member_changed)
        bus.on(BlocksChanged, self.on_member_blocked)
        bus.on(FeedErased, self.on_feed_erased)
        bus.on(ModerationErased, self.on_moderation_erased)
        bus.on(RedactorErased, self.on_redactor_erased)

    async def on_case_redacted(self, received: Received[CaseRedacted]) -> None:
        """Keep a picture's rendering; with the last one the case is ready for author and patient to look at."""
        event = received.event
        if event is not None:
            news = await self._store.take(event.case_id, lambda case: case.take_rendering(event, datetime.now(UTC)))
            self._note(received, event.case_id, news)

    async def on_case_approved(self, received: Received[CaseApproved]) -> None:
        event = received.event
        if event is not None:
            news = await self._store.take(event.case_id, lambda case: case.take_approval(event, datetime.now(UTC)))
            self._note(received, event.case_id, news)

    async def on_case_rejected(self, received: Received[CaseRejected]) -> None:
        event = received.event
        if event is not None:
            news = await self._store.take(event.case_id, lambda case: case.take_rejection(event, datetime.now(UTC)))
            self._note(received, event.case_id, news)

    async def on_comment_rejected(self, received: Received[CommentRejected]) -> None:
        """Erase a comment that a moderator rejected, so that it tells nobody's name; the feed gets its tombstone."""
        event = received.event
        if event is not None:
            news = await self._store.erase_comment(event.case_id, event.comment_id)
            self._note(received, event.case_id, news)

    async def on_member_changed(self, received: Received[MemberChanged]) -> None:
        """Mirror the member, so that a suspension takes effect here within seconds; note who has left."""
        event = received.event
        if event is not None:
            await self._members.apply(event)
            if event.status is MemberStatus.LEFT:
                chosen = event.contributions or Contributions.KEPT
                await self._store.note_leaver(event.member_id, chosen, datetime.now(UTC))

    async def have_left(self, lines: Sequence[Received[MemberChanged]]) -> None:
        """What `on_member_changed` does, for members whose leaving an old backup has undone here, and their lists with
        them. May be repeated.
        """
        for line in lines:
            await self.on_member_changed(line)
            await self._store.blocks.forget(line.key)

    async def on_member_blocked(self, received: Received[BlocksChanged]) -> None:
        """Mirror whom a member has blocked: these may not comment on the member's cases."""
        if received.event is not None:
            await self._store.blocks.apply(received.event)
        else:
            await self._store.blocks.forget(received.key)

    async def on_feed_erased(self, received: Received[FeedErased]) -> None:
        """The feed has nothing of a withdrawn case left: its receipt says so."""
        await self._take_report(received.event)

    async def on_moderation_erased(self, received: Received[ModerationErased]) -> None:
        """The same of moderation."""
        await self._take_report(received.event)

    async def on_redactor_erased(self, received: Received[RedactorErased]) -> None:
        """The same of the redactor."""
        await self._take_report(received.event)

    async def _take_report(self, event: Erased | None) -> None:
        if event is not None and not await self._receipts.take_report(event, datetime.now(UTC)):
            logger.warning("%s of a case that ingest does not know as withdrawn", event.topic)

    @staticmethod
    def _note(
        received: Received[CaseRedacted] | Received[CaseApproved] | Received[CaseRejected] | Received[CommentRejected],
        case_id: str,
        news: bool,
    ) -> None:
        said = "taken in" if news else "says nothing new"
        logger.info("%s %s", received.topic, said, extra={"case_id": case_id, "event_id": received.id})
