"""Civil names, once a verification finds them: who is shown them, and that no pseudonym tells them."""

import pytest

from services.identity.domain.profile import Part, Profile, Visibility
from services.identity.domain.verification import CivilName
from services.identity.store.directory import Directory
from services.identity.store.profiles import Profiles
from tests.verification_house import NAME, VerificationHouse

pytestmark = pytest.mark.platform


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
