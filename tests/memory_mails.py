"""The outbox of letters in memory, and a mail server that a test commands; `contract/test_identity_mails.py` holds
the first to the real one."""

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

from services.identity.domain.letters import Letter
from services.identity.store.mails import LEASE_S, Mail


class MemoryMails:
    """Answers as `store.mails.Mails` does."""

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._once: set[str] = set()
        self._rows: dict[str, tuple[Mail, datetime]] = {}

    @property
    def waiting(self) -> list[Mail]:
        """The letters that wait, oldest first."""
        return [mail for mail, _ in self._rows.values()]

    async def enqueue(
        self,
        member_id: str,
        letter: Letter,
        facts: Mapping[str, str] | None = None,
        *,
        once: str | None = None,
        session: Any = None,
    ) -> bool:
        if once is not None:
            if once in self._once:
                return False
            self._once.add(once)
        self._add(Mail(str(uuid.uuid4()), letter, member_id, dict(facts or {}), self._now(), 0))
        return True

    async def enqueue_to(self, address: str, letter: Letter, facts: Mapping[str, str] | None = None) -> None:
        self._add(Mail(str(uuid.uuid4()), letter, None, {**(facts or {}), "address": address}, self._now(), 0))

    async def take(self) -> Mail | None:
        due = sorted((due_at, mail_id) for mail_id, (_, due_at) in self._rows.items() if due_at <= self._now())
        if not due:
            return None
        found = self._rows[due[0][1]][0]
        mail = Mail(found.mail_id, found.letter, found.member_id, found.facts, found.written_at, found.tries + 1)
        self._rows[mail.mail_id] = (mail, self._now() + timedelta(seconds=LEASE_S))
        return mail

    async def done(self, mail_id: str) -> None:
        self._rows.pop(mail_id, None)

    async def later(self, mail_id: str, delay_s: float) -> None:
        self._rows[mail_id] = (self._rows[mail_id][0], self._now() + timedelta(seconds=delay_s))

    def _add(self, mail: Mail) -> None:
        self._rows[mail.mail_id] = (mail, self._now())


class MailServer:
    """Accepts every message, unless told what to raise."""

    def __init__(self) -> None:
        self.accepted: list[EmailMessage] = []
        self.asked = 0
        self.fails_with: Exception | None = None

    async def send(self, message: EmailMessage) -> None:
        self.asked += 1
        if self.fails_with is not None:
            raise self.fails_with
        self.accepted.append(message)
