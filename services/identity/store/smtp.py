"""A mail server by SMTP, with STARTTLS (the default), TLS from the first byte, or, on one machine, neither."""

from email.message import EmailMessage
from typing import Literal

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from services.identity.store.postman import MailAway, MailRefused, SenderRefused

Security = Literal["starttls", "tls", "none"]
_OURS = frozenset({530, 534, 535, 538})
"""Sign in first, or otherwise (RFC 4954): no letter's fault. An operator mends it, and the letters go then."""


class SmtpServer:
    """Sends each message on a connection of its own: letters are rare, and a connection kept open is often dropped."""

    def __init__(
        self,
        host: str,
        port: int,
        security: Security,
        username: str = "",
        password: str = "",
        *,
        timeout_s: float = 30.0,
    ) -> None:
        self._host = host
        self._port = port
        self._security = security
        self._username = username or None
        self._password = password or None
        self._timeout_s = timeout_s

    async def send(self, message: EmailMessage) -> None:
        server = SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username,
            password=self._password,
            use_tls=self._security == "tls",
            # True, not None: a server that offers no STARTTLS gets neither our password nor a letter.
            start_tls=self._security == "starttls",
            timeout=self._timeout_s,
        )
        try:
            async with server:
                await _hand_over(server, message)
        except SMTPAuthenticationError as error:
            raise MailAway(f"it refuses our user name and password ({error.code})") from None
        except SMTPResponseException as error:
            raise MailAway(f"it answers {error.code}") from None
        except (SMTPException, OSError) as error:
            raise MailAway(f"{type(error).__name__} at {self._host}:{self._port}") from None


async def _hand_over(server: SMTP, message: EmailMessage) -> None:
    """The mail transaction itself, on a connection that stands: what is refused here is this letter (RFC 5321, 4.2.1).

    5xx is for good, 4xx (greylisting, a full box) for now; 5xx to our own address is a fault of our settings. The
    words of a server may quote the address: codes are passed on. Raises MailRefused, MailAway (SenderRefused is one),
    and whatever aiosmtplib raises of the connection.
    """
    try:
        await server.send_message(message)
    except SMTPRecipientsRefused as error:
        codes = sorted(refusal.code for refusal in error.recipients)
        raise _refusal("the recipient", codes[0] if codes else 0) from None
    except SMTPSenderRefused as error:
        raise _refusal("our address", error.code, SenderRefused) from None
    except (SMTPDataError, SMTPRecipientRefused) as error:
        raise _refusal("the letter", error.code) from None
    except SMTPNotSupported:
        raise MailRefused("the address has letters that this server does not take (SMTPUTF8)") from None
    except ValueError:
        raise MailRefused("the address cannot be written in an envelope") from None


def _refusal(
    what: str, code: int, for_good: type[MailRefused] | type[SenderRefused] = MailRefused
) -> MailRefused | MailAway:
    kind = for_good if 500 <= code < 600 and code not in _OURS else MailAway
    return kind(f"{what} is refused ({code or 'no code'})")
