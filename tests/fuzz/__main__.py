"""Fuzz the decoders for as long as is wished: `python -m tests.fuzz --minutes 10`.

What fails is kept as a file in the folder of --keep, with the number that makes it again on standard output.
"""

import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import broken, carried, made
from tests.fuzz.target import Target

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def fuzz(
    minutes: Annotated[float, typer.Option(min=0.01, help="How long.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Another number, other files.")] = 0,
    only: Annotated[str, typer.Option(help="Only whole files with this in their name.")] = "",
    corpus: Annotated[Path | None, typer.Option(help="A folder of further files to break.")] = None,
    keep: Annotated[Path, typer.Option(help="Where files that fail are put.")] = Path(".data/fuzz"),
) -> None:
    """Break whole files and decode them; exit status 1 if one did not end as a picture or as a reason."""
    files = made() | carried()
    if corpus is not None:
        files |= {str(path): path.read_bytes() for path in sorted(corpus.rglob("*")) if path.is_file()}
    files = {name: data for name, data in files.items() if only in name}
    end, failures = time.monotonic() + 60 * minutes, 0
    outcomes: Counter[str] = Counter()
    with Target() as target:
        for name, data in broken(files, seed, mutated):
            outcome = target.run(data)
            outcomes[outcome.what if outcome.kind == "unreadable" else outcome.kind] += 1
            if not outcome.allowed:
                failures += 1
                keep.mkdir(parents=True, exist_ok=True)
                place = keep / f"{name.split()[0].replace(':', '-')}.bin"
                place.write_bytes(data)
                typer.echo(f"{name}\n  {place}\n  {outcome.what}")
            if time.monotonic() > end:
                break
    typer.echo(f"{outcomes.total()} files: " + ", ".join(f"{count} {what}" for what, count in outcomes.most_common()))
    raise typer.Exit(1 if failures else 0)


if __name__ == "__main__":
    app()
