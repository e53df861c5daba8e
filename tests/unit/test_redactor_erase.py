"""What is erased is gone: nothing of what lay under the paint reaches the output, by whatever way it came in."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from services.redactor.domain import area, overlap, painted_boxes
from services.redactor.pixels.paint import FILL
from services.redactor.pixels.redact import Redacted, Redactor
from services.redactor.weights import DEFAULT_DIRECTORY, missing
from shared.events import Box, Region, RegionKind
from tests.scenes import mixed

pytestmark = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)

WIDTH, HEIGHT = 144, 112
Samples = npt.NDArray[Any]

KINDS = st.sampled_from([RegionKind.FACE, RegionKind.TEXT, RegionKind.CODE, RegionKind.TATTOO, RegionKind.MANUAL])
BOXES = st.tuples(
    st.integers(-20, WIDTH - 1), st.integers(-20, HEIGHT - 1), st.integers(1, WIDTH), st.integers(1, HEIGHT)
)
REGIONS = st.lists(st.builds(lambda kind, box: Region(kind=kind, box=box), KINDS, BOXES), min_size=1, max_size=4)


@cache
def redactor() -> Redactor:
    return Redactor(DEFAULT_DIRECTORY)


def colour(seed: int) -> Samples:
    """Soft shadows, so that the second look sees a picture and not noise, with a few hard edges."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    waves = [128 + 90 * np.sin(columns / p + rows / q + phase) for p, q, phase in random.uniform(5, 40, (3, 3))]
    picture = np.stack(waves, axis=2)
    picture[10:40, 10:90] += random.normal(0, 40, (30, 80, 1))
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def deep(seed: int) -> Samples:
    """Twelve bits of sixteen, of which the brightest may lie anywhere."""
    grey = colour(seed)[..., 0].astype(np.uint16) * 13
    random = np.random.default_rng(seed)
    grey[int(random.integers(HEIGHT)), int(random.integers(WIDTH))] = 4095
    return grey


def stored(samples: Samples, form: str) -> bytes:
    written = io.BytesIO()
    Image.fromarray(samples).save(written, form)
    return written.getvalue()


def dicom(samples: Samples, *, inverted: bool = False) -> bytes:
    """Without a window: the range is told by the pixels, and must not be told by those under a box."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid(entropy_srcs=["erase"])
    dataset.Rows, dataset.Columns = samples.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    dataset.PixelData = samples.astype("<u2").tobytes()
    written = io.BytesIO()
    dataset.save_as(written, enforce_file_format=True)
    return written.getvalue()


MAKERS: dict[str, Callable[[int], tuple[Samples, Callable[[Samples], bytes]]]] = {
    "png": lambda seed: (colour(seed), lambda samples: stored(samples, "PNG")),
    "bmp": lambda seed: (colour(seed), lambda samples: stored(samples, "BMP")),
    "tiff": lambda seed: (colour(seed), lambda samples: stored(samples, "TIFF")),
    "png-16-bit": lambda seed: (deep(seed), lambda samples: stored(samples, "PNG")),
    "dicom": lambda seed: (deep(seed), dicom),
    "dicom-inverted": lambda seed: (deep(seed), lambda samples: dicom(samples, inverted=True)),
}


def differing_under(one: Samples, boxes: list[Box], seed: int) -> Samples:
    """The same picture, but for what lies under the boxes: noise that reaches the ends of its range."""
    other = one.copy()
    highest = 255 if one.dtype == np.uint8 else 4095
    noise = np.random.default_rng(seed).choice([0, highest, highest // 3], one.shape).astype(one.dtype)
    for left, top, width, height in boxes:
        there = slice(top, top + height), slice(left, left + width)
        other[there] = noise[there]
    return other


def told(done: Redacted) -> list[object]:
    """The whole answer, less its duration and the questions to a person, which are about the original."""
    return [replace(frame, seconds=0.0, proposals=()) for frame in done.frames]


@pytest.mark.parametrize("form", MAKERS)
@given(regions=REGIONS, clinical=st.lists(BOXES, max_size=2), seed=st.integers(0, 2**16))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_originals_that_differ_only_under_the_paint_give_the_same_bytes(
    form: str, regions: list[Region], clinical: list[Box], seed: int
) -> None:
    """What a clinical box leaves open of a face is no paint: there both originals are the same."""
    one, write = MAKERS[form](seed)
    other = differing_under(one, painted_boxes(regions, WIDTH, HEIGHT, clinical), seed + 1)
    first, second = (
        redactor().redact(write(samples), boxes={0: regions}, clinical={0: clinical}) for samples in (one, other)
    )
    assert [each.data for each in first.frames[0].renditions] == [each.data for each in second.frames[0].renditions]
    assert told(first) == told(second), "nor does the answer tell"


@pytest.mark.parametrize("form", MAKERS)
def test_what_lies_beside_the_paint_is_shown(form: str) -> None:
    """Otherwise the test above would hold for a redactor that paints everything."""
    one, write = MAKERS[form](3)
    other = one.copy()
    other[100:110, 120:140] = 0
    boxes = {0: [Region(kind=RegionKind.TEXT, box=(20, 20, 20, 20))]}
    first, second = (redactor().redact(write(samples), boxes=boxes) for samples in (one, other))
    assert first.frames[0].renditions[0].data != second.frames[0].renditions[0].data


@dataclass(frozen=True)
class Again:
    """One output, searched again. What was reported as residual is not counted: a person looks at that picture."""

    covered: list[bool]
    """Of each planted thing, whether four fifths are."""

    seen: list[str]
    """Where the second look sees three tenths of a planted thing, or more."""

    alarms: list[str]
    """What else it sees."""


def again(scene: mixed.Scene) -> Again:
    done = redactor().redact(stored(scene.pixels, "PNG")).frames[0]
    output = np.asarray(Image.open(io.BytesIO(done.renditions[0].data)).convert("RGB"), np.int16)
    gone = (np.abs(output - FILL) <= 8).all(axis=2)  # told by the output itself, not by what should be painted

    def gone_of(box: Box) -> float:
        return float(gone[box[1] : box[1] + box[3], box[0] : box[0] + box[2]].mean())

    left = [planted.box for planted in scene.planted if gone_of(planted.box) < 0.8]
    seen: list[str] = []
    alarms: list[str] = []
    for alone in () if done.residual else (False, True):
        for region in redactor().look_again(output.astype(np.uint8), (), alone=alone):
            said = f"{scene.name}: {region.kind} {region.box} {region.score}"
            if any(overlap(region.box, box) > 0.3 * area(box) for box in left):
                seen.append(said)
            elif not alone and gone_of(region.box) < 0.6:  # else it sees the paint itself
                alarms.append(said)
    return Again([planted.box not in left for planted in scene.planted], seen, alarms)


def outputs_pass(scenes: list[mixed.Scene]) -> None:
    results = [again(scene) for scene in scenes]
    assert not [said for result in results for said in result.seen], "seen in the output, and nobody was told"
    alarms = [said for result in results for said in result.alarms]
    assert not alarms, "seen in the output, by the very look that should have painted it"
    assert np.mean([hit for result in results for hit in result.covered]) >= 0.97, "of what was planted"


def test_fifty_outputs_pass_the_second_look() -> None:
    """What leaves, as it leaves (compressed), is searched with the second look's scale and shift."""
    outputs_pass(list(mixed.scenes(50, seed=4)))


@pytest.mark.full
@pytest.mark.parametrize("part", range(20))
def test_a_thousand_outputs_pass_the_second_look(part: int) -> None:
    outputs_pass([mixed.scene(8, index) for index in range(part * 50, part * 50 + 50)])
