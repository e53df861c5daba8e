"""Who signs for whom, what a request asks, and when signatures make a consent."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.ingest.domain.case import Case
from services.ingest.domain.consent import Consent, Means, Purpose, years_after
from services.ingest.domain.consent_request import LINK_DAYS, RequestState
from services.ingest.domain.refusals import (
    ConsentMissing,
    ConsentPicturesChanged,
    ConsentRefused,
    FormNotPrinted,
    LinkExpired,
    LinkUsed,
    NotInformed,
    Refused,
    RequestClosed,
    RequestSigned,
    RequestUnknown,
    SignerUnknown,
    SubjectRefused,
)
from services.ingest.domain.signers import (
    OF_MINORS,
    OF_PROTECTED_ADULTS,
    Capacity,
    LegalGround,
    OwnView,
    Relation,
    Subject,
    View,
    ViewNote,
    capacities,
)
from shared.events import AgeBand, Audience, FrameBoxes, PatientFacts, Specialty
from tests.consents import SIGNER_IDS, ask, give_consent, information, request, signature
from tests.ingest_cases import BOX, NOW, TEXT, TEXTS, no_marks, ready

AGREED = OwnView(view=View.AGREED, note=ViewNote.SPOKEN, asked_on=NOW.date())
CHILD: dict[str, Any] = {"subject": Subject.MINOR, "own_view": AGREED}
WARD: dict[str, Any] = {
    "subject": Subject.PROTECTED_ADULT,
    "legal_ground": LegalGround.GUARDIAN,
    "own_view": OwnView(view=View.UNABLE, note=ViewNote.STATE_OF_HEALTH, asked_on=NOW.date()),
}
DEAD: dict[str, Any] = {
    "subject": Subject.DECEASED,
    "relation": Relation.SPOUSE_OR_PARTNER,
    "own_view": OwnView(view=View.NOT_KNOWN),
}


def sign(found: Case, capacity: Capacity, now: datetime = NOW, **changes: Any) -> Consent | None:
    made = signature(capacity, now, text=TEXT, **changes)
    return found.sign("request-1", {SIGNER_IDS[capacity]: made}, f"consent-{capacity}", TEXTS, now)


def standing(found: Case) -> RequestState:
    """Asked anew: a type checker remembers the last answer."""
    assert found.consent_request is not None
    return found.consent_request.state


class TestWhoSigns:
    def test_an_adult_signs_alone(self) -> None:
        found = ready()
        assert [slot.capacity for slot in ask(found, TEXTS, NOW, text=TEXT).signers] == [Capacity.SELF]
        assert found.consent_problem(TEXTS, NOW) == "signatures-awaited"
        assert sign(found, Capacity.SELF) is not None
        assert found.consent_problem(TEXTS, NOW) is None

    def test_a_minor_needs_both_holders_of_parental_authority(self) -> None:
        found = ready()
        ask(found, TEXTS, NOW, text=TEXT, **CHILD)
        assert sign(found, Capacity.PARENT_B) is None
        assert found.consent is None
        with pytest.raises(ConsentMissing) as refusal:
            found.submit(TEXTS, NOW, no_marks(found))
        assert refusal.value.facts == {"reason": "signatures-awaited"}
        with pytest.raises(LinkUsed):
            sign(found, Capacity.PARENT_B)
        given = sign(found, Capacity.PARENT_A)
        assert given is not None
        assert [one.capacity for one in given.signatures] == [Capacity.PARENT_A, Capacity.PARENT_B]
        assert found.submit(TEXTS, NOW, no_marks(found)).consent is not None

    @pytest.mark.parametrize("ground", sorted(OF_MINORS))
    def test_one_holder_is_enough_where_the_law_says_so(self, ground: LegalGround) -> None:
        found = ready()
        given = give_consent(found, TEXTS, NOW, text=TEXT, **CHILD, legal_ground=ground)
        assert ([one.capacity for one in given.signatures], given.legal_ground) == ([Capacity.SOLE_HOLDER], ground)

    def test_a_protected_adult_is_represented_and_heard(self) -> None:
        given = give_consent(ready(), TEXTS, NOW, text=TEXT, **WARD)
        assert [one.capacity for one in given.signatures] == [Capacity.REPRESENTATIVE]
        assert given.own_view == WARD["own_view"]

    def test_for_the_dead_a_relative_signs(self) -> None:
        given = give_consent(ready(), TEXTS, NOW, text=TEXT, **DEAD)
        assert ([one.capacity for one in given.signatures], given.relation) == (
            [Capacity.RELATIVE],
            Relation.SPOUSE_OR_PARTNER,
        )

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"legal_ground": LegalGround.GUARDIAN}, "legal-ground-not-of-this-subject"),
            ({"relation": Relation.CHILD}, "relation-not-of-this-subject"),
            ({"own_view": AGREED}, "own-view-is-the-signature"),
            ({"subject": Subject.MINOR}, "own-view-missing"),
            (CHILD | {"legal_ground": LegalGround.GUARDIAN}, "legal-ground-not-of-this-subject"),
            (CHILD | {"relation": Relation.PARENT}, "relation-not-of-this-subject"),
            (CHILD | {"own_view": OwnView(view=View.AGREED, asked_on=NOW.date())}, "own-view-note-wrong"),
            (CHILD | {"own_view": AGREED.model_copy(update={"note": ViewNote.TOO_YOUNG})}, "own-view-note-wrong"),
            (CHILD | {"own_view": AGREED.model_copy(update={"asked_on": None})}, "own-view-date-missing"),
            (CHILD | {"own_view": AGREED.model_copy(update={"asked_on": date(2027, 1, 1)})}, "own-view-in-the-future"),
            (CHILD | {"own_view": OwnView(view=View.NOT_KNOWN)}, "own-view-not-of-this-subject"),
            (WARD | {"legal_ground": None}, "legal-ground-missing"),
            (WARD | {"legal_ground": LegalGround.SOLE_BY_COURT}, "legal-ground-not-of-this-subject"),
            (WARD | {"own_view": None}, "own-view-missing"),
            (
                WARD | {"own_view": OwnView(view=View.UNABLE, note=ViewNote.TOO_YOUNG, asked_on=NOW.date())},
                "own-view-note-wrong",
            ),
            (DEAD | {"relation": None}, "relation-missing"),
            (DEAD | {"own_view": None}, "own-view-missing"),
            (DEAD | {"own_view": WARD["own_view"]}, "own-view-not-of-this-subject"),
        ],
    )
    def test_anything_else_is_refused(self, changes: dict[str, Any], reason: str) -> None:
        found = ready()
        with pytest.raises(SubjectRefused) as refusal:
            ask(found, TEXTS, NOW, text=TEXT, **changes)
        assert refusal.value.facts == {"reason": reason}
        assert found.consent_request is None

    def test_every_ground_belongs_to_one_kind_of_subject(self) -> None:
        assert set(LegalGround) == OF_MINORS | OF_PROTECTED_ADULTS
        assert not OF_MINORS & OF_PROTECTED_ADULTS

    @pytest.mark.parametrize("asked", [CHILD, WARD, DEAD])
    def test_who_objects_is_not_shown_even_after_an_earlier_yes(self, asked: dict[str, Any]) -> None:
        found = ready()
        give_consent(found, TEXTS, NOW, text=TEXT, **asked)
        assert found.consent_problem(TEXTS, NOW) is None
        no = asked["own_view"].model_copy(
            update={"view": View.OBJECTED, "note": ViewNote.GESTURE, "asked_on": NOW.date()}
        )
        made = ask(found, TEXTS, NOW, text=TEXT, **asked | {"own_view": no})
        assert (made.state, made.signers) == (RequestState.OBJECTED, [])
        assert found.consent_problem(TEXTS, NOW) == "patient-objected"
        with pytest.raises(ConsentMissing):
            found.submit(TEXTS, NOW, no_marks(found))
        with pytest.raises(RequestClosed):
            sign(found, capacities(asked["subject"], None)[0])


class TestRequest:
    def test_nobody_is_asked_before_they_are_informed(self) -> None:
        with pytest.raises(NotInformed):
            request(ready(), NOW, text=TEXT)

    def test_information_is_not_of_a_day_to_come(self) -> None:
        found = ready()
        with pytest.raises(ConsentRefused) as refusal:
            found.inform(NOW, information(NOW, informed_on=date(2026, 11, 24)))
        assert refusal.value.facts == {"reason": "informed-in-the-future"}

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"purposes": (Purpose.TEACHING,)}, "purpose-missing"),
            ({"duration_years": 0}, "duration-out-of-bounds"),
            ({"duration_years": 11}, "duration-out-of-bounds"),
            ({"text": "c" * 64}, "text-unknown"),
        ],
    )
    def test_what_cannot_become_a_consent_is_not_asked(self, changes: dict[str, Any], reason: str) -> None:
        with pytest.raises(ConsentRefused) as refusal:
            ask(ready(), TEXTS, NOW, **{"text": TEXT} | changes)
        assert refusal.value.facts == {"reason": reason}

    def test_a_request_that_somebody_has_signed_is_replaced_on_purpose_only(self) -> None:
        found = ready()
        ask(found, TEXTS, NOW, text=TEXT, **CHILD)
        sign(found, Capacity.PARENT_A)
        with pytest.raises(RequestSigned):
            found.request_consent(request(found, NOW, text=TEXT), SIGNER_IDS, TEXTS, NOW)
        found.request_consent(request(found, NOW, text=TEXT, request_id="r2"), SIGNER_IDS, TEXTS, NOW, replace=True)
        with pytest.raises(RequestUnknown):
            sign(found, Capacity.PARENT_B)

    def test_a_link_lasts_14_days_and_a_new_one_begins_again(self) -> None:
        found = ready()
        asked = ask(found, TEXTS, NOW, text=TEXT)
        signer = SIGNER_IDS[Capacity.SELF]
        with pytest.raises(LinkExpired):
            asked.check_link(signer, NOW)
        ends = found.give_link("request-1", signer, "hash", NOW)
        assert ends == NOW + timedelta(days=LINK_DAYS)
        assert asked.check_link(signer, ends - timedelta(seconds=1)).link_hash == "hash"
        with pytest.raises(LinkExpired):
            asked.check_link(signer, ends)
        found.give_link("request-1", signer, "other", ends)
        assert asked.check_link(signer, ends).link_hash == "other"
        with pytest.raises(SignerUnknown):
            found.give_link("request-1", "somebody", "x", NOW)

    @pytest.mark.parametrize("state", [RequestState.DECLINED, RequestState.CANCELLED])
    def test_a_closed_request_takes_no_signature(self, state: RequestState) -> None:
        found = ready()
        ask(found, TEXTS, NOW, text=TEXT, **CHILD)
        sign(found, Capacity.PARENT_A)
        found.close_request("request-1", state, NOW)
        for act in (
            lambda: sign(found, Capacity.PARENT_B),
            lambda: found.give_link("request-1", SIGNER_IDS[Capacity.PARENT_B], "x", NOW),
            lambda: found.print_form("request-1", NOW),
            lambda: found.close_request("request-1", RequestState.CANCELLED, NOW),
        ):
            with pytest.raises(RequestClosed):
                act()
        assert found.consent_problem(TEXTS, NOW) == {"declined": "declined"}.get(state, "none-recorded")

    def test_pictures_that_changed_cannot_be_signed(self) -> None:
        found = ready()
        ask(found, TEXTS, NOW, text=TEXT)
        assert found.change_boxes(NOW, "picture-1", [FrameBoxes(frame=0, boxes=(BOX,))])
        with pytest.raises(Refused):
            sign(found, Capacity.SELF)

    def test_the_same_revision_with_other_bytes_is_another_picture(self) -> None:
        found = ready()
        asked = ask(found, TEXTS, NOW, text=TEXT)
        found.consent_request = asked.model_copy(update={"pictures": ()})
        with pytest.raises(ConsentPicturesChanged):
            sign(found, Capacity.SELF)


class TestSignature:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"purposes": (Purpose.TEACHING,)}, "purpose-missing"),
            ({"purposes": ()}, "purpose-missing"),
            ({"purposes": (Purpose.PUBLICATION, Purpose.MODEL_TRAINING)}, "purpose-not-offered"),
            ({"language": "fr"}, "text-unknown"),
            ({"text_sha256": "b" * 64}, "text-unknown"),
            ({"capacity": Capacity.RELATIVE}, "capacity-differs"),
            ({"signed_on": date(2026, 11, 24)}, "signed-in-the-future"),
            ({"signed_on": date(2026, 11, 20)}, "signed-before-information"),
        ],
    )
    def test_one_that_proves_nothing_is_refused(self, changes: dict[str, Any], reason: str) -> None:
        found = ready()
        ask(found, TEXTS, NOW, text=TEXT, purposes=(Purpose.PUBLICATION, Purpose.TEACHING))
        made = signature(Capacity.SELF, NOW, text=TEXT).model_copy(update=changes)
        with pytest.raises(ConsentRefused) as refusal:
            found.sign("request-1", {SIGNER_IDS[Capacity.SELF]: made}, "c", TEXTS, NOW)
        assert refusal.value.facts == {"reason": reason}
        assert (found.consent, standing(found)) == (None, RequestState.OPEN)

    def test_a_form_on_paper_cannot_be_older_than_the_request(self) -> None:
        found = ready()
        found.inform(NOW, information(NOW, informed_on=date(2026, 1, 1)))
        found.request_consent(request(found, NOW, text=TEXT), SIGNER_IDS, TEXTS, NOW)
        found.print_form("request-1", NOW)
        with pytest.raises(ConsentRefused) as refusal:
            sign(found, Capacity.SELF, means=Means.PAPER, signed_on=date(2026, 11, 20))
        assert refusal.value.facts == {"reason": "signed-before-request"}

    def test_paper_needs_a_printed_form_since_the_code_stands_on_it(self) -> None:
        found = ready()
        ask(found, TEXTS, NOW, text=TEXT)
        with pytest.raises(FormNotPrinted):
            sign(found, Capacity.SELF, means=Means.PAPER)
        found.print_form("request-1", NOW)
        assert sign(found, Capacity.SELF, means=Means.PAPER) is not None

    def test_two_on_one_sheet_are_kept_together_or_not_at_all(self) -> None:
        found = ready()
        ask(found, TEXTS, NOW, text=TEXT, **CHILD)
        good = signature(Capacity.PARENT_A, NOW, text=TEXT)
        bad = signature(Capacity.PARENT_B, NOW, text=TEXT, purposes=())
        both = {SIGNER_IDS[Capacity.PARENT_A]: good, SIGNER_IDS[Capacity.PARENT_B]: bad}
        with pytest.raises(ConsentRefused):
            found.sign("request-1", both, "c", TEXTS, NOW)
        assert found.consent_request is not None
        assert not found.consent_request.signed_by_somebody


class TestConsent:
    def test_it_holds_what_everybody_agreed_to_from_the_earliest_signature_on(self) -> None:
        found = ready()
        ask(found, TEXTS, NOW, text=TEXT, duration_years=5, **CHILD)
        sign(found, Capacity.PARENT_B, purposes=(Purpose.PUBLICATION, Purpose.TEACHING))
        later = NOW + timedelta(days=3)
        given = sign(found, Capacity.PARENT_A, later, purposes=(Purpose.PUBLICATION, Purpose.SIMILAR_CASES))
        assert given is not None
        assert given.purposes == (Purpose.PUBLICATION,)
        assert (given.signed_on, given.expires_on) == (date(2026, 11, 22), date(2031, 11, 22))
        facts = given.facts()
        assert (facts.expires_on, facts.audience) == (date(2031, 11, 22), Audience.PROFESSIONALS_AND_STUDENTS)
        told = facts.model_dump_json()
        assert "P-1" not in told
        assert "the ward" not in told

    def test_an_audience_of_one_specialty_means_the_one_that_was_named(self) -> None:
        found = ready()
        give_consent(found, TEXTS, NOW, text=TEXT, audience=Audience.SPECIALTY)
        assert found.consent_problem(TEXTS, NOW) is None
        found.edit(NOW, {"specialty": Specialty.ONCOLOGY})
        assert found.consent_problem(TEXTS, NOW) == "audience-changed"

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"signatures": ()}, "unproved"),
            ({"expires_on": None}, "unproved"),
            ({"subject": Subject.MINOR}, "signers-incomplete"),
            ({"information": None}, "not-informed"),
            ({"information": information(NOW, informed_on=date(2026, 11, 24))}, "not-informed"),
            ({"own_view": AGREED.model_copy(update={"view": View.OBJECTED})}, "patient-objected"),
            ({"covers": {}}, "pictures-changed"),
        ],
    )
    def test_a_record_that_lacks_something_allows_nothing(self, changes: dict[str, Any], problem: str) -> None:
        found = ready()
        found.consent = give_consent(found, TEXTS, NOW, text=TEXT).model_copy(update=changes)
        assert found.consent_problem(TEXTS, NOW) == problem

    def test_a_consent_from_before_signing_pages_can_be_read_and_allows_nothing(self) -> None:
        found = ready()
        old = {
            "patient_code": "P-1",
            "purposes": ["publication"],
            "language": "en",
            "text_sha256": TEXT,
            "signed_on": "2026-11-22",
            "covers": {"picture-1": 1},
            "recorded_at": NOW.isoformat(),
        }
        found.consent = Consent.model_validate(old)
        assert found.consent_problem(TEXTS, NOW) == "unproved"

    def test_years_end_on_the_same_day(self) -> None:
        assert years_after(date(2028, 2, 29), 1) == date(2029, 2, 28)
        assert years_after(date(2028, 2, 29), 4) == date(2032, 2, 29)
        assert years_after(datetime(2026, 12, 31, tzinfo=UTC).date(), 2) == date(2028, 12, 31)

    @pytest.mark.parametrize("subject", [{}, WARD])
    def test_the_age_that_is_told_says_who_is_a_child(self, subject: dict[str, Any]) -> None:
        found = ready()
        found.edit(NOW, {"patient": PatientFacts(age_band=AgeBand.YEARS_10_14)})
        with pytest.raises(SubjectRefused) as refused:
            ask(found, TEXTS, NOW, text=TEXT, **subject)
        assert refused.value.facts == {"reason": "patient-is-a-child"}
        give_consent(found, TEXTS, NOW, text=TEXT, **CHILD)
        assert found.consent_problem(TEXTS, NOW) is None

    def test_an_age_that_is_told_later_counts_too(self) -> None:
        found = ready()
        give_consent(found, TEXTS, NOW, text=TEXT)
        for band, problem in ((AgeBand.YEARS_15_19, None), (AgeBand.MONTHS_0_2, "patient-is-a-child")):
            found.edit(NOW, {"patient": PatientFacts(age_band=band)})
            assert found.consent_problem(TEXTS, NOW) == problem
