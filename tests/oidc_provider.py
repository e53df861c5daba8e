"""A provider of OpenID Connect in the image of Pro Santé Connect, for tests and for trying things out.

Keycloak's paths under `/auth/realms/esante-wallet`, the claims as docs/verification.md lists them. It checks what a
provider checks: client and secret, redirect address, PKCE (S256), a code that serves once. Everybody who comes is
`person`, at once. `tamper` changes an ID token before it is signed; `sign` replaces the signing itself.

`python -m tests.oidc_provider` serves it for trying things out by hand.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlencode

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID = "consilium-test"
CLIENT_SECRET = "a secret: with/odd+characters"
REALM = "/auth/realms/esante-wallet"
Claims = dict[str, Any]


def professional(
    number: str = "899900000003", profession: str = "10", category: str = "C", family: str = "Dupont"
) -> Claims:
    """The claims of a professional; the national identifier is 8 and the RPPS number."""
    return {
        "sub": f"f:550dc1c8:{number}",
        "preferred_username": number,
        "given_name": "Anne",
        "family_name": family,
        "codeCivilite": "MME",
        "Secteur_Activite": "SA07^1.2.250.1.71.4.2.4",
        "SubjectNameID": number,
        "SubjectRole": [f"{profession}^1.2.250.1.213.1.1.5.5"],
        "otherIds": [{"identifiant": number, "origine": "RPPS", "qualite": 1}],
        "Palier_Authentification": "APPPRIP3^1.2.250.1.213.1.5.1.1.1",
        "SubjectRefPro": {
            "codeCivilite": "MME",
            "exercices": [
                {
                    "codeProfession": profession,
                    "codeCategorieProfessionnelle": category,
                    "codeTypeSavoirFaire": "S",
                    "codeSavoirFaire": "SM54",
                    "nomDexercice": family.upper(),
                    "prenomDexercice": "ANNE",
                    "activities": [{"codeModeExercice": "L", "codeSecteurDactivite": "SA07"}],
                }
            ],
        },
    }


class OidcProvider:
    """The provider; serve its `app`, and set `issuer` to where it is served plus `REALM`."""

    def __init__(self) -> None:
        self.issuer = ""
        self.person = professional()
        self.key, self.key_id = _new_key()
        self.published = [(self.key_id, self.key)]
        self.tamper: Callable[[Claims], None] = lambda claims: None
        self.sign: Callable[[Claims], str] = self.signed
        self.asked: list[dict[str, str]] = []
        self.down = False
        self._codes: dict[str, dict[str, str]] = {}
        self._tokens: dict[str, Claims] = {}
        self.app = Starlette(
            routes=[
                Route(f"{REALM}/.well-known/openid-configuration", self._metadata),
                Route("/auth", self._authorize),
                Route(f"{REALM}/protocol/openid-connect/token", self._token, methods=["POST"]),
                Route(f"{REALM}/protocol/openid-connect/userinfo", self._userinfo),
                Route(f"{REALM}/protocol/openid-connect/certs", self._certs),
            ]
        )

    def rotate(self, publish: bool = True) -> None:
        """Sign with another key from now on."""
        self.key, self.key_id = _new_key()
        self.published = [(self.key_id, self.key)] if publish else self.published

    def signed(self, claims: Claims, algorithm: str = "RS256") -> str:
        """An ID token as it should be."""
        return jwt.encode(claims, self.key, algorithm=algorithm, headers={"kid": self.key_id})

    async def _metadata(self, request: Request) -> Response:
        if self.down:
            return JSONResponse({}, 503)
        base = f"{self.issuer}/protocol/openid-connect"
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": self.issuer.replace(REALM, "/auth"),
                "token_endpoint": f"{base}/token",
                "userinfo_endpoint": f"{base}/userinfo",
                "jwks_uri": f"{base}/certs",
                "code_challenge_methods_supported": ["plain", "S256"],
            }
        )

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        if asked.get("client_id") != CLIENT_ID or asked.get("response_type") != "code":
            return JSONResponse({"error": "invalid_request"}, 400)
        code = secrets.token_urlsafe(24)
        self._codes[code] = asked
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def _token(self, request: Request) -> Response:
        if self.down:
            return JSONResponse({}, 503)
        form = {name: str(value) for name, value in (await request.form()).items()}
        given = base64.b64decode(request.headers.get("authorization", "").removeprefix("Basic ")).decode()
        client, _, secret = given.partition(":")
        if (unquote(client), unquote(secret)) != (CLIENT_ID, CLIENT_SECRET):
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = self._codes.pop(form.get("code", ""), None)
        if asked is None or form.get("redirect_uri") != asked["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked.get("code_challenge_method") != "S256" or asked.get("code_challenge") != challenge:
            return JSONResponse({"error": "invalid_grant"}, 400)
        access_token, now = secrets.token_urlsafe(24), int(time.time())
        self._tokens[access_token] = self.person
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        claims: Claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "azp": CLIENT_ID,
            "sub": self.person["sub"],
            "iat": now,
            "exp": now + 120,
            "nonce": asked["nonce"],
            "acr": "eidas3",  # a card, in published traces, whatever lower level was asked for
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
        }
        self.tamper(claims)
        return JSONResponse({"access_token": access_token, "token_type": "Bearer", "id_token": self.sign(claims)})

    async def _userinfo(self, request: Request) -> Response:
        found = self._tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        return JSONResponse(found) if found else JSONResponse({"error": "invalid_token"}, 401)

    async def _certs(self, request: Request) -> Response:
        keys = []
        for key_id, key in self.published:
            public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
            keys.append({**public, "kid": key_id, "use": "sig", "alg": "RS256"})
        return JSONResponse({"keys": keys})


def _new_key() -> tuple[RSAPrivateKey, str]:
    return generate_private_key(65537, 2048), secrets.token_hex(8)


def main(port: int = 8190) -> None:
    """Serve the provider on this machine until Ctrl-C, and say how identity finds it."""
    made = OidcProvider()
    made.issuer = f"http://127.0.0.1:{port}{REALM}"
    settings = {"ISSUER": made.issuer, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET}
    print("\n".join(f"export IDENTITY_PSC_{name}={value!r}" for name, value in settings.items()))
    uvicorn.run(made.app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
