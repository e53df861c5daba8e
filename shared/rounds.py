"""Work that goes on for as long as a service runs: look, do what is due, wait, and look again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from shared.errors import dependency_is_away

Step = Callable[[], Awaitable[object]]
"""Does what is due. Returns True where there may be more at once; what else it returns does not matter."""


async def in_rounds(*steps: Step, every_s: float, what: str, log: logging.Logger) -> None:
    """Do each step in turn until cancelled, with a pause after a round in which none had more to do.

    A step that fails holds up no other and is tried again at the next round: `what` (a noun, for the log) waits for a
    dependency that is away; any other fault is logged with its traceback.
    """
    while True:
        more = False
        for step in steps:
            try:
                more = (await step()) is True or more
            except Exception as error:
                if dependency_is_away(error):
                    log.warning("%s waits for a dependency: %s", what, error)
                else:
                    log.exception("%s: a step failed, trying again", what)
        if not more:
            await asyncio.sleep(every_s)
