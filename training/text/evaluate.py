"""What the finder of text covers, paints beside it, and costs, by the size of the picture in which it looks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2

from benchmarks import pictures
from benchmarks.pictures import Sample
from benchmarks.scoring import mask_of, score
from services.redactor.detectors import text
from services.redactor.domain import Thresholds, painted_boxes
from services.redactor.inference import EngineKind, make_engine
from services.redactor.pixels.decode import open_picture

PARTS = (0.6, 0.75, 0.9, 1.0)
"""Of the size in which the original looked: `services.redactor.detectors.text.SHRUNK` is one of them."""

SEED = 990_017  # no lesson was drawn from it
MAX_PIXELS = 100_000_000


@dataclass
class Row:
    """One set at one size."""

    strings: int = 0
    covered: int = 0
    kept: int = 0
    to_keep: int = 0
    outside: float = 0.0
    pictures: int = 0
    cpu_s: float = 0.0


def table(weights: Path, count: int, folder: Path | None, ground_truth: Path | None) -> str:
    """Markdown: for each set and size strings covered, things kept, the part painted beside, and CPU-seconds."""
    cv2.setNumThreads(1)
    limits = Thresholds()
    finder = text.Text(
        make_engine(EngineKind.AUTO, weights), pixel=limits.text_pixel, box=limits.text, mark=limits.mark
    )
    rows: dict[tuple[str, float], Row] = {}
    for sample in [
        *pictures.lettered(count, SEED),
        *(pictures.from_folder(folder, ground_truth) if folder and ground_truth else ()),
    ]:
        pixels = next(open_picture(sample.data, max_pixels=MAX_PIXELS).frames).shown()
        lettering = Sample(
            sample.group, sample.name, b"", tuple(each for each in sample.truths if each.kind == "text"), sample.keep
        )
        for part in PARTS:
            row = rows.setdefault((sample.group, part), Row())
            with _shrunk(part):
                began = time.process_time()
                regions = finder.detect(pixels)
                row.cpu_s += time.process_time() - began
            filled = mask_of(painted_boxes(regions, pixels.shape[1], pixels.shape[0]), pixels.shape[1], pixels.shape[0])
            judged = score(lettering, filled, [])
            row.pictures += 1
            row.strings += len(judged.covered)
            row.covered += sum(hit for _, hit in judged.covered)
            row.to_keep += len(judged.kept)
            row.kept += sum(kept for _, kept in judged.kept)
            row.outside += judged.outside
    lines = ["| set | size | strings covered | kept | painted beside | CPU s a picture |", "|---|---|---|---|---|---|"]
    for (group, part), row in sorted(rows.items()):
        lines.append(
            f"| {group} | {part:g} | {row.covered} of {row.strings} | {row.kept} of {row.to_keep} "
            f"| {row.outside / row.pictures:.2%} | {row.cpu_s / row.pictures:.2f} |"
        )
    return "\n".join(lines)


@contextmanager
def _shrunk(part: float) -> Iterator[None]:
    kept = text.PHOTO, text.FILM
    try:
        text.PHOTO, text.FILM = (scale._replace(part=part) for scale in kept)
        yield
    finally:
        text.PHOTO, text.FILM = kept
