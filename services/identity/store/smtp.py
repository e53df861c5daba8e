"""A mail server by SMTP, with STARTTLS (the default), TLS from the first byte, or, on one machine, neither."""

from email.message import EmailMessage
from typing import Literal

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from services.identity.store.postman import MailAway, MailRefused

Security = Literal["starttls", "tls", "none"]


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
                await server.send_message(message)
        except SMTPAuthenticationError as error:
            raise MailAway(f"it refuses our user name and password ({error.code})") from None
        except SMTPRecipientsRefused as error:
            codes = sorted(refusal.code for refusal in error.recipients)
            # 4xx: greylisting, a full box. The server's words may quote the address: only the code is passed on.
            kind = MailRefused if codes and codes[0] >= 500 else MailAway
            raise kind(f"the recipient is refused ({codes[0] if codes else 'no code'})") from None
        except SMTPResponseException as error:
            raise MailAway(f"it answers {error.code}") from None
        except (SMTPException, OSError) as error:
            raise MailAway(f"{type(error).__name__} at {self._host}:{self._port}") from None
