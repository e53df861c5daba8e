"""What the routes about consents take and show, as JSON."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from services.ingest import consent_texts
from services.ingest.domain.case import Case
from services.ingest.domain.consent import Information, InformedBy, Means, Purpose
from services.ingest.domain.consent_request import (
    MAX_YEARS,
    USUAL_YEARS,
    ConsentRequest,
    RequestState,
    Slot,
)
from services.ingest.domain.signers import Capacity, LegalGround, OwnView, Relation, Subject, View, ViewNote
from services.ingest.routes.asking import Asking, Line
from services.ingest.store import KeptConsent
from shared.events import Audience, Language

PatientCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z-]*[0-9][A-Za-z0-9-]*$", max_length=32)]


class NewInformation(Asking):
    """That you, who are signed in, informed the patient: on which day, in which language, and how."""

    informed_on: date
    language: Language
    means: InformedBy


class NewOwnView(Asking):
    """What the person in the pictures says, when somebody else signs: of the dead, what they said in life.

    `note`: how it was told (`spoken`, `gesture`, `written`), or why it could not be (`too_young`, `state_of_health`,
    `cannot_communicate`). `not_known` is for the dead only, and takes no note.
    """

    view: View
    note: ViewNote | None = None
    asked_on: date | None = None

    def kept(self) -> OwnView:
        return OwnView(**self.model_dump())


class NewConsentRequest(Asking):
    """What the patient is asked. `patient_code` is your own code for the patient: letters, digits and dashes, with a
    digit, never a name. `contact` stands on the form: whom the patient may ask, and how to reach them.

    A minor needs both holders of parental authority, or one with a `legal_ground`; a protected adult the
    representative with theirs; somebody who died a relative with the `relation`. All three need `own_view`; where it
    is `objected` nothing can be signed. `replace` throws away signatures of the open request before this one.
    """

    language: Language
    patient_code: PatientCode
    subject: Subject
    legal_ground: LegalGround | None = None
    relation: Relation | None = None
    own_view: NewOwnView | None = None
    purposes: Annotated[list[Purpose], Field(min_length=1, max_length=len(Purpose))]
    audience: Audience
    duration_years: Annotated[int, Field(ge=1, le=MAX_YEARS)] = USUAL_YEARS
    contact: Line
    replace: bool = False


class LinkView(BaseModel):
    """A signing link, told once: only a hash of it is kept. `qr_svg`: the same for another telephone's camera."""

    url: str
    qr_svg: str
    expires_at: datetime


class SignerView(BaseModel):
    """`link_expires_at`: when the signer's latest link ends; null where none was made."""

    signer_id: str
    capacity: Capacity
    signed_on: date | None
    means: Means | None
    link_expires_at: datetime | None
    link: LinkView | None = None

    @classmethod
    def of(cls, slot: Slot, link: LinkView | None = None) -> "SignerView":
        return cls(
            signer_id=slot.signer_id,
            capacity=slot.capacity,
            signed_on=slot.signature.signed_on if slot.signature else None,
            means=slot.signature.means if slot.signature else None,
            link_expires_at=slot.link_expires_at,
            link=link,
        )


class ConsentRequestView(BaseModel):
    """A consent request as its author sees it. `pictures_changed`: it cannot be signed any more; ask anew."""

    request_id: str
    state: RequestState
    created_at: datetime
    closed_at: datetime | None
    language: Language
    text_version: str
    patient_code: str
    subject: Subject
    legal_ground: LegalGround | None
    relation: Relation | None
    own_view: OwnView | None
    purposes: tuple[Purpose, ...]
    audience: Audience
    duration_years: int
    contact: str
    pictures_changed: bool
    signers: list[SignerView]

    @classmethod
    def of(cls, request: ConsentRequest, case: Case, links: dict[str, LinkView] | None = None) -> "ConsentRequestView":
        own = {"pictures_changed", "signers"}
        return cls(
            **{name: getattr(request, name) for name in cls.model_fields if name not in own},
            pictures_changed=request.pictures != case.seen_pictures(),
            signers=[SignerView.of(slot, (links or {}).get(slot.signer_id)) for slot in request.signers],
        )


class SignatureView(BaseModel):
    capacity: Capacity
    means: Means
    signed_on: date


class ConsentView(BaseModel):
    """The recorded consent. `problem`: why it does not allow the case as it is to be submitted; null where it does.

    `expires_on`: the last day on which the case may be shown.
    """

    consent_id: str
    patient_code: str
    subject: Subject
    purposes: tuple[Purpose, ...]
    audience: Audience
    language: Language
    text_version: str
    text_sha256: str
    signed_on: date
    expires_on: date | None
    signatures: list[SignatureView]
    recorded_at: datetime
    valid: bool
    problem: str | None

    @classmethod
    def of(cls, case: Case, at: datetime) -> "ConsentView | None":
        if case.consent is None:
            return None
        problem = case.consent_standing(consent_texts.hashes(), at)
        own = {"valid", "problem", "signatures"}
        return cls(
            **{name: getattr(case.consent, name) for name in cls.model_fields if name not in own},
            signatures=[
                SignatureView(capacity=one.capacity, means=one.means, signed_on=one.signed_on)
                for one in case.consent.signatures
            ],
            valid=problem is None,
            problem=problem,
        )


class InformationView(BaseModel):
    informed_on: date
    language: Language
    means: InformedBy
    informed_by: str
    recorded_at: datetime

    @classmethod
    def of(cls, information: Information | None) -> "InformationView | None":
        return None if information is None else cls(**information.model_dump())


class SignedView(BaseModel):
    """What the signer gets. The code is told here and nowhere else; with it the case can be ended on `withdrawal_url`
    at any time. `complete`: everybody has signed.
    """

    withdrawal_code: str
    withdrawal_url: str
    purposes: tuple[Purpose, ...]
    signed_on: date
    expires_on: date
    complete: bool


class NewSignature(Asking):
    """A signature over a link. `text_sha256`: the text that was shown. `signature`: a PNG in base64, drawn by hand.

    `pictures_seen` and `capacity_confirmed` are said by the signer: that they looked at each picture, and that they
    are what the request says.
    """

    language: Language
    text_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    purposes: Annotated[list[Purpose], Field(max_length=len(Purpose))]
    pictures_seen: Literal[True]
    capacity_confirmed: Literal[True]
    signature: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=220_000)]


class FrameToSee(BaseModel):
    address: str
    sha256: str
    width: int
    height: int


class PurposeOffered(BaseModel):
    code: Purpose
    label: str
    text: str


class SigningView(BaseModel):
    """What a signer is shown, in one language. `frames`: the painted pictures, as they would be published.

    `last_day`: the last day on which the case may be shown, if it is signed today.
    """

    language: Language
    text_version: str
    text_sha256: str
    text: str
    capacity: Capacity
    capacity_text: str
    subject: Subject
    patient_code: str
    purposes: list[PurposeOffered]
    audience: Audience
    audience_text: str
    duration_years: int
    last_day: date
    contact: str
    controller: str
    data_officer: str
    frames: list[FrameToSee]
    link_expires_at: datetime


class ProofView(BaseModel):
    """`record`: what was signed; `sheet_base64`: the drawing, or the photographed form."""

    proof_id: str
    record: dict[str, object]
    record_sha256: str
    sheet_type: str
    sheet_base64: str


class ConsentProofs(BaseModel):
    consent_id: str
    case_id: str
    given_at: datetime
    ended_at: datetime | None
    erase_after: datetime | None
    proofs: list[ProofView]


class KeptConsentView(BaseModel):
    """A consent without its proofs. `erase_after`: when these go, once the case has ended."""

    consent_id: str
    case_id: str
    given_at: datetime
    ended_at: datetime | None
    erase_after: datetime | None

    @classmethod
    def of(cls, kept: KeptConsent) -> "KeptConsentView":
        return cls(**{name: getattr(kept, name) for name in cls.model_fields})


class KeptConsents(BaseModel):
    items: list[KeptConsentView]


class ReadingList(BaseModel):
    """Every reading of a proof, oldest first. `flaws`: where the chain is broken; empty while it is whole."""

    items: list[dict[str, object]]
    flaws: list[str]
