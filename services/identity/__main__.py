"""identity's command line: run the service, and make, verify, suspend and list members by hand, wrap keys again.

Changes take effect through the outbox: the running service tells the others within seconds; where it does not run
now, it does so at its next start. Passwords come from standard input or are made here, never from an argument.
"""

import asyncio
import re
import secrets
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pymongo.errors import PyMongoError

from services.identity.commands import Stores, find, show, stop, with_accounts, with_stores
from services.identity.domain.account import (
    Account,
    EmailMalformed,
    PasswordTooWeak,
    PseudonymMalformed,
    RolesRefused,
    check_password,
    check_roles,
    normalise_email,
    normalise_pseudonym,
)
from services.identity.domain.factors import TOTP_FIELD, Totp, new_totp_secret, totp_uri
from services.identity.domain.letters import Letter
from services.identity.registries.commands import registry_commands
from services.identity.settings import Settings
from services.identity.store.accounts import Accounts
from services.identity.store.keys import LEAD_S, RotationPending, rotate
from services.identity.store.passwords import Passwords
from shared import log
from shared.blobs import CREDENTIALS, Blobs
from shared.errors import NotNow, WrongSetting
from shared.events import STAFF_ROLES, Profession, Role, Specialty
from shared.mongo import Mongo, Session
from shared.sealed import SealedField, SealedRoom
from shared.sealed_fields import SealedFields
from shared.settings import load
from shared.wrapping import Rewrappable, open_keyring, rewrap_everything

T = TypeVar("T")
cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
registry_commands(cli)

Who = Annotated[str, typer.Argument(metavar="EMAIL_OR_ID", help="The member's e-mail address or member id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object (a list: one a line).")]


@cli.command()
def serve() -> None:
    """Run the service until it is told to stop (SIGTERM, Ctrl-C)."""
    # Here and not above: the other commands need no web framework and start in half the time.
    from services.identity.app import create_app
    from shared import web

    settings = load(Settings)
    log.configure("identity", settings.log_level, settings.log_format)
    try:
        app = create_app(settings)
    except WrongSetting as error:
        stop(str(error))
    web.serve(app, settings)


@cli.command()
def create_member(
    email: Annotated[str, typer.Option(help="E-mail address, the name under which the member signs in.")],
    pseudonym: Annotated[str, typer.Option(help="The name that other members see.")],
    profession: Annotated[
        Profession | None, typer.Option(help="Patients, relatives and privacy officers may have none.")
    ] = None,
    specialty: Annotated[Specialty | None, typer.Option()] = None,
    country: Annotated[str | None, typer.Option(metavar="CC", help="Two letters, ISO 3166-1.")] = None,
    role: Annotated[
        list[Role] | None, typer.Option(help="May be repeated. With a profession, member is added.")
    ] = None,
    verified: Annotated[bool, typer.Option("--verified", help="Verify the member at once.")] = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input (first line).")
    ] = False,
    totp_stdin: Annotated[
        bool,
        typer.Option(
            "--totp-stdin", help="Read the authenticator app's secret (base32) from standard input, the next line."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make an account, whose address counts as confirmed.

    Without --password-stdin a random password is made and printed, this once. Moderators, credential reviewers and
    privacy officers get an authenticator app's secret as well, which is printed this once unless it was given.
    """
    if country is not None and not (len(country) == 2 and country.isascii() and country.isalpha()):
        stop(f"'{country}' is no country code: give two letters, for example FR.")
    try:
        email, pseudonym = normalise_email(email), normalise_pseudonym(pseudonym)
    except EmailMalformed:
        stop(f"'{email}' is not an e-mail address.")
    except PseudonymMalformed as error:
        stop(f"'{error}' is no pseudonym: 3 to 40 letters, digits, spaces, dots, apostrophes or hyphens.")
    try:
        check_roles(profession, frozenset(role or ()))
    except RolesRefused as error:
        stop(str(error))
    made = None if password_stdin else secrets.token_urlsafe(18)
    password = made or sys.stdin.readline().rstrip("\r\n")
    try:
        check_password(password, email=email, pseudonym="" if made else pseudonym)
    except PasswordTooWeak as error:
        stop(str(error))

    roles = frozenset(role or ())
    given = sys.stdin.readline().strip() if totp_stdin else ""
    secret = given or (new_totp_secret() if roles & STAFF_ROLES else "")
    if given and not re.fullmatch(r"[A-Z2-7]{32,128}", given):
        stop("The authenticator app's secret has to be 32 or more characters of base32.")

    async def work(stores: Stores) -> Account:
        now = datetime.now(UTC)
        account = Account.register(
            email=email,
            password_hash=await Passwords(at_once=1, waiting=0).hash(password),
            pseudonym=pseudonym,
            profession=profession,
            specialty=specialty,
            country=country,
            roles=roles,
            now=now,
        )
        if verified:
            account = account.verify(now)
        # Sealed before anything is written: a wrong key leaves no account behind that lacks its second factor.
        totp = secret and Totp(await stores.sealed().seal(account.member_id, TOTP_FIELD, secret.encode()), now)
        await stores.accounts.add(account)
        if totp:
            await stores.factors.change(account.member_id, lambda factors: factors.with_totp(totp))
        return account

    account = with_stores(work)
    shown = {"password": made} if made else {}
    if secret and not given:
        shown |= {"totp_secret": secret, "totp_uri": totp_uri(secret, account.pseudonym)}
    show(account, as_json, f"made {account.pseudonym}", once=shown)


@cli.command()
def verify(
    who: Who,
    registry: Annotated[str | None, typer.Option(help="Where the profession was found, for example 'rpps'.")] = None,
    as_json: AsJson = False,
) -> None:
    """Note that the member is the health professional they say they are."""
    account = _move(who, lambda found: found.verify(datetime.now(UTC), registry), Letter.ACCOUNT_VERIFIED)
    show(account, as_json, f"verified {account.pseudonym}")


@cli.command()
def suspend(
    who: Who,
    reason: Annotated[str, typer.Option(help="Why; stays in identity.")],
    as_json: AsJson = False,
) -> None:
    """Shut the member out of everything, open sessions included."""
    account = _move(who, lambda found: found.suspend(reason), Letter.ACCOUNT_SUSPENDED)
    show(account, as_json, f"suspended {account.pseudonym}")


@cli.command()
def reinstate(who: Who, as_json: AsJson = False) -> None:
    """End a suspension."""
    account = _move(who, lambda found: found.reinstate())
    show(account, as_json, f"reinstated {account.pseudonym}")


@cli.command()
def reset_factors(who: Who, as_json: AsJson = False) -> None:
    """Forget a member's second factors and end their sessions: for who has lost them all and proved who they are.

    The member is told by mail, and signs in by password alone; staff roles are closed to them until they add a factor.
    """

    async def work(stores: Stores) -> Account:
        account = await find(stores.accounts, who)
        mails = stores.mails()
        await stores.factors.forget(account.member_id)
        await stores.sessions.end_all(account.member_id)
        await mails.enqueue(account.member_id, Letter.SECOND_FACTOR_REMOVED, {"factor": "all"})
        return account

    account = with_stores(work)
    show(account, as_json, f"forgot the second factors of {account.pseudonym}")


@cli.command()
def sign_out(who: Who, as_json: AsJson = False) -> None:
    """End all sessions of a member."""

    async def work(stores: Stores) -> Account:
        account = await find(stores.accounts, who)
        await stores.sessions.end_all(account.member_id)
        return account

    account = with_stores(work)
    show(account, as_json, f"signed out {account.pseudonym}")


@cli.command()
def send_reset(who: Who, as_json: AsJson = False) -> None:
    """Send a member the link by which they choose a new password. Nobody else sees it."""

    async def work(stores: Stores) -> Account:
        account = await find(stores.accounts, who)
        await stores.mails().enqueue_to(account.email, Letter.PASSWORD_RESET)
        return account

    account = with_stores(work)
    show(account, as_json, f"wrote to {account.pseudonym}")


@cli.command()
def rotate_keys(
    file: Annotated[
        Path | None, typer.Option(help="The file of signing keys; without it IDENTITY_SIGNING_KEY_FILE.")
    ] = None,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Drop all other keys now: for a key that others have got hold of.")
    ] = False,
) -> None:
    """Put a new key that signs access tokens into the file. Nobody is signed out, and no restart is needed.

    It is published at once, signs in a quarter of an hour, and the key before it stays published until its last token
    has expired. With --at-once tokens are refused that the others have signed; clients go on with refresh tokens.
    """
    settings = load(Settings)
    path = file or settings.signing_key_file
    try:
        key_id, signs_from = rotate(path, settings.access_token_ttl_s, lead_s=0 if at_once else LEAD_S)
    except RotationPending as pending:
        stop(f"A rotation is under way: {pending}. Wait for that, or say --at-once.")
    except FileNotFoundError:
        stop(f"There is no file {path}. Name the file of signing keys; the service makes it at its first start.")
    except WrongSetting as error:
        stop(str(error))
    except OSError as error:
        stop(f"{path} cannot be read: {error.strerror}.")
    begins = datetime.fromtimestamp(signs_from, UTC).isoformat(timespec="seconds")
    typer.echo(f"{path}: key {key_id} signs from {begins}.")


@cli.command()
def list_members(as_json: AsJson = False) -> None:
    """List every member, oldest first."""

    async def work(accounts: Accounts) -> list[Account]:
        return [account async for account in accounts.all()]

    for account in with_accounts(work):
        if as_json:
            show(account, as_json, "")
        else:
            roles = ",".join(sorted(account.roles))
            fields = (account.status, account.profession or "-", roles, account.email, account.pseudonym)
            typer.echo("  ".join((account.member_id, *fields)))


def _move(who: str, move: Callable[[Account], Account], letter: Letter | None = None) -> Account:
    """Move an account, and write to its member in the same act."""

    async def work(stores: Stores) -> Account:
        member_id = (await find(stores.accounts, who)).member_id
        mails = stores.mails() if letter else None

        async def write(session: Session) -> Account:
            moved = await stores.accounts.change_within(session, member_id, move)
            if mails is not None and letter is not None:
                await mails.enqueue(member_id, letter, {"reason": ""}, session=session)
            return moved

        return await stores.mongo.transaction(write)

    return with_stores(work)


@cli.command()
def rewrap() -> None:
    """Wrap the keys of all documents and sealed fields with the current wrapping key; the service may run meanwhile.

    Exit status 1: some are still under an older key, which must not be taken away yet.
    """
    settings = load(Settings)
    log.configure("identity", "WARNING", "text")
    try:
        complete = asyncio.run(_rewrap(settings))
    except (PyMongoError, NotNow) as error:
        stop(f"Stopped half-way, which does no harm; run it again. {error}", 3)
    except WrongSetting as error:
        stop(str(error))
    if not complete:
        raise typer.Exit(1)


async def _rewrap(settings: Settings) -> bool:
    keyring = open_keyring(settings)
    blobs, mongo = Blobs(settings), Mongo(settings.mongo_uri.get_secret_value(), settings.mongo_database)
    try:
        places: dict[str, Rewrappable] = {
            CREDENTIALS: SealedRoom(blobs, CREDENTIALS, keyring),
            "sealed fields": SealedFields(mongo, SealedField(keyring)),
        }
        return await rewrap_everything(places, typer.echo)
    finally:
        await keyring.close()
        blobs.close()
        mongo.close()


if __name__ == "__main__":
    cli()
