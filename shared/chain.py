"""Records that nobody can alter unseen: each is sealed with the hash of the one before it.

A record is a flat JSON document with `sequence` (from 1), `previous` and `hash`: SHA-256 over the canonical JSON
(UTF-8, keys sorted, no spaces) of all other fields. `previous` is the hash of the record before, 64 zeros for the
first. The head (last sequence and hash) is kept beside the records, so that records cut off at the end are missed too.
A chain shows that somebody altered a record; who can rewrite the whole database can also rewrite the whole chain, so
heads belong in a backup elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

FIRST_PREVIOUS = "0" * 64

Record = dict[str, object]


class Head(BaseModel):
    """The end of a chain."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    sequence: int = 0
    hash: str = FIRST_PREVIOUS


class Flaw(BaseModel):
    """Where a chain is broken, and how. `sequence` is the place at which it was noticed."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    problem: str


def extended(head: Head, contents: Iterable[Mapping[str, object]]) -> tuple[list[Record], Head]:
    """Seal contents into records that follow `head`; returns the records and the new head."""
    records: list[Record] = []
    for content in contents:
        record: Record = {**content, "sequence": head.sequence + 1, "previous": head.hash}
        record["hash"] = seal(record)
        head = Head(sequence=head.sequence + 1, hash=str(record["hash"]))
        records.append(record)
    return records, head


def flaws_of(records: Sequence[Mapping[str, object]], head: Head, owner: Mapping[str, object]) -> list[Flaw]:
    """Every flaw of a chain's records, given in order of sequence; an empty list means the chain is whole.

    `owner`: the fields that say whose chain it is, the same in each record. Finds a record that was altered, removed
    (at either end or between), added, moved or taken from another chain.
    """
    flaws: list[Flaw] = []
    previous = FIRST_PREVIOUS
    for place, record in enumerate(records, start=1):
        if any(record.get(name) != value for name, value in owner.items()):
            flaws.append(Flaw(sequence=place, problem="belongs to another chain"))
        if record.get("sequence") != place:
            flaws.append(Flaw(sequence=place, problem=f"sequence {record.get('sequence')} stands in place {place}"))
        if record.get("previous") != previous:
            flaws.append(Flaw(sequence=place, problem="does not follow the record before it"))
        if record.get("hash") != seal(record):
            flaws.append(Flaw(sequence=place, problem="content does not match its hash"))
        previous = str(record.get("hash"))
    if len(records) != head.sequence:
        flaws.append(Flaw(sequence=len(records), problem=f"{len(records)} records, the head counts {head.sequence}"))
    elif previous != head.hash:
        flaws.append(Flaw(sequence=len(records), problem="the last record is not the one that the head remembers"))
    return flaws


def seal(record: Mapping[str, object]) -> str:
    """The hash of a record, over everything in it but the hash itself."""
    content = {name: value for name, value in record.items() if name != "hash"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
