"""Takes letters out of the outbox and hands them to a mail server, again and again until it accepts them."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Protocol

from prometheus_client import Counter

from services.identity.domain.account import Account
from services.identity.domain.letters import FactMissing, Letter, write
from services.identity.store.mails import Mail
from shared.errors import NotNow
from shared.events import Language
from shared.rounds import in_rounds

log = logging.getLogger("mail")

# How letters end: `refused` is an address that takes none, `late` a letter that was worth nothing any more before it
# could go.
LETTERS_ENDED = Counter("consilium_mails_total", "Letters by kind and how they ended", ["letter", "outcome"])
# The mail server does not let us write as IDENTITY_MAIL_FROM: no letter goes until that is mended, and after a week at
# most (`USEFUL`) letters that waited are lost.
SENDER_REFUSED = Counter("consilium_mails_sender_refused_total", "Tries at which our own address was refused")

FIRST_DELAY_S = 2.0
MAX_DELAY_S = 600.0
USEFUL: Mapping[Letter, timedelta] = {
    Letter.CONFIRM_ADDRESS: timedelta(hours=24),
    Letter.PASSWORD_RESET: timedelta(minutes=30),
}
"""How long a letter is worth sending, from the moment it was written; all others a week."""


class MailRefused(Exception):
    """The mail server will never take this letter (no such address). The message names no address."""


class MailAway(NotNow):
    """The mail server cannot be reached, or does not want to work for us now."""


class SenderRefused(MailAway):
    """The mail server takes no letter from the address that we write as. No letter's fault: an operator mends it, and
    the letters go then."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Where a letter goes and what it says, found out at the moment of sending."""

    address: str
    language: Language
    letter: Letter
    facts: Mapping[str, str] = field(repr=False)


class SendsMail(Protocol):
    """A mail server, as the postman needs it."""

    async def send(self, message: EmailMessage) -> None:
        """Return once the server has accepted the message. Raises MailRefused or MailAway."""


class Outbox(Protocol):
    """What the postman needs of the letters that wait."""

    async def take(self) -> Mail | None: ...
    async def done(self, mail_id: str) -> None: ...
    async def later(self, mail_id: str, delay_s: float) -> None: ...


AddressOf = Callable[[str], Awaitable[Account | None]]
"""The account with that id."""
Compose = Callable[[Mail], Awaitable[Envelope | None]]
"""What a letter to an address says; None where nothing is to be sent."""


class Postman:
    """Sends letters one by one. Replicas share the work: each row is held by one at a time.

    A crash between the server's acceptance and the row's deletion sends a letter twice, under one Message-ID.
    """

    def __init__(
        self,
        outbox: Outbox,
        sender: SendsMail,
        account_of: AddressOf,
        compose: Mapping[Letter, Compose],
        mail_from: str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._outbox = outbox
        self._sender = sender
        self._account_of = account_of
        self._compose = compose
        self._from = mail_from
        self._now = now

    async def run(self) -> None:
        """Send until cancelled; looks into the outbox every second while it is empty."""
        await in_rounds(self.deliver_one, every_s=1.0, what="sending letters", log=log)

    async def deliver_one(self) -> bool:
        """Send the letter that is due. False where none is, or where the mail server is away."""
        mail = await self._outbox.take()
        if mail is None:
            return False
        about = {"letter": mail.letter.value, "mail_id": mail.mail_id, "member_id": mail.member_id}
        if self._now() - mail.written_at > USEFUL.get(mail.letter, timedelta(days=7)):
            return await self._end(mail, "late")
        compose = self._compose.get(mail.letter, self._to_member)
        envelope = await compose(mail)
        if envelope is None:
            return await self._end(mail, "unneeded")
        try:
            await self._sender.send(self._message(mail, envelope))
        except FactMissing as error:  # our own mistake: no later try would know better
            log.error("a letter cannot be written: %s", error, extra=about)
            return await self._end(mail, "broken")
        except MailRefused as refusal:
            log.warning("a letter was refused: %s", refusal, extra=about)
            return await self._end(mail, "refused")
        except MailAway as away:
            delay_s = min(MAX_DELAY_S, FIRST_DELAY_S * 2 ** min(mail.tries - 1, 20))
            if isinstance(away, SenderRefused):
                SENDER_REFUSED.inc()
                log.error("no letter goes until IDENTITY_MAIL_FROM is mended: %s", away, extra=about)
            else:
                log.warning("a letter has to wait %.0f s for the mail server: %s", delay_s, away, extra=about)
            await self._outbox.later(mail.mail_id, delay_s)
            return False
        log.info("a letter was sent", extra=about)
        return await self._end(mail, "sent")

    async def _end(self, mail: Mail, outcome: str) -> bool:
        await self._outbox.done(mail.mail_id)
        LETTERS_ENDED.labels(mail.letter.value, outcome).inc()
        return True

    async def _to_member(self, mail: Mail) -> Envelope | None:
        account = await self._account_of(mail.member_id or "")
        if account is None or not account.email:  # has left meanwhile
            return None
        return Envelope(account.email, account.language, mail.letter, {**mail.facts, "pseudonym": account.pseudonym})

    def _message(self, mail: Mail, envelope: Envelope) -> EmailMessage:
        subject, body = write(envelope.letter, envelope.language, envelope.facts)
        message = EmailMessage()
        message["From"] = self._from
        message["To"] = envelope.address
        message["Subject"] = subject
        message["Date"] = format_datetime(self._now())
        message["Message-ID"] = f"<{mail.mail_id}@{parseaddr(self._from)[1].rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message["Content-Language"] = envelope.language
        message.set_content(body)
        return message
