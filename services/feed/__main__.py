"""Command line of the feed: `python -m services.feed serve` and `python -m services.feed rebuild`."""

import asyncio
import gc
import json
import logging
from dataclasses import asdict
from typing import Annotated

import typer
from aiokafka.errors import KafkaError

from services.feed.app import SERVICE, create_app
from services.feed.rebuild import Rebuild, Report
from services.feed.settings import Settings
from services.feed.store import Builds, Projector, Superseded
from shared import log
from shared.errors import WrongSetting, dependency_is_away
from shared.mongo import Mongo
from shared.settings import load, stop
from shared.web import serve as serve_app

GC_THRESHOLDS = (100_000, 20, 50)

cli = typer.Typer(
    help="The feed: what verified members read.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@cli.command()
def serve() -> None:
    """Serve the API and consume events, as ROLE says."""
    settings = load(Settings)
    try:
        app = create_app(settings)
    except WrongSetting as error:
        stop(str(error))
    serve_app(app, settings)


@cli.command()
def rebuild(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    accept_differences: Annotated[
        bool, typer.Option("--accept-differences", help="Switch even where the new build is not the live one.")
    ] = False,
) -> None:
    """Replay all events into a fresh build, compare it with the live one, and switch over without a gap.

    Exit status 1: the builds differ and the live one was kept, or another rebuild took over.
    """
    settings = load(Settings)
    log.configure(SERVICE, "WARNING", "text")
    # A batch makes some 100,000 objects that die together. At its defaults the collector looks through them again
    # and again, which took 40 % of a replay's processor time.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        report = asyncio.run(_rebuild(settings, accept_differences))
    except WrongSetting as error:
        stop(str(error))
    except Superseded as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    except Exception as error:
        if not isinstance(error, KafkaError) and not dependency_is_away(error):
            raise
        typer.echo(f"Kafka or MongoDB does not answer as it should; the live build stays. {error!r}", err=True)
        raise typer.Exit(1) from error
    typer.echo(json.dumps(asdict(report)) if as_json else _told(report))
    if not report.switched:
        raise typer.Exit(1)


async def _rebuild(settings: Settings, accept_differences: bool) -> Report:
    mongo = Mongo(settings.mongo_uri.get_secret_value(), settings.mongo_database)
    try:
        builds = Builds(mongo.db)
        return await Rebuild(settings, mongo, builds, Projector(mongo, builds)).run(
            accept_differences=accept_differences
        )
    finally:
        mongo.close()


def _told(report: Report) -> str:
    lines = [f"{report.events:,} events in {report.seconds:.1f} s ({report.events_per_s:,.0f} events/s)"]
    if report.unreadable:
        lines.append(f"{report.unreadable:,} messages cannot be read; they lie in the dead letters")
    lines += [f"refused: {refused}" for refused in report.refused]
    if report.behind:
        lines.append(
            f"the live consumer is {report.behind:,} messages behind and makes no progress: is the feed running?"
        )
    for name, found in report.collections.items():
        lines.append(f"{name:9} {found.documents_candidate:>9,} documents  {found.hash_candidate}")
        if report.previous is not None and not found.equal:
            lines.append(f"{'  live':9} {found.documents_live:>9,} documents  {found.hash_live}")
            more = "" if found.differing == len(found.differing_ids) else ", …"
            lines.append(f"  {found.differing:,} differ: {', '.join(found.differing_ids)}{more}")
    if report.previous is None:
        lines.append(f"build {report.build} is live; there was none to compare it with")
    elif report.equal:
        lines.append(f"equal: build {report.build} is live, build {report.previous} is kept until the next rebuild")
    elif report.switched:
        lines.append(f"build {report.build} is live, with the differences above accepted")
    else:
        lines.append(
            f"build {report.previous} stays live: look at the differences, or accept them with --accept-differences"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    logging.captureWarnings(True)
    cli()
