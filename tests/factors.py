"""Adding, using and removing second factors, for tests."""

from typing import Any

import httpx
from webauthn.helpers import bytes_to_base64url

from tests.authenticator import Authenticator
from tests.identity_service import Identity, Someone


async def add_passkey(someone: Someone, device: Authenticator, name: str = "My  phone") -> httpx.Response:
    asked = (await someone.call("POST", "/me/factors/passkeys/options")).json()
    given = {"ticket": asked["ticket"], "credential": device.create(asked["options"]), "name": name}
    answer = await someone.call("POST", "/me/factors/passkeys", given)
    if answer.status_code == 201:
        someone.tokens = answer.json()["session"]
    return answer


def path_of(device: Authenticator) -> str:
    return f"/me/factors/passkeys/{bytes_to_base64url(device.credential_id)}"


async def passkey_sign_in(identity: Identity, device: Authenticator) -> httpx.Response:
    async with identity.client() as client:
        asked = (await client.post("/sessions/passkey/options")).json()
        given = {"ticket": asked["ticket"], "credential": device.get(asked["options"])}
        return await client.post("/sessions/passkey", json=given)


async def second(someone: Someone, **given: Any) -> httpx.Response:
    """The whole sign-in, with that second proof."""
    step = await someone.password()
    assert step.status_code == 202, step.text
    return await someone.client.post("/sessions/second-factor", json={"ticket": step.json()["ticket"], **given})


async def remove(someone: Someone, path: str) -> None:
    """Remove a factor and go on with the tokens that come for it."""
    answer = await someone.call("DELETE", path)
    assert answer.status_code == 200, answer.text
    someone.tokens = answer.json()["session"]
