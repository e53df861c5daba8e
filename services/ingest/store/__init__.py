"""MongoDB and the object store: cases and comments, requests answered once, and erasure."""

from services.ingest.store.cases import Store
from services.ingest.store.consents import CodeOwner, Consents, Given, KeptConsent, Linked, Proof
from services.ingest.store.ended import ProofEraser
from services.ingest.store.erasure import Eraser
from services.ingest.store.expiry import Expiry
from services.ingest.store.leavers import Leavers
from services.ingest.store.once import Answer, AnswerGone, Asked, KeyReused
from services.ingest.store.readings import Reading, ReadingReason, Readings
from services.ingest.store.receipts import Receipts
from services.ingest.store.tries import Tries
from services.ingest.store.unknown import Unknown, UnknownCases
from services.ingest.store.withdrawals import Ended, Standing, Withdrawals

__all__ = [
    "Answer",
    "AnswerGone",
    "Asked",
    "CodeOwner",
    "Consents",
    "Ended",
    "Eraser",
    "Expiry",
    "Given",
    "KeptConsent",
    "KeyReused",
    "Leavers",
    "Linked",
    "Proof",
    "ProofEraser",
    "Reading",
    "ReadingReason",
    "Readings",
    "Receipts",
    "Standing",
    "Store",
    "Tries",
    "Unknown",
    "UnknownCases",
    "Withdrawals",
]
