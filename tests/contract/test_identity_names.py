"""Civil names, once a verification finds them: who is shown them, and that no pseudonym tells them."""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from deploy.local import Platform
from services.identity.domain.account import Account
from services.identity.domain.letters import Letter
from services.identity.domain.profile import Part, Profile, Visibility
from services.identity.domain.pseudonyms import PseudonymTellsName
from services.identity.domain.verification import CivilName
from services.identity.routes.pseudonym import pseudonym_routes
from services.identity.routes.verifications import verification_routes
from services.identity.store.directory import Directory
from services.identity.store.kept_requests import KeptState
from services.identity.store.profiles import Profiles
from services.identity.store.verifications import CIVIL_NAME
from shared.events import MemberStatus
from shared.keyring import HeldKeys
from shared.sealed import SealedField
from tests.review_desk import ACCEPTED, Review, open_review, problem
from tests.verification_house import NAME, VerificationHouse, new_number

pytestmark = pytest.mark.platform


@pytest.fixture
async def review(platform: Platform) -> AsyncIterator[Review]:
    async with open_review(platform) as made:
        yield made


async def called(house: VerificationHouse, pseudonym: str) -> Account:
    """A member of that name, not verified yet."""
    member = await house.member()
    return await house.accounts.change(member.member_id, lambda found: found.rename(pseudonym))


async def call(
    house: VerificationHouse, member: Account, method: str, path: str, language: str = "en", /, **json: str
) -> httpx.Response:
    routes = verification_routes(house.desk, house.guard)
    renaming = pseudonym_routes(house.verifications, house.attempts, house.guard)
    async with house.client(routes, renaming, member_id=member.member_id) as client:
        return await client.request(method, path, json=json, headers={"accept-language": language})


def free() -> str:
    """A pseudonym that nobody has."""
    return f"Saule {uuid.uuid4().hex[:12].translate(str.maketrans('0123456789', 'ghijklmnop'))}"


@pytest.mark.parametrize("language", ["fr", "en"])
async def test_a_number_verifies_nobody_whose_pseudonym_tells_the_name(house: VerificationHouse, language: str) -> None:
    member, number = await called(house, "Dr DUPONT 75"), new_number()
    house.register.add(number)
    form = {"registry": "rpps", "number": number.value, "family_name": "Dupont", "given_name": "Anne"}
    for _ in range(7):  # no try at a number: the registry was not asked
        answer = await call(house, member, "POST", "/verifications/registry", language, **form)
        assert (answer.status_code, problem(answer)) == (409, "pseudonym-tells-name")
    said = answer.json()
    assert "PUT /me/pseudonym" in said["detail"]
    assert ("choisissez" in said["detail"].lower()) == (language == "fr")
    assert "dupont" not in answer.text.lower()
    assert house.register.asked == []
    assert await house.verifications.of(member.member_id) is None
    answer = await call(house, member, "PUT", "/me/pseudonym", pseudonym=free())
    assert answer.status_code == 200, answer.text
    answer = await call(house, member, "POST", "/verifications/registry", **form)
    assert (answer.status_code, answer.json()["status"]) == (200, "verified")


async def test_every_family_name_on_record_is_kept_from_the_pseudonym(house: VerificationHouse) -> None:
    """Somebody works as Dupont, and the registry knows the name at birth as well."""
    member, number = await called(house, "Moreau"), new_number()
    house.register.add(number)
    with pytest.raises(PseudonymTellsName):
        await house.matching.verify(member, number, CivilName("Dupont", "Anne"))
    assert await house.status(member.member_id) is MemberStatus.UNVERIFIED
    assert await house.verifications.of(member.member_id) is None
    assert [event.status for event in await house.told(member.member_id)] == [MemberStatus.UNVERIFIED] * 2
    await house.verifications.rename(member.member_id, free())
    await house.matching.verify(member, number, CivilName("Dupont", "Anne"))
    with pytest.raises(PseudonymTellsName):
        await house.verifications.rename(member.member_id, "Dr Moreau")


async def test_a_name_that_was_sealed_before_other_names_were_kept_is_read(house: VerificationHouse) -> None:
    account, _ = await house.verified()
    old = await SealedField(HeldKeys([bytes(range(32))])).seal(
        account.member_id, CIVIL_NAME, b'{"family": "Dupont-Moreau", "given": "Anne"}'
    )
    await house.mongo.db["verifications"].update_one({"_id": account.member_id}, {"$set": {CIVIL_NAME: old}})
    assert await house.verifications.civil_name_of(account.member_id) == CivilName("Dupont-Moreau", "Anne")
    with pytest.raises(PseudonymTellsName):
        await house.verifications.rename(account.member_id, "Dr Moreau")


async def test_a_verified_member_takes_another_pseudonym_but_not_their_name(house: VerificationHouse) -> None:
    account, _ = await house.verified()
    visible = {Part.PLACE: Visibility.MEMBERS}
    await Profiles(house.mongo, house.accounts, Directory(house.mongo.db)).save(
        Profile(account.member_id, visibility=visible)
    )
    for wrong in ("Dr Dupont", "anne.moreau", "Dup0nt-Mor3au"):
        answer = await call(house, account, "PUT", "/me/pseudonym", pseudonym=wrong)
        assert (answer.status_code, problem(answer)) == (409, "pseudonym-tells-name"), wrong
    found = await house.accounts.by_id(account.member_id)
    assert found == account
    wanted = free()
    answer = await call(house, account, "PUT", "/me/pseudonym", pseudonym=f"  {wanted} ")
    assert (answer.status_code, answer.json()["pseudonym"]) == (200, wanted)
    assert [event.pseudonym for event in await house.told(account.member_id)][-2:] == [account.pseudonym, wanted]
    entry = await house.mongo.db["directory"].find_one({"_id": account.member_id})
    assert entry is not None
    assert entry["card"]["pseudonym"] == wanted
    other = await house.member()
    answer = await call(house, other, "PUT", "/me/pseudonym", pseudonym=wanted.upper())
    assert (answer.status_code, problem(answer)) == (409, "already-taken")
    for _ in range(2):
        answer = await call(house, account, "PUT", "/me/pseudonym", pseudonym=free())
        assert answer.status_code == 200
    answer = await call(house, account, "PUT", "/me/pseudonym", pseudonym=free())
    assert (answer.status_code, problem(answer)) == (429, "too-many-tries")
    await house.accounts.change(other.member_id, lambda one: one.suspend("insults"))
    answer = await call(house, other, "PUT", "/me/pseudonym", pseudonym=free())
    assert (answer.status_code, problem(answer)) == (403, "account-suspended")


async def test_a_proof_that_names_the_pseudonym_waits_for_another(review: Review) -> None:
    house = review.house
    applicant, reviewer = await called(house, "A. Dupont"), await review.reviewer()
    application_id = await review.applied(applicant)
    await review.seen(reviewer, application_id)
    for _ in range(2):
        answer = await review.act(reviewer, "PUT", f"/{application_id}/decision", **ACCEPTED)
        assert (answer.status_code, problem(answer)) == (409, "applicant-pseudonym")
    assert await house.status(applicant.member_id) is MemberStatus.UNVERIFIED
    assert await review.objects(application_id) == 2
    assert house.letters.sent == [(applicant.member_id, Letter.PSEUDONYM_TELLS_NAME, {})]
    await house.verifications.rename(applicant.member_id, free())
    answer = await review.act(reviewer, "PUT", f"/{application_id}/decision", **ACCEPTED)
    assert (answer.status_code, answer.json()["state"]) == (200, "accepted")
    assert await review.objects(application_id) == 0


async def test_who_waits_for_a_registry_is_told_by_letter(house: VerificationHouse) -> None:
    member, number = await called(house, "Beaulieu"), new_number()
    house.register.add(number, families=("DUPONT", "BEAULIEU"))
    await house.matching.keep(member, number, CivilName("Dupont", "Anne"))
    house.now += timedelta(minutes=6)
    assert await house.watch.try_kept() == 1
    assert house.letters.sent == [(member.member_id, Letter.PSEUDONYM_TELLS_NAME, {})]
    view = await house.kept.of(member.member_id)
    assert view is not None
    assert view.state is KeptState.REFUSED


@pytest.mark.parametrize(("shown_to", "shown"), [("members", "Anne Bernard"), ("contacts", None)])
async def test_a_profile_that_shows_the_name_shows_the_one_that_was_verified_last(
    house: VerificationHouse, shown_to: str, shown: str | None
) -> None:
    account, number = await house.verified()
    directory = Directory(house.mongo.db)
    visible = {Part.NAME: Visibility(shown_to), Part.PLACE: Visibility.MEMBERS}
    name = NAME.in_one_line if shown_to == "members" else None
    profile = Profile(account.member_id, visibility=visible, shown_name=name)
    await Profiles(house.mongo, house.accounts, directory).save(profile)
    house.register.add(number, families=("BERNARD",))
    await house.matching.verify(account, number, CivilName("Bernard", "Anne"))
    kept = await house.mongo.db["profiles"].find_one({"_id": account.member_id})
    entry = await house.mongo.db["directory"].find_one({"_id": account.member_id})
    assert kept is not None
    assert entry is not None
    assert (kept["shown_name"], entry["card"]["name"]) == (shown, shown)
    assert ("bernard" in entry["words"], "dupont" in entry["words"]) == (shown is not None, False)
