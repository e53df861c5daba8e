"""Pictures with what must go and what must stay in them: shipped, made here, or given as a folder with its truth."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.events import Box
from tests.scenes import codes, mixed, text

SHIPPED = Path(__file__).parents[1] / "tests" / "samples" / "pictures"
SEED = 2026

MUST_GO = ("face", "text", "tattoo", "code")

Corners = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Truth:
    """Something in a picture. `box`: x, y, width, height in upright pixels; `corners`: 4 x 2, where it lies slanted.

    `traits`: what recall is told by, for example height and contrast of lettering. `ignored`: neither asked for nor
    held against a finder.
    """

    kind: str
    box: Box
    corners: Corners | None = None
    traits: dict[str, int | str] = field(default_factory=dict)
    ignored: bool = False

    def inside(self, mask: npt.NDArray[np.bool_]) -> float:
        """The part of it that a mask of the picture's size holds."""
        left, top, width, height = self.box
        part = mask[max(0, top) : top + height, max(0, left) : left + width]
        if self.corners is None or not part.size:
            return float(part.mean()) if part.size else 0.0
        shape = np.zeros(part.shape, np.uint8)
        cv2.fillPoly(shape, [np.round(self.corners - (max(0, left), max(0, top))).astype(np.int32)], 1)
        return float(part[shape > 0].mean()) if shape.any() else float(part.mean())


@dataclass(frozen=True)
class Sample:
    """One picture of a set: its file's bytes, and everything that counts in it."""

    group: str
    name: str
    data: bytes
    truths: tuple[Truth, ...]
    keep: tuple[Truth, ...] = ()
    """What must stay as it is: lesions, wounds, traces, side marks."""


SHIPPED_TRUTH: dict[str, tuple[tuple[str, Box], ...]] = {
    "photo.jpg": (("face", (212, 75, 105, 132)), ("face", (765, 130, 185, 205))),
    "radiograph.jpg": (
        ("text", (24, 22, 262, 24)),
        ("text", (24, 70, 352, 20)),
        ("text", (620, 24, 256, 21)),
        ("text", (681, 70, 180, 15)),
        ("text", (24, 1042, 156, 19)),
    ),
    "dicom.dcm": (
        ("text", (22, 26, 142, 11)),
        ("text", (22, 42, 64, 11)),
        ("text", (22, 58, 44, 11)),
        ("text", (22, 74, 54, 11)),
        ("text", (282, 42, 74, 11)),
        ("text", (548, 42, 70, 11)),
        ("text", (560, 90, 58, 11)),
    ),
}
"""Faces; names, numbers, dates and places."""

SHIPPED_IGNORED: dict[str, tuple[Box, ...]] = {
    "photo.jpg": ((676, 485, 92, 36), (925, 498, 115, 28)),
    "dicom.dcm": (
        (22, 90, 38, 11), (310, 24, 22, 16), (500, 26, 118, 13), (530, 58, 88, 11), (568, 74, 50, 11), (8, 138, 32, 12),
        (8, 218, 32, 12), (598, 138, 32, 12), (598, 218, 32, 12), (248, 362, 112, 13), (400, 458, 220, 13),
    ),
}  # fmt: skip
"""What else is written in them: it may go, and is not asked for."""


def shipped() -> Iterator[Sample]:
    """The pictures of tests/samples: two portraits, a radiograph with invented patient text, an ultrasound."""
    for name, things in SHIPPED_TRUTH.items():
        asked = tuple(Truth(kind, box) for kind, box in things)
        ignored = tuple(Truth("text", box, ignored=True) for box in SHIPPED_IGNORED.get(name, ()))
        yield Sample("shipped", name, (SHIPPED / name).read_bytes(), asked + ignored)


def lettered(count: int, seed: int) -> Iterator[Sample]:
    """`count` drawn scenes with lettering; marks and traces are to stay."""
    for number, scene in enumerate(text.scenes(count, seed)):
        truths = tuple(
            Truth(
                "text", line.box, line.corners,
                {"height": line.height, "contrast": line.contrast, "turn": line.turn, "ground": scene.ground},
            )
            for line in scene.written
            if line.must_go
        )  # fmt: skip
        marks = tuple(Truth("mark", line.box) for line in scene.written if not line.must_go)
        keep = marks + tuple(Truth("trace", box) for box in scene.keep)
        yield Sample("synthetic lettering", f"text-{number}-{scene.ground}", png(scene.pixels), truths, keep)


def generated(count: int, seed: int = SEED) -> Iterator[Sample]:
    """`count` scenes of each generator: lettering, codes, and both with faces. Synthetic, and to be called so."""
    yield from lettered(count, seed)
    for label in codes.scenes(count, seed):
        left, top = np.floor(label.corners.min(axis=0)).astype(int)
        right, bottom = np.ceil(label.corners.max(axis=0)).astype(int)
        box = int(left), int(top), int(right - left), int(bottom - top)
        traits: dict[str, int | str] = {"symbology": label.symbology, "size": label.size, "condition": label.condition}
        truth = Truth("code", box, label.corners, traits)
        yield Sample("synthetic codes", label.name, png(label.pixels), (truth,))
    for both in mixed.scenes(count, seed):
        truths = tuple(
            Truth(str(each.kind), each.box, None, {"size": each.size, "turn": each.turn}) for each in both.planted
        )
        yield Sample("synthetic mixed", both.name, png(both.pixels), truths)


def from_folder(folder: Path, ground_truth: Path, only: str = "") -> Iterator[Sample]:
    """The pictures that a list of truths names, below `folder`; `only`: a prefix of their names.

    The list: `[{"file", "boxes": [{"kind", "box": [left, top, right, bottom], "poly"?, "ignore"?}], "keep": [...]}]`,
    in pixels of the upright picture. Boxes of other kinds than those that must go are to be kept.
    """
    entries: list[dict[str, Any]] = json.loads(ground_truth.read_text())
    for entry in entries:
        if entry["file"].startswith(only):
            truths = tuple(_truth(each) for each in entry["boxes"] if each["kind"] in MUST_GO)
            others = [each for each in entry["boxes"] if each["kind"] not in MUST_GO] if not entry.get("keep") else []
            keep = tuple(_truth(each) for each in [*entry.get("keep", ()), *others])
            group = entry["file"].split("/")[0]
            yield Sample(group, entry["file"], (folder / entry["file"]).read_bytes(), truths, keep)


def _truth(entry: dict[str, Any]) -> Truth:
    left, top, right, bottom = (round(value) for value in entry["box"])
    corners = np.array(entry["poly"], np.float32) if "poly" in entry else None
    names = {"px": "height", "contrast": "contrast", "rot": "turn"}
    traits = {ours: entry[theirs] for theirs, ours in names.items() if isinstance(entry.get(theirs), int)}
    box = left, top, max(1, right - left), max(1, bottom - top)
    return Truth(entry["kind"], box, corners, traits, bool(entry.get("ignore")))


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Without loss, as fast as it gets."""
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG", compress_level=1)
    return written.getvalue()
