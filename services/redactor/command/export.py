"""The command `export-dicom`: DICOM files anew, without the patient."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from services.redactor.command.page import REASONS
from services.redactor.command.paint import fail
from services.redactor.domain import Unreadable
from services.redactor.weights import DEFAULT_DIRECTORY, WeightsMissing
from shared.errors import WrongSetting


def export_dicom(
    source: Annotated[Path, typer.Argument(help="A DICOM file, or a folder of them.", metavar="IN")],
    out: Annotated[Path, typer.Option(help="The file to write, or for a folder the folder to write into.")],
    weights_dir: Annotated[
        Path, typer.Option(help="Folder of the model weights.", envvar="REDACTOR_WEIGHTS_DIR")
    ] = DEFAULT_DIRECTORY,
    max_pixels: Annotated[int, typer.Option(min=1, help="Largest frame that is unpacked.")] = 60_000_000,
    time_limit: Annotated[
        float, typer.Option(min=1.0, help="Seconds for one file; a tenth more for each further frame of it.")
    ] = 120.0,
) -> None:
    """Write DICOM files anew without the patient: painted pixels, a header of PS3.15's Basic Profile, new UIDs.

    Files of a folder are named by their new UID: an old name may say who it is. Each is worked on in a process of its
    own with limits of time and memory. Exit status 1 if any file failed. A person should look at every picture before
    it is passed on.
    """
    if not source.exists():
        fail(f"{source}: not there")
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    if not files:
        fail(f"{source}: no files in it")
    if not source.is_dir() and out.is_dir():
        fail(f"--out {out} is a folder; for one file name the file to write")
    if out.exists() and out.resolve() in {source.resolve(), *(file.resolve() for file in files)}:
        fail("--out would overwrite what is read")
    try:
        failed = asyncio.run(_export_all(files, out, source.is_dir(), weights_dir, max_pixels, time_limit))
    except (WeightsMissing, WrongSetting) as error:
        fail(str(error))
    if failed:
        raise typer.Exit(1)


async def _export_all(
    files: list[Path], out: Path, folder: bool, weights_dir: Path, max_pixels: int, time_limit_s: float
) -> int:
    """How many failed; each is named with the reason."""
    from services.redactor.export import Export
    from services.redactor.pixels.deidentify import new_run
    from services.redactor.pixels.pool import Limits, PixelPool

    pool = PixelPool(weights_dir, workers=1, limits=Limits(time_s=time_limit_s, max_pixels=max_pixels))
    run = new_run()
    failed = 0
    try:
        for number, file in enumerate(files, 1):
            try:
                exported = await pool.run(Export(file.read_bytes(), run))
                target = out / f"{exported.uid}.dcm" if folder else out
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(exported.data)
            except (Unreadable, OSError) as error:
                reason = f"{REASONS[error.reason][1]} ({error})" if isinstance(error, Unreadable) else error.strerror
                typer.echo(f"{file}: {reason}", err=True)
                failed += 1
                continue
            left = f", {exported.residual} to be looked at again" if exported.residual else ""
            typer.echo(f"{number}/{len(files)} {target}: {exported.frames} frames, {exported.boxes} boxes{left}")
    finally:
        pool.close()
    return failed
