"""MongoDB and the object store: cases and comments, requests answered once, and erasure."""

from services.ingest.store.cases import Store
from services.ingest.store.erasure import Eraser
from services.ingest.store.once import Answer, AnswerGone, Asked, KeyReused

__all__ = ["Answer", "AnswerGone", "Asked", "Eraser", "KeyReused", "Store"]
