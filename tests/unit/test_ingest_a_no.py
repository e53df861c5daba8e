"""A no ends what was agreed to before, and while somebody is still asked nothing is submitted."""

import pytest

from services.ingest.domain.consent_request import RequestState
from services.ingest.domain.refusals import ConsentMissing, RequestClosed
from services.ingest.domain.signers import View
from tests.consents import ask, give_consent
from tests.ingest_cases import NOW, TEXT, TEXTS, no_marks, ready
from tests.unit.test_ingest_signers import AGREED, CHILD


class TestANo:
    """Somebody who says no is not shown under what was signed before, whatever is asked for afterwards."""

    @pytest.mark.parametrize("closed", [None, RequestState.CANCELLED])
    def test_a_no_outlasts_the_request_that_it_answered(self, closed: RequestState | None) -> None:
        found = ready()
        give_consent(found, TEXTS, NOW, text=TEXT)
        ask(found, TEXTS, NOW, text=TEXT)
        found.close_request("request-1", RequestState.DECLINED, NOW)
        assert found.consent_problem(TEXTS, NOW) == "declined"
        ask(found, TEXTS, NOW, text=TEXT)
        if closed:
            found.close_request("request-1", closed, NOW)
        assert found.consent_problem(TEXTS, NOW) == ("none-recorded" if closed else "signatures-awaited")

    def test_an_objection_outlasts_the_request_that_noted_it(self) -> None:
        found = ready()
        give_consent(found, TEXTS, NOW, text=TEXT, **CHILD)
        no = {"own_view": AGREED.model_copy(update={"view": View.OBJECTED})}
        ask(found, TEXTS, NOW, text=TEXT, **(CHILD | no))
        assert found.consent_problem(TEXTS, NOW) == "patient-objected"
        ask(found, TEXTS, NOW, text=TEXT, **CHILD)
        found.close_request("request-1", RequestState.CANCELLED, NOW)
        assert found.consent_problem(TEXTS, NOW) == "none-recorded"

    def test_nothing_is_submitted_while_somebody_is_still_asked(self) -> None:
        found = ready()
        give_consent(found, TEXTS, NOW, text=TEXT)
        ask(found, TEXTS, NOW, text=TEXT)
        with pytest.raises(ConsentMissing) as refusal:
            found.submit(TEXTS, NOW, no_marks(found))
        assert refusal.value.facts == {"reason": "signatures-awaited"}
        found.close_request("request-1", RequestState.CANCELLED, NOW)
        assert found.submit(TEXTS, NOW, no_marks(found)).consent is not None

    def test_a_consent_is_given_once(self) -> None:
        found = ready()
        given = give_consent(found, TEXTS, NOW, text=TEXT)
        with pytest.raises(RequestClosed):
            found.sign("request-1", {}, "consent-2", TEXTS, NOW)
        assert found.consent == given
