"""Speed beside recall: our redactor, the public ones, and the limit, on the same pictures in one run.

    python -m benchmarks.redaction                                        shipped and generated pictures
    python -m benchmarks.redaction --pictures DIR --ground-truth FILE     a folder instead
    python -m benchmarks.redaction --without presidio,deface

Every contender has a process of its own on one core and one thread; for each picture they take turns, round by round.
Every picture is given as a JPEG file (quality 92), as a photo would come: nobody has a DICOM header to read names from.
The other redactors (tesseract from Debian, packages from PyPI) are installed into .data/benchmark-venv by this command.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from benchmarks import contenders, harness, pictures
from benchmarks.contenders import Contender, Cost
from benchmarks.harness import Result, Row
from benchmarks.pictures import Sample, Truth
from benchmarks.scoring import is_covered, mask_of, wilson
from services.redactor.pixels.decode import open_picture

MAX_PIXELS = 60_000_000
LARGE = (4000, 3000)
LARGE_NAME = "12-megapixel photo"

AIM_TEXT, AIM_LIMIT, AIM_LARGE_S = 2.0, 1.15, 2.0
AIM = (
    f"text alone {AIM_TEXT:g} x presidio's pictures per CPU-second at no lower recall; the whole no slower than "
    f"presidio; the whole at most {AIM_LIMIT:g} x its bare networks and codec; 12 megapixels in {AIM_LARGE_S:g} CPU s"
)

SAID = {
    "whole": "ours, whole: every finder, turn and the second look",
    "text": "ours, text alone",
    "faces": "ours, faces alone",
    "presidio": "presidio-image-redactor 0.0.62, text",
    "deface": "deface 1.5.0, faces",
    "bare": "bare networks of the whole, on prepared tensors",
    "codec": "JPEG: one decode, the three encodes that are kept",
    "jpeg": "JPEG: one decode, one encode",
}
SEEKS = {"whole": ("text", "face", "code", "tattoo"), "text": ("text",), "faces": ("face",)} | {
    "presidio": ("text",),
    "deface": ("face",),
}


@dataclass
class Run:
    """What one contender needed and found: costs by picture, every round."""

    costs: dict[str, list[Cost]] = field(default_factory=dict)
    hits: dict[str, list[bool]] = field(default_factory=dict)
    lettering: dict[str, list[bool]] = field(default_factory=dict)
    """The same for lettering, picture by picture."""

    def median(self, picture: str, of: Callable[[Cost], float]) -> float:
        """Over the rounds."""
        return statistics.median(of(cost) for cost in self.costs[picture])


def chosen(options: argparse.Namespace) -> Iterator[tuple[Sample, np.ndarray]]:
    """The samples with their upright pixels: a part of every set, the same for everybody."""
    if options.pictures:
        given = list(pictures.from_folder(options.pictures, options.ground_truth, options.only))
        samples = given[:: max(1, len(given) // options.limit)] if options.limit else given
    else:
        samples = [*pictures.shipped(), *pictures.generated(options.scenes)]
    for sample in samples:
        yield sample, next(open_picture(sample.data, max_pixels=MAX_PIXELS).frames).shown()
    photo = ImageOps.exif_transpose(Image.open(pictures.SHIPPED / "photo.jpg")).convert("RGB")
    left, factor = 156, LARGE[1] / 600  # of the two portraits, a part of the shape that cameras have
    large = photo.crop((left, 0, left + 800, 600)).resize(LARGE, Image.Resampling.BICUBIC)
    faces = [Truth("face", _moved(box, left, factor)) for kind, box in pictures.SHIPPED_TRUTH["photo.jpg"]]
    yield Sample("large", LARGE_NAME, b"", tuple(faces)), np.asarray(large, np.uint8)


def _moved(box: tuple[int, int, int, int], left: int, factor: float) -> tuple[int, int, int, int]:
    x, y, width, height = box
    return round((x - left) * factor), round(y * factor), round(width * factor), round(height * factor)


def measured(options: argparse.Namespace) -> tuple[dict[str, Run], list[str]]:
    """A run for every contender that could take part, and why others could not."""
    names, notes = [name for name in SAID if name not in options.without.split(",")], []
    if {"presidio", "deface"} & set(names):
        why = contenders.make_environment()
        if why:
            notes.append(f"presidio and deface could not be installed: {why}")
            names = [name for name in names if name not in ("presidio", "deface")]
    if "presidio" in names and not shutil.which("tesseract"):
        notes.append("presidio did not take part: tesseract is not installed (Debian: tesseract-ocr)")
        names.remove("presidio")
    core = max(os.sched_getaffinity(0))
    runs: dict[str, Run] = {name: Run() for name in names}
    started: dict[str, Contender] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            for name in names:
                start = contenders.foreign if name in ("presidio", "deface") else contenders.ours
                try:
                    started[name] = start(name, core)
                except RuntimeError as error:
                    notes.append(f"did not take part: {error}")
                    del runs[name]
            for number, (sample, pixels) in enumerate(chosen(options)):
                place = Path(folder) / f"{number}.jpg"
                Image.fromarray(pixels).save(place, "JPEG", quality=92)
                if not number:
                    for contender in started.values():
                        contender.costs(place)  # the first picture of a process pays for what it loads
                _one(sample, pixels.shape, place, started, runs, options.rounds)
                print(f"\r{number + 1} pictures", end="", file=sys.stderr, flush=True)
        finally:
            for contender in started.values():
                contender.close()
    print(file=sys.stderr)
    return runs, notes


def _one(
    sample: Sample,
    shape: tuple[int, ...],
    place: Path,
    started: dict[str, Contender],
    runs: dict[str, Run],
    rounds: int,
) -> None:
    for _ in range(rounds):
        for name, contender in started.items():
            runs[name].costs.setdefault(sample.name, []).append(contender.costs(place))
    for name, kinds in SEEKS.items():
        if name in runs:
            boxes = [tuple(map(int, box)) for _, *box in runs[name].costs[sample.name][0].boxes]
            filled = mask_of([(x, y, w, h) for x, y, w, h in boxes], shape[1], shape[0])
            for truth in sample.truths:
                if truth.kind in kinds and not truth.ignored:
                    hit = is_covered(truth, filled)
                    runs[name].hits.setdefault(truth.kind, []).append(hit)
                    if truth.kind == "text":
                        runs[name].lettering.setdefault(sample.name, []).append(hit)


def _rows(runs: dict[str, Run]) -> list[Row]:
    rows = []
    for name, run in runs.items():
        for unit, of in (("CPU s", lambda cost: cost.cpu), ("wall s", lambda cost: cost.wall)):
            medians = [run.median(picture, of) for picture in run.costs]
            rows.append(Row(SAID[name], statistics.median(medians), unit, (min(medians), max(medians))))
        for kind, hits in sorted(run.hits.items()):
            low, high = wilson(sum(hits), len(hits))
            rows.append(
                Row(f"   of {len(hits)} {kind}s covered", 100 * sum(hits) / len(hits), "%", (100 * low, 100 * high))
            )
    return rows


def _ratio(one: Run, *others: Run) -> list[float]:
    """CPU-seconds of one by those of the others together, picture by picture."""
    return [
        one.median(picture, lambda cost: cost.cpu) / sum(each.median(picture, lambda cost: cost.cpu) for each in others)
        for picture in one.costs
    ]


def _together(one: Run, *others: Run) -> float:
    """CPU-seconds of one for all pictures by those of the others for all of them. Large pictures weigh most."""
    ours, *theirs = (sum(each.median(name, lambda cost: cost.cpu) for name in one.costs) for each in (one, *others))
    return ours / sum(theirs)


def _recall(run: Run, kind: str) -> float:
    hits = run.hits.get(kind, [])
    return sum(hits) / len(hits) if hits else 0.0


def _each(runs: dict[str, Run]) -> Iterator[str]:
    """Of each picture, what presidio, our text alone and our whole cost, and whose lettering is covered."""
    names = [name for name in ("presidio", "text", "whole") if name in runs]
    yield "| picture | " + " | ".join(f"{name}, CPU s | lettering" for name in names) + " |"
    yield "|---" * (1 + 2 * len(names)) + "|"
    for picture in next(iter(runs.values())).costs:
        cells = [picture]
        for name in names:
            hits = runs[name].lettering.get(picture, [])
            cells += [f"{runs[name].median(picture, lambda cost: cost.cpu):.2f}", f"{sum(hits)} of {len(hits)}"]
        yield "| " + " | ".join(cells) + " |"


def _stages(run: Run) -> list[Row]:
    """Where the time of the whole goes: the mean part of each stage, and its median seconds."""
    names = list(dict.fromkeys(stage for costs in run.costs.values() for stage in costs[0].stages))
    rows = []
    for stage in names:
        seconds = [run.median(picture, lambda cost: cost.stages.get(stage, 0.0)) for picture in run.costs]  # noqa: B023
        rows.append(Row(f"   stage {stage}", statistics.median(seconds), "wall s", (min(seconds), max(seconds))))
    return rows


async def run(options: argparse.Namespace | None = None) -> Result:
    """Costs, recall, ratios and stages; medians over pictures, of each picture's median over rounds."""
    options = options or parser().parse_args([])
    runs, notes = await asyncio.to_thread(measured, options)
    rows = _rows(runs)
    met = []

    def ratio(said: str, one: str, *others: str, at_most: float | None = None, at_least: float | None = None) -> None:
        if one in runs and all(other in runs for other in others):
            found = _ratio(runs[one], *(runs[other] for other in others))
            middle = statistics.median(found)
            rows.append(Row(said, middle, "x", (min(found), max(found))))
            rows.append(
                Row(f"   {said}: all pictures added up", _together(runs[one], *(runs[other] for other in others)), "x")
            )
            if at_most is not None:
                met.append(middle <= at_most)
            if at_least is not None:
                met.append(middle >= at_least)

    ratio("presidio / our text alone, CPU", "presidio", "text", at_least=AIM_TEXT)
    ratio("our whole / presidio's text, CPU", "whole", "presidio", at_most=1.0)
    ratio("our whole / its bare networks and codec, CPU", "whole", "bare", "codec", at_most=AIM_LIMIT)
    ratio("our faces alone / deface, CPU", "faces", "deface")
    if "presidio" in runs and "text" in runs:
        met.append(_recall(runs["text"], "text") >= _recall(runs["presidio"], "text"))
    if "whole" in runs:
        large = runs["whole"].median(LARGE_NAME, lambda cost: cost.cpu)
        rows.append(Row(f"our whole, {LARGE_NAME}", large, "CPU s"))
        met.append(large < AIM_LARGE_S)
        rows += _stages(runs["whole"])
    if options.each and runs:
        print("\n".join(_each(runs)))
    count = len(next(iter(runs.values())).costs) if runs else 0
    notes += [f"{count} pictures as JPEG, {options.rounds} rounds; recall: four fifths of lettering, half of a face"]
    notes += ["in brackets: lowest and highest picture; of recall, the 95 % interval"]
    return Result("Redaction: speed and recall", AIM, bool(met) and all(met), rows, notes)


def parser() -> argparse.ArgumentParser:
    """The options of this benchmark."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--pictures", type=Path, metavar="DIR", help="a folder of pictures instead of our own")
    options.add_argument("--ground-truth", type=Path, metavar="FILE", help="what stands where in them")
    options.add_argument("--only", default="", metavar="PREFIX", help="of the folder, only names that begin so")
    options.add_argument("--limit", type=int, default=24, help="of the folder, about so many, evenly taken (0: all)")
    options.add_argument("--scenes", type=int, default=7, help="synthetic pictures of each generator")
    options.add_argument("--rounds", type=int, default=3, help="how often each picture is measured")
    options.add_argument("--each", action="store_true", help="print a table of the pictures as well")
    options.add_argument("--without", default="", metavar="NAMES", help=f"contenders to leave out: {', '.join(SAID)}")
    return options


def main() -> None:
    harness.main_over_pictures(run, parser())


if __name__ == "__main__":
    main()
