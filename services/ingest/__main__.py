"""`python -m services.ingest serve` and `python -m services.ingest rewrap`"""

import asyncio

import typer
from pymongo.errors import PyMongoError

from services.ingest.app import create_app
from services.ingest.settings import Settings
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


if __name__ == "__main__":
    cli()
