"""Verification by registry over HTTP."""

import logging
from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.identity.domain.account import Account
from services.identity.domain.verification import Number
from services.identity.registries import RegistryAway
from shared.events import MemberStatus, Profession, Role
from tests.verification_house import VerificationHouse, new_number

pytestmark = pytest.mark.platform


def form(number: Number, /, **changes: Any) -> dict[str, Any]:
    known = {"registry": "rpps", "number": number.value, "family_name": "Dupont-Moreau", "given_name": "Anne"}
    return {**known, **changes}


async def asked(house: VerificationHouse, account: Account, **changes: Any) -> httpx.Response:
    async with house.client(member_id=account.member_id) as client:
        return await client.post("/verifications/registry", json=changes)


def problem(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return str(answer.json()["type"].rpartition(":")[2])


async def test_number_name_and_profession_verify_a_member(house: VerificationHouse) -> None:
    member, number = await house.member(), new_number()
    house.register.add(number)
    answer = await asked(house, member, **form(number, number=f"8 {number.value}", family_name="dupont"))
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["status"], shown["method"], shown["registry"]) == ("verified", "registry", "rpps")
    assert number.value not in answer.text
    async with house.client(member_id=member.member_id) as client:
        assert (await client.get("/verifications")).json() == shown
        assert (await client.get("/verifications/registries")).json() == [{"name": "rpps", "country": "FR"}]


@pytest.mark.parametrize(
    "known",
    [
        None,
        {"families": ("ANOTHER",)},
        {"givens": ("JEANNE",)},
        {"active": False},
        {"professions": frozenset({Profession.NURSE})},
    ],
)
@pytest.mark.parametrize("language", ["en", "fr"])
async def test_a_mismatch_never_says_what_the_registry_holds(
    house: VerificationHouse, known: dict[str, Any] | None, language: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    member, number = await house.member(), Number("rpps", "99900000003")
    if known is not None:
        house.register.add(number, **known)
    async with house.client(member_id=member.member_id) as client:
        answer = await client.post("/verifications/registry", json=form(number), headers={"accept-language": language})
    assert answer.status_code == 422
    document = {name: value for name, value in answer.json().items() if name != "request_id"}
    async with house.client(member_id=member.member_id) as client:
        nobody = await client.post(
            "/verifications/registry", json=form(Number("rpps", "99900000029")), headers={"accept-language": language}
        )
    assert document == {name: value for name, value in nobody.json().items() if name != "request_id"}
    assert await house.status(member.member_id) is MemberStatus.UNVERIFIED
    said = caplog.text + str([record.__dict__ for record in caplog.records])
    for secret in ("99900000003", "Dupont", "ANOTHER", "JEANNE"):
        assert secret not in said


async def test_a_student_who_has_graduated_is_verified_as_what_they_are_now(house: VerificationHouse) -> None:
    student, number = await house.member(Profession.STUDENT), new_number()
    house.register.add(number)
    assert problem(await asked(house, student, **form(number))) == "registry-no-match"
    assert problem(await asked(house, student, **form(number, profession="nurse"))) == "registry-no-match"
    answer = await asked(house, student, **form(number, profession="physician"))
    assert (answer.status_code, answer.json()["valid_until"]) == (200, None)
    found = await house.accounts.by_id(student.member_id)
    assert found is not None
    assert found.profession is Profession.PHYSICIAN


async def test_a_check_digit_that_does_not_fit_is_remarked(house: VerificationHouse) -> None:
    answer = await asked(house, await house.member(), **form(Number("rpps", "99900000004")))
    assert (problem(answer), answer.json()["warnings"]) == ("registry-no-match", ["check_digit"])


@pytest.mark.parametrize(
    ("changes", "status", "slug"),
    [
        ({"number": "123"}, 422, "number-malformed"),
        ({"number": "0759124159"}, 422, "number-malformed"),
        ({"registry": "gmc"}, 404, "registry-unknown"),
        ({"family_name": " "}, 422, "validation-failed"),
        ({"extra": 1}, 422, "validation-failed"),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    house: VerificationHouse, changes: dict[str, Any], status: int, slug: str
) -> None:
    answer = await asked(house, await house.member(), **form(new_number(), **changes))
    assert (answer.status_code, problem(answer)) == (status, slug)
    assert house.register.asked == []
    assert "Dupont" not in answer.text


async def test_a_second_account_with_the_number_is_refused(house: VerificationHouse) -> None:
    _, number = await house.verified()
    answer = await asked(house, await house.member(), **form(number))
    assert (answer.status_code, problem(answer)) == (409, "number-in-use")


async def test_only_professionals_who_are_not_suspended_may_ask(house: VerificationHouse) -> None:
    patient = await house.member(None, Role.PATIENT)
    answer = await asked(house, patient, **form(new_number()))
    assert (answer.status_code, problem(answer)) == (403, "professionals-only")
    account, number = await house.verified()
    await house.accounts.change(account.member_id, lambda found: found.suspend("insults"))
    answer = await asked(house, account, **form(number))
    assert (answer.status_code, problem(answer)) == (403, "account-suspended")
    async with house.client() as client:
        assert (await client.post("/verifications/registry", json=form(number))).status_code == 401


async def test_trying_numbers_gets_slow_for_a_member(house: VerificationHouse) -> None:
    member = await house.member()
    for _ in range(6):
        assert (await asked(house, member, **form(new_number()))).status_code == 422
    answer = await asked(house, member, **form(new_number()))
    assert (answer.status_code, problem(answer)) == (429, "too-many-tries")
    assert len(house.register.asked) == 6
    assert (await asked(house, await house.member(), **form(new_number()))).status_code == 422


async def test_an_own_match_again_gives_no_new_tries(house: VerificationHouse) -> None:
    member, own = await house.member(), new_number()
    house.register.add(own)
    assert (await asked(house, member, **form(own))).status_code == 200
    tried = 0
    while (await asked(house, member, **form(new_number()))).status_code == 422:
        tried += 1
        await asked(house, member, **form(own))
    assert tried < 6


async def test_trying_names_for_a_number_gets_slow_for_everybody_and_a_match_ends_it(house: VerificationHouse) -> None:
    number = new_number()
    house.register.add(number)
    for _ in range(11):
        await asked(house, await house.member(), **form(number, family_name="Guess"))
    owner = await house.member()
    assert (await asked(house, owner, **form(number))).status_code == 429
    house.now += timedelta(seconds=60)
    assert (await asked(house, owner, **form(number))).status_code == 200


async def test_a_registry_that_is_away_is_said_or_waited_for(house: VerificationHouse) -> None:
    member, number = await house.member(), new_number()
    house.register.broken = RegistryAway("test", 7)
    for _ in range(8):  # tries without an answer are not counted
        answer = await asked(house, member, **form(number))
        assert (answer.status_code, problem(answer)) == (503, "registry-unavailable")
        assert answer.headers["retry-after"] == "7"
    answer = await asked(house, member, **form(number, keep_if_away=True))
    assert answer.status_code == 202
    assert number.value not in answer.text
    assert answer.json()["request"]["state"] == "waiting"
    house.register.broken = None
    house.register.add(number)
    house.now += timedelta(minutes=10)
    await house.watch.try_kept()
    assert await house.status(member.member_id) is MemberStatus.VERIFIED
