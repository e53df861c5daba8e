"""Verification by Pro Santé Connect over HTTP, against a provider of our own."""

import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.identity.domain.verification import Method, Number
from services.identity.registries.pro_sante_connect import ProSanteConnect
from services.identity.routes.verifications_psc import psc_routes
from services.identity.store.psc_logins import LOGIN_S, PscLogins
from services.identity.store.returns import NUMBERS
from shared.errors import WrongSetting
from shared.events import MemberStatus, Profession
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, REALM, Claims, OidcProvider, professional
from tests.served import served
from tests.verification_house import VerificationHouse

pytestmark = pytest.mark.platform

CALLBACK = "http://test/verifications/psc/callback"


def problem(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return str(answer.json()["type"].rpartition(":")[2])


@pytest.fixture(scope="module")
def provider_at() -> Iterator[OidcProvider]:
    made = OidcProvider()
    with served(made.app) as address:
        made.issuer = f"{address}{REALM}"
        yield made


class Psc:
    """A member's browser before our routes and the provider."""

    def __init__(self, house: VerificationHouse, provider: OidcProvider) -> None:
        self.house = house
        self.provider = provider
        self.ticks = 0.0
        self.identities: Any = "national"
        self.levels = "eidas1"
        self.done_url = ""

    def client(self, member_id: str = "") -> httpx.AsyncClient:
        connect = ProSanteConnect(
            self.provider.issuer,
            CLIENT_ID,
            CLIENT_SECRET,
            CALLBACK,
            acr_values=self.levels,
            identities=self.identities,
            clock=lambda: self.ticks,
        )
        router = psc_routes(
            self.house.desk,
            connect,
            PscLogins(self.house.mongo.db),
            self.house.guard,
            redirect_url=CALLBACK,
            done_url=self.done_url,
            now=lambda: self.house.now,
        )
        return self.house.client(router, member_id=member_id)

    async def begin(self, browser: httpx.AsyncClient) -> str:
        """Start, sign in over there, and give the address to which the browser is sent back."""
        started = await browser.get("/verifications/psc/start")
        assert started.status_code == 200, started.text
        async with httpx.AsyncClient(trust_env=False) as there:
            sent = await there.get(started.json()["address"])
        assert sent.status_code == 302, sent.text
        return sent.headers["location"]

    async def through(self, member_id: str) -> httpx.Response:
        async with self.client(member_id) as browser:
            back = await self.begin(browser)
            del browser.headers["authorization"]  # a browser that is sent back brings its cookie only
            return await browser.get(back)


@pytest.fixture
def psc(house: VerificationHouse, provider_at: OidcProvider) -> Psc:
    provider_at.person = professional()
    provider_at.tamper = lambda claims: None
    provider_at.sign = provider_at.signed
    provider_at.down = False
    provider_at.asked.clear()
    return Psc(house, provider_at)


async def test_a_professional_is_verified_by_pro_sante_connect(psc: Psc, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    member = await psc.house.member()
    answer = await psc.through(member.member_id)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["method"]) == ("verified", "pro_sante_connect")
    asked = psc.provider.asked[0]
    assert asked["scope"] == "openid scope_all"
    assert asked["acr_values"] == "eidas1"
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == CALLBACK
    verifications = psc.house.verifications
    assert await verifications.number_of(member.member_id) == Number("rpps", "99900000003")
    assert await verifications.civil_name(member.member_id) == "Anne Dupont"
    kept = await verifications.of(member.member_id)
    assert kept is not None
    assert kept.method is Method.PRO_SANTE_CONNECT
    assert kept.next_check_at is not None  # the registry is asked again, as for everybody
    said = caplog.text + str([record.__dict__ for record in caplog.records]) + answer.text
    assert "Dupont" not in said
    assert "99900000003" not in said


async def test_the_number_is_the_same_as_the_registrys(psc: Psc) -> None:
    number = Number("rpps", "99900000003")
    await psc.house.verified(number)
    answer = await psc.through((await psc.house.member()).member_id)
    assert (answer.status_code, problem(answer)) == (409, "number-in-use")


async def test_who_proves_to_be_the_holder_is_told_that_a_person_looks_first(psc: Psc) -> None:
    numbers, place = psc.house.mongo.db[NUMBERS], await psc.house.verifications.place_of(Number("rpps", "99900000003"))
    await numbers.insert_one({"_id": place, "forget_at": datetime.now(UTC) + timedelta(days=1)})
    member = await psc.house.member()
    answer = await psc.through(member.member_id)
    await numbers.delete_one({"_id": place})
    assert (answer.status_code, problem(answer)) == (409, "review-first")
    assert await psc.house.verifications.is_returning(member.member_id)


async def test_a_card_does_not_verify_a_pseudonym_that_tells_its_name(psc: Psc) -> None:
    member = await psc.house.member()
    await psc.house.accounts.change(
        member.member_id, lambda found: found.rename(f"{psc.provider.person['family_name']}7")
    )
    answer = await psc.through(member.member_id)
    assert (answer.status_code, problem(answer)) == (409, "pseudonym-tells-name")
    assert await psc.house.verifications.of(member.member_id) is None
    await psc.house.verifications.rename(member.member_id, "Aubépine de Mars")
    assert (await psc.through(member.member_id)).status_code == 200


async def test_the_profession_is_what_pro_sante_connect_says(psc: Psc) -> None:
    psc.provider.person = professional(profession="60")
    member = await psc.house.member(Profession.PHYSICIAN)
    assert (await psc.through(member.member_id)).status_code == 200
    found = await psc.house.accounts.by_id(member.member_id)
    assert found is not None
    assert found.profession is Profession.NURSE


async def test_a_student_by_category_is_a_student_until_october(psc: Psc) -> None:
    psc.provider.person = professional(category="E")
    member = await psc.house.member()
    answer = await psc.through(member.member_id)
    assert answer.json()["valid_until"] == "2026-10-31"
    found = await psc.house.accounts.by_id(member.member_id)
    assert found is not None
    assert found.profession is Profession.STUDENT


@pytest.mark.parametrize("reference", [None, {}, {"exercices": []}, {"exercices": [{"codeProfession": "26"}]}, "10"])
async def test_who_has_no_profession_of_ours_is_no_professional(psc: Psc, reference: Any) -> None:
    psc.provider.person = {**professional(), "SubjectRefPro": reference}
    if reference is None:
        del psc.provider.person["SubjectRefPro"]
    member = await psc.house.member()
    answer = await psc.through(member.member_id)
    assert (answer.status_code, problem(answer)) == (403, "not-a-professional")
    assert await psc.house.status(member.member_id) is MemberStatus.UNVERIFIED


async def test_identities_of_the_sandbox_pass_only_where_the_sandbox_is_asked(psc: Psc) -> None:
    psc.provider.person = professional("ANS20231122132732")
    member = await psc.house.member()
    assert problem(await psc.through(member.member_id)) == "psc-login-failed"
    psc.identities = "sandbox"
    assert (await psc.through(member.member_id)).status_code == 200
    assert await psc.house.verifications.number_of(member.member_id) == Number("psc-sandbox", "ANS20231122132732")
    kept = await psc.house.verifications.of(member.member_id)
    assert kept is not None
    assert kept.next_check_at is None  # no registry knows it
    psc.provider.person = professional()
    assert problem(await psc.through((await psc.house.member()).member_id)) == "psc-login-failed"


def late(claims: Claims) -> None:
    claims["iat"] -= 1000
    claims["exp"] = int(time.time()) - 60


@pytest.mark.parametrize(
    "tamper",
    [
        lambda claims: claims.update(nonce="another"),
        lambda claims: claims.pop("nonce"),
        lambda claims: claims.update(iss="https://elsewhere.example"),
        lambda claims: claims.pop("iss"),
        lambda claims: claims.update(aud="another-client"),
        lambda claims: claims.update(aud=[CLIENT_ID, "another-client"], azp="another-client"),
        lambda claims: claims.pop("aud"),
        lambda claims: claims.update(azp="another-client"),
        lambda claims: claims.pop("exp"),
        lambda claims: claims.update(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
        lambda claims: claims.update(sub="somebody else"),
        lambda claims: claims.pop("sub"),
        lambda claims: claims.update(iat=int(time.time()) + 1000),
        late,
    ],
)
async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(psc: Psc, tamper: Callable[[Claims], None]) -> None:
    psc.provider.tamper = tamper
    member = await psc.house.member()
    answer = await psc.through(member.member_id)
    assert (answer.status_code, problem(answer)) == (403, "psc-login-failed")
    assert await psc.house.status(member.member_id) is MemberStatus.UNVERIFIED


@pytest.mark.parametrize("stated", [None, "", "0", "1", "eidas0", "eidas", "eidas1 eidas3", "urn:low", 3, ["eidas3"]])
async def test_a_sign_in_of_a_level_that_was_not_asked_for_verifies_nobody(psc: Psc, stated: Any) -> None:
    psc.provider.tamper = lambda claims: claims.pop("acr") if stated is None else claims.update(acr=stated)
    member = await psc.house.member()
    answer = await psc.through(member.member_id)
    assert (answer.status_code, problem(answer)) == (403, "psc-login-too-weak")
    assert await psc.house.status(member.member_id) is MemberStatus.UNVERIFIED


@pytest.mark.parametrize(
    ("asked", "stated", "status"),
    [
        ("eidas1", "eidas1", 200),
        ("eidas1", "eidas3", 200),
        ("eidas2", "eidas1", 403),
        ("eidas2", "eidas3", 200),
        ("urn:card urn:app", "urn:app", 200),
        ("urn:card urn:app", "eidas3", 403),
    ],
)
async def test_a_higher_level_of_eidas_than_asked_for_will_do_and_a_lower_one_will_not(
    psc: Psc, asked: str, stated: str, status: int
) -> None:
    psc.levels = asked
    psc.provider.tamper = lambda claims: claims.update(acr=stated)
    answer = await psc.through((await psc.house.member()).member_id)
    assert answer.status_code == status, answer.text
    assert psc.provider.asked[0]["acr_values"] == asked


def test_a_setting_that_asks_for_no_level_is_refused() -> None:
    with pytest.raises(WrongSetting, match="PSC_ACR_VALUES"):
        ProSanteConnect("https://a.example", "client", "secret", CALLBACK, acr_values=" ")


@pytest.mark.parametrize("how", ["none", "hs256 with the public key", "another key", "unknown key", "no token", "cut"])
async def test_an_id_token_that_the_issuer_did_not_sign_is_refused(psc: Psc, how: str) -> None:
    provider = psc.provider
    other = OidcProvider()
    ways: dict[str, Callable[[Claims], str]] = {
        "none": lambda claims: jwt.encode(claims, None, algorithm="none"),  # type: ignore[arg-type]
        "hs256 with the public key": lambda claims: hmac_signed(claims, provider),
        "another key": lambda claims: jwt.encode(claims, other.key, "RS256", {"kid": provider.key_id}),
        "unknown key": lambda claims: jwt.encode(claims, other.key, "RS256", {"kid": "unknown"}),
        "no token": lambda claims: "",
        "cut": lambda claims: provider.signed(claims)[:-20],
    }
    provider.sign = ways[how]
    answer = await psc.through((await psc.house.member()).member_id)
    assert (answer.status_code, problem(answer)) == (403, "psc-login-failed")


def hmac_signed(claims: Claims, provider: OidcProvider) -> str:
    """The old confusion of algorithms: the public key taken for a shared secret. PyJWT refuses to make it."""

    def part(value: Any) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    secret = provider.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    body = part({"alg": "HS256", "kid": provider.key_id}) + b"." + part(claims)
    mac = base64.urlsafe_b64encode(hmac.new(secret, body, hashlib.sha256).digest()).rstrip(b"=")
    return (body + b"." + mac).decode()


async def test_a_new_key_of_the_issuer_is_fetched(psc: Psc) -> None:
    member = await psc.house.member()
    async with psc.client(member.member_id) as browser:
        await browser.get(await psc.begin(browser))  # the keys are known now
        psc.provider.rotate()
        psc.ticks += 11
        assert (await browser.get(await psc.begin(browser))).status_code == 200


async def test_the_answer_serves_once_and_in_the_browser_that_began(psc: Psc) -> None:
    victim, attacker = await psc.house.member(), await psc.house.member()
    async with psc.client(attacker.member_id) as browser, psc.client() as other:
        back = await psc.begin(browser)
        # The attacker's address opened in a colleague's browser: it has no cookie of this sign-in, or its own.
        answer = await other.get(back)
        assert (answer.status_code, problem(answer)) == (400, "psc-login-unknown")
        answer = await browser.get(back)  # and it is used up
        assert (answer.status_code, problem(answer)) == (400, "psc-login-unknown")
    async with psc.client(victim.member_id) as browser:
        back = await psc.begin(browser)
        assert (await browser.get(back)).status_code == 200
        answer = await browser.get(back)
        assert (answer.status_code, problem(answer)) == (400, "psc-login-unknown")
    assert await psc.house.status(attacker.member_id) is MemberStatus.UNVERIFIED


async def test_a_code_that_was_used_before_is_refused(psc: Psc) -> None:
    member = await psc.house.member()
    async with psc.client(member.member_id) as browser:
        first = await psc.begin(browser)
        await browser.get(first)
        second = await psc.begin(browser)
        code = parse_qs(urlsplit(first).query)["code"][0]
        state = parse_qs(urlsplit(second).query)["state"][0]
        answer = await browser.get("/verifications/psc/callback", params={"code": code, "state": state})
        assert (answer.status_code, problem(answer)) == (403, "psc-login-failed")


async def test_somebody_elses_code_does_not_fit_our_verifier(psc: Psc) -> None:
    first, second = await psc.house.member(), await psc.house.member()
    async with psc.client(first.member_id) as one, psc.client(second.member_id) as other:
        stolen = parse_qs(urlsplit(await psc.begin(one)).query)["code"][0]
        state = parse_qs(urlsplit(await psc.begin(other)).query)["state"][0]
        answer = await other.get("/verifications/psc/callback", params={"code": stolen, "state": state})
        assert (answer.status_code, problem(answer)) == (403, "psc-login-failed")
    assert await psc.house.status(second.member_id) is MemberStatus.UNVERIFIED


@pytest.mark.parametrize("changes", [{"state": "x" * 43}, {"iss": "https://elsewhere.example"}, {"code": ""}])
async def test_an_answer_that_was_changed_is_refused(psc: Psc, changes: dict[str, str]) -> None:
    member = await psc.house.member()
    async with psc.client(member.member_id) as browser:
        back = await psc.begin(browser)
        given = {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}
        answer = await browser.get("/verifications/psc/callback", params={**given, **changes})
    assert answer.status_code in (400, 403)
    assert await psc.house.status(member.member_id) is MemberStatus.UNVERIFIED


async def test_a_browser_without_a_front_end_gets_a_page_at_the_end(psc: Psc) -> None:
    member = await psc.house.member()
    async with psc.client(member.member_id) as browser:
        headers = {"accept": "text/html,*/*;q=0.8", "accept-language": "fr"}
        back = await psc.begin(browser)
        done, again = [await browser.get(back, headers=headers) for _ in range(2)]
    assert (done.status_code, done.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<h1>Votre profession est vérifiée</h1>" in done.text
    assert (again.status_code, again.headers["content-language"]) == (400, "fr")
    assert "Cette connexion n&#x27;est pas en cours" in again.text
    assert "default-src 'none'" in again.headers["content-security-policy"]


async def test_a_sign_in_ends_after_ten_minutes(psc: Psc) -> None:
    member = await psc.house.member()
    async with psc.client(member.member_id) as browser:
        back = await psc.begin(browser)
        psc.house.now += timedelta(seconds=LOGIN_S)
        assert problem(await browser.get(back)) == "psc-login-unknown"


async def test_a_provider_that_is_away_is_said(psc: Psc) -> None:
    member = await psc.house.member()
    async with psc.client(member.member_id) as browser:
        back = await psc.begin(browser)
        psc.provider.down = True
        answer = await browser.get(back)
        assert (answer.status_code, problem(answer)) == (503, "psc-unavailable")
    async with psc.client(member.member_id) as browser:
        answer = await browser.get("/verifications/psc/start")
        assert (answer.status_code, problem(answer)) == (503, "psc-unavailable")


async def test_a_browser_is_sent_on_with_what_became_of_it(psc: Psc) -> None:
    psc.done_url = "https://consilium.example/account"
    member = await psc.house.member()
    answer = await psc.through(member.member_id)
    assert (answer.status_code, answer.headers["location"]) == (303, "https://consilium.example/account#verified")
    del psc.provider.person["SubjectRefPro"]
    answer = await psc.through(member.member_id)
    assert answer.headers["location"] == "https://consilium.example/account#not-a-professional"


async def test_where_it_is_not_configured_it_is_not_offered(house: VerificationHouse) -> None:
    router = psc_routes(house.desk, None, PscLogins(house.mongo.db), house.guard, redirect_url=CALLBACK)
    async with house.client(router, member_id=(await house.member()).member_id) as browser:
        for path in ("start", "callback?state=12345678901234567890"):
            answer = await browser.get(f"/verifications/psc/{path}")
            assert (answer.status_code, problem(answer)) == (404, "psc-not-offered")


async def test_the_cookie_is_kept_from_scripts_and_other_sites(psc: Psc) -> None:
    async with psc.client((await psc.house.member()).member_id) as browser:
        cookie = (await browser.get("/verifications/psc/start")).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
