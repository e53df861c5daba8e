"""The largest allowed pictures of every format in a real worker: within its bound, and it gives the memory back.

The kernel holds a worker to `Limits.memory_bytes` of address space. Here the resident peak is held to less, so that a
machine's memory can be divided by it: RESIDENT_BYTES for the worker, and COPY_BYTES for the copy of itself in which
HEIC and some DICOM is unpacked (the worker waits meanwhile and has not yet claimed its own share).
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from services.redactor.pixels.pool import Limits, PixelPool
from services.redactor.weights import DEFAULT_DIRECTORY, missing
from tests.fuzz.seeds import _colour, _encoded, _grey, _written
from tests.heic import Grid, heic

pytestmark = pytest.mark.skipif(
    bool(missing(DEFAULT_DIRECTORY)), reason="the model weights are not there: make weights"
)
WIDTH, HEIGHT = 8_900, 6_740  # 59,986,000 pixels of at most 60,000,000
MIB = 2**20
RESIDENT_BYTES = 2_000 * MIB
COPY_BYTES = 1_000 * MIB
IDLE_BYTES = 600 * MIB


def steps() -> npt.NDArray[np.uint8]:
    """Greys from 20 to 219 in blocks: it packs well, and every block is another."""
    return ((np.arange(HEIGHT)[:, np.newaxis] // 50 + np.arange(WIDTH) // 60) % 200 + 20).astype(np.uint8)


def coloured() -> Image.Image:
    return Image.fromarray(np.stack([steps(), 255 - steps(), steps()], axis=2))


def deep() -> npt.NDArray[np.uint16]:
    return steps().astype(np.uint16) * 200


def tiff(samples: npt.NDArray[Any]) -> bytes:
    return _encoded(Image.fromarray(samples), "TIFF", compression="tiff_adobe_deflate")


def dicom(*, window: bool, deflated: bool) -> bytes:
    dataset = _grey()
    dataset.Rows, dataset.Columns = HEIGHT, WIDTH
    dataset.PixelData = deep().tobytes()
    if not window:
        del dataset.WindowCenter, dataset.WindowWidth
    return _written(dataset, DeflatedExplicitVRLittleEndian if deflated else ExplicitVRLittleEndian)


def dicom_in_colour() -> bytes:
    dataset = _colour("YBR_FULL")
    dataset.Rows, dataset.Columns = HEIGHT, WIDTH
    dataset.PixelData = np.asarray(coloured()).tobytes()
    dataset["PixelData"].VR = "OB"
    return _written(dataset, ExplicitVRLittleEndian)


WORST: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: _encoded(coloured(), "JPEG", quality=85),
    "jpeg progressive": lambda: _encoded(coloured(), "JPEG", quality=85, progressive=True, subsampling=0),
    "jpeg of four inks": lambda: _encoded(coloured().convert("CMYK"), "JPEG", quality=85, progressive=True),
    "jpeg on its side": lambda: _encoded(coloured(), "JPEG", quality=85, exif=b"Exif\0\0" + turned()),
    "png": lambda: _encoded(coloured(), "PNG", compress_level=1),
    "png with a mask": lambda: _encoded(coloured().convert("RGBA"), "PNG", compress_level=1),
    "png of 16 bits": lambda: _encoded(Image.fromarray(deep()), "PNG", compress_level=1),
    "tiff of 16 bits": lambda: tiff(deep()),
    "tiff of floating point": lambda: tiff(steps().astype(np.float32)),
    "webp": lambda: _encoded(coloured(), "WEBP", quality=50, method=0),
    "gif": lambda: _encoded(Image.fromarray(steps()), "GIF"),
    "heic": lambda: heic([np.asarray(coloured())[:256, :256].copy()], grid=Grid(27, 35, WIDTH, HEIGHT)),
    "dicom with a window": lambda: dicom(window=True, deflated=False),
    "dicom deflated": lambda: dicom(window=False, deflated=True),
    "dicom in colour": dicom_in_colour,
}


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif.tobytes()[6:]


@pytest.fixture
async def pool() -> AsyncIterator[PixelPool]:
    made = PixelPool(DEFAULT_DIRECTORY, workers=1, limits=Limits(time_s=600))
    await made.warm_up()
    yield made
    made.close()


@pytest.mark.full
@pytest.mark.parametrize("name", WORST)
async def test_the_largest_pictures_are_searched_and_painted_within_the_bound(pool: PixelPool, name: str) -> None:
    await check(pool, WORST[name](), searched=True)


@pytest.mark.parametrize("name", ["heic", "dicom deflated"])
async def test_the_worst_of_them_are_unpacked_and_painted_within_the_bound(pool: PixelPool, name: str) -> None:
    await check(pool, WORST[name](), searched=False)


async def check(pool: PixelPool, data: bytes, *, searched: bool) -> None:
    (worker,) = pool._all
    (pid,) = worker._processes or {}
    (Path("/proc") / str(pid) / "clear_refs").write_text("5")  # the mark goes back to what is resident now
    work = asyncio.create_task(pool.redact(data, None if searched else {0: []}))
    copies = 0  # the resident peak of any process that the worker makes of itself
    while not (await asyncio.wait({work}, timeout=0.05))[0]:
        children = (Path("/proc") / str(pid) / "task" / str(pid) / "children").read_text().split()
        copies = max([copies, *(resident(int(child), "VmHWM") for child in children)])
    (frame,) = (await work).frames
    assert sorted((frame.width, frame.height)) == [HEIGHT, WIDTH]
    assert resident(pid, "VmHWM") < RESIDENT_BYTES
    assert resident(pid, "VmRSS") < IDLE_BYTES
    assert copies < COPY_BYTES
    assert bool(copies) == (data[4:8] == b"ftyp")  # only HEIC here is unpacked in a copy


def resident(pid: int, what: str) -> int:
    """Bytes out of the kernel's account of a process; 0 where it has just ended."""
    try:
        said = (Path("/proc") / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(rf"{what}:\s+(\d+) kB", said)
    return int(found[1]) * 1024 if found else 0
