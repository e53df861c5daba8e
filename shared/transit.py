"""Wrapping keys that never leave a key management service: the transit engine of HashiCorp Vault or OpenBao, by HTTP.

The key is made there with derivation (`derived=true`), so that what a data key belongs to (sent as `context`) decides
the key it is under. `associated_data` would say the same more plainly, but `rewrap` does not take it (hashicorp/vault
#29532, #31791). A key without derivation ignores the context, so the binding is in the plaintext too and is compared
here. Tried against a stand-in that answers as the API's documentation says (tests/transit_server.py), never against
the real service.
"""

import base64
import hashlib
import hmac
import re
from typing import Any

import httpx
from pydantic import SecretStr

from shared.keyring import KeyRingAway, Wrapped, WrappedKeyBroken, WrongWrappingKey

_DIGEST_BYTES = 32
_CIPHERTEXT = re.compile(r"vault:v([1-9]\d{0,8}):[A-Za-z0-9+/=]+")  # OpenBao writes "vault:" too
# What these say is an operator's matter and can be put right there; the record is sound.
_NO_SUCH_KEY = ("too old", "too new", "encryption key not found", "invalid key version")
_ALTERED = ("message authentication failed", "invalid ciphertext")


class TransitKeyRing:
    """The key `key` of the transit engine mounted at `mount`, asked for with `token`; its newest version is current.

    The token needs `update` on encrypt/KEY, decrypt/KEY and rewrap/KEY (the redactor: on decrypt/KEY alone), must be
    renewed by somebody else, and is read at the start. One call may take `timeout_s`.
    """

    def __init__(self, url: str, key: str, token: SecretStr, *, mount: str = "transit", timeout_s: float = 5.0) -> None:
        self._key = key
        self._path = f"/v1/{mount}"
        self._http = httpx.AsyncClient(
            base_url=url, headers={"X-Vault-Token": token.get_secret_value()}, timeout=timeout_s
        )

    async def wrap(self, data_key: bytes, bound: bytes) -> Wrapped:
        plaintext = base64.b64encode(hashlib.sha256(bound).digest() + data_key).decode()
        return self._wrapped(await self._ask("encrypt", bound, plaintext=plaintext))

    async def unwrap(self, wrapped: Wrapped, bound: bytes) -> bytes:
        answer = await self._ask("decrypt", bound, ciphertext=self._ciphertext(wrapped))
        try:
            plaintext = base64.b64decode(answer["plaintext"], validate=True)
        except (KeyError, TypeError, ValueError) as error:
            raise KeyRingAway("the key management service gave an answer that is none") from error
        digest, data_key = plaintext[:_DIGEST_BYTES], plaintext[_DIGEST_BYTES:]
        if not hmac.compare_digest(digest, hashlib.sha256(bound).digest()):
            raise WrappedKeyBroken("a wrapped key belongs to something else")
        return data_key

    async def rewrap(self, wrapped: Wrapped, bound: bytes) -> Wrapped | None:
        """The service does it inside: the data key does not come here."""
        newer = self._wrapped(await self._ask("rewrap", bound, ciphertext=self._ciphertext(wrapped)))
        return None if newer.key_id == wrapped.key_id else newer

    async def check(self) -> None:
        """The service is unsealed and answers; whether the token is good, the first use tells."""
        try:
            answer = await self._http.get("/v1/sys/health", params={"standbyok": "true", "perfstandbyok": "true"})
        except httpx.HTTPError as error:
            raise KeyRingAway(f"the key management service does not answer ({type(error).__name__})") from error
        if answer.status_code != 200:
            raise KeyRingAway(f"the key management service says {answer.status_code} of its health")

    async def close(self) -> None:
        await self._http.aclose()

    def _ciphertext(self, wrapped: Wrapped) -> str:
        if not wrapped.key_id.startswith(f"transit:{self._key}:v"):
            raise WrongWrappingKey(f"wrapped with key {wrapped.key_id}, we ask for transit:{self._key}")
        return wrapped.ciphertext.decode("ascii", errors="replace")

    def _wrapped(self, answer: dict[str, Any]) -> Wrapped:
        ciphertext = answer.get("ciphertext")
        found = _CIPHERTEXT.fullmatch(ciphertext) if isinstance(ciphertext, str) else None
        if found is None:
            raise KeyRingAway("the key management service gave an answer that is none")
        return Wrapped(f"transit:{self._key}:v{found[1]}", found[0].encode())

    async def _ask(self, act: str, bound: bytes, **fields: str) -> dict[str, Any]:
        context = base64.b64encode(bound).decode()
        try:
            answer = await self._http.post(f"{self._path}/{act}/{self._key}", json={**fields, "context": context})
        except httpx.HTTPError as error:
            raise KeyRingAway(f"the key management service does not answer ({type(error).__name__})") from error
        try:
            told = answer.json()
        except ValueError:
            told = None
        told = told if isinstance(told, dict) else {}
        if answer.status_code == 200 and isinstance(told.get("data"), dict):
            return dict(told["data"])
        errors = "; ".join(map(str, told.get("errors") or ["no reason given"]))
        # Some versions say 500 where a ciphertext does not open (hashicorp/vault #10842), so the words decide.
        if act != "encrypt" and any(words in errors for words in _NO_SUCH_KEY):
            raise WrongWrappingKey(f"the key management service does not open it: {errors}")
        if act != "encrypt" and any(words in errors for words in _ALTERED):
            raise WrappedKeyBroken("a wrapped key was altered, or belongs to something else")
        raise KeyRingAway(f"the key management service answered {answer.status_code} to {act}: {errors}")
