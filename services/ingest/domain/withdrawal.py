"""The end of a case, and the receipt that says what was erased and when. No word of the case is in it."""

from datetime import date, datetime
from enum import StrEnum
from typing import Final

from pydantic import Field

from services.ingest.domain.stored import Stored
from shared.events import WithdrawalCause


class Step(StrEnum):
    """What is confirmed after a withdrawal: by looking, or by whoever had something and says that it is gone."""

    ANNOUNCED = "announced"
    """Kafka has acknowledged `case.withdrawn`: the three other services will act on it."""
    FEED = "feed"
    """The feed reports: nothing of the case is left in any of its read models or dead letters."""
    MODERATION = "moderation"
    """Moderation reports: nothing but ids and the audit chain is left."""
    REDACTOR = "redactor"
    """The redactor reports: it has erased what it painted, and no dead letter is left."""
    ORIGINALS = "originals"
    """No original and no key is left in the bucket of originals."""
    TEXTS = "texts"
    """No text is left in the bucket of texts."""
    PAINTED = "painted"
    """No painted picture is left in the bucket from which readers get them."""
    LETTERS = "letters"
    """No message that ingest put aside mentions the case."""
    LOG_ORDERS = "log_orders"
    """Kafka has acknowledged the order to erase every record that ingest wrote about the case."""


REPORTED: Final = (Step.FEED, Step.MODERATION, Step.REDACTOR)
"""Steps that ingest cannot look at: what another service owns, and reports (`shared.events.Erased`)."""


class Report(Stored):
    """What a service erased of a case: the most that it has reported of each kind, since it may be asked again.

    `erased_at`: by its clock, the first time it found nothing left.
    """

    erased_at: datetime
    cases: int = 0
    comments: int = 0
    objects: int = 0
    letters: int = 0


class Receipt(Stored):
    """What became of a case that was withdrawn. `confirmed`: when each step was first seen to be done, or reported, by
    ingest's clock.

    The records in ingest's database (text, consent, comments, answers) go in the transaction of `withdrawn_at`
    itself. `proofs_until`: until when the sealed form is kept; None where nobody had signed.
    """

    receipt_id: str
    case_id: str
    cause: WithdrawalCause
    withdrawn_at: datetime
    confirmed: dict[Step, datetime] = Field(default_factory=dict)
    proofs_until: date | None = None
    reports: dict[Step, Report] = Field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to confirm."""
        return all(step in self.confirmed for step in Step)
