"""Review of proofs: who hands in a document, who looks at it, and how it ends. Proofs are erased once it has ended.

An application is a person's proofs of one time. A reviewer takes it under a lease, has to open every document before
deciding, and never decides about himself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from statistics import median
from typing import Final

from shared.events import Language

LEASE = timedelta(minutes=15)
MAX_DOCUMENTS = 5
MOST_VALID = timedelta(days=550)
"""A proof of studies holds for a school year, and for the summer before it at most."""
ESTIMATE_FROM = 5
"""Of fewer decisions than these no waiting time is estimated."""


class ProofKind(StrEnum):
    """What a document is, in the words of the person who hands it in."""

    STUDENT_CARD = "student_card"
    SCHOOL_CERTIFICATE = "school_certificate"
    DIPLOMA = "diploma"
    PROFESSIONAL_CARD = "professional_card"
    REGISTRATION = "registration"
    OTHER = "other"


class ApplicationState(StrEnum):
    """`waiting` is the only one that can change."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


class RefusalReason(StrEnum):
    """Why proofs do not convince. Stable codes; `REASONS` says them."""

    UNREADABLE = "unreadable"
    NO_PROOF = "no_proof"
    OUT_OF_DATE = "out_of_date"
    NAMES_DIFFER = "names_differ"
    PROFESSION_NOT_TAKEN = "profession_not_taken"
    MORE_NEEDED = "more_needed"
    DOUBTFUL = "doubtful"


REASONS: Final[Mapping[RefusalReason, Mapping[Language, str]]] = {
    RefusalReason.UNREADABLE: {
        "fr": "Le document est illisible : reprenez-le en photo, net et en entier.",
        "en": "The document cannot be read: photograph it again, sharp and as a whole.",
    },
    RefusalReason.NO_PROOF: {
        "fr": "Ce document ne prouve pas une profession de santé ni des études qui y mènent.",
        "en": "This document proves neither a health profession nor studies that lead to one.",
    },
    RefusalReason.OUT_OF_DATE: {
        "fr": "Le document n'est plus valable : déposez celui de l'année en cours.",
        "en": "The document is no longer valid: hand in the one of this year.",
    },
    RefusalReason.NAMES_DIFFER: {
        "fr": "Les documents ne portent pas tous le même nom.",
        "en": "The documents do not all bear the same name.",
    },
    RefusalReason.PROFESSION_NOT_TAKEN: {
        "fr": "Cette profession ne participe pas encore à Consilium.",
        "en": "This profession does not take part in Consilium yet.",
    },
    RefusalReason.MORE_NEEDED: {
        "fr": "Ce document ne suffit pas : ajoutez-en un qui indique votre profession et l'année.",
        "en": "This document is not enough: add one that names your profession and the year.",
    },
    RefusalReason.DOUBTFUL: {
        "fr": "Le document n'a pas pu être tenu pour authentique. Écrivez aux administrateurs si c'est une erreur.",
        "en": "The document could not be taken for genuine. Write to the administrators if this is a mistake.",
    },
}


class ReviewRefused(Exception):
    """An act that the rules do not allow; each kind is one rule."""


class ApplicationUnknown(ReviewRefused):
    """There is no such application (any more)."""


class DocumentUnknown(ReviewRefused):
    """The application has no such document."""


class OwnApplication(ReviewRefused):
    """Nobody reviews himself."""


class ClaimedByAnother(ReviewRefused):
    """Another reviewer has it."""


class NotClaimed(ReviewRefused):
    """Take it first; a lease runs out a quarter of an hour after the last act."""


class AlreadyDecided(ReviewRefused):
    """It has ended."""


class NotAllSeen(ReviewRefused):
    """Some documents were not opened."""


class UnderReview(ReviewRefused):
    """A reviewer is at it now: nothing may change under his eyes."""


class TooManyDocuments(ReviewRefused):
    """An application takes five documents."""


class EndImpossible(ReviewRefused):
    """The last day of the proof has passed, or lies further away than any proof of studies reaches."""


@dataclass(frozen=True, slots=True)
class Document:
    """A proof; its bytes lie in the room of credentials under the application's key."""

    document_id: str
    kind: ProofKind
    media_type: str
    size_bytes: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Application:
    """Somebody's proofs of one time, and what became of them. Every move gives a new Application."""

    application_id: str
    member_id: str
    submitted_at: datetime
    documents: tuple[Document, ...] = ()
    state: ApplicationState = ApplicationState.WAITING
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    seen: frozenset[str] = field(default_factory=frozenset)
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: RefusalReason | None = None
    erased_at: datetime | None = None

    def add(self, document: Document, now: datetime) -> "Application":
        """Another document of the applicant. Raises UnderReview, TooManyDocuments and AlreadyDecided."""
        self._check_open()
        if self.held_by(now) is not None:
            raise UnderReview
        if len(self.documents) >= MAX_DOCUMENTS:
            raise TooManyDocuments
        return replace(self, documents=(*self.documents, document))

    def withdraw(self, now: datetime) -> "Application":
        """The applicant thinks better of it, at any moment before the decision."""
        self._check_open()
        return replace(self, state=ApplicationState.WITHDRAWN, decided_at=now, claimed_by=None, claimed_until=None)

    def claim(self, reviewer_id: str, now: datetime) -> "Application":
        """Take it, or keep it longer. Raises OwnApplication, ClaimedByAnother and AlreadyDecided."""
        self._check_open()
        if reviewer_id == self.member_id:
            raise OwnApplication
        holder = self.held_by(now)
        if holder is not None and holder != reviewer_id:
            raise ClaimedByAnother
        # Whoever takes it over has seen nothing of it.
        seen = self.seen if self.claimed_by == reviewer_id else frozenset()
        return replace(self, claimed_by=reviewer_id, claimed_until=now + LEASE, seen=seen)

    def release(self, reviewer_id: str, now: datetime) -> "Application":
        """Give it back undecided."""
        self._check_held(reviewer_id, now)
        return replace(self, claimed_by=None, claimed_until=None, seen=frozenset())

    def view(self, reviewer_id: str, document_id: str, now: datetime) -> "Application":
        """A document is opened."""
        self._check_held(reviewer_id, now)
        self.document(document_id)
        return replace(self, seen=self.seen | {document_id}, claimed_until=now + LEASE)

    def accept(self, reviewer_id: str, now: datetime) -> "Application":
        """The proofs convince."""
        return self._decided(reviewer_id, now, ApplicationState.ACCEPTED, None)

    def refuse(self, reviewer_id: str, reason: RefusalReason, now: datetime) -> "Application":
        """The proofs do not convince."""
        return self._decided(reviewer_id, now, ApplicationState.REFUSED, reason)

    def document(self, document_id: str) -> Document:
        """Raises DocumentUnknown."""
        for document in self.documents:
            if document.document_id == document_id:
                return document
        raise DocumentUnknown

    def held_by(self, now: datetime) -> str | None:
        """Who has it now."""
        return self.claimed_by if self.claimed_until is not None and self.claimed_until > now else None

    def _decided(
        self, reviewer_id: str, now: datetime, state: ApplicationState, reason: RefusalReason | None
    ) -> "Application":
        self._check_held(reviewer_id, now)
        if {document.document_id for document in self.documents} - self.seen:
            raise NotAllSeen
        return replace(
            self,
            state=state,
            reason=reason,
            decided_at=now,
            decided_by=reviewer_id,
            claimed_by=None,
            claimed_until=None,
        )

    def _check_open(self) -> None:
        if self.state is not ApplicationState.WAITING:
            raise AlreadyDecided

    def _check_held(self, reviewer_id: str, now: datetime) -> None:
        self._check_open()
        if reviewer_id == self.member_id:
            raise OwnApplication
        holder = self.held_by(now)
        if holder is None:
            raise NotClaimed
        if holder != reviewer_id:
            raise ClaimedByAnother


def check_end(valid_until: date, today: date) -> date:
    """The last day of a proof, if it can be one. Raises EndImpossible."""
    if not today <= valid_until <= today + MOST_VALID:
        raise EndImpossible
    return valid_until


def estimated_wait(waits: list[timedelta]) -> timedelta | None:
    """How long somebody will probably wait, by how long those decided lately did; None where too few were."""
    if len(waits) < ESTIMATE_FROM:
        return None
    return timedelta(seconds=median(wait.total_seconds() for wait in waits))


_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
SUFFIXES: Final[Mapping[str, str]] = {
    "application/pdf": "pdf",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/heic": "heic",
}


def media_type_of(data: bytes) -> str | None:
    """What the bytes are, by how they begin: PDF, JPEG, PNG or HEIC; None for anything else.

    Nothing here opens a document: identity has no decoder, and a reviewer gets the file as an attachment.
    """
    if data.startswith(b"%PDF-"):
        return "application/pdf"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return "image/heic"
    return None
