"""The pages behind the links in letters: forms without script, in both languages."""

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.identity_service import GOOD, Identity, Someone

ANOTHER = "a staple for the battery"


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path)


@pytest.fixture
async def client(identity: Identity) -> AsyncIterator[httpx.AsyncClient]:
    async with identity.client() as made:
        yield made


def fields(page: httpx.Response) -> dict[str, str]:
    """What the page's form would send, but for the password."""
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))


async def test_an_address_is_confirmed_on_a_page(identity: Identity, client: httpx.AsyncClient) -> None:
    await client.post("/registrations", json=GOOD)
    token = await identity.link_token()
    page = await client.get(f"/confirm-address?token={token}", headers={"accept-language": "fr"})
    assert page.status_code == 200
    assert '<html lang="fr">' in page.text
    assert identity.accounts.kept == {}, "to look is not to confirm: mail scanners open links"
    wrong = await client.post("/confirm-address", data={**fields(page), "password": "not what I chose"})
    assert wrong.status_code == 401
    assert "Ce n&#x27;est pas le mot de passe que vous avez choisi" in wrong.text
    done = await client.post("/confirm-address", data={**fields(wrong), "password": GOOD["password"]})
    assert done.status_code == 200
    assert "Vous pouvez maintenant vous connecter." in done.text, "in the page's language, whatever the browser says"
    assert len(identity.accounts.kept) == 1
    again = await client.post("/confirm-address", data={**fields(page), "password": GOOD["password"]})
    assert again.status_code == 410
    assert "a déjà servi" in again.text
    assert "<form" not in again.text, "nothing that could be typed would help"


@pytest.mark.parametrize("path", ["/confirm-address", "/reset-password"])
async def test_a_page_changes_its_language_and_says_at_once_that_a_link_is_not_whole(
    client: httpx.AsyncClient, path: str
) -> None:
    page = await client.get(path, params={"token": "t&1"}, headers={"accept-language": "fr"})
    (address,) = re.findall(r'<a href="([^"]+)" lang="en"', page.text)
    english = await client.get(path + html.unescape(address), headers={"accept-language": "fr"})
    assert '<html lang="en">' in english.text
    assert fields(english) == {"token": "t&amp;1", "language": "en"}
    cut = await client.get(path, headers={"accept-language": "fr"})
    assert cut.status_code == 410
    assert "<form" not in cut.text


async def test_a_form_that_is_none_of_ours_is_refused_in_words(client: httpx.AsyncClient) -> None:
    answer = await client.post("/confirm-address", data={f"field{number}": "x" for number in range(20)})
    assert answer.status_code == 410
    assert 'role="alert"' in answer.text


async def test_a_password_is_chosen_anew_on_a_page(identity: Identity, client: httpx.AsyncClient) -> None:
    await identity.member()
    someone = await Someone(identity, client).sign_in()
    await client.post("/password-resets", json={"email": someone.email})
    page = await client.get(f"/reset-password?token={await identity.link_token()}")
    weak = await client.post("/reset-password", data={**fields(page), "password": "short"})
    assert weak.status_code == 422
    assert "at least 12 characters" in weak.text
    done = await client.post("/reset-password", data={**fields(weak), "password": ANOTHER})
    assert done.status_code == 200
    assert (await someone.refresh()).status_code == 401
    assert (await someone.password(password=ANOTHER)).status_code == 200


@pytest.mark.parametrize("path", ["/confirm-address", "/reset-password"])
async def test_a_page_runs_nothing_loads_nothing_and_repeats_nothing_as_markup(
    client: httpx.AsyncClient, path: str
) -> None:
    page = await client.get(path, params={"token": '"><script>alert(1)</script>'})
    assert "<script" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    answer = await client.post(path, content=b"\xff&token=" + b"x" * 4000)
    assert answer.status_code == 410
    assert "<script" not in answer.text
    assert len(answer.text) < 4000
