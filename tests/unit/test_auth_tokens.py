"""Access tokens: what is refused, and what a service asks identity for (RFC 8725)."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.auth import KeysAway, TokenRefused, TokenVerifier
from shared.events import MemberStatus, Profession, Role
from tests.tokens import AUDIENCE, ISSUER, TokenMaker


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], claims: dict[str, Any], secret: bytes | None) -> str:
    """A token that a library would refuse to make."""
    signed = f"{base64url(json.dumps(header).encode())}.{base64url(json.dumps(claims).encode())}"
    signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest() if secret else b""
    return f"{signed}.{base64url(signature)}"


def claims_of(token: str) -> dict[str, Any]:
    middle = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(middle + "=="))
    return claims


@pytest.fixture
def maker() -> TokenMaker:
    return TokenMaker()


async def test_a_good_token_proves_its_member(maker: TokenMaker) -> None:
    principal = await maker.verifier().verify(maker.token("m-7", roles=["member", "moderator"]))
    assert principal.member_id == "m-7"
    assert principal.roles == {Role.MEMBER, Role.MODERATOR}
    assert principal.status is MemberStatus.VERIFIED
    assert principal.profession is Profession.PHYSICIAN
    assert principal.version == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": int(time.time()) - 1},
        {"exp": None},
        {"iat": None},
        {"iat": int(time.time()) + 3600},
        {"nbf": int(time.time()) + 3600},
        {"iss": "another-platform"},
        {"iss": None},
        {"aud": "another-service"},
        {"aud": [AUDIENCE, "another-service"]},
        {"aud": None},
        {"sub": None},
        {"jti": None},
        {"status": "emperor"},
        {"roles": ["owner"]},
        {"roles": None},
        {"member_version": None},
    ],
    # A time is no name for a test: processes that share the tests have to collect the same names.
    ids=lambda change: "-".join(
        name if isinstance(value, int) else f"{name}={value}"[:24] for name, value in change.items()
    ),
)
async def test_a_token_with_a_wrong_claim_is_refused(maker: TokenMaker, changes: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        await maker.verifier().verify(maker.token(**changes))


async def test_a_token_of_another_key_under_our_key_id_is_refused(maker: TokenMaker) -> None:
    forged = TokenMaker().token(headers={"kid": maker.key.key_id})
    with pytest.raises(TokenRefused, match="Signature"):
        await maker.verifier().verify(forged)


async def test_a_token_of_an_unknown_key_is_refused(maker: TokenMaker) -> None:
    with pytest.raises(TokenRefused, match="unknown key"):
        await maker.verifier().verify(TokenMaker().token())


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE"])
async def test_a_token_without_signature_is_refused(maker: TokenMaker, algorithm: str) -> None:
    header = {"alg": algorithm, "typ": "at+jwt", "kid": maker.key.key_id}
    with pytest.raises(TokenRefused):
        await maker.verifier().verify(by_hand(header, claims_of(maker.token()), None))


async def test_a_token_signed_with_the_public_key_as_secret_is_refused(maker: TokenMaker) -> None:
    header = {"alg": "HS256", "typ": "at+jwt", "kid": maker.key.key_id}
    public = maker.private.public_key()
    spellings = (
        public.public_bytes(Encoding.Raw, PublicFormat.Raw),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        maker.key.published()["keys"][0]["x"].encode(),
    )
    for secret in spellings:
        with pytest.raises(TokenRefused, match="algorithm"):
            await maker.verifier().verify(by_hand(header, claims_of(maker.token()), secret))


@pytest.mark.parametrize("headers", [{"typ": "JWT"}, {"typ": "id+jwt"}, {"kid": ""}, {"crit": ["b64"], "b64": True}])
async def test_a_token_of_another_type_is_refused(maker: TokenMaker, headers: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        await maker.verifier().verify(maker.token(headers=headers))


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "é.é.é", "x" * 5000, "....."])
async def test_noise_is_refused(maker: TokenMaker, token: str) -> None:
    with pytest.raises(TokenRefused):
        await maker.verifier().verify(token)


async def test_a_changed_claim_breaks_the_signature(maker: TokenMaker) -> None:
    head, _, signature = maker.token().split(".")
    raised = {**claims_of(maker.token()), "roles": ["member", "moderator"]}
    with pytest.raises(TokenRefused, match="Signature"):
        await maker.verifier().verify(f"{head}.{base64url(json.dumps(raised).encode())}.{signature}")


async def test_unknown_key_ids_cannot_make_a_service_call_identity_in_a_loop(maker: TokenMaker) -> None:
    clock = [time.time()]
    verifier = maker.verifier(now=lambda: clock[0])
    await verifier.verify(maker.token())
    for _ in range(20):
        with pytest.raises(TokenRefused):
            await verifier.verify(TokenMaker().token())
    assert maker.fetched == 1
    clock[0] += 11
    with pytest.raises(TokenRefused):
        await verifier.verify(TokenMaker().token())
    assert maker.fetched == 2


async def test_a_new_key_is_learnt_and_an_old_one_forgotten_with_what_it_had_verified(maker: TokenMaker) -> None:
    clock = [time.time()]
    verifier = maker.verifier(now=lambda: clock[0])
    old = maker.token()
    await verifier.verify(old)
    maker.private = (after := TokenMaker()).private
    maker.key = after.key
    clock[0] += 11
    await verifier.verify(maker.token())
    with pytest.raises(TokenRefused, match="unknown key"):
        await verifier.verify(old)


async def test_a_verified_token_is_remembered_until_it_expires(maker: TokenMaker) -> None:
    clock = [time.time()]
    verifier = maker.verifier(now=lambda: clock[0])
    token = maker.token(exp=int(clock[0]) + 60)
    first = await verifier.verify(token)
    assert await verifier.verify(token) is first
    clock[0] += 61
    with pytest.raises(TokenRefused):
        await verifier.verify(token)


async def test_remembered_tokens_are_bounded(maker: TokenMaker) -> None:
    verifier = maker.verifier(cache_size=3)
    for number in range(10):
        await verifier.verify(maker.token(f"m-{number}"))
    assert len(verifier._verified) == 3


async def test_known_keys_serve_on_while_identity_is_away(maker: TokenMaker) -> None:
    clock = [time.time()]
    away = False

    async def fetch() -> dict[str, Any]:
        if away:
            raise httpx.ConnectError("identity is away")
        return maker.key.published()

    verifier = TokenVerifier("http://identity.test", ISSUER, AUDIENCE, fetch=fetch, now=lambda: clock[0])
    await verifier.verify(maker.token())
    away = True
    clock[0] += 400
    assert (await verifier.verify(maker.token(exp=int(clock[0]) + 100))).member_id == "member-1"


async def test_without_any_key_nothing_is_said_and_identity_is_asked_once_a_second(maker: TokenMaker) -> None:
    asked = 0
    clock = [time.time()]

    async def fetch() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        raise httpx.ConnectError("identity is away")

    verifier = TokenVerifier("http://identity.test", ISSUER, AUDIENCE, fetch=fetch, now=lambda: clock[0])
    for _ in range(5):
        with pytest.raises(KeysAway):
            await verifier.verify(maker.token())
    assert asked == 1
    clock[0] += 1.1
    with pytest.raises(KeysAway):
        await verifier.verify(maker.token())
    assert asked == 2


async def test_keys_of_other_kinds_are_left_out(maker: TokenMaker) -> None:
    async def fetch() -> dict[str, Any]:
        secret = {"kty": "oct", "k": base64url(b"s" * 32), "kid": "hmac", "alg": "HS256"}
        encryption = {**maker.key.published()["keys"][0], "use": "enc", "kid": "enc"}
        return {"keys": [secret, encryption, *maker.key.published()["keys"]]}

    verifier = TokenVerifier("http://identity.test", ISSUER, AUDIENCE, fetch=fetch)
    await verifier.verify(maker.token())
    for key_id in ("hmac", "enc"):
        with pytest.raises(TokenRefused, match="unknown key"):
            await verifier.verify(maker.token(headers={"kid": key_id}))
