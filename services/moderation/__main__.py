"""Moderation's command line: run the service, or verify and print the audit chain of a case."""

import asyncio
import json
from typing import Annotated, NoReturn

import typer
from pymongo.errors import PyMongoError

from services.moderation.domain import CaseUnknown
from services.moderation.settings import Settings
from services.moderation.store import AuditTrail, Reviews
from shared import log, web
from shared.errors import WrongSetting
from shared.mongo import Mongo
from shared.settings import load

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@cli.command()
def serve() -> None:
    """Run the service until it is told to stop (SIGTERM, Ctrl-C)."""
    from services.moderation.app import create_app

    settings = load(Settings)
    log.configure("moderation", settings.log_level, settings.log_format)
    try:
        app = create_app(settings)
    except WrongSetting as error:
        _stop(str(error))
    web.serve(app, settings)


@cli.command()
def audit(
    case_id: Annotated[str, typer.Argument(metavar="CASE_ID")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a record.")] = False,
) -> None:
    """Print every act on a case and verify the chain of records. Status 1 where the chain is broken."""
    trail = _trail(case_id)
    for record in trail.records:
        typer.echo(json.dumps(record, ensure_ascii=False) if as_json else _line(record))
    for flaw in trail.flaws:
        typer.echo(f"record {flaw.sequence}: {flaw.problem}", err=True)
    if trail.flaws:
        _stop(f"the chain of {len(trail.records)} records is broken")
    typer.echo(f"{len(trail.records)} records, the chain is whole", err=True)


def _trail(case_id: str) -> AuditTrail:
    settings = load(Settings)

    async def run() -> AuditTrail:
        mongo = Mongo(settings.mongo_uri.get_secret_value(), settings.mongo_database)
        try:
            return await Reviews(mongo).audit(case_id)
        finally:
            mongo.close()

    try:
        return asyncio.run(run())
    except CaseUnknown:
        _stop(f"There is no case '{case_id}' in moderation.")
    except WrongSetting as error:
        _stop(str(error))
    except PyMongoError as error:
        _stop(
            f"MongoDB does not serve us: {error}. Is it running, and are MODERATION_MONGO_URI's credentials right?", 3
        )


def _line(record: dict[str, object]) -> str:
    about = [f"{name}={record[name]}" for name in ("version", "picture_id", "revision", "frame") if record[name]]
    detail = json.dumps(record["detail"], ensure_ascii=False) if record["detail"] else ""
    fields = (record["at"], f"{record['act']:<14}", record["actor"], *about, detail)
    return f"{record['sequence']:>4}  " + "  ".join(str(field) for field in fields if field)


def _stop(sentence: str, status: int = 1) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(status)


if __name__ == "__main__":
    cli()
