"""DICOM in, DICOM out, without the patient. The command is in `command.export`.

The pixels are painted with the boxes that the redactor finds, as stored samples: bits, rescale and window stay, so that
the picture can still be measured and windowed. The header is made anew: see `pixels.deidentify`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from services.redactor.domain import Reason, Unreadable, painted_boxes
from services.redactor.pixels import dicom
from services.redactor.pixels.decode import LONGEST_SIDE_PX
from services.redactor.pixels.deidentify import deidentified, fill, new_run
from services.redactor.pixels.frames import DeepFrame
from services.redactor.pixels.memory import out_of_memory
from services.redactor.pixels.paint import paint
from services.redactor.pixels.redact import Redactor
from shared.events import Box, PictureKind, Region

MAX_BYTES = 400 << 20
"""Of pixels in one exported file: all its frames are in memory at once, read, painted and written. As many take a
worker 2.3 GB (resident, measured), within its 3.5 GB of address space."""

PERCENTILES = (0.1, 99.9)
"""The range of samples in which text is sought besides the whole one: a marker of lead or a dead pixel far above
everything else would leave the rest, and a name in it, a few levels of 256."""

WIDE_ENOUGH = 0.9
"""A range of this part of the whole one shows nothing that the whole one does not."""

COUNTED_SAMPLES = 1 << 20
"""About so many samples of a frame are looked at for its percentiles."""

Samples = npt.NDArray[Any]


@dataclass(frozen=True)
class Exported:
    """`data`: the new file. `boxes`: how many were painted. `residual`: what the last look still saw and is painted,
    but was not looked at again: a person should."""

    data: bytes = field(repr=False)
    uid: str
    frames: int
    boxes: int
    residual: int


class Exporter:
    """One run: the same UID of several files becomes the same new UID. Not thread-safe, one at a time a process.

    `run`: the run's secret, for several processes that work on one (see `deidentify.new_run`); None: a run of its own.
    """

    def __init__(self, redactor: Redactor, run: bytes | None = None) -> None:
        self._redactor = redactor
        self._run = run or new_run()

    def export(self, data: bytes, announce: Callable[[int], None] = lambda frame_count: None) -> Exported:
        """Find, paint, and write anew. Raises Unreadable with the reason, also for what is no DICOM picture.

        `announce` is told the number of frames before the first one is unpacked.
        """
        if not dicom.looks_like_dicom(data):
            raise Unreadable(Reason.UNSUPPORTED_FORMAT, "not a DICOM file")
        try:
            return self._exported(data, announce)
        except Unreadable:
            raise
        except MemoryError:
            raise Unreadable(Reason.MEMORY_LIMIT) from None
        except Exception as error:  # a header that nobody foresaw: what is said of it may quote a name
            if out_of_memory(error):
                raise Unreadable(Reason.MEMORY_LIMIT) from None
            raise Unreadable(Reason.DECODER_FAILED, type(error).__name__) from None

    def _exported(self, data: bytes, announce: Callable[[int], None]) -> Exported:
        redacted = self._redactor.redact(data, announce=announce)
        header = dicom.read_header(data, max_pixels=self._redactor.max_pixels, longest_side_px=LONGEST_SIDE_PX)
        boxes, residual = [], 0
        for frame, (found, left) in zip(redacted.frames, self._beyond_the_window(header), strict=True):
            boxes.append(painted_boxes([*frame.regions, *found, *left], frame.width, frame.height))
            residual += len(frame.residual) + len(left)
        result = deidentified(header.dataset, painted_samples(header, boxes), boxes_clear=residual == 0, run=self._run)
        return Exported(
            dicom.written(result), result.SOPInstanceUID, header.frame_count, sum(map(len, boxes)), residual
        )

    def _beyond_the_window(self, header: dicom.Header) -> Iterator[tuple[list[Region], list[Region]]]:
        """For each frame what is found in its stored samples as no window of the file shows them, and what second looks
        find.

        The stored samples go out, and whoever gets them sets another window: what the file's own window or table turns
        to plain white is read over the whole range of the samples, and what one extreme sample flattens there over the
        range of nearly all of them.
        """
        for samples, frame in dicom.stored_frames(header):
            found: list[Region] = []
            left: list[Region] = []
            if samples is not None:
                whole = isinstance(frame, DeepFrame) and frame.samples is samples  # shown so, and searched so, already
                for view in [*([] if whole else [samples]), *_without_extremes(samples)]:
                    seen, again = self._searched(DeepFrame(view), header.words)
                    found += seen
                    left += again
            yield found, left

    def _searched(self, frame: DeepFrame, words: frozenset[str]) -> tuple[list[Region], list[Region]]:
        found = self._redactor.find(frame.shown(), PictureKind.XRAY, words)
        shown = frame.shown(painted_boxes(found, frame.width, frame.height))
        return found, self._redactor.look_again(self._redactor.paint(shown, found), found, PictureKind.XRAY)


@dataclass(frozen=True)
class Export:
    """One file of a run, for `PixelPool.run`: a hostile one costs its worker's limits and nothing else."""

    data: bytes = field(repr=False)
    run: bytes = field(repr=False)

    def __call__(self, redactor: Redactor, allow: Callable[[int], None]) -> Exported:
        return Exporter(redactor, self.run).export(self.data, allow)


def _without_extremes(samples: Samples) -> list[Samples]:
    """The samples (height x width) cut to the range of nearly all of them; nothing where that is nearly the whole."""
    apart = max(1, int((samples.size / COUNTED_SAMPLES) ** 0.5))
    some = samples[::apart, ::apart].reshape(-1)
    low, high = _range(some)
    if low == high:  # nearly all is one value, and what differs from it is what could be text
        others = some[some != low]
        if not others.size:
            return []
        low, high = min(low, _range(others)[0]), max(high, _range(others)[1])
    whole = float(samples.max()) - float(samples.min())
    return [] if high - low >= WIDE_ENOUGH * whole else [samples.clip(low, high)]


def _range(some: Samples) -> tuple[int, int]:
    """Without any extreme where there are few samples: the percentiles are taken inward, not between two samples."""
    low, high = PERCENTILES
    return int(np.percentile(some, low, method="higher")), int(np.percentile(some, high, method="lower"))


def painted_samples(header: dicom.Header, boxes: list[list[Box]]) -> Samples:
    """All frames with their boxes filled: grey as stored samples (frames x height x width), all else as RGB bytes.

    Raises Unreadable.
    """
    every: Samples | None = None
    for index, ((samples, frame), covered) in enumerate(zip(dicom.stored_frames(header), boxes, strict=True)):
        if samples is None:
            painted = paint(frame.shown(covered), covered)
        else:
            painted = samples.copy()
            fill(painted, covered, inverted=str(header.dataset.PhotometricInterpretation) == "MONOCHROME1")
        if every is None:  # claimed once: a list of frames that is put together would be a second copy
            if painted.nbytes * len(boxes) > MAX_BYTES:
                raise Unreadable(Reason.MEMORY_LIMIT, f"more than {MAX_BYTES} bytes of pixels")
            every = np.empty((len(boxes), *painted.shape), painted.dtype)
        if (painted.shape, painted.dtype) != (every.shape[1:], every.dtype):
            raise Unreadable(Reason.DECODER_FAILED, "frames of different sizes")
        every[index] = painted
    assert every is not None  # a file without frames is refused by its header
    return every
