"""Who left while suspended for what they did: a person looks at their number before it verifies anybody again."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from deploy.local import Platform
from services.identity.domain.account import REGISTRY_INACTIVE, Account
from services.identity.domain.letters import Letter
from services.identity.domain.verification import Number, ReviewFirst
from services.identity.store.contacts import Contacts
from services.identity.store.directory import Directory
from services.identity.store.leaving import Departures
from services.identity.store.profiles import Profiles
from services.identity.store.returns import NUMBERS, RETURNING
from shared.bus import Received
from shared.events import Contributions, MemberStatus
from tests.review_desk import ACCEPTED, Review, open_review, problem
from tests.verification_house import NAME, VerificationHouse, new_number

pytestmark = pytest.mark.platform
KEPT = timedelta(days=100)
_OWN = ("accounts", "verification_requests")
"""What an archive has of everybody, with ids and times of their own."""


@pytest.fixture
async def review(platform: Platform) -> AsyncIterator[Review]:
    async with open_review(platform) as made:
        for name in (NUMBERS, RETURNING):
            await made.house.mongo.db[name].delete_many({})
        yield made
        await made.house.mongo.db["former_members"].delete_many({})  # dated by another clock than other tests'


def departures(house: VerificationHouse) -> Departures:
    async def forget_files(_: str) -> None:
        """There are none."""

    directory = Directory(house.mongo.db)
    profiles = Profiles(house.mongo, house.accounts, directory)
    return Departures(
        house.mongo,
        house.accounts,
        profiles,
        Contacts(house.mongo),
        house.letters,
        grace=timedelta(0),
        forget_files=forget_files,
        return_review=KEPT,
        now=lambda: house.now,
    )


async def left(house: VerificationHouse, reason: str) -> tuple[Account, Number]:
    """Somebody who has left, suspended for that reason where there is one."""
    account, number = await house.verified()
    if reason:
        await house.accounts.change(account.member_id, lambda found: found.suspend(reason))
    await departures(house).ask(account.member_id, Contributions.KEPT)
    assert await departures(house).finish(account.member_id)
    house.letters.sent.clear()
    return account, number


async def asked(house: VerificationHouse, member: Account, number: Number, language: str = "en") -> httpx.Response:
    form = {"registry": "rpps", "number": number.value, "family_name": "Dupont", "given_name": "Anne"}
    async with house.client(member_id=member.member_id) as client:
        return await client.post("/verifications/registry", json=form, headers={"accept-language": language})


@pytest.mark.parametrize("language", ["fr", "en"])
async def test_a_number_of_somebody_who_left_suspended_goes_to_a_reviewer(review: Review, language: str) -> None:
    house = review.house
    gone, number = await left(house, "insults")
    member, reviewer = await house.member(), await review.reviewer()
    answer = await asked(house, member, number, language)
    assert (answer.status_code, problem(answer)) == (409, "number-in-use")
    assert ("justificatif" in answer.json()["detail"]) == (language == "fr")
    for told in ("suspen", "insults", gone.member_id):
        assert told not in answer.text, "the answer goes to whoever typed the number"
    assert await house.status(member.member_id) is MemberStatus.UNVERIFIED
    assert await house.verifications.of(member.member_id) is None

    application_id = await review.applied(member)
    shown = (await review.act(reviewer, "POST", f"/{application_id}/claim")).json()
    assert shown["returning"] is True
    await review.seen(reviewer, application_id)
    accepted = ACCEPTED | {"profession": "physician", "family_name": "Dupont-Moreau"}
    assert (await review.act(reviewer, "PUT", f"/{application_id}/decision", **accepted)).status_code == 200
    records, _ = await review.applications.trail_of(application_id)
    assert ["returning" in str(record["detail"]) for record in records if record["act"] == "accepted"] == [True]
    answer = await asked(house, member, number)
    assert (answer.status_code, answer.json()["method"]) == (200, "registry")


@pytest.mark.parametrize("language", ["fr", "en"])
async def test_whoever_types_a_number_cannot_tell_a_sanction_from_a_number_in_use(
    review: Review, language: str
) -> None:
    """Numbers are public: answer, letter, own data and what is written have to be the same for either."""
    house = review.house
    _, barred = await left(house, "insults")
    _, taken = await house.verified()
    heard, told, seen = [], [], []
    for number in (barred, taken):
        member = await house.member()
        answer = await asked(house, member, number, language)
        heard.append((answer.status_code, {n: v for n, v in answer.json().items() if n != "request_id"}))
        assert await house.mongo.db[RETURNING].count_documents({"_id": member.member_id}) == 1, (
            "as much work for either"
        )
        seen.append([found async for found in departures(house).held(member.member_id) if found[0] not in _OWN])
        told.append(await house.verifications.is_returning(member.member_id))
        waits = await house.member()
        await house.matching.keep(waits, number, NAME)
        house.now += timedelta(minutes=6)
        assert await house.watch.try_kept() == 1
        assert house.letters.sent.pop() == (waits.member_id, Letter.PROOF_WANTED, {})
    assert heard[0] == heard[1]
    assert seen[0] == seen[1]
    assert RETURNING not in dict(seen[0])
    assert told == [True, False], "only a reviewer can tell"
    assert ("administrateurs" in heard[0][1]["detail"]) == (language == "fr")


async def test_a_number_in_use_hides_no_number_that_wants_a_look(review: Review) -> None:
    house = review.house
    _, barred = await left(house, "insults")
    _, taken = await house.verified()
    member = await house.member()
    for number in (taken, barred, taken):
        await asked(house, member, number)
    assert await house.verifications.is_returning(member.member_id)


async def test_nothing_is_kept_but_a_place_and_a_date(review: Review) -> None:
    house = review.house
    gone, number = await left(house, "insults")
    (kept,) = await house.mongo.db[NUMBERS].find({}).to_list(None)
    assert kept == {"_id": await house.verifications.place_of(number), "forget_at": house.now + KEPT}
    assert number.value not in str(kept)
    index = await house.mongo.db[NUMBERS].index_information()
    assert index["forget"]["expireAfterSeconds"] == 0
    assert gone.member_id not in str(kept)


@pytest.mark.parametrize("reason", ["", REGISTRY_INACTIVE])
async def test_who_left_otherwise_comes_back_by_number(review: Review, reason: str) -> None:
    house = review.house
    _, number = await left(house, reason)
    member = await house.member()
    assert (await asked(house, member, number)).status_code == 200
    application_id = await review.applied(other := await house.member())
    shown = (await review.act(await review.reviewer(), "POST", f"/{application_id}/claim")).json()
    assert shown["returning"] is False, other


async def test_leaving_again_does_not_shorten_it_and_takes_the_members_part_along(review: Review) -> None:
    house = review.house
    _, number = await left(house, "insults")
    member = await house.member()
    with pytest.raises(ReviewFirst):
        await house.matching.verify(member, number, NAME)
    await departures(house).ask(member.member_id, Contributions.KEPT)
    assert await departures(house).finish(member.member_id)
    assert await house.mongo.db[RETURNING].find_one({"_id": member.member_id}) is None
    with pytest.raises(ReviewFirst):
        await house.matching.verify(await house.member(), number, NAME)


async def test_who_asked_while_the_registry_was_away_is_written_to(review: Review) -> None:
    house = review.house
    _, number = await left(house, "insults")
    member = await house.member()
    await house.matching.keep(member, number, NAME)
    house.now += timedelta(minutes=6)
    assert await house.watch.try_kept() == 1
    assert house.letters.sent == [(member.member_id, Letter.PROOF_WANTED, {})]


async def test_a_backup_loses_nothing_of_it(review: Review) -> None:
    """Who is erased again after a restore was suspended then too."""
    house = review.house
    account, number = await house.verified()
    await house.accounts.change(account.member_id, lambda found: found.suspend("insults"))
    found = await house.accounts.by_id(account.member_id)
    assert found is not None
    event = found.changed().model_copy(
        update={"status": MemberStatus.LEFT, "version": 9, "contributions": Contributions.KEPT}
    )
    await departures(house).erase_again([Received(event, account.member_id, "ledger:1", event.topic, 0, 0)])
    with pytest.raises(ReviewFirst):
        await house.matching.verify(await house.member(), number, NAME)


async def test_a_new_number_is_none_of_it(review: Review) -> None:
    await left(review.house, "insults")
    account, _ = await review.house.verified(new_number())
    assert account.status is MemberStatus.VERIFIED
