"""The audit chain: one record per act, each sealed with the hash of the one before it.

A record is a flat JSON document: `case_id`, `sequence` (from 1), `at` (UTC), `act`, `actor` (a moderator's member id,
or `author`, or `system`), `claim_id`, `version` (of the submission), `picture_id`, `revision`, `frame`, `detail`
(codes, counts and hashes only), `previous` and `hash`. Nothing about a patient can stand in it: there is no free text.

`hash` = SHA-256 over the canonical JSON (UTF-8, keys sorted, no spaces) of all other fields. `previous` is the hash
of the record before, 64 zeros for the first. The head (last sequence and hash) is kept beside the review, so that
records cut off at the end are missed too. The chain shows that somebody altered a record; who can rewrite the whole
database can also rewrite the whole chain, so heads belong in a backup elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

AUTHOR = "author"
SYSTEM = "system"
FIRST_PREVIOUS = "0" * 64

Detail = dict[str, str | int | list[str]]
"""Codes, counts, ids and hashes that belong to an act."""


class ActKind(StrEnum):
    """What can happen to a case in moderation. Stable codes."""

    CLAIMED = "claimed"
    RELEASED = "released"
    LEASE_EXPIRED = "lease_expired"
    SERVED = "served"
    BOXES_CHANGED = "boxes_changed"
    DECIDED = "decided"
    FIRST_APPROVED = "first_approved"
    APPROVAL_WITHDRAWN = "approval_withdrawn"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class Act(BaseModel):
    """One thing that somebody did, before it is sealed into the chain."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    act: ActKind
    actor: str
    claim_id: str | None = None
    version: int | None = None
    picture_id: str | None = None
    revision: int | None = None
    frame: int | None = None
    detail: Detail = {}


class Head(BaseModel):
    """The end of a case's chain."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    sequence: int = 0
    hash: str = FIRST_PREVIOUS


class Flaw(BaseModel):
    """Where a chain is broken, and how. `sequence` is the place at which it was noticed."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    problem: str


def chain(case_id: str, head: Head, acts: Iterable[Act], at: datetime) -> tuple[list[dict[str, object]], Head]:
    """Seal acts into records that follow `head`; returns the records and the new head. `at` must be aware."""
    records: list[dict[str, object]] = []
    for act in acts:
        record: dict[str, object] = {
            "case_id": case_id,
            "sequence": head.sequence + 1,
            "at": at.astimezone(UTC).isoformat(timespec="milliseconds"),
            **act.model_dump(mode="json"),
            "previous": head.hash,
        }
        record["hash"] = _seal(record)
        head = Head(sequence=head.sequence + 1, hash=str(record["hash"]))
        records.append(record)
    return records, head


def verify_chain(case_id: str, records: Sequence[Mapping[str, object]], head: Head) -> list[Flaw]:
    """Every flaw of a case's records, given in order of sequence; an empty list means the chain is whole.

    Finds a record that was altered, removed (at either end or between), added, moved or taken from another case.
    """
    flaws: list[Flaw] = []
    previous = FIRST_PREVIOUS
    for place, record in enumerate(records, start=1):
        if record.get("case_id") != case_id:
            flaws.append(Flaw(sequence=place, problem="belongs to another case"))
        if record.get("sequence") != place:
            flaws.append(Flaw(sequence=place, problem=f"sequence {record.get('sequence')} stands in place {place}"))
        if record.get("previous") != previous:
            flaws.append(Flaw(sequence=place, problem="does not follow the record before it"))
        if record.get("hash") != _seal(record):
            flaws.append(Flaw(sequence=place, problem="content does not match its hash"))
        previous = str(record.get("hash"))
    if len(records) != head.sequence:
        problem = f"{len(records)} records, the review counts {head.sequence}"
        flaws.append(Flaw(sequence=len(records), problem=problem))
    elif previous != head.hash:
        flaws.append(Flaw(sequence=len(records), problem="the last record is not the one that the review remembers"))
    return flaws


def _seal(record: Mapping[str, object]) -> str:
    content = {name: value for name, value in record.items() if name != "hash"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
