"""What identity's commands have in common: the stores they work on, and sentences for operators."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn, TypeVar

import typer
from pymongo.errors import PyMongoError

from services.identity.domain.account import (
    Account,
    AccountUnknown,
    AlreadyTaken,
    EmailMalformed,
    MoveRefused,
    normalise_email,
)
from services.identity.settings import Settings
from services.identity.store.accounts import Accounts
from services.identity.store.factors import FactorStore
from services.identity.store.mails import Mails
from services.identity.store.sessions import Sessions
from shared.errors import NotNow, WrongSetting
from shared.keyring import KeyRing
from shared.mongo import Mongo
from shared.sealed import SealedField
from shared.settings import load
from shared.wrapping import open_keyring

T = TypeVar("T")


class Stores:
    """What a command works on, opened when it is needed: most commands need no wrapping key."""

    def __init__(self, settings: Settings) -> None:
        self.mongo = Mongo(settings.mongo_uri.get_secret_value(), settings.mongo_database)
        self.accounts = Accounts(self.mongo)
        self.factors = FactorStore(self.mongo.db)
        self.sessions = Sessions(self.mongo.db)
        self._settings = settings
        self._keyring: KeyRing | None = None

    def sealed(self) -> SealedField:
        """Raises WrongSetting."""
        self._keyring = self._keyring or open_keyring(self._settings)
        return SealedField(self._keyring)

    def mails(self) -> Mails:
        """Raises WrongSetting."""
        return Mails(self.mongo, self.sealed())

    async def close(self) -> None:
        if self._keyring is not None:
            await self._keyring.close()
        self.mongo.close()


def with_accounts(work: Callable[[Accounts], Awaitable[T]]) -> T:
    """Run `work` on the accounts, as `with_stores` does."""
    return with_stores(lambda stores: work(stores.accounts))


def with_stores(work: Callable[[Stores], Awaitable[T]]) -> T:
    """Run `work` on the stores; whatever can go wrong for an operator becomes one sentence."""
    settings = load(Settings)

    async def run() -> T:
        stores = Stores(settings)
        try:
            await stores.accounts.prepare()
            return await work(stores)
        finally:
            await stores.close()

    try:
        return asyncio.run(run())
    except AlreadyTaken as error:
        stop(f"{error} Choose another one, or see list-members.")
    except AccountUnknown as error:
        stop(f"There is no member '{error}'. See list-members.")
    except EmailMalformed as error:
        stop(f"'{error}' is neither an e-mail address nor a member id.")
    except (MoveRefused, WrongSetting) as error:
        stop(str(error))
    except NotNow as error:
        stop(f"That cannot be done now: {error}. Try again later.", 3)
    except PyMongoError as error:
        stop(f"MongoDB does not serve us: {error}. Is it running, and are IDENTITY_MONGO_URI's credentials right?", 3)


async def find(accounts: Accounts, who: str) -> Account:
    """The account of that address or id. Raises AccountUnknown, EmailMalformed."""
    found = await (accounts.by_email(normalise_email(who)) if "@" in who else accounts.by_id(who))
    if found is None:
        raise AccountUnknown(who)
    return found


def show(account: Account, as_json: bool, done: str, once: Mapping[str, str] | None = None) -> None:
    """Tell what was done. `once`: secrets that are shown this once."""
    if as_json:
        shown = {
            "member_id": account.member_id,
            "email": account.email,
            "pseudonym": account.pseudonym,
            "profession": account.profession,
            "roles": sorted(account.roles),
            "status": account.status,
            "version": account.version,
        }
        typer.echo(json.dumps({**shown, **(once or {})}, ensure_ascii=False))
        return
    typer.echo(f"{done} ({account.member_id}, {account.status})")
    for name, secret in (once or {}).items():
        typer.echo(f"{name}, shown this once: {secret}")


def stop(sentence: str, status: int = 1) -> NoReturn:
    """End the command with a sentence for its operator."""
    typer.echo(sentence, err=True)
    raise typer.Exit(status)
