"""Look at messages that a service could not use, and send them back once their cause is mended.

    make dead-letters ARGS="show feed"
    make dead-letters ARGS="send-back feed --only 3-128"

With `PLATFORM=external` the administrator's address and credentials come from the environment, as for `provision`.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from deploy.local.platform import DATA, Platform
from deploy.local.processes import PlatformError
from shared import dead_letters
from shared.events import CONSUMES

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
Service = Annotated[str, typer.Argument(help=f"One of {', '.join(name for name in CONSUMES if CONSUMES[name])}.")]
DataDir = Annotated[Path, typer.Option("--data-dir", help="Where data, logs and secrets live.")]


@cli.command()
def show(service: Service, data_dir: DataDir = DATA) -> None:
    """List the letters of a service: where each came from, how often it was tried, and why it failed."""
    options = _admin(service, data_dir)

    async def read() -> list[dead_letters.DeadLetter]:
        return [found async for found in dead_letters.read(service, options)]

    letters = asyncio.run(read())
    for found in letters:
        typer.echo(f"{found.topic}  {found.letter_key}  tried {found.tries} times: {found.cause}")
    typer.echo(f"{len(letters)} dead letters of {service}")


@cli.command()
def send_back(
    service: Service,
    only: Annotated[str, typer.Option(help="One letter's key (3-128), or an id that it mentions.")] = "",
    data_dir: DataDir = DATA,
) -> None:
    """Put letters back into their topics, byte for byte, and erase them from the dead letters."""
    sent = asyncio.run(dead_letters.send_back(service, _admin(service, data_dir), only))
    typer.echo(f"{sent} letters of {service} sent back")


def _admin(service: str, data_dir: Path) -> dict[str, object]:
    if not CONSUMES.get(service):
        raise typer.BadParameter(f"{service!r} consumes nothing", param_hint="SERVICE")
    platform = Platform(data_dir)
    if platform.kind == "embedded" and "kafka" not in platform.running():
        raise PlatformError("Kafka is not running. Start it first: make up")
    return platform.admin_kafka()


if __name__ == "__main__":
    try:
        cli()
    except PlatformError as failure:
        typer.echo(str(failure), err=True)
        raise SystemExit(1) from None
