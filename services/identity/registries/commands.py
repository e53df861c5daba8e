"""Commands about registries: import an extraction, and ask about members again out of turn."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
from pymongo.errors import PyMongoError

from services.identity.settings import Settings
from shared import log
from shared.errors import NotNow, WrongSetting
from shared.mongo import Mongo
from shared.settings import load

T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def registry_commands(cli: typer.Typer) -> None:
    """Add these commands to identity's."""

    @cli.command()
    def import_extraction(
        files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="PS_LibreAcces_…txt, unpacked.")],
        force: Annotated[bool, typer.Option(help="Also where many lines or people are missing.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Import the open extraction of the Annuaire Santé, and use it from then on in place of the one before."""
        # Here and not above: the other commands start without these.
        from services.identity.registries.extraction import Extraction, FileUnusable, ImportRefused, Report

        async def work(mongo: Mongo, _: Settings) -> Report:
            extraction = Extraction(mongo.db)
            await extraction.prepare()
            return await extraction.import_files(files, force=force)

        try:
            report = _with_mongo(work)
        except (FileUnusable, ImportRefused) as error:
            _stop(str(error))
        except OSError as error:
            _stop(f"{error.filename} cannot be read: {error.strerror}.")
        shown = {
            "people": report.people,
            "people_before": report.people_before,
            "lines": report.lines,
            "other_registers": report.other_registers,
            "malformed_lines": report.malformed_lines,
            "as_of": report.as_of.isoformat() if report.as_of else None,
        }
        if as_json:
            typer.echo(json.dumps(shown))
            return
        typer.echo(f"{report.people} people practise by {report.lines} lines, as of {shown['as_of']}.")
        for name, line, reason in report.malformed:
            typer.echo(f"{name}, line {line}: {reason}", err=True)

    @cli.command()
    def recheck(
        member: Annotated[str | None, typer.Option(help="Ask about this member id now, due or not.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """Ask the registries about every member who is due, as the worker does, and say what they answered.

        Exit status 4: a registry is away.
        """
        from services.identity.domain.recheck import Rhythm
        from services.identity.registries.matching import Matching
        from services.identity.registries.opening import open_registries
        from services.identity.registries.watch import Watch
        from services.identity.store.accounts import Accounts
        from services.identity.store.kept_requests import KeptRequests
        from services.identity.store.mails import Mails
        from services.identity.store.number_index import NumberIndex
        from services.identity.store.verifications import Verifications
        from shared.sealed import SealedField
        from shared.wrapping import open_keyring

        async def work(mongo: Mongo, settings: Settings) -> dict[str, int]:
            keyring = open_keyring(settings)
            sealed = SealedField(keyring)
            accounts = Accounts(mongo)
            verifications = Verifications(mongo, accounts, sealed, NumberIndex(mongo.db, sealed))
            registries = open_registries(settings, mongo.db)
            rhythm = Rhythm(every=timedelta(days=settings.recheck_days))
            mails = Mails(mongo, sealed)
            matching = Matching(registries, verifications, KeptRequests(mongo.db, sealed), mails, rhythm=rhythm)
            watch = Watch(
                mongo.db,
                registries,
                verifications,
                matching,
                mails,
                accounts.by_id,
                rhythm=rhythm,
            )
            try:
                return (await watch.check_due(member)).counts
            finally:
                for registry in registries.values():
                    await registry.close()
                await keyring.close()

        counts = _with_mongo(work)
        said = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nobody was due"
        typer.echo(json.dumps(counts) if as_json else said)
        if "away" in counts:
            raise typer.Exit(4)


def _with_mongo(work: Callable[[Mongo, Settings], Awaitable[T]]) -> T:
    """Run `work` with the settings and the database; what an operator can mend becomes one sentence."""
    settings = load(Settings)
    log.configure("identity", "ERROR", "text")  # standard output is the command's own

    async def run() -> T:
        mongo = Mongo(settings.mongo_uri.get_secret_value(), settings.mongo_database)
        try:
            return await work(mongo, settings)
        finally:
            mongo.close()

    try:
        return asyncio.run(run())
    except WrongSetting as error:
        _stop(str(error))
    except PyMongoError as error:
        _stop(f"MongoDB does not serve us: {error}. Is it running, and are IDENTITY_MONGO_URI's credentials right?", 3)
    except NotNow as error:
        _stop(f"Not now: {error}. Run it again later.", 3)


def _stop(sentence: str, status: int = 1) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(status)
