"""Pictures of what goes wrong, for docs/redaction.md: `python -m benchmarks.failures [--details FILE]`.

Only generated pictures are shown, since only these may be published: the worst of each kind of failure, the original
beside the painted one. What was to go and did not is framed in red, what was to stay and did not in blue.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks import pictures, quality
from benchmarks.pictures import Sample, Truth
from benchmarks.scoring import Score
from services.redactor.detectors import Pixels, scaled
from services.redactor.domain import painted_boxes
from services.redactor.pixels.decode import open_picture
from services.redactor.pixels.paint import paint
from services.redactor.pixels.redact import Redactor
from services.redactor.weights import DEFAULT_DIRECTORY

FOLDER = quality.DOCUMENT.parent / "pictures"
BEGIN, END = "<!-- failures: begin -->", "<!-- failures: end -->"
SIDE_PX = 640
RED, BLUE = (220, 30, 30), (30, 90, 230)
MUCH_OUTSIDE = 0.1
OF_EACH = 2
"""Pictures of one kind of failure."""


def failures(sample: Sample, score: Score) -> Iterator[tuple[str, float, Truth | None]]:
    """What went wrong, how badly, and where."""
    for truth, hit in score.covered:
        if not hit:
            size = truth.traits.get("height", truth.traits.get("size", 0))
            yield f"{truth.kind} missed", float(size), truth
    for truth, (_, hit) in zip(sample.keep, score.kept, strict=True):
        if not hit:
            yield f"{truth.kind} lost", 1.0, truth
    if score.outside > MUCH_OUTSIDE:
        yield "painted for nothing", score.outside, None


def sheet(redactor: Redactor, sample: Sample, where: Truth | None, colour: tuple[int, int, int]) -> Pixels:
    """Original and painted picture beside each other, the failure framed in both."""
    pixels = next(open_picture(sample.data, max_pixels=quality.MAX_PIXELS).frames).shown()
    regions = redactor.redact(sample.data).frames[0].regions
    views = [pixels.copy(), paint(pixels, painted_boxes(regions, pixels.shape[1], pixels.shape[0]))]
    for view in views:
        if where is not None:
            left, top, width, height = where.box
            cv2.rectangle(view, (left - 6, top - 6), (left + width + 6, top + height + 6), colour, 3)
    gap = np.full((pixels.shape[0], 12, 3), 255, np.uint8)
    return np.asarray(scaled(np.hstack([views[0], gap, views[1]]), 2 * SIDE_PX)[0], np.uint8)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--scenes", type=int, default=quality.SCENES, help="of each generator")
    options.add_argument("--details", type=Path, metavar="FILE", help="of benchmarks.quality: only what failed there")
    arguments = options.parse_args()
    failed = _failed(arguments.details) if arguments.details else None
    redactor = Redactor(DEFAULT_DIRECTORY)
    found: dict[str, list[tuple[float, Sample, Truth | None]]] = {}
    for sample in pictures.generated(arguments.scenes, pictures.SEED):
        if failed is not None and sample.name not in failed:
            continue
        for what, bad, where in failures(sample, quality.judged(redactor, sample)):
            found.setdefault(what, []).append((bad, sample, where))
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("failure-*.jpg"):
        old.unlink()
    lines = [
        f"Of {3 * arguments.scenes} synthetic pictures (`python -m benchmarks.failures`), the worst of each kind:",
        "",
    ]
    for what, each in sorted(found.items()):
        for number, (_, sample, where) in enumerate(sorted(each, key=lambda one: -one[0])[:OF_EACH], 1):
            name = f"failure-{what.replace(' ', '-')}-{number}.jpg"
            shown = sheet(redactor, sample, where, BLUE if "lost" in what else RED)
            cv2.imwrite(str(FOLDER / name), shown[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])
            told = ", ".join(f"{key} {value}" for key, value in where.traits.items()) if where else ""
            lines += [f"**{what}** ({len(each)} times){': ' + told if told else ''}, `{sample.name}`", ""]
            lines += [f"![{what}](pictures/{name})", ""]
    _write(quality.DOCUMENT, "\n".join(lines if found else ["None was seen in this run."]).rstrip())


def _failed(details: Path) -> set[str]:
    """Names of the pictures in which something was missed, lost or painted for nothing."""
    entries = json.loads(details.read_text())["pictures"]
    return {each["name"] for each in entries if each["missed"] or each["lost"] or each["outside"] > MUCH_OUTSIDE}


def _write(document: Path, text: str) -> None:
    before, _, rest = document.read_text().partition(BEGIN)
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
