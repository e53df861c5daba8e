"""Kafka in: what other services report about cases and members. Every handler may see a message again."""

from services.moderation.store import Comments, Endings, Reviews
from shared.auth import Members
from shared.bus import Received
from shared.events import CaseRedacted, CaseSubmitted, CaseWithdrawn, CommentAdded, MemberChanged, MemberStatus, Role


class Handlers:
    """Tombstones of cases need no answer: what they erase from a topic, `case.withdrawn` has already erased here."""

    def __init__(self, reviews: Reviews, comments: Comments, members: Members, endings: Endings) -> None:
        self._reviews = reviews
        self._comments = comments
        self._members = members
        self._endings = endings

    async def on_case_submitted(self, received: Received[CaseSubmitted]) -> None:
        """A case enters the queue, or comes back to it after changes."""
        event = received.event
        if event is not None:
            await self._reviews.absorb(received.id, event.case_id, lambda review: review.on_submitted(event))

    async def on_case_redacted(self, received: Received[CaseRedacted]) -> None:
        """A rendering is there to be looked at; most arrive before the author submits."""
        event = received.event
        if event is not None and event.picture_id is not None:
            await self._reviews.absorb(received.id, event.case_id, lambda review: review.on_redacted(event))

    async def on_case_withdrawn(self, received: Received[CaseWithdrawn]) -> None:
        """Nothing but ids and the audit chain stays, and moderation's own topics and dead letters lose the case."""
        if received.event is not None:
            await self._endings.withdraw(received.id, received.event)

    async def on_comment_added(self, received: Received[CommentAdded]) -> None:
        """A comment with words that may identify somebody waits for a decision; others are not kept.

        A tombstone: the comment is gone, and its words with it.
        """
        if received.event is None:
            await self._comments.forget(received.key)
        else:
            await self._comments.take(received.id, received.event)

    async def on_member_changed(self, received: Received[MemberChanged]) -> None:
        """Keeps the local record by which a suspended moderator is stopped; the higher version wins.

        First approvals of who may moderate no more fall, each time the message is seen: a crash in between is made
        up for. What counts is the newest record, not this message.
        """
        if received.event is None:
            return
        await self._members.apply(received.event)
        newest = await self._members.state(received.event.member_id)
        if newest is None or newest.status is not MemberStatus.VERIFIED or Role.MODERATOR not in newest.roles:
            await self._reviews.moderator_gone(received.event.member_id)
