"""Letters to an address of which the one who asked does not know whether it has an account.

The request writes the same row whoever is behind the address; only here, when the letter goes, it is found out. So
neither the answer nor the time that it takes tells anything.
"""

import json
from collections.abc import Mapping

from services.identity.domain.account import KeepsAccounts
from services.identity.domain.letters import Letter
from services.identity.domain.tickets import KeepsTickets, Purpose
from services.identity.store.mails import Mail
from services.identity.store.postman import USEFUL, Compose, Envelope
from shared.events import MemberStatus


class AddressLetters:
    """Makes the links that prove an address, and the letters around them."""

    def __init__(self, accounts: KeepsAccounts, tickets: KeepsTickets, links_url: str) -> None:
        self._accounts = accounts
        self._tickets = tickets
        self._links = links_url.rstrip("/")

    def composers(self) -> Mapping[Letter, Compose]:
        """What the postman asks before such a letter goes."""
        return {Letter.CONFIRM_ADDRESS: self.confirm_address, Letter.PASSWORD_RESET: self.password_reset}

    async def confirm_address(self, mail: Mail) -> Envelope | None:
        """To a free address the link that makes the account; to the owner of an account that somebody tried."""
        address = mail.facts["address"]
        account = await self._accounts.by_email(address)
        if account is not None:
            facts = {"pseudonym": account.pseudonym}
            return Envelope(account.email, account.language, Letter.ADDRESS_TAKEN, facts)
        asked = json.loads(mail.facts["registration"])
        ttl_s = int(USEFUL[Letter.CONFIRM_ADDRESS].total_seconds())
        token = await self._tickets.issue(Purpose.REGISTRATION, asked, ttl_s)
        facts = {"pseudonym": asked["pseudonym"], "link": f"{self._links}/confirm-address?token={token}"}
        return Envelope(address, asked["language"], Letter.CONFIRM_ADDRESS, facts)

    async def password_reset(self, mail: Mail) -> Envelope | None:
        """To the owner of an account the link to another password; to nobody else anything."""
        account = await self._accounts.by_email(mail.facts["address"])
        if account is None or account.status is MemberStatus.LEFT:
            return None
        ttl_s = int(USEFUL[Letter.PASSWORD_RESET].total_seconds())
        token = await self._tickets.issue(
            Purpose.PASSWORD_RESET, {"member_id": account.member_id}, ttl_s, member_id=account.member_id
        )
        facts = {"pseudonym": account.pseudonym, "link": f"{self._links}/reset-password?token={token}"}
        return Envelope(account.email, account.language, Letter.PASSWORD_RESET, facts)
