"""Which files a batch paints, under which names their copies go, and whether these places can be written at all."""

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import typer

_FRAME = re.compile(r"(.+)-f\d{4,}")  # how `Job.output` names the frames of a picture with several


@dataclass(frozen=True)
class Job:
    """One file of the batch: where it lies and where its painted copy goes, without suffix."""

    source: Path
    target: Path
    name: str

    def output(self, frame: int, frames: int) -> Path:
        """Where one painted frame goes; only a picture with several has numbers in its outputs' names."""
        suffix = f"-f{frame:04d}.jpg" if frames > 1 else ".jpg"
        return self.target.with_name(self.target.name + suffix)


def jobs_of(paths: list[Path], out: Path) -> list[Job]:
    """A job for each file. No two share an output name, however many frames either turns out to have.

    Raises OSError for a folder inside that may not be listed.
    """
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


def require_readable(path: Path) -> None:
    """Typer refuses what is there and not readable; this, what is not there or would be read for ever."""
    if not path.exists():
        raise typer.BadParameter(f"{path} does not exist", param_hint="PATH...")
    if not path.is_file() and not path.is_dir():
        raise typer.BadParameter(f"{path} is neither a file nor a folder", param_hint="PATH...")


def require_apart(jobs: list[Job], files: dict[str, Path]) -> None:
    """No input may be overwritten, neither by a painted picture (of one frame or of several) nor by one of `files`
    (option -> what is written there), nor one of these by another."""
    sources = {job.source.resolve() for job in jobs}
    written: dict[Path, str] = {}
    for option, path in files.items():
        place = path.resolve()
        if place in sources:
            raise typer.BadParameter(f"{path} is one of the pictures", param_hint=option)
        if place in written:
            raise typer.BadParameter(f"{path} is asked for by {written[place]} too", param_hint=option)
        written[place] = option
    targets = {job.target.resolve() for job in jobs}
    for job in jobs:
        source = job.source.resolve()
        stem = source.with_suffix("")
        if source.suffix == ".jpg" and (stem in targets or _whole_of(stem) in targets):
            raise typer.BadParameter(f"a painted picture would replace {job.source}", param_hint="--out")


def require_folder(out: Path) -> None:
    """Make the folder and a file in it, to learn now and not after an hour that this cannot be done."""
    if out.exists() and not out.is_dir():
        raise typer.BadParameter(f"{out} is a file, not a folder", param_hint="--out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise typer.BadParameter(f"{out} cannot be written: {where(error)}", param_hint="--out") from None


def require_file_place(path: Path, option: str, mode: int = 0o666) -> Path:
    """Make the file that is written while the batch runs, beside `path`, with `mode` less the umask; it replaces
    `path` at the end, so that nobody ever sees half of one."""
    if path.is_dir():
        raise typer.BadParameter(f"{path} is a folder, not a file", param_hint=option)
    if path.exists() and not path.is_file():
        raise typer.BadParameter(f"{path} is not a file that can be replaced", param_hint=option)
    half = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        half.unlink(missing_ok=True)
        os.close(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {where(error)}", param_hint=option) from None
    return half


def where(error: OSError) -> str:
    """What a person needs of an OSError: the file and the system's reason."""
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


def _other_names(relative: Path) -> Iterator[str]:
    if relative.suffix:
        yield f"{relative.stem}-{relative.suffix.lstrip('.')}"
    yield from (f"{relative.stem}-{number}" for number in count(2))


def _whole_of(target: Path) -> Path | None:
    """For a name as frames get it (a-f0001): the picture (a) that would have this frame."""
    match = _FRAME.fullmatch(target.name)
    return target.with_name(match[1]) if match else None


def _files(path: Path) -> list[Path]:
    """The file itself, or every file of the folder but hidden ones, sorted."""
    if not path.is_dir():
        return [path]

    def stop(error: OSError) -> None:
        raise error

    found = []
    for folder, folders, names in os.walk(path, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(one for one in found if one.is_file())
