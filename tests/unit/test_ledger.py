"""Which records are lines of a ledger; the reading itself is tried on the real bus (tests/e2e/test_restore.py)."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from services.identity.domain.leaving import FormerMember
from services.identity.settings import Settings
from shared.bus import Received
from shared.envelope import message_of, tombstone_of
from shared.events import Contributions, MemberChanged, MemberStatus
from shared.ledger import LedgerOfLeavers
from tests.verification_house import START

LEFT = FormerMember("4711", 7, Contributions.ERASED, START).changed()


async def nobody(_: Any) -> set[str]:
    raise AssertionError("the database is not asked here")


async def nothing(_: Sequence[Received[MemberChanged]]) -> None:
    raise AssertionError("nothing is applied here")


def line(message: Any) -> Received[MemberChanged] | None:
    headers = [(name, value.encode()) for name, value in message.headers.items()]
    value = message.value
    record = SimpleNamespace(
        key=message.key.encode(), value=value, headers=headers, topic=message.topic, partition=3, offset=5
    )
    return LedgerOfLeavers(Settings(), nobody, nothing)._line(record)


def test_only_who_has_left_is_in_the_ledger_of_leavers() -> None:
    found = line(message_of(LEFT))
    assert found is not None
    assert (found.event, found.key) == (LEFT, "4711")
    assert found.id.startswith("ledger:")
    stays = LEFT.model_copy(update={"status": MemberStatus.VERIFIED, "pseudonym": "left alone"})
    assert line(message_of(stays)) is None
    assert line(message_of(LEFT.model_copy(update={"status": MemberStatus.VERIFIED}))) is None
    assert line(tombstone_of(MemberChanged, "4711", "4711")) is None


def test_what_cannot_be_read_is_no_line() -> None:
    message = message_of(LEFT)
    assert line(replace(message, value=b'{"status":"left"}')) is None
