"""What a rebuild takes into one transaction, and what it tells an operator."""

from dataclasses import dataclass

from services.feed import rebuild
from services.feed.__main__ import _told
from services.feed.rebuild import Report
from services.feed.store import CollectionComparison


@dataclass
class Record:
    value: bytes | None


def sizes(records: list[Record], at_most: int) -> list[int]:
    taken = []
    while records:
        taken.append(len(rebuild._take(records, at_most)))
    return taken


def test_a_transaction_takes_so_many_records_and_no_more() -> None:
    assert sizes([Record(b"x")] * 5, 2) == [2, 2, 1]
    assert sizes([Record(None)] * 3, 3) == [3]


def test_a_transaction_takes_fewer_large_records() -> None:
    half = Record(b"x" * (rebuild.BATCH_BYTES // 2))
    assert sizes([half, half, half, Record(None)], 100) == [2, 2]
    assert sizes([Record(b"x" * (rebuild.BATCH_BYTES + 1))] * 2, 100) == [1, 1]


def report(*, equal: bool, switched: bool) -> Report:
    cases = CollectionComparison(3, 3, "a" * 64, "a" * 64 if equal else "b" * 64)
    if not equal:
        cases.differing, cases.differing_ids = 21, [f"case-{number}" for number in range(20)]
    return Report(
        build=4,
        previous=3,
        events=1234,
        seconds=0.5,
        events_per_s=2468.0,
        collections={"cases": cases},
        equal=equal,
        switched=switched,
    )


def test_equal_builds_are_told_with_events_seconds_documents_and_hash() -> None:
    told = _told(report(equal=True, switched=True))
    assert "1,234 events in 0.5 s (2,468 events/s)" in told
    assert "3 documents" in told
    assert "a" * 64 in told
    assert "build 4 is live, build 3 is kept" in told


def test_differences_are_listed_and_the_way_out_is_named() -> None:
    told = _told(report(equal=False, switched=False))
    assert "21 differ: case-0, case-1" in told
    assert told.count("case-") == 20
    assert "build 3 stays live" in told
    assert "--accept-differences" in told
    assert "accepted" in _told(report(equal=False, switched=True))


def test_what_is_wrong_around_a_rebuild_is_told() -> None:
    troubled = report(equal=True, switched=True)
    troubled.unreadable, troubled.behind, troubled.refused = 2, 7, ["a record: too large"]
    told = _told(troubled)
    for words in ("2 messages cannot be read", "7 messages behind", "refused: a record"):
        assert words in told
