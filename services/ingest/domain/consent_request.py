"""Asking for a consent: what is offered, who has to sign, and the link that each of them gets.

open -> complete       every signer has signed: the case has a consent
  |---> declined       a signer said no
  |---> cancelled      the author took it back
objected               the person in the pictures does not want it: there is nothing to sign
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum

from pydantic import Field

from services.ingest.domain.consent import (
    A_DAY,
    Consent,
    Information,
    Means,
    Purpose,
    SeenPicture,
    Signature,
    TextHashes,
    check_signature,
    latest_today,
    years_after,
)
from services.ingest.domain.refusals import (
    ConsentRefused,
    FormNotPrinted,
    LinkExpired,
    LinkUsed,
    RequestClosed,
    SignerUnknown,
    SubjectRefused,
)
from services.ingest.domain.signers import (
    Capacity,
    LegalGround,
    OwnView,
    Relation,
    Subject,
    View,
    capacities,
    check_subject,
)
from services.ingest.domain.stored import Stored
from shared.events import Audience, Language, Specialty

LINK_DAYS = 14
MAX_YEARS = 10
USUAL_YEARS = 2


class RequestState(StrEnum):
    OPEN = "open"
    COMPLETE = "complete"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    OBJECTED = "objected"


class Slot(Stored):
    """The place of one signer. Of the link only a hash is kept; a new link makes the one before it void."""

    signer_id: str
    capacity: Capacity
    link_hash: str | None = None
    link_expires_at: datetime | None = None
    signature: Signature | None = None


class ConsentRequest(Stored):
    """What the patient, or who decides for them, is asked to sign.

    `covers` and `pictures`: the painted pictures as they were when it was made; a picture that changes makes it
    worthless. `texts`: SHA-256 of the text in each language. `contact`: whom to ask, in the carer's words; shown to
    signers and to nobody else. `printed`: how many forms for paper were made.
    """

    request_id: str
    state: RequestState = RequestState.OPEN
    created_at: datetime
    closed_at: datetime | None = None
    language: Language
    text_version: str
    texts: dict[Language, str]
    patient_code: str
    subject: Subject
    legal_ground: LegalGround | None = None
    relation: Relation | None = None
    own_view: OwnView | None = None
    purposes: tuple[Purpose, ...]
    audience: Audience
    specialty: Specialty | None = None
    duration_years: int
    contact: str
    information: Information
    covers: dict[str, int] = Field(default_factory=dict)
    pictures: tuple[SeenPicture, ...] = ()
    signers: list[Slot] = Field(default_factory=list)
    printed: int = 0

    def check(self, texts: TextHashes, now: datetime) -> None:
        """Raise SubjectRefused or ConsentRefused unless this may be asked at all."""
        check_subject(self.subject, self.legal_ground, self.relation, self.own_view)
        if self.own_view and self.own_view.asked_on and self.own_view.asked_on > latest_today(now):
            raise SubjectRefused(reason="own-view-in-the-future")
        if Purpose.PUBLICATION not in self.purposes:
            raise ConsentRefused(reason="purpose-missing")
        if not 1 <= self.duration_years <= MAX_YEARS:
            raise ConsentRefused(reason="duration-out-of-bounds")
        if any(sha256 not in texts.get(language, ()) for language, sha256 in self.texts.items()):
            raise ConsentRefused(reason="text-unknown")

    def lay_out(self, signer_ids: Mapping[Capacity, str]) -> None:
        """Make the places of those who have to sign; none where the person objected, which ends it here."""
        if self.own_view is not None and self.own_view.view is View.OBJECTED:
            self.state = RequestState.OBJECTED
            self.closed_at = self.created_at
            return
        needed = capacities(self.subject, self.legal_ground)
        self.signers = [Slot(signer_id=signer_ids[capacity], capacity=capacity) for capacity in needed]

    @property
    def signed_by_somebody(self) -> bool:
        return any(slot.signature for slot in self.signers)

    @property
    def last_day(self) -> date | None:
        """Until when the case may be shown, by the earliest signature that there is."""
        signed = [slot.signature.signed_on for slot in self.signers if slot.signature]
        return years_after(min(signed), self.duration_years) if signed else None

    def slot(self, signer_id: str) -> Slot:
        """Raises SignerUnknown."""
        for slot in self.signers:
            if slot.signer_id == signer_id:
                return slot
        raise SignerUnknown()

    def give_link(self, signer_id: str, link_hash: str, now: datetime) -> datetime:
        """Let a new link, known by its hash, stand for the signer; returns when it ends."""
        self.must_be_open()
        slot = self.slot(signer_id)
        if slot.signature is not None:
            raise LinkUsed()
        slot.link_hash, slot.link_expires_at = link_hash, now + timedelta(days=LINK_DAYS)
        return slot.link_expires_at

    def check_link(self, signer_id: str, now: datetime) -> Slot:
        """The signer's place, if the link may still be used. Raises LinkUsed, RequestClosed, LinkExpired."""
        slot = self.slot(signer_id)
        if slot.signature is not None:
            raise LinkUsed()
        self.must_be_open()
        if slot.link_expires_at is None or now >= slot.link_expires_at:
            raise LinkExpired()
        return slot

    def sign(self, signer_id: str, signature: Signature, texts: TextHashes, now: datetime) -> None:
        """Keep a signature. Raises ConsentRefused, LinkUsed, RequestClosed, FormNotPrinted."""
        self.must_be_open()
        slot = self.slot(signer_id)
        if slot.signature is not None:
            raise LinkUsed()
        if signature.capacity is not slot.capacity:
            raise ConsentRefused(reason="capacity-differs")
        if not set(signature.purposes) <= set(self.purposes):
            raise ConsentRefused(reason="purpose-not-offered")
        if signature.text_sha256 != self.texts.get(signature.language):
            raise ConsentRefused(reason="text-unknown")
        check_signature(signature, texts, now)
        if signature.signed_on < self.information.informed_on - A_DAY:
            raise ConsentRefused(reason="signed-before-information")
        if signature.signed_on < self.created_at.date() - A_DAY:
            raise ConsentRefused(reason="signed-before-request")
        if signature.means is Means.PAPER and not self.printed:
            raise FormNotPrinted()
        slot.signature = signature
        if all(slot.signature for slot in self.signers):
            self.state = RequestState.COMPLETE
            self.closed_at = now

    def close(self, state: RequestState, now: datetime) -> None:
        """Declined or cancelled: every link of it is void."""
        self.must_be_open()
        self.state = state
        self.closed_at = now

    def consent(self, consent_id: str, now: datetime) -> Consent | None:
        """The consent, once everybody has signed: the purposes that all agreed to, from the earliest signature on."""
        signatures = tuple(slot.signature for slot in self.signers if slot.signature)
        if self.state is not RequestState.COMPLETE or not signatures:
            return None
        first: date = min(one.signed_on for one in signatures)
        return Consent(
            consent_id=consent_id,
            request_id=self.request_id,
            patient_code=self.patient_code,
            subject=self.subject,
            legal_ground=self.legal_ground,
            relation=self.relation,
            own_view=self.own_view,
            signatures=signatures,
            information=self.information,
            purposes=tuple(one for one in self.purposes if all(one in given.purposes for given in signatures)),
            audience=self.audience,
            specialty=self.specialty,
            language=signatures[0].language,
            text_version=self.text_version,
            text_sha256=signatures[0].text_sha256,
            signed_on=first,
            expires_on=years_after(first, self.duration_years),
            covers=dict(self.covers),
            pictures=self.pictures,
            recorded_at=now,
        )

    def must_be_open(self) -> None:
        """Raise RequestClosed unless signatures are still awaited."""
        if self.state is not RequestState.OPEN:
            raise RequestClosed(state=self.state.value)
