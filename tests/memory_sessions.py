"""Sessions, second factors and tickets in memory; `contract/test_identity_sessions.py` holds them to the real ones."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from services.identity.domain.factors import Factors
from services.identity.domain.sessions import Session, Spent
from services.identity.domain.tickets import Purpose, new_secret, secret_hash


class MemorySessions:
    """Answers as `store.sessions.Sessions` does."""

    def __init__(self) -> None:
        self.kept: dict[str, Session] = {}
        self._spent: dict[str, Spent] = {}

    async def add(self, session: Session) -> None:
        self.kept[session.session_id] = session

    async def get(self, session_id: str) -> Session | None:
        return self.kept.get(session_id)

    async def by_token(self, token_hash: str) -> Session | None:
        return next((one for one in self.kept.values() if one.current == token_hash), None)

    async def spend(self, spent: Spent) -> Spent:
        return self._spent.setdefault(spent.token_hash, spent)

    async def spent(self, token_hash: str) -> Spent | None:
        return self._spent.get(token_hash)

    async def advance(self, session: Session, token_hash: str) -> bool:
        known = self.kept.get(session.session_id)
        if known is None or known.current != token_hash:
            return False
        self.kept[session.session_id] = session
        return True

    async def of_member(self, member_id: str) -> list[Session]:
        found = [one for one in self.kept.values() if one.member_id == member_id]
        return sorted(found, key=lambda one: one.last_used_at, reverse=True)

    async def end(self, member_id: str, session_id: str) -> bool:
        known = self.kept.get(session_id)
        if known is None or known.member_id != member_id:
            return False
        del self.kept[session_id]
        return True

    async def end_all(self, member_id: str, *, but: str | None = None) -> int:
        ended = [one for one in await self.of_member(member_id) if one.session_id != but]
        for one in ended:
            del self.kept[one.session_id]
        return len(ended)


class MemoryFactors:
    """Answers as `store.factors.FactorStore` does."""

    def __init__(self) -> None:
        self.kept: dict[str, Factors] = {}

    async def of_member(self, member_id: str) -> Factors:
        return self.kept.get(member_id, Factors(member_id))

    async def by_passkey(self, credential_id: str) -> Factors | None:
        return next((one for one in self.kept.values() if one.passkey(credential_id)), None)

    async def change(self, member_id: str, move: Callable[[Factors], Factors]) -> Factors:
        self.kept[member_id] = move(await self.of_member(member_id))
        return self.kept[member_id]


class MemoryTickets:
    """Answers as `store.tickets.Tickets` does."""

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._kept: dict[str, tuple[Purpose, str | None, dict[str, Any], datetime]] = {}

    async def issue(
        self, purpose: Purpose, data: Mapping[str, Any], ttl_s: int, *, member_id: str | None = None
    ) -> str:
        secret = new_secret()
        until = self._now() + timedelta(seconds=ttl_s)
        self._kept[secret_hash(purpose, secret)] = (purpose, member_id, dict(data), until)
        return secret

    async def look(self, purpose: Purpose, secret: str) -> dict[str, Any] | None:
        found = self._kept.get(secret_hash(purpose, secret))
        return found[2] if found and found[3] > self._now() else None

    async def redeem(self, purpose: Purpose, secret: str) -> dict[str, Any] | None:
        found = await self.look(purpose, secret)
        self._kept.pop(secret_hash(purpose, secret), None)
        return found

    async def cancel(self, purpose: Purpose, member_id: str) -> None:
        self._kept = {key: one for key, one in self._kept.items() if (one[0], one[1]) != (purpose, member_id)}
