"""How members are verified and looked after, on the real database; registries are stand-ins in this process."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from services.identity.domain.account import REGISTRY_INACTIVE, MoveRefused
from services.identity.domain.letters import Letter
from services.identity.domain.verification import (
    AnotherPerson,
    CivilName,
    Method,
    NotMatched,
    Number,
    NumberTaken,
    Verification,
)
from services.identity.registries import RegistryAway
from services.identity.store.kept_requests import COLLECTION as REQUESTS
from services.identity.store.kept_requests import KeptState
from services.identity.store.number_index import NumberIndex
from services.identity.store.turns import SharedPace
from services.identity.store.verifications import COLLECTION, SEALED_FIELDS
from shared.events import MemberStatus, Profession, Specialty
from shared.keyring import HeldKeys
from shared.sealed import SealedField
from tests.verification_house import NAME, START, VerificationHouse, new_number
from tests.waiting import until

pytestmark = pytest.mark.platform


async def test_a_match_verifies_and_tells_neither_number_nor_name(house: VerificationHouse) -> None:
    account, number = await house.verified()
    assert (account.status, account.registry, account.checked_at) == (MemberStatus.VERIFIED, "rpps", START)
    assert account.country == "FR"
    told = (await house.told(account.member_id))[-1]
    assert (told.status, told.registry, told.checked_at) == (MemberStatus.VERIFIED, "rpps", START)
    everything = str([document async for document in house.mongo.db[COLLECTION].find({})])
    everything += "".join(event.to_json().decode() for event in await house.told(account.member_id))
    for secret in (number.value, "Dupont", "DUPONT", "Anne"):
        assert secret not in everything
    kept = await house.verifications.of(account.member_id)
    assert kept is not None
    assert (kept.method, kept.skills, kept.valid_until) == (Method.REGISTRY, ("SM54",), None)
    assert await house.verifications.civil_name_of(account.member_id) == NAME
    assert await house.verifications.civil_name(account.member_id) == "Anne Dupont-Moreau"
    assert await house.verifications.number_of(account.member_id) == number
    assert await house.verifications.member_with(number) == account.member_id


async def test_the_registrys_specialty_fills_a_gap_and_replaces_nothing(house: VerificationHouse) -> None:
    account, number = await house.verified()  # with the code SM54
    assert account.specialty is Specialty.GENERAL_PRACTICE
    await house.accounts.change(account.member_id, lambda found: replace(found, specialty=Specialty.WOUND_CARE))
    again = await house.matching.verify(account, number, NAME)
    assert again.specialty is Specialty.WOUND_CARE


async def test_sealed_fields_have_the_names_under_which_keys_are_wrapped_again(house: VerificationHouse) -> None:
    account, _ = await house.verified()
    found = await house.mongo.db[COLLECTION].find_one({"_id": account.member_id})
    assert found is not None
    assert {name for name, value in found.items() if isinstance(value, dict)} == set(SEALED_FIELDS)


async def test_a_mismatch_changes_and_tells_nothing(house: VerificationHouse) -> None:
    member, number = await house.member(), new_number()
    house.register.add(number, families=("ANOTHER",))
    with pytest.raises(NotMatched):
        await house.matching.verify(member, number, NAME)
    assert await house.status(member.member_id) is MemberStatus.UNVERIFIED
    assert len(await house.told(member.member_id)) == 1
    assert await house.verifications.of(member.member_id) is None


async def test_a_number_verifies_one_account(house: VerificationHouse) -> None:
    _, number = await house.verified()
    second = await house.member()
    with pytest.raises(NumberTaken):
        await house.matching.verify(second, number, NAME)
    assert await house.status(second.member_id) is MemberStatus.UNVERIFIED


async def test_of_many_accounts_with_one_number_at_once_one_is_verified(house: VerificationHouse) -> None:
    number = new_number()
    house.register.add(number)
    members = [await house.member() for _ in range(6)]
    results = await asyncio.gather(
        *(house.matching.verify(member, number, NAME) for member in members), return_exceptions=True
    )
    assert [type(result) for result in results].count(NumberTaken) == 5
    assert [await house.status(member.member_id) for member in members].count(MemberStatus.VERIFIED) == 1


async def test_the_number_of_somebody_who_left_is_free(house: VerificationHouse) -> None:
    first, number = await house.verified()
    await house.mongo.db["accounts"].update_one({"_id": first.member_id}, {"$set": {"status": "left"}})
    second, _ = await house.verified(number)
    assert await house.verifications.member_with(number) == second.member_id
    await house.verifications.forget(second.member_id)
    assert await house.verifications.of(second.member_id) is None
    third, _ = await house.verified(number)
    assert third.status is MemberStatus.VERIFIED


async def test_who_was_verified_as_one_person_never_becomes_another(house: VerificationHouse) -> None:
    """Registers are public: nobody may put a colleague's name under what they wrote."""
    account, first = await house.verified()
    second = new_number()
    house.register.add(second, families=("BERNARD",), givens=("LUC",))
    with pytest.raises(AnotherPerson):
        await house.matching.verify(account, second, CivilName("Bernard", "Luc"))
    house.register.add(second)  # of the same name even: a number is for life
    with pytest.raises(AnotherPerson):
        await house.matching.verify(account, second, NAME)
    assert await house.verifications.member_with(first) == account.member_id
    assert await house.verifications.civil_name_of(account.member_id) == NAME
    house.register.add(first, families=("BERNARD",))  # who has married has the same number
    again = await house.matching.verify(account, first, CivilName("Bernard", "Anne"))
    assert again.version == account.version + 1


async def test_a_number_may_follow_a_proof_of_the_same_name_only(house: VerificationHouse) -> None:
    member, number = await house.member(), new_number()
    proved = Verification(member.member_id, Method.DOCUMENTS, START, START)
    await house.verifications.confirm(proved, lambda account: account.confirm(START, None), name=NAME)
    house.register.add(number, families=("BERNARD",), givens=("LUC",))
    with pytest.raises(AnotherPerson):
        await house.matching.verify(member, number, CivilName("Bernard", "Luc"))
    house.register.add(number)
    await house.matching.verify(member, number, NAME)
    assert await house.verifications.member_with(number) == member.member_id


@pytest.mark.parametrize("ended", [False, True])
async def test_proofs_free_no_number(house: VerificationHouse, ended: bool) -> None:
    """Else one person would have two accounts, and a registry that strikes them off would not be heard."""
    account, number = await house.verified()
    before = await house.mongo.db[COLLECTION].find_one({"_id": account.member_id})
    assert before is not None
    if ended:
        await house.mongo.db[COLLECTION].update_one({"_id": account.member_id}, {"$set": {"ended_on": "2026-10-31"}})
    proved = Verification(account.member_id, Method.DOCUMENTS, START, START)
    await house.verifications.confirm(proved, lambda found: found.confirm(START, None), name=NAME)
    assert await house.verifications.number_of(account.member_id) == number
    with pytest.raises(NumberTaken):
        await house.matching.verify(await house.member(), number, NAME)
    kept = await house.verifications.of(account.member_id)
    assert kept is not None
    assert kept.next_check_at == (None if ended else before["next_check_at"])


async def test_who_is_suspended_is_not_verified_by_a_number(house: VerificationHouse) -> None:
    account, number = await house.verified()
    await house.accounts.change(account.member_id, lambda found: found.suspend("insults"))
    with pytest.raises(MoveRefused):
        await house.matching.verify(account, number, NAME)


async def test_the_key_of_the_index_is_made_once_for_all_processes(house: VerificationHouse) -> None:
    sealed = SealedField(HeldKeys([bytes(range(32))]))
    indexes = [NumberIndex(house.mongo.db, sealed) for _ in range(8)]
    number = new_number()
    assert len(set(await asyncio.gather(*(index.place_of(number) for index in indexes)))) == 1
    assert await indexes[0].place_of(number) != await indexes[0].place_of(Number("npi", number.value))


async def test_a_request_waits_while_the_registry_is_away(house: VerificationHouse) -> None:
    member, number = await house.member(), new_number()
    house.register.broken = RegistryAway("test")
    with pytest.raises(RegistryAway):
        await house.matching.verify(member, number, NAME)
    await house.matching.keep(member, number, NAME)
    assert number.value not in str(await house.mongo.db[REQUESTS].find_one({"_id": member.member_id}))
    assert await house.watch.try_kept() == 0  # not due yet
    assert len(house.register.asked) == 1
    house.now += timedelta(minutes=6)
    assert await house.watch.try_kept() == 0
    assert len(house.register.asked) == 2
    house.register.broken = None
    house.register.add(number)
    house.now += timedelta(minutes=11)
    assert await house.watch.try_kept() == 1
    assert await house.status(member.member_id) is MemberStatus.VERIFIED
    assert await house.kept.of(member.member_id) is None
    assert house.letters.sent == [(member.member_id, Letter.ACCOUNT_VERIFIED, {})]


async def test_a_kept_request_that_does_not_match_is_shown_refused_without_its_secrets(
    house: VerificationHouse,
) -> None:
    member, number = await house.member(), new_number()
    await house.matching.keep(member, number, NAME)
    house.now += timedelta(minutes=6)
    assert await house.watch.try_kept() == 1
    view = await house.kept.of(member.member_id)
    assert view is not None
    assert (view.state, view.registry) == (KeptState.REFUSED, "rpps")
    found = await house.mongo.db[REQUESTS].find_one({"_id": member.member_id})
    assert found is not None
    assert "asked" not in found
    assert house.letters.sent == [(member.member_id, Letter.MATCH_REFUSED, {})]
    assert await house.watch.try_kept() == 0


async def test_two_workers_do_not_ask_twice(house: VerificationHouse) -> None:
    account, _ = await house.verified()
    house.now += timedelta(days=40)
    house.register.asked.clear()
    goes_on = house.register.pause = asyncio.Event()
    first = asyncio.create_task(house.watcher().check_due())
    await until(lambda: len(house.register.asked) == 1)
    assert (await house.watcher().check_due()).counts == {}
    assert (await house.watcher().check_due(account.member_id)).counts == {}
    goes_on.set()
    assert (await first).counts == {"active": 1}
    assert len(house.register.asked) == 1
    assert len(await house.told(account.member_id)) == 3


async def test_who_lost_the_lease_writes_nothing(house: VerificationHouse) -> None:
    account, number = await house.verified()
    house.now += timedelta(days=40)
    goes_on = house.register.pause = asyncio.Event()
    slow = asyncio.create_task(house.watcher().check_due())
    await until(lambda: house.register.pause is None)
    house.now += timedelta(minutes=3)  # the slow one has stood still for longer than its lease
    assert (await house.watcher().check_due()).counts == {"active": 1}
    house.register.add(number, active=False)
    goes_on.set()
    assert (await slow).counts == {"lost": 1}
    assert await house.status(account.member_id) is MemberStatus.VERIFIED


async def test_a_check_notes_its_day_and_comes_again_in_a_month(house: VerificationHouse) -> None:
    account, _ = await house.verified()
    assert (await house.watch.check_due()).counts == {}
    house.now += timedelta(days=34)
    assert (await house.watch.check_due()).counts == {"active": 1}
    checked = await house.accounts.by_id(account.member_id)
    assert checked is not None
    assert (checked.checked_at, checked.verified_at) == (house.now, START)
    assert (await house.watch.check_due()).counts == {}


async def test_who_became_inactive_is_suspended_and_comes_back_by_the_registry_alone(house: VerificationHouse) -> None:
    account, number = await house.verified()
    house.register.add(number, active=False, families=(), givens=(), professions=frozenset())
    house.now += timedelta(days=34)
    assert (await house.watch.check_due()).counts == {"inactive": 1}
    suspended = await house.accounts.by_id(account.member_id)
    assert suspended is not None
    assert (suspended.status, suspended.suspended_for) == (MemberStatus.SUSPENDED, REGISTRY_INACTIVE)
    assert (await house.told(account.member_id))[-1].status is MemberStatus.SUSPENDED
    ((to, letter, facts),) = house.letters.sent
    assert (to, letter) == (account.member_id, Letter.ACCOUNT_SUSPENDED)
    assert facts["reason"].startswith("Le répertoire")
    house.register.add(number)
    house.now += timedelta(days=2)
    assert (await house.watch.check_due()).counts == {"active": 1}
    assert await house.status(account.member_id) is MemberStatus.VERIFIED


async def test_a_suspension_by_people_outlives_the_registry(house: VerificationHouse) -> None:
    account, _ = await house.verified()
    await house.accounts.change(account.member_id, lambda found: found.suspend("insults"))
    house.now += timedelta(days=34)
    assert (await house.watch.check_due()).counts == {"active": 1}
    assert await house.status(account.member_id) is MemberStatus.SUSPENDED


@pytest.mark.parametrize("broken", [RegistryAway("test"), ValueError("nonsense")])
async def test_a_registry_that_is_away_or_broken_suspends_nobody(house: VerificationHouse, broken: Exception) -> None:
    account, _ = await house.verified()
    house.now += timedelta(days=34)
    house.register.broken = broken
    for _ in range(4):
        assert (await house.watch.check_due()).counts == {"away": 1}
        assert (await house.watch.check_due()).counts == {}  # put off
        house.now += timedelta(hours=7)
    assert await house.status(account.member_id) is MemberStatus.VERIFIED
    house.register.broken = None
    assert (await house.watch.check_due()).counts == {"active": 1}


async def test_a_number_that_vanished_is_noted_and_suspends_nobody(house: VerificationHouse) -> None:
    account, number = await house.verified()
    del house.register.people[number.value]
    first = house.now = START + timedelta(days=34)
    assert (await house.watch.check_due()).counts == {"missing": 1}
    house.now += timedelta(days=4)
    assert (await house.watch.check_due()).counts == {"missing": 1}
    assert await house.status(account.member_id) is MemberStatus.VERIFIED
    kept = await house.verifications.of(account.member_id)
    assert kept is not None
    assert kept.missing_since == first
    house.register.lists_active_only = True
    house.now += timedelta(days=4)
    assert (await house.watch.check_due()).counts == {"inactive": 1}
    assert await house.status(account.member_id) is MemberStatus.SUSPENDED


async def test_one_member_may_be_checked_out_of_turn(house: VerificationHouse) -> None:
    account, number = await house.verified()
    await house.verified()
    house.register.asked.clear()
    assert (await house.watch.check_due(account.member_id)).counts == {"active": 1}
    assert house.register.asked == [number.value]


async def test_changes_that_the_registry_tells_make_a_member_due_at_once(house: VerificationHouse) -> None:
    account, number = await house.verified()
    house.register.inactive = [new_number(), number]
    house.register.add(number, active=False)
    assert await house.watch.follow_changes() == 0  # the first look only sets the mark
    assert await house.watch.follow_changes() == 1
    assert await house.watch.follow_changes() == 0  # not before a quarter of an hour
    assert house.register.since == [START - timedelta(minutes=10)]
    assert (await house.watch.check_due()).counts == {"inactive": 1}
    assert await house.status(account.member_id) is MemberStatus.SUSPENDED


async def test_changes_missed_while_the_registry_was_away_are_asked_for_again(house: VerificationHouse) -> None:
    await house.watch.follow_changes()
    house.register.broken = RegistryAway("test")
    house.now += timedelta(hours=1)
    await house.watch.follow_changes()
    house.register.broken = None
    house.now += timedelta(hours=1)
    await house.watch.follow_changes()
    house.now += timedelta(hours=1)
    await house.watch.follow_changes()
    asked = [START, START, START + timedelta(hours=2)]
    assert house.register.since == [each - timedelta(minutes=10) for each in asked]
    house.now += timedelta(days=60)
    await house.watch.follow_changes()
    assert house.register.since[-1] == house.now - timedelta(days=29)


async def test_a_student_is_asked_for_a_new_proof_and_then_unverified(house: VerificationHouse) -> None:
    member, number = await house.member(Profession.STUDENT), new_number()
    house.register.add(number, professions=frozenset({Profession.STUDENT}))
    account = await house.matching.verify(member, number, NAME)
    kept = await house.verifications.of(account.member_id)
    assert kept is not None
    assert kept.valid_until == date(2026, 10, 31)
    assert await house.watch.end_proofs() == 0
    assert house.letters.sent == []
    for day, letters in (
        (date(2026, 10, 2), 1),
        (date(2026, 10, 3), 1),
        (date(2026, 10, 25), 2),
        (date(2026, 10, 31), 2),
    ):
        house.now = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
        assert await house.watch.end_proofs() == 0
        assert len(house.letters.sent) == letters
    assert house.letters.sent[0] == (account.member_id, Letter.PROOF_ENDING, {"ends_on": "2026-10-31"})
    house.now = datetime(2026, 11, 1, 6, tzinfo=UTC)
    assert await house.watch.end_proofs() == 1
    assert await house.watch.end_proofs() == 0
    assert house.letters.sent[-1][1] is Letter.PROOF_ENDED
    assert await house.status(account.member_id) is MemberStatus.UNVERIFIED
    assert (await house.told(account.member_id))[-1].status is MemberStatus.UNVERIFIED


async def test_a_proof_renewed_in_time_does_not_end(house: VerificationHouse) -> None:
    member, number = await house.member(Profession.STUDENT), new_number()
    house.register.add(number, professions=frozenset({Profession.STUDENT}))
    account = await house.matching.verify(member, number, NAME)
    house.now = datetime(2026, 10, 20, 6, tzinfo=UTC)
    await house.matching.verify(account, number, NAME)
    house.now = datetime(2026, 11, 1, 6, tzinfo=UTC)
    assert await house.watch.end_proofs() == 0
    assert await house.verifications.end(account.member_id, date(2026, 10, 31)) is None
    assert await house.status(account.member_id) is MemberStatus.VERIFIED


async def test_replicas_share_one_limit(house: VerificationHouse) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    # A slow pace, so that what this machine takes for the calls themselves does not count.
    paces = [SharedPace(house.mongo.db, "test", 0.01, sleep=sleep) for _ in range(3)]
    await asyncio.gather(*(pace.take() for pace in paces for _ in range(4)))
    assert len(waits) == 11  # the first goes at once
    assert sorted(round(wait / 101) for wait in waits) == list(range(1, 12))
