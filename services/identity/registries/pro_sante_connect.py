"""Pro Santé Connect: the French state's sign-in of health professionals, by OpenID Connect.

Authorization code with PKCE. The protocol's messages and the rules of the ID token are Authlib's and joserfc's; what
the claims mean is ours. Written from the facts in docs/verification.md and tried against a provider of our own; never
run against the real service, which gives access to registered services only.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from services.identity.domain.verification import CivilName, Number, NumberMalformed, Practitioner
from services.identity.registries import RegistryAway, numbers
from services.identity.registries.professions import of_tre_g15
from shared.errors import WrongSetting

log = logging.getLogger("identity")

SOURCE: Final = "pro-sante-connect"
SCOPE: Final = "openid scope_all"
ALGORITHMS: Final = ("RS256", "PS256", "ES256")
LEEWAY_S: Final = 30
_METADATA_S = 3600.0
_REFETCH_S = 10.0
_EIDAS = re.compile(r"eidas([1-3])")
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")


class LoginRefused(Exception):
    """What came back proves nothing. The reason is for the log; it quotes no claim."""


class LoginTooWeak(Exception):
    """The person signed in by a weaker means than was asked for, or the ID token does not say by which."""


class NotAProfessional(Exception):
    """The person signed in, and is no professional whom we take: without `SubjectRefPro`, or of another profession."""


@dataclass(frozen=True, slots=True)
class Professional:
    """Who signed in, in the words of a registry."""

    practitioner: Practitioner
    name: CivilName


class ProSanteConnect:
    """One client of the service. `identities`: `national` takes RPPS numbers, `sandbox` those of its test bed.

    `acr_values`: the levels of authentication that will do, with a space between; none of them is no choice. Raises
    WrongSetting.
    """

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str,
        redirect_url: str,
        *,
        acr_values: str = "eidas1",
        identities: Literal["national", "sandbox"] = "national",
        timeout_s: float = 8.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer.rstrip("/")
        if not _safe(self._issuer):
            raise WrongSetting("The issuer of Pro Santé Connect must be an https address.")
        self._client_id = client_id
        self._redirect_url = redirect_url
        self._levels = tuple(acr_values.split())
        if not self._levels:
            raise WrongSetting("IDENTITY_PSC_ACR_VALUES names no level of authentication, for example eidas1.")
        self._identities = identities
        self._clock = clock
        self._http = httpx.AsyncClient(timeout=timeout_s, follow_redirects=False)
        # RFC 6749, 2.3.1: both are form-encoded before they become a user and a password.
        self._auth = httpx.BasicAuth(quote(client_id, safe=""), quote(client_secret, safe=""))
        self._metadata: dict[str, str] = {}
        self._metadata_at = float("-inf")
        self._keys: KeySet | None = None
        self._keys_at = float("-inf")

    async def address(self, *, state: str, nonce: str, code_verifier: str) -> str:
        """Where to send the person. Raises RegistryAway."""
        metadata = await self._provider()
        return str(
            prepare_grant_uri(
                metadata["authorization_endpoint"],
                self._client_id,
                "code",
                redirect_uri=self._redirect_url,
                scope=SCOPE,
                state=state,
                nonce=nonce,
                acr_values=" ".join(self._levels),
                code_challenge=create_s256_code_challenge(code_verifier),
                code_challenge_method="S256",
            )
        )

    async def finish(self, *, code: str, nonce: str, code_verifier: str, issuer: str | None = None) -> Professional:
        """Who signed in. `issuer`: what the callback said of itself (RFC 9207), None where it said nothing.

        Raises LoginRefused, LoginTooWeak, NotAProfessional and RegistryAway.
        """
        if issuer is not None and issuer != self._issuer:
            raise LoginRefused("the answer is another issuer's")
        metadata = await self._provider()
        body = prepare_token_request(
            "authorization_code", redirect_uri=self._redirect_url, code=code, code_verifier=code_verifier
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        given = await self._ask("POST", metadata["token_endpoint"], headers, content=body, auth=self._auth)
        access_token, id_token = given.get("access_token"), given.get("id_token")
        if not isinstance(access_token, str) or not isinstance(id_token, str):
            raise LoginRefused("the token endpoint gave no tokens")
        subject = await self._subject(id_token, access_token, nonce)
        claims = await self._ask("GET", metadata["userinfo_endpoint"], {"Authorization": f"Bearer {access_token}"})
        if claims.get("sub") != subject:
            raise LoginRefused("the claims are another person's than the ID token")
        return self._professional(claims)

    async def close(self) -> None:
        """Let connections go."""
        await self._http.aclose()

    async def _subject(self, id_token: str, access_token: str, nonce: str) -> str:
        """The subject of a valid ID token (OpenID Connect Core, 3.1.3.7). Raises LoginRefused, LoginTooWeak."""
        for fresh in (False, True):
            keys = await self._key_set(fresh=fresh)
            try:
                token = jwt.decode(id_token, keys, algorithms=list(ALGORITHMS))
            except InvalidKeyIdError as error:
                if fresh:
                    raise LoginRefused("the ID token is signed with a key that the issuer does not publish") from error
            except (JoseError, ValueError) as error:
                raise LoginRefused(f"the ID token cannot be verified: {type(error).__name__}") from error
            else:
                break
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "value": self._issuer},
                "aud": {"essential": True, "value": self._client_id},
                "nonce": {"essential": True, "value": nonce},
            },
            params={"nonce": nonce, "client_id": self._client_id, "access_token": access_token},
        )
        try:
            claims.validate(leeway=LEEWAY_S)
        except (JoseError, ValueError, TypeError) as error:
            raise LoginRefused(f"the ID token is not for us: {_named(error)}") from error
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject:
            raise LoginRefused("the ID token has no subject")
        if not reaches(claims.get("acr"), self._levels):
            raise LoginTooWeak("the ID token states no level of authentication that was asked for")
        return subject

    def _professional(self, claims: Mapping[str, Any]) -> Professional:
        reference = claims.get("SubjectRefPro")
        practices = reference.get("exercices") if isinstance(reference, dict) else None
        practices = [one for one in practices if isinstance(one, dict)] if isinstance(practices, list) else []
        found = {
            of_tre_g15(str(one.get("codeProfession", "")), str(one.get("codeCategorieProfessionnelle", "")))
            for one in practices
        } - {None}
        if not found:
            raise NotAProfessional
        family, given = str(claims.get("family_name") or ""), str(claims.get("given_name") or "")
        if not family or not given:
            raise LoginRefused("the claims name nobody")
        practitioner = Practitioner(
            number=self._number(str(claims.get("SubjectNameID") or "")),
            families=_texts([family, *(one.get("nomDexercice") for one in practices)]),
            givens=_texts([given, *(one.get("prenomDexercice") for one in practices)]),
            professions=frozenset(one for one in found if one is not None),
            skills=_texts([one.get("codeSavoirFaire") for one in practices]),
            active=True,
            source=SOURCE,
            as_of=datetime.now(UTC),
        )
        return Professional(practitioner, CivilName(family, given))

    def _number(self, identifier: str) -> Number:
        """The number by its issuer: identities of the sandbox are no RPPS numbers, and never pass for some."""
        check = numbers.rpps if self._identities == "national" else numbers.sandbox
        try:
            return check(identifier)
        except NumberMalformed as error:
            raise LoginRefused(f"the claims hold no number of ours: {error.code}") from error

    async def _provider(self) -> dict[str, str]:
        """The provider's endpoints (OpenID Connect Discovery), asked for once an hour."""
        if self._metadata and self._clock() - self._metadata_at < _METADATA_S:
            return self._metadata
        document = await self._ask("GET", f"{self._issuer}/.well-known/openid-configuration", {})
        if document.get("issuer") != self._issuer:
            raise RegistryAway("the metadata of Pro Santé Connect are another issuer's")
        endpoints = {name: document.get(name) for name in _ENDPOINTS}
        for name, url in endpoints.items():
            if not isinstance(url, str) or not _safe(url):
                raise RegistryAway(f"the metadata of Pro Santé Connect lack a safe {name}")
        self._metadata = {name: str(url) for name, url in endpoints.items()}
        self._metadata_at = self._clock()
        return self._metadata

    async def _key_set(self, *, fresh: bool) -> KeySet:
        """The provider's signature keys; `fresh` asks again, at most every ten seconds."""
        age_s = self._clock() - self._keys_at
        if self._keys is None or age_s > _METADATA_S or (fresh and age_s > _REFETCH_S):
            document = await self._ask("GET", (await self._provider())["jwks_uri"], {})
            keys = document.get("keys")
            usable = [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
            signing = [key for key in usable if key.get("use", "sig") == "sig" and key.get("kty") in ("RSA", "EC")]
            try:
                self._keys = KeySet.import_key_set({"keys": signing})
            except (JoseError, ValueError, KeyError, TypeError) as error:
                raise RegistryAway("the keys of Pro Santé Connect cannot be read") from error
            self._keys_at = self._clock()
        return self._keys

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], **more: Any) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, url, headers=dict(headers), **more)
        except httpx.HTTPError as error:
            raise RegistryAway(f"Pro Santé Connect: {type(error).__name__}") from error
        if 400 <= answer.status_code < 500 and answer.status_code != 429 and method == "POST":
            raise LoginRefused(f"the token endpoint answers {answer.status_code}")
        if answer.status_code != 200:
            raise RegistryAway(f"Pro Santé Connect: status {answer.status_code}")
        try:
            document = answer.json()
        except ValueError as error:
            raise RegistryAway("Pro Santé Connect: an answer that is no JSON") from error
        if not isinstance(document, dict):
            raise RegistryAway("Pro Santé Connect: an answer that is no object")
        return document


def reaches(acr: Any, asked: Sequence[str]) -> bool:
    """Whether a stated level (`acr`) is one of those asked for, or a higher one of eIDAS.

    `acr_values` is a wish (OpenID Connect Core, 3.1.2.1): a provider may answer with less, and with more. Published
    traces of Pro Santé Connect show eidas3 for a card.
    """
    if not isinstance(acr, str):
        return False
    stated = _EIDAS.fullmatch(acr)
    lowest = [match[1] for one in asked if (match := _EIDAS.fullmatch(one))]
    return acr in asked or (stated is not None and any(stated[1] >= level for level in lowest))


def _safe(url: str) -> bool:
    """https, or this very machine (a provider of one's own in development)."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1"))


def _named(error: Exception) -> str:
    return f"{type(error).__name__} {getattr(error, 'claim', '')}".strip()


def _texts(values: list[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if isinstance(value, str) and value))
