"""The outbox of letters, in memory and in the database; and a real mail server."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from prometheus_client import REGISTRY

from deploy.local import Platform
from deploy.local.ports import free_ports
from services.identity.domain.account import Account
from services.identity.domain.letters import Letter
from services.identity.store.mails import Mails
from services.identity.store.postman import MailAway, MailRefused, Postman, SenderRefused
from services.identity.store.smtp import SmtpServer
from shared.events import Profession
from shared.keyring import HeldKeys
from shared.mongo import Mongo
from shared.sealed import SealedField
from tests.memory_accounts import MemoryAccounts
from tests.memory_mails import MemoryMails


class Room:
    """An empty outbox, under a clock that the test turns."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        self.mails: Any = None
        self.mongo: Mongo | None = None


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.platform)])
async def room(request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    made = Room()
    if request.param == "memory":
        made.mails = MemoryMails(now=lambda: made.now)
        yield made
        return
    platform: Platform = request.getfixturevalue("platform")
    made.mongo = Mongo(platform.service_env("identity")["IDENTITY_MONGO_URI"], "identity")
    # Another test's identity may have left letters, and a postman of its own.
    await made.mongo.db["mails"].delete_many({})
    made.mails = Mails(made.mongo, SealedField(HeldKeys([b"k" * 32])), now=lambda: made.now)
    await made.mails.prepare()
    yield made
    await made.mongo.db["mails"].delete_many({})
    made.mongo.close()


async def test_a_letter_is_held_by_one_postman_until_it_is_done(room: Room) -> None:
    await room.mails.enqueue("m-1", Letter.PASSWORD_RESET, {"link": "https://a.example/?t=1"})
    first = await room.mails.take()
    assert first is not None
    assert (first.letter, first.member_id, first.facts) == (
        Letter.PASSWORD_RESET,
        "m-1",
        {"link": "https://a.example/?t=1"},
    )
    assert (first.written_at, first.tries) == (room.now, 1)
    assert await room.mails.take() is None
    room.now += timedelta(seconds=121)  # its postman died
    again = await room.mails.take()
    assert again is not None
    assert (again.mail_id, again.tries) == (first.mail_id, 2)
    await room.mails.done(again.mail_id)
    room.now += timedelta(days=1)
    assert await room.mails.take() is None


async def test_a_letter_put_off_is_due_later_and_the_oldest_goes_first(room: Room) -> None:
    for number in range(3):
        await room.mails.enqueue_to(f"{number}@a.example", Letter.CONFIRM_ADDRESS, {"n": str(number)})
        room.now += timedelta(seconds=1)
    first = await room.mails.take()
    assert first is not None
    assert (first.member_id, first.facts) == (None, {"n": "0", "address": "0@a.example"})
    await room.mails.later(first.mail_id, 60)
    assert [(await room.mails.take()).facts["n"] for _ in range(2)] == ["1", "2"]
    assert await room.mails.take() is None
    room.now += timedelta(seconds=61)
    assert (await room.mails.take()).mail_id == first.mail_id


async def test_a_letter_with_a_key_goes_once_even_when_it_is_asked_for_at_the_same_moment(room: Room) -> None:
    once = str(uuid.uuid4())
    asked = await asyncio.gather(*(room.mails.enqueue("m-1", Letter.ACCOUNT_VERIFIED, once=once) for _ in range(8)))
    assert asked.count(True) == 1
    assert await room.mails.take() is not None
    assert await room.mails.take() is None


@pytest.mark.platform
async def test_notes_that_name_no_member_go_when_the_service_starts(platform: Platform) -> None:
    mongo = Mongo(platform.service_env("identity")["IDENTITY_MONGO_URI"], "identity")
    mails, notes = Mails(mongo, SealedField(HeldKeys([b"k" * 32]))), mongo.db["mails_once"]
    member_id, old, new = (str(uuid.uuid4()) for _ in range(3))
    assert await mails.enqueue(member_id, Letter.PROOF_ENDING, once=new)
    await notes.insert_one({"_id": old, "letter": "proof_ending", "at": datetime.now(UTC)})
    await mails.prepare()
    assert [each["_id"] async for each in notes.find({"_id": {"$in": [old, new]}})] == [new]
    await mongo.db["mails"].delete_many({"member_id": member_id})
    mongo.close()


@pytest.mark.platform
async def test_a_letter_belongs_to_its_transaction_and_lies_sealed(platform: Platform) -> None:
    mongo = Mongo(platform.service_env("identity")["IDENTITY_MONGO_URI"], "identity")
    mails = Mails(mongo, SealedField(HeldKeys([b"k" * 32])))
    await mails.prepare()
    member_id, once = str(uuid.uuid4()), str(uuid.uuid4())

    async def write(session: Any) -> None:
        await mails.enqueue(member_id, Letter.PASSWORD_RESET, {"link": "secret-link"}, once=once, session=session)
        raise LookupError("undone")

    with pytest.raises(LookupError):
        await mongo.transaction(write)
    assert await mongo.db["mails"].find_one({"member_id": member_id}) is None
    assert await mails.enqueue(member_id, Letter.PASSWORD_RESET, {"link": "secret-link"}, once=once)
    row = await mongo.db["mails"].find_one_and_delete({"member_id": member_id})
    assert row is not None
    assert b"secret-link" not in str(row).encode()
    mongo.close()


class Keeps:
    """A mail server's mind: who is unknown to it, and what it got. `says`: what it answers instead, by command."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.asked = 0
        self.says: dict[str, str] = {}

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, name: str, responses: list[str]) -> list[str]:
        session.host_name = name
        return [self.says["EHLO"]] if "EHLO" in self.says else responses

    async def handle_HELO(self, server: Any, session: Any, envelope: Any, name: str) -> str:
        session.host_name = name
        return self.says.get("EHLO", "250 here")

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        self.asked += 1
        if "MAIL" in self.says:
            return self.says["MAIL"]
        envelope.mail_from, envelope.mail_options = address, options
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if "RCPT" in self.says:
            return self.says["RCPT"]
        if address.startswith("nobody"):
            return "550 no such box nobody"
        if address.startswith("later"):
            return "450 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if "DATA" in self.says:
            return self.says["DATA"]
        self.got.append(envelope.content)
        return "250 OK"


@pytest.fixture
def catcher() -> Iterator[tuple[Keeps, int]]:
    keeps = Keeps()
    (port,) = free_ports(1)
    controller = Controller(keeps, hostname="127.0.0.1", port=port)
    controller.start()
    yield keeps, port
    controller.stop()


def message(to: str) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "c@c.example", to, "Été"
    made.set_content("Voilà\n")
    return made


async def test_a_mail_server_takes_a_letter_refuses_one_or_asks_to_wait(catcher: tuple[Keeps, int]) -> None:
    keeps, port = catcher
    server = SmtpServer("127.0.0.1", port, "none")
    await server.send(message("someone@a.example"))
    assert len(keeps.got) == 1
    with pytest.raises(MailRefused, match="550") as refusal:
        await server.send(message("nobody@a.example"))
    assert "nobody" not in str(refusal.value)
    with pytest.raises(MailAway, match="450"):
        await server.send(message("later@a.example"))


@pytest.mark.parametrize(
    ("command", "says", "kind"),
    [
        ("MAIL", "550 5.7.1 write as someone else", SenderRefused),
        ("MAIL", "451 later", MailAway),
        ("MAIL", "530 5.7.0 sign in first", MailAway),
        ("RCPT", "553 5.1.3 what an address", MailRefused),
        ("RCPT", "452 4.2.2 full", MailAway),
        ("DATA", "554 5.6.0 not such a letter", MailRefused),
        ("DATA", "450 4.7.0 slowly", MailAway),
        ("EHLO", "554 not to you", MailAway),
    ],
)
async def test_what_is_refused_for_good_ends_and_what_is_refused_for_now_waits(
    catcher: tuple[Keeps, int], command: str, says: str, kind: type[Exception]
) -> None:
    keeps, port = catcher
    keeps.says[command] = says
    with pytest.raises((MailRefused, MailAway), match=says[:3]) as refusal:
        await SmtpServer("127.0.0.1", port, "none").send(message("someone@a.example"))
    assert type(refusal.value) is kind
    assert "someone" not in str(refusal.value)
    keeps.says.clear()
    await SmtpServer("127.0.0.1", port, "none").send(message("someone@a.example"))
    assert len(keeps.got) == 1


async def test_a_letter_that_is_refused_for_good_is_tried_once_and_what_an_operator_can_mend_waits(
    catcher: tuple[Keeps, int], caplog: pytest.LogCaptureFixture
) -> None:
    keeps, port = catcher
    clock = [datetime(2026, 3, 1, 12, 0, tzinfo=UTC)]
    mails, accounts = MemoryMails(now=lambda: clock[0]), MemoryAccounts()
    server = SmtpServer("127.0.0.1", port, "none")
    postman = Postman(mails, server, accounts.by_id, {}, "Consilium <c@c.example>", now=lambda: clock[0])
    account = Account.register(
        email="a.martin@a.example", password_hash="h", pseudonym="Dr A", profession=Profession.NURSE, now=clock[0]
    )
    await accounts.add(account)

    def ended(outcome: str) -> float:
        of = {"letter": Letter.ACCOUNT_VERIFIED.value, "outcome": outcome}
        return REGISTRY.get_sample_value("consilium_mails_total", of) or 0.0

    keeps.says, before = {"DATA": "554 5.6.0 a.martin@a.example: no"}, ended("refused")
    await mails.enqueue(account.member_id, Letter.ACCOUNT_VERIFIED)
    for _ in range(3):
        await postman.deliver_one()
        clock[0] += timedelta(hours=1)
    assert (keeps.asked, ended("refused") - before, mails.waiting) == (1, 1, [])
    keeps.says, keeps.asked = {"DATA": "451 later"}, 0
    await mails.enqueue(account.member_id, Letter.ACCOUNT_VERIFIED)
    for _ in range(3):
        await postman.deliver_one()
        clock[0] += timedelta(hours=1)
    assert (keeps.asked, len(mails.waiting)) == (3, 1)

    def refusals() -> float:
        return REGISTRY.get_sample_value("consilium_mails_sender_refused_total") or 0.0

    keeps.says, keeps.asked, tries = {"MAIL": "550 5.7.1 c@c.example: no"}, 0, refusals()
    for _ in range(3):  # a wrong setting of ours loses no letter
        await postman.deliver_one()
        clock[0] += timedelta(hours=1)
    assert (keeps.asked, refusals() - tries, len(mails.waiting)) == (3, 3, 1)
    louder = [record for record in caplog.records if record.levelname == "ERROR"]
    assert ["IDENTITY_MAIL_FROM" in record.getMessage() for record in louder] == [True] * 3
    keeps.says = {}
    await postman.deliver_one()
    assert (len(keeps.got), mails.waiting) == (1, [])
    keeps.says, late = {"MAIL": "550 5.7.1 c@c.example: no"}, ended("late")
    await mails.enqueue(account.member_id, Letter.ACCOUNT_VERIFIED)
    for _ in range(2):
        await postman.deliver_one()
        clock[0] += timedelta(days=7, seconds=1)
    assert (ended("late") - late, mails.waiting) == (1, [])
    said = " ".join(str(record.__dict__) for record in caplog.records if record.name == "mail")
    assert "554" in said
    assert "martin" not in said
    assert "c@c.example" not in said


async def test_no_letter_goes_over_a_line_that_was_to_be_encrypted_and_is_not(catcher: tuple[Keeps, int]) -> None:
    keeps, port = catcher
    for security in ("starttls", "tls"):
        with pytest.raises(MailAway):
            await SmtpServer("127.0.0.1", port, security, "user", "password", timeout_s=3).send(message("a@a.example"))
    assert keeps.got == []


async def test_a_mail_server_that_is_not_there_is_away(tmp_path: Path) -> None:
    with pytest.raises(MailAway, match=r"127\.0\.0\.1:9"):
        await SmtpServer("127.0.0.1", 9, "none", timeout_s=3).send(message("a@a.example"))
