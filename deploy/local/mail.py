"""A catcher of mail for machines without a mail server: takes every letter and keeps it as a file, sends none on.

python -m deploy.local.mail serve --folder .data/mail --port 1025
python -m deploy.local.mail last --folder .data/mail      the newest letter, readable
"""

import asyncio
import signal
import time
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.local.ports import HOST

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope, Session

KEPT = 500
"""So many letters are kept; older ones go."""

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
Folder = Annotated[Path, typer.Option(help="Where the letters lie.")]


class Keeper:
    """What aiosmtpd does with a letter: writes it to a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, server: "SMTP", session: "Session", envelope: "Envelope") -> str:
        content = envelope.content
        draft = self._folder / f".{time.time_ns()}"
        draft.write_bytes(content.encode() if isinstance(content, str) else content or b"")
        draft.rename(self._folder / f"{draft.name[1:]}.eml")  # nobody reads half a letter
        for old in _files(self._folder)[:-KEPT]:
            old.unlink(missing_ok=True)
        return "250 kept"


def letters(folder: Path, to: str = "") -> list[EmailMessage]:
    """The letters that were caught, oldest first; only those to that address, where one is given."""
    found = [message_from_bytes(path.read_bytes(), policy=default) for path in _files(folder)]
    return [letter for letter in found if isinstance(letter, EmailMessage) and to in str(letter["To"])]


def readable(letter: EmailMessage) -> str:
    """A letter as a person wants to see it."""
    heads = "\n".join(f"{name}: {letter[name]}" for name in ("From", "To", "Date", "Subject"))
    return f"{heads}\n\n{letter.get_content()}"


def show_last(folder: Path, to: str = "") -> None:
    """Print the newest letter. Exit status 1 where there is none."""
    found = letters(folder, to)
    if not found:
        typer.echo(f"No letter{f' to {to}' if to else ''} in {folder}.", err=True)
        raise typer.Exit(1)
    typer.echo(readable(found[-1]), nl=False)


@cli.command()
def serve(
    folder: Folder,
    port: Annotated[int, typer.Option()] = 1025,
    host: Annotated[str, typer.Option()] = HOST,
) -> None:
    """Take letters until SIGTERM."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    asyncio.run(_serve(folder, host, port))


@cli.command()
def last(folder: Folder, to: Annotated[str, typer.Option(help="Only to this address.")] = "") -> None:
    """Print the newest letter."""
    show_last(folder, to)


async def _serve(folder: Path, host: str, port: int) -> None:
    from aiosmtpd.smtp import SMTP  # the other commands work without it

    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(lambda: SMTP(Keeper(folder), hostname="catcher"), host, port)
    async with server:
        await stopped.wait()


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.eml")) if folder.is_dir() else []


if __name__ == "__main__":
    from deploy.local.__main__ import main

    main(cli)
