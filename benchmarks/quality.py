"""Recall, precision and over-erasure of the redactor, by kind and set, with 95 % intervals.

    python -m benchmarks.quality --write                                    shipped and generated pictures
    python -m benchmarks.quality --write --pictures DIR --ground-truth FILE    a folder too

`--write` puts the tables into docs/redaction.md.

Every picture goes through `Redactor.redact`, second look included, as an upload does. Generated pictures are called
synthetic in every table: they show how recall falls with size and contrast, not what a ward's pictures hold.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import harness, pictures, quality_tables
from benchmarks.harness import Result, Row
from benchmarks.pictures import Sample, Truth
from benchmarks.quality_tables import Findings
from benchmarks.scoring import Painted, Score, mask_of, score, wilson
from services.redactor.detectors import Pixels
from services.redactor.domain import Thresholds, painted_boxes
from services.redactor.pixels.decode import open_picture
from services.redactor.pixels.redact import Redactor
from services.redactor.weights import DEFAULT_DIRECTORY
from shared.events import Region

DOCUMENT = Path(__file__).parents[1] / "docs" / "redaction.md"
MAX_PIXELS = 60_000_000
SCENES = 42
"""Synthetic pictures of each generator, unless told otherwise."""

FACE_THRESHOLDS = (0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
TEXT_THRESHOLDS = (0.35, 0.4, 0.45, 0.5, 0.6)
CURVE_PICTURES = 24
"""Of each set, evenly taken: a curve needs a search of each picture at each threshold."""


def samples(options: argparse.Namespace) -> Iterator[Sample]:
    """Shipped, generated, and given, in this order."""
    given: Iterable[Sample] = ()
    if options.pictures:
        given = pictures.from_folder(options.pictures, options.ground_truth, options.only)
    return chain(pictures.shipped(), pictures.generated(options.scenes), given)


def judged(redactor: Redactor, sample: Sample) -> Score:
    """One picture redacted as an upload is, and compared with its truth."""
    began = time.process_time()
    frame = redactor.redact(sample.data).frames[0]
    seconds = time.process_time() - began
    size = frame.width, frame.height
    filled = mask_of(painted_boxes(frame.regions, *size), *size)
    proposed = mask_of((region.box for region in frame.proposals), *size)
    told = score(sample, filled, [Painted(str(r.kind), r.box, r.score) for r in frame.regions], proposed)
    return replace(told, seconds={"cpu": seconds})


def turned(redactor: Redactor, sample: Sample) -> Iterator[tuple[str, Score]]:
    """The faces of one picture again, turned and shrunk; only the finder of faces looks."""
    pixels = next(open_picture(sample.data, max_pixels=MAX_PIXELS).frames).shown()
    faces = [truth for truth in sample.truths if truth.kind == "face"]
    height, width = pixels.shape[:2]
    for name, quarter_turns in (("upright", 0), ("lying, left", 1), ("upside down", 2), ("lying, right", 3)):
        moved = [replace(face, box=_turned_box(face.box, width, height, quarter_turns)) for face in faces]
        yield name, _faces_in(redactor, np.ascontiguousarray(np.rot90(pixels, quarter_turns)), sample, moved)
    for name, factor in (("half size", 0.5), ("quarter size", 0.25)):
        size = max(1, round(width * factor)), max(1, round(height * factor))
        small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX), np.uint8)
        scaled = [tuple(round(value * factor) for value in face.box) for face in faces]
        moved = [
            replace(face, box=(x, y, max(1, w), max(1, h))) for face, (x, y, w, h) in zip(faces, scaled, strict=True)
        ]
        yield name, _faces_in(redactor, small, sample, moved)
    picture = Image.fromarray(pixels).rotate(45, expand=True, resample=Image.Resampling.BICUBIC)
    moved = [replace(face, box=_tilted_box(face.box, (width, height), picture.size)) for face in faces]
    yield "tilted by 45°", _faces_in(redactor, np.asarray(picture, np.uint8), sample, moved)


def _faces_in(redactor: Redactor, pixels: Pixels, sample: Sample, faces: list[Truth]) -> Score:
    return _found_in(redactor.search.faces.detect(pixels), pixels, replace(sample, truths=tuple(faces), keep=()))


def _found_in(regions: list[Region], pixels: Pixels, sample: Sample) -> Score:
    size = pixels.shape[1], pixels.shape[0]
    filled = mask_of(painted_boxes(regions, *size), *size)
    return score(sample, filled, [Painted(str(region.kind), region.box, region.score) for region in regions])


def _turned_box(box: tuple[int, int, int, int], width: int, height: int, turns: int) -> tuple[int, int, int, int]:
    for _ in range(turns):  # np.rot90 turns counter-clockwise: what was right is above
        left, top, across, down = box
        box, (width, height) = (top, width - left - across, down, across), (height, width)
    return box


def _tilted_box(
    box: tuple[int, int, int, int], size: tuple[int, int], new_size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """A face stays about as large when it is tilted: its box moves with its middle."""
    half = np.sqrt(0.5)
    across, down = box[0] + box[2] / 2 - size[0] / 2, box[1] + box[3] / 2 - size[1] / 2
    x, y = half * (across + down) + new_size[0] / 2, half * (down - across) + new_size[1] / 2
    return round(x - box[2] / 2), round(y - box[3] / 2), box[2], box[3]


def curve(kind: str, chosen: list[Sample], values: Iterable[float]) -> Iterator[tuple[float, list[Score]]]:
    """One finder at each threshold, over the same pictures. The second look is not part of it."""
    shown = [next(open_picture(sample.data, max_pixels=MAX_PIXELS).frames).shown() for sample in chosen]
    for value in values:
        redactor = Redactor(DEFAULT_DIRECTORY, replace(Thresholds(), **{kind: value}))
        finder = redactor.search.faces if kind == "face" else redactor.search.text
        yield (
            value,
            [
                _found_in(
                    finder.detect(pixels),
                    pixels,
                    replace(sample, truths=tuple(truth for truth in sample.truths if truth.kind == kind), keep=()),
                )
                for sample, pixels in zip(chosen, shown, strict=True)
            ],
        )


def measured(options: argparse.Namespace) -> Findings:
    """Everything the tables need."""
    redactor = Redactor(DEFAULT_DIRECTORY)
    scores, faces, texts, turns = [], [], [], []
    for number, sample in enumerate(samples(options), 1):
        scores.append(judged(redactor, sample))
        if any(truth.kind == "face" and not truth.ignored for truth in sample.truths):
            faces.append(sample)
            if options.turns and sample.group not in ("shipped", "synthetic mixed"):
                turns += list(turned(redactor, sample))
        if any(truth.kind == "text" and not truth.ignored for truth in sample.truths):
            texts.append(sample)
        if sys.stderr.isatty() or number % 25 == 0:
            print(f"\r{number} pictures", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    curves = {}
    if options.curves:
        curves["face"] = list(curve("face", _some(faces), FACE_THRESHOLDS))
        curves["text"] = list(curve("text", _some(texts), TEXT_THRESHOLDS))
    return Findings(scores, turns, curves, redactor.engine.name)


def _some(chosen: list[Sample]) -> list[Sample]:
    """At most CURVE_PICTURES of each group, evenly taken."""
    groups = {sample.group: [each for each in chosen if each.group == sample.group] for sample in chosen}
    return [
        sample
        for each in groups.values()
        for sample in each[:: max(1, -(-len(each) // CURVE_PICTURES))]
    ]  # fmt: skip


async def run(options: argparse.Namespace | None = None) -> Result:
    """The findings as one table of this folder."""
    options = options or parser().parse_args([])
    found = await asyncio.to_thread(measured, options)
    rows = []
    for (kind, group), (hits, of) in quality_tables.recall(found.scores).items():
        low, high = wilson(hits, of)
        rows.append(Row(f"{kind}, {group} ({of})", 100 * hits / of, "% found", (100 * low, 100 * high)))
    text = quality_tables.markdown(found)
    print(text)
    if options.write:
        quality_tables.write(DOCUMENT, text)
    if options.details:
        options.details.write_text(json.dumps(quality_tables.details(found), indent=1) + "\n")
    worst = min((row.value for row in rows), default=0.0)
    aim = "every kind of every set found, 97 % and more"
    return Result("Recall of the redactor", aim, worst >= 97, rows, ["in brackets: the 95 % interval (Wilson)"])


def parser() -> argparse.ArgumentParser:
    """The options of this benchmark."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--pictures", type=Path, metavar="DIR", help="a folder of pictures to measure as well")
    options.add_argument("--ground-truth", type=Path, metavar="FILE", help="what stands where in them")
    options.add_argument("--only", default="", metavar="PREFIX", help="of the folder, only names that begin so")
    options.add_argument(
        "--scenes", type=int, default=SCENES, help="synthetic pictures of each of the three generators"
    )
    options.add_argument("--turns", action="store_true", help="the folder's faces also turned and shrunk")
    options.add_argument("--curves", action="store_true", help="recall and over-erasure at several thresholds")
    options.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT.name}")
    options.add_argument("--details", type=Path, metavar="FILE", help="every picture's score, as JSON")
    return options


def main() -> None:
    harness.main_over_pictures(run, parser())


if __name__ == "__main__":
    main()
