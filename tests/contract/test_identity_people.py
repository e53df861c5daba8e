"""Profiles, confirmations and the directory, over the real MongoDB."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from deploy.local import Platform
from services.identity.domain.account import Account
from services.identity.domain.directory import order_of
from services.identity.domain.profile import Confirmation
from services.identity.store import directory as directory_store
from services.identity.store.directory import Directory
from services.identity.store.profiles import Profiles
from shared.events import Profession, Specialty
from shared.mongo import Session
from tests.identity_people import NOW, Village, befriend, open_village, slug, town

pytestmark = pytest.mark.platform


@pytest.fixture
async def village(platform: Platform) -> AsyncIterator[Village]:
    async with open_village(platform) as made:
        yield made


# -- profiles ----------------------------------------------------------------------------------------------------


async def test_a_profile_comes_back_as_it_was_written(village: Village) -> None:
    owner = await village.person(specialty=Specialty.GYNAECOLOGY_OBSTETRICS)
    written = {
        "specialties": ["gynaecology_obstetrics"],
        "skills": [{"code": "fertility", "referrals": True}, {"code": "obstetrics", "referrals": False}],
        "languages": ["FR", "en-ca"],
        "place": {"town": "  Bordeaux ", "country": "FR"},
        "faculty": "Université de Bordeaux",
        "residency": "CHU de Nantes",
        "diplomas": [{"kind": "du", "title": "Assistance à la procréation", "year": 2014, "institution": None}],
        "posts": [{"title": "Praticienne hospitalière", "begins": "2015-11", "ends": None, "institution": "CHU"}],
        "reach": "Messagerie sécurisée, le mardi",
        "visibility": {"skills": "members", "place": "contacts"},
    }
    await owner.writes(**written)
    found = await owner.get("/me/profile")
    assert found["languages"] == ["fr", "en-CA"]
    assert found["place"]["town"] == "Bordeaux"
    assert [(s["code"], s["referrals"], s["confirmations"]) for s in found["skills"]] == [
        ("fertility", True, 0),
        ("obstetrics", False, 0),
    ]
    for name in ("specialties", "faculty", "residency", "diplomas", "posts", "reach"):
        assert found[name] == written[name]
    assert found["visibility"]["skills"] == "members"
    assert found["visibility"]["reach" if "reach" in found["visibility"] else "referrals"] == "nobody"


@pytest.mark.parametrize(
    ("wrong", "pointer", "code"),
    [
        ({"place": {"town": "12 rue Longue"}}, "#/place/town", "town_malformed"),
        ({"languages": ["xx"]}, "#/languages/0", "language_unknown"),
        ({"skills": [{"code": "alchemy"}]}, "#/skills/0/code", "skill_unknown"),
        ({"skills": [{"code": "fertility"}, {"code": "fertility"}]}, "#", "skill_twice"),
        ({"posts": [{"title": "x", "begins": "2019-05", "ends": "2019-04"}]}, "#/posts/0", "ends_before_it_begins"),
        ({"posts": [{"title": "x", "begins": "2019-13"}]}, "#/posts/0/begins", "string_pattern_mismatch"),
        ({"name": "Zoé"}, "#/name", "extra_forbidden"),
        ({"patient": "x"}, "#/patient", "extra_forbidden"),
    ],
)
@pytest.mark.parametrize("language", ["fr", "en"])
async def test_a_wrong_profile_points_at_the_field(
    village: Village, wrong: dict[str, object], pointer: str, code: str, language: str
) -> None:
    owner = await village.person()
    owner.headers["accept-language"] = language
    answer = await owner.call("PUT", "/me/profile", wrong)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)
    assert answer.headers["content-language"] == language


async def test_others_see_what_the_owner_shows_them(village: Village) -> None:
    owner, colleague, friend = [await village.person() for _ in range(3)]
    await befriend(owner, friend)
    await owner.writes(
        skills=[{"code": "fertility", "referrals": True}],
        place={"town": "Bordeaux"},
        faculty="Nantes",
        reach="0556…",
        visibility={"skills": "members", "place": "contacts", "referrals": "contacts"},
    )
    seen = await colleague.get(f"/members/{owner.id}")
    assert [skill["code"] for skill in seen["skills"]] == ["fertility"]
    assert seen["skills"][0]["referrals"] is None
    assert (seen["place"], seen["faculty"], seen["reach"]) == (None, None, None)
    assert seen["badge"]["pseudonym"] == owner.account.pseudonym
    assert (seen["badge"]["verified"], seen["badge"]["registry"]) == (True, "rpps")
    seen = await friend.get(f"/members/{owner.id}")
    assert seen["place"] == {"town": "Bordeaux", "country": None}
    assert (seen["skills"][0]["referrals"], seen["reach"], seen["faculty"]) == (True, "0556…", None)


async def test_the_civil_name_is_shown_only_where_its_owner_says_so_and_once_it_is_verified(village: Village) -> None:
    owner, colleague, friend = [await village.person() for _ in range(3)]
    await befriend(owner, friend)
    family = "Lœuvre" + uuid.uuid4().hex[:8].translate(str.maketrans("0123456789", "ghijklmnop"))
    await owner.writes(visibility={"name": "members"})
    assert (await colleague.get(f"/members/{owner.id}"))["name"] is None
    village.names[owner.id] = (family, "Zoé")
    await owner.get("/me/profile")
    assert (await colleague.get(f"/members/{owner.id}"))["name"] == f"Zoé {family}"
    assert await colleague.finds(q=f"zoe {family[:9].replace('œ', 'oe')}") == [owner.id]
    await owner.writes(visibility={"name": "contacts", "skills": "members"})
    assert (await colleague.get(f"/members/{owner.id}"))["name"] is None
    assert (await friend.get(f"/members/{owner.id}"))["name"] == f"Zoé {family}"
    assert await colleague.finds(q=family) == []
    kept = await village.mongo.db["directory"].find_one({"_id": owner.id})
    assert family not in str(kept)
    assert family not in str(await village.mongo.db["profiles"].find_one({"_id": owner.id}))


async def test_who_is_not_met_is_unknown(village: Village) -> None:
    me = await village.person()
    suspended, unverified = await village.person(), await village.person(verified=False)
    await suspended.suspended()
    for member_id in (suspended.id, unverified.id, "nobody"):
        for method, path in (
            ("GET", f"/members/{member_id}"),
            ("PUT", f"/me/contacts/{member_id}"),
            ("PUT", f"/members/{member_id}/skills/fertility/confirmation"),
        ):
            answer = await me.call(method, path)
            assert (answer.status_code, slug(answer)) == (404, "member-unknown"), path


# -- confirmations -----------------------------------------------------------------------------------------------


async def test_peers_confirm_skills_and_only_the_owner_learns_who(village: Village) -> None:
    owner, first, second = [await village.person() for _ in range(3)]
    await owner.writes(skills=[{"code": "fertility"}])
    path = f"/members/{owner.id}/skills/fertility/confirmation"
    for peer in (first, first, second):
        await peer.do("PUT", path)
    seen = await first.get(f"/members/{owner.id}")
    assert (seen["skills"][0]["confirmations"], seen["skills"][0]["confirmed_by_me"]) == (2, True)
    assert "confirmations" not in seen
    own = await owner.get("/me/profile")
    assert {one["by_id"] for one in own["confirmations"]} == {first.id, second.id}
    assert {one["pseudonym"] for one in own["confirmations"]} == {first.account.pseudonym, second.account.pseudonym}
    await first.do("DELETE", path)
    await first.do("DELETE", path)
    assert (await second.get(f"/members/{owner.id}"))["skills"][0]["confirmations"] == 1


async def test_neither_students_nor_the_owner_confirm(village: Village) -> None:
    owner, student = await village.person(), await village.person(Profession.STUDENT)
    await owner.writes(skills=[{"code": "fertility"}])
    for who in (owner, student):
        answer = await who.call("PUT", f"/members/{owner.id}/skills/fertility/confirmation")
        assert (answer.status_code, slug(answer)) == (403, "cannot-confirm")


async def test_a_skill_that_is_not_shown_cannot_be_confirmed(village: Village) -> None:
    owner, peer = await village.person(), await village.person()
    await owner.writes(skills=[{"code": "fertility"}], visibility={"skills": "contacts", "place": "members"})
    for skill in ("fertility", "obstetrics", "alchemy"):
        answer = await peer.call("PUT", f"/members/{owner.id}/skills/{skill}/confirmation")
        assert (answer.status_code, slug(answer)) == (404, "skill-not-shown")


async def test_a_skill_that_is_dropped_takes_its_confirmations_along(village: Village) -> None:
    owner, peer = await village.person(), await village.person()
    await owner.writes(skills=[{"code": "fertility"}, {"code": "obstetrics"}])
    for skill in ("fertility", "obstetrics"):
        await peer.do("PUT", f"/members/{owner.id}/skills/{skill}/confirmation")
    await owner.writes(skills=[{"code": "obstetrics"}])
    await owner.writes(skills=[{"code": "fertility"}, {"code": "obstetrics"}])
    seen = await peer.get(f"/members/{owner.id}")
    assert {skill["code"]: skill["confirmations"] for skill in seen["skills"]} == {"fertility": 0, "obstetrics": 1}


async def test_confirmations_at_the_same_moment_are_all_counted(village: Village) -> None:
    owner, place = await village.person(), town()
    await owner.writes(skills=[{"code": "fertility"}], place={"town": place})
    peers = [await village.person() for _ in range(5)]
    path = f"/members/{owner.id}/skills/fertility/confirmation"
    await asyncio.gather(*(peer.do("PUT", path) for peer in peers))
    (card,) = (await peers[0].get("/directory", town=place))["items"]
    assert card["skills"] == [{"code": "fertility", "confirmations": 5, "referrals": False}]


async def test_only_peers_who_are_met_count(village: Village) -> None:
    owner, peer, other = [await village.person() for _ in range(3)]
    place, profiles = town(), Profiles(village.mongo, village.accounts, Directory(village.mongo.db))
    await owner.writes(skills=[{"code": "fertility"}], place={"town": place})
    for one in (peer, other):
        await one.do("PUT", f"/members/{owner.id}/skills/fertility/confirmation")

    async def counted() -> tuple[int, int, int]:
        """On the profile, among those whom the owner sees, in the directory."""
        seen = await other.get(f"/members/{owner.id}")
        own = await owner.get("/me/profile")
        await profiles.recount()
        (card,) = (await other.get("/directory", town=place))["items"]
        return seen["skills"][0]["confirmations"], len(own["confirmations"]), card["skills"][0]["confirmations"]

    assert await counted() == (2, 2, 2)
    await peer.suspended()
    assert await counted() == (1, 1, 1)
    await village.accounts.change(peer.id, lambda account: account.reinstate())
    assert await counted() == (2, 2, 2)
    await peer.do("POST", "/me/deletion", {"contributions": "kept"})
    assert await counted() == (1, 1, 1)
    await peer.do("DELETE", "/me/deletion")
    assert await counted() == (2, 2, 2)
    assert await profiles.recount() == 0


async def test_an_entry_that_cannot_be_written_holds_up_no_other(
    village: Village, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    directory = Directory(village.mongo.db)
    profiles = Profiles(village.mongo, village.accounts, directory)
    owners, peer, place = [await village.person() for _ in range(3)], await village.person(), town()
    for owner in owners:
        await owner.writes(skills=[{"code": "fertility"}], place={"town": place})
        await peer.do("PUT", f"/members/{owner.id}/skills/fertility/confirmation")
    await peer.suspended()
    follow, broken = directory.follow, {owners[0].id}

    async def one_fails(account: Account, session: Session) -> None:
        if account.member_id in broken:
            raise ValueError("what an older service wrote")
        await follow(account, session)

    monkeypatch.setattr(directory, "follow", one_fails)

    async def counted() -> list[int]:
        cards = (await owners[1].get("/directory", town=place))["items"]
        found = {card["member_id"]: card["skills"][0]["confirmations"] for card in cards}
        return [found[owner.id] for owner in owners]

    assert await profiles.recount() == 2
    assert await counted() == [1, 0, 0]
    assert [record.__dict__["member_id"] for record in caplog.records if record.name == "identity"] == [owners[0].id]
    broken.clear()
    assert await profiles.recount() == 1
    assert await counted() == [0, 0, 0]


async def test_confirmations_from_before_they_could_idle_count_as_those_of_today(village: Village) -> None:
    profiles = Profiles(village.mongo, village.accounts, Directory(village.mongo.db))
    owner, suspended, met = [await village.person() for _ in range(3)]
    await owner.writes(skills=[{"code": "fertility"}])
    for peer in (suspended, met):
        await peer.do("PUT", f"/members/{owner.id}/skills/fertility/confirmation")
    await suspended.suspended()
    gone = {"_id": uuid.uuid4().hex, "owner": owner.id, "skill": "fertility", "by": uuid.uuid4().hex, "at": NOW}
    await village.mongo.db["confirmations"].insert_one(gone)
    await village.mongo.db["confirmations"].update_many({"owner": owner.id}, {"$unset": {"idle": ""}})
    await profiles.recount()
    await profiles.prepare()
    assert (await met.get(f"/members/{owner.id}"))["skills"][0]["confirmations"] == 1
    assert await profiles.recount() == 1
    await profiles.prepare()
    assert await profiles.recount() == 0


async def test_a_confirmation_and_a_suspension_at_the_same_moment_count_nothing(village: Village) -> None:
    owner, profiles = await village.person(), Profiles(village.mongo, village.accounts, Directory(village.mongo.db))
    await owner.writes(skills=[{"code": "fertility"}])
    for _ in range(8):
        peer = await village.person()
        given = Confirmation(owner.id, "fertility", peer.id, NOW)
        await asyncio.gather(profiles.confirm(given, lambda _: True), peer.suspended())
    assert (await owner.get("/me/profile"))["skills"][0]["confirmations"] == 0


# -- the directory -----------------------------------------------------------------------------------------------


async def test_the_directory_forgives_accents_and_finds_beginnings(village: Village) -> None:
    owner, me, place = await village.person(), await village.person(), town()
    await owner.writes(skills=[{"code": "fertility"}], place={"town": place.replace("Bourg", "Bôurg")})
    word = place.split()[1]
    for text in (f"fertilite {word[:5]}", f"Fertilité, bourg {word}", f"infertility {word[:3]} {word[:8]}"):
        assert owner.id in await me.finds(q=text), text
    assert owner.id not in await me.finds(q=f"cardiologie {word}")
    answer = await me.call("GET", "/directory", q="de la")
    assert (answer.status_code, slug(answer)) == (400, "nothing-asked")
    answer = await me.call("GET", "/directory", q=word, cursor="nonsense")
    assert (answer.status_code, slug(answer)) == (400, "cursor-invalid")


async def test_filters_narrow_and_referrals_are_asked_per_skill(village: Village) -> None:
    place, me = town(), await village.person()
    shown = dict.fromkeys(["skills", "place", "languages", "referrals"], "members")
    one, other = await village.person(specialty=Specialty.CARDIOLOGY), await village.person(Profession.MIDWIFE)
    await one.writes(
        skills=[{"code": "fertility", "referrals": True}, {"code": "stroke"}],
        languages=["br"], place={"town": place}, visibility=shown,
    )  # fmt: skip
    await other.writes(skills=[{"code": "fertility"}], place={"town": place}, visibility=shown)
    both = {one.id, other.id}
    assert set(await me.finds(town=place)) == set(await me.finds(town=place.upper(), skill="fertility")) == both
    for only_one in (
        {"accepts_referrals": True},
        {"accepts_referrals": True, "skill": "fertility"},
        {"language": "br"},
        {"specialty": "cardiology"},
        {"profession": "physician"},
        {"skill": "stroke"},
        {"q": "avc"},
    ):
        assert await me.finds(town=place, **only_one) == [one.id], only_one
    assert await me.finds(town=place, skill="stroke", accepts_referrals=True) == []


async def test_pages_follow_each_other_with_the_most_confirmed_first(village: Village) -> None:
    place, me = town(), await village.person()
    members = [await village.person() for _ in range(5)]
    for member in members:
        await member.writes(skills=[{"code": "fertility"}], place={"town": place})
    await me.do("PUT", f"/members/{members[3].id}/skills/fertility/confirmation")
    found, cursor = [], None
    while True:
        page = await me.get("/directory", town=place, limit=2, **({"cursor": cursor} if cursor else {}))
        found += [card["member_id"] for card in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["items"]) == 2
    assert sorted(found) == sorted(member.id for member in members)
    assert found[0] == members[3].id


async def test_a_page_that_may_look_no_further_leads_on(village: Village, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_store, "MOST_EXAMINED", 2)
    place, me = town(), await village.person()
    members = [await village.person() for _ in range(5)]
    for member in members:
        await member.writes(skills=[{"code": "fertility"}], place={"town": place})
    last = max(members, key=lambda member: order_of(member.id, 0))
    await last.writes(skills=[{"code": "fertility"}, {"code": "gout"}], place={"town": place})
    for _ in range(2):  # elsewhere, so that the skill is as common as a look can count, and the word leads
        await (await village.person()).writes(skills=[{"code": "gout"}], place={"town": town()})
    found, cursor, pages = [], None, 0
    word = place.split()[1]
    while pages == 0 or cursor is not None:
        page = await me.get("/directory", q=word, skill="gout", **({"cursor": cursor} if cursor else {}))
        found += [card["member_id"] for card in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert found == [last.id]
    assert pages == 3


async def test_the_directory_follows_the_account(village: Village) -> None:
    place, me, owner = town(), await village.person(), await village.person()
    await owner.writes(place={"town": place})
    assert await me.finds(town=place) == [owner.id]
    await owner.suspended()
    assert await me.finds(town=place) == []
    await village.accounts.change(owner.id, lambda account: account.reinstate())
    assert await me.finds(town=place) == [owner.id]


async def test_a_suspension_and_a_profile_at_the_same_moment_leave_nobody_listed(village: Village) -> None:
    place, me = town(), await village.person()
    for _ in range(5):
        owner = await village.person()
        await asyncio.gather(owner.writes(place={"town": place}), owner.suspended(), return_exceptions=True)
    assert await me.finds(town=place) == []


async def test_every_search_goes_by_the_index(village: Village) -> None:
    directory = Directory(village.mongo.db)
    await directory.prepare()
    plan = await village.mongo.db.command(
        "explain",
        {
            "find": "directory",
            "filter": {"terms": {"$in": ["k:fertility", "ferti"]}},
            "sort": {"order": 1},
            "limit": 20,
        },
    )
    assert "SORT_MERGE" in str(plan["queryPlanner"]["winningPlan"])
    assert "'stage': 'SORT'" not in str(plan["queryPlanner"]["winningPlan"])
