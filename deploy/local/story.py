"""Tells what happens, step by step: a live line on a terminal, plain lines where the output is piped."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape


@dataclass
class Step:
    """One step being told. `note` adds what came of it; `seconds` is known once it is over."""

    who: str
    what: str
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def note(self, text: str) -> None:
        self.notes.append(text)


class Story:
    """Prints each step with who, what and how long."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self.steps: list[Step] = []

    def say(self, text: str = "") -> None:
        """A line that is no step."""
        self._console.print(escape(text))

    def chapter(self, title: str) -> None:
        self._console.print(f"\n[bold]{escape(title)}[/bold]")

    @contextmanager
    def step(self, who: str, what: str) -> Iterator[Step]:
        """Tell a step: a spinner while it lasts (terminals only), then one line. Errors pass through."""
        told = Step(who, what)
        self.steps.append(told)
        started = time.monotonic()
        try:
            if self._console.is_terminal:
                with self._console.status(f"{escape(who)} {escape(what)} …"):
                    yield told
            else:
                yield told
        except BaseException:
            self._line(told, time.monotonic() - started, "✗", "red")
            raise
        self._line(told, time.monotonic() - started, "✓", "green")

    def _line(self, told: Step, seconds: float, mark: str, colour: str) -> None:
        told.seconds = seconds
        more = f"  ({'; '.join(told.notes)})" if told.notes else ""
        head = f"[{colour}]{mark}[/{colour}] {seconds:6.2f} s"
        self._console.print(f"{head}  {escape(told.who):<12} {escape(told.what)}[dim]{escape(more)}[/dim]")
