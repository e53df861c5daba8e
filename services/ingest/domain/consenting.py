"""How consents come into a case: the patient is informed, asked about the painted pictures, and signs."""

from collections.abc import Mapping
from datetime import datetime

from services.ingest.domain.consent import Consent, Information, Signature, TextHashes, latest_today
from services.ingest.domain.consent_request import ConsentRequest, RequestState
from services.ingest.domain.record import CaseRecord
from services.ingest.domain.refusals import (
    ConsentPicturesChanged,
    ConsentRefused,
    NotInformed,
    RequestSigned,
    RequestUnknown,
    SubjectRefused,
)
from services.ingest.domain.signers import OF_CHILDREN, Capacity, Subject
from services.ingest.domain.states import EDITABLE, NO_PATIENT, WITH_PAINTED_PICTURES


class CaseWithConsent(CaseRecord):
    """The part of a case that is about consents. Everything here is of the pictures as they are painted now."""

    def inform(self, now: datetime, information: Information) -> None:
        """Keep that the patient was told, which comes before any signature. Raises ConsentRefused."""
        self._must_be(EDITABLE)
        if information.informed_on > latest_today(now):
            raise ConsentRefused(reason="informed-in-the-future")
        self.information = information
        self._changed(now)

    def request_consent(
        self,
        request: ConsentRequest,
        signer_ids: Mapping[Capacity, str],
        texts: TextHashes,
        now: datetime,
        *,
        replace: bool = False,
    ) -> ConsentRequest:
        """Ask for the consent to the pictures as they are painted now. Takes the place of the request before it.

        Raises NotInformed, SubjectRefused, ConsentRefused, and RequestSigned where somebody has signed the request
        before it, which is still open, unless `replace`.
        """
        self._must_be(WITH_PAINTED_PICTURES)
        self._all_rendered()
        before = self.consent_request
        if before and before.state is RequestState.OPEN and before.signed_by_somebody and not replace:
            raise RequestSigned()
        request = request.model_copy(update={"covers": self.picture_revisions(), "pictures": self.seen_pictures()})
        request.check(texts, now)
        if self._is_said_to_be_a_child and request.subject in (Subject.ADULT, Subject.PROTECTED_ADULT):
            raise SubjectRefused(reason="patient-is-a-child")
        request.lay_out(signer_ids)
        self._heed(request)
        self.consent_request = request
        self._changed(now)
        return request

    def told(self) -> Information:
        """That the patient was informed. Raises NotInformed."""
        if self.information is None:
            raise NotInformed()
        return self.information

    def request_of(self, request_id: str) -> ConsentRequest:
        """The current request. Raises RequestUnknown for every other."""
        if self.consent_request is None or self.consent_request.request_id != request_id:
            raise RequestUnknown()
        return self.consent_request

    def check_can_be_signed(self, request: ConsentRequest) -> None:
        """Raise unless the pictures are still those that the request shows, and the case awaits a consent."""
        self._must_be(WITH_PAINTED_PICTURES)
        self._all_rendered()
        if request.covers != self.picture_revisions() or request.pictures != self.seen_pictures():
            raise ConsentPicturesChanged()

    def give_link(self, request_id: str, signer_id: str, link_hash: str, now: datetime) -> datetime:
        """Let a new link stand for a signer; returns when it ends. Raises what `check_can_be_signed` does."""
        request = self.request_of(request_id)
        self.check_can_be_signed(request)
        ends = request.give_link(signer_id, link_hash, now)
        self._changed(now)
        return ends

    def print_form(self, request_id: str, now: datetime) -> None:
        """Note that a form to be signed on paper was made."""
        request = self.request_of(request_id)
        self.check_can_be_signed(request)
        request.must_be_open()
        request.printed += 1
        self._changed(now)

    def sign(
        self,
        request_id: str,
        signatures: Mapping[str, Signature],
        consent_id: str,
        texts: TextHashes,
        now: datetime,
    ) -> Consent | None:
        """Keep signatures, by signer; the consent, if these were the last that it needs."""
        request = self.request_of(request_id).model_copy(deep=True)
        self.check_can_be_signed(request)
        request.must_be_open()  # or no signature at all would give the same consent once more
        for signer_id, signature in signatures.items():
            request.sign(signer_id, signature, texts, now)
        given = request.consent(consent_id, now)
        self.consent_request = request
        if given is not None:
            given.check(texts, now)
            self.consent = given
        self._changed(now)
        return given

    def close_request(self, request_id: str, state: RequestState, now: datetime) -> None:
        """The signer said no, or the author takes the request back."""
        request = self.request_of(request_id)
        request.close(state, now)
        self._heed(request)
        self._changed(now)

    def _heed(self, request: ConsentRequest) -> None:
        """A no, or an objection, ends what was agreed to before: no later request brings it back."""
        if request.state in (RequestState.DECLINED, RequestState.OBJECTED):
            self.consent = None

    @property
    def _is_said_to_be_a_child(self) -> bool:
        return self.patient is not None and self.patient.age_band in OF_CHILDREN

    @property
    def needs_consent(self) -> bool:
        return bool(self.pictures) or self.kind not in NO_PATIENT

    def consent_problem(self, texts: TextHashes, now: datetime) -> str | None:
        """Why this case may not be submitted for want of consent, as a code; None where it may.

        While somebody is still asked nothing is submitted, an earlier consent or not: a no would come too late.
        """
        if not self.needs_consent:
            return None
        asked = self.consent_request.state if self.consent_request else None
        if asked is RequestState.OBJECTED:
            return "patient-objected"
        if asked is RequestState.DECLINED:
            return "declined"
        return "signatures-awaited" if asked is RequestState.OPEN else self.consent_standing(texts, now)

    def consent_standing(self, texts: TextHashes, now: datetime) -> str | None:
        """Why the consent that was given does not cover the case as it is, as a code; None where it does."""
        if self.consent is None:
            return "none-recorded"
        if self._is_said_to_be_a_child and self.consent.subject in (Subject.ADULT, Subject.PROTECTED_ADULT):
            return "patient-is-a-child"
        part_of_a_face = any(picture.part_of_a_face for picture in self.pictures)
        return self.consent.problem(self.picture_revisions(), self.specialty, texts, now, part_of_a_face=part_of_a_face)
