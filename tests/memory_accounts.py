"""identity's stores in memory for unit tests; `tests/contract/test_identity_store.py` holds them to the real ones."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from services.identity.domain.account import Account, AccountUnknown, AlreadyTaken, pseudonym_key
from services.identity.domain.brakes import Brake
from shared.events import MemberChanged, MemberStatus
from tests.memory_sessions import MemorySessions

_SHUT = (MemberStatus.SUSPENDED, MemberStatus.LEFT)


class MemoryAccounts:
    """Answers as `store.accounts.Accounts` does; `told` holds the events that the outbox would."""

    def __init__(self) -> None:
        self.kept: dict[str, Account] = {}
        self.sessions = MemorySessions()
        self.told: list[MemberChanged] = []

    async def add(self, account: Account) -> None:
        for other in self.kept.values():
            if other.email == account.email:
                raise AlreadyTaken("e-mail address")
            if pseudonym_key(other.pseudonym) == pseudonym_key(account.pseudonym):
                raise AlreadyTaken("pseudonym")
        self.kept[account.member_id] = account
        self.told.append(account.changed())

    async def change(self, member_id: str, move: Callable[[Account], Account]) -> Account:
        if member_id not in self.kept:
            raise AccountUnknown(member_id)
        before = self.kept[member_id]
        moved = move(before)
        self.kept[member_id] = moved
        self.told.append(moved.changed())
        if moved.status in _SHUT and before.status not in _SHUT:
            await self.sessions.end_all(member_id)
        return moved

    async def replace_hash(self, member_id: str, old: str, new: str) -> None:
        account = self.kept[member_id]
        if account.password_hash == old:
            self.kept[member_id] = replace(account, password_hash=new)

    async def set_password(self, member_id: str, password_hash: str, *, but_session: str | None) -> None:
        self.kept[member_id] = replace(self.kept[member_id], password_hash=password_hash)
        await self.sessions.end_all(member_id, but=but_session)

    async def pseudonym_taken(self, pseudonym: str) -> bool:
        wanted = pseudonym_key(pseudonym)
        return any(pseudonym_key(account.pseudonym) == wanted for account in self.kept.values())

    async def by_email(self, email: str) -> Account | None:
        return next((account for account in self.kept.values() if account.email == email), None)

    async def by_id(self, member_id: str) -> Account | None:
        return self.kept.get(member_id)


class MemoryAttempts:
    """Answers as `store.attempts.Attempts` does."""

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._kept: dict[str, tuple[int, datetime]] = {}

    async def begin(self, brakes: Iterable[Brake]) -> int:
        now = self._now()
        for brake in brakes:
            tries, wait_until = self._kept.get(brake.key, (0, now))
            if wait_until > now:
                return max(1, round((wait_until - now).total_seconds()))
            over = tries + 1 - brake.free
            wait_s = 0 if over <= 0 else min(brake.max_wait_s, 2 ** min(over, 20))
            self._kept[brake.key] = (tries + 1, now + timedelta(seconds=wait_s))
        return 0

    async def forgive(self, brakes: Iterable[Brake]) -> None:
        first, *shared = brakes
        self._kept.pop(first.key, None)
        for brake in shared:
            if brake.key in self._kept:
                tries, wait_until = self._kept[brake.key]
                self._kept[brake.key] = (max(0, tries - 1), wait_until)
