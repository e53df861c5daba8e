"""The audit chain: one record per act, each sealed with the hash of the one before it (`shared.chain`).

A record is a flat JSON document: `case_id`, `sequence` (from 1), `at` (UTC), `act`, `actor` (a moderator's member id,
or `author`, or `system`), `claim_id`, `version` (of the submission), `picture_id`, `revision`, `frame`, `detail`
(codes, counts and hashes only), `previous` and `hash`. Nothing about a patient can stand in it: there is no free text.
The head is kept beside the review.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from shared.chain import Flaw, Head, extended, flaws_of

AUTHOR = "author"
SYSTEM = "system"

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
    COMMENT_KEPT = "comment_kept"
    COMMENT_REJECTED = "comment_rejected"


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


def chain(case_id: str, head: Head, acts: Iterable[Act], at: datetime) -> tuple[list[dict[str, object]], Head]:
    """Seal acts into records that follow `head`; returns the records and the new head. `at` must be aware."""
    when = at.astimezone(UTC).isoformat(timespec="milliseconds")
    return extended(head, ({"case_id": case_id, "at": when, **act.model_dump(mode="json")} for act in acts))


def verify_chain(case_id: str, records: Sequence[Mapping[str, object]], head: Head) -> list[Flaw]:
    """Every flaw of a case's records, given in order of sequence; an empty list means the chain is whole."""
    return flaws_of(records, head, {"case_id": case_id})
