"""Sign-ins at Pro Santé Connect that have begun: what the answer has to fit, for ten minutes and one use."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.mongo import Database, DuplicateKeyError

LOGIN_S: Final = 600


@dataclass(frozen=True, slots=True)
class Login:
    """A sign-in that has begun. `browser_hash` stands for the cookie of the browser that began it."""

    member_id: str
    nonce: str
    code_verifier: str
    browser_hash: str


class PscLogins:
    """The sign-ins under way, each under the hash of its state."""

    def __init__(self, db: Database) -> None:
        self._logins = db["psc_logins"]

    async def prepare(self) -> None:
        """Make the index by which MongoDB forgets; may be repeated."""
        await self._logins.create_index("expires_at", expireAfterSeconds=0, name="forget")

    async def begin(self, state: str, login: Login, now: datetime) -> None:
        """Keep a sign-in that begins."""
        document = {
            "_id": secret_hash(state),
            "member_id": login.member_id,
            "nonce": login.nonce,
            "code_verifier": login.code_verifier,
            "browser_hash": login.browser_hash,
            "expires_at": now + timedelta(seconds=LOGIN_S),
        }
        try:
            await self._logins.insert_one(document)
        except DuplicateKeyError as error:
            raise RuntimeError("two sign-ins have the same state") from error

    async def take(self, state: str, now: datetime | None = None) -> Login | None:
        """The sign-in of that state, which is used up by this; None where there is none (any more)."""
        found = await self._logins.find_one_and_delete({"_id": secret_hash(state)})
        if found is None or found["expires_at"] <= (now or datetime.now(UTC)):
            return None
        return Login(found["member_id"], found["nonce"], found["code_verifier"], found["browser_hash"])


def secret_hash(secret: str) -> str:
    """What stands for a random secret in the database."""
    return hashlib.sha256(secret.encode()).hexdigest()
