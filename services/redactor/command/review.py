"""The review page: one HTML file that shows every picture before, with what was found, and after.

It holds original, unpainted pictures: the file is readable to its owner only (mode 0600), loads nothing from anywhere
and says at its top that it must not be shared. Up to `INLINE_BYTES` of pictures stand in the page itself, so that a
usual batch is one file; those beyond lie beside it in `FILE_files/` (mode 0700) and load when they are scrolled to.
Pictures go to disk one by one: neither we nor the browser hold a large batch in memory.
"""

import base64
import contextlib
import os
import re
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import typer

from services.redactor.command import page
from services.redactor.command.jobs import require_file_place, where

INLINE_BYTES = 24_000_000
"""Bytes of JPEG within the page: base64 makes a third more of them, which browsers still open at once."""

_OURS = re.compile(r"\d{5,}-\d{4,}-(before|after)\.jpg")


@dataclass
class Review:
    """Collects pictures in any order; `finish` puts the page together in the order of the batch."""

    place: Path
    half: Path
    sections: IO[bytes]
    inline_bytes: int = INLINE_BYTES
    used_bytes: int = 0
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)
    contents: dict[int, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @classmethod
    def at(cls, place: Path) -> "Review":
        """Claim the page's place before any work; raises typer.BadParameter with a sentence where that fails."""
        half = require_file_place(place, "--review", 0o600)
        folder = files_of(place)
        try:
            if folder.is_dir():  # what an earlier run left: originals that nobody needs any more
                for name in os.listdir(folder):
                    if _OURS.fullmatch(name):
                        (folder / name).unlink()
            elif folder.exists():
                half.unlink()
                raise typer.BadParameter(f"{folder} is a file, not a folder", param_hint="--review")
            sections = tempfile.TemporaryFile(dir=place.parent)  # noqa: SIM115 - closed by `close`
        except OSError as error:
            half.unlink(missing_ok=True)
            raise typer.BadParameter(f"{place} cannot be written: {where(error)}", param_hint="--review") from None
        return cls(place, half, sections)

    def add(self, index: int, images: list[dict[str, Any]], before: list[bytes], after: list[bytes]) -> None:
        """The report's entries of file number `index`, with JPEGs of its frames; `before` may be shorter, or empty."""
        written = []
        for number, image in enumerate(images):
            anchor = f"p{index + 1}" + (f"f{number}" if len(images) > 1 else "")
            sources = [
                self._kept(shots[number], f"{index:05d}-{number:04d}-{name}.jpg") if number < len(shots) else None
                for name, shots in (("before", before), ("after", after))
            ]
            written.append(page.article(anchor, index + 1, image, *sources))
            self._count(image)
        data = "".join(written).encode()
        self.spans[index] = (self.sections.seek(0, os.SEEK_END), len(data))
        self.sections.write(data)
        self.contents[index] = page.line_of_contents(index + 1, images)
        self.counts["files"] += 1

    def finish(self, files: int) -> None:
        """Write the page of a batch of `files` and put it in its place."""
        with os.fdopen(os.open(self.half, os.O_WRONLY | os.O_TRUNC), "wb") as whole:
            contents = "".join(self.contents[index] for index in sorted(self.contents))
            whole.write(page.head(files, self.counts, self.seconds, contents).encode())
            for index in sorted(self.spans):
                start, length = self.spans[index]
                self.sections.seek(start)
                whole.write(self.sections.read(length))
            whole.write(page.foot().encode())
        os.replace(self.half, self.place)

    def close(self) -> None:
        """Leave nothing half-done behind: an unfinished page must not keep originals on the disk."""
        self.sections.close()
        if self.half.exists():
            self.half.unlink()
            shutil.rmtree(files_of(self.place), ignore_errors=True) if self._only_ours() else None

    def _only_ours(self) -> bool:
        with contextlib.suppress(OSError):
            return all(_OURS.fullmatch(name) for name in os.listdir(files_of(self.place)))
        return False

    def _kept(self, data: bytes, name: str) -> page.Source:
        if self.used_bytes + len(data) <= self.inline_bytes:
            self.used_bytes += len(data)
            return page.Source("data:image/jpeg;base64," + base64.b64encode(data).decode(), inline=True)
        folder = files_of(self.place)
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        return page.Source(f"{folder.name}/{name}", inline=False)

    def _count(self, image: dict[str, Any]) -> None:
        self.counts.update("state:" + state for state in page.states(image))
        self.counts["frames"] += "error" not in image
        self.seconds += image.get("seconds", 0.0)
        for what in ("regions", "residual", "proposals"):
            self.counts[what] += len(image.get(what, ()))
        self.counts.update("kind:" + region["kind"] for region in image.get("regions", ()))


def files_of(place: Path) -> Path:
    """Where the pictures lie that do not fit into the page."""
    return place.with_name(f"{place.stem}_files")
