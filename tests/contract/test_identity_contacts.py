"""Contacts and blocks, over the real MongoDB: who asks, who agrees, and what the others cannot tell."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from deploy.local import Platform
from services.identity.domain.contacts import ASK_AGAIN_AFTER
from services.identity.store import contacts as contacts_store
from shared.events import Specialty
from tests.identity_people import Village, Villager, befriend, open_village, slug, town

pytestmark = pytest.mark.platform


@pytest.fixture
async def village(platform: Platform) -> AsyncIterator[Village]:
    async with open_village(platform) as made:
        yield made


async def standing(one: Villager, other: Villager) -> str | None:
    for name in ("contact", "asked", "received"):
        if other.id in [item["member_id"] for item in (await one.get("/me/contacts", standing=name))["items"]]:
            return name
    return None


async def test_contacts_are_asked_and_agreed(village: Village) -> None:
    one, other = await village.person(), await village.person()
    await one.do("PUT", f"/me/contacts/{other.id}")
    assert (await standing(one, other), await standing(other, one)) == ("asked", "received")
    answer = await other.call("PUT", f"/me/contacts/{one.id}")
    assert answer.json()["standing"] == "contact"
    assert answer.json()["badge"]["pseudonym"] == one.account.pseudonym
    assert (await standing(one, other), await standing(other, one)) == ("contact", "contact")
    await one.do("DELETE", f"/me/contacts/{other.id}")
    assert (await standing(one, other), await standing(other, one)) == (None, None)
    answer = await one.call("PUT", f"/me/contacts/{one.id}")
    assert (answer.status_code, slug(answer)) == (409, "not-yourself")


async def test_a_refusal_and_a_block_look_like_waiting(village: Village) -> None:
    asker, silent, refuser, blocker = [await village.person() for _ in range(4)]
    await blocker.do("PUT", f"/me/blocks/{asker.id}")
    answers = {}
    for other in (silent, refuser, blocker):
        answers[other.id] = [await asker.call("PUT", f"/me/contacts/{other.id}")]
    await refuser.do("DELETE", f"/me/contacts/{asker.id}")
    for other in (silent, refuser, blocker):
        answers[other.id] += [
            await asker.call("PUT", f"/me/contacts/{other.id}"),
            await asker.call("GET", f"/members/{other.id}"),
        ]
        assert await standing(asker, other) == "asked"
    statuses = {other: [answer.status_code for answer in found] for other, found in answers.items()}
    assert len({tuple(found) for found in statuses.values()}) == 1
    standings = {found[1].json()["standing"] for found in answers.values()}
    assert standings == {"asked"}
    assert await standing(silent, asker) == "received"
    assert await standing(refuser, asker) is None
    assert await standing(blocker, asker) is None


async def test_a_full_list_of_requests_tells_nobody_what_became_of_them(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused and blocked requests count as those that wait; taken back, each makes room, and can be made again."""
    monkeypatch.setattr(contacts_store, "MAX_OPEN_REQUESTS", 1)
    one_more = await village.person()

    async def heard(fate: str) -> list[object]:
        asker, other = await village.person(), await village.person()
        if fate == "blocked before":
            await other.do("PUT", f"/me/blocks/{asker.id}")
        path, found = f"/me/contacts/{other.id}", list[object]()

        async def asks(who: str) -> None:
            answer = await asker.call("PUT", f"/me/contacts/{who}")
            found.append((answer.status_code, answer.json().get("standing"), answer.json().get("limit")))

        await asks(other.id)
        (before,) = (await asker.get("/me/contacts", standing="asked"))["items"]
        if fate == "refused":
            await other.do("DELETE", f"/me/contacts/{asker.id}")
        if fate == "blocked":
            await other.do("PUT", f"/me/blocks/{asker.id}")
        await asks(other.id)
        await asks(one_more.id)
        (after,) = (await asker.get("/me/contacts", standing="asked"))["items"]
        found.append(after["since"] == before["since"])
        await asker.do("DELETE", path)
        found.append((await asker.get("/me/contacts", standing="asked"))["items"])
        await asks(one_more.id)
        await asks(other.id)
        await asker.do("DELETE", f"/me/contacts/{one_more.id}")
        await asks(other.id)
        found.append(len((await asker.get("/me/contacts", standing="asked"))["items"]))
        if fate != "waiting":
            assert await standing(other, asker) is None
        return found

    waiting = await heard("waiting")
    assert waiting == [
        (200, "asked", None), (200, "asked", None), (409, None, 1), True, [], (200, "asked", None), (409, None, 1),
        (200, "asked", None), 1,
    ]  # fmt: skip
    for fate in ("refused", "blocked", "blocked before"):
        assert await heard(fate) == waiting, fate


async def test_a_refused_request_reaches_the_other_again_after_a_while_without_a_sign(village: Village) -> None:
    asker, other = await village.person(), await village.person()
    await asker.do("PUT", f"/me/contacts/{other.id}")
    first = (await asker.get("/me/contacts", standing="asked"))["items"]
    await other.do("DELETE", f"/me/contacts/{asker.id}")
    refused = await village.contacts.between(asker.id, other.id)
    assert refused is not None
    long_ago = refused.at - ASK_AGAIN_AFTER - timedelta(days=1)
    await village.mongo.db["contacts"].update_one({"members": asker.id}, {"$set": {"at": long_ago}})
    assert await standing(other, asker) is None
    await asker.do("PUT", f"/me/contacts/{other.id}")
    assert await standing(other, asker) == "received"
    assert (await asker.get("/me/contacts", standing="asked"))["items"] == first


async def test_a_tie_from_before_it_said_since_when_it_waits_is_as_old_as_it_says(village: Village) -> None:
    asker, other, friend = [await village.person() for _ in range(3)]
    await asker.do("PUT", f"/me/contacts/{other.id}")
    await befriend(asker, friend)
    await village.mongo.db["contacts"].update_many({"members": asker.id}, {"$unset": {"asked_at": ""}})
    assert (await standing(asker, friend), await standing(other, asker)) == ("contact", "received"), "not prepared yet"
    for _ in range(2):
        await village.contacts.prepare()
    (waiting,) = (await asker.get("/me/contacts", standing="asked"))["items"]
    tie = await village.contacts.between(asker.id, other.id)
    assert tie is not None
    assert (waiting["member_id"], tie.asked_at) == (other.id, tie.at)
    await other.do("DELETE", f"/me/contacts/{asker.id}")
    await asker.do("DELETE", f"/me/contacts/{other.id}")
    await village.contacts.prepare()
    assert await standing(asker, other) is None, "what was taken back stays so"


async def test_a_block_hides_and_says_nothing(village: Village) -> None:
    owner, other, place = await village.person(), await village.person(), town()
    await owner.writes(skills=[{"code": "fertility"}], place={"town": place})
    await other.writes(place={"town": place})
    await befriend(owner, other)
    assert await other.finds(town=place, skill="fertility") == [owner.id]
    shy = await village.person()
    await owner.do("PUT", f"/me/blocks/{other.id}")
    await owner.do("PUT", f"/me/blocks/{other.id}")
    hidden, nothing = await other.get(f"/members/{owner.id}"), await other.get(f"/members/{shy.id}")
    own = ("member_id", "badge")
    assert {n: v for n, v in hidden.items() if n not in own} == {n: v for n, v in nothing.items() if n not in own}
    assert owner.id not in await other.finds(town=place)
    assert other.id not in await owner.finds(town=place)
    assert (await standing(other, owner), await standing(owner, other)) == (None, None)
    answer = await other.call("PUT", f"/members/{owner.id}/skills/fertility/confirmation")
    assert (answer.status_code, slug(answer)) == (404, "skill-not-shown")
    assert [one["member_id"] for one in (await owner.get("/me/blocks"))["items"]] == [other.id]
    answer = await owner.call("PUT", f"/me/contacts/{other.id}")
    assert (answer.status_code, slug(answer)) == (409, "unblock-first")
    await owner.do("DELETE", f"/me/blocks/{other.id}")
    assert (await owner.get("/me/blocks"))["items"] == []
    assert owner.id in await other.finds(town=place)


async def test_each_change_of_the_list_is_told_whole(village: Village) -> None:
    owner, one, other = [await village.person() for _ in range(3)]
    for method, who in (("PUT", one), ("PUT", one), ("PUT", other), ("DELETE", one), ("DELETE", one)):
        await owner.do(method, f"/me/blocks/{who.id}")
    told = await village.told_of_blocks(owner.id)
    assert [(event.version, event.blocked) for event in told] == [
        (1, (one.id,)),
        (2, (one.id, other.id)),
        (3, (other.id,)),
    ]
    answer = await owner.call("PUT", f"/me/blocks/{owner.id}")
    assert (answer.status_code, slug(answer)) == (409, "not-yourself")
    assert (await owner.call("PUT", "/me/blocks/nobody")).status_code == 404


async def test_blocks_at_the_same_moment_are_all_kept(village: Village) -> None:
    owner = await village.person()
    others = [await village.person() for _ in range(4)]
    await asyncio.gather(*(owner.do("PUT", f"/me/blocks/{other.id}") for other in others))
    told = await village.told_of_blocks(owner.id)
    assert [event.version for event in told] == [1, 2, 3, 4]
    assert set(told[-1].blocked) == {other.id for other in others}


async def test_suggestions_share_specialty_and_town(village: Village) -> None:
    place, elsewhere = town(), town()
    me = await village.person(specialty=Specialty.FORENSIC_MEDICINE)
    await me.writes(place={"town": place}, visibility={})
    near, far, known, unlike = [await village.person(specialty=Specialty.FORENSIC_MEDICINE) for _ in range(3)] + [
        await village.person(specialty=Specialty.UROLOGY)
    ]
    for member, where in ((near, place), (far, elsewhere), (known, place), (unlike, place)):
        await member.writes(place={"town": where})
    await me.do("PUT", f"/me/contacts/{known.id}")
    found = [card["member_id"] for card in (await me.get("/me/contacts/suggestions"))["items"]]
    assert found[0] == near.id
    assert not {known.id, unlike.id, me.id} & set(found)
