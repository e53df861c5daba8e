"""`python -m services.ingest serve`, `… rewrap`, and `… unknown-cases`"""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from pymongo.errors import PyMongoError

from services.ingest.app import create_app
from services.ingest.settings import Settings
from services.ingest.store import UnknownCases
from shared import log, web
from shared.blobs import PROOFS, RAW, Blobs
from shared.errors import NotNow, WrongSetting
from shared.mongo import Mongo
from shared.originals import RawRoom
from shared.sealed import SealedField, SealedRoom
from shared.sealed_fields import SealedFields
from shared.settings import load, stop
from shared.wrapping import Rewrappable, open_keyring, rewrap_everything

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@cli.callback()
def ingest() -> None:
    """Ingest: drafts, consents, original pictures, comments, withdrawal."""


@cli.command()
def serve() -> None:
    """Serve until SIGTERM; ROLE=all|api|worker chooses what this process runs."""
    settings = load(Settings)
    log.configure("ingest", settings.log_level, settings.log_format)
    try:
        app = create_app(settings)
    except WrongSetting as error:
        stop(str(error))
    web.serve(app, settings)


@cli.command()
def rewrap() -> None:
    """Wrap the keys of all originals, proofs and sealed fields with the current wrapping key; services may run.

    Exit status 1: some are still under an older key, which must not be taken away yet.
    """
    settings = load(Settings)
    log.configure("ingest", "WARNING", "text")
    try:
        complete = asyncio.run(_rewrap(settings))
    except WrongSetting as error:
        stop(str(error))
    except (PyMongoError, NotNow) as error:
        stop(f"Stopped half-way, which does no harm; run it again. {error}", 3)
    if not complete:
        raise typer.Exit(1)


async def _rewrap(settings: Settings) -> bool:
    keyring = open_keyring(settings)
    blobs, mongo = Blobs(settings), Mongo(settings.mongo_uri.get_secret_value(), settings.mongo_database)
    try:
        places: dict[str, Rewrappable] = {
            RAW: RawRoom(blobs, keyring).sealed,
            PROOFS: SealedRoom(blobs, PROOFS, keyring),
            "sealed fields": SealedFields(mongo, SealedField(keyring)),
        }
        return await rewrap_everything(places, typer.echo)
    finally:
        await keyring.close()
        blobs.close()
        mongo.close()


@cli.command()
def unknown_cases(
    withdraw: Annotated[bool, typer.Option("--withdraw", help="End them for good, after having looked.")] = False,
) -> None:
    """List published cases that ingest does not know, for after a restore; with --withdraw, end them for good.

    They were published after the backup that ingest came out of: neither their author nor a patient's code can end
    them. Run it while ingest runs, so that the end is sent and its objects are erased. Exit status 1: there are some.
    """
    settings = load(Settings)
    log.configure("ingest", "WARNING", "text")
    try:
        left = asyncio.run(_unknown_cases(settings, withdraw=withdraw))
    except (PyMongoError, KafkaError, NotNow) as error:
        stop(f"Stopped half-way, which does no harm; run it again. {error}", 3)
    if left:
        raise typer.Exit(1)


async def _unknown_cases(settings: Settings, *, withdraw: bool) -> int:
    """Returns how many are left."""
    mongo = Mongo(settings.mongo_uri.get_secret_value(), settings.mongo_database)
    try:
        cases, ended = UnknownCases(mongo, settings), 0
        found = await cases.find()
        for one in found:
            approval = one.approval
            done = withdraw and await cases.end(one, datetime.now(UTC))
            ended += done
            about = f"approved {approval.approved_at:%Y-%m-%d %H:%M}, by member {approval.author_id}"
            typer.echo(f"{approval.case_id}: {about}, {len(approval.pictures)} pictures{', ended' if done else ''}")
        typer.echo(f"{len(found)} published cases are unknown here, {ended} of them were ended.")
        return len(found) - ended
    finally:
        mongo.close()


if __name__ == "__main__":
    cli()
