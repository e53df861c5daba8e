"""Events in: identity writes to people about what others have found out."""

import logging

from services.identity.domain.letters import Letter, Mailer
from shared.bus import Bus, Received
from shared.events import ConsentExpiring

log = logging.getLogger("identity")


class Handlers:
    """What identity does when it hears of something."""

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer

    def subscribe(self, bus: Bus) -> None:
        """Which topic goes where."""
        bus.on(ConsentExpiring, self.on_consent_expiring)

    async def on_consent_expiring(self, received: Received[ConsentExpiring]) -> None:
        """Tell the author that a patient's consent ends soon: once for each warning, however often we hear it.

        The letter's own key, and not the inbox, makes that so: the same fact may come under another id and version.
        """
        event = received.event
        if event is None:  # a tombstone: the case is gone
            return
        facts = {"case_id": event.case_id, "expires_on": event.expires_on.isoformat()}
        once = f"{event.topic}:{event.case_id}:{facts['expires_on']}:{event.days_before}"
        if await self._mailer.enqueue(event.author_id, Letter.CONSENT_EXPIRING, facts, once=once):
            log.info("the author of a case is told that its consent ends", extra={"case_id": event.case_id})
