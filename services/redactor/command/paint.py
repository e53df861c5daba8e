"""The command `paint`: a batch of files in; painted copies, a report and, if wished, a page to look at them out."""

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from services.redactor import weights as weights_store
from services.redactor.command import jobs as places
from services.redactor.command.jobs import Job
from services.redactor.command.previews import Previews
from services.redactor.command.review import Review
from services.redactor.domain import Reason, Thresholds, Unreadable
from services.redactor.inference import EngineKind
from shared.errors import WrongSetting
from shared.events import PictureKind

THRESHOLD_NAMES = tuple(field.name for field in fields(Thresholds))

WeightsDir = Annotated[Path, typer.Option(help="Folder of the model weights.", envvar="REDACTOR_WEIGHTS_DIR")]


def paint(
    paths: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.", metavar="PATH...")],
    out: Annotated[Path, typer.Option(help="Folder for the painted pictures.")],
    report: Annotated[Path, typer.Option(help="JSON file that says what was painted where.")],
    review: Annotated[
        Path | None,
        typer.Option(
            help="HTML page to look at: before, found, after. It holds the UNPAINTED pictures: never share it.",
            metavar="FILE.html",
        ),
    ] = None,
    kind: Annotated[
        PictureKind | None, typer.Option(help="What all the pictures are; without it each is told by its look.")
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(help=f"Score from which a kind is painted, e.g. face=0.3. Names: {', '.join(THRESHOLD_NAMES)}."),
    ] = None,
    engine: Annotated[
        EngineKind,
        typer.Option(help="What runs the networks; auto: the fastest that is installed.", envvar="REDACTOR_ENGINE"),
    ] = EngineKind.AUTO,
    weights_dir: WeightsDir = weights_store.DEFAULT_DIRECTORY,
    workers: Annotated[int, typer.Option(min=1, help="Pictures at a time, each in a process of its own.")] = 1,
    max_pixels: Annotated[int, typer.Option(min=1, help="Largest picture that is unpacked.")] = 60_000_000,
) -> None:
    """Paint every picture in PATHs; outputs keep relative path and stem. Exit status 1 if any file failed."""
    thresholds = thresholds_of(threshold or [])
    for path in paths:
        places.require_readable(path)
    try:
        jobs = places.jobs_of(paths, out)
    except OSError as error:
        fail(f"cannot be read: {places.where(error)}")
    if not jobs:
        fail("no files in " + ", ".join(map(str, paths)))
    places.require_apart(jobs, {"--report": report} | ({"--review": review} if review else {}))
    places.require_folder(out)
    page = Review.at(review) if review else None
    try:
        half = places.require_file_place(report, "--report")
    except typer.BadParameter:
        if page:
            page.close()
        raise
    batch = _Batch(out, kind, thresholds, engine, weights_dir, min(workers, len(jobs)), max_pixels, page)
    try:
        images = asyncio.run(batch.painted(jobs))
        half.write_text(json.dumps({"images": images}, indent=1) + "\n")
        os.replace(half, report)
        if page:
            page.finish(len(jobs))
    except (weights_store.WeightsMissing, WrongSetting) as error:
        fail(str(error))
    except OSError as error:  # a full disk, or somebody changed the folders meanwhile
        fail(f"stopped: {places.where(error)}")
    finally:
        half.unlink(missing_ok=True)
        if page:
            page.close()
    if page:
        typer.echo(f"{review} holds unpainted pictures: keep it to yourself, and delete it when you have looked")
    failed = sum("error" in image for image in images)
    if failed:
        fail(f"{failed} of {len(jobs)} files could not be redacted; see {report}")


def thresholds_of(given: list[str]) -> Thresholds:
    """`["face=0.3"]` as thresholds, the others at their defaults. Raises typer.BadParameter with a sentence."""
    thresholds = Thresholds()
    for each in given:
        name, _, number = each.partition("=")
        if name not in THRESHOLD_NAMES:
            known = ", ".join(THRESHOLD_NAMES)
            raise typer.BadParameter(f"there is no threshold {name!r}; there are {known}", param_hint="--threshold")
        try:
            score = float(number)
        except ValueError:
            score = -1.0
        if not 0 <= score <= 1:
            raise typer.BadParameter(f"{each}: write {name}= and a number from 0 to 1", param_hint="--threshold")
        thresholds = replace(thresholds, **{name: score})
    return thresholds


@dataclass(frozen=True)
class _Batch:
    """What is the same for every file of a run."""

    out: Path
    kind: PictureKind | None
    thresholds: Thresholds
    engine: EngineKind
    weights_dir: Path
    workers: int
    max_pixels: int
    review: Review | None

    async def painted(self, jobs: list[Job]) -> list[dict[str, Any]]:
        """The report's entries, in the order of the jobs."""
        from services.redactor.pixels.pool import Limits, PixelPool

        limits = Limits(max_pixels=self.max_pixels)
        pool = PixelPool(
            self.weights_dir, workers=self.workers, limits=limits, thresholds=self.thresholds, engine=self.engine
        )
        previews = Previews(self.max_pixels)
        results: dict[int, list[dict[str, Any]]] = {}
        waiting = iter(enumerate(jobs))

        async def one_at_a_time() -> None:
            for index, job in waiting:
                results[index] = await self._one(pool, previews, index, job)
                progress.done(job, results[index])

        try:
            with _Progress(len(jobs)) as progress:
                await asyncio.gather(*(one_at_a_time() for _ in range(pool.workers)))
        finally:
            pool.close()
            await previews.close()
        return [image for index in sorted(results) for image in results[index]]

    async def _one(self, pool: Any, previews: Previews, index: int, job: Job) -> list[dict[str, Any]]:
        try:
            data = await asyncio.to_thread(job.source.read_bytes)
            done = await pool.redact(data, kind=self.kind)
        except Unreadable as error:
            return self._failed(index, job, error.reason, error.detail)
        except OSError as error:
            return self._failed(index, job, Reason.ORIGINAL_MISSING, error.strerror or "")
        images = []
        for frame in done.frames:
            target = job.output(frame.index, len(done.frames))
            target.parent.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(target.write_bytes, frame.renditions[0].data)
            image = {
                "file": job.name,
                "frame": frame.index,
                "output": str(target.relative_to(self.out)),
                "width": frame.width,
                "height": frame.height,
                "seconds": round(frame.seconds, 3),
                "regions": [region.model_dump(mode="json") for region in frame.regions],
                "residual": [region.model_dump(mode="json") for region in frame.residual],
                "proposals": [region.model_dump(mode="json") for region in frame.proposals],
                "stages": {stage: round(seconds, 3) for stage, seconds in done.stages.items()},
            }
            images.append(image | ({"notes": list(done.notes)} if done.notes else {}))
        if self.review:
            before = await previews.of(data)
            after = [frame.renditions[1].data for frame in done.frames]
            await asyncio.to_thread(self.review.add, index, images, before, after)
        return images

    def _failed(self, index: int, job: Job, reason: Reason, detail: str) -> list[dict[str, Any]]:
        images: list[dict[str, Any]] = [{"file": job.name, "error": str(reason), "detail": detail}]
        if self.review:
            self.review.add(index, images, [], [])
        return images


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
        """One file more. A failed one is named even beside the bar."""
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


def fail(why: str) -> NoReturn:
    """A sentence on standard error and status 1."""
    typer.echo(why, err=True)
    raise typer.Exit(1)
