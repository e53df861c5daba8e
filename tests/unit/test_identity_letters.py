"""Letters in both languages, the postman who brings them, and what events make identity write."""

import logging
import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from services.identity.domain.account import Account
from services.identity.domain.letters import LETTERS, FactMissing, Letter, write
from services.identity.handlers import Handlers
from services.identity.store.postman import MailAway, MailRefused, Postman
from shared.bus import Received
from shared.events import ConsentExpiring, Language, Profession
from tests.memory_accounts import MemoryAccounts
from tests.memory_mails import MailServer, MemoryMails

FACTS = {
    "pseudonym": "Dr Ambroise",
    "link": "https://consilium.example/x?token=abc",
    "factor": "totp",
    "case_id": "4711",
    "expires_on": "2027-03-01",
    "leaves_on": "2027-03-01",
    "reason": "",
    "ends_on": "2027-10-31",
    "ended_on": "2027-10-31",
}


@pytest.mark.parametrize("letter", list(Letter))
@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_letter_is_whole_in_both_languages(letter: Letter, language: Language) -> None:
    subject, body = write(letter, language, FACTS)
    assert 5 < len(subject) < 60
    assert "\n" not in subject
    assert "Dr Ambroise" in body.splitlines()[0]
    assert "{" not in subject + body
    assert " \n" not in body
    if language == "fr":
        assert not re.search(r"[\w»)] [:;!?»]", subject + body), "French sets a non-breaking space there"
        assert LETTERS[letter]["fr"].body != LETTERS[letter]["en"].body


def test_dates_are_written_as_people_write_them() -> None:
    assert "1er mars 2027" in write(Letter.CONSENT_EXPIRING, "fr", FACTS)[1]
    assert "1 March 2027" in write(Letter.CONSENT_EXPIRING, "en", FACTS)[1]


def test_a_letter_without_its_facts_is_a_mistake_of_ours() -> None:
    with pytest.raises(FactMissing, match="link"):
        write(Letter.PASSWORD_RESET, "fr", {"pseudonym": "Dr Ambroise"})


class Post:
    """A postman with everything that he works with at hand."""

    def __init__(self) -> None:
        self.clock = datetime(2026, 3, 1, tzinfo=UTC)
        self.accounts = MemoryAccounts()
        self.mails = MemoryMails(now=lambda: self.clock)
        self.server = MailServer()
        self.postman = Postman(
            self.mails, self.server, self.accounts.by_id, {}, "Consilium <no-reply@c.example>", now=lambda: self.clock
        )

    async def member(self, language: Language = "fr") -> Account:
        account = Account.register(
            email="a.martin@hopital.example",
            password_hash="h",
            pseudonym="Dr Ambroise",
            profession=Profession.NURSE,
            now=self.clock,
            language=language,
        )
        await self.accounts.add(account)
        return account


@pytest.mark.parametrize(
    ("language", "subject"), [("fr", "Votre profession est vérifiée"), ("en", "Your profession is verified")]
)
async def test_a_member_gets_a_letter_in_their_language(language: Language, subject: str) -> None:
    post = Post()
    account = await post.member(language)
    await post.mails.enqueue(account.member_id, Letter.ACCOUNT_VERIFIED)
    assert await post.postman.deliver_one()
    (message,) = post.server.accepted
    assert (message["To"], message["Subject"]) == ("a.martin@hopital.example", subject)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@c.example>")
    assert post.mails.waiting == []
    assert not await post.postman.deliver_one()


async def test_while_the_mail_server_is_away_letters_wait_longer_and_longer_and_none_is_lost() -> None:
    post = Post()
    account = await post.member()
    await post.mails.enqueue(account.member_id, Letter.ACCOUNT_VERIFIED)
    post.server.fails_with = MailAway("no route")
    tried_at = []
    for _ in range(600):
        asked = post.server.asked
        assert not await post.postman.deliver_one()
        if post.server.asked > asked:
            tried_at.append(post.clock)
        post.clock += timedelta(seconds=1)
    assert [(b - a).total_seconds() for a, b in pairwise(tried_at)] == [2, 4, 8, 16, 32, 64, 128, 256]
    post.server.fails_with = None
    post.clock += timedelta(seconds=600)
    assert await post.postman.deliver_one()
    assert len(post.server.accepted) == 1


async def test_a_letter_that_nobody_takes_is_given_up_and_so_is_one_to_somebody_who_left() -> None:
    post = Post()
    account = await post.member()
    post.server.fails_with = MailRefused("550")
    await post.mails.enqueue(account.member_id, Letter.ACCOUNT_VERIFIED)
    await post.mails.enqueue("nobody", Letter.ACCOUNT_VERIFIED)
    assert [await post.postman.deliver_one() for _ in range(3)] == [True, True, False]
    assert post.mails.waiting == []


async def test_a_link_that_has_expired_is_not_sent_any_more() -> None:
    post = Post()
    account = await post.member()
    await post.mails.enqueue(account.member_id, Letter.PASSWORD_RESET, {"link": "x"})
    post.clock += timedelta(minutes=31)
    assert await post.postman.deliver_one()
    assert post.server.accepted == []
    assert post.mails.waiting == []


async def test_no_log_line_of_the_postman_names_an_address_or_a_link(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    post = Post()
    account = await post.member()
    for failure in (None, MailAway("421"), MailRefused("550")):
        post.server.fails_with = failure
        await post.mails.enqueue(account.member_id, Letter.PASSWORD_RESET, {"link": "https://secret.example/?token=t"})
        await post.postman.deliver_one()
    said = " ".join(str(record.__dict__) for record in caplog.records)
    assert account.member_id in said
    assert "martin" not in said
    assert "secret.example" not in said


async def test_an_author_is_told_once_for_each_warning_about_a_date() -> None:
    post = Post()
    account = await post.member("en")
    handlers = Handlers(post.mails)

    async def hear(version: int, day: date, days: int = 30) -> None:
        event = ConsentExpiring(
            case_id="case-1", version=version, author_id=account.member_id, expires_on=day, days_before=days
        )
        await handlers.on_consent_expiring(Received(event, "case-1", f"id-{version}", event.topic, 0, version))

    await hear(7, date(2027, 3, 1))
    await hear(7, date(2027, 3, 1))
    await hear(8, date(2027, 3, 1))
    await hear(8, date(2027, 3, 1), days=7)
    await hear(9, date(2028, 3, 1))
    await handlers.on_consent_expiring(Received(None, "case-1", "grave", ConsentExpiring.topic, 0, 10))
    while await post.postman.deliver_one():
        pass
    bodies = sorted(message.get_content() for message in post.server.accepted)
    assert [re.findall(r"ends on (.+?)\.", body) for body in bodies] == [
        ["1 March 2027"],
        ["1 March 2027"],
        ["1 March 2028"],
    ]
    assert all("case-1" in body for body in bodies)
