"""The command `apply-ledger`: what came back with a restored bucket and was withdrawn since is erased again."""

import asyncio
from collections.abc import Collection, Sequence

import typer
from aiokafka.errors import KafkaError

from services.redactor.command.paint import fail
from services.redactor.settings import Settings
from services.redactor.store import Rooms
from shared.blobs import REDACTED, Blobs
from shared.bus import Received
from shared.errors import NotNow, WrongSetting
from shared.events import CaseWithdrawn
from shared.ledger import Ledger
from shared.originals import RawRoom
from shared.settings import load
from shared.wrapping import open_keyring


def apply_ledger() -> None:
    """Erase the painted pictures of every case in the ledger of withdrawals; for after a restore of their bucket.

    Run it before the feed is started again. May be repeated; exit status 3: something was away, run it again.
    """
    try:
        lines, erased = asyncio.run(_apply(load(Settings)))
    except WrongSetting as error:
        fail(str(error))
    except (NotNow, KafkaError) as error:
        typer.echo(f"Stopped half-way, which does no harm; run it again. {error}", err=True)
        raise typer.Exit(3) from error
    typer.echo(f"The ledger has {lines} withdrawals; painted pictures of {erased} of these cases were erased.")


async def _apply(settings: Settings) -> tuple[int, int]:
    blobs, keyring = Blobs(settings), open_keyring(settings)
    rooms = Rooms(blobs, RawRoom(blobs, keyring))
    try:
        there = {entry.key.partition("/")[0] for entry in await blobs.list_prefix(REDACTED)}

        async def still_there(case_ids: Collection[str]) -> set[str]:
            return there & set(case_ids)

        async def erase(lines: Sequence[Received[CaseWithdrawn]]) -> None:
            for line in lines:
                await rooms.erase(line.key)
                there.discard(line.key)

        return await Ledger(settings, still_there, erase).read()
    finally:
        await keyring.close()
        blobs.close()
