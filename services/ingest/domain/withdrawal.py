"""The end of a case, and the receipt that says what was erased and when. No word of the case is in it."""

from datetime import date, datetime
from enum import StrEnum

from pydantic import Field

from services.ingest.domain.stored import Stored
from shared.events import WithdrawalCause


class Step(StrEnum):
    """What is confirmed after a withdrawal, each by looking, and not because somebody was asked to do it."""

    ANNOUNCED = "announced"
    """Kafka has acknowledged `case.withdrawn`: feed and moderation act on it, which nobody confirms to us."""
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


class Receipt(Stored):
    """What became of a case that was withdrawn. `confirmed`: when each step was first seen to be done.

    The records in ingest's database (text, consent, comments, answers) go in the transaction of `withdrawn_at`
    itself. `proofs_until`: until when the sealed form is kept; None where nobody had signed.
    """

    receipt_id: str
    case_id: str
    cause: WithdrawalCause
    withdrawn_at: datetime
    confirmed: dict[Step, datetime] = Field(default_factory=dict)
    proofs_until: date | None = None

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to confirm."""
        return all(step in self.confirmed for step in Step)
